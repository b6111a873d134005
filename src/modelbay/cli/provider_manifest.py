"""`modelbay provider manifest`: a provider by what it says of itself."""

import asyncio
from typing import Any

import click

from modelbay.catalog.summary import counted, facts
from modelbay.cli import adding, key_input, terminal, texts
from modelbay.cli.adding import Choice
from modelbay.cli.columns import write_rows
from modelbay.cli.key_input import Invalid, asked_key, given_key
from modelbay.cli.picker import asks
from modelbay.cli.terminal import Settings, Unreadable, pass_settings
from modelbay.config.load import load
from modelbay.config.schema import Config
from modelbay.conversation import Json
from modelbay.errors import ModelbayError
from modelbay.onboarding import fields as dialog
from modelbay.onboarding.sources import manifests
from modelbay.onboarding.sources.manifests import Consent, Proposal
from modelbay.onboarding.sources.merge import Written
from modelbay.origin import Origin
from modelbay.secrecy import masked_url
from modelbay.storage.paths import expanded

SHOWN = 10
"""How many models are named before it is written; the others are counted."""


@click.command()
@click.argument("url", required=False)
@click.option("--embedded", metavar="FILE|-", help="Embedded JSON in a file or, as -, on standard input.")
@click.option("--id", metavar="ID", help="What to call the provider; else its name decides.")
@click.option("--api-key", metavar="KEY", help=key_input.HELP)
@click.option("--default-model", metavar="ID", help="Make this model of it the default.")
@click.option("--yes", is_flag=True, help="Agree to all that would be asked, also to where the key goes.")
@click.option("--dry-run", is_flag=True, help="Print what would change in config.toml, and change nothing.")
@pass_settings
def manifest_provider(
    settings: Settings, /, url: str | None, embedded: str | None, id: str | None, api_key: str | None, **options: Any
) -> None:
    """Add the provider that the manifest at URL tells of, or that its embedded JSON does.

    What will be written is shown first. Adding the same one again renews it; what you wrote there yourself stays.

    \b
      modelbay provider manifest "https://api.acme.example/v1/models?provider=true" --api-key -
      modelbay provider manifest --embedded acme.json
    """
    config = load(settings.config)
    key = given_key(api_key)
    choice = Choice(default=options["default_model"], yes=options["yes"], dry_run=options["dry_run"])
    if url is not None and embedded is not None:
        raise click.UsageError("name a URL or --embedded, not both", click.get_current_context())
    if url is not None and url.strip():
        add_from_url(config, url, id, key, choice)
    elif embedded is not None:
        add_from_text(config, _text(embedded), id, key, choice)
    else:
        raise Invalid([manifests.NOTHING_GIVEN], manifests.GIVE)


def add_from_url(config: Config, url: str, id: str | None, key: str | None, choice: Choice) -> None:
    """Adds the provider whose manifest is at an address."""
    agreed: Origin | None = None
    while True:
        with terminal.waiting(f"reading {masked_url(url)}"):
            found = asyncio.run(manifests.from_url(config, url, id=id, key=key, agreed=agreed))
        if isinstance(found, Proposal):
            add(config, found, key, choice)
            return
        agreed = _agreed(found, choice)


def add_from_text(config: Config, text: bytes | Json, id: str | None, key: str | None, choice: Choice) -> None:
    """Adds the provider of embedded JSON."""
    add(config, manifests.from_text(config, text, id=id), key, choice)


def add(config: Config, proposal: Proposal, key: str | None, choice: Choice) -> None:
    """Shows what will be written, asks, writes, and says what was written."""
    if not proposal.said.models:
        _say_none(proposal)
    proposal = _with_id(config, proposal, choice)
    show(proposal)
    if key is None and proposal.wants_key and not choice.yes and not choice.dry_run and asks():
        key = asked_key(proposal.said.manifest.name, None, needed=False)
    if not choice.dry_run and not choice.yes:
        if not asks():
            raise click.UsageError("it is only added with --yes where nobody can be asked", click.get_current_context())
        click.confirm("Add it?" if not proposal.again else "Renew it?", default=True, abort=True, err=True)
    with terminal.waiting(f"writing {counted(len(proposal.said.models), 'model')}"):
        done = manifests.add(config, proposal, key=key, default_model=choice.default, dry_run=choice.dry_run)
    if adding.show_diff(done, choice.dry_run):
        return
    report(proposal, done.result)
    adding.say_default(config, done.result.provider, done.result.default_model)


def show(proposal: Proposal) -> None:
    """What will be written, and where the key will go."""
    manifest = proposal.said.manifest
    terminal.note(f"{manifest.name}{f' ({manifest.website})' if manifest.website else ''}")
    terminal.note(f"  id           {proposal.id}{', which is there and will be renewed' if proposal.again else ''}")
    terminal.note(f"  base URL     {masked_url(manifest.base_url)}")
    terminal.note(f"  the key goes to {proposal.key_goes_to} and nowhere else")
    terminal.note(f"  {counted(len(proposal.models), 'model')}")
    for model in proposal.models[:SHOWN]:
        terminal.note(f"    {'  '.join(word for word in (model.id, facts(model)) if word)}")
    if len(proposal.models) > SHOWN:
        terminal.note(f"    … and {counted(len(proposal.models) - SHOWN, 'model')} more")
    if proposal.said.others:
        terminal.note(f"  {counted(proposal.said.others, 'model')} that cannot be talked to are left out")
    for text in proposal.said.notes:
        terminal.note(f"  {text}")


def report(proposal: Proposal, written: Written) -> None:
    """What was written."""
    verb = "Renewed" if proposal.again else "Added"
    terminal.write(f"{verb} provider {written.provider}: {proposal.said.manifest.name} at {proposal.key_goes_to}\n")
    merged = written.models
    known = {model.alias: model for model in proposal.models}
    write_rows(
        [(alias, facts(known[alias]) if alias in known else "") for alias in merged.added[: adding.REPORTED]],
        indent="  ",
    )
    if len(merged.added) > adding.REPORTED:
        terminal.write(f"  … and {counted(len(merged.added) - adding.REPORTED, 'model')} more\n")
    if proposal.again:
        from modelbay.cli.provider_refresh import say_merged

        say_merged(merged)


def _agreed(consent: Consent, choice: Choice) -> Origin:
    """The origin that the key may go to, if somebody says so."""
    said = f"{consent.why}\nthe manifest says that the provider is at {consent.origin}"
    if choice.yes:
        return consent.origin
    if not asks():
        raise ModelbayError(
            f"{said}, and nobody can be asked whether the key may go there", hint="--yes agrees to it beforehand"
        )
    terminal.note(said)
    click.confirm(f"Send the key to {consent.origin}?", abort=True, err=True)
    return consent.origin


def _with_id(config: Config, proposal: Proposal, choice: Choice) -> Proposal:
    """The proposal under an id that is free."""
    while (problem := dialog.id_problem(proposal.id, [])) or proposal.taken:
        if not problem:
            problem = f'provider "{proposal.id}" already exists, from another source'
        other = manifests.another_id(config, manifests.slug(proposal.said.manifest))
        if choice.yes or not asks():
            raise Invalid([f"--id: {problem}"], f"name this one with --id, as --id {other}")
        terminal.note(problem)
        proposal = manifests.renamed(config, proposal, click.prompt("Another id", default=other, err=True).strip())
    return proposal


def _say_none(proposal: Proposal) -> None:
    """That there is nothing to add."""
    others = proposal.said.others
    if others:
        terminal.warning(f"{counted(others, 'model')} of its list cannot be talked to")
    raise ModelbayError(manifests.NO_MODELS, hint=manifests.HAVE_MODELS)


def _text(embedded: str) -> bytes:
    if embedded == "-":
        return texts.piped_bytes("the manifest")
    try:
        return expanded(embedded).read_bytes()
    except OSError as error:
        raise Unreadable(f"{embedded} cannot be read: {error.strerror}") from None
