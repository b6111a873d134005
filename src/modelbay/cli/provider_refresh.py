"""`modelbay provider refresh`."""

from typing import Any

import click

from modelbay import threads
from modelbay.catalog.summary import counted
from modelbay.cli import known_values, terminal
from modelbay.cli.prompts import agreed, asks
from modelbay.cli.terminal import GlobalOptions, pass_settings
from modelbay.config.load import load
from modelbay.config.schema import Config
from modelbay.onboarding.sources import daily, refresh
from modelbay.onboarding.sources.merge import Merged, WrittenProvider
from modelbay.onboarding.sources.refresh import RefreshResult
from modelbay.onboarding.sources.source_update import SourceUpdate
from modelbay.secrecy import masked_url, redact


@click.command()
@click.argument("id", required=False, shell_complete=known_values.providers)
@click.option("--dry-run", is_flag=True, help="Print the changes to config.toml without writing them.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--due", is_flag=True, hidden=True, help="Refresh silently, only providers that were not refreshed for a day."
)
@pass_settings
def refresh_provider(settings: GlobalOptions, /, id: str | None, dry_run: bool, as_json: bool, due: bool) -> int:
    """Update the provider ID, or every provider, from its source.

    The source is the provider's manifest, registry, entry in models.dev or model list. Your own settings are kept: overrides,
    fields, headers, aliases, comments, the default model. Providers with `model_source = "static"` are skipped. A refresh also
    runs automatically once a day, unless MODELBAY_REFRESH=off.
    """
    config = load(settings.config)
    if due:
        threads.run(daily.refresh_due(config))
        return 0
    entries = refresh.chosen(config, id)
    if not entries and not as_json:
        terminal.note("No provider has a source to refresh from")
        return 0
    with terminal.waiting(f"refreshing {counted(len(entries), 'provider')}", hidden=as_json):
        answers = threads.run(refresh.ask(config, entries))
    outcomes = []
    for answer in answers:
        agreed = not as_json and not dry_run and _is_agreed(config, answer)
        with terminal.waiting(f"writing {', '.join(answer.providers[:3])}", hidden=as_json):
            outcomes.append(refresh.write(config, answer, agreed=agreed, dry_run=dry_run))
    if as_json:
        terminal.write_json(_table(outcomes))
    for outcome in outcomes if not as_json else ():
        say(outcome, settings, dry_run=dry_run)
    return terminal.FAILED if any(outcome.error for outcome in outcomes) else 0


def say(outcome: RefreshResult, settings: GlobalOptions, *, dry_run: bool) -> None:
    """Write the result of a refresh."""
    answer = outcome.answer
    if outcome.error is not None:
        outcome.error.provider = outcome.error.provider or answer.providers[0]
        terminal.note(f"not changed: {', '.join(answer.providers)}")
        terminal.report(terminal.explained(outcome.error, settings))
        return
    if dry_run:
        terminal.write(outcome.diff)
    for one in outcome.written:
        if not dry_run or one.nothing:
            terminal.write(f"{one.provider}: {_summary(one)}\n")
            for text in filter(None, (*one.changed, one.renamed)):
                terminal.write(f"  ~ {text}\n")
            say_merged(one.models)
        for text in one.notes:
            terminal.note(f"  {text}")
    if answer.move is not None and not any(one.moved for one in outcome.written):
        terminal.warning(
            f"{answer.providers[0]}: the source has a new base URL, {masked_url(answer.move.new)}. It is not used, because the "
            f"API key would be sent there. To accept it, refresh on a terminal. Current base URL: {masked_url(answer.move.old)}"
        )


def say_merged(merged: Merged) -> None:
    """Write the models that were added, removed, changed and skipped."""
    for alias in merged.added:
        terminal.write(f"  + {alias}\n")
    for alias in merged.removed:
        terminal.write(f"  - {alias}\n")
    for alias, said in merged.changed.items():
        terminal.write(f"  ~ {alias}: {'; '.join(said)}\n")
    if merged.incomplete:
        terminal.note(f"  no model was removed, because the list is incomplete: {merged.incomplete}")
    for alias, why in merged.kept.items():
        terminal.note(f"  {alias}: {why}")


def _is_agreed(config: Config, answer: SourceUpdate) -> bool:
    """Whether the user accepts a new base URL of a provider."""
    if answer.move is None or not asks():
        return False
    id = answer.providers[0]
    terminal.note(
        f"The source has a new base URL for {id}: {masked_url(answer.move.old)} → {masked_url(answer.move.new)}"
    )
    entry = config.provider(id)
    own = [model for model in config.models.values() if model.provider == id and (model.api_key or model.oauth)]
    keyed = entry.api_key or entry.env or entry.oauth or entry.custom_headers or own
    key = "The API key will be sent there. " if keyed else ""
    return agreed(f"{key}Use the new base URL?")


def _summary(one: WrittenProvider) -> str:
    merged = one.models
    words = [f"{len(merged.added)} new"] if merged.added else []
    words += [f"{len(merged.removed)} removed"] if merged.removed else []
    words += [f"{len(merged.changed)} changed"] if merged.changed else []
    words += ["added"] if one.new else []
    words += ["removed: no longer in its source"] if one.gone else []
    words += ["base URL changed"] if one.moved else ["provider changed"] if one.changed or one.renamed else []
    return ", ".join(words) or "up to date"


def _table(outcomes: list[RefreshResult]) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    for outcome in outcomes:
        answer = outcome.answer
        if outcome.error is not None:
            error = redact(outcome.error.message)
            found += [{"provider": id, "kind": answer.kind, "error": error} for id in answer.providers]
        for one in outcome.written:
            move = answer.move
            found.append(
                {
                    "provider": one.provider,
                    "kind": answer.kind,
                    "new": one.new,
                    "gone": one.gone,
                    "provider_changed": [text for text in (*one.changed, one.renamed) if text],
                    "incomplete": one.models.incomplete,
                    "added": one.models.added,
                    "removed": one.models.removed,
                    "changed": one.models.changed,
                    "kept": one.models.kept,
                    "notes": one.notes,
                    "base_url_offered": masked_url(move.new) if move and not one.moved else None,
                }
            )
    return {"refreshed": found}
