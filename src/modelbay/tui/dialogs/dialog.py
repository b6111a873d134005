"""The base class of dialogs: a panel with a title, content, a status line and key hints."""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, ClassVar, TypeVar

from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static
from textual.worker import Worker, active_worker

from modelbay.tui.widgets.status import StatusLine

T = TypeVar("T")


class Dialog(ModalScreen[T | None]):
    """A panel over the conversation. It returns the choice, or None after Esc. During a task, Esc cancels the task."""

    heading: str = ""
    keys: str = "Esc cancel"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back", show=False, priority=True)]

    def __init__(self) -> None:
        super().__init__()
        self._task_worker: Worker[Any] | None = None

    def content(self) -> Iterable[Widget]:
        """The widgets between the title and the status line."""
        return ()

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel"):
            yield Static(Content(self.heading), classes="title")
            yield from self.content()
            yield StatusLine(id="status")
            yield Static(Content(self.keys), classes="keys")

    @property
    def status(self) -> StatusLine:
        return self.query_one(StatusLine)

    @property
    def busy(self) -> bool:
        return self._task_worker is not None

    def action_back(self) -> None:
        if self._task_worker is not None:
            self._task_worker.cancel()
        else:
            self.dismiss(None)

    def dismiss(self, result: T | None = None) -> AwaitComplete:
        """Close the dialog and cancel its workers, whose widgets would be missing."""
        current = active_worker.get(None)
        for worker in self.workers:
            if worker.node is self and worker is not current:
                worker.cancel()
        return super().dismiss(result)

    def during(self, words: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a task with a spinner; Esc cancels it. An error is shown in the status line.

        `work` is a function, not its coroutine: if the app ends first, Python prints that the coroutine was never awaited.
        """

        status = self.status

        async def run() -> None:
            status.busy(words)
            try:
                await work()
            except Exception as error:  # noqa: BLE001 the edge of the app, which goes on
                status.fail(error)
            else:
                status.clear()
            finally:
                self._task_worker = None
                if status.waiting:
                    status.info("Cancelled")

        self._task_worker = self.run_worker(run, exit_on_error=True)


class ScrollArea(VerticalScroll, can_focus=False):
    """A scrollable area for content that may be higher than the panel."""


class TextDialog(Dialog[T]):
    """A dialog with a text, which keys scroll if it is higher than the panel."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "scroll('up')", show=False),
        Binding("down", "scroll('down')", show=False),
        Binding("pageup", "scroll('page_up')", show=False),
        Binding("pagedown", "scroll('page_down')", show=False),
        Binding("home", "scroll('home')", show=False),
        Binding("end", "scroll('end')", show=False),
    ]

    def text(self) -> Content:
        """The text at first."""
        raise NotImplementedError

    def content(self) -> Iterable[Widget]:
        yield ScrollArea(Static(self.text(), classes="about text"))

    def show(self, text: Content) -> None:
        """Replace the text."""
        self.query_one(".text", Static).update(text)

    def action_scroll(self, to: str) -> None:
        getattr(self.query_one(ScrollArea), f"scroll_{to}")(animate=False)
