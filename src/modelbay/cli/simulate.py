"""`modelbay simulate`."""

import sys
from threading import Thread
from typing import TYPE_CHECKING

import click

from modelbay.cli import terminal
from modelbay.cli.terminal import CommandFailed
from modelbay.simulator.entries import config_text, login_text

if TYPE_CHECKING:
    from modelbay.simulator.authorisation import Authorisation

PORT = 8750


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(0, 65535), help="0 takes any free one.")
@click.option("--key", metavar="KEY", help="The only key it takes; without one it takes any, and none.")
@click.option(
    "--login", "logins", multiple=True, metavar="WHAT", help="What a login meets, as slow-down*3; may be given again."
)
@click.option(
    "--allow-host", "names", multiple=True, metavar="NAME", help="A host name to be called by; may be given again."
)
@click.option("--delay", default=0.02, show_default=True, type=click.FloatRange(min=0), help="Seconds between words.")
def simulate(
    host: str, port: int, key: str | None, logins: tuple[str, ...], names: tuple[str, ...], delay: float
) -> None:
    """Run the simulator: a provider on this machine that speaks every protocol, for tests and for trying things out.

    Its address is printed on stdout once it takes requests. Ctrl-C ends it. It answers requests that name this machine in
    their Host header, and no web page of another site.

    With --login it is also somewhere to log in to. WHAT is one of approve=POLLS, wait (for you to type approve or deny, or
    to open the page), deny, expire, slow-down, 500, drop, revoke, lasts=SECONDS and interval=SECONDS; *TIMES behind it
    makes it happen so often.
    """
    from modelbay.simulator import serve
    from modelbay.simulator.authorisation import Authorisation, manner_of

    try:
        server = Authorisation(manner=manner_of(logins), asked=_asked)
    except ValueError as error:
        raise click.UsageError(f"--login: {error}", click.get_current_context()) from None

    def ready(url: str) -> None:
        _ready(url, key, login=bool(logins))
        if server.manner.approve_after is None:
            Thread(target=_listen, args=(server,), daemon=True).start()

    try:
        serve(host, port, key=key, pace=delay, ready=ready, logins=server, names=names)
    except OSError as error:
        hint = "--port 0 takes any free port" if port else None
        raise CommandFailed(f"cannot listen at {host}:{port}: {error.strerror or error}", hint=hint) from None


def _ready(url: str, key: str | None, *, login: bool) -> None:
    terminal.write(f"{url}\n")
    text = config_text(url, key) + (login_text(url) if login else "")
    terminal.note(f"\nTo use it, put this into a config.toml; Ctrl-C ends it.\n\n{text}", end="")


def _asked(user_code: str, page: str) -> None:
    terminal.note(f"\nSomebody wants to log in with the code {user_code}, which is approved at {page}")


def _listen(server: "Authorisation") -> None:
    """Approves and denies codes as lines of standard input say: `approve` or `deny`, and perhaps which code."""
    # without a buffer, whose lock a thread that waits for a line would keep at the end of the program
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as lines:
        for line in lines:
            word, _, code = line.decode(errors="replace").strip().partition(" ")
            if word not in ("approve", "deny"):
                terminal.note("type approve or deny, and a code where several wait")
            elif server.decide(code.strip().upper() or None, approve=word == "approve"):
                terminal.note("approved" if word == "approve" else "denied")
            else:
                terminal.note("no such code waits")
