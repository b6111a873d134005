"""The bundled list of models, read and indexed once for all tests.

Each home builds the index on its first use: a third of a second of processor time, always for the same file.
"""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from modelbay.catalog.models_dev.index import Index, build
from modelbay.catalog.models_dev.live import FOLDER, ModelsDev
from modelbay.conversation import Extra
from modelbay.storage.cache import Cache

PROVIDERS = vars(ModelsDev)["providers"]
INDEX = vars(ModelsDev)["index"]
READ, INDEXED = PROVIDERS.func, INDEX.func


@cache
def providers() -> dict[str, Extra]:
    found: dict[str, Extra] = READ(ModelsDev(Cache(Path(os.devnull))))
    gc.freeze()  # searches for garbage skip its million objects
    return found


@cache
def index() -> bytes:
    bundled = ModelsDev(Cache(Path(os.devnull)))
    return build(providers(), bundled._stamp(), bundled.date)


def store(home: Path) -> None:
    """Put the index into a home, for processes of tests."""
    Cache(home / "cache").write(index(), FOLDER, "index")


@contextmanager
def shared() -> Iterator[None]:
    """Every cache without an index gets the one that exists, in this process."""

    def read(list: ModelsDev) -> dict[str, Extra]:
        return providers() if list.built_in else READ(list)

    def indexed(list: ModelsDev) -> Index:
        if list.built_in and list.cache.read(FOLDER, "index") is None:
            list.cache.write(index(), FOLDER, "index")
        return INDEXED(list)  # type: ignore[no-any-return]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PROVIDERS, "func", read)
        patch.setattr(INDEX, "func", indexed)
        yield
