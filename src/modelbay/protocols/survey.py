"""One pass over a history that collects what the steps before rendering look for, so that a step without work costs
nothing.

Most requests need no step at all, and agents send their whole history with each request.
"""

from modelbay.conversation import Media, ToolCall, ToolResult, Turn
from modelbay.protocols.tool_search import CALL


class Survey:
    """The contents of some turns, including tool results."""

    __slots__ = (
        "answers",
        "kinds",
        "marked_calls",
        "names",
        "namespaces",
        "offers",
        "other_fields",
        "searches",
        "system_media",
        "texts",
        "turns",
    )

    def __init__(self, turns: list[Turn]) -> None:
        self.turns = turns
        self.kinds: set[type] = set()
        self.names: set[str] = set()
        """Tools named by calls and results."""
        self.namespaces = False
        """Whether a call has a namespace."""
        self.searches = False
        """Whether a call is a search for tools."""
        self.texts = False
        """Whether a call of a freeform tool has text as its input."""
        self.offers = False
        """Whether a turn has its own tools."""
        self.other_fields = False
        """Whether a turn or part has fields that only its own protocol knows."""
        self.marked_calls = False
        """Whether a call or result has cache control."""
        self.system_media = False
        """Whether a system prompt contains media."""
        self.answers: dict[int, ToolCall] | None = None
        """The call that each result answers, by the `id()` of the result; None if not determined yet."""
        self._read()

    @property
    def has_calls(self) -> bool:
        return ToolCall in self.kinds or ToolResult in self.kinds

    def _read(self) -> None:
        kinds, names = self.kinds, self.names
        for turn in self.turns:
            if turn.extra:
                self.other_fields = True
            if turn.tools:
                self.offers = True
            for part in turn.parts:
                kind = type(part)
                kinds.add(kind)
                if part.extra:
                    self.other_fields = True
                if kind is ToolCall:
                    names.add(part.name)  # type: ignore[union-attr,arg-type]
                    if part.namespace is not None:  # type: ignore[union-attr]
                        self.namespaces = True
                    if part.native == CALL:
                        self.searches = True
                    if part.format == "text":  # type: ignore[union-attr]
                        self.texts = True
                    if part.cache is not None:
                        self.marked_calls = True
                elif kind is ToolResult:
                    if part.name is not None:  # type: ignore[union-attr]
                        names.add(part.name)  # type: ignore[union-attr]
                    if part.cache is not None:
                        self.marked_calls = True
                    for inner in part.parts:  # type: ignore[union-attr]
                        kinds.add(type(inner))
                elif kind is Media and turn.role in ("system", "developer"):
                    self.system_media = True
