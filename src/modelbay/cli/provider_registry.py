"""`modelbay provider add URL`, where a registry of several providers is at the URL."""

import asyncio
from collections.abc import Iterator
from shlex import quote

from modelbay.catalog.summary import counted
from modelbay.cli import adding, terminal
from modelbay.cli.adding import Choice
from modelbay.cli.key_input import Invalid, asked_key, given_key
from modelbay.cli.picker import asks
from modelbay.config.schema import Config
from modelbay.conversation import Json
from modelbay.errors import AuthenticationFailed, PermissionDenied
from modelbay.onboarding.sources import registries
from modelbay.onboarding.sources.merge import Written
from modelbay.onboarding.sources.registries import KEYS, Found, Given, Item, Proposal
from modelbay.secrecy import masked_url
from modelbay.storage.paths import environment

TOKEN = "KIMI_REGISTRY_API_KEY"
"""The variable that Kimi Code takes the token from by itself."""


def given(pairs: tuple[str, ...], token_is_key: bool) -> Given:
    """What `--provider-key ID=KEY` and `--token-is-key` say."""
    split = [pair.partition("=") for pair in pairs]
    if any(not (id.strip() and key.strip()) for id, _, key in split):
        raise Invalid(["--provider-key: write ID=KEY, as acme={env:ACME_API_KEY}"])
    keys = {
        id.strip(): str(given_key(key, f"--provider-key {id.strip()}", f"Key of {id.strip()}")) for id, _, key in split
    }
    return Given(keys=keys, token_is_key=token_is_key)


def add_from_url(config: Config, url: str, token: str | None, given: Given, choice: Choice) -> None:
    """Adds the registry at an address; one that is there already is renewed, with the token it has or a new one."""
    tokens = [token] if token else registries.urls_of(config).get(url.strip(), [])
    if not tokens and asks():
        asked = asked_key("the registry", None, needed=False)
        tokens = [asked] if asked else []
    try:
        with terminal.waiting(f"reading {masked_url(url)}"):
            found = asyncio.run(registries.fetched(config, url, tokens))
    except (AuthenticationFailed, PermissionDenied) as error:
        error.hint = refused_hint(tokens)
        raise
    _add(config, found, given, choice)


def refused_hint(given: object) -> str:
    """What to do where a document wants a token, or does not take the one that was `given`."""
    if given:
        return "the token was refused: give the new one with --api-key TOKEN"
    if environment(TOKEN):
        return f"{TOKEN} of your shell is not read by itself: --api-key '{{env:{TOKEN}}}' says that it may be"
    return "it wants a token: --api-key TOKEN"


def add_from_content(
    config: Config, content: Json, url: str | None, token: str | None, given: Given, choice: Choice
) -> None:
    """Adds a registry whose text is at hand; with `url`, it was fetched from there with the token."""
    if url is None and token:
        hint = "a file needs no token; the providers' own keys: --provider-key ID=KEY"
        raise Invalid(["--api-key: nothing is fetched"], hint)
    _add(config, registries.pasted(content, url, token), given, choice)


def _add(config: Config, found: Found, given: Given, choice: Choice) -> None:
    made = registries.propose(config, found, given)
    if not choice.yes and asks():
        for item in [item for item in made.items if item.wants_key]:
            terminal.note(f"{item.listed.name} is at {item.listed.api}")
            if key := asked_key(item.listed.name, None, needed=False):
                given.keys[item.listed.id] = key
        made = registries.propose(config, found, given)
    default = registries.alias_of(made, choice.default) if choice.default else None
    with terminal.waiting(f"writing {counted(len(made.items), 'provider')}"):
        edited = registries.add(config, made, default_model=default, dry_run=choice.dry_run)
    if adding.show_diff(edited, choice.dry_run):
        return
    report(made, edited.result)
    default = default or next((one.default_model for one in edited.result if one.default_model), None)
    if default:
        terminal.write(f"The default model is {default}\n")


def report(made: Proposal, written: list[Written]) -> None:
    """What was written, and what is left to do."""
    models = sum(len(item.made.models) for item in made.items)
    terminal.write(f"Imported {counted(len(made.items), 'provider')} ({counted(models, 'model')}) from {made.title}:\n")
    for item, one in _pairs(made, written):
        merged = one.models
        said = [counted(len(item.made.models), "model")]
        if not one.new:
            said += [
                f"{len(names)} {what}"
                for names, what in ((merged.added, "added"), (merged.changed, "changed"), (merged.removed, "removed"))
                if names
            ]
        place = "where it was" if one.elsewhere else f"{item.listed.type} at {masked_url(item.listed.api)}"
        terminal.write(f"  - {item.listed.id}  {place}  {', '.join(said)}; {KEYS[item.key]}\n")
    for one in written:
        if one.gone:
            terminal.write(f"Removed provider {one.provider}: the registry has it no more\n")
        for note in one.notes:
            terminal.warning(note)
    _notes(made, written)


def _pairs(made: Proposal, written: list[Written]) -> Iterator[tuple[Item, Written]]:
    return zip(made.items, (one for one in written if not one.gone), strict=True)


def _notes(made: Proposal, written: list[Written]) -> None:
    for item, one in _pairs(made, written):
        id = item.listed.id
        if one.elsewhere:
            terminal.warning(
                f"{id} stays where it is: the registry says that it is at {one.elsewhere} now, for which its key was not "
                f"given; to follow: --provider-key {id}=KEY"
            )
        elif item.wants_key:
            terminal.warning(f"{quote(id)} has no key yet: modelbay key set {quote(id)}")
        if item.listed.guessed:
            adding.say_guessed(id, item.listed.type)
        if one.models.incomplete:
            terminal.note(f"{id}: no model is removed, as the list was not read completely: {one.models.incomplete}")
        for name, why in one.models.kept.items():
            terminal.note(f"{name}: {why}")
    for left in made.left[: adding.REPORTED]:
        terminal.warning(f"left out: {left.where}: {left.why}")
    if len(made.left) > adding.REPORTED:
        terminal.warning(f"and {len(made.left) - adding.REPORTED} more were left out")
