"""The conversation as it is seen: questions, answers as they come, thinking that folds, calls, and what went wrong."""

from time import monotonic

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Markdown, Static
from textual.widgets.markdown import MarkdownStream

from modelbay import __version__
from modelbay.conversation import AnyPart, Media, Refusal, ServerToolCall, Text, Thinking, ToolCall, Turn
from modelbay.errors import ModelbayError
from modelbay.events import Event, FinishReason, PartDelta, PartEnded, PartStarted, Warned
from modelbay.tui.dialog import failure

STOPPED: dict[FinishReason, str] = {
    "length": "The answer was cut off: it reached the longest that was allowed.",
    "content_filter": "The provider's content filter cut the answer off.",
    "refusal": "The model refused.",
    "pause": "The model paused; ask it to go on.",
    "tool_calls": "The model waits for its calls, which are not run here.",
}

HELLO = Content.assemble(
    ("modelbay", "bold"),
    (f" {__version__}\n", "dim"),
    ("/model chooses a model · /provider connects more · /help", "dim"),
)


class Transcript(VerticalScroll, can_focus=False):
    """All that was said. It follows what comes, unless somebody has scrolled up."""

    def compose(self) -> ComposeResult:
        yield Static(HELLO, classes="hello")

    def on_mount(self) -> None:
        self.anchor()

    async def ask(self, text: str, files: list[Media]) -> "Answer":
        """Shows a question, and gives the place of its answer."""
        answer = Answer()
        await self.mount(Question(text, files), answer)
        self.anchor()
        return answer

    async def show(self, turns: list[Turn]) -> None:
        """Shows turns that were said before, in place of what is there."""
        await self.remove_children()
        await self.mount(Static(HELLO, classes="hello"))
        for turn in turns:
            if turn.role == "user":
                text = "".join(part.text for part in turn.parts if isinstance(part, Text))
                await self.mount(Question(text, [part for part in turn.parts if isinstance(part, Media)]))
            elif turn.role == "assistant":
                answer = Answer()
                await self.mount(answer)
                for part in turn.parts:
                    await answer.whole(part)
        self.anchor()

    async def warn(self, words: str) -> None:
        """Shows something to mind, beside any answer."""
        await self.mount(Static(Content(words), classes="warns"))

    async def fail(self, error: ModelbayError) -> None:
        """Shows what went wrong beside any answer, as in a command."""
        await self.mount(Static(failure(error), classes="fails"))

    def toggle_thinking(self) -> None:
        """Unfolds the last thinking there is, or folds it."""
        if found := list(self.query(Thought)):
            found[-1].folded = not found[-1].folded


class Question(Static):
    def __init__(self, text: str, files: list[Media]) -> None:
        named = [f"\n⊕ {file.name or file.url or file.kind}" for file in files]
        super().__init__(Content.assemble(Content(text), Content.styled("".join(named), "dim")))


class Answer(Vertical):
    """One answer: its parts in their order, and what is to be said of it."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: dict[int, _Piece] = {}

    async def feed(self, event: Event) -> None:
        """Shows what an event adds."""
        match event:
            case PartStarted(key=key, part=part):
                await self._start(key, part)
            case PartDelta(key=key, text=text) if piece := self._parts.get(key):
                await piece.add(text)
            case PartEnded(key=key, part=part):
                await self._end(key, part)
            case Warned(message=message):
                await self.note(message, "warns")
            case _:
                pass

    async def whole(self, part: AnyPart) -> None:
        """Shows a part that is there already."""
        await self._start(-1, part)
        if isinstance(part, Text | Refusal | Thinking) and -1 in self._parts:
            await self._parts[-1].add(part.text)
        await self._end(-1, part)

    async def note(self, words: str, kind: str = "note") -> None:
        await self.mount(Static(Content(words), classes=kind))

    async def fail(self, error: ModelbayError) -> None:
        await self.mount(Static(failure(error), classes="fails"))

    async def close(self) -> None:
        """Ends what is still open, as when it was interrupted."""
        for piece in self._parts.values():
            await piece.end()
        self._parts.clear()

    async def _start(self, key: int, part: AnyPart) -> None:
        piece: _Piece
        match part:
            case Text() | Refusal():
                piece = Said()
            case Thinking():
                piece = Thought()
            case _:
                return
        self._parts[key] = piece
        await self.mount(piece)

    async def _end(self, key: int, part: AnyPart) -> None:
        if piece := self._parts.pop(key, None):
            await piece.end()
        match part:
            case ToolCall():
                await self.note(f"⚙ {part.name} {part.arguments}".rstrip(), "call")
            case ServerToolCall():
                await self.note(f"⚙ the provider ran {part.name} {part.arguments}".rstrip(), "call")
            case Media():
                await self.note(f"made: {part.kind} {part.media_type or ''} {part.url or ''}".rstrip())
            case _:
                pass


class _Piece(Vertical):
    """A part of an answer that grows."""

    async def add(self, text: str) -> None:
        raise NotImplementedError

    async def end(self) -> None:
        raise NotImplementedError


class Said(_Piece):
    """Text, as Markdown."""

    def __init__(self) -> None:
        super().__init__()
        self._markdown = Markdown()
        self._stream: MarkdownStream | None = None

    def compose(self) -> ComposeResult:
        yield self._markdown

    async def add(self, text: str) -> None:
        if self._stream is None:
            self._stream = Markdown.get_stream(self._markdown)
        await self._stream.write(text)

    async def end(self) -> None:
        if self._stream is not None:
            await self._stream.stop()
            self._stream = None


class Thought(_Piece):
    """Thinking: a line that says how long it took, and folds away what was thought."""

    folded: reactive[bool] = reactive(True)

    def __init__(self) -> None:
        super().__init__()
        self._text: list[str] = []
        self._since = monotonic()
        self._took: float | None = None
        self._line = Static(classes="fold")
        self._body = Static(classes="body")

    def compose(self) -> ComposeResult:
        yield self._line
        yield self._body

    def on_mount(self) -> None:
        self._show()

    async def add(self, text: str) -> None:
        self._text.append(text)
        if not self.folded:
            self._body.update(Content("".join(self._text)))

    async def end(self) -> None:
        self._took = monotonic() - self._since
        self._show()

    def watch_folded(self) -> None:
        if self.is_mounted:
            self._show()

    def on_click(self, event: events.Click) -> None:
        if event.widget is self._line:
            self.folded = not self.folded

    def _show(self) -> None:
        took = self._took
        state = "Thinking …" if took is None else f"Thought for {took:.0f} s" if took >= 1 else "Thought"
        self._line.update(Content(f"{'▸' if self.folded else '▾'} {state}"))
        self._body.display = not self.folded
        self._body.update(Content("" if self.folded else "".join(self._text).strip()))
