"""The output of `modelbay model list`, `search` and `show`."""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct, to_builtins
from msgspec.structs import replace

from modelbay.catalog.facts import PROBE
from modelbay.catalog.lists.entry import Listed
from modelbay.catalog.lookup import Catalog, probed_endpoint
from modelbay.catalog.search import search
from modelbay.catalog.summary import counted, dollars, facts, prices, size
from modelbay.cli import terminal
from modelbay.cli.columns import write_rows
from modelbay.cli.project import note_pin
from modelbay.config.schema import MANIFEST, Config
from modelbay.errors import ConfigError, UnknownModel
from modelbay.hub import Hub
from modelbay.model import Cost, Model
from modelbay.onboarding.probe import listed
from modelbay.project_pins import PinnedConfig
from modelbay.providers.upstream import upstream
from modelbay.storage.probes import ProbedEndpoint, ProbeRecord

NAMES = {
    "name": "name",
    "family": "family",
    "max_context_tokens": "context window",
    "max_input_tokens": "max input",
    "max_output_tokens": "max output",
    "efforts": "efforts",
    "default_effort": "default effort",
    "off_effort": "off effort",
    "reasoning_key": "reasoning key",
    "cost": "price",
}
"""Labels of the facts."""
INFORMATION = {
    "attachment": "attachments",
    "open_weights": "open weights",
    "release_date": "released",
    "last_updated": "updated",
}
"""Labels of a manifest's keys that have no effect."""


class FoundModel(Struct):
    """A model in a search, and its source."""

    id: str
    name: str | None
    provider: str
    where: str
    shown: str
    model: Model | None = None
    raw: dict[str, Any] | None = None


def list_models(made: PinnedConfig, provider: str | None, *, as_json: bool) -> None:
    config = made.config
    hub = Hub(config)
    for problem in hub.problems:
        terminal.warning(str(problem))
    if provider is not None:
        config.provider(provider)
    models = [model for model in hub.models() if provider in (None, model.provider)]
    if as_json:
        pinned_by = str(made.pins.path) if made.pins is not None and made.default is not None else None
        terminal.write_json(
            {
                "models": [as_table(model) for model in models],
                "default_model": config.default_model,
                "default_model_pinned_by": pinned_by,
            }
        )
        return
    if not models:
        terminal.note("No models configured; add a provider with `modelbay provider add`")
        return
    default = _default_alias(config)
    write_rows(
        [
            (
                f"{'*' if model.alias == default else ' '} {model.alias}",
                model.provider,
                "" if model.alias == f"{model.provider}/{model.id}" else model.id,
                facts(model),
            )
            for model in models
        ]
    )
    note_pin(made)


def _default_alias(config: Config) -> str | None:
    try:
        return config.model().alias
    except UnknownModel:
        return None


def search_models(config: Config, words: str, limit: int, *, as_json: bool) -> None:
    rows = _rows(config)
    found = search(words, rows, limit)
    if as_json:
        models = [{"name": row.shown, "id": row.id, "provider": row.provider, "where": row.where} for row in found]
        terminal.write_json({"models": models})
        return
    if not found:
        terminal.note(f'No model matches "{words}" ({counted(len(rows), "model")} searched)')
        return
    write_rows([(row.shown, row.where, _facts_of(row)) for row in found])


def show_model(config: Config, name: str | None, *, as_json: bool) -> None:
    hub = Hub(config)
    model = hub.model(name)
    entry = config.model(name)
    found = upstream(config, config.provider_of(entry), entry)
    record, outdated = hub.catalog.record(entry, found), hub.catalog.outdated(entry, found)
    if as_json:
        terminal.write_json(as_table(model) | ({"probe": record_table(record)} if record else {}))
        return

    def source(fact: str) -> str:
        said = model.sources.get(fact, "")
        return f"{said} {date(record.when)}" if record is not None and said == PROBE else said

    rows = [("alias", model.alias, ""), ("id", model.id, ""), ("provider", model.provider, "")]
    rows += [("base_model", model.base_model, "config")] if model.base_model else []
    rows += [("protocol", str(model.protocol), "")]
    for fact, title in NAMES.items():
        value = getattr(model, fact)
        if value not in (None, "", []):
            rows.append((title, _said(value), source(fact)))
    for capability, can in sorted(model.capabilities.items()):
        rows.append((capability, "yes" if can else "no", source(capability)))
    for key, value in entry.listed.items():
        if key in INFORMATION:
            rows.append((INFORMATION[key], {True: "yes", False: "no"}.get(value, str(value)), MANIFEST))
    for variant, settings in model.variants.items():
        keys = ", ".join(f"{key}={msgspec.json.encode(value).decode()}" for key, value in settings.items())
        rows.append((f":{variant}", keys, "config"))
    write_rows(rows)
    if record is not None:
        terminal.write(f"\nprovider test of {date(record.when)}\n")
        write_rows([(check, one.result, one.detail) for check, one in record.checks.items()], indent="  ")
    if outdated is not None:
        now = probed_endpoint(entry, found)
        terminal.note(f"the provider test of {date(outdated.when)} is ignored: {_difference(outdated.endpoint, now)}")


def date(when: float) -> str:
    """The local date of a time in seconds since 1970."""
    return datetime.fromtimestamp(when).astimezone().date().isoformat()


def record_table(record: ProbeRecord) -> dict[str, Any]:
    """The results of a provider test for JSON."""
    checks = {
        name: {"result": one.result, "date": date(one.when), "detail": one.detail}
        | ({} if one.value is None else {"value": one.value})
        for name, one in record.checks.items()
    }
    return {"date": date(record.when), **to_builtins(record.endpoint), "checks": checks}


def _difference(old: ProbedEndpoint, new: ProbedEndpoint) -> str:
    """The first value that differs between two endpoints."""
    for name, title in (("base_url", "base URL"), ("protocol", "protocol"), ("model", "model ID")):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            return f"the {title} was {before}"
    return "the provider changed"


def as_table(model: Model) -> dict[str, Any]:
    """A model for JSON, with its facts and their sources."""
    table: dict[str, Any] = to_builtins(replace(model, extra={}))  # extra may contain secrets
    table.pop("extra", None)
    return table


def _said(value: object) -> str:
    if isinstance(value, Cost):
        more = [(value.cache_read, "cache read"), (value.cache_write, "cache write")]
        return ", ".join([prices(value), *(f"${dollars(price)} {what}" for price, what in more if price is not None)])
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return size(value) if isinstance(value, int) else str(value)


def _rows(config: Config) -> list[FoundModel]:
    """The models that a search covers: configured ones, other models that the providers list, and models.dev."""
    catalog = Catalog()
    rows = [
        FoundModel(model.id, f"{model.alias} {model.name or ''}", model.provider, "configured", model.alias, model)
        for model in Hub(config).models()
    ]
    mine = {(row.provider, row.id) for row in rows}
    for provider in config.providers.values():
        try:
            found = upstream(config, provider)
        except ConfigError:
            continue
        seen = catalog.seen(found)
        others: list[Listed] = (
            [one for one in seen.models.values() if (provider.id, one.id) not in mine] if seen else []
        )
        for model in listed(others, found, catalog):
            shown = f"{provider.id}/{model.id}"
            rows.append(FoundModel(model.id, model.name, provider.id, f"listed by {provider.id}", shown, model))
    for id, entry in catalog.models_dev.providers.items():
        for wire_id, raw in entry["models"].items():
            if isinstance(raw, dict):
                name = raw.get("name")
                rows.append(
                    FoundModel(
                        wire_id, name if isinstance(name, str) else None, id, "models.dev", f"{id}/{wire_id}", raw=raw
                    )
                )
    return rows


def _facts_of(row: FoundModel) -> str:
    if row.model is not None:
        return facts(row.model)
    if row.raw is None:
        return ""
    from modelbay.catalog.facts import fill
    from modelbay.catalog.models_dev.index import IndexEntry

    model = Model(id=row.id)
    fill(model, IndexEntry(row.provider, row.id, row.raw).facts, "models.dev")
    return facts(model)
