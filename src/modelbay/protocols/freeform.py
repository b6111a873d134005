"""Freeform tools for targets that do not have them.

The input of a freeform tool is text, such as a patch, whose format a grammar may define. Other targets get a function with
one string instead. The text is taken out of its calls again while they stream.
"""

import re
from collections.abc import Iterable

from msgspec.structs import replace

from modelbay.conversation import AnyPart, Extra, Json, Tool, ToolCall, Turn
from modelbay.errors import MalformedReply
from modelbay.json_text import decode, encode
from modelbay.protocols.arguments import is_cut

CALLED_AS_FUNCTION = "function"
"""The `native` of a freeform tool, and of its calls in a reply, if the client reads them as calls of a function whose arguments are
the text. Cursor declares its freeform tools in the form of Responses, even in Chat Completions, and fails at a call without a
function."""
_NAME = "input"
"""The function's only property, and the key of a call's text."""
_SCHEMA: Extra = {
    "type": "object",
    "properties": {_NAME: {"type": "string", "description": "The whole text of the call."}},
    "required": [_NAME],
    "additionalProperties": False,
}
_HOW = f"Here the tool is called as a function. Its whole text is the value of `{_NAME}`, without anything around it."
"""Codex's description of `apply_patch` says that there is no JSON around its text."""
_SYNTAXES = {"lark": "this Lark grammar", "regex": "this regular expression"}

_BEGINNING = re.compile(rf'\s*\{{\s*"{_NAME}"\s*:\s*"')
_BEGINNING_LENGTH = 64
"""Longer arguments without this beginning are read at their end."""
_PIECE = re.compile(
    r"""[^"\\]+|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|\"""", re.DOTALL
)
"""The next piece of a JSON string: plain text, a surrogate pair, an escape or the closing quote."""
_UNFINISHED = re.compile(
    r"\\(?:u(?:[0-9a-fA-F]{0,3}|[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?))?"
)
"""An escape whose end has not arrived, or the first half of a surrogate pair whose second half has not."""
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_REPLACEMENT = "\ufffd"


def as_function(tool: Tool) -> Tool:
    """A freeform tool as a function. Its description contains the grammar, which the target does not enforce."""
    words = [tool.description, _HOW, _grammar(tool.grammar)]
    return replace(
        tool, kind="function", description="\n\n".join([text for text in words if text]), schema=_SCHEMA, grammar=None
    )


def _grammar(form: Extra | None) -> str | None:
    """The description of a format. Chat Completions has the grammar in an object."""
    if form is None:
        return None
    inner = form.get("grammar")
    grammar = inner if isinstance(inner, dict) else form
    definition = grammar.get("definition")
    if not isinstance(definition, str):
        return None
    syntax = str(grammar.get("syntax") or "")
    return f"The text must match {_SYNTAXES.get(syntax, f'this grammar ({syntax})')}:\n\n{definition}"


def as_function_call(call: ToolCall) -> ToolCall:
    """A call of a freeform tool as a call of the function."""
    return replace(call, arguments=encode({_NAME: call.arguments}).decode(), format="json", cut=False)


def with_text_calls(turns: list[Turn], tools: Iterable[Tool]) -> list[Turn]:
    """The turns with the calls of freeform tools that the client writes as those of functions, as what they are."""
    names = {tool.name for tool in tools if tool.kind == "freeform" and tool.native == CALLED_AS_FUNCTION}
    return [_with_text_calls(turn, names) for turn in turns] if names else turns


def _with_text_calls(turn: Turn, names: set[str]) -> Turn:
    if not any(_is_text_call(part, names) for part in turn.parts):
        return turn
    return replace(turn, parts=[_text_call(part) if _is_text_call(part, names) else part for part in turn.parts])


def _is_text_call(part: AnyPart, names: set[str]) -> bool:
    return type(part) is ToolCall and part.format == "json" and part.name in names


def _text_call(call: AnyPart) -> AnyPart:
    assert type(call) is ToolCall
    text = CallText()
    text.feed(call.arguments)
    text.close()
    return replace(call, arguments=text.text, format="text", cut=text.cut)


class CallText:
    """The text in the arguments of a function's call, read while they arrive.

    The result does not depend on how the arguments are split. A model may ignore the schema: the string under another
    single key, or text that is not JSON, is then the text. An invalid escape is text too, because models forget to
    escape backslashes.
    """

    __slots__ = ("_begun", "_ended", "_length", "_rest", "_texts", "_unread", "cut")

    def __init__(self) -> None:
        self.cut = False
        """Whether the arguments ended inside of the text or before it."""
        self._unread: list[str] = []
        """Arguments before the text."""
        self._length = 0
        """Their length."""
        self._begun = self._ended = False
        """Whether the text has begun, and whether it has ended."""
        self._rest = ""
        """An unfinished escape."""
        self._texts: list[str] = []

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._texts)

    def feed(self, fragment: str) -> str:
        """Add arguments. Returns the new text in them."""
        if self._begun:
            return self._add(self._read(fragment))
        self._unread.append(fragment)
        before, self._length = self._length, self._length + len(fragment)
        return self._begin() if before <= _BEGINNING_LENGTH else ""

    def close(self) -> str:
        """End the arguments. Returns the rest of the text."""
        text = "" if self._begun else self._begin()
        if not self._begun:
            return self._add(self._other())
        self.cut = not self._ended
        return text

    def _begin(self) -> str:
        arguments = "".join(self._unread)
        if (found := _BEGINNING.match(arguments)) is None:
            return ""
        self._begun = True
        self._unread.clear()
        return self._add(self._read(arguments[found.end() :]))

    def _add(self, text: str) -> str:
        if text:
            self._texts.append(text)
        return text

    def _read(self, fragment: str) -> str:
        """The text in more of the JSON string."""
        if self._ended:
            return ""
        fragment, self._rest = self._rest + fragment, ""
        out: list[str] = []
        at = 0
        while at < len(fragment):
            if fragment[at] == "\\" and _UNFINISHED.fullmatch(fragment, at):
                self._rest = fragment[at:]
                break
            found = _PIECE.match(fragment, at)
            assert found is not None, "every character but a lone backslash at the end begins a piece"
            piece, at = found.group(), found.end()
            if piece == '"':
                self._ended = True
                break
            out.append(piece if piece[0] != "\\" else _unescaped(piece))
        return "".join(out)

    def _other(self) -> str:
        """The text of arguments that do not begin as they should."""
        arguments = "".join(self._unread)
        if not arguments.strip():
            return ""
        try:
            value = decode(arguments)
        except MalformedReply:
            self.cut = arguments.lstrip()[0] in '{"' and is_cut(ToolCall(arguments=arguments))
            return "" if self.cut else arguments
        text = _only_text(value)
        return arguments if text is None else text


def _unescaped(escape: str) -> str:
    """The text of a complete escape."""
    if len(escape) == 12:
        return (bytes.fromhex(escape[2:6]) + bytes.fromhex(escape[8:])).decode("utf-16-be")
    if len(escape) == 6:
        character = chr(int(escape[2:], 16))
        return _REPLACEMENT if "\ud800" <= character <= "\udfff" else character
    return _ESCAPES.get(escape[1], escape)


def _only_text(value: Json) -> str | None:
    """The string that a value is, or has under our key or as its only member; empty if there are no arguments."""
    if isinstance(value, dict) and (_NAME in value or len(value) <= 1):
        value = value.get(_NAME, next(iter(value.values()), None))
    return "" if value is None else value if isinstance(value, str) else None
