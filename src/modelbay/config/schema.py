"""What `config.toml` says: providers, models, and which of them cannot be used.

The tables are Kimi Code's, whose files work unchanged; keys of ours are added and marked so. A key that nobody knows
is kept in `extra`. Blank text is the same as no key at all. The reprs show no values: headers and URLs carry secrets.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from modelbay.config.provider_types import TYPE_OF
from modelbay.conversation import Protocol
from modelbay.errors import UnknownModel, UnknownProvider
from modelbay.model import Cost

Table: TypeAlias = dict[str, Any]
"""A table as `tomllib` gives it."""

MANIFEST, CATALOG, REGISTRY = "manifest", "models_dev", "apiJson"
"""The `kind` of a source: a provider's own manifest, models.dev or a list like it, a registry of several providers. The last,
and the form of its `source`, are Kimi Code's, so that each reads the other's file.
"""
Size: TypeAlias = Annotated[int, Meta(ge=1)]
Days: TypeAlias = Annotated[int, Meta(ge=1)]
Bytes: TypeAlias = Annotated[int, Meta(ge=1)]
Seconds: TypeAlias = Annotated[float, Meta(gt=0)]


class Problem(Struct, frozen=True):
    """Something in the file that cannot be used. `where` is a path of keys, as `providers.acme.base_url`."""

    file: str
    line: int | None
    where: str
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.where}: {self.message}"


class OAuth(Struct, kw_only=True):
    """Where a token is stored: `key` names it; and how it is had, where no preset knows that by the key."""

    key: Annotated[str, Meta(min_length=1)]
    """What the tokens are kept as."""
    storage: Literal["file", "keyring"] = "file"
    """Where: a file that only you can read, or the system's keyring."""
    oauth_host: str | None = None
    """The login server, where it is not the usual one."""
    # ours
    device_url: str | None = None
    """Where a device login begins: a URL, or a path at `oauth_host`."""
    token_url: str | None = None
    """Token endpoint: a URL, or a path at `oauth_host`."""
    revoke_url: str | None = None
    """Revocation endpoint, used by `modelbay logout`: a URL, or a path at `oauth_host`. Default: the server's metadata."""
    client_id: str | None = None
    """Who we are to the login server."""
    scope: str | None = None
    """What is asked for, as the server wants it."""
    extra: Table = field(default_factory=dict)


class Timeout(Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds; None leaves it to the transport."""

    connect: Seconds | None = None
    """Until the connection stands."""
    first_byte: Seconds | None = None
    """From the request to the first byte of the answer."""
    idle: Seconds | None = None
    """The longest silence within an answer."""
    first_event: Seconds | None = None
    """From the connection to the first content of the answer, whatever keep-alives come before it (600)."""
    content: Seconds | None = None
    """The longest time between two pieces of content, whatever keep-alives come between them (600)."""


class SizeLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """Maximum sizes in bytes."""

    stream_bytes: Bytes | None = None
    """Maximum size of a streamed answer (256 MiB)."""
    reply_bytes: Bytes | None = None
    """Maximum size of an answer that is not streamed (64 MiB)."""


class Tls(Struct, frozen=True, forbid_unknown_fields=True):
    """PEM files, and whether to look at them at all."""

    ca: str | None = None
    """Who to trust."""
    cert: str | None = None
    """Who we are."""
    key: str | None = None
    """The key of `cert`, where it is not in the same file."""
    insecure: bool = False
    """Trusts everybody."""


class Network(Struct, frozen=True, forbid_unknown_fields=True):
    """`[network]`: how every connection is made."""

    proxy: str | None = None
    """URL of a proxy (http, https, socks4, socks5) for all connections, or "none"; it may be a reference. Default: HTTPS_PROXY,
    HTTP_PROXY, ALL_PROXY and NO_PROXY of the environment. A provider's own `proxy` comes first."""
    ca: str | None = None
    """CA bundle (PEM file), trusted in addition to the system's. A provider's own `tls.ca` replaces both."""
    offline: bool = False
    """Only a provider that is called is contacted: nothing is fetched or refreshed (false)."""


class Modalities(Struct):
    """A list that is given is complete: what it does not name, the model cannot take or make."""

    input: list[str] | None = None
    """Of text, image, audio, video and pdf."""
    output: list[str] | None = None
    """Of text, image and audio."""


class Thinking(Struct):
    """`[thinking]`: how much to think unless a request says."""

    enabled: bool | None = None
    """false: no thinking, unless a request says; true: thinking, where no effort is known."""
    effort: str | None = None
    """How much, as low, medium, high."""
    keep: str | bool | None = None
    """Kimi Code's; left alone here."""


class ChatSettings(Struct, forbid_unknown_fields=True):
    """`[chat]`: conversations of the app and of `modelbay chat`."""

    keep: Literal["always", "ask", "never"] = "always"
    """Whether conversations are stored on this machine: as they happen; only those that you save with `/save`; never."""
    keep_days: Days | None = None
    """Days after its last change when a conversation is deleted. Default: never."""


FILLING = {REGISTRY: "registry", CATALOG: "models.dev"}
"""The kinds of `source` that fill in a model's own keys, as Kimi Code does, and what `Model.sources` calls them; the user's
word is in `overrides` there.
"""


class ProviderEntry(Struct, kw_only=True):
    """`[providers.<id>]`."""

    id: str
    type: str | None = None
    """One of the provider types below; None: the vendor that `dialect` or the base URL tells of."""
    api_key: str | None = None
    """The key, or a reference to it."""
    api_key_env: str | None = None
    """Kimi Code's: the environment variable that holds the key. The same as `api_key = "{env:NAME}"`, and instead of it."""
    base_url: str | None = None
    """Where it is: a base URL or a whole endpoint; None: its type's own address."""
    default_model: str | None = None
    """Kimi Code's; shown, and not used to choose a model."""
    oauth: OAuth | None = None
    """A login in place of a key."""
    env: dict[str, str] = field(default_factory=dict)
    """Stands for environment variables, which are never read themselves."""
    custom_headers: dict[str, str] = field(default_factory=dict)
    """Headers of every request. A value may have references in it: "Bearer {env:TOKEN}"."""
    source: Table | None = None
    """Where the entry came from and is refreshed from; Kimi Code writes `{kind, url, apiKey}`."""
    model_source: str | None = None
    """`static`: no refresh touches its models; `discover`: its own list is asked again by itself. Kimi Code's words."""
    # ours
    name: str | None = None
    """What to show for it."""
    dialect: str | Table | None = None
    """A preset's id, or a table of dialect fields; `preset` in it names the one they change."""
    full_url: bool | None = None
    """Whether `base_url` is a whole endpoint; None: by its looks."""
    auth: Literal["none"] | None = None
    """It takes calls without a key."""
    api_version: str | None = None
    """Azure's `api-version`."""
    proxy: str | None = None
    """The URL of a proxy (http, https, socks4, socks5) that its calls go through, or "none"; it may be a reference."""
    tls: Tls | None = None
    """Certificates."""
    timeout: Timeout | None = None
    """How long to wait."""
    limits: SizeLimits | None = None
    """Maximum sizes of answers."""
    extra: Table = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"ProviderEntry({self.id!r}, type={self.type!r})"

    def __rich_repr__(self) -> list[tuple[str, str | None]]:
        return [("id", self.id), ("type", self.type)]

    @property
    def by_manifest(self) -> bool:
        """It was added by what it says of itself, hosted or pasted."""
        return bool(self.source and self.source.get("kind") == MANIFEST)

    @property
    def imported(self) -> bool:
        """Its models come from somewhere else, and may be written again without the user's doing."""
        return bool(self.source and self.source.get("url"))

    @property
    def static(self) -> bool:
        """No refresh touches its models."""
        return self.model_source == "static"

    @property
    def filled_in(self) -> str | None:
        """Whose word its models' keys are, where only `overrides` are the user's."""
        return FILLING.get(str((self.source or {}).get("kind")))


class ModelEntry(Struct, kw_only=True):
    """`[models."<alias>"]`, its `overrides` applied."""

    alias: str
    provider: str
    """The provider's id. Where a model has a URL and no provider, the URL's host."""
    model: str
    """The name on the wire (Kimi Code's `name`, else its `model`)."""
    aliases: list[str] = field(default_factory=list)
    """Other names for it."""
    protocol: Protocol | None = None
    """Where it is not its provider's usual one."""
    base_url: str | None = None
    """Where it is, where that is elsewhere than its provider."""
    api_key: str | None = None
    """Its own key, which goes before its provider's."""
    oauth: OAuth | None = None
    """Its own login."""
    max_context_size: Size | None = None
    """Tokens that it has before it, its answer included."""
    max_input_size: Size | None = None
    """Tokens of a prompt."""
    max_output_size: Size | None = None
    """Tokens of an answer; sent with every request."""
    capabilities: list[str] = field(default_factory=list)
    """What it can do for sure; what is not named is not thereby denied."""
    display_name: str | None = None
    """What to show for it."""
    reasoning_key: str | None = None
    """The field of a reply that holds its thinking."""
    adaptive_thinking: bool | None = None
    """Anthropic: it decides by itself how much to think; else it is given a budget."""
    support_efforts: list[str] | None = None
    """How much it can think, least first."""
    default_effort: str | None = None
    """How much it thinks where nobody says."""
    off_effort: str | None = None
    """The effort that stands for no thinking."""
    beta_api: bool | None = None
    """Kimi Code's; left alone here."""
    # ours
    base_model: str | None = None
    """ID of the model behind `model`, where that is a name of your own: an Azure deployment, a proxy's name, a fine-tune. Facts,
    prices and rules for requests come from it; `model` is what is sent.
    """
    cost: Cost | None = None
    """What it costs."""
    computer_use: bool | None = None
    """Where it is false, computer tools are refused before they leave."""
    variants: dict[str, Table] = field(default_factory=dict)
    """Named settings, asked for as `alias:variant`."""
    temperature: bool | None = None
    """Whether it takes one, as in the models.dev list."""
    reasoning: bool | None = None
    """Whether it thinks."""
    tool_call: bool | None = None
    """Where it is false, tools are refused before they leave."""
    image_in: bool | None = None
    """Where it is false, images are refused before they leave. Yes may also stand in `capabilities`."""
    video_in: bool | None = None
    """The same for video."""
    audio_in: bool | None = None
    """The same for sound."""
    document_in: bool | None = None
    """The same for documents that are not plain text."""
    modalities: Modalities | None = None
    """All that goes in and comes out."""
    overridden: frozenset[str] = frozenset()
    """The keys that stand in `overrides`."""
    listed: Table = field(default_factory=dict)
    """What the provider's manifest says of it, in the form of an extended model: its word, and not the user's."""
    variant: str | None = None
    """The variant that was asked for; never in the file."""
    flat: bool = False
    """It stands alone, without a `[providers]` entry."""
    configured: bool = True
    """It has an entry in the file; else it was named as `provider/wire-id`."""
    extra: Table = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"ModelEntry({self.alias!r}, provider={self.provider!r}, model={self.model!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("alias", self.alias), ("provider", self.provider), ("model", self.model)]

    @property
    def identity(self) -> str:
        """The name by which facts are looked up."""
        return self.base_model or self.model

    @property
    def settings(self) -> Table:
        """The settings of the variant that was asked for."""
        return self.variants[self.variant] if self.variant else {}


class Config(Struct, kw_only=True):
    """A whole file. What cannot be used is in `problems` and nowhere else."""

    path: Path
    exists: bool = True
    digest: str = ""
    """SHA-256 of the file's text; "" where the configuration was not read from one."""
    trusted: bool = False
    """Whether references are followed wherever the file is: the program that opened it vouches for it."""
    default_model: str | None = None
    """The model that is meant where none is named: an alias, or `provider/wire-id`."""
    default_provider: str | None = None
    """The provider of models that name neither one nor an address of their own."""
    thinking: Thinking = field(default_factory=Thinking)
    chat: ChatSettings = field(default_factory=ChatSettings)
    network: Network | None = Network()
    """None: its table cannot be used, and nothing can be sent."""
    providers: dict[str, ProviderEntry] = field(default_factory=dict)
    models: dict[str, ModelEntry] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unknown: list[Problem] = field(default_factory=list)
    """Keys that nobody knows, misspelled ones above all. They are ignored; everything else works."""
    extra: Table = field(default_factory=dict)
    """The tables and keys that are other programs' concern."""

    def __repr__(self) -> str:
        return f"Config({str(self.path)!r}, {len(self.providers)} providers, {len(self.models)} models)"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("path", str(self.path))]

    def provider(self, id: str) -> ProviderEntry:
        """
        Raises:
            UnknownProvider: there is none of that name, or it cannot be used; `hint` offers the nearest.
        """
        entry = self.providers.get(id)
        if entry is None:
            broken = self._broken("providers", id)
            raise UnknownProvider(
                f'provider "{id}" cannot be used: {broken}' if broken else f'no provider "{id}" in {self.path}',
                hint=(broken.hint if broken else None) or _nearest(id, self.providers),
                file=str(self.path),
                line=broken.line if broken else None,
            )
        return entry

    def provider_of(self, model: ModelEntry) -> ProviderEntry:
        """The provider that serves a model; a flat model is its own."""
        if not model.flat:
            return self.provider(model.provider)
        return ProviderEntry(
            id=model.provider, type=TYPE_OF[model.protocol] if model.protocol else None, base_url=model.base_url
        )

    def model(self, name: str | None = None) -> ModelEntry:
        """The model called `name`: its alias, another of its names, or `provider/wire-id`, with or without `:variant`.

        Without a name, the default model. A wire id may itself have slashes and colons.

        Raises:
            UnknownModel: there is none of that name; `hint` offers the nearest.
        """
        asked = name or self.default_model
        if not asked:
            raise UnknownModel(
                "no model was named and there is no default model",
                hint="name one, or choose a default: `modelbay model default NAME`"
                if self.models
                else "connect a provider first: `modelbay provider add`",
                file=str(self.path),
            )
        found = self._configured(asked)
        if found is None and ":" in asked:
            stem, _, variant = asked.rpartition(":")
            base = self._configured(stem)
            if base is not None and variant in base.variants:
                found = replace(base, variant=variant)
        if found is None and not self._broken("models", asked):
            provider, _, wire_id = asked.partition("/")
            if wire_id and provider in self.providers:
                found = ModelEntry(alias=asked, provider=provider, model=wire_id, configured=False)
        if found is None:
            raise self._no_model(asked)
        return found

    def _configured(self, name: str) -> ModelEntry | None:
        entry = self.models.get(name)
        if entry is not None:
            return entry
        for entry in self.models.values():
            if name in entry.aliases:
                return entry
        provider, _, wire_id = name.partition("/")
        same = [entry for entry in self.models.values() if entry.provider == provider and entry.model == wire_id]
        return same[0] if len(same) == 1 else None  # two entries for one wire id differ in what neither was asked for

    def _no_model(self, name: str) -> UnknownModel:
        provider, slash, _ = name.partition("/")
        broken = self._broken("models", name) or (self._broken("providers", provider) if slash else None)
        if broken:
            message = f'model "{name}" cannot be used: {broken}'
            return UnknownModel(message, hint=broken.hint, file=broken.file, line=broken.line)
        base = self._configured(name.rpartition(":")[0])
        if base is not None and base.variants:
            hint: str | None = f"the variants of {base.alias} are {', '.join(base.variants)}"
        else:
            known = [*self.models, *(alias for entry in self.models.values() for alias in entry.aliases)]
            hint = _nearest(name, known) or (_nearest(provider, self.providers) if slash else None)
        hint = hint or "name a model of the file, or provider/wire-id"
        return UnknownModel(f'no model "{name}" in {self.path}', hint=hint, file=str(self.path))

    def _broken(self, table: str, name: str) -> Problem | None:
        where = f"{table}.{key_text(name)}"
        for problem in self.problems:
            if (problem.where == where or problem.where.startswith(where + ".")) and name not in getattr(self, table):
                return problem
        return None


def key_text(key: str) -> str:
    """A key as TOML writes it: bare where it can be."""
    bare = key.isascii() and key.replace("-", "").replace("_", "").isalnum()
    return key if bare else '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _nearest(name: str, known: "list[str] | dict[str, ProviderEntry]") -> str | None:
    from difflib import get_close_matches

    by_case = {other.lower(): other for other in known}
    near = [by_case[match] for match in get_close_matches(name.lower(), by_case, n=3)]
    if not near:
        return None
    return "did you mean " + " or ".join(f'"{other}"' for other in near) + "?"
