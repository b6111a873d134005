"""The value of a JSON text that breaks off, such as an answer that is still arriving."""

import re
from typing import Any

from modelbay.errors import MalformedReply
from modelbay.json_text import DEPTH, decode

_OPENING = re.compile(r"\s*```\w*\n")
"""The first line of a Markdown code block, into which some models put JSON."""
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_HALF = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?\Z|\\u[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u[0-9a-fA-F]{0,3})?)?\Z")
"""An escape at the end of a string that is not complete, or half of a surrogate pair."""
_NOTHING = object()


def begun(text: str) -> Any:
    """The object or list at the beginning of a text, as far as it is certain: without names that have no value yet, and without
    numbers and words at the end, which may go on. None if there is none, or if the text is not JSON."""
    if match := _OPENING.match(text):
        text = text[match.end() :]
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return _Reader(_TOKEN.findall(text)).value(0)
    except MalformedReply:
        return None


class _Reader:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0

    def _take(self) -> str:
        """The next token; "" at the end."""
        token = self._tokens[self._at] if self._at < len(self._tokens) else ""
        self._at += 1
        return token

    def value(self, depth: int) -> Any:
        token = self._take()
        if depth > DEPTH:
            raise MalformedReply("nested too deeply")
        if token == "{":
            return self._object(depth)
        if token == "[":
            return self._list(depth)
        last = self._at >= len(self._tokens)
        if token.startswith('"'):
            return _string(token)
        return _NOTHING if last or not token else decode(token)

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while (token := self._take()) not in ("}", ""):
            if token == ",":
                continue
            if not token.startswith('"') or self._take() != ":":  # a name that breaks off
                break
            if (value := self.value(depth + 1)) is not _NOTHING:
                found[_string(token)] = value
        return found

    def _list(self, depth: int) -> list[Any]:
        found: list[Any] = []
        while self._at < len(self._tokens):
            if self._tokens[self._at] in ("]", ","):
                if self._take() == "]":
                    break
            elif (value := self.value(depth + 1)) is not _NOTHING:
                found.append(value)
        return found


def _string(token: str) -> str:
    if len(token) > 1 and token.endswith('"') and (len(token) - len(token[:-1].rstrip("\\"))) % 2:
        return str(decode(token))
    return str(decode(_HALF.sub("", token) + '"'))
