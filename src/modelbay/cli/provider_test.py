"""`modelbay provider test` and `modelbay provider detect`."""

from shlex import quote
from typing import Any

import click

from modelbay import threads
from modelbay.catalog.summary import counted
from modelbay.cli import known_values, terminal
from modelbay.cli.checks import show_check
from modelbay.cli.columns import write_rows
from modelbay.cli.terminal import FAILED, GlobalOptions, pass_settings
from modelbay.cli.texts import ModelName
from modelbay.config.load import load
from modelbay.config.schema import Config
from modelbay.onboarding.model_checks import Check
from modelbay.onboarding.provider_test import NEEDED, forget, provider_checks


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...", shell_complete=known_values.providers)
@click.option(
    "--model",
    "models",
    type=ModelName(),
    metavar="ID",
    shell_complete=known_values.models,
    multiple=True,
    help="Model ID or alias to test with (repeatable with --deep). Default: the first configured model.",
)
@click.option("--deep", "is_deep", is_flag=True, help="Test what each model can do, and store the results.")
@click.option("--yes", is_flag=True, help="Agree to the cost of --deep without a prompt.")
@click.option("--forget", "forgets", is_flag=True, help="Delete lessons and deep test results of the provider first.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def test_provider(
    settings: GlobalOptions,
    /,
    ids: tuple[str, ...],
    models: tuple[str, ...],
    is_deep: bool,
    yes: bool,
    forgets: bool,
    as_json: bool,
) -> int:
    """Test connection, API key, protocol, streaming, tools, thinking and images of providers. Without ID, test all.

    Each test makes up to eight small calls, which cost a few tokens. A check is yes only if it was observed: a reply, several
    pieces, a call that matches the tool's schema, thinking, the colors of two pictures. Otherwise it is unknown, with the reason.
    The exit code is 1 if a provider cannot be used.

    With --deep, it also tests parallel and forced tool calls, strict schemas, JSON output, thinking in tool loops, the prompt
    cache, token usage and limits, with up to 49 calls for each model. It shows the cost first and sends nothing until you agree.
    The results become facts about the model: `modelbay model show`. The exit code is 1 if a test ended early.
    """
    config = load(settings.config)
    names = list(ids) or list(config.providers)
    if len(models) > 1 and not is_deep:
        raise click.UsageError("several --model options require --deep", click.get_current_context())
    if not names:
        terminal.note("No providers configured; add one with `modelbay provider add`")
    for id in names if forgets else ():
        _forget(config, id)
    if is_deep and names:
        from modelbay.cli.deep_test import deep

        return deep(config, ids, models, yes=yes, as_json=as_json)
    found: dict[str, list[Check]] = {}
    for id in names:
        with terminal.waiting(f"testing {id}", hidden=as_json):
            found[id] = threads.run(_checks(config, id, models[0] if models else None))
        if not as_json:
            _show(id, found[id], several=len(names) > 1)
    if as_json:
        terminal.write_json(found)
    bad = any(check.result == "no" and check.name in NEEDED for checks in found.values() for check in checks)
    return FAILED if bad else 0


def _forget(config: Config, id: str) -> None:
    lessons, results = forget(config, id)
    terminal.note(f"deleted {counted(lessons, 'lesson')} about {id}" if lessons else f"no lessons about {id}")
    if results:
        terminal.note(f"deleted the results of {counted(results, 'deep test')} of {id}")


async def _checks(config: Config, id: str, model: str | None) -> list[Check]:
    return [check async for check in provider_checks(config, id, model)]


def _show(id: str, checks: list[Check], *, several: bool) -> None:
    if several:
        terminal.write(f"{id}\n")
    for check in checks:
        show_check(check, max(len(check.name) for check in checks))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def detect_provider(settings: GlobalOptions, /, as_json: bool) -> None:
    """Find local model servers on their default ports: Ollama, LM Studio, llama.cpp, vLLM, SGLang, Jan."""
    from modelbay.onboarding.local_servers import local_servers, usual

    config = load(settings.config)
    with terminal.waiting("looking for local servers", hidden=as_json):
        found = threads.run(local_servers(config))
    if as_json:
        servers: list[dict[str, Any]] = [
            {"name": one.name, "vendor": one.preset.id if one.preset else None, "base_url": one.base_url,
             "models": one.models, "locked": one.locked, "provider": one.provider}
            for one in found
        ]  # fmt: skip
        terminal.write_json({"servers": servers})
        return
    if not found:
        terminal.note(f"No local server found on the default ports of {', '.join(one.name for one in usual())}")
        return
    rows = []
    for one in found:
        models = "requires an API key" if one.locked else counted(len(one.models), "model") + ": " * bool(one.models)
        rows.append((one.name, one.base_url, models + ", ".join(one.models[:3]) + " …" * (len(one.models) > 3)))
    write_rows(rows)
    for one in found:
        if one.provider is None:
            name = one.preset.id if one.preset and one.preset.base_url == one.base_url else one.base_url
            terminal.note(f"add {one.name} with `modelbay provider add {quote(name)}`")
