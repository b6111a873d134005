"""Removes providers from the configuration and from the cache."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from modelbay.catalog.lookup import Catalog
from modelbay.config import changes
from modelbay.config.changes import Removed
from modelbay.config.edit import Edited, apply
from modelbay.errors import ConfigError
from modelbay.onboarding.sources import merge as merging


def remove(path: Path | None, ids: Sequence[str], *, dry_run: bool = False) -> Edited[list[Removed]]:
    """Remove providers and their models: all of them, or none.

    Raises:
        UnknownProvider: a provider does not exist.
        ConfigError: the file cannot be changed.
    """
    edited = apply(lambda edit: [changes.remove_provider(edit, id) for id in ids], path, dry_run=dry_run)
    if not dry_run:
        catalog = Catalog()
        for id in ids:
            catalog.forget(id)
            merging.forget(id)
            with suppress(ConfigError):  # unused results do no harm
                catalog.probes.forget(id)
    return edited
