"""Files that take seconds to build are built once per clone, by the first test process that needs them."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

from filelock import FileLock

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "servers"
WAIT = 300.0
"""Seconds to wait for another process that builds the same folder."""


def made_once(name: str, sources: bytes, make: Callable[[Path], None]) -> Path:
    """The folder `name`, filled by `make` once for these `sources`; a change of them fills it again.

    `make` fills a temporary folder that is then renamed, so a test run that is killed leaves no incomplete folder.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    CACHE.joinpath(".gitignore").write_text("*\n", encoding="utf-8")
    folder = CACHE / f"{name}-{hashlib.sha256(sources).hexdigest()[:12]}"
    with FileLock(CACHE / f"{name}.lock", timeout=WAIT):
        if not folder.is_dir():
            unfinished = Path(mkdtemp(prefix=f"{name}-unfinished-", dir=CACHE))
            try:
                make(unfinished)
                os.replace(unfinished, folder)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    return folder
