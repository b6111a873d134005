"""`modelbay simulate`."""

import click

from modelbay.cli import terminal
from modelbay.config.types import TYPE_OF
from modelbay.conversation import Protocol
from modelbay.errors import ModelbayError

MODEL = "sim-echo"
"""The simulator's strictest: it thinks always, and wants its reasoning back in every protocol."""
PORT = 8750
BASES: dict[Protocol, str] = {"openai_chat": "/v1", "openai_responses": "/v1", "anthropic": "", "google": ""}
"""What a base URL of each protocol has after the address."""


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


def config_text(url: str, key: str | None) -> str:
    """A configuration that has the simulator as a provider of each protocol."""
    lines = [f'default_model = "{alias("openai_chat")}"']
    for protocol, base in BASES.items():
        lines += ["", f"[providers.{alias(protocol)}]", f'type = "{TYPE_OF[protocol]}"', f'base_url = "{url}{base}"']
        lines += [f'api_key = "{key}"'] if key else []
        lines += ["", f"[models.{alias(protocol)}]", f'provider = "{alias(protocol)}"', f'model = "{MODEL}"']
    return "\n".join(lines) + "\n"


def alias(protocol: Protocol) -> str:
    """The name of the provider, and of the model, that speaks a protocol."""
    return f"sim-{protocol.removeprefix('openai_')}"
