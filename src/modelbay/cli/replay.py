"""`modelbay replay`."""

import gzip
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click

from modelbay.cli import known_values, terminal, texts
from modelbay.cli.terminal import GlobalOptions, pass_settings
from modelbay.conversation import Json, Protocol
from modelbay.errors import MalformedReply
from modelbay.json_text import decode, encode
from modelbay.replay import Row, translate
from modelbay.replay import replay as answer

GZIP = b"\x1f\x8b"


@click.command()
@click.argument(
    "files",
    nargs=-1,
    type=texts.PathOrUrl(),
    required=True,
    metavar="FILE...",
    shell_complete=known_values.paths,
)
@click.option("--to", type=click.Choice(get_args(Protocol)), help="Print the response for a client of this protocol.")
@pass_settings
def replay(settings: GlobalOptions, /, files: tuple[str, ...], to: Protocol | None) -> int:
    """Parse recorded exchanges again, without the provider, and print each answer as a line of JSON.

    A FILE contains one exchange, a list of exchanges, or one exchange per line, and may be gzipped; `-` is standard input.
    Exchanges that are not generations, such as lists of models, are skipped, with a line that says so.
    """
    worst = 0
    for file in files:
        try:
            content = _content(file)
            if not content.strip():
                terminal.error(f"{file} is empty")
                worst = terminal.USAGE
                continue
            for name, recorded in _exchanges(content, file):
                if isinstance(recorded, dict):
                    worst = max(worst, _print(recorded, name, to, settings))
                else:
                    why = f"not JSON: {recorded}" if isinstance(recorded, Exception) else "not an exchange"
                    terminal.error(f"{name}: {why}")
                    worst = terminal.USAGE
        except (OSError, EOFError, zlib.error) as error:
            terminal.error(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}")
            worst = terminal.USAGE
    return worst


def _content(file: str) -> bytes:
    data = texts.piped_bytes("the recording") if file == "-" else Path(file).read_bytes()
    return gzip.decompress(data) if data.startswith(GZIP) else data


def _exchanges(data: bytes, file: str) -> Iterator[tuple[str, Json]]:
    """The exchanges in a file with their positions; an exception for invalid JSON."""
    whole = _decoded(data)
    if isinstance(whole, list):
        yield from ((f"{file}[{index}]", recorded) for index, recorded in enumerate(whole))
    elif not isinstance(whole, Exception):
        yield file, whole
    else:
        lines = [(f"{file}:{number}", line) for number, line in enumerate(data.split(b"\n"), 1) if line.strip()]
        if lines and not isinstance(_decoded(lines[0][1]), Exception):
            yield from ((place, _decoded(line)) for place, line in lines)
        else:
            yield file, whole


def _decoded(data: bytes) -> Json:
    try:
        return decode(data.removeprefix(BOM_UTF8))
    except MalformedReply as error:
        return error


def _print(recorded: Row, name: str, to: Protocol | None, settings: GlobalOptions) -> int:
    try:
        row = translate(recorded, name, to) if to else answer(recorded, name)
    except Exception as unexpected:  # noqa: BLE001 one unreadable exchange does not hide the others
        return terminal.internal(unexpected, settings, name)
    terminal.write_line(encode(row))
    return 0
