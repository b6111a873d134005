"""`modelbay provider add`, `custom`, `manifest` and `models`: each begins a setup, and the terminal goes through its steps."""

from collections.abc import Callable
from typing import Any

import click

from modelbay.catalog.summary import counted, facts
from modelbay.cli import key_input, terminal, texts
from modelbay.cli.adding import (
    OPTIONS,
    Begin,
    Steps,
    carry_out,
    check_fields,
    fields_options,
    given_of,
    manner_of,
    manner_options,
    models_options,
    pairs,
)
from modelbay.cli.columns import write_rows
from modelbay.cli.key_input import Invalid, given_key
from modelbay.cli.prompts import asked, asks
from modelbay.cli.terminal import GlobalOptions, InputError, pass_settings
from modelbay.config.load import load
from modelbay.errors import ModelbayError
from modelbay.onboarding.setup.steps import Given
from modelbay.onboarding.sources import manifests
from modelbay.recognition import KINDS
from modelbay.storage.paths import expanded

WHAT, MANIFEST = "Vendor name, URL or file", "Manifest URL"
"""Prompts for the provider to begin with."""
AS = click.option("--as", "kind", type=click.Choice(KINDS), help="Treat WHAT as this kind instead of detecting it.")
ID = click.option("--id", metavar="ID", help="Provider ID. For a registry: ID of the only provider to add.")


@click.command()
@click.argument("what", required=False)
@AS
@ID
@fields_options
@click.option("--resource", metavar="NAME", help="Azure: resource name.")
@click.option("--deployment", metavar="NAME", help="Azure: name of the deployment.")
@click.option("--api-version", metavar="DATE", help="Azure: api-version of the older URLs.")
@click.option("--project", metavar="ID", help="Vertex AI: project ID.")
@click.option("--location", metavar="PLACE", help="Vertex AI: location, such as europe-west4 or global.")
@click.option("--provider-key", multiple=True, metavar="ID=KEY", help="Registry: API key of one provider. Repeatable.")
@click.option("--token-is-key", is_flag=True, help="Registry: use --api-key as the API key of its providers too.")
@models_options
@manner_options
@pass_settings
def add_provider(settings: GlobalOptions, /, what: str | None, **options: Any) -> None:
    """Add a provider and its models by vendor name, URL or file.

    WHAT is a vendor's name (openai, anthropic, openrouter, ollama …), a provider of the catalog, a base URL or a complete
    endpoint, azure, vertexai, local (a server on this machine), or a list of models, a manifest or a registry: a URL, a
    file, or - for standard input. A registry's token is --api-key.

    \b
      modelbay provider add anthropic
      modelbay provider add https://api.acme.example/v1 --api-key -
      modelbay provider add "https://gateway.example/api/v2/models/chat?team=7" --model acme-large
      modelbay provider add azure --resource acme-east --deployment gpt-5
      modelbay provider add https://acme.example/api.json --api-key TOKEN
    """
    given, again = _given(options), None

    def begin(what: str) -> Begin:
        return lambda setup: setup.start(what, given)

    if what is None:
        what, again = _asked(WHAT), _again(settings, WHAT, begin)
    if what == "-":
        what, given.content = "standard input", texts.piped_bytes("the provider")
    carry_out(load(settings.config, new=True), begin(what), manner_of(options), again)


@click.command()
@click.argument("id", required=False)
@fields_options
@models_options
@manner_options
@pass_settings
def custom_provider(settings: GlobalOptions, /, **options: Any) -> None:
    """Add a provider by its fields.

    On a terminal, the command prompts for missing fields. Without --model it detects the models, and on a terminal you choose
    among them.

    \b
      modelbay provider custom acme --name "Acme AI" --api openai_chat \\
        --base-url https://api.acme.example/v1 --header "X-Team: 7" --model acme-large="Acme Large"
    """
    manner = manner_of(options)
    manner.options = {**OPTIONS, "id": "ID"}
    given, config = given_of(options), load(settings.config, new=True)
    if not asks():
        check_fields(given, list(config.providers))
    carry_out(config, lambda setup: setup.custom(given), manner)


@click.command()
@click.argument("url", required=False, type=texts.Url())
@click.option(
    "--embedded", metavar="FILE|-", type=texts.PathOrUrl(), help="File with embedded JSON, or - for standard input."
)
@click.option("--id", metavar="ID", help="Provider ID. Default: derived from its name.")
@click.option("--api-key", type=key_input.KEY, metavar="KEY", help=key_input.HELP)
@click.option("--model", multiple=True, metavar="ID", help="Model to add. Repeatable. Default: all.")
@manner_options
@pass_settings
def manifest_provider(settings: GlobalOptions, /, url: str | None, embedded: str | None, **options: Any) -> None:
    """Add the provider of a manifest, at a URL or as embedded JSON.

    The changes are shown before they are written. Adding the same provider again updates it and keeps your own changes.

    \b
      modelbay provider manifest "https://api.acme.example/v1/models?provider=true" --api-key -
      modelbay provider manifest --embedded acme.json
    """
    if url is not None and embedded is not None:
        raise click.UsageError("pass a URL or --embedded, not both", click.get_current_context())
    given, again = given_of({**options, "kind": "manifest"}), None

    def begin(url: str) -> Begin:
        return lambda setup: setup.start(url, given)

    if embedded is not None:
        given.content = _text(embedded)
    elif url is None:
        if not asks():
            raise Invalid([manifests.NOTHING_GIVEN], manifests.GIVE)
        url, again = _asked(MANIFEST), _again(settings, MANIFEST, begin)
    carry_out(load(settings.config, new=True), begin(url or ""), manner_of(options), again)


@click.command()
@click.argument("what", required=False)
@AS
@fields_options
@click.option("--yes", is_flag=True, help="Do not prompt: use defaults and agree to send the key to the provider.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def models_provider(settings: GlobalOptions, /, what: str | None, as_json: bool, **options: Any) -> None:
    """List the models of a vendor, a URL or a configured provider.

    Nothing is added. WHAT is the ID of a configured provider, or any argument of `modelbay provider add`.
    """
    from modelbay.cli.model_show import as_table

    given, again = _given(options), None

    def begin(what: str) -> Begin:
        return lambda setup: setup.list_models(what, given)

    if what is None:
        what, again = _asked(WHAT), _again(settings, WHAT, begin)
    config = load(settings.config)
    if what == "-":
        what, given.content = "standard input", texts.piped_bytes("the provider")
    given.all_models = True
    steps = Steps(config, manner_of(options))
    preview = steps.preview(begin(what), again)
    if as_json:
        terminal.write_json({"source": preview.source, "models": [as_table(model) for model in preview.models]})
        return
    if not preview.models:
        terminal.note("No models listed")
    write_rows([(model.id, facts(model)) for model in preview.models])
    if preview.models:
        terminal.note(f"{counted(len(preview.models), 'model')}; nothing was added")


def _asked(prompt: str) -> str:
    """The provider to begin with, which was not given."""
    if not asks():
        raise click.UsageError("missing WHAT", click.get_current_context())
    return asked(prompt, None)


def _again(
    settings: GlobalOptions, prompt: str, begin: Callable[[str], Begin]
) -> Callable[[ModelbayError], Begin]:  # fmt: skip
    """Report the error of an answer to a prompt, and prompts again."""

    def again(failed: ModelbayError) -> Begin:
        terminal.report(terminal.explained(failed, settings))
        return begin(_asked(prompt))

    return again


def _given(options: dict[str, Any]) -> Given:
    given = given_of(options)
    keys = pairs(options.get("provider_key", ()), "--provider-key", "ID=KEY, such as acme={env:ACME_API_KEY}")
    given.provider_keys = {
        id: str(given_key(key, f"--provider-key {id}", f"API key for {id}")) for id, key in keys.items()
    }
    given.token_is_key = options.get("token_is_key", False)
    return given


def _text(embedded: str) -> bytes:
    if embedded == "-":
        return texts.piped_bytes("the manifest")
    try:
        return expanded(embedded).read_bytes()
    except OSError as error:
        raise InputError(f"{embedded} cannot be read: {error.strerror}") from None
