"""The files that modelbay ships beside its code: tables, presets and pages."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


def shipped_files(package: str) -> "Traversable":
    """The folder of a package that is imported."""
    place = Path(sys.modules[package].__path__[0])
    if place.is_dir():
        return place
    from importlib.resources import files  # for a zip file: it takes as long as a tenth of modelbay to import

    return files(package)
