"""The conversation on the screen: questions, streaming answers, folded thinking, tool calls and errors."""

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
from modelbay.conversation import AnyPart, Media, Refusal, ServerToolCall, Text, Thinking, ToolCall
from modelbay.events import Event, PartDelta, PartEnded, PartStarted, Warned, silent
from modelbay.stored_chats.stored_chat import FAILED, INTERRUPTED, StoredChat
from modelbay.tui.widgets.markdown import chunks
from modelbay.tui.widgets.markdown_chunk import MarkdownChunk
from modelbay.tui.widgets.status import failure, known_to

STOPPED = {
    "length": "The answer was cut off: it reached the maximum output tokens.",
    "content_filter": "The answer was cut off by the provider's content filter.",
    "refusal": "The model refused to answer.",
    "pause": "The model paused. Ask it to continue.",
    "other": "The answer ended for an unknown reason. It may be incomplete.",
    "tool_calls": "The model waits for tool results. modelbay does not run tools.",
    FAILED: "The answer failed before its end.",
    INTERRUPTED: "Interrupted",
}
EMPTY = "The answer is empty. Send the message again, or choose a different model with /model."

HELLO = Content.assemble(
    ("modelbay", "bold"),
    (f" {__version__}\n", "dim"),
    ("/model to choose a model · /provider to add a provider · /help", "dim"),
)
OFTEN, SELDOM = 0.05, 0.15
"""Seconds between two updates of a streaming text: minimum, and maximum if nothing more arrives."""
SHARE = 3
"""Updates take at most 1/SHARE of the time."""


MOUNTED, SPARE, REVEALED = 30, 10, 10
"""Entries that have widgets; extra entries before the oldest are removed; entries that PgUp brings back. Each entry costs half a
megabyte and time in every layout."""


LINES, LETTERS = 100, 10_000
"""Maximum lines and characters shown of a question; a paste may be a thousand times longer."""


class AnswerNote(NamedTuple):
    """A notice in an answer. `kind` is its style: "note", "warning" or "error"."""

    words: Content
    kind: str


class TranscriptEntry(Struct):
    """A question and its answer, kept so that they can be shown again."""

    text: str
    files: list[Media]
    parts: list[Any] = field(default_factory=list)
    """Parts of the answer and notices."""


class EarlierPlaceholder(Static):
    """The placeholder for earlier entries without widgets."""

    class Wanted(Message):
        pass

    def __init__(self, count: int) -> None:
        super().__init__(Content(f"▴ {count:,} earlier questions · PgUp shows them"), classes="note")

    def on_click(self) -> None:
        self.post_message(self.Wanted())


class Transcript(VerticalScroll, can_focus=False):
    """The transcript. It scrolls to new text unless the user has scrolled up."""

    def __init__(self) -> None:
        super().__init__()
        self._earlier: list[TranscriptEntry] = []
        """Earlier entries without widgets, oldest first."""

    def compose(self) -> ComposeResult:
        yield Static(HELLO, classes="hello")

    def on_mount(self) -> None:
        self.anchor()

    async def ask(self, text: str, files: list[Media]) -> "AnswerView":
        """Show a question. Returns the widget for its answer."""
        exchange = TranscriptEntry(text, files)
        await self._mount(exchange)
        self.anchor()
        await self._remove_oldest()
        return self.query(AnswerView).last()

    async def show(self, chat: StoredChat) -> None:
        """Replace the transcript with the turns of a conversation."""
        await self.remove_children()
        await self.mount(Static(HELLO, classes="hello"))
        exchanges: list[TranscriptEntry] = []
        for number, turn in enumerate(chat.turns):
            if turn.role == "user":
                exchanges.append(TranscriptEntry(turn.text, [part for part in turn.parts if isinstance(part, Media)]))
            elif turn.role == "assistant":
                exchanges = exchanges or [TranscriptEntry("", [])]
                exchanges[-1].parts += turn.parts
                if (ended := STOPPED.get(chat.endings.get(number, ""))) is not None:
                    exchanges[-1].parts.append(AnswerNote(Content(ended), "note"))
        self._earlier = exchanges[:-MOUNTED]
        await self._show_placeholder()
        for exchange in exchanges[-MOUNTED:]:
            await self._mount(exchange)
        self.anchor()

    async def reveal(self) -> None:
        """Show some of the earlier entries."""
        if not self._earlier:
            return
        first = self.query(QuestionView).first()
        back, self._earlier = self._earlier[-REVEALED:], self._earlier[:-REVEALED]
        self.release_anchor()
        for exchange in back:
            await self._mount(exchange, before=first)
        await self._show_placeholder()
        self.call_after_refresh(self.scroll_to_widget, first, top=True, animate=False)

    async def _mount(self, exchange: "TranscriptEntry", before: Widget | None = None) -> None:
        answer = AnswerView(exchange)
        await self.mount(QuestionView(exchange), answer, before=before)
        await answer.replay()

    async def _remove_oldest(self) -> None:
        """Remove the widgets of the oldest entries unless the user has scrolled up."""
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
        await self._show_placeholder()

    async def _show_placeholder(self) -> None:
        for old in self.query(EarlierPlaceholder):
            await old.remove()
        if self._earlier:
            await self.mount(EarlierPlaceholder(len(self._earlier)), after=0)

    @on(EarlierPlaceholder.Wanted)
    async def show_earlier(self) -> None:
        await self.reveal()

    async def note(self, words: str) -> None:
        """Show a notice outside of answers."""
        await self.mount(Static(Content(words), classes="note"))

    async def warn(self, words: str) -> None:
        """Show a warning outside of answers."""
        await self.mount(Static(Content(words), classes="warning"))

    async def fail(self, error: Exception) -> None:
        """Show an error outside of answers, such as one of a command."""
        await self.mount(Static(failure(error, known=known_to(self.app)), classes="error"))

    def toggle_thinking(self) -> None:
        """Expand or fold the last thinking."""
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
    """One answer: its parts in order, and notices."""

    def __init__(self, exchange: TranscriptEntry) -> None:
        super().__init__()
        self.exchange = exchange
        self._parts: dict[int, _PartView] = {}
        self._retry: Static | None = None
        """The line about a failed attempt, until the answer starts."""

    async def feed(self, event: Event) -> None:
        """Add an event to the answer."""
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
                self.exchange.parts.append(part)
            case Warned(message=message):
                await self.note(message, "warning")
            case _:
                pass

    async def replay(self) -> None:
        """Show the entry again."""
        for part in self.exchange.parts:
            if isinstance(part, AnswerNote):
                await self.mount(Static(part.words, classes=part.kind))
                continue
            await self._start(-1, part)
            if isinstance(part, Text | Refusal | Thinking) and -1 in self._parts:
                await self._parts[-1].add(part.text)
            await self._end(-1, part)

    @property
    def silent(self) -> bool:
        """Whether the answer has nothing for its reader so far, except notices."""
        return silent([part for part in self.exchange.parts if not isinstance(part, AnswerNote)])

    async def note(self, words: str, kind: str = "note") -> None:
        await self._add(AnswerNote(Content(words), kind))

    async def fail(self, error: Exception) -> None:
        await self._settle()
        await self.close()  # the parts come before the error, even when the entry is shown again
        await self._add(AnswerNote(failure(error, known=known_to(self.app)), "error"))

    async def _add(self, note: AnswerNote) -> None:
        self.exchange.parts.append(note)
        await self.mount(Static(note.words, classes=note.kind))

    async def _retrying(self, words: str) -> None:
        """Show one line for all attempts: the last failed one."""
        if self._retry is None:
            self._retry = Static(classes="warning")
            await self.mount(self._retry)
        self._retry.update(Content(words))

    async def _settle(self) -> None:
        if self._retry is not None:
            await self._retry.remove()
            self._retry = None

    async def close(self) -> None:
        """End parts that are still open, such as after an interrupt."""
        for piece in self._parts.values():
            await piece.end()
            self.exchange.parts.append(piece.part)
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
                words, kind = f"⚙ run by the provider: {part.name} {part.arguments}".rstrip(), "call"
            case Media():
                words = f"generated: {part.kind} {part.media_type or ''} {part.url or ''}".rstrip()
            case _:
                pass
        if words:
            await self.mount(Static(Content(words), classes=kind))


class _PartView(Vertical):
    """A streaming part of an answer."""

    @property
    def part(self) -> AnyPart:
        """The part received so far."""
        raise NotImplementedError

    async def add(self, text: str) -> None:
        raise NotImplementedError

    async def end(self) -> None:
        raise NotImplementedError


class TextView(_PartView):
    """Markdown text. It updates a few times per second, less often if an update takes long. A long text consists of chunks, so that
    finished chunks are not rendered again."""

    def __init__(self) -> None:
        super().__init__()
        self._chunk = MarkdownChunk()
        self._came: list[str] = []
        self._drawn = ""
        """Text of the last chunk."""
        self._waiting = ""
        self._began = self._next = 0.0
        """Time of the last update, and earliest time of the next: not before the last one is on the screen."""

    @property
    def part(self) -> AnyPart:
        return Text(text="".join(self._came))

    def compose(self) -> ComposeResult:
        yield self._chunk

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
            self._chunk.show(part)
            self._chunk = MarkdownChunk()
            await self.mount(self._chunk)
        self._chunk.show(self._drawn)
        self.call_after_refresh(self._painted)

    def _painted(self) -> None:
        now = monotonic()
        self._next = now + max(OFTEN, SHARE * (now - self._began))


class ThinkingView(_PartView):
    """Thinking: a line with its duration, and the folded text."""

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
