"""The steps of adding or editing a provider: a question, a preview of the changes, or the result."""

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct, field

from modelbay.config.schema import Table, Timeout
from modelbay.conversation import Protocol
from modelbay.errors import ModelbayError
from modelbay.model import Model
from modelbay.onboarding.fields import HeaderRow, ModelRow
from modelbay.onboarding.sources.catalogs import ProviderCatalog
from modelbay.recognition import Kind

YES, NO = "yes", "no"
"""Answers to a question for consent."""


class Given(Struct, kw_only=True):
    """Values known before the first question: options of a command or fields of a form. None or empty: not given."""

    kind: Kind | None = None
    """Kind of the provider or document; None: detected."""
    content: bytes | None = None
    """Content of a document without URL or file, such as standard input."""
    id: str | None = None
    """Provider ID. For a registry: the only provider to add."""
    name: str | None = None
    """Display name."""
    api_key: str | None = None
    """API key, a reference to one, or a registry's token; "" for none."""
    base_url: str | None = None
    full_url: bool | None = None
    """Whether the base URL is a full endpoint; None: detected from its path."""
    protocol: Protocol | None = None
    dialect: str | None = None
    """ID of the vendor whose dialect the provider speaks."""
    headers: list[HeaderRow] = field(default_factory=list)
    remove_headers: list[str] = field(default_factory=list)
    """Headers to remove from an existing provider."""
    proxy: str | None = None
    timeout: Timeout | None = None
    models: list[ModelRow] = field(default_factory=list)
    """Model IDs with display names. For an existing provider: the complete new list."""
    add_models: list[ModelRow] = field(default_factory=list)
    remove_models: list[str] = field(default_factory=list)
    """Models to remove from an existing provider, by model ID or alias."""
    base_models: dict[str, str] = field(default_factory=dict)
    """Base models by model ID, for names such as a deployment."""
    all_models: bool = False
    default_model: str | None = None
    """Model ID or alias of the new default model."""
    resource: str | None = None
    """Azure resource name."""
    deployment: str | None = None
    """Azure deployment."""
    api_version: str | None = None
    project: str | None = None
    """Google Cloud project."""
    location: str | None = None
    provider_keys: dict[str, str] = field(default_factory=dict)
    """API keys of a registry's providers, by ID."""
    token_is_key: bool = False
    """Whether a registry's token is also the API key of its providers."""
    values: dict[str, str] = field(default_factory=dict)
    """Values for the variables of a catalog entry's URL."""
    catalog: ProviderCatalog | None = None
    """The catalog, if it is already open."""
    catalog_url: str | None = None
    """URL of a catalog in the format of models.dev; None: models.dev itself."""
    chooses: bool = False
    """Whether the user chooses the models of an edited provider, in addition to other changes."""
    yes: bool = False
    """Answers questions for consent with yes, including whether an API key may be sent to an origin."""
    tests: bool = True
    """Whether the connection of an edited provider is tested before saving."""

    def __repr__(self) -> str:
        return "Given()"  # keys and headers are secrets


class SetupNote(Struct, frozen=True):
    """A message about a step, such as a detected kind or a warning."""

    text: str
    warns: bool = False


class Option(Struct, frozen=True):
    """One of the possible answers to a question."""

    value: str
    label: str


class SetupQuestion(Struct, kw_only=True):
    """A question for the user."""

    field: str
    """The field of `Given` with the answer. "headers.NAME", "provider_keys.ID" and "values.NAME" are entries of a field."""
    label: str
    options: list[Option] = []
    """The allowed answers; empty: free text."""
    default: str | None = ""
    """Answer if the user cannot be asked; None: the setup fails."""
    suggestion: str = ""
    """Initial text of the input."""
    secret: bool = False
    required: bool = True
    """Whether an empty answer is refused."""
    problem: str | None = None
    """The problem with the last answer or with the given value."""
    missing: str = ""
    """Error message if there is no answer and the user cannot be asked."""
    about: list[str] = []
    """Facts that help to answer."""
    hint: str | None = None
    """How to give the answer on the command line."""
    error: ModelbayError | None = None
    """The error that caused the question, to raise if the user cannot be asked."""
    notes: list[SetupNote] = []


class Connection(Struct):
    """Result of testing the connection before anything is written."""

    ok: bool | None
    """None: not tested, or unknown."""
    text: str
    error: ModelbayError | None = None


class Preview(Struct, kw_only=True):
    """The changes, before the user confirms them. Nothing is written yet."""

    title: str
    id: str
    table: Table = {}
    """The provider's entry in config.toml, including its secrets."""
    facts: list[tuple[str, str]] = []
    """Settings for display, by label; without secrets."""
    connection: Connection | None = None
    models: list[Model] = []
    """The models to choose from, with their known facts."""
    chosen: list[str] = []
    """IDs of the models that will be written."""
    chooses: bool = False
    """Whether the user should choose models (`Setup.choose`)."""
    source: str = ""
    """Source of the models: "models" for the provider's own list, "models.dev", "manifest" or "registry"."""
    confirms: str | None = None
    """The question to ask before writing; None: choosing the models is enough."""
    notes: list[SetupNote] = []
    make_diff: Callable[[], str]

    def __repr__(self) -> str:
        return f"Preview({self.id!r}, {len(self.chosen)} models)"

    @property
    def diff(self) -> str:
        """The change of config.toml as a unified diff, secrets masked; "" if nothing would change."""
        return self.make_diff()


class Result(Struct, kw_only=True):
    """The result, after the changes were written."""

    title: str
    providers: list[str]
    rows: list[tuple[str, str]] = []
    """Models or providers that were written, with their known facts."""
    lines: list[str] = []
    """Other changes, one per line."""
    stored: list[str] = []
    """Places of new secrets whose old ones were not in config.toml, one sentence each."""
    default_model: str | None = None
    """The new default model; None: unchanged."""
    notes: list[SetupNote] = []


Step: TypeAlias = SetupQuestion | Preview | Result
