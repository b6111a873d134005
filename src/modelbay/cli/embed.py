"""`modelbay embed`."""

from pathlib import Path
from time import perf_counter
from typing import Any, cast

import click

from modelbay import threads
from modelbay.cli import known_values, terminal, texts
from modelbay.cli.direct import Direct, direct_options
from modelbay.cli.terminal import GlobalOptions, pass_settings
from modelbay.cli.texts import FilePath
from modelbay.embedding import Embeddings
from modelbay.errors import ModelbayError
from modelbay.hub import Hub
from modelbay.json_text import encode
from modelbay.library.embedding_settings import EmbeddingSettings
from modelbay.model import Model
from modelbay.replay import usage_counts
from modelbay.stored_chats.bill import bill


@click.command()
@click.argument("words", nargs=-1, type=texts.Prose(), metavar="[TEXT]...")
@click.option(
    "-m",
    "--model",
    type=texts.ModelName(),
    required=True,
    metavar="MODEL",
    shell_complete=known_values.models,
    help="Embedding model: alias, or PROVIDER/MODEL_ID.",
)
@click.option(
    "-f",
    "--file",
    "files",
    type=FilePath(),
    multiple=True,
    metavar="PATH",
    help="File with a text. Repeatable.",
)
@click.option("--lines", is_flag=True, help="Embed each line of the files and of standard input.")
@click.option("--dimensions", type=click.IntRange(min=1), metavar="N", help="Length of the vectors.")
@click.option(
    "--input-type",
    metavar="TYPE",
    help="Purpose: query, document, similarity, classification, clustering, or a value of the provider.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, with the usage and the cost.")
@direct_options
@pass_settings
def embed(
    settings: GlobalOptions, /, words: tuple[str, ...], model: str, files: tuple[Path, ...], lines: bool, **options: Any
) -> None:
    """Turn texts into vectors.

    Print a JSON list of numbers for each TEXT, then for each file, then for standard input: `modelbay embed -m MODEL hello`. With
    --lines, each line of a file or of standard input is a text: `modelbay embed -m MODEL --lines < names.txt`.
    """
    as_json = options.pop("as_json")
    direct = Direct.of(model, options)  # it may read its key from standard input
    given = [("an argument", word) for word in words]
    for file in files:
        given += _divided(str(file), _text(file), lines=lines)
    if piped := texts.piped():
        given += _divided("standard input", piped, lines=lines)
    if not given:
        raise click.UsageError("missing text", click.get_current_context())
    for source, text in given:
        if not text:
            raise terminal.InputError(f"{source} is empty: there is nothing to embed")
    start = perf_counter()
    try:
        found, told = threads.run(_embedded(direct, [text for _, text in given], cast(Any, options), settings))
    except ModelbayError as error:
        raise direct.explained(terminal.explained(error, settings)) from None
    if as_json:
        row = {"model": told.alias or told.id, "provider": found.provider, "dimensions": found.dimensions}
        counts = None if found.usage is None else usage_counts(found.usage)
        terminal.write_line(encode({**row, "usage": counts, "cost": found.cost, "vectors": found.vectors}))
    else:
        for vector in found.vectors:
            terminal.write_line(encode(vector))
    for warning in found.warnings:
        terminal.warning(warning.message)
    terminal.note(bill(told, found.usage, perf_counter() - start, found.cost))


async def _embedded(
    direct: Direct, given: list[str], options: EmbeddingSettings, settings: GlobalOptions
) -> tuple[Embeddings, Model]:
    async with Hub(direct.config(settings.config)) as hub:
        return await hub.embed(given, model=direct.model, **options), hub.model(direct.model)


def _divided(source: str, text: str, *, lines: bool) -> list[tuple[str, str]]:
    """The texts of a source, each with its place for errors."""
    if not lines:
        return [(source, text.strip())]
    return [(f"line {number} of {source}", line.strip()) for number, line in enumerate(text.splitlines(), 1)]


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise terminal.InputError(f"{file} is not UTF-8 text", "convert it to UTF-8") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise terminal.InputError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
