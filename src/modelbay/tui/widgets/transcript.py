"""The conversation as it is seen: questions, answers as they come, thinking that folds, calls, and what went wrong."""

from math import inf
from time import monotonic
from typing import Any, NamedTuple

from msgspec import Struct, field
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Static

from modelbay import __version__
from modelbay.catalog.summary import counted
from modelbay.conversation import AnyPart, Media, Refusal, ServerToolCall, Text, Thinking, ToolCall, Turn
from modelbay.events import Event, FinishReason, PartDelta, PartEnded, PartStarted, Warned
from modelbay.tui.widgets.markdown import chunks
from modelbay.tui.widgets.markdown_chunk import MarkdownChunk
from modelbay.tui.widgets.status import failure, known_to

STOPPED: dict[FinishReason, str] = {
    "length": "The answer was cut off: it reached the longest that was allowed.",
    "content_filter": "The provider's content filter cut the answer off.",
    "refusal": "The model refused.",
    "pause": "The model paused; ask it to go on.",
    "other": "The answer ended for an unknown reason and may not be whole.",
    "tool_calls": "The model waits for its calls, which are not run here.",
}

HELLO = Content.assemble(
    ("modelbay", "bold"),
    (f" {__version__}\n", "dim"),
    ("/model chooses a model · /provider connects more · /help", "dim"),
)
OFTEN, SELDOM = 0.05, 0.15
"""Seconds between two drawings of a growing text: at least, and at most where nothing more comes."""
SHARE = 3
"""Drawing takes at most one of so many parts of the time."""


MOUNTED, SPARE, REVEALED = 30, 10, 10
"""Exchanges that are widgets; how many more there may be before the oldest are put aside; how many come back at a time. Each
costs half a megabyte and time in every layout."""


LINES, LETTERS = 100, 10_000
"""How much of a question is shown; a paste may be a thousand times longer."""


class AnswerNote(NamedTuple):
    """Something about an answer, and how it looks: "note", "warning", "error"."""

    words: Content
    kind: str


class TranscriptEntry(Struct):
    """A question and its answer as they are shown, so that they can be shown again."""

    text: str
    files: list[Media]
    said: list[Any] = field(default_factory=list)
    """Parts, and notes among them."""


class EarlierPlaceholder(Static):
    """Stands for the exchanges that are put aside."""

    class Wanted(Message):
        pass

    def __init__(self, count: int) -> None:
        super().__init__(Content(f"▴ {count:,} earlier questions: PgUp shows them"), classes="note")

    def on_click(self) -> None:
        self.post_message(self.Wanted())


class Transcript(VerticalScroll, can_focus=False):
    """All that was said. It follows what comes, unless its reader has scrolled up."""

    def __init__(self) -> None:
        super().__init__()
        self._earlier: list[TranscriptEntry] = []
        """Exchanges that are put aside, the oldest first."""

    def compose(self) -> ComposeResult:
        yield Static(HELLO, classes="hello")

    def on_mount(self) -> None:
        self.anchor()

    async def ask(self, text: str, files: list[Media]) -> "AnswerView":
        """Shows a question, and gives the place of its answer."""
        exchange = TranscriptEntry(text, files)
        await self._mount(exchange)
        self.anchor()
        await self._put_aside()
        return self.query(AnswerView).last()

    async def show(self, turns: list[Turn]) -> None:
        """Shows turns that were said before, in place of what is there."""
        await self.remove_children()
        await self.mount(Static(HELLO, classes="hello"))
        exchanges: list[TranscriptEntry] = []
        for turn in turns:
            if turn.role == "user":
                exchanges.append(TranscriptEntry(turn.text, [part for part in turn.parts if isinstance(part, Media)]))
            elif turn.role == "assistant":
                exchanges = exchanges or [TranscriptEntry("", [])]
                exchanges[-1].said += turn.parts
        self._earlier = exchanges[:-MOUNTED]
        await self._say_earlier()
        for exchange in exchanges[-MOUNTED:]:
            await self._mount(exchange)
        self.anchor()

    async def reveal(self) -> None:
        """Shows some of the exchanges that are put aside."""
        if not self._earlier:
            return
        first = self.query(QuestionView).first()
        back, self._earlier = self._earlier[-REVEALED:], self._earlier[:-REVEALED]
        self.release_anchor()
        for exchange in back:
            await self._mount(exchange, before=first)
        await self._say_earlier()
        self.call_after_refresh(self.scroll_to_widget, first, top=True, animate=False)

    async def _mount(self, exchange: "TranscriptEntry", before: Widget | None = None) -> None:
        answer = AnswerView(exchange)
        await self.mount(QuestionView(exchange), answer, before=before)
        await answer.replay()

    async def _put_aside(self) -> None:
        """Takes the oldest exchanges off the screen, unless its reader looks at earlier ones."""
        answers = list(self.query(AnswerView))
        if len(answers) <= MOUNTED + SPARE or not self.is_vertical_scroll_end:
            return
        first = answers[-MOUNTED].exchange
        for child in list(self.children):
            if isinstance(child, QuestionView) and child.exchange is first:
                break
            if isinstance(child, QuestionView):
                self._earlier.append(child.exchange)
            if not child.has_class("hello"):
                await child.remove()
        await self._say_earlier()

    async def _say_earlier(self) -> None:
        for old in self.query(EarlierPlaceholder):
            await old.remove()
        if self._earlier:
            await self.mount(EarlierPlaceholder(len(self._earlier)), after=0)

    @on(EarlierPlaceholder.Wanted)
    async def show_earlier(self) -> None:
        await self.reveal()

    async def note(self, words: str) -> None:
        """Shows something to know, beside any answer."""
        await self.mount(Static(Content(words), classes="note"))

    async def warn(self, words: str) -> None:
        """Shows something to mind, beside any answer."""
        await self.mount(Static(Content(words), classes="warning"))

    async def fail(self, error: Exception) -> None:
        """Shows what went wrong beside any answer, as in a command."""
        await self.mount(Static(failure(error, known=known_to(self.app)), classes="error"))

    def toggle_thinking(self) -> None:
        """Unfolds the last thinking there is, or folds it."""
        if found := list(self.query(ThinkingView)):
            found[-1].folded = not found[-1].folded


class QuestionView(Static):
    def __init__(self, exchange: TranscriptEntry) -> None:
        self.exchange = exchange
        named = [f"\n⊕ {file.name or file.url or file.kind}" for file in exchange.files]
        shown = exchange.text[:LETTERS]
        shown = "\n".join(shown.split("\n", LINES)[:LINES])
        rest = len(exchange.text) - len(shown)
        more = f"\n… {counted(rest, 'more character')}" if rest else ""
        super().__init__(Content.assemble(Content(shown), Content.styled(more + "".join(named), "dim")))


class AnswerView(Vertical):
    """One answer: its parts in their order, and notes about it."""

    def __init__(self, exchange: TranscriptEntry) -> None:
        super().__init__()
        self.exchange = exchange
        self._parts: dict[int, _PartView] = {}
        self._retry: Static | None = None
        """Says that an attempt failed, until something comes."""

    async def feed(self, event: Event) -> None:
        """Shows what an event adds."""
        match event:
            case Warned(message=message, retry=True):
                await self._retrying(message)
                return
            case PartStarted():
                await self._settle()
            case _:
                pass
        match event:
            case PartStarted(key=key, part=part):
                await self._start(key, part)
            case PartDelta(key=key, text=text) if piece := self._parts.get(key):
                await piece.add(text)
            case PartEnded(key=key, part=part):
                await self._end(key, part)
                self.exchange.said.append(part)
            case Warned(message=message):
                await self.note(message, "warning")
            case _:
                pass

    async def replay(self) -> None:
        """Shows what was said before."""
        for said in self.exchange.said:
            if isinstance(said, AnswerNote):
                await self.mount(Static(said.words, classes=said.kind))
                continue
            await self._start(-1, said)
            if isinstance(said, Text | Refusal | Thinking) and -1 in self._parts:
                await self._parts[-1].add(said.text)
            await self._end(-1, said)

    async def note(self, words: str, kind: str = "note") -> None:
        await self._add(AnswerNote(Content(words), kind))

    async def fail(self, error: Exception) -> None:
        await self._settle()
        await self.close()  # what had come stands before the error, also when it is shown again
        await self._add(AnswerNote(failure(error, known=known_to(self.app)), "error"))

    async def _add(self, note: AnswerNote) -> None:
        self.exchange.said.append(note)
        await self.mount(Static(note.words, classes=note.kind))

    async def _retrying(self, words: str) -> None:
        """One line for all attempts: the last one that failed."""
        if self._retry is None:
            self._retry = Static(classes="warning")
            await self.mount(self._retry)
        self._retry.update(Content(words))

    async def _settle(self) -> None:
        if self._retry is not None:
            await self._retry.remove()
            self._retry = None

    async def close(self) -> None:
        """Ends what is still open, as when it was interrupted."""
        for piece in self._parts.values():
            await piece.end()
            self.exchange.said.append(piece.part)
        self._parts.clear()

    async def _start(self, key: int, part: AnyPart) -> None:
        piece: _PartView
        match part:
            case Text() | Refusal():
                piece = TextView()
            case Thinking():
                piece = ThinkingView()
            case _:
                return
        self._parts[key] = piece
        await self.mount(piece)

    async def _end(self, key: int, part: AnyPart) -> None:
        if piece := self._parts.pop(key, None):
            await piece.end()
        words, kind = "", "note"
        match part:
            case ToolCall():
                words, kind = f"⚙ {part.name} {part.arguments}".rstrip(), "call"
            case ServerToolCall():
                words, kind = f"⚙ the provider ran {part.name} {part.arguments}".rstrip(), "call"
            case Media():
                words = f"made: {part.kind} {part.media_type or ''} {part.url or ''}".rstrip()
            case _:
                pass
        if words:
            await self.mount(Static(Content(words), classes=kind))


class _PartView(Vertical):
    """A part of an answer that grows."""

    @property
    def part(self) -> AnyPart:
        """The part as far as it has come."""
        raise NotImplementedError

    async def add(self, text: str) -> None:
        raise NotImplementedError

    async def end(self) -> None:
        raise NotImplementedError


class TextView(_PartView):
    """Text, as Markdown. What comes is drawn a few times a second, the more seldom the longer drawing takes; and a long text
    is drawn in stretches, so that what is there already is left alone."""

    def __init__(self) -> None:
        super().__init__()
        self._stretch = MarkdownChunk()
        self._came: list[str] = []
        self._drawn = ""
        """What the last stretch shows."""
        self._waiting = ""
        self._began = self._next = 0.0
        """When the last drawing began, and when to draw again: not before the last has been painted."""

    @property
    def part(self) -> AnyPart:
        return Text(text="".join(self._came))

    def compose(self) -> ComposeResult:
        yield self._stretch

    def on_mount(self) -> None:
        self._timer = self.set_interval(SELDOM, self._draw_again)

    async def add(self, text: str) -> None:
        self._came.append(text)
        self._waiting += text
        await self._draw_again()

    async def end(self) -> None:
        self._timer.stop()
        await self._draw()

    async def _draw_again(self) -> None:
        if monotonic() >= self._next:
            await self._draw()

    async def _draw(self) -> None:
        text, self._waiting = self._waiting, ""
        if not text:
            return
        self._began, self._next = monotonic(), inf
        *whole, self._drawn = chunks(self._drawn + text)
        for part in whole:
            self._stretch.show(part)
            self._stretch = MarkdownChunk()
            await self.mount(self._stretch)
        self._stretch.show(self._drawn)
        self.call_after_refresh(self._painted)

    def _painted(self) -> None:
        now = monotonic()
        self._next = now + max(OFTEN, SHARE * (now - self._began))


class ThinkingView(_PartView):
    """Thinking: a line that says how long it took, and folds away what was thought."""

    folded: reactive[bool] = reactive(True)

    def __init__(self) -> None:
        super().__init__()
        self._text: list[str] = []
        self._since = monotonic()
        self._next = 0.0
        self._took: float | None = None
        self._line = Static(classes="fold")
        self._body = Static(classes="body")

    @property
    def part(self) -> AnyPart:
        return Thinking(texts=["".join(self._text)])

    def compose(self) -> ComposeResult:
        yield self._line
        yield self._body

    def on_mount(self) -> None:
        self._show()

    async def add(self, text: str) -> None:
        self._text.append(text)
        if not self.folded and monotonic() >= self._next:
            self._body.update(Content("".join(self._text)))
            self._next = monotonic() + SELDOM

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
