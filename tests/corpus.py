"""Recorded exchanges with real providers, kept beside the project; see the README there for their fields."""

import gzip
import os
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

CORPUS = Path(os.environ.get("MODELBAY_CORPUS") or Path(__file__).parents[2] / "shared" / "corpus")


@cache
def exchanges(protocol_file: str) -> list[dict[str, Any]]:
    """The exchanges of one file, such as `openai_chat`; read, never change them. Skips the test or module if absent."""
    path = CORPUS / f"{protocol_file}.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"no recorded exchanges at {path} (set MODELBAY_CORPUS)", allow_module_level=True)
    with gzip.open(path) as lines:
        return [msgspec.json.decode(line) for line in lines]
