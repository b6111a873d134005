"""`modelbay chat`: the terminal app, or the same in plain lines."""

import asyncio
import sys
from contextlib import aclosing
from typing import Any

import click

from modelbay.chat.attachments import Unreadable, attachment
from modelbay.chat.bill import dollars
from modelbay.chat.chat import Chat
from modelbay.chat.store import Store
from modelbay.cli import terminal, texts
from modelbay.cli.display import Display
from modelbay.cli.picker import asks
from modelbay.cli.terminal import Settings, pass_settings
from modelbay.config.load import load
from modelbay.conversation import Media
from modelbay.errors import ConfigError, ModelbayError
from modelbay.events import Failed, collect
from modelbay.hints import explain
from modelbay.hub import Hub

HELP = "/model [ALIAS]  /effort [LEVEL]  /file PATH|URL  /new  /save [TITLE]  /resume [NUMBER]  /help  /quit"


@click.command()
@click.option("-m", "--model", metavar="MODEL", help="An alias of the configuration, or `provider/model`.")
@click.option("--plain", is_flag=True, help="Plain lines: for pipes, screen readers and dumb terminals.")
@pass_settings
def chat(settings: Settings, /, model: str | None, plain: bool) -> None:
    """Talk with a model, in the terminal app.

    With --plain each line of standard input is a question, a line that ends in \\ goes on, and answers come on stdout;
    /help names the commands.
    """
    if plain:
        terminal.show_logs(settings)
        asyncio.run(_Plain(settings, model).run())
        return
    open_app(settings, model)


def open_app(settings: Settings, model: str | None = None) -> None:
    """Opens the terminal app where there is a terminal."""
    if not (asks() and terminal.is_terminal(sys.stdout)):
        raise click.UsageError(
            "the app wants a terminal; without one: modelbay chat --plain", click.get_current_context()
        )
    from modelbay import tui

    if code := tui.open_app(settings.config, model):
        raise click.exceptions.Exit(code)


class _Plain:
    """A conversation in lines."""

    def __init__(self, settings: Settings, model: str | None) -> None:
        self._settings = settings
        self._chat = Chat(model)
        self._store = Store()
        self._files: list[Media] = []

    async def run(self) -> None:
        async with Hub(load(self._settings.config)) as hub:
            if not hub.config.exists:
                raise ConfigError(
                    f"there is no configuration at {hub.config.path}",
                    hint="`modelbay provider add` connects a provider and writes it",
                )
            hub.model(self._chat.model)  # before anything is typed
            terminal.note("/help names the commands; Ctrl-D ends")
            while (text := await asyncio.to_thread(_question)) is not None:
                try:
                    if text.startswith("/"):
                        if not await self._command(hub, *text[1:].split(maxsplit=1)):
                            return
                    elif text or self._files:
                        await self._ask(hub, text)
                except ModelbayError as error:
                    explain(error, file=hub.config.path)
                    terminal.error(error.message, error.hint)
                except Unreadable as error:
                    terminal.error(str(error), error.hint)

    async def _ask(self, hub: Hub, text: str) -> None:
        display, events = Display(), []
        files, self._files = self._files, []
        try:
            async with aclosing(self._chat.ask(hub, text, files)) as stream:
                async for event in stream:
                    events.append(event)
                    display.feed(event)
        finally:
            display.end_line()
        reply = collect(events)
        if isinstance(events[-1], Failed):
            raise events[-1].error
        display.stopped(reply)
        if self._chat.id is not None:
            self._store.save(self._chat)

    async def _command(self, hub: Hub, name: str = "", argument: str = "") -> bool:
        """Runs a command; whether to go on."""
        match name:
            case "quit" | "exit":
                return False
            case "new":
                self._chat = Chat(self._chat.model, self._chat.effort)
            case "model":
                self._model(hub, argument)
            case "effort":
                self._effort(hub, argument)
            case "file":
                self._files += [attachment(argument)] if argument else []
                terminal.note(f"with the next question: {', '.join(file.name or file.kind for file in self._files)}")
            case "save":
                self._chat.title = argument or self._chat.title
                self._store.save(self._chat)
                terminal.note(f'kept as "{self._chat.name}", number {self._chat.id}')
            case "resume":
                self._resume(argument)
            case _:
                terminal.note(HELP)
        return True

    def _model(self, hub: Hub, argument: str) -> None:
        if argument:
            model = hub.model(argument)
            self._chat.model, self._chat.effort = model.alias or argument, None
        for model in [] if argument else hub.models():
            terminal.note(model.alias)
        terminal.note(f"talking with {self._chat.model or hub.model().alias}")

    def _effort(self, hub: Hub, argument: str) -> None:
        from modelbay.onboarding.choosing import checked, level, levels

        model = hub.model(self._chat.model)
        if argument:
            self._chat.effort, warning = checked(model, argument)
            if warning:
                terminal.warning(warning)
        stands = level(hub.config, model, self._chat.effort)
        terminal.note(f"thinking: {stands or 'not known'} of {', '.join(levels(model)) or 'nothing'}")

    def _resume(self, argument: str) -> None:
        if argument.isascii() and argument.isdigit():
            self._chat = self._store.load(int(argument))
            spent = f", {dollars(self._chat.cost)}" if self._chat.cost is not None else ""
            terminal.note(f'going on with "{self._chat.name}": {len(self._chat.turns)} turns{spent}')
            return
        for saved in self._store.list():
            terminal.note(f"{saved.id:4}  {saved.name}")


def _question() -> str | None:
    """The next question; None at the end of the input."""
    lines: list[Any] = []
    while True:
        if asks():
            sys.stderr.write("› " if not lines else "… ")
            sys.stderr.flush()
        line = texts.line()
        if not line:
            return "\n".join(lines).strip() or None
        line = line.rstrip("\r\n")
        if line.endswith("\\"):
            lines.append(line[:-1])
            continue
        return "\n".join([*lines, line]).strip()
