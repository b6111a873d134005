"""`modelbay chat`: the terminal app, or a conversation in plain lines."""

import asyncio
import signal
import sys
import threading
from contextlib import aclosing, suppress

import click

from modelbay import threads
from modelbay.cli import known_values, terminal
from modelbay.cli.direct import Direct, direct_options
from modelbay.cli.display import Display
from modelbay.cli.prompts import asks
from modelbay.cli.terminal import GlobalOptions, pass_settings
from modelbay.cli.texts import Lines, ModelName, claim_stdin
from modelbay.conversation import Media
from modelbay.errors import ConfigError, ModelbayError, StoreError, UnknownConversation, UnreadableFile
from modelbay.events import Failed, collect
from modelbay.hints import About, explain
from modelbay.hub import Hub
from modelbay.storage.paths import environment
from modelbay.stored_chats.attachments import attachments, mentioned
from modelbay.stored_chats.bill import dollars
from modelbay.stored_chats.export import export_path, to_markdown, write_export
from modelbay.stored_chats.keeping import Keeper
from modelbay.stored_chats.store import Store
from modelbay.stored_chats.stored_chat import StoredChat

HELP = (
    "/model [ALIAS]  /effort [LEVEL]  /file PATH|URL  /new  /save [TITLE]  /private  /resume [NUMBER]  /export [FILE]"
    "  /help  /quit"
)


@click.command()
@click.option(
    "-m",
    "--model",
    type=ModelName(),
    metavar="MODEL",
    shell_complete=known_values.models,
    help="Alias, or PROVIDER/MODEL_ID. Default: the default model.",
)
@click.option("-c", "--continue", "again", is_flag=True, help="Continue the last conversation.")
@click.option("--plain", is_flag=True, help="Plain lines, for pipes, screen readers and simple terminals.")
@direct_options
@pass_settings
def chat(settings: GlobalOptions, /, model: str | None, again: bool, plain: bool, **options: str | None) -> None:
    """Chat with a model in the terminal app.

    With --plain, each line of standard input is a message; a line that ends in \\ continues. Answers are written to stdout.
    /help lists the commands. The exit code is 1 if no message was answered.
    """
    if plain or environment("TERM") == "dumb":
        terminal.show_logs(settings)
        direct = Direct.of(model, options)
        claim_stdin("the messages")
        talk = _Plain(settings, direct, last_conversation() if again else None)
        threads.run(talk.run())
        if talk.failed and not talk.answered:
            raise click.exceptions.Exit(terminal.FAILED)
        return
    if given := [name for name, value in options.items() if value is not None]:
        message = f"--{given[0].replace('_', '-')} requires --plain; in the app, add providers with /provider"
        raise click.UsageError(message, click.get_current_context())
    open_app(settings, model, again=again)


def last_conversation() -> int:
    """The ID of the stored conversation that was changed last.

    Raises:
        UnknownConversation: none is stored.
        StoreError: the store cannot be read.
    """
    if (found := Store().latest()) is None:
        raise UnknownConversation(
            "no conversation is stored",
            hint='start one with `modelbay chat`, or set keep = "always" in [chat] of config.toml',
        )
    return found


def open_app(settings: GlobalOptions, model: str | None = None, *, again: bool = False) -> None:
    """Open the terminal app. `again` continues the last conversation."""
    if not (asks() and terminal.is_terminal(sys.stdout)):
        raise click.UsageError(
            "the app requires a terminal; without one, use `modelbay chat --plain`", click.get_current_context()
        )
    from modelbay import tui

    if code := tui.open_app(settings.config, model, last_conversation() if again else None):
        raise click.exceptions.Exit(code)


class _Plain:
    """A conversation in plain lines."""

    def __init__(self, settings: GlobalOptions, direct: Direct, conversation: int | None = None) -> None:
        self._settings = settings
        self._conversation = conversation
        """The ID of the stored conversation to continue."""
        self._direct = direct
        self._chat = StoredChat(direct.model)
        self._store = Store()
        self._files: list[Media] = []
        self._keeper = Keeper(self._store, "never", terminal.warning)
        self._lines = Lines()
        self.answered = self.failed = 0
        """Numbers of answered and of failed messages."""

    async def run(self) -> None:
        async with Hub(self._direct.config(self._settings.config)) as hub:
            if not hub.config.exists:
                raise ConfigError(
                    f"no configuration at {hub.config.path}",
                    hint="connect a provider with `modelbay provider add`, or use another file with --config FILE",
                )
            hub.model(self._chat.model)  # fails before the user types anything
            self._keeper.mode = hub.config.chat.keep
            if hub.config.chat.keep_days is not None:
                try:
                    await asyncio.to_thread(self._store.expire, hub.config.chat.keep_days)
                except StoreError as error:  # chatting works without the store
                    terminal.warning(error.message)
            if self._keeper.mode == "always" and self._store.new:
                terminal.note(f"conversations are stored in {self._store.path}; exclude this one with /private")
            if self._conversation is not None:
                given = self._chat.model
                self._resume(str(self._conversation))
                self._chat.model = given or self._chat.model
            terminal.note("/help lists the commands; Ctrl-C interrupts an answer, Ctrl-D quits")
            while (text := await self._typed()) is not None:
                if not await self._line(hub, text):
                    return

    async def _typed(self) -> str | None:
        """The next message; None at the end of the input.

        Nothing interrupts a thread that reads, so it is a daemon thread: Ctrl-C must end the program without it.
        """
        loop = asyncio.get_running_loop()
        typed: asyncio.Future[str | None] = loop.create_future()

        def give(text: str | None, error: Exception | None = None) -> None:
            if typed.done():
                return
            if error is None:
                typed.set_result(text)
            else:
                typed.set_exception(error)

        def read() -> None:
            text, failed = None, None
            try:
                text = _question(self._lines)
            except Exception as error:  # noqa: BLE001 raised in the coroutine that waits
                failed = error
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(give, text, failed)

        threading.Thread(target=read, daemon=True).start()
        return await typed

    async def _line(self, hub: Hub, text: str) -> bool:
        """Answer a message or run a command. Returns whether the conversation continues."""
        try:
            if text.startswith("/"):
                return await self._command(hub, *text[1:].split(maxsplit=1))
            if text or self._files:
                await self._answer(hub, text)
        except UnreadableFile as error:
            terminal.error(str(error), error.hint)
        except ModelbayError as error:
            about = About(file=hub.config.path, face="command", known=self._direct.known(hub.config))
            terminal.report(self._direct.explained(explain(error, about)))
        return True

    async def _answer(self, hub: Hub, text: str) -> None:
        """Answer a message. Ctrl-C interrupts the answer, not the conversation."""
        asking = asyncio.create_task(self._ask(hub, text))
        loop = asyncio.get_running_loop()
        interruptible = sys.platform != "win32" and threading.current_thread() is threading.main_thread()
        before = signal.getsignal(signal.SIGINT)
        if interruptible:
            loop.add_signal_handler(signal.SIGINT, asking.cancel)
        try:
            await asking
        except asyncio.CancelledError:
            if not asking.cancelled() or not interruptible:
                raise
            terminal.note("interrupted")
        except ModelbayError:
            self.failed += 1
            raise
        else:
            self.answered += 1
        finally:
            if interruptible:
                loop.remove_signal_handler(signal.SIGINT)
                signal.signal(signal.SIGINT, before)

    async def _ask(self, hub: Hub, text: str) -> None:
        display, events = Display(), []
        attached, before = self._files, len(self._chat.turns)
        files = attached + attachments(mentioned(text), attached)
        self._files = []
        try:
            async with aclosing(self._chat.ask(hub, text, files, self._keeper)) as stream:
                async for event in stream:
                    events.append(event)
                    display.feed(event)
        finally:
            display.end_line()
            if len(self._chat.turns) == before:
                self._files = attached
                self._with_next()
        reply = collect(events)
        if isinstance(events[-1], Failed):
            raise events[-1].error
        display.stopped(reply)

    async def _command(self, hub: Hub, name: str = "", argument: str = "") -> bool:
        """Run a command. Returns whether the conversation continues."""
        match name:
            case "quit" | "exit" | "new" | "private" | "help" if argument:
                terminal.error(f"/{name} takes no argument")
            case "quit" | "exit":
                return False
            case "new":
                self._chat = StoredChat(self._chat.model, self._chat.effort)
            case "model":
                self._model(hub, argument)
            case "effort":
                self._effort(hub, argument)
            case "file":
                self._files += attachments([argument], self._files) if argument else []
                self._with_next()
            case "save" if self._keeper.mode == "never" or self._chat.private:
                why = "this conversation is private" if self._chat.private else 'keep = "never" in [chat]'
                terminal.note(f"not saved: {why}")
            case "save":
                self._chat.title = argument or self._chat.title
                self._store.save(self._chat)
                terminal.note(f'saved as "{self._chat.name}", number {self._chat.id}')
            case "private":
                await self._private()
            case "resume":
                self._resume(argument)
            case "export":
                self._export(argument)
            case "" | "help":
                terminal.note(HELP)
            case _:
                terminal.error(f"unknown command: /{name}", "list the commands with /help")
        return True

    def _with_next(self) -> None:
        if self._files:
            terminal.note(f"attached to the next message: {', '.join(file.name or file.kind for file in self._files)}")

    async def _private(self) -> None:
        await self._keeper.turn_private(self._chat)
        kept = self._keeper.keeps(self._chat)
        terminal.note("this conversation is stored" if kept else "this conversation is not stored")

    def _model(self, hub: Hub, argument: str) -> None:
        if argument:
            model = hub.model(argument)
            self._chat.model, self._chat.effort = model.alias or argument, None
        for model in [] if argument else hub.models():
            terminal.note(model.alias)
        terminal.note(f"model: {self._chat.model or hub.model().alias}")

    def _effort(self, hub: Hub, argument: str) -> None:
        from modelbay.onboarding.choose_models import checked, level, levels

        model = hub.model(self._chat.model)
        if argument:
            self._chat.effort, warning = checked(model, argument)
            if warning:
                terminal.warning(warning)
        effort = level(hub.config, model, self._chat.effort) or "unknown"
        choices = f" (choices: {', '.join(known)})" if (known := levels(model)) else ""
        terminal.note(f"reasoning effort: {effort}{choices}")

    def _export(self, argument: str) -> None:
        if not self._chat.turns:
            terminal.note("nothing to export: the conversation is empty")
            return
        path = export_path(self._chat, argument)
        if write_export(path, to_markdown(self._chat)):
            terminal.note(f"exported to {path}")
        else:
            terminal.error(f"{path} already exists", "choose another file, or delete this one")

    def _resume(self, argument: str) -> None:
        if argument.isascii() and argument.isdigit():
            self._chat = self._store.load(int(argument))
            spent = f", {dollars(cost)}" if (cost := self._chat.known_cost) is not None else ""
            terminal.note(f'resumed "{self._chat.name}": {len(self._chat.turns)} turns{spent}')
            if self._chat.question is not None:
                asked, self._files = self._chat.take_back()
                terminal.note(f"not answered: {asked}")
                self._with_next()
            return
        for saved in self._store.list():
            terminal.note(f"{saved.id:4}  {saved.name}")


def _question(lines: Lines) -> str | None:
    """The next message; None at the end of the input."""
    came: list[str] = []
    while True:
        if asks():
            sys.stderr.write("› " if not came else "… ")
            sys.stderr.flush()
        line = lines.next()
        if not line:
            return "\n".join(came).strip() or None
        line = line.rstrip("\r\n")
        if line.endswith("\\"):
            came.append(line[:-1])
            continue
        return "\n".join([*came, line]).strip()
