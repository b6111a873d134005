"""The app: what it knows (the configuration, the hub, the chat), and where each command leads."""

from asyncio import to_thread
from collections.abc import Callable, Coroutine
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.command import Provider

from modelbay.chat.chat import Chat
from modelbay.chat.store import Store
from modelbay.config.load import load, parse
from modelbay.config.schema import Config
from modelbay.conversation import Text
from modelbay.errors import ModelbayError
from modelbay.hub import Hub
from modelbay.model import Model
from modelbay.onboarding import choosing
from modelbay.onboarding.choosing import checked, level, levels
from modelbay.simulator.entries import config_text
from modelbay.tui.adding import add_neighbour, add_provider
from modelbay.tui.commands import Palette
from modelbay.tui.custom import Added
from modelbay.tui.help import Help
from modelbay.tui.kept import Kept
from modelbay.tui.listing import Row
from modelbay.tui.login import log_in, log_out
from modelbay.tui.menu import Menu
from modelbay.tui.models import ALL, ModelPicker, Picked
from modelbay.tui.providers import Providers
from modelbay.tui.talk import Talk
from modelbay.tui.welcome import Welcome

if TYPE_CHECKING:
    from modelbay.simulator import Simulator

TWICE = 2.0
"""Seconds within which a second Ctrl-C leaves."""


class ModelbayApp(App[None]):
    TITLE = "modelbay"
    CSS_PATH = "style.tcss"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {Palette}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "stop", show=False, priority=True),
        Binding("ctrl+q", "quit", show=False, priority=True),
    ]

    def __init__(self, config: Path | None = None, model: str | None = None) -> None:
        super().__init__()
        self._path = config
        self.config: Config = load(config)
        self.hub = Hub(self.config)
        self.chat = Chat(model)
        self.store = Store()
        self.trial: Simulator | None = None
        """The built-in provider, while somebody tries it."""
        self._stopped = -TWICE
        self.talk = Talk()

    def on_mount(self) -> None:
        self.theme = "textual-dark"
        self.push_screen(self.talk)
        self.run_worker(self._guarded(self.start()))

    async def on_unmount(self) -> None:
        await self.hub.aclose()
        if self.trial is not None:
            await to_thread(self.trial.stop)

    # --- what every screen asks for ---

    async def reload(self) -> None:
        """Takes up what the configuration is now, after something changed it."""
        old = self.hub
        self.config = await to_thread(load, self._path)
        if self.trial is not None:
            trial, self.trial = self.trial, None
            await to_thread(trial.stop)
            self.chat.model = None
        self.hub = Hub(self.config)
        await old.aclose()
        self.talk.show_foot()

    def effort_of(self, model: Model) -> str | None:
        """How much a model thinks where nobody says."""
        return level(self.config, model)

    def context_of(self, name: str | None) -> int | None:
        try:
            return self.hub.model(name).max_context_tokens
        except ModelbayError:
            return None

    def kept(self) -> None:
        """After an answer: a conversation that is kept is kept as it is now."""
        if self.chat.id is not None:
            self.run_worker(to_thread(self.store.save, self.chat))

    # --- commands ---

    def do(self, name: str, argument: str) -> None:
        """Runs a command of `commands.COMMANDS`."""
        command: Callable[[str], Coroutine[Any, Any, None]] = getattr(self, f"command_{name}")
        self.run_worker(self._guarded(command(argument)))

    async def _guarded(self, command: Coroutine[Any, Any, None]) -> None:
        """What goes wrong in a command is said where its user looks."""
        try:
            await command
        except ModelbayError as error:
            await self.talk.transcript.fail(error)
        self.talk.show_foot()

    async def command_model(self, argument: str) -> None:
        if not self._may_change():
            return
        if not argument:
            await self.choose_model()
            return
        if argument not in self.config.models and "/" not in argument:
            self.talk.say(f"Unknown model alias: {argument}")
            return
        await self.take(Picked(self.hub.model(argument).alias or argument, None, False))

    async def command_effort(self, argument: str) -> None:
        if not self._may_change():
            return
        model = self.hub.model(self.chat.model)
        if not argument:
            there = levels(model)
            if not there:
                self.talk.say(f"{model.alias or model.id} is not known to think")
                return
            at = level(self.config, model, self.chat.effort)
            chosen = await self.push_screen_wait(
                Menu("How much to think", there, lambda one: Row(one, right="← current" if one == at else ""), at=at)
            )
            if chosen is None:
                return
            argument = chosen
        self.chat.effort, warning = checked(model, argument)
        self.talk.say(warning or f"Thinking: {self.chat.effort}")

    async def command_provider(self, argument: str) -> None:
        if not self._may_change():
            return
        while await self.push_screen_wait(Providers()) == "add":
            if (added := await add_provider(self)) is not None:
                await self.added(added)
                return

    async def command_login(self, argument: str) -> None:
        if self._may_change() and (added := await log_in(self, argument)) is not None:
            await self.reload()
            await self.added(added)

    async def command_logout(self, argument: str) -> None:
        if self._may_change():
            await log_out(self)

    async def command_save(self, argument: str) -> None:
        if not self.chat.turns:
            self.talk.say("There is nothing to keep yet")
            return
        self.chat.title = argument or self.chat.title
        await to_thread(self.store.save, self.chat)
        self.talk.say(f'Kept as "{self.chat.name}", from now on too; /resume goes on with it')

    async def command_resume(self, argument: str) -> None:
        if not self._may_change():
            return
        saved = await to_thread(self.store.list)
        if not saved:
            self.talk.say("No conversation is kept yet; /save keeps this one")
            return
        chosen = await self.push_screen_wait(Kept(self.store, saved))
        if chosen is None:
            return
        self.chat = await to_thread(self.store.load, chosen.id)
        if self.chat.model is not None and self.chat.model not in self.config.models:
            self.talk.say(f"Its model {self.chat.model} is gone: the default goes on")
            self.chat.model = None
        await self.talk.transcript.show(self.chat.turns)
        self.talk.show_foot()

    async def command_help(self, argument: str) -> None:
        await self.push_screen_wait(Help())

    async def command_new(self, argument: str) -> None:
        if not self._may_change():
            return
        self.chat = Chat(self.chat.model, self.chat.effort)
        await self.talk.transcript.show([])
        self.talk.show_foot()

    async def command_file(self, argument: str) -> None:
        self.talk.attach(argument) if argument else self.talk.drop_files()

    async def command_copy(self, argument: str) -> None:
        answers = [turn for turn in self.chat.turns if turn.role == "assistant"]
        text = "".join(part.text for part in answers[-1].parts if isinstance(part, Text)) if answers else ""
        if text:
            self.copy_to_clipboard(text)
        self.talk.say("Copied the last answer" if text else "There is no answer yet")

    async def command_quit(self, argument: str) -> None:
        self.exit()

    # --- where several commands lead ---

    async def choose_model(self, tab: str = ALL, note: str = "") -> None:
        """Opens the model picker, and takes what is chosen there."""
        models = await to_thread(self.hub.models)
        if not models:
            self.talk.say("No models configured: /login signs in to a platform, /provider adds one from a catalog")
            return
        if self.chat.turns:
            note = "switching loses the prompt cache; /new avoids it"
        current = self._current()
        picker = ModelPicker(self.config, models, current, self.chat.effort, tab=tab, note=note)
        if (picked := await self.push_screen_wait(picker)) is not None:
            await self.take(picked)

    async def take(self, picked: Picked) -> None:
        """Talks with another model from now on."""
        self.chat.model = picked.model
        self.chat.effort = picked.effort
        if picked.kept and not self.trial:
            await to_thread(choosing.write, self.config.path, picked.model, picked.effort, picked.top)
            await self.reload()
        thinking = f" with thinking {picked.effort}" if picked.effort else ""
        self.talk.say(f"{'Default model set to' if picked.kept else 'For this session:'} {picked.model}{thinking}")

    async def added(self, added: Added) -> None:
        """After a provider was added: its models are to choose from."""
        names = ", ".join(added.providers)
        self.talk.say(f"Provider added: {names}")
        await self.choose_model(added.providers[0] if len(added.providers) == 1 else ALL)

    async def start(self) -> None:
        """The first thing that is seen: who is there to talk to, or how to get somebody."""
        for problem in self.config.problems:
            await self.talk.transcript.warn(f"{problem}" + (f" ({problem.hint})" if problem.hint else ""))
        if self.config.models:
            return
        begin = await self.push_screen_wait(Welcome(self.config))
        if begin is None:
            return
        if begin.server is not None:
            if (added := await add_neighbour(self, begin.server)) is not None:
                await self.reload()
                await self.added(added)
            return
        match begin.deed:
            case "login":
                await self.command_login("")
            case "add":
                if (added := await add_provider(self)) is not None:
                    await self.added(added)
            case _:
                await self.try_built_in()

    async def try_built_in(self) -> None:
        """Talks with the simulator, which runs within this program; nothing of it is written."""
        from modelbay.simulator import Simulator

        self.trial = Simulator(pace=0.02)
        await to_thread(self.trial.start)
        old = self.hub
        self.config = parse(config_text(self.trial.url, None), self.config.path)
        self.hub = Hub(self.config)
        await old.aclose()
        self.talk.say("A simulated model answers now; /provider connects a real one")

    def provider_of_chat(self) -> str | None:
        """The provider of the model that is talked to."""
        try:
            return self.hub.model(self.chat.model).provider
        except ModelbayError:
            return None

    def _current(self) -> str | None:
        try:
            return self.hub.model(self.chat.model).alias
        except ModelbayError:
            return None

    def _may_change(self) -> bool:
        """Whether the conversation may be another now: not while an answer comes."""
        if self.talk.answering:
            self.talk.say("An answer is on its way; Esc interrupts it")
        return not self.talk.answering

    def action_stop(self) -> None:
        """Ctrl-C copies what is marked, else interrupts, else leaves when it is pressed twice."""
        if text := self.screen.get_selected_text():
            self.copy_to_clipboard(text)
            self.screen.clear_selection()
            return
        if self.talk.answering and self.screen is self.talk:
            self.talk.action_interrupt()
            return
        if monotonic() - self._stopped < TWICE:
            self.exit()
            return
        self._stopped = monotonic()
        self.talk.say("Press Ctrl-C again to leave")
