"""One tool call of a stream: its name, ID and arguments. A name comes whole, in pieces, or whole again in every delta."""

from modelbay.conversation import Json, ToolCall
from modelbay.json_text import encode
from modelbay.protocols.arguments import Arguments
from modelbay.protocols.assembly import Assembly


class Call:
    """A call of a stream whose deltas are told apart already. It is opened once its name is whole."""

    def __init__(self) -> None:
        self.part = ToolCall(name="")
        self._arguments = Arguments()
        self._begun = False
        """Whether arguments have come: the name is whole then."""
        self._held: list[str] = []
        """Arguments that came before the name."""
        self._key: int | None = None

    @property
    def named(self) -> bool:
        return bool(self.part.name)

    @property
    def begun(self) -> bool:
        """Whether arguments have come."""
        return self._begun

    @property
    def whole(self) -> bool:
        """Whether arguments have come, and do not stop in the middle."""
        return self._begun and not self._arguments.cut

    def name(self, text: str) -> None:
        """A piece of the name, or the whole of it again."""
        if self._key is None and not (self._begun and self.part.name) and text != self.part.name:
            self.part.name += text

    def write(self, assembly: "Assembly", fragment: Json) -> None:
        """More of the arguments; None where a delta has none."""
        if fragment is not None and fragment != "":
            self._begun = True
            text = self._raw(fragment) if self.part.input == "text" else self._arguments.feed(fragment)
            if text:
                self._held.append(text)
        if self._begun and self.named:
            self.open(assembly)
        self._pass(assembly)

    def _raw(self, fragment: Json) -> str:
        return fragment if isinstance(fragment, str) else encode(fragment).decode()

    def open(self, assembly: "Assembly") -> None:
        """Something else follows: the name is whole as far as it has come."""
        if self._key is None:
            self._key = assembly.open(
                ToolCall(**{name: getattr(self.part, name) for name in self.part.__struct_fields__})
            )

    def _pass(self, assembly: "Assembly") -> None:
        if self._key is None or not assembly.is_open(self._key):
            return
        opened = assembly.part(self._key)
        if type(opened) is ToolCall:
            opened.id = self.part.id
        opened.opaque, opened.extra = self.part.opaque, self.part.extra
        for text in self._held:
            assembly.add(self._key, text)
        self._held.clear()

    def close(self, assembly: "Assembly") -> None:
        """Nothing of the call follows."""
        if self.part.input != "text" and (text := self._arguments.close()):
            self._held.append(text)
        if self.named or self._begun or self.part.id:
            self.open(assembly)
        self._pass(assembly)
