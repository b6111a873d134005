"""Finds the API key in pasted text: a line of a shell or of an .env file, a header, a curl command, or a key in quotes."""

import re

from modelbay.credentials.credential import AUTH_HEADERS
from modelbay.secrecy import REFERENCE

_VARIABLE = re.compile(r"(?:(?:export|set)\s+|\$env:)?[A-Z][A-Z0-9]*_[A-Z0-9_]*\s*=\s*(.+)")
"""A line that sets an environment variable. Its name has an underscore, so that a key that ends in `=` is not read as one."""
_HEADER = re.compile(
    rf"(?:\b(?:{'|'.join(sorted(AUTH_HEADERS, key=len, reverse=True))})[\"']?\s*[:=]\s*[\"']?(?:bearer\s+)?|^bearer\s+)"
    r"(?!basic\s)([^\s\"',;\\]+)",
    re.IGNORECASE,
)


def pasted_key(text: str) -> str:
    """The key in a text; a text with a reference, or without a known form, is returned without surrounding blanks."""
    text = text.strip()
    if REFERENCE.search(text):
        return text
    if header := _HEADER.search(text):
        return header[1]
    if variable := _VARIABLE.fullmatch(text):
        text = variable[1]
    bare = text.strip().rstrip(",;")
    quoted = len(bare) > 2 and bare[0] == bare[-1] and bare[0] in "\"'`"
    return bare[1:-1].strip() if quoted else text.strip()
