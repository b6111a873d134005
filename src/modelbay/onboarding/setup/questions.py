"""Questions and checks that all flows share: ID, API key, settings and models of a provider."""

from msgspec.structs import asdict, replace

from modelbay.config.proxies import NONE
from modelbay.config.schema import Table
from modelbay.credentials.approval import place_of
from modelbay.draft import Draft
from modelbay.errors import InvalidValue
from modelbay.onboarding import fields
from modelbay.onboarding.fields import ModelRow
from modelbay.onboarding.setup.run import SetupRun
from modelbay.onboarding.setup.steps import Given, SetupQuestion
from modelbay.providers import presets
from modelbay.recognition import TITLES, Kind
from modelbay.secrecy import REFERENCE
from modelbay.storage.paths import environment

TOKEN = "KIMI_REGISTRY_API_KEY"
"""The environment variable from which Kimi Code reads a registry's token."""


ONLY_FOR: dict[str, tuple[str, Kind]] = {
    "resource": ("--resource", "azure"),
    "deployment": ("--deployment", "azure"),
    "api_version": ("--api-version", "azure"),
    "project": ("--project", "vertexai"),
    "location": ("--location", "vertexai"),
    "provider_keys": ("--provider-key", "registry"),
    "token_is_key": ("--token-is-key", "registry"),
}
"""Values that only one kind of provider has: the option, and the kind."""
OF_THE_SOURCE = {
    "base_models": "--base-model",
    "base_url": "--base-url",
    "dialect": "--dialect",
    "full_url": "--full-url",
    "headers": "--header",
    "name": "--name",
    "protocol": "--api",
    "proxy": "--proxy",
    "timeout": "--timeout",
}
"""Values that a manifest, a registry or the catalog decides, or that can only be set after the provider was added."""
SOURCES: tuple[Kind, ...] = ("manifest", "registry", "catalog")


def check_kind(given: Given, kind: Kind | None) -> None:
    """Refuse values that a provider of this kind does not have, so that none is ignored.

    Raises:
        InvalidValue: a value is for another kind.
    """
    title = TITLES[kind] if kind else "this provider"
    for name, (option, only) in ONLY_FOR.items():
        if getattr(given, name) and kind != only:
            raise InvalidValue(f"{option} is only for {TITLES[only]}, not for {title}", hint=f"leave {option} out")
    for name, option in OF_THE_SOURCE.items() if kind in SOURCES else ():
        if getattr(given, name) in (None, [], {}) or (name, kind) == ("base_url", "catalog"):
            continue
        hint = f"leave {option} out, and set it afterwards with `modelbay provider edit`"
        raise InvalidValue(f"{option} cannot be set while {title} is added", hint=hint)


def new_id(run: SetupRun, suggested: str | None) -> str:
    """Ask for the ID of a new provider."""
    taken = list(run.config.providers)
    wanted = run.given.id if run.given.id is not None else suggested or None
    question = SetupQuestion(field="id", label="Provider ID", default=None, missing="Provider ID is required")
    if wanted in taken:
        question.suggestion = fields.free_name(str(wanted), taken)
        question.hint = f"choose another ID with --id, or change the existing provider: modelbay provider edit {wanted}"
    elif suggested is not None:
        question.hint = "choose an ID with --id"
    return run.ask(question, lambda id: fields.id_problem(id, taken), given=wanted)


def key_question(made: Draft, *, required: bool = False, whose: str | None = None) -> SetupQuestion:
    """The question for a provider's API key."""
    preset = made.preset
    name = whose or (preset.name if preset else made.id)
    where = f"; get an API key at {preset.key_url}" if preset and preset.key_url else ""
    if preset and preset.addressing == "vertexai":
        where = "; or pass --project ID and --location PLACE to use Google's default credentials"
    return SetupQuestion(
        field="api_key",
        label=f"API key for {name}" + ("" if required else " (empty if none is needed)"),
        default=None if required else "",
        secret=True,
        required=required,
        missing=f"{name} requires an API key",
        about=[f"Get an API key at {preset.key_url}"] if preset and preset.key_url else [],
        hint=f"pass --api-key KEY, or --api-key - to read it from standard input{where}",
    )


def refused_token_hint(given: object) -> str:
    """The hint for a document that requires a token, or that rejected the token that was `given`."""
    if given:
        return "pass a new token with --api-key TOKEN"
    if environment(TOKEN):
        return f"pass --api-key '{{env:{TOKEN}}}' to use {TOKEN}; environment variables are never used implicitly"
    return "pass a token with --api-key TOKEN"


def check_rows(run: SetupRun) -> list[ModelRow]:
    """The models that the user named, after a check."""
    rows = run.given.models
    if "models" in run.answers or not rows:
        return model_rows(run.answers["models"]) if run.answers.get("models") else []
    if problem := fields.rows_problem(rows):
        run.again(SetupQuestion(field="models", label="Model IDs, separated by spaces", default=None), problem)
    return rows


def model_rows(text: str) -> list[ModelRow]:
    """Model IDs from text, separated by commas or spaces."""
    return [ModelRow(id, id) for id in text.replace(",", " ").split()]


def with_settings(run: SetupRun, made: Draft, *, names: bool = True) -> Draft:
    """The draft with the other given settings, such as name, headers and proxy."""
    more = settings_of(run)
    if not names:
        more.pop("name", None)
    table = {**made.table, **more}
    first: Table = {name: table[name] for name in ("type", "name", "base_url") if name in table}
    return replace(made, table={**first, **{name: value for name, value in table.items() if name not in first}})


def settings_of(run: SetupRun) -> Table:
    """The keys of a provider's table for the settings that were given.

    Raises:
        MissingAnswer: a value is invalid.
    """
    given = run.given
    found: Table = {}
    name = run.answers.get("name", given.name)
    if name is not None:
        found["name"] = run.ask(
            SetupQuestion(field="name", label="Display name", default=None), fields.name_problem, given=name
        )
    if given.full_url is not None:
        found["full_url"] = given.full_url
    if given.dialect is not None:
        found["dialect"] = run.ask(
            SetupQuestion(
                field="dialect",
                label="Dialect",
                default=None,
                hint="choose a vendor's ID; see modelbay provider add --help",
            ),
            dialect_problem,
            given=given.dialect,
        )
    if headers := [row for row in given.headers if (row.key + row.value).strip()]:
        if problem := fields.headers_problem(given.headers):
            run.again(SetupQuestion(field="headers", label="Headers", default=None), problem)
        found["custom_headers"] = {row.key.strip(): row.value.strip() for row in headers}
    if given.proxy is not None:
        question = SetupQuestion(
            field="proxy",
            label="Proxy URL",
            default=None,
            hint="use http://host:port, https://…, socks4://…, socks5://… or none",
        )
        found["proxy"] = run.ask(question, proxy_problem, given=given.proxy)
    if given.timeout is not None:
        found["timeout"] = {name: seconds for name, seconds in asdict(given.timeout).items() if seconds is not None}
    return found


def dialect_problem(id: str) -> str | None:
    return None if presets.by_id(id) else f'unknown dialect "{id}"'


def proxy_problem(url: str) -> str | None:
    if url.lower() == NONE or REFERENCE.search(url):
        return None
    try:
        place_of(url)
    except ValueError as error:
        return f"invalid proxy URL: {error}"
    return None
