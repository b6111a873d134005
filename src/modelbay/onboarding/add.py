"""Writes a new provider with the chosen models and the facts about them."""

from msgspec.structs import replace

from modelbay.catalog.lookup import Catalog
from modelbay.config import changes
from modelbay.config.changes import WriteResult
from modelbay.config.edit import Edit, Edited, apply
from modelbay.config.provider_types import TYPE_OF
from modelbay.config.schema import Config, Table
from modelbay.draft import joined
from modelbay.onboarding.choose_models import ENDING, settle_default
from modelbay.onboarding.probe import Detected
from modelbay.onboarding.sources import own_list


def add(
    config: Config,
    detected: Detected,
    tables: dict[str, Table],
    *,
    default_model: str | None = None,
    dry_run: bool = False,
) -> Edited[WriteResult]:
    """Add the provider with its models. `default_model` is an alias. Without it, one of these models becomes the default if
    none is set yet.

    Raises:
        ConfigError: the file cannot be changed, or one of its entries could not be used.
    """
    made = detected.draft
    tables = _spoken(config, detected, tables)
    listed = detected.discovery.models if detected.discovery else []
    ending = {model.id for model in listed if model.status in ENDING}

    def change(edit: Edit) -> WriteResult:
        put = changes.add_provider(edit, made.id, made.table, tables, default_model=default_model)
        return replace(put, default_model=default_model or settle_default(edit, [made.id], ending))

    edited = apply(change, config.path, dry_run=dry_run)
    if not dry_run:
        remember(config, detected)
    return edited


def remember(config: Config, detected: Detected) -> None:
    """Store the list, so that its facts about models are available later, and the next refresh knows what is new."""
    if detected.discovery is None:
        return
    _, found = joined(config, detected.draft)
    if found.provider.source is None:
        own_list.remember(found, detected.discovery, Catalog())
    else:
        Catalog().remember(found, detected.discovery)


def _spoken(config: Config, detected: Detected, tables: dict[str, Table]) -> dict[str, Table]:
    """The models' tables, with the protocol of each model that differs from its provider's: Claude at Vertex AI."""
    usual = joined(config, detected.draft)[1].protocol
    speaks = {model.id: model.protocol for model in detected.models}
    return {
        alias: table if (own := speaks.get(table["model"])) in (None, usual) else {**table, "protocol": TYPE_OF[own]}
        for alias, table in tables.items()
    }
