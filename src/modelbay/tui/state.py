"""State that all screens share: configuration, hub, conversation and preferences."""

from asyncio import to_thread
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from modelbay.config.load import load, parse
from modelbay.config.schema import Config
from modelbay.errors import ConfigError, ModelbayError
from modelbay.hub import Hub
from modelbay.model import Model
from modelbay.project_pins import PinnedConfig, pinned
from modelbay.simulator.config_entries import config_text
from modelbay.stored_chats.keeping import Keeper
from modelbay.stored_chats.store import Store
from modelbay.stored_chats.stored_chat import StoredChat
from modelbay.tui.preferences import PreferenceFile

if TYPE_CHECKING:
    from modelbay.simulator import Simulator


class AppState:
    """The state of the app, without a screen. After a change, call `changed` to redraw.

    Raises:
        ConfigError: the configuration cannot be read.
    """

    def __init__(self, path: Path | None, model: str | None) -> None:
        self._path = path
        self._stamp: object = None
        self.project: PinnedConfig
        """The configuration with the models that the project of the working directory pins."""
        self.config: Config = self._load()
        self.hub = Hub(self.config)
        self._users: list[Hub] = []
        """The hub of each answer in progress."""
        self.chat = StoredChat(model)
        self.store = Store()
        self.remembered = PreferenceFile()
        self.preferences = self.remembered.read()
        self.keeper = Keeper(self.store, self.config.chat.keep, self._tell)
        self.simulator: Simulator | None = None
        """The simulated provider; None if it is not in use."""
        self.say: Callable[[str], None] = lambda words: None
        """Shows a status message. Set by the main screen."""
        self.changed: Callable[[], None] = lambda: None
        """Redraws the footer. Set by the main screen."""

    def _tell(self, words: str) -> None:
        self.say(words)  # the main screen sets `say` later

    @property
    def outdated(self) -> bool:
        """Whether config.toml has changed since it was last read, even if that read failed."""
        return self.simulator is None and self._stamp != _stamp(self.config.path)

    def _load(self) -> Config:
        config = load(self._path, report=False, new=True)
        self._stamp = _stamp(config.path)
        self.project = pinned(config)
        return self.project.config

    async def reload(self) -> None:
        """Read config.toml again after a change.

        Raises:
            ConfigError: the file is invalid; the previous configuration stays active.
        """
        self._stamp = _stamp(self.config.path)
        before = self.project.ignored
        config = await to_thread(self._load)
        if self.project.ignored not in ("", before):
            self.say(self.project.ignored)
        if self.simulator is not None:
            simulator, self.simulator = self.simulator, None
            await to_thread(simulator.stop)
            self.chat.model = None
        await self._use(config)

    @property
    def missing(self) -> bool:
        """Whether config.toml is missing or cannot be accessed."""
        return _stamp(self.config.path) is None

    def report_deleted(self) -> None:
        """Report that config.toml was deleted, which some editors do before they write. The loaded configuration stays active."""
        self._stamp = _stamp(self.config.path)
        self.say("config.toml was deleted; the loaded configuration stays active")

    async def try_built_in(self) -> None:
        """Switch to the simulator, which runs in this process. Nothing is written to config.toml."""
        from modelbay.simulator import Simulator

        self.simulator = Simulator(pace=0.02)
        await to_thread(self.simulator.start)
        await self._use(parse(config_text(self.simulator.url, None), self.config.path))

    @asynccontextmanager
    async def answering(self) -> AsyncIterator[Hub]:
        """The hub for one answer. It stays open until the answer ends, even if another hub replaces it."""
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
        if self.simulator is not None:
            await to_thread(self.simulator.stop)

    async def _use(self, config: Config) -> None:
        old, self.config, self.hub = self.hub, config, Hub(config)
        self.keeper.mode = config.chat.keep if self.simulator is None else "never"
        if self.chat.model is not None and self.model is None:
            self.say(f"{self.chat.model} is no longer configured; using the default model")
            self.chat.model = None
        self.changed()
        if old not in self._users:
            await old.aclose()

    async def prefer(self, **choices: object) -> bool:
        """Set preferences and save them for the next start. If saving fails, report it and return False; the preferences
        stay set."""
        try:
            await self._remember(**choices)
        except ConfigError as error:
            self.say(f"The preference is not saved: {error.message}")
            return False
        return True

    async def _remember(self, **choices: object) -> None:
        self.preferences = structs.replace(self.preferences, **choices)
        await to_thread(self.remembered.write, self.preferences)

    async def used(self) -> None:
        """Add the model that answered to the recent models."""
        alias = self.model.alias if self.model else ""
        if alias and self.simulator is None and self.preferences.recent[:1] != [alias]:
            with suppress(ConfigError):  # not the user's choice, and a message about the conversation may be visible
                await self._remember(recent=self.preferences.used(alias))

    @property
    def model(self) -> Model | None:
        """The model in use; None if there is none."""
        try:
            return self.hub.model(self.chat.model)
        except ModelbayError:
            return None

    @property
    def connected(self) -> bool:
        """Whether there is a provider, or a model with a base URL of its own. A provider may be used without a list of models."""
        return bool(self.config.providers or self.config.models)

    @property
    def provider(self) -> str | None:
        return self.model.provider if self.model else None


def _stamp(path: Path) -> object:
    """A value that changes with every change of a file; None if the file is missing."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
