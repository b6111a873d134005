"""What every dialog has: a panel with a title, room for what went wrong, a line of keys, and a way back."""

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
            yield StatusLine(id="status")
            yield Static(Content(self.keys), classes="keys")

    @property
    def status(self) -> StatusLine:
        return self.query_one(StatusLine)

    @property
    def busy(self) -> bool:
        return self._under_way is not None

    def action_back(self) -> None:
        if self._under_way is not None:
            self._under_way.cancel()
        else:
            self.dismiss(None)

    def dismiss(self, result: T | None = None) -> AwaitComplete:
        """Ends the dialog and whatever it still waits for, which would find its widgets gone."""
        current = active_worker.get(None)
        for worker in self.workers:
            if worker.node is self and worker is not current:
                worker.cancel()
        return super().dismiss(result)

    def during(self, words: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Does something that takes a while; Esc breaks it off. What goes wrong is said here.

        A function and not its coroutine: Python warns on the terminal of a coroutine that never ran because the app ended.
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
                self._under_way = None
                if status.waiting:
                    status.info("interrupted")

        self._under_way = self.run_worker(run, exit_on_error=True)


class ScrollArea(VerticalScroll, can_focus=False):
    """Room for what may be higher than the panel."""
