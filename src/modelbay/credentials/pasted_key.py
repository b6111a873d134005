"""Finds the API key in pasted text: a line of a shell or of a configuration file, a header, a curl command, or a key in quotes."""

import re

from modelbay.credentials.credential import AUTH_HEADERS
from modelbay.secrecy import REFERENCE

_SETTING = re.compile(
    r"""(?:(?:export|set|declare\s+-x)\s+|\$env:)?["']?(?:[A-Z][A-Z0-9]*_[A-Z0-9_]*|(?i:api[-_]?key))["']?(?:\s*=\s*|\s*:\s+)(.+)"""
)
"""A line that sets an environment variable, or a key of a configuration file. The name of a variable has an underscore, so that a
key that ends in `=` is not read as one."""
_VALUE = re.compile(r"""(["'`]|)(?P<key>\S+?)\1\s*[,;]?(?:\s+(?:#|//|&&).*)?""")
"""The value of a setting, and the rest of its line: a comma, a comment or the next command."""
_AROUND = " \t\r\n\f\v\ufeff\u200b\u200c\u200d\u2060"
"""Blanks, and the invisible characters around a text that was copied from a web page."""
_HEADER = re.compile(
    rf"(?:\b(?:{'|'.join(sorted(AUTH_HEADERS, key=len, reverse=True))})[\"']?\s*[:=]\s*[\"']?(?:bearer\s+)?|^bearer\s+)"
    r"(?!basic\s)([^\s\"',;\\]+)",
    re.IGNORECASE,
)
_QUOTES = ('""', "''", "``", "\u201c\u201d", "\u2018\u2019")


def pasted_key(text: str) -> str:
    """The key in a text; a text with a reference, or without a known form, is returned without surrounding blanks."""
    text = text.strip(_AROUND)
    if REFERENCE.search(text):
        return text
    if (setting := _SETTING.fullmatch(text)) and (value := _VALUE.fullmatch(setting[1])):
        return value["key"]
    if header := _HEADER.search(text):
        return header[1]
    bare = text.rstrip(",;")
    quoted = len(bare) > 2 and bare[0] + bare[-1] in _QUOTES and bare[0] not in bare[1:-1]
    return bare[1:-1].strip(_AROUND) if quoted else text
