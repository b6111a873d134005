"""Writes the list of models that is built into the package.

    python -m tools.snapshot FILE --date 2026-09-30 --source "program 1.2.3"

FILE is models.dev's `api.json`, or a program that carries the list as a JavaScript literal, as coding agents do. What is
written has ids, addresses, names, numbers and flags; texts that describe a model are left out. The date is in the gzip
header, where `catalog/models_dev/live.py` looks for it; the source is beside the file, in its notice.
"""

import argparse
import gzip
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyjson5

OUTPUT = Path(__file__).parents[1] / "src/modelbay/catalog/models_dev/models.json.gz"
NOTICE = OUTPUT.with_name("models.NOTICE")
PROVIDER = ("id", "name", "api", "env", "npm", "doc")
DROPPED = {"description", "canonical_model_id", "knowledge", "experimental"}

LICENSE = """\
MIT License

Copyright (c) 2025 spin.dev

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""

_START = re.compile(rb'\{"?[\w.-]+"?:\{id:"[\w.-]+",env:\[')
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`(?:[^`\\]|\\.)*`|!0|!1|[{}]')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--date", required=True, help="The day of the list, as 2026-09-30.")
    parser.add_argument("--source", required=True, help="Name and version of what the list is from.")
    given = parser.parse_args()
    providers = compact(read(given.file.read_bytes()))
    day = datetime.strptime(given.date, "%Y-%m-%d").replace(tzinfo=UTC)
    body = msgspec.json.encode(providers)
    OUTPUT.write_bytes(gzip.compress(body, 9, mtime=day.timestamp()))
    NOTICE.write_text(notice(given.date, given.source), encoding="utf-8")
    count = sum(len(provider["models"]) for provider in providers.values())
    print(f"{len(providers)} providers, {count} models, {OUTPUT.stat().st_size:,} bytes")


def read(data: bytes) -> dict[str, Any]:
    """The providers of a list, as JSON or inside a program."""
    if data.lstrip()[:1] == b"{":
        return msgspec.json.decode(data, type=dict[str, Any])
    start = _START.search(data)
    if start is None:
        raise SystemExit("no list of models in that file")
    found: dict[str, Any] = pyjson5.decode(_literal(data, start.start()).decode())
    return found


def _literal(data: bytes, start: int) -> bytes:
    """The object that begins at `start`, as JSON5: minifiers write `!0` for true and template literals for texts."""
    pieces: list[bytes] = []
    depth, at = 0, start
    for match in _TOKEN.finditer(data, start):
        token = match.group()
        pieces.append(data[at : match.start()])
        at = match.end()
        if token in (b"!0", b"!1"):
            token = b"true" if token == b"!0" else b"false"
        elif token.startswith(b"`"):
            token = msgspec.json.encode(token[1:-1].decode())
        pieces.append(token)
        depth += (token == b"{") - (token == b"}")
        if depth == 0:
            return b"".join(pieces)
    raise SystemExit("the list of models in that file has no end")


def compact(providers: dict[str, Any]) -> dict[str, Any]:
    """The list without prose, sorted, so that the next one can be compared with it."""
    return {
        id: {key: provider[key] for key in PROVIDER if key in provider}
        | {"models": {name: _model(model) for name, model in sorted(provider["models"].items())}}
        for id, provider in sorted(providers.items())
    }


def _model(model: dict[str, Any]) -> dict[str, Any]:
    return {key: _whole(value) for key, value in sorted(model.items()) if key not in DROPPED}


def _whole(value: Any) -> Any:
    """A value with whole numbers written as such: `1e6` is read as 1000000.0."""
    if isinstance(value, dict):
        return {key: _whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def notice(date: str, source: str) -> str:
    return (
        f"models.json.gz: facts about models (ids, addresses, names, sizes, prices, capabilities) from models.dev,\n"
        f"https://models.dev, as of {date}, read from {source} with tools/snapshot.py. Descriptions are left out.\n\n"
        f"models.dev is published under this license:\n\n{LICENSE}"
    )


if __name__ == "__main__":
    main()
