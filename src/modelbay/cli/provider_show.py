"""`modelbay provider list` and `modelbay provider show`. Their output never contains secrets, not even with `--json`."""

from shlex import quote
from typing import Any

import click

from modelbay.catalog.summary import counted
from modelbay.cli import known_values, terminal
from modelbay.cli.columns import write_rows
from modelbay.cli.terminal import GlobalOptions, pass_settings
from modelbay.config.diff import masked_value
from modelbay.config.load import load
from modelbay.config.schema import Config, ProviderEntry
from modelbay.credentials.credential import has_auth_header, key_names
from modelbay.errors import ConfigError
from modelbay.providers import presets
from modelbay.providers.logins import managing
from modelbay.providers.upstream import Upstream, upstream
from modelbay.secrecy import REFERENCE, masked_text, masked_url, shown


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def list_providers(settings: GlobalOptions, /, as_json: bool) -> None:
    """List the configured providers."""
    config = load(settings.config)
    for problem in config.problems + presets.problems():
        terminal.warning(str(problem))
    entries = [entry for _, entry in sorted(config.providers.items())]
    found = [summary(config, entry) for entry in entries if managing(entry) is None]
    kept = [summary(config, entry) for entry in entries if managing(entry) is not None]
    if as_json:
        terminal.write_json({"providers": found, "logins": kept, "default_model": config.default_model})
        return
    if not found and not kept:
        unusable = f"No usable provider in {config.path}; list its errors with `modelbay config check`"
        terminal.note(unusable if config.problems else "No providers configured; add one with `modelbay provider add`")
        return
    write_rows([_row(one) for one in found])
    if kept:
        terminal.write("\n" * bool(found) + "Logged in (remove with `modelbay logout`)\n")
        write_rows([_row(one) for one in kept], indent="  ")
    if config.default_model:
        terminal.write(f"\nDefault model: {config.default_model}\n")


def _row(one: dict[str, Any]) -> list[str]:
    place = one["base_url"] or one["problem"] or ""
    source = one["source"] or {}
    url = f"({source['url']})" if source.get("url") else ""
    came = f"source={source['kind']}{url}" if source.get("kind") else ""
    return [one["id"], f"type={one['type'] or '?'}", f"models={one['models']}", place, one["credential"], came]


list_provider = list_providers
"""The command's name is `list`."""


@click.command()
@click.argument("id", shell_complete=known_values.providers)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def show_provider(settings: GlobalOptions, /, id: str, as_json: bool) -> None:
    """Show the provider ID: base URL, credential, models, and parameters that its endpoint rejected."""
    config = load(settings.config)
    entry = config.provider(id)
    about = details(config, entry)
    if as_json:
        terminal.write_json(about)
        return
    shown = {key: value for key, value in about.items() if key not in ("models", "lessons", "headers", "list")}
    write_rows([(key.replace("_", " "), _text(value)) for key, value in shown.items() if value not in (None, "", {})])
    _write_section("headers", [f"{name}: {value}" for name, value in about["headers"].items()])
    _write_section("models", [f"{alias}  ({wire_id})" for alias, wire_id in about["models"].items()])
    if about["list"]:
        seen = about["list"]
        terminal.write(f"\nmodel list  {counted(seen['models'], 'model')} at {seen['url']}, {seen['age']} ago\n")
    lines = [f"{lesson['model']}: {lesson['lesson']}" for lesson in about["lessons"]]
    _write_section("lessons", lines)
    if lines:
        terminal.note(f"delete lessons with `modelbay provider test {quote(id)} --forget`")


def _text(value: object) -> str:
    return ", ".join(f"{name}={item}" for name, item in value.items()) if isinstance(value, dict) else str(value)


def summary(config: Config, entry: ProviderEntry) -> dict[str, Any]:
    """The facts about a provider that a list shows."""
    found, problem = _upstream(config, entry)
    return {
        "id": entry.id,
        "name": entry.name,
        "type": entry.type,
        "protocol": found.protocol if found else None,
        "base_url": _shown_url(found.base_url if found else entry.base_url),
        "models": sum(model.provider == entry.id for model in config.models.values()),
        "credential": credential(config, entry),
        "source": _source(entry),
        "problem": problem,
    }


def details(config: Config, entry: ProviderEntry) -> dict[str, Any]:
    """All facts about a provider."""
    from modelbay.providers.adaptation import Adaptation
    from modelbay.storage.lessons import LessonBook

    found, _ = _upstream(config, entry)
    lessons = LessonBook().at(str(found.origin)) if found else {}
    return {
        **summary(config, entry),
        "vendor": found.preset.name if found and found.preset else None,
        "vendor_file": found.preset.file if found and found.preset else None,
        "full_url": entry.full_url,
        "api_version": entry.api_version,
        "default_model": entry.default_model,
        "headers": masked_value(("providers", entry.id, "custom_headers"), dict(entry.custom_headers)),
        "env": masked_value(("providers", entry.id, "env"), dict(entry.env)),
        "proxy": masked_value(("providers", entry.id, "proxy"), entry.proxy),
        "models": {model.alias: model.model for model in config.models.values() if model.provider == entry.id},
        "list": _list(found) if found else None,
        "lessons": [
            {"model": model, "lesson": str(Adaptation(**lesson))}
            for model, learnt in lessons.items()
            for lesson in learnt
        ],
    }


def credential(config: Config, entry: ProviderEntry) -> str:
    """The kind of credential that is used, without the secret."""
    if entry.auth == "none":
        return "header" if has_auth_header(entry) else "none needed"
    if entry.api_key:
        return masked_text(entry.api_key) if REFERENCE.fullmatch(entry.api_key) else "API key in config.toml"
    if any(entry.env.get(name) for name in key_names(entry)):
        return "API key in the env table"
    if entry.oauth:
        return "login"
    if has_auth_header(entry):
        return "header"
    found, _ = _upstream(config, entry)
    if found and found.place and found.preset and found.preset.addressing == "vertexai":
        return "Google's default credentials"
    keyless = found is not None and (found.origin.loopback or (found.preset is not None and found.preset.keyless))
    return "none needed" if keyless else "no API key"


def _upstream(config: Config, entry: ProviderEntry) -> tuple[Upstream | None, str | None]:
    try:
        return upstream(config, entry), None
    except ConfigError as error:
        return None, shown(error.message)


def _shown_url(url: str | None) -> str | None:
    return masked_url(url) if url else None


def _source(entry: ProviderEntry) -> dict[str, Any] | None:
    shown: dict[str, Any] | None = (
        masked_value(("providers", entry.id, "source"), entry.source) if entry.source else None
    )
    return shown


def _list(found: Upstream) -> dict[str, Any] | None:
    """The last model list of the provider that was fetched."""
    from time import time

    from modelbay.catalog.lookup import Catalog

    seen = Catalog().seen(found)
    return None if seen is None else {"models": len(seen.models), "url": seen.url, "age": age(time() - seen.when)}


def age(seconds: float) -> str:
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            return counted(int(seconds // length), unit)
    return "less than a minute"


def _write_section(title: str, lines: list[str]) -> None:
    if lines:
        terminal.write(f"\n{title}\n" + "".join(f"  {line}\n" for line in lines))
