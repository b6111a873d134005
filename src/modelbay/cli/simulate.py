"""`modelbay simulate`."""

import click

from modelbay.cli import terminal
from modelbay.errors import ModelbayError
from modelbay.simulator.entries import config_text

PORT = 8750


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(0, 65535), help="0 takes any free one.")
@click.option("--key", metavar="KEY", help="The only key it takes; without one it takes any, and none.")
@click.option("--delay", default=0.02, show_default=True, type=click.FloatRange(min=0), help="Seconds between words.")
def simulate(host: str, port: int, key: str | None, delay: float) -> None:
    """Run the simulator: a provider on this machine that speaks every protocol, for tests and for trying things out.

    Its address is printed on stdout once it takes requests. Ctrl-C ends it.
    """
    from modelbay.simulator import serve

    try:
        serve(host, port, key=key, pace=delay, ready=lambda url: _ready(url, key))
    except OSError as error:
        hint = "--port 0 takes any free port" if port else None
        raise ModelbayError(f"cannot listen at {host}:{port}: {error.strerror or error}", hint=hint) from None


def _ready(url: str, key: str | None) -> None:
    terminal.write(f"{url}\n")
    terminal.note(f"\nTo use it, put this into a config.toml; Ctrl-C ends it.\n\n{config_text(url, key)}", end="")
