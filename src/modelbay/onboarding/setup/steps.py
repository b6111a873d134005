"""The steps of adding or editing a provider: what a face asks, what it shows before anything is written, what was written."""

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct, field

from modelbay.config.schema import Table, Timeout
from modelbay.conversation import Protocol
from modelbay.errors import ModelbayError
from modelbay.model import Model
from modelbay.onboarding.fields import HeaderRow, ModelRow
from modelbay.onboarding.recognition import Kind
from modelbay.onboarding.sources.catalogs import ProviderCatalog

YES, NO = "yes", "no"
"""The options of a question for consent."""


class Given(Struct, kw_only=True):
    """What is known before the first question: options of a command, or fields of a form. None and empty: not given."""

    kind: Kind | None = None
    """What it is; None: detected."""
    content: bytes | None = None
    """The content of a document that has no URL and no file, as standard input."""
    id: str | None = None
    """Provider ID. Of a registry: the only provider to add."""
    name: str | None = None
    """Display name."""
    api_key: str | None = None
    """API key, a reference to one, or a registry's token; "" for none."""
    base_url: str | None = None
    full_url: bool | None = None
    """Whether the base URL is a complete endpoint; None: detected from its path."""
    protocol: Protocol | None = None
    dialect: str | None = None
    """ID of the vendor whose quirks the provider has."""
    headers: list[HeaderRow] = field(default_factory=list)
    remove_headers: list[str] = field(default_factory=list)
    """Headers to remove from an existing provider."""
    proxy: str | None = None
    timeout: Timeout | None = None
    models: list[ModelRow] = field(default_factory=list)
    """Model IDs with display names. For an existing provider: all models that it will have."""
    add_models: list[ModelRow] = field(default_factory=list)
    remove_models: list[str] = field(default_factory=list)
    """Models to remove from an existing provider, by model ID or alias."""
    base_models: dict[str, str] = field(default_factory=dict)
    """The model behind a name such as a deployment, by that name."""
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
    """Whether a registry's token is the API key of its providers too."""
    values: dict[str, str] = field(default_factory=dict)
    """Values for the variables of a catalog entry's URL."""
    catalog: ProviderCatalog | None = None
    """The catalog, if it is open already."""
    catalog_url: str | None = None
    """URL of a list in the form of models.dev; None: models.dev itself."""
    chooses: bool = False
    """Whether the models of an edited provider are chosen, besides what else is given."""
    yes: bool = False
    """Agrees to what would be asked, also to where a key is sent."""
    tests: bool = True
    """Whether the connection of an edited provider is tested before saving."""

    def __repr__(self) -> str:
        return "Given()"  # keys and headers are secrets


class SetupNote(Struct, frozen=True):
    """A message about what was found."""

    text: str
    warns: bool = False


class Option(Struct, frozen=True):
    """One of the answers to a question."""

    value: str
    label: str


class SetupQuestion(Struct, kw_only=True):
    """Something to ask."""

    field: str
    """The field of `Given` that answers it; "headers.NAME", "provider_keys.ID" and "values.NAME" name an entry of one."""
    label: str
    options: list[Option] = []
    """The only answers; none: free text."""
    default: str | None = ""
    """The answer of a face that cannot ask; None: it cannot go on."""
    suggestion: str = ""
    """What a face fills in before it asks."""
    secret: bool = False
    required: bool = True
    """Whether the answer must not be blank."""
    problem: str | None = None
    """What was wrong with the last answer, or with what was given."""
    missing: str = ""
    """Error message if there is no answer and the user cannot be asked."""
    about: list[str] = []
    """Facts to decide by."""
    hint: str | None = None
    """How to give the answer beforehand, on a command line."""
    error: ModelbayError | None = None
    """The error behind the problem, for faces that cannot ask."""
    notes: list[SetupNote] = []


class Connection(Struct):
    """The result of testing the connection, before anything is written."""

    ok: bool | None
    """None: not tested, or the answer does not tell."""
    text: str
    error: ModelbayError | None = None


class Preview(Struct, kw_only=True):
    """What would be written. Nothing is, before it is confirmed."""

    title: str
    id: str
    table: Table = {}
    """The provider's entry in config.toml; its secrets are in it."""
    facts: list[tuple[str, str]] = []
    """What to show, by label; no secrets."""
    connection: Connection | None = None
    models: list[Model] = []
    """The models to choose from, with what is known of each."""
    chosen: list[str] = []
    """IDs of the models that will be written."""
    chooses: bool = False
    """Whether the models are to be chosen, with `Setup.choose`."""
    source: str = ""
    """Where the models are listed: "models" for the provider's own list, "models.dev"."""
    confirms: str | None = None
    """The question to ask before writing; None: the models' choice is confirmation enough."""
    notes: list[SetupNote] = []
    make_diff: Callable[[], str]

    def __repr__(self) -> str:
        return f"Preview({self.id!r}, {len(self.chosen)} models)"

    @property
    def diff(self) -> str:
        """The change of config.toml as a unified diff, secrets masked; "" if nothing would change."""
        return self.make_diff()


class Result(Struct, kw_only=True):
    """What was written."""

    title: str
    providers: list[str]
    rows: list[tuple[str, str]] = []
    """Models or providers that were written, each with what is known of it."""
    lines: list[str] = []
    """What changed otherwise."""
    default_model: str | None = None
    """The default model, if this set it."""
    notes: list[SetupNote] = []


Step: TypeAlias = SetupQuestion | Preview | Result
