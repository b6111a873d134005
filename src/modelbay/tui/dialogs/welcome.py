"""The welcome dialog: ways to connect the first provider, one key for each."""

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

WelcomeAction = Literal["login", "add", "try"]
MOST = 9
"""Maximum local servers listed: each has a key of one digit."""


class WelcomeChoice(Struct):
    """The chosen action, or the chosen local server."""

    action: WelcomeAction | None = None
    server: LocalServer | None = None


class _Option(Struct):
    key: str
    row: ListRow
    choice: WelcomeChoice


OPTIONS = (
    _Option("l", ListRow("l  Log in", "with an account, no API key needed"), WelcomeChoice("login")),
    _Option("a", ListRow("a  Add a provider", "by vendor, URL, manifest or registry"), WelcomeChoice("add")),
    _Option("t", ListRow("t  Try without an account", "a simulated provider, no network needed"), WelcomeChoice("try")),
)


class Welcome(Dialog[WelcomeChoice]):
    heading = "Welcome to modelbay"
    keys = "press a key, or ↑↓ and Enter · Esc close"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "back", show=False)]

    def __init__(self, config: Config) -> None:
        super().__init__()
        self._config = config
        self._options: list[_Option] = list(OPTIONS)

    def content(self) -> Iterable[Widget]:
        yield Static(Content("No provider is connected yet."), classes="about")
        yield VirtualList(self._options, lambda option: option.row)

    def on_mount(self) -> None:
        self.query_one(VirtualList).focus()
        self.status.busy("Looking for local servers")
        self.run_worker(self._look)  # type: ignore[arg-type]

    async def _look(self) -> None:
        """List the local servers that respond, above the other options. Keys work during the search."""
        try:
            found = [one for one in await local_servers(self._config) if one.provider is None]
        except ModelbayError:
            found = []
        self.status.clear()
        if not found:
            self.status.info("No local server found (Ollama, LM Studio, llama.cpp, vLLM, …).")
            return
        servers = []
        for number, one in enumerate(found[:MOST], 1):
            row = server_row(one)
            servers.append(_Option(str(number), ListRow(f"{number}  {row.label}", row.note), WelcomeChoice(server=one)))
        self._options = servers + list(OPTIONS)
        listing = self.query_one(VirtualList)
        listing.set_rows(self._options, listing.highlighted if listing.highlighted is not OPTIONS[0] else None)

    def on_key(self, event: events.Key) -> None:
        for option in self._options:
            if event.key == option.key:
                event.stop()
                self.dismiss(option.choice)

    @on(VirtualList.Chosen)
    def take(self) -> None:
        option: _Option | None = self.query_one(VirtualList).highlighted
        if option is not None:
            self.dismiss(option.choice)
