"""The terminal app: start, exit, themes and commands."""

import sys
from asyncio import get_running_loop, to_thread
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, ClassVar

from rich.console import RenderableType
from textual import on
from textual.binding import Binding, BindingType
from textual.filter import LineFilter

from modelbay.errors import ConfigError, UnknownModel
from modelbay.onboarding import choose_models as choosing
from modelbay.onboarding.choose_models import checked, level, levels
from modelbay.onboarding.login import device as logging_in
from modelbay.onboarding.sources import daily
from modelbay.storage.paths import environment
from modelbay.stored_chats.attachments import dragged
from modelbay.tui import terminal_background
from modelbay.tui.chat_screen import TWICE, ChatScreen
from modelbay.tui.commands import Command
from modelbay.tui.control_filter import ControlFilter
from modelbay.tui.conversation_commands import ConversationCommands
from modelbay.tui.dialogs.adding import add_local_server, add_provider
from modelbay.tui.dialogs.custom import EditProvider
from modelbay.tui.dialogs.help import HelpDialog
from modelbay.tui.dialogs.login import log_in, log_out
from modelbay.tui.dialogs.menu import Menu
from modelbay.tui.dialogs.model_picker import ALL, ModelPicker, ModelSelection
from modelbay.tui.dialogs.palette import CommandPalette
from modelbay.tui.dialogs.providers import Providers
from modelbay.tui.dialogs.steps import Added
from modelbay.tui.dialogs.theme_picker import ThemePicker
from modelbay.tui.dialogs.welcome import Welcome, WelcomeChoice
from modelbay.tui.error_boundary import ErrorLog, cause
from modelbay.tui.no_color import NoColorFilter
from modelbay.tui.shutdown import Shutdown
from modelbay.tui.state import AppState
from modelbay.tui.suspension import on_continue
from modelbay.tui.terminal_background import BackgroundDetected
from modelbay.tui.themes import AUTO, CHOICES, DARK, LIGHT, MARKDOWN, dark_terminal, terminal_theme, themes
from modelbay.tui.widgets.composer import Composer
from modelbay.tui.widgets.status import failure
from modelbay.tui.widgets.virtual_list import ListRow

WATCH = 2.0
"""Seconds between two checks of the terminal and of config.toml."""
NO_PROVIDER = "No models yet. Log in with /login or add a provider with /provider"
NO_MODELS = "No models in config.toml. Type /model PROVIDER/MODEL_ID, or add models with /provider and Enter"
HUNG_UP = 129
"""Exit code that a shell reports for a program that SIGHUP ended."""


class ModelbayApp(ConversationCommands):
    TITLE = "modelbay"
    CSS_PATH = "style.tcss"
    ENABLE_COMMAND_PALETTE = False
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (10, "-low"), (18, "-high")]  # noqa: RUF012 the name and type are Textual's
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "stop", show=False, priority=True),
        Binding("ctrl+q", "quit", show=False, priority=True),
        Binding("ctrl+z", "suspend_process", show=False, priority=True),
    ]

    def __init__(
        self, config: Path | None = None, model: str | None = None, conversation: int | None = None
    ) -> None:  # fmt: skip
        super().__init__()
        terminal_background.install()
        self.state = AppState(config, model)
        self.chat_screen = ChatScreen(self.state)
        self._conversation = conversation
        """ID of the stored conversation to continue."""
        self._stopped = -TWICE
        self._control_filter = ControlFilter()
        self._terminal_shutdown = Shutdown()
        self.internal_errors = ErrorLog()
        self.ansi_theme_dark, self.ansi_theme_light = terminal_theme(DARK), terminal_theme(LIGHT)
        self._dark = dark_terminal() is not False
        """Whether the terminal's background is dark; True if unknown."""
        self._theme_choice = AUTO
        """The chosen theme."""
        self._quitting = False
        """Whether Ctrl-Q has asked about a conversation that is not stored."""

    def get_line_filters(self) -> Sequence[LineFilter]:
        colorless = [NoColorFilter()] if environment("NO_COLOR") else []
        return [*super().get_line_filters(), *colorless, self._control_filter]

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return themes(dark=True)["dark"].variables  # the style sheet is read before a theme is applied

    async def on_mount(self) -> None:
        if sys.platform != "win32" and not self.is_headless:
            loop = get_running_loop()
            self._terminal_shutdown.on_signals(partial(loop.call_soon_threadsafe, self.exit, None))
            on_continue(self._driver, lambda: self._exit or self._terminal_shutdown.hung_up)
        self.console.push_theme(MARKDOWN)
        self.apply_theme(self.state.preferences.theme)
        if self._driver is not None and self.state.preferences.theme in (AUTO, "terminal"):
            self._driver.write(terminal_background.QUESTION)
        await self.push_screen(self.chat_screen)
        self.set_interval(WATCH, self._hang_up)
        self.set_interval(WATCH, self._watch)
        self.set_interval(daily.HOUR, self._refresh_sources)
        self.call_later(self._begin)  # after the composer has the focus, which the same queue sets

    def apply_theme(self, name: str) -> None:
        """Apply a theme. `auto` and unknown themes follow the terminal's background."""
        self._theme_choice = name if name in {choice.name for choice in CHOICES} else AUTO
        theme = themes(self._dark)[self._theme_choice]
        self.register_theme(theme)
        self.theme = theme.name
        self.refresh_css(animate=False)

    def on_background_detected(self, message: BackgroundDetected) -> None:
        if message.dark != self._dark:
            self._dark = message.dark
            self.apply_theme(self._theme_choice)

    async def on_unmount(self) -> None:
        await self.state.aclose()

    def exit(self, result: None = None, return_code: int = 0, message: RenderableType | None = None) -> None:
        self.state.keeper.leaving = True
        if not self.is_headless:
            self._terminal_shutdown.begin(return_code)
        super().exit(result, return_code, message)

    async def run_async(self, *, headless: bool = False, **options: Any) -> None:
        try:
            await super().run_async(headless=headless, **options)
        finally:
            self._terminal_shutdown.end()

    async def _begin(self) -> None:
        await self.begin()
        self.start_command(self.start)
        self._refresh_sources()

    def _refresh_sources(self) -> None:
        """Start the daily refresh in a background process, if it is due; `_watch` then reloads config.toml."""
        self.run_worker(partial(daily.start, self.state.config.path), thread=True)

    def _handle_exception(self, error: Exception) -> None:
        """Called by Textual, which would end the app and print local variables, including keys."""
        self.report_error(error)

    def report_error(self, error: Exception, *, recurs: bool = False) -> None:
        """Report an unhandled exception; the app continues. Before its start and at its end, the error is printed on exit."""
        error = cause(error)
        new = self.internal_errors.add(error, recurs=recurs)
        if not self.chat_screen.shows_errors or self.internal_errors.too_many:
            self.exit(return_code=1, message=failure(error).plain)
        elif new:
            self.call_later(self.chat_screen.transcript.fail, error)
            if self.screen is not self.chat_screen:
                self.notify(failure(error).plain, severity="error", markup=False)

    def _hang_up(self) -> None:
        """End the app when its terminal is gone. Textual would read the end of the input in an endless loop."""
        if self._terminal_shutdown.hung_up:
            self.exit(return_code=HUNG_UP)

    async def _watch(self) -> None:
        """Reload config.toml after another program changed it, but not during an answer. A command in progress may have changed
        it, and reloads it itself."""
        busy = self.chat_screen.answering or self._commands or self.screen is not self.chat_screen
        if busy or not self.state.outdated:
            return
        if self.state.missing:
            self.state.report_deleted()
            return
        model, ignored = self.state.chat.model, self.state.project.ignored
        try:
            await self.state.reload()
        except ConfigError as error:
            self.state.say(f"Could not reload config.toml; the previous configuration stays active: {error.message}")
        else:
            if self.state.chat.model == model and self.state.project.ignored in ("", ignored):
                self.state.say("Reloaded config.toml: another program changed it")

    # --- commands ---

    @on(ChatScreen.CommandEntered)
    def run_typed(self, event: ChatScreen.CommandEntered) -> None:
        self.action_command(event.name, event.argument)

    def action_palette(self) -> None:
        if self.screen is self.chat_screen:
            self.start_command(self._choose_command)

    async def _choose_command(self) -> None:
        command: Command | None = await self.push_screen_wait(CommandPalette())
        if command is not None:
            self.chat_screen.run_command(command)

    @on(Composer.SearchRequested)
    def search_earlier(self) -> None:
        self.start_command(self.chat_screen.search_earlier)

    def action_command(self, name: str, argument: str = "") -> None:
        """Run a command of `commands.COMMANDS` by name."""
        if self.chat_screen.may_run(name):
            run: Callable[[str], Coroutine[Any, Any, None]] = getattr(self, f"command_{name}")
            self.start_command(partial(run, argument))

    async def command_model(self, argument: str) -> None:
        if not argument:
            await self.choose_model()
            return
        if argument not in self.state.config.models and "/" not in argument:
            self.state.say(f"Unknown model alias: {argument}")
            return
        await self.switch_model(ModelSelection(self.state.hub.model(argument).alias or argument, None, False))

    async def command_effort(self, argument: str) -> None:
        model = self.state.hub.model(self.state.chat.model)
        if not argument:
            there = levels(model)
            if not there:
                self.state.say(f"No reasoning effort levels are known for {model.alias or model.id}")
                return
            at = level(self.state.config, model, self.state.chat.effort)
            chosen = await self.push_screen_wait(
                Menu("Reasoning effort", there, lambda one: ListRow(one, right="← current" if one == at else ""), at=at)
            )
            if chosen is None:
                return
            argument = chosen
        self.state.chat.effort, warning = checked(model, argument)
        self.state.say(warning or f"Reasoning effort: {self.state.chat.effort}")

    async def command_provider(self, argument: str) -> None:
        while (wish := await self.push_screen_wait(Providers(self.state))) is not None:
            if wish.edit:
                await self._edit(wish.edit)
            elif (added := await add_provider(self, self.state)) is not None:
                await self.added(added)
                return

    async def _edit(self, ids: list[str]) -> bool:
        """Edit one of these providers; the user chooses if there are several. Returns whether anything was saved."""
        id = ids[0] if len(ids) == 1 else await self.push_screen_wait(Menu("Edit a provider", ids, ListRow))
        if id is None:
            return False
        logging_in.check_editable(self.state.config, id)
        added: Added | None = await self.push_screen_wait(EditProvider(self.state, id))
        if added is None:
            return False
        self.state.say(". ".join([f"Saved {id}", *added.stored]))
        return True

    async def command_correct_key(self, argument: str) -> None:
        """Let the user correct the API key that a provider rejected, and send the message again."""
        if await self._edit([argument]) and self.chat_screen.unanswered is not None:
            self.chat_screen.composer.put("")
            self.chat_screen.send_again()

    async def command_login(self, argument: str) -> None:
        if (added := await log_in(self, self.state, argument)) is not None:
            await self.state.reload()
            await self.added(added)

    async def command_logout(self, argument: str) -> None:
        await log_out(self, self.state)

    async def command_save(self, argument: str) -> None:
        chat = self.state.chat
        if not chat.turns:
            self.state.say("Nothing to save yet")
        elif chat.private:
            self.state.say("This conversation is private. Turn private mode off with /private")
        elif self.state.keeper.mode == "never":
            self.state.say('Conversations are not stored: keep = "never" in [chat] of config.toml')
        else:
            chat.title = argument or chat.title
            await to_thread(self.state.store.save, chat)
            self.state.say(f'Saved as "{chat.name}". New messages are saved too; reopen with /resume')

    async def command_private(self, argument: str) -> None:
        chat, keeper = self.state.chat, self.state.keeper
        await keeper.turn_private(chat)
        if chat.private:
            self.state.say("Private mode on: this conversation is not stored on disk")
        elif keeper.keeps(chat):
            self.state.say("Private mode off: this conversation is stored like others")
        else:
            also = "; /save stores this one" if keeper.mode == "ask" else ""
            self.state.say(
                f'Private mode off, but keep = "{keeper.mode}" in [chat] of config.toml stores nothing{also}'
            )

    async def command_theme(self, argument: str) -> None:
        names = [choice.name for choice in CHOICES]
        if argument and argument not in names:
            self.state.say(f"Unknown theme: {argument}. Must be one of: {', '.join(names)}")
            return
        if not argument:
            before = self._theme_choice
            chosen = await self.push_screen_wait(ThemePicker(before, self.apply_theme))
            self.apply_theme(chosen.name if chosen else before)
            if chosen is None:
                return
        else:
            self.apply_theme(argument)
        if await self.state.prefer(theme=self._theme_choice):
            self.state.say(f"Theme: {self._theme_choice}")

    async def command_help(self, argument: str) -> None:
        await self.push_screen_wait(HelpDialog())

    async def command_file(self, argument: str) -> None:
        if argument:
            await self.chat_screen.attach(dragged(argument) or [argument])
        else:
            self.chat_screen.drop_files()

    async def command_quit(self, argument: str) -> None:
        if await self.may_drop():
            self.exit()

    async def action_quit(self) -> None:
        """Ctrl-Q quits. It asks first if the conversation is not stored; pressed again, it quits without an answer."""
        if self._quitting or not self.state.keeper.misses(self.state.chat):
            self.exit()
        else:
            self._quitting = True
            self.start_command(self._quit)

    async def _quit(self) -> None:
        try:
            await self.command_quit("")
        finally:
            self._quitting = False

    # --- shared by several commands ---

    async def choose_model(self, tab: str = ALL, note: str = "") -> None:
        """Open the model picker and switch to the chosen model."""
        models = await to_thread(self.state.hub.models)
        if not models:
            self.state.say(NO_MODELS if self.state.connected else NO_PROVIDER)
            return
        if self.state.chat.turns:
            note = "switching loses the prompt cache; /new avoids it"
        picker = ModelPicker(self.state, models, tab=tab, note=note)
        if (picked := await self.push_screen_wait(picker)) is not None:
            await self.switch_model(picked)

    async def switch_model(self, picked: ModelSelection) -> None:
        """Switch to another model."""
        self.state.chat.model = picked.model
        self.state.chat.effort = picked.effort
        if picked.kept and not self.state.simulator:
            await to_thread(choosing.write, self.state.config.path, picked.model, picked.effort, picked.top)
            await self.state.reload()
        effort = f", reasoning effort {picked.effort}" if picked.effort else ""
        self.state.say(f"{'Default model set to' if picked.kept else 'Model for this session:'} {picked.model}{effort}")

    async def added(self, added: Added) -> None:
        """Report the added providers and open the model picker."""
        names = ", ".join(added.providers)
        self.state.say(". ".join([f"Provider added: {names}", *added.stored]))
        await self.choose_model(added.providers[0] if len(added.providers) == 1 else ALL)

    async def start(self) -> None:
        """Show what is wrong with the configuration, and the welcome dialog if no provider is connected."""
        await self._prepare_store()
        if self._conversation is not None:
            await self._continue(self._conversation)
        for problem in self.state.hub.problems + self.state.config.unknown:
            await self.chat_screen.transcript.warn(f"{problem}" + (f" ({problem.hint})" if problem.hint else ""))
        await self._show_project()
        if self.state.connected:
            return
        while (choice := await self.push_screen_wait(Welcome(self.state.config))) is not None:
            if await self._run_choice(choice):
                return

    async def _show_project(self) -> None:
        """Say which model the project pins, or why its file is ignored."""
        project = self.state.project
        if project.ignored:
            await self.chat_screen.transcript.warn(project.ignored)
        try:
            project.checked()
        except UnknownModel as error:
            await self.chat_screen.transcript.fail(error)
        else:
            if reason := project.reason:
                await self.chat_screen.transcript.note(reason)

    async def _continue(self, conversation: int) -> None:
        """Continue a stored conversation, with the model of `--model` if it was given."""
        given = self.state.chat.model
        try:
            chat = await to_thread(self.state.store.load, conversation)
        except ConfigError as error:
            await self.chat_screen.transcript.fail(error)
            return
        chat.model = given or chat.model
        await self.resume(chat)

    async def _prepare_store(self) -> None:
        """Delete expired conversations; on the first start, explain that conversations are stored."""
        chat = self.state.config.chat
        if chat.keep == "always" and self.state.store.new:
            await self.chat_screen.transcript.note(
                f"Conversations are stored on this machine in {self.state.store.path}; only you can read them. "
                '/private keeps a conversation off the disk. To store none, set keep = "ask" or "never" in [chat] of config.toml.'
            )
        if chat.keep_days is not None:
            try:
                await to_thread(self.state.store.expire, chat.keep_days)
            except ConfigError as error:  # the app works without stored conversations
                await self.chat_screen.transcript.fail(error)

    async def _run_choice(self, choice: WelcomeChoice) -> bool:
        """Run the choice of the welcome dialog. False: the user cancelled."""
        if choice.action == "try":
            await self.state.try_built_in()
            self.state.say("A simulated model answers. Add a real one with /provider")
            return True
        if choice.server is not None:
            added = await add_local_server(self, self.state, choice.server)
        elif choice.action == "login":
            added = await log_in(self, self.state)
        else:
            added = await add_provider(self, self.state)
        if added is None:
            return False
        await self.state.reload()
        await self.added(added)
        return True

    def action_stop(self) -> None:
        """Ctrl-C copies the selection, or interrupts the answer, or quits on the second press."""
        if text := self.screen.get_selected_text():
            self.copy_to_clipboard(text)
            self.screen.clear_selection()
            return
        if self.chat_screen.answering and self.screen is self.chat_screen:
            self.chat_screen.action_interrupt()
            return
        if monotonic() - self._stopped < TWICE:
            self.exit()
            return
        self._stopped = monotonic()
        lost = ". This conversation is not stored" if self.state.keeper.misses(self.state.chat) else ""
        self.state.say(f"Press Ctrl-C again to quit{lost}")
