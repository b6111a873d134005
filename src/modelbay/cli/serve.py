"""`modelbay serve`: the gateway."""

import sys
from typing import TYPE_CHECKING, Literal

import click
from click.core import ParameterSource

from modelbay.cli import terminal
from modelbay.cli.listening import cannot_listen
from modelbay.cli.terminal import GlobalOptions, pass_settings
from modelbay.config.load import load
from modelbay.storage.paths import STDIN

if TYPE_CHECKING:
    from modelbay.config.schema import Config
    from modelbay.gateway.workers import Options

MOST_WORKERS = 64


@click.command()
@click.option("--host", metavar="ADDRESS", help="Address to listen on. Default: [gateway] host, or 127.0.0.1.")
@click.option(
    "--port",
    metavar="PORT",
    type=click.IntRange(0, 65535),
    help="TCP port; 0 uses a free one. Default: [gateway] port, or 8484.",
)
@click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(1, MOST_WORKERS),
    default=1,
    show_default=True,
    help="Number of processes; 1 on Windows.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Format of the log on standard error.",
)
@click.option(
    "--install", is_flag=True, help="Write a service that runs the gateway at each login, and do not run it now."
)
@click.option("--for-launches", hidden=True, help="ID of a gateway that `modelbay launch` starts.")
@pass_settings
def serve(
    settings: GlobalOptions,
    host: str | None,
    port: int | None,
    workers: int,
    log_format: Literal["text", "json"],
    install: bool,
    for_launches: str | None,
) -> None:
    """Run the gateway: an HTTP server for programs that speak Chat Completions, Responses, Anthropic Messages or Gemini. They
    use every configured model through it, whichever protocol its provider speaks.

    The URL is printed on standard output when the gateway is ready. Each program needs a key: `modelbay client add NAME`. The
    first start creates the client `local`, whose key `modelbay export AGENT --gateway` uses.

    A changed config.toml is used within a few seconds. Press Ctrl-C to stop; SIGTERM waits up to 60 seconds for requests in
    progress.

    With --install, a systemd user unit is written on Linux, and a launchd agent on macOS, with the options of this command.
    """
    from modelbay.gateway.workers import Options, gateway_of, ignore_hangups, log_to_stderr, raise_open_files, run
    from modelbay.launching.shared_gateway import known_to_launches
    from modelbay.serving.server import listen, url_of

    if (workers > 1 or install) and settings.config == STDIN:
        name = "--install" if install else "--workers"
        raise click.UsageError(f"{name} cannot be combined with --config -", click.get_current_context())
    config = load(settings.config)
    table = config.gateway
    address = host or (table.host if table else "127.0.0.1")
    wanted = port if port is not None else table.port if table else 0
    options = Options(address, settings.config, log_format, workers, settings.verbose)
    gateway = gateway_of(options, config)  # raises what is wrong before a port is used
    if install:
        if not wanted:
            raise click.UsageError("--install requires a port other than 0", click.get_current_context())
        _install(config, options)
        return
    log_to_stderr(options)
    ignore_hangups()
    raise_open_files()
    gateway.clients.create_local_once()
    try:
        listener = listen(address, wanted)
    except OSError as error:
        raise cannot_listen(address, wanted, error, "the gateway") from None
    url = url_of(address, listener.getsockname()[1])
    terminal.announce(url)
    if log_format == "text":
        _greet(config, url)
    # it may follow references that other commands may not, or have a configuration that is in no file
    shared = not settings.approvals and settings.config != STDIN
    with known_to_launches(url, for_launches, shared=shared):
        run(options, listener, gateway)


def _greet(config: "Config", url: str) -> None:
    """Print the base URLs, and what is missing."""
    models = len(config.models)
    none = "" if models or config.providers else " Connect a provider first: `modelbay provider add`."
    terminal.note(
        f"\n{models} {'model' if models == 1 else 'models'}.{none} Base URLs:\n"
        f"  OpenAI      {url}/v1\n"
        f"  Anthropic   {url}\n"
        f"  Gemini      {url}\n"
        "Create a key for a program with `modelbay client add NAME`. Press Ctrl-C to stop.\n"
    )


def _install(config: "Config", options: "Options") -> None:
    """Write the service file, and print the commands for it."""
    from modelbay.gateway.service import gateway_service, install
    from modelbay.gateway.variables import shell_variables

    given = click.get_current_context()
    words: list[str] = []
    for name in ("host", "port", "workers", "log_format"):
        if given.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            words += [f"--{name.replace('_', '-')}", str(given.params[name])]
    if options.verbose:
        words.append("--verbose")
    if options.config:
        words += ["--config", str(options.config.absolute())]
    service = gateway_service(words, sys.platform)
    changed = install(service)
    terminal.write(f"{'Written to' if changed else 'Already up to date:'} {service.path}\n")
    for text, commands in (("Start it", service.start), ("Stop it", service.stop), ("Show its log", (service.log,))):
        terminal.note(f"{text}: {' && '.join(commands)}")
    if names := shell_variables(config):
        terminal.warning(f"the service does not have these variables of your shell: {', '.join(names)}")
        terminal.note("Store a key where the service can read it: `modelbay key set PROVIDER`")
