"""One tool call of a stream: its name, ID and arguments.

A name may arrive complete, in pieces, or complete again in every delta.
"""

from modelbay.conversation import Json, ToolCall
from modelbay.json_text import encode
from modelbay.protocols.arguments import Arguments
from modelbay.protocols.assembly import Assembly


class StreamedCall:
    """A streamed tool call, whose deltas were already separated from those of other calls. Opened once its name is
    complete."""

    def __init__(self) -> None:
        self.part = ToolCall(name="")
        self._arguments = Arguments()
        self._begun = False
        """Whether arguments have arrived, so that the name is complete."""
        self._held: list[str] = []
        """Arguments that arrived before the name."""
        self._key: int | None = None
        self._id: str | None = None
        """The ID with which it was opened, or which arrived later."""

    @property
    def named(self) -> bool:
        return bool(self.part.name)

    @property
    def begun(self) -> bool:
        """Whether arguments have arrived."""
        return self._begun

    @property
    def whole(self) -> bool:
        """Whether arguments have arrived and are complete."""
        return self._begun and not self._arguments.cut

    def ends_before(self, name: str | None, fragment: Json) -> bool:
        """Whether a delta with a name begins another call, although its index or ID is this call's."""
        if not (name and self.named and self.whole and fragment):
            return False
        if isinstance(fragment, str) and not fragment.lstrip().startswith(("{", '"{')):
            return False
        return name != self.part.name or not self._arguments.repeats(fragment)

    def name(self, text: str) -> None:
        """Add a piece of the name, or the complete name again."""
        if self._key is None and not (self._begun and self.part.name) and text != self.part.name:
            self.part.name += text

    def write(self, assembly: "Assembly", fragment: Json) -> None:
        """Add arguments; None for a delta without any."""
        if fragment is not None and fragment != "":
            self._begun = True
            text = self._raw(fragment) if self.part.format == "text" else self._arguments.feed(fragment)
            if text:
                self._held.append(text)
        if self._begun and self.named:
            self.open(assembly)
        self._pass(assembly)

    def _raw(self, fragment: Json) -> str:
        return fragment if isinstance(fragment, str) else encode(fragment).decode()

    def open(self, assembly: "Assembly") -> None:
        """Open the call: something else follows, so the name is complete."""
        if self._key is None:
            self._id = self.part.id
            self._key = assembly.open(
                ToolCall(**{name: getattr(self.part, name) for name in self.part.__struct_fields__})
            )

    def _pass(self, assembly: "Assembly") -> None:
        if self._key is None or not assembly.is_open(self._key):
            return
        opened = assembly.part(self._key)
        if type(opened) is ToolCall and self._id is None:
            self._id = self.part.id
            assembly.identify(opened, self._id)
        opened.opaque, opened.extra = self.part.opaque, self.part.extra
        for text in self._held:
            assembly.add(self._key, text)
        self._held.clear()

    def close(self, assembly: "Assembly") -> None:
        """End the call."""
        if self.part.format != "text" and (text := self._arguments.close()):
            self._held.append(text)
        if self.named or self._begun or self.part.id:
            self.open(assembly)
        self._pass(assembly)
