"""The first start: nothing is connected yet, and one key does each thing that can be done about it."""

from collections.abc import Iterable
from typing import ClassVar, Literal

from msgspec import Struct
from textual import events, on
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from modelbay.config.schema import Config
from modelbay.errors import ModelbayError
from modelbay.onboarding.local_servers import LocalServer, local_servers
from modelbay.tui.dialogs.adding import server_row
from modelbay.tui.dialogs.dialog import Dialog
from modelbay.tui.widgets.virtual_list import ListRow, VirtualList

Deed = Literal["login", "add", "try"]
MOST = 9
"""Servers that a key of one digit can choose."""


class WelcomeChoice(Struct):
    """What somebody chose: a deed, or a server that answers here."""

    deed: Deed | None = None
    server: LocalServer | None = None


class _Way(Struct):
    key: str
    row: ListRow
    start: WelcomeChoice


WAYS = (
    _Way("l", ListRow("l  Log in", "to a platform, without a key"), WelcomeChoice("login")),
    _Way("a", ListRow("a  Add a provider", "a vendor, an address, a manifest, a registry"), WelcomeChoice("add")),
    _Way("t", ListRow("t  Try the built-in one", "a simulated provider: no account, no network"), WelcomeChoice("try")),
)


class Welcome(Dialog[WelcomeChoice]):
    heading = "Welcome to modelbay"
    keys = "one key each, or ↑↓ and Enter · Esc closes this"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "back", show=False)]

    def __init__(self, config: Config) -> None:
        super().__init__()
        self._config = config
        self._ways: list[_Way] = list(WAYS)

    def content(self) -> Iterable[Widget]:
        yield Static(Content("No provider is connected yet."), classes="about")
        yield VirtualList(self._ways, lambda way: way.row)

    def on_mount(self) -> None:
        self.query_one(VirtualList).focus()
        self.status.busy("looking for servers on this machine")
        self.run_worker(self._look)  # type: ignore[arg-type]

    async def _look(self) -> None:
        """Offers the servers that answer, above the rest. The keys work meanwhile."""
        try:
            found = [one for one in await local_servers(self._config) if one.provider is None]
        except ModelbayError:
            found = []
        self.status.clear()
        if not found:
            self.status.info("No server answers on this machine (Ollama, LM Studio, llama.cpp, vLLM …).")
            return
        servers = []
        for number, one in enumerate(found[:MOST], 1):
            row = server_row(one)
            servers.append(_Way(str(number), ListRow(f"{number}  {row.label}", row.note), WelcomeChoice(server=one)))
        self._ways = servers + list(WAYS)
        self.query_one(VirtualList).set_rows(self._ways)

    def on_key(self, event: events.Key) -> None:
        for way in self._ways:
            if event.key == way.key:
                event.stop()
                self.dismiss(way.start)

    @on(VirtualList.Chosen)
    def take(self) -> None:
        way: _Way | None = self.query_one(VirtualList).highlighted
        if way is not None:
            self.dismiss(way.start)
