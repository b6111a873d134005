"""The command `modelbay`. Each command is a module that is imported when it runs, so that `--help` is fast."""

import os
import sys
from importlib import import_module
from keyword import iskeyword
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from modelbay import __version__
from modelbay.cli import terminal, texts
from modelbay.cli.terminal import GlobalOptions
from modelbay.storage.paths import STDIN, environment

COMMANDS = {
    "ask": "Ask a model one question.",
    "chat": "Chat with a model in the terminal app or in plain lines.",
    "client": "Create, list and remove keys of the gateway's clients.",
    "completion": "Print the completion script of a shell.",
    "config": "Locate and check config.toml; approve references of another file.",
    "configure": "Configure a coding agent to use your providers, or undo it.",
    "demo": "Show modelbay in action, without an account.",
    "docs": "Show a page of the documentation.",
    "embed": "Turn texts into vectors.",
    "export": "Print providers as the configuration of a coding agent.",
    "import": "Import providers from a coding agent.",
    "key": "Store a provider's API key in the system's keyring.",
    "launch": "Start a coding agent with a model, without changes to its files.",
    "login": "Log in to platforms that use an account instead of an API key.",
    "logout": "Log out.",
    "manifest": "For providers: build, check and serve a manifest.",
    "model": "List and search models, set the default model and model settings.",
    "provider": "Add, change, list and test providers.",
    "replay": "Parse recorded exchanges again, without the provider.",
    "serve": "Run the gateway: every configured model, for programs that speak any protocol.",
    "simulate": "Run a simulated provider on this machine.",
    "trust": "Use the models that a project's file .modelbay.toml pins.",
}
"""Commands and their lines in `--help`. Module and function have the command's name, or `import_` for a Python keyword."""

KEPT_FRESH = ("ask", "chat", "embed", "launch", "model")
"""The commands that start the daily refresh in a background process when they end. The app starts it every hour."""

HELP_NAMES = ["-h", "--help"]

COMPLETING = "_MODELBAY_COMPLETE"
"""The variable with which the script of a shell asks for completions; click's own name for it."""

EXIT_CODES = """\b
Documentation: modelbay docs

\b
Exit codes:
  0    success
  1    a provider, network, input or configuration error, or an unknown name
  2    wrong usage, an invalid value, or a named file that cannot be read
  130  interrupted, or a question was declined"""


class Noun(click.Group):
    """A group of commands. Each accepts the global options, and `help COMMAND` shows its help."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command = super().get_command(ctx, cmd_name)
        if command is None and cmd_name == "help":
            return _help_of(self)
        return command and with_options(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The first sentence of each command, whole: click cuts it off at the width of the terminal."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(limit=1000)) for name, one in commands if one])


class RootGroup(Noun):
    """The commands by name, each in its own module."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = args[: args.index("--")] if "--" in args else args
        ctx.ensure_object(GlobalOptions).as_json = "--json" in own  # known before anything can fail
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "version":
            return click.Command("version", callback=_show_version, help="Show the version.")
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        name = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name
        command: click.Command = getattr(import_module(f"modelbay.cli.{name}"), name)
        return with_options(command)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """The commands, without an import of their modules, and the options."""
        found = [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _help_of(group: click.Group) -> click.Command:
    """The command `help [COMMAND]...` of a group."""

    @click.command("help")
    @click.argument("words", nargs=-1, metavar="[COMMAND]...")
    @click.pass_context
    def show(ctx: click.Context, words: tuple[str, ...]) -> None:
        """Show the help of a command."""
        command: click.Command = group
        within = ctx.parent or ctx
        for word in words:
            inner = command.get_command(within, word) if isinstance(command, click.Group) else None
            if inner is None:
                raise click.exceptions.NoSuchCommand(word, ctx=within)
            command, within = inner, click.Context(inner, within, info_name=word)
        click.echo(command.get_help(within))

    return show


def _show_version() -> None:
    click.echo(f"modelbay {__version__}")


def with_options(command: click.Command) -> click.Command:
    texts.checked(command)
    command.params += [option for option in OPTIONS if option not in command.params]
    command.context_settings.setdefault("help_option_names", HELP_NAMES)  # also if it runs without its group
    return command


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Store a global option, before or after the command."""
    settings = ctx.ensure_object(GlobalOptions)
    if ctx.resilient_parsing:  # a shell completes the line
        settings.config = value if param.name == "config" and value else settings.config
        return
    if param.name == "config" and value == Path("-"):
        from modelbay.config.load import provide

        provide(texts.piped_bytes("the configuration"))
        value = STDIN
    if value and param.name:
        setattr(settings, param.name, value)
        if param.name == "verbose":
            terminal.show_logs(settings)


def _allow(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> None:
    """Allow references of a configuration file from elsewhere, for this command."""
    from modelbay.credentials.approval import Approval, allow

    try:
        approvals = [Approval.read(text) for text in value]
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None
    allow(approvals)
    ctx.ensure_object(GlobalOptions).approvals += approvals


OPTIONS: list[click.Parameter] = [
    click.Option(
        ["--config"],
        type=texts.FilePath(),
        metavar="FILE",
        expose_value=False,
        callback=_remember,
        help="Configuration file; - for standard input.",
    ),
    click.Option(
        ["--allow-reference"],
        multiple=True,
        metavar="REF=ORIGIN",
        expose_value=False,
        callback=_allow,
        help="Reference to follow in a file from elsewhere, and the origin that gets its value. Repeatable.",
    ),
    click.Option(
        ["--verbose"],
        is_flag=True,
        expose_value=False,
        callback=_remember,
        help="Verbose output: requests, responses, timings, tracebacks.",
    ),
]


@click.option("-c", "--continue", "again", is_flag=True, help="Continue the last conversation in the terminal app.")
@click.version_option(__version__, "-V", "--version", message="modelbay %(version)s")
@click.group(
    cls=RootGroup,
    params=list(OPTIONS),
    epilog=EXIT_CODES,
    invoke_without_command=True,
    context_settings={"help_option_names": HELP_NAMES},
)
@click.pass_context
def modelbay(ctx: click.Context, again: bool) -> None:
    """Connect a model provider once; use it from the terminal, from Python, and from every coding agent and SDK."""
    ctx.ensure_object(GlobalOptions).command = ctx.invoked_subcommand
    if again and ctx.invoked_subcommand is not None:
        raise click.UsageError("-c cannot be combined with this command; use `modelbay -c` or `modelbay chat -c`", ctx)
    if ctx.invoked_subcommand is not None:
        return
    if again:
        from modelbay.cli.chat import open_app

        open_app(ctx.ensure_object(GlobalOptions), again=True)
        return
    if terminal.is_terminal(sys.stdin) and terminal.is_terminal(sys.stdout) and environment("TERM") != "dumb":
        from modelbay.cli.chat import open_app

        open_app(ctx.ensure_object(GlobalOptions))
    else:
        click.echo(ctx.get_help())


def _open_closed_streams() -> None:
    """Open standard streams that the caller closed: the next file would get their numbers, and the output of an agent.

    Standard output is not writable, since output that is lost is an error; an agent gets one that is.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    # they are open until the process ends
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def main() -> None:
    """Run the command line. Every error becomes a message and an exit code, never a traceback."""
    _open_closed_streams()
    settings = GlobalOptions()
    if environment(COMPLETING):
        from modelbay.cli.completion import complete

        complete()
    code = terminal.guarded(lambda: modelbay.main(prog_name="modelbay", obj=settings, standalone_mode=False), settings)
    if settings.command in KEPT_FRESH and settings.config != STDIN:
        from modelbay.onboarding.sources import daily

        daily.start(settings.config)
    sys.exit(code)
