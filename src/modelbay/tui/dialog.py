"""What every dialog has: a panel with a title, room for what went wrong, a line of keys, and a way back."""

from collections.abc import Coroutine, Iterable
from typing import Any, ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static
from textual.worker import Worker

from modelbay.credentials.redaction import redact
from modelbay.errors import ModelbayError
from modelbay.hints import explain, title

T = TypeVar("T")
FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
TICK = 0.1
"""Seconds that a frame is shown."""


class Dialog(ModalScreen[T | None]):
    """A panel over the chat. It ends with what was chosen, or with None by Esc, which also breaks off what is under way."""

    heading: str = ""
    keys: str = "Esc cancel"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back", show=False, priority=True)]

    def __init__(self) -> None:
        super().__init__()
        self._under_way: Worker[Any] | None = None

    def content(self) -> Iterable[Widget]:
        """What stands between the title and the keys."""
        return ()

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel"):
            yield Static(Content(self.heading), classes="title")
            yield from self.content()
            yield Said(id="said")
            yield Static(Content(self.keys), classes="keys")

    @property
    def said(self) -> "Said":
        return self.query_one(Said)

    @property
    def busy(self) -> bool:
        return self._under_way is not None

    def action_back(self) -> None:
        if self._under_way is not None:
            self._under_way.cancel()
        else:
            self.dismiss(None)

    def during(self, words: str, work: Coroutine[Any, Any, None]) -> None:
        """Does something that takes a while; Esc breaks it off. What goes wrong is said here."""

        said = self.said

        async def run() -> None:
            said.waits(words)
            try:
                await work
            except ModelbayError as error:
                said.fails(error)
            else:
                said.clear()
            finally:
                self._under_way = None
                if said.waiting:
                    said.tells("interrupted")

        self._under_way = self.run_worker(run(), exit_on_error=True)


class Said(Static):
    """One place for what a dialog has to say: that it waits, what went wrong and how to mend it, or a note."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("", id=id)
        self._words = ""
        self._frame = 0
        self.waiting = False

    def on_mount(self) -> None:
        self._timer = self.set_interval(TICK, self._turn, pause=True)
        self.clear()

    def clear(self) -> None:
        self._set("", "")

    def tells(self, words: str) -> None:
        self._set(words, "")

    def warns(self, words: str) -> None:
        self._set(words, "warns")

    def waits(self, words: str) -> None:
        self._words = words
        self._set(f"{FRAMES[0]} {words} …", "", waiting=True)

    def fails(self, error: ModelbayError, provider: str | None = None) -> None:
        self._set(failure(error, provider), "fails")

    def _turn(self) -> None:
        self._frame = (self._frame + 1) % len(FRAMES)
        self.update(Content(f"{FRAMES[self._frame]} {self._words} …"))

    def _set(self, words: str | Content, kind: str, *, waiting: bool = False) -> None:
        self.waiting = waiting
        if waiting:
            self._timer.resume()
        else:
            self._timer.pause()
        for name in ("warns", "fails"):
            self.set_class(name == kind, name)
        self.display = bool(words)
        self.update(Content(redact(words)) if isinstance(words, str) else words)


def failure(error: ModelbayError, provider: str | None = None) -> Content:
    """An error as every place shows it: what it is called, what happened, how to mend it."""
    explain(error, provider)
    lines = [Content.styled(title(error), "bold"), Content(f"\n{error.message}")]
    if error.hint:
        lines.append(Content.styled(f"\n{error.hint}", "dim"))
    return Content.assemble(*lines)


class Scrolled(VerticalScroll, can_focus=False):
    """Room for what may be higher than the panel."""
