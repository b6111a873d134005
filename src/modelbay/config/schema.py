"""The content of `config.toml`: providers, models, settings, and the entries that cannot be used.

The tables are Kimi Code's, whose files work unchanged; keys that modelbay adds are marked "ours". Unknown keys are kept in
`extra`. Blank text counts as a missing key. The reprs show no values, because headers and URLs contain secrets.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from modelbay.config.provider_types import TYPE_OF
from modelbay.conversation import Protocol
from modelbay.errors import ConfigError, UnknownModel, UnknownProvider
from modelbay.model import Cost
from modelbay.origin import ANYWHERE, Origin

Table: TypeAlias = dict[str, Any]
"""A table as `tomllib` gives it."""

MANIFEST, CATALOG, REGISTRY = "manifest", "models_dev", "apiJson"
"""The `kind` of a source: a provider's own manifest, models.dev or a similar list, or a registry of several providers. The last,
and the form of its `source`, are Kimi Code's, so that each program reads the other's file.
"""
MODEL_SOURCES = ("static", "discover", "oauth-catalog")
"""Values of `model_source`. A file with another one is read, as Kimi Code may add some."""
Size: TypeAlias = Annotated[int, Meta(ge=1)]
Days: TypeAlias = Annotated[int, Meta(ge=1)]
Bytes: TypeAlias = Annotated[int, Meta(ge=1)]
Count: TypeAlias = Annotated[int, Meta(ge=1)]
Port: TypeAlias = Annotated[int, Meta(ge=1, le=65_535)]
Seconds: TypeAlias = Annotated[float, Meta(gt=0)]


class Problem(Struct, frozen=True):
    """A setting or entry that cannot be used. `where` is a path of keys, such as `providers.acme.base_url`."""

    file: str
    line: int | None
    where: str
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.where}: {self.message}"


class OAuth(Struct, kw_only=True):
    """Where a token is stored (`key`), and how to log in if no preset has that key."""

    key: Annotated[str, Meta(min_length=1)]
    """Name under which the tokens are stored. Required."""
    storage: Literal["file", "keyring"] = "file"
    """Where tokens are stored: a file that only you can read, or the system's keyring. Default: file."""
    oauth_host: str | None = None
    """Host of the login server. Default: the platform's own."""
    # ours
    device_url: str | None = None
    """Device authorization endpoint: a URL, or a path at `oauth_host`."""
    token_url: str | None = None
    """Token endpoint: a URL, or a path at `oauth_host`."""
    revoke_url: str | None = None
    """Revocation endpoint, used by `modelbay logout`: a URL, or a path at `oauth_host`. Default: the server's metadata."""
    client_id: str | None = None
    """OAuth client ID."""
    scope: str | None = None
    """OAuth scope to request."""
    extra: Table = field(default_factory=dict)


class Timeout(Struct, frozen=True, forbid_unknown_fields=True):
    """Timeouts in seconds. Unset ones have the defaults of the transport."""

    connect: Seconds | None = None
    """Time to establish a connection (10)."""
    first_byte: Seconds | None = None
    """Time from the connection to the first byte of the response (300)."""
    idle: Seconds | None = None
    """Longest time without any bytes within a response (120)."""
    first_event: Seconds | None = None
    """Time from the connection to the first content of the answer; keep-alives do not count (600)."""
    content: Seconds | None = None
    """Longest time between two pieces of content; keep-alives do not count (600)."""


class SizeLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """Maximum sizes in bytes."""

    stream_bytes: Bytes | None = None
    """Maximum size of a streamed answer (256 MiB)."""
    reply_bytes: Bytes | None = None
    """Maximum size of an answer that is not streamed (64 MiB)."""


class Tls(Struct, frozen=True, forbid_unknown_fields=True):
    """Certificates (PEM files) and verification."""

    ca: str | None = None
    """CA bundle (PEM file). Default: that of the system and of `[network]`."""
    cert: str | None = None
    """Client certificate (PEM file)."""
    key: str | None = None
    """Private key of `cert`, if it is in another file."""
    insecure: bool = False
    """Disable certificate verification (false)."""


class Network(Struct, frozen=True, forbid_unknown_fields=True):
    """`[network]`: settings of every connection."""

    proxy: str | None = None
    """URL of a proxy (http, https, socks4, socks5) for all connections, or "none"; it may be a reference. Default: HTTPS_PROXY,
    HTTP_PROXY, ALL_PROXY and NO_PROXY of the environment. A provider's own `proxy` comes first."""
    ca: str | None = None
    """CA bundle (PEM file), trusted in addition to the system's. A provider's own `tls.ca` replaces both."""
    offline: bool = False
    """Contact only the provider that is called; fetch and refresh nothing (false)."""


class Modalities(Struct):
    """Input and output types. A list that is set is complete: other types are not supported."""

    input: list[str] | None = None
    """Input types: text, image, audio, video and pdf."""
    output: list[str] | None = None
    """Output types: text, image and audio."""


class ThinkingDefaults(Struct):
    """`[thinking]`: default reasoning of requests."""

    enabled: bool | None = None
    """false: thinking off by default; true: thinking on if no effort is set."""
    effort: str | None = None
    """Default reasoning effort, such as low, medium or high."""
    keep: str | bool | None = None
    """Used by Kimi Code; ignored by modelbay."""


class ChatSettings(Struct, forbid_unknown_fields=True):
    """`[chat]`: conversations of the app and of `modelbay chat`."""

    keep: Literal["always", "ask", "never"] = "always"
    """When conversations are stored on this machine: while they happen ("always", the default), only with `/save` ("ask"),
    or "never"."""
    keep_days: Days | None = None
    """Days after its last change when a conversation is deleted. Default: never."""


class SearchSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[gateway.search]`: the search back end for web search tools of clients whose provider does not have them."""

    backend: Literal["searxng", "brave", "tavily", "exa", "mcp"]
    """Search back end: `searxng`, `brave`, `tavily`, `exa`, or `mcp` for an MCP server with streamable HTTP. Required."""
    url: str | None = None
    """URL of the back end: required for `searxng` (its base URL) and `mcp` (the server's endpoint). Default: the service's own."""
    api_key: str | None = None
    """API key, or a reference to it. Required for `brave`, `tavily` and `exa`."""
    custom_headers: dict[str, str] = field(default_factory=dict)
    """Headers of every request to the back end. A value may contain references."""
    tool: str | None = None
    """Name of the MCP server's search tool. Default: its only tool, or the only one with "search" in its name."""
    arguments: Table = field(default_factory=dict)
    """Further arguments for the MCP server's tool."""
    results: Annotated[int, Meta(ge=1, le=50)] = 10
    """Maximum results of a search, 1 to 50 (10)."""
    max_uses: Count = 10
    """Maximum searches for one request (10). Clients can set a lower limit."""
    timeout: Seconds = 15.0
    """Time limit of a search (15)."""


class GatewaySettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`[gateway]`: the HTTP server for other programs."""

    host: str = "127.0.0.1"
    """Address to listen on (127.0.0.1). Other machines can connect only if it is not a loopback address."""
    port: Port = 8484
    """TCP port (8484)."""
    auth: Literal["keys", "none"] = "keys"
    """"keys" (default): each client needs a key of `modelbay client add`. "none": every program on this machine can use your
    providers; allowed only with a loopback `host`."""
    names: dict[str, str] = field(default_factory=dict)
    """Models for the names that clients ask for, such as `"claude-*" = "kimi"`. `*` matches any text; in the model, `*` is the text
    that matched, as in `"claude-*" = "*"`. Exact names are used first; patterns only if no model has the name, the pattern with the
    most other characters first."""
    strict: bool = False
    """Refuse requests with a setting that the provider or its protocol does not support. Default: such settings are dropped."""
    cache_ttl: Literal["1h"] | None = None
    """"1h": ask Anthropic to keep prompt caches for an hour. Writing to a cache then costs twice the price of input tokens instead
    of 1.25 times. A time that a request sets itself stays. Default: five minutes, for which most agents ask."""
    store: bool = True
    """Store reasoning state and responses on this machine, for clients that do not send them back (true)."""
    store_days: Days = 30
    """Days after its last use when stored state is deleted (30)."""
    store_bytes: Bytes = 256 * 2**20
    """Maximum size of the stored state; the oldest is deleted first (256 MiB)."""
    cors_origins: list[str] = field(default_factory=list)
    """Origins of web pages that may send requests, such as `"https://app.example"`. Default: none."""
    hosts: list[str] = field(default_factory=list)
    """Further host names under which clients reach the gateway, such as `"gateway.lan"`."""
    body_bytes: Bytes = 64 * 2**20
    """Maximum size of a request (64 MiB)."""
    concurrent: Count = 64
    """Maximum requests of one client at the same time (64). With `auth = "none"`, all programs count as one client."""
    search: SearchSettings | None = None
    """Search back end. Default: none, so web search tools of clients work only with providers that have them."""

    @property
    def local_url(self) -> str:
        """The base URL for programs on this machine, without a version."""
        host = "::1" if self.host == "::" else "127.0.0.1" if self.host in ANYWHERE else self.host
        return str(Origin("http", host, self.port))


FILLING = {REGISTRY: "registry", CATALOG: "models.dev"}
"""The kinds of `source` that write a model's own keys, as Kimi Code does, and their names in `Model.sources`; the user's values
are in `overrides` there.
"""


class ProviderEntry(Struct, kw_only=True):
    """`[providers.<id>]`."""

    id: str
    type: str | None = None
    """Provider type, one of those below. Default: the vendor of `dialect` or of the base URL."""
    api_key: str | None = None
    """API key, or a reference to it."""
    api_key_env: str | None = None
    """Name of the environment variable with the API key (Kimi Code's key). Same as `api_key = "{env:NAME}"`; set only one."""
    base_url: str | None = None
    """Base URL, or a full endpoint URL. Default: the address of `type`."""
    default_model: str | None = None
    """Default model of the provider (Kimi Code's key); shown, not used to choose a model."""
    oauth: OAuth | None = None
    """Login instead of an API key."""
    env: dict[str, str] = field(default_factory=dict)
    """Values used in place of environment variables, which modelbay never reads implicitly."""
    custom_headers: dict[str, str] = field(default_factory=dict)
    """Headers of every request. A value may contain references: "Bearer {env:TOKEN}"."""
    source: Table | None = None
    """The manifest, catalog or registry that the entry was added and is refreshed from; Kimi Code writes `{kind, url, apiKey}`."""
    model_source: str | None = None
    """`static`: never refresh its models; `discover`, `oauth-catalog`: refresh them from its model list. As in Kimi Code."""
    # ours
    name: str | None = None
    """Display name."""
    dialect: str | Table | None = None
    """Dialect: a vendor's ID, or a table of dialect fields. `preset` in the table names the vendor whose dialect they change."""
    full_url: bool | None = None
    """Whether `base_url` is a full endpoint URL. Default: detected."""
    auth: Literal["none"] | None = None
    """"none" if calls need no key."""
    api_version: str | None = None
    """Azure's `api-version`."""
    proxy: str | None = None
    """Proxy URL (http, https, socks4, socks5) for its calls, or "none"; may be a reference."""
    tls: Tls | None = None
    """Certificates."""
    timeout: Timeout | None = None
    """Timeouts in seconds."""
    limits: SizeLimits | None = None
    """Maximum sizes of responses."""
    extra: Table = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"ProviderEntry({self.id!r}, type={self.type!r})"

    def __rich_repr__(self) -> list[tuple[str, str | None]]:
        return [("id", self.id), ("type", self.type)]

    @property
    def by_manifest(self) -> bool:
        """Whether it was added from its manifest, hosted or pasted."""
        return bool(self.source and self.source.get("kind") == MANIFEST)

    @property
    def imported(self) -> bool:
        """Whether its models come from a source and can be refreshed."""
        return bool(self.source and self.source.get("url"))

    @property
    def static(self) -> bool:
        """Whether refresh must not change its models."""
        return self.model_source == "static"

    @property
    def filled_in(self) -> str | None:
        """Name of the source that wrote its models' keys, if only `overrides` are the user's."""
        return FILLING.get(str((self.source or {}).get("kind")))


class ModelEntry(Struct, kw_only=True):
    """`[models."<alias>"]`, with its `overrides` applied."""

    alias: str
    provider: str
    """Provider ID. For a model with a URL and no provider: the URL's host."""
    model: str
    """Model ID sent to the provider (Kimi Code's `name`, else its `model`)."""
    aliases: list[str] = field(default_factory=list)
    """Further names for the model."""
    protocol: Protocol | None = None
    """Protocol, if it differs from the provider's."""
    base_url: str | None = None
    """Base URL, if it differs from the provider's."""
    api_key: str | None = None
    """API key of this model; takes precedence over the provider's."""
    oauth: OAuth | None = None
    """Login of this model."""
    max_context_size: Size | None = None
    """Context window in tokens, output included."""
    max_input_size: Size | None = None
    """Maximum input tokens."""
    max_output_size: Size | None = None
    """Maximum output tokens; sent with every request."""
    capabilities: list[str] = field(default_factory=list)
    """Capabilities the model has. Unlisted ones are unknown, not absent."""
    display_name: str | None = None
    """Display name."""
    reasoning_key: str | None = None
    """Field of a response that contains the reasoning."""
    adaptive_thinking: bool | None = None
    """Anthropic: the model decides how much to think; otherwise it gets a token budget."""
    support_efforts: list[str] | None = None
    """Reasoning efforts, lowest first."""
    default_effort: str | None = None
    """Default reasoning effort."""
    off_effort: str | None = None
    """Reasoning effort that turns thinking off."""
    beta_api: bool | None = None
    """Used by Kimi Code; ignored by modelbay."""
    # ours
    base_model: str | None = None
    """ID of the model behind `model`, if that is a name of your own: an Azure deployment, a proxy's name, a fine-tune. Facts,
    prices and request rules are those of this ID; `model` is what is sent.
    """
    cost: Cost | None = None
    """Price in dollars per million tokens."""
    computer_use: bool | None = None
    """Computer use. If false, such tools are refused before the request is sent."""
    variants: dict[str, Table] = field(default_factory=dict)
    """Fields of the request body under a name: with `max_tokens = 500` in `[models.kimi.variants.brief]`, `kimi:brief` sends it."""
    temperature: bool | None = None
    """Temperature support, as in the models.dev list."""
    reasoning: bool | None = None
    """Reasoning support."""
    tool_call: bool | None = None
    """Tool support. If false, tools are refused before the request is sent."""
    image_in: bool | None = None
    """Image input. If false, images are refused before the request is sent. Support may also be listed in `capabilities`."""
    video_in: bool | None = None
    """Video input. If false, videos are refused before the request is sent."""
    audio_in: bool | None = None
    """Audio input. If false, audio files are refused before the request is sent."""
    document_in: bool | None = None
    """Input of documents other than plain text. If false, they are refused before the request is sent."""
    modalities: Modalities | None = None
    """All input and output types."""
    overridden: frozenset[str] = frozenset()
    """Keys that were set in `overrides`."""
    listed: Table = field(default_factory=dict)
    """Facts from the provider's manifest, in the form of an extended model; not the user's values."""
    variant: str | None = None
    """The requested variant; never in the file."""
    flat: bool = False
    """The model is standalone, without a `[providers]` entry."""
    configured: bool = True
    """The model has an entry in the file; otherwise it was named as `provider/model-id`."""
    extra: Table = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"ModelEntry({self.alias!r}, provider={self.provider!r}, model={self.model!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("alias", self.alias), ("provider", self.provider), ("model", self.model)]

    @property
    def identity(self) -> str:
        """The ID under which facts are looked up."""
        return self.base_model or self.model

    @property
    def settings(self) -> Table:
        """Settings of the requested variant."""
        return self.variants[self.variant] if self.variant else {}


IN_CODE = Path("the program")
"""The path of a configuration whose providers a program describes."""


CONNECT = "connect a provider: `modelbay provider add`"
"""The hint where nothing is configured."""


class Config(Struct, kw_only=True):
    """A whole file. Entries that cannot be used are only in `problems`."""

    path: Path
    exists: bool = True
    digest: str = ""
    """SHA-256 of the file's text; "" if the configuration was not read from a file."""
    trusted: bool = False
    """Whether references are followed wherever the file is, because the program that opened it vouches for it."""
    default_model: str | None = None
    """Default model: an alias, or `provider/model-id`."""
    default_provider: str | None = None
    """Provider of models that name neither a provider nor an address."""
    names_are_ids: bool = False
    """Whether any other name is the ID of a model of `default_provider`, as for a provider that a program describes. Never in the
    file."""
    thinking: ThinkingDefaults = field(default_factory=ThinkingDefaults)
    chat: ChatSettings = field(default_factory=ChatSettings)
    network: Network | None = Network()
    """None if its table cannot be used; nothing is sent then."""
    gateway: GatewaySettings | None = GatewaySettings()
    """None if its table cannot be used; the gateway does not start then."""
    providers: dict[str, ProviderEntry] = field(default_factory=dict)
    models: dict[str, ModelEntry] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unknown: list[Problem] = field(default_factory=list)
    """Unknown keys, most of them misspelled. They are ignored."""
    extra: Table = field(default_factory=dict)
    """Tables and keys of other programs."""

    def __repr__(self) -> str:
        return f"Config({str(self.path)!r}, {len(self.providers)} providers, {len(self.models)} models)"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("path", str(self.path))]

    def invalid(self, table: str, hint: str) -> ConfigError:
        """The error about a table that cannot be used."""
        problem = next((problem for problem in self.problems if problem.where.startswith(table)), None)
        message = f"invalid [{table}]: {problem or 'expected a table'}"
        return ConfigError(message, hint=hint, file=str(self.path), line=problem.line if problem else None)

    @property
    def is_missing(self) -> bool:
        """Whether the file is missing, and the program has described no provider."""
        return not self.exists and not self.providers and self.path != IN_CODE

    def _place(self) -> str:
        """The file in which an entry is missing, for messages."""
        return f": there is no configuration at {self.path}" if self.is_missing else f" in {self.path}"

    def provider(self, id: str) -> ProviderEntry:
        """Raises:
        UnknownProvider: no provider has that ID, or it cannot be used; `hint` suggests the nearest.
        """
        entry = self.providers.get(id)
        if entry is None:
            broken = self.problem_of("providers", id)
            hint = broken.hint if broken else CONNECT if self.is_missing else None
            raise UnknownProvider(
                f'provider "{id}" cannot be used: {broken}' if broken else f'no provider "{id}"{self._place()}',
                hint=hint or did_you_mean(id, self.providers),
                file=str(self.path),
                line=broken.line if broken else None,
            )
        return entry

    def provider_of(self, model: ModelEntry) -> ProviderEntry:
        """The provider that serves a model; a standalone model is its own provider."""
        if not model.flat:
            return self.provider(model.provider)
        return ProviderEntry(
            id=model.provider, type=TYPE_OF[model.protocol] if model.protocol else None, base_url=model.base_url
        )

    def model(self, name: str | None = None) -> ModelEntry:
        """The model called `name`: its alias, another of its names, or `provider/model-id`, each with or without `:variant`.
        Without a name, the default model. A model ID may contain slashes and colons.

        Raises:
            UnknownModel: no model has that name; `hint` suggests the nearest.
        """
        asked = name if name is not None else self.default_model
        if not asked:
            raise self._unnamed(asked)
        found = self._configured(asked)
        if found is None and ":" in asked:
            stem, _, variant = asked.rpartition(":")
            base = self._configured(stem)
            if base is not None and variant in base.variants:
                found = replace(base, variant=variant)
        if found is None and not self.problem_of("models", asked):
            provider, _, wire_id = asked.partition("/")
            if wire_id and provider in self.providers:
                found = ModelEntry(alias=asked, provider=provider, model=wire_id, configured=False)
            elif self.names_are_ids and self.default_provider is not None:
                found = ModelEntry(alias=asked, provider=self.default_provider, model=asked, configured=False)
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
        # several entries for one model ID differ in settings that the caller did not ask for
        return same[0] if len(same) == 1 else None

    def _unnamed(self, name: str | None) -> UnknownModel:
        """The error about a name that is empty or missing."""
        if name == "":
            hint = "leave it out for the default model, or set the variable that it comes from"
            return UnknownModel("the name of the model is empty", hint=hint, file=str(self.path))
        if self.models:
            hint = "pass one, or set a default: `modelbay model default NAME`"
        elif self.providers:
            hint = f"pass one, such as {next(iter(self.providers))}/MODEL_ID"
        else:
            hint = CONNECT
        why = f", and there is no configuration at {self.path}" if self.is_missing else ", and no default model is set"
        return UnknownModel(f"no model given{why}", hint=hint, file=str(self.path))

    def _no_model(self, name: str) -> UnknownModel:
        provider, slash, _ = name.partition("/")
        broken = self.problem_of("models", name) or (self.problem_of("providers", provider) if slash else None)
        if broken:
            message = f'model "{name}" cannot be used: {broken}'
            return UnknownModel(message, hint=broken.hint, file=broken.file, line=broken.line)
        base = self._configured(name.rpartition(":")[0])
        hint: str | None
        if self.is_missing:
            hint = CONNECT
        elif base is not None and base.variants:
            hint = f"the variants of {base.alias} are {', '.join(base.variants)}"
        else:
            known = [*self.models, *(alias for entry in self.models.values() for alias in entry.aliases)]
            hint = did_you_mean(name, known) or (did_you_mean(provider, self.providers) if slash else None)
        hint = hint or "use a model of the file, or provider/model-id"
        return UnknownModel(f'no model "{name}"{self._place()}', hint=hint, file=str(self.path))

    def problem_of(self, table: str, name: str) -> Problem | None:
        """The reason why an entry of `models` or `providers` cannot be used; None if it can, or does not exist."""
        where = f"{table}.{key_text(name)}"
        for problem in self.problems:
            if (problem.where == where or problem.where.startswith(where + ".")) and name not in getattr(self, table):
                return problem
        return None


def key_text(key: str) -> str:
    """A key as TOML writes it, unquoted if possible."""
    bare = key.isascii() and key.replace("-", "").replace("_", "").isalnum()
    return key if bare else '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """The hint with the known names that are similar to an unknown one; None if there are none."""
    from difflib import get_close_matches

    by_case = {other.lower(): other for other in known}
    near = [by_case[match] for match in get_close_matches(name.lower(), by_case, n=3)]
    if not near:
        return None
    return "did you mean " + " or ".join(f'"{other}"' for other in near) + "?"
