"""Known values of options and arguments, for the completion in shells: names from config.toml and from tables of modelbay.

They are read from files of this machine only: a key press must neither wait for a network nor call a provider. A configuration
that cannot be read completes nothing.
"""

from collections.abc import Iterable

import click
from click.shell_completion import CompletionItem

from modelbay.cli.terminal import GlobalOptions
from modelbay.config.load import load
from modelbay.config.schema import Config
from modelbay.errors import ModelbayError
from modelbay.storage.paths import STDIN

Items = list[CompletionItem[str]]


def models(ctx: click.Context, param: click.Parameter, typed: str) -> Items:
    """Aliases with their variants, and names of the form PROVIDER/MODEL_ID."""
    entries = _config(ctx).models
    found = {alias: entry.display_name or "" for alias, entry in entries.items()}
    for alias, entry in entries.items():
        others = [*entry.aliases, *(f"{alias}:{variant}" for variant in entry.variants)]
        if entry.provider and entry.model:
            others.append(f"{entry.provider}/{entry.model}")
        for name in others:
            found.setdefault(name, entry.display_name or "")
    return _beginning(typed, found.items())


def aliases(ctx: click.Context, param: click.Parameter, typed: str) -> Items:
    """Aliases of models."""
    return _beginning(typed, ((alias, entry.display_name or "") for alias, entry in _config(ctx).models.items()))


def providers(ctx: click.Context, param: click.Parameter, typed: str) -> Items:
    """IDs of providers."""
    return _beginning(typed, ((id, entry.name or "") for id, entry in _config(ctx).providers.items()))


def logins(ctx: click.Context, param: click.Parameter, typed: str) -> Items:
    """Platforms with a login, and providers."""
    from modelbay.providers import presets

    named = {way.id: preset.name for preset, way in presets.logins()}
    config = _config(ctx)
    named |= {id: entry.name or "" for id, entry in config.providers.items() if id not in named}
    return _beginning(typed, named.items())


def vendors(ctx: click.Context, param: click.Parameter, typed: str) -> Items:
    """IDs of vendors."""
    from modelbay.providers import presets

    return _beginning(typed, ((preset.id, preset.name) for preset in presets.offered()))


def agents(ctx: click.Context, param: click.Parameter, typed: str) -> Items:
    """Coding agents of `modelbay launch`."""
    from modelbay.launching.program import programs

    return _beginning(typed, ((program.id, program.title) for program in programs().values()))


def clients(ctx: click.Context, param: click.Parameter, typed: str) -> Items:
    """Names of the gateway's clients."""
    from modelbay.gateway.clients import ClientKeys

    try:
        named = [client.name for client in ClientKeys().all()]
    except ModelbayError:
        named = []
    return _beginning(typed, ((name, "") for name in named))


def efforts(ctx: click.Context, param: click.Parameter, typed: str) -> Items:
    """Reasoning efforts. A provider may accept others."""
    from modelbay.protocols.efforts import LEVELS

    return _beginning(typed, ((effort, "") for effort in ("off", *LEVELS)))


def settings(ctx: click.Context, param: click.Parameter, typed: str) -> Items:
    """Settings of a call, for `--option`."""
    from modelbay.cli.ask_options import GROUPS, settings_with_option

    named = [f"{name}." if name in GROUPS else f"{name}=" for name in settings_with_option()]
    return _beginning(typed, ((name, "") for name in named))


def paths(ctx: click.Context, param: click.Parameter, typed: str) -> Items:
    """Files, which the shell completes itself."""
    return [CompletionItem(typed, type="file")]


def _config(ctx: click.Context) -> Config:
    options = ctx.find_object(GlobalOptions) or GlobalOptions()
    if options.config == STDIN:
        return Config(path=STDIN)
    try:
        return load(options.config)
    except (ModelbayError, OSError):
        return Config(path=STDIN)


def _beginning(typed: str, values: Iterable[tuple[str, str]]) -> Items:
    """The values that begin as typed. Names with control characters cannot be typed."""
    return [
        CompletionItem(value, help=" ".join(help.split()) or None)
        for value, help in values
        if value.startswith(typed) and value.isprintable()
    ]
