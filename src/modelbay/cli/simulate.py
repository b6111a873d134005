"""`modelbay simulate`."""

from threading import Thread
from typing import TYPE_CHECKING

import click

from modelbay.cli import terminal
from modelbay.cli.listening import cannot_listen
from modelbay.cli.texts import Lines
from modelbay.simulator.config_entries import config_text, login_text

if TYPE_CHECKING:
    from modelbay.simulator.login_server import LoginServer

PORT = 8750


@click.command()
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    metavar="PORT",
    default=PORT,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="TCP port; 0 uses a free one.",
)
@click.option("--key", metavar="KEY", help="Required API key; by default, no key is required.")
@click.option(
    "--login",
    "logins",
    multiple=True,
    metavar="BEHAVIOR",
    help="Behavior of the login server, such as slow-down*3. Repeatable.",
)
@click.option(
    "--allow-host", "names", multiple=True, metavar="NAME", help="Additional host name to accept. Repeatable."
)
@click.option(
    "--without", metavar="FEATURE", multiple=True, help="Feature that the simulator lacks, such as images. Repeatable."
)
@click.option(
    "--delay",
    metavar="SECONDS",
    default=0.02,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Time between two words of an answer.",
)
def simulate(
    host: str,
    port: int,
    key: str | None,
    logins: tuple[str, ...],
    names: tuple[str, ...],
    without: tuple[str, ...],
    delay: float,
) -> None:
    """Run the simulator, a local provider with every protocol, for tests and for trying modelbay.

    The URL is printed on standard output when the simulator is ready. Press Ctrl-C to stop. The simulator accepts only
    requests with a name of this machine in the Host header, and refuses web pages of other sites. With --verbose, it prints a
    line for each request.

    With --login, it also has a login server. BEHAVIOR is one of approve=POLLS, wait (until you type approve or deny, or use
    the web page), deny, expire, slow-down, 500, drop, unusable, dpop, firewall, revoke, no-revocation, lasts=SECONDS and
    interval=SECONDS. The suffix *TIMES repeats it.

    With --without, it ignores requests for FEATURE, or refuses them (FEATURE=refuse). FEATURE is one of tools, tool-choice,
    parallel-tools, strict, json-schema, json-mode, images, thinking, thinking-return, cache, stop, usage, whole, streaming
    and output-limit.
    """
    from modelbay.simulator import serve
    from modelbay.simulator.limitations import Limitations
    from modelbay.simulator.login_server import LoginServer, behavior_of

    try:
        server = LoginServer(behavior=behavior_of(logins), asked=_asked)
    except ValueError as error:
        raise click.UsageError(f"--login: {error}", click.get_current_context()) from None
    try:
        Limitations(without)
    except ValueError as error:
        raise click.UsageError(f"--without: {error}", click.get_current_context()) from None

    def ready(url: str) -> None:
        _ready(url, key, login=bool(logins))
        if server.behavior.approve_after is None:
            Thread(target=_listen, args=(server,), daemon=True).start()

    try:
        serve(host, port, key=key, pace=delay, ready=ready, logins=server, names=names, without=without)
    except OSError as error:
        raise cannot_listen(host, port, error, "the simulator") from None


def _ready(url: str, key: str | None, *, login: bool) -> None:
    terminal.announce(url)
    text = config_text(url, key) + (login_text(url) if login else "")
    terminal.note(f"\nPress Ctrl-C to stop. To use the simulator, add this to config.toml:\n\n{text}", end="")


def _asked(user_code: str, page: str) -> None:
    terminal.note(f"\nLogin requested with the code {user_code}. Approve it at {page}")


def _listen(server: "LoginServer") -> None:
    """Approve and deny codes by lines of standard input: `approve` or `deny`, optionally followed by a code."""
    lines = Lines()
    while line := lines.next():
        word, _, code = line.strip().partition(" ")
        if word not in ("approve", "deny"):
            terminal.note("type approve or deny; add the code if several are pending")
        elif server.decide(code.strip().upper() or None, approve=word == "approve"):
            terminal.note("approved" if word == "approve" else "denied")
        else:
            terminal.note("no such pending code")
