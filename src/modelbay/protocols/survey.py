"""One pass over a history that collects what the steps before rendering look for, so that a step without work costs
nothing.

Most requests need no step at all, and agents send their whole history with each request.
"""

from modelbay.conversation import Media, ToolCall, ToolResult, Turn, UnknownPart
from modelbay.protocols.tool_search import CALL


class Survey:
    """The contents of some turns, including tool results."""

    __slots__ = (
        "answers",
        "kinds",
        "marked_calls",
        "marks",
        "names",
        "namespaces",
        "offers",
        "other_fields",
        "searches",
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
        self.marks = False
        """Whether a part has cache control."""
        self.marked_calls = False
        """Whether a call or result has it."""
        self.answers: dict[int, ToolCall] | None = None
        """The call that each result answers, by the `id()` of the result; None if not determined yet."""
        self._read()

    @property
    def has_calls(self) -> bool:
        return ToolCall in self.kinds or ToolResult in self.kinds

    @property
    def system_media(self) -> bool:
        """Whether a system prompt contains media."""
        if Media not in self.kinds:
            return False
        systems = [turn for turn in self.turns if turn.role in ("system", "developer")]
        return any(type(part) is Media for turn in systems for part in turn.parts)

    @property
    def phases(self) -> bool:
        """Whether a turn is a comment or a final answer by its phase."""
        items = [turn.item for turn in self.turns if turn.item is not None]
        return bool(items) and any(item.phase is not None for item in items)

    @property
    def may_have_marks(self) -> bool:
        """Whether a part may have cache control, including in a field that its protocol does not have and in an unknown part."""
        return self.marks or self.other_fields or UnknownPart in self.kinds

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
                if part.cache is not None:
                    self.marks = True
                    if kind is ToolCall or kind is ToolResult:
                        self.marked_calls = True
                if kind is ToolCall:
                    names.add(part.name)  # type: ignore[union-attr,arg-type]
                    if part.namespace is not None:  # type: ignore[union-attr]
                        self.namespaces = True
                    if part.native == CALL:
                        self.searches = True
                    if part.format == "text":  # type: ignore[union-attr]
                        self.texts = True
                elif kind is ToolResult:
                    if part.name is not None:  # type: ignore[union-attr]
                        names.add(part.name)  # type: ignore[union-attr]
                    for inner in part.parts:  # type: ignore[union-attr]
                        kinds.add(type(inner))
                        if inner.cache is not None:
                            self.marks = True
