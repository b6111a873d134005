"""What the screens have in common: the configuration, the hub, the conversation; and a word at the foot."""

from asyncio import to_thread
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from modelbay.chat.chat import Chat
from modelbay.chat.keeping import Keeper
from modelbay.chat.store import Store
from modelbay.config.load import load, parse
from modelbay.config.schema import Config
from modelbay.errors import ConfigError, ModelbayError
from modelbay.hub import Hub
from modelbay.model import Model
from modelbay.simulator.entries import config_text
from modelbay.tui.preferences import PreferenceFile

if TYPE_CHECKING:
    from modelbay.simulator import Simulator


class AppState:
    """Nothing in it is drawn: whoever changes it says so to those who draw.

    Raises:
        ConfigError: the configuration cannot be read.
    """

    def __init__(self, path: Path | None, model: str | None) -> None:
        self._path = path
        self._stamp: object = None
        self.config: Config = self._load()
        self.hub = Hub(self.config)
        self._users: list[Hub] = []
        """The hub of each answer that is on its way."""
        self.chat = Chat(model)
        self.store = Store()
        self.remembered = PreferenceFile()
        self.preferences = self.remembered.read()
        self.keeper = Keeper(self.store, self.config.chat.keep, self._tell)
        self.trial: Simulator | None = None
        """The built-in provider, while somebody tries it."""
        self.say: Callable[[str], None] = lambda words: None
        """Shows a status message; set by the screen that has the place for it."""
        self.changed: Callable[[], None] = lambda: None
        """Redraws what is shown of the configuration; set by the same screen."""

    def _tell(self, words: str) -> None:
        self.say(words)  # the screen sets it later

    @property
    def outdated(self) -> bool:
        """Whether the file has changed since it was last read, or was found not to be usable."""
        return self.trial is None and self._stamp != _stamp(self.config.path)

    def _load(self) -> Config:
        config = load(self._path, report=False)
        self._stamp = _stamp(config.path)
        return config

    async def reload(self) -> None:
        """Takes up what the configuration is now, after something changed it.

        Raises:
            ConfigError: it cannot be used; the one before stays.
        """
        self._stamp = _stamp(self.config.path)
        config = await to_thread(self._load)
        if self.trial is not None:
            trial, self.trial = self.trial, None
            await to_thread(trial.stop)
            self.chat.model = None
        await self._use(config)

    @property
    def missing(self) -> bool:
        """Whether the file is not there, or cannot be looked at."""
        return _stamp(self.config.path) is None

    def gone(self) -> None:
        """The file was deleted, or an editor is about to write it: what was read before stays."""
        self._stamp = _stamp(self.config.path)
        self.say("config.toml is gone: what was read of it stays in use")

    async def try_built_in(self) -> None:
        """Talks with the simulator, which runs within this program; nothing of it is written."""
        from modelbay.simulator import Simulator

        self.trial = Simulator(pace=0.02)
        await to_thread(self.trial.start)
        await self._use(parse(config_text(self.trial.url, None), self.config.path))

    @asynccontextmanager
    async def answering(self) -> AsyncIterator[Hub]:
        """The hub for one answer, which stays open until the answer ends, also when another replaces it meanwhile."""
        hub = self.hub
        self._users.append(hub)
        try:
            yield hub
        finally:
            self._users.remove(hub)
            if hub is not self.hub and hub not in self._users:
                await hub.aclose()

    async def aclose(self) -> None:
        for hub in {id(one): one for one in [self.hub, *self._users]}.values():
            await hub.aclose()
        if self.trial is not None:
            await to_thread(self.trial.stop)

    async def _use(self, config: Config) -> None:
        old, self.config, self.hub = self.hub, config, Hub(config)
        self.keeper.mode = config.chat.keep if self.trial is None else "never"
        if self.chat.model is not None and self.model is None:
            self.say(f"{self.chat.model} is not in the configuration any more: the default model answers now")
            self.chat.model = None
        self.changed()
        if old not in self._users:
            await old.aclose()

    async def prefer(self, **choices: object) -> None:
        """Remembers choices, also for the next start. A file that cannot be written is reported, and the choice holds."""
        self.preferences = structs.replace(self.preferences, **choices)
        try:
            await to_thread(self.remembered.write, self.preferences)
        except ConfigError as error:
            self.say(f"Not remembered: {error.message}")

    async def used(self) -> None:
        """Remembers the model that has answered as the last used one."""
        alias = self.model.alias if self.model else ""
        if alias and self.trial is None and self.preferences.recent[:1] != [alias]:
            await self.prefer(recent=self.preferences.used(alias))

    @property
    def model(self) -> Model | None:
        """The model that is talked to; None where there is none."""
        try:
            return self.hub.model(self.chat.model)
        except ModelbayError:
            return None

    @property
    def provider(self) -> str | None:
        return self.model.provider if self.model else None


def _stamp(path: Path) -> object:
    """What changes with every change of a file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
