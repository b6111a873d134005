"""Codex: `config.toml` with `model_providers`, profiles in separate files, and the OpenAI key in `auth.json`.

Current versions support only the Responses API (`wire_api = "chat"` is an error) and no profiles in `config.toml`. Files of older
versions are read too.
"""

import shlex
from pathlib import Path
from urllib.parse import urlencode, urlsplit, urlunsplit

from msgspec import Struct, field

from modelbay.agents.agent import Agent, ExportedConfig, ExportedEntry, ImportedConfig, ImportedProvider
from modelbay.agents.config_files import read_logins, toml_layer
from modelbay.agents.exported import ExportedProvider, auth_headers, origin_text
from modelbay.agents.findings import KEY_IN_HEADER, KEY_NOT_COPIED, NOT_COPIED, MergedConfig
from modelbay.agents.gateway_provider import RETRIES
from modelbay.agents.importing import check, may_run
from modelbay.config.provider_types import TYPE_OF
from modelbay.config.schema import ModelEntry, Table
from modelbay.config.toml.scan import Keys
from modelbay.providers import presets
from modelbay.secrecy import REFERENCE, bare_url, secret_header, secret_parameter
from modelbay.storage.paths import environment, expanded

DEFAULT_PROVIDER = "openai"
"""The default provider, and the only built-in one with a setting for its base URL."""
WIRES = {"responses": "openai_responses", "chat": "openai"}
ENDING = ".config.toml"
"""The end of the name of a profile's file."""
KEY_SETTINGS: tuple[Keys, ...] = (
    ("env_key",), ("experimental_bearer_token",), ("auth",), ("requires_openai_auth",), *auth_headers("http_headers"),
    *auth_headers("env_http_headers"),
)  # fmt: skip
"""The settings for a provider's key. Codex uses only one of them."""
SECRETS: tuple[Keys, ...] = (
    *KEY_SETTINGS, ("env_key_instructions",), ("http_headers",), ("env_http_headers",), ("query_params",),
    ("model_catalog_url",),
)  # fmt: skip
"""Settings that belong to one URL."""
ADDRESS: tuple[Keys, ...] = (("base_url",), ("aws",))
"""Settings of an entry that decide the destination of its calls."""
CREDENTIALS: tuple[Keys, ...] = (*KEY_SETTINGS, ("http_headers",), ("env_http_headers",), ("query_params",))
PROFILE_KEYS = ("model", "model_provider")


def _home() -> Path:
    return expanded(environment("CODEX_HOME") or "~/.codex")


def _files() -> list[Path]:
    return [_home() / "config.toml"]


def _read(file: Path | None, keys: bool) -> ImportedConfig:
    main = MergedConfig(
        [toml_layer(file or _files()[0], AGENT.title)], keys=keys, provider_tables=("model_providers", "profiles")
    )
    logins = read_logins(_home() / "auth.json" if file is None else None, keys)
    beside = [] if file is not None else sorted(path for path in _home().glob(f"*{ENDING}") if path.is_file())
    profiles = [MergedConfig([toml_layer(path, AGENT.title)], keys=keys) for path in beside]
    return _Reader(main, logins, profiles, may_run(file, _files())).read()


class _Reader(Struct):
    merged: MergedConfig
    logins: MergedConfig
    profiles: list[MergedConfig]
    may_run: bool
    providers: dict[str, ImportedProvider] = field(default_factory=dict)
    result: ImportedConfig = field(default_factory=lambda: ImportedConfig([]))

    def read(self) -> ImportedConfig:
        merged, result = self.merged, self.result
        configs = (merged, *self.profiles, self.logins)
        result.files = [layer.file for one in configs for layer in one.layers]
        for id in merged.table("model_providers"):
            self._provider(id)
        selected = merged.text("profile")
        profiles = merged.table("profiles")
        # If several profiles configure the same model, the settings of the selected profile have priority.
        aliases = {
            name: self._selected_model(merged, ("profiles", name), merged) for name in profiles if name == selected
        }
        default = self._selected_model(merged, (), None)
        if any(merged.get("profiles", selected or "", key) for key in PROFILE_KEYS):
            default = aliases[selected or ""]
        for name in profiles:
            if name != selected:
                self._selected_model(merged, ("profiles", name), merged)
            for key in PROFILE_KEYS:
                merged.approximate("profiles", name, key, why="imported as a model; choose it with -m")
        if selected is not None and isinstance(merged.get("profiles", selected), dict):
            merged.exact("profile", why="imported as the default model")
        merged.unsupported("profile", why="this profile does not exist")
        for one in self.profiles:
            self._selected_model(one, (), merged)
            for key in PROFILE_KEYS:
                one.approximate(key, why="imported as a model; choose it with -m")
        if self.logins.layers and DEFAULT_PROVIDER not in self.providers and DEFAULT_PROVIDER not in result.skipped:
            self._built_in(DEFAULT_PROVIDER)
        self._login()
        for provider in self.providers.values():
            at = ("model_providers", provider.id)
            if why := check(provider, merged, lambda alias: ("model",)):
                result.skipped[provider.id] = why
                merged.override_unsupported(*at, why=why)
            else:
                result.providers.append(provider)
        result.default_model = default if any(default in provider.models for provider in result.providers) else None
        result.findings = [finding for one in configs for finding in one.findings()]
        return result

    def _provider(self, id: str) -> None:
        merged, here = self.merged, ("model_providers", id)
        if not isinstance(merged.get(*here), dict) or merged.get(*here, "aws") is not None:
            signs = bool(merged.get(*here, "aws"))
            why = "modelbay does not support AWS request signing" if signs else "it is not a table"
            self.result.skipped[id] = why
            merged.override_unsupported(*here, why=why)
            return
        wire = merged.text(*here, "wire_api") or "responses"
        if wire not in WIRES:
            self.result.skipped[id] = f'unknown wire_api "{wire}"'
            merged.override_unsupported(*here, why=self.result.skipped[id])
            return
        merged.exact(*here, "wire_api")
        provider = ImportedProvider(id, {"type": WIRES[wire]})
        self.providers[id] = provider
        if name := merged.text(*here, "name"):
            provider.table["name"] = name
            merged.exact(*here, "name")
        self._address(provider, here)
        self._headers(provider, here)
        self._key(provider, here)
        idle = merged.number(*here, "stream_idle_timeout_ms", least=1)
        if idle is not None:
            provider.table["timeout"] = {"idle": idle / 1000}
            merged.exact(*here, "stream_idle_timeout_ms")
        for name in ("request_max_retries", "stream_max_retries"):
            merged.unsupported(*here, name, why="modelbay chooses the number of retries by the error")
        merged.unsupported(*here, "model_catalog_url", why="modelbay finds the provider's list itself")
        for name in ("supports_websockets", "websocket_connect_timeout_ms"):
            merged.unsupported(*here, name, why="modelbay streams over HTTP")

    def _address(self, provider: ImportedProvider, here: Keys) -> None:
        merged = self.merged
        url = merged.text(*here, "base_url")
        if url is None and isinstance(written := merged.get(*here, "base_url"), str) and written.strip():
            provider.table["base_url"] = (
                written  # a reference: the check refuses it, as its key must not go to another URL
            )
            return
        if url is None:
            vendor = presets.by_id(provider.id) or presets.by_id(DEFAULT_PROVIDER)
            url = vendor.url("openai_responses") if vendor else None
        if url is None:
            return
        pairs = []
        for name in merged.table(*here, "query_params"):
            path = (*here, "query_params", name)
            value = merged.text(*path)
            if value is not None and (not secret_parameter(name, value) or merged.secret(*path)):
                pairs.append((name, value))
                merged.exact(*path)
        parts = urlsplit(url)
        joined = "&".join(part for part in (parts.query, urlencode(pairs)) if part)
        bare = bare_url(url)
        if bare != url and not merged.keys:
            merged.approximate(*here, "base_url", why=NOT_COPIED)
            parts = urlsplit(bare)
            joined = "&".join(part for part in (parts.query, urlencode(pairs)) if part)
        merged.exact(*here, "base_url")
        provider.table["base_url"] = urlunsplit(parts._replace(query=joined))

    def _headers(self, provider: ImportedProvider, here: Keys) -> None:
        merged = self.merged
        headers = {}
        for name in merged.table(*here, "http_headers"):
            path = (*here, "http_headers", name)
            value = merged.text(*path)
            if value is None:
                continue
            if secret_header(name, value) and not merged.secret(*path):
                provider.missing_key = KEY_IN_HEADER
                continue
            headers[name] = value
            merged.exact(*path)
        for name in merged.table(*here, "env_http_headers"):
            path = (*here, "env_http_headers", name)
            if variable := merged.text(*path):
                headers[name] = f"{{env:{variable}}}"
                merged.exact(*path)
        if headers:
            provider.table["custom_headers"] = headers

    def _key(self, provider: ImportedProvider, here: Keys) -> None:
        merged, table = self.merged, provider.table
        if variable := merged.text(*here, "env_key"):
            table["api_key"] = f"{{env:{variable}}}"
            merged.exact(*here, "env_key")
        merged.unsupported(*here, "env_key_instructions", why="modelbay has its own message for a missing key")
        path = (*here, "experimental_bearer_token")
        token = merged.text(*path)
        if token and "api_key" in table:
            merged.exact(*path, why="env_key overrides it")
        elif token and merged.secret(*path):
            table["api_key"] = token
        elif token:
            provider.missing_key = KEY_NOT_COPIED
        command = merged.text(*here, "auth", "command")
        if command and not self.may_run:
            merged.unsupported(*here, "auth", why="only Codex's own configuration file may run programs")
        elif command and "api_key" not in table:
            arguments = merged.strings(*here, "auth", "args") or []
            table["api_key"] = f"{{command:{shlex.join([command, *arguments])}}}"
            merged.exact(*here, "auth", "command")
            merged.exact(*here, "auth", "args")
        if merged.boolean(*here, "requires_openai_auth"):
            self._use_login(provider)
        merged.exact(*here, "requires_openai_auth")

    def _login(self) -> None:
        """Import the stored OpenAI key. The tokens of a ChatGPT login are not imported."""
        if DEFAULT_PROVIDER in self.providers and not self.merged.get("model_providers", DEFAULT_PROVIDER):
            self._use_login(self.providers[DEFAULT_PROVIDER])
        self.logins.exact("auth_mode", "login")
        self.logins.unsupported("tokens", why="the tokens of a ChatGPT login are not copied")
        self.logins.unsupported("last_refresh", "login", why="the tokens of a ChatGPT login are not copied")
        self.logins.unsupported("OPENAI_API_KEY", "login", why="no provider in the file uses it")

    def _use_login(self, provider: ImportedProvider) -> None:
        path = ("OPENAI_API_KEY", "login")
        key = self.logins.get(*path)
        if isinstance(key, str) and key.strip():
            if "api_key" in provider.table:
                self.logins.exact(*path, why="the provider's own key overrides it")
            elif self.logins.secret(*path):
                provider.table["api_key"] = key.strip()
            else:
                provider.missing_key = KEY_NOT_COPIED
        elif key is None and self.logins.layers:
            provider.missing_key = "the tokens of its ChatGPT login were not copied"
        elif key is None:
            provider.missing_key = "its key is in auth.json, which was not read"

    def _built_in(self, id: str) -> None:
        """Add a built-in provider of Codex."""
        vendor = presets.by_id(id)
        if vendor is None or vendor.base_url is None or "{" in vendor.base_url:
            self.result.skipped[id] = "it is built into Codex, and modelbay does not know it"
            return
        protocol = "openai_responses" if "openai_responses" in vendor.protocols else vendor.protocols[0]
        table: Table = {"type": TYPE_OF[protocol], "base_url": vendor.url(protocol)}
        url = self.merged.text("openai_base_url") if id == DEFAULT_PROVIDER else None
        if url:
            table["base_url"] = bare_url(url) if not self.merged.keys else url
            self.merged.exact("openai_base_url")
        elif (
            id == DEFAULT_PROVIDER
            and isinstance(written := self.merged.get("openai_base_url"), str)
            and written.strip()
        ):
            table["base_url"] = written  # as above
        self.providers[id] = ImportedProvider(id, table)

    def _selected_model(self, merged: MergedConfig, here: Keys, outer: MergedConfig | None) -> str | None:
        """Add the model that a table selects to its provider, and return its alias. `outer`: the file around a profile."""
        model, id = (merged.text(*here, key) for key in PROFILE_KEYS)
        if model is None and id is None and not (outer and merged.text(*here, "model_reasoning_effort")):
            return None
        if outer is not None:  # a profile overrides the rest of the file
            model, id = model or outer.text("model"), id or outer.text("model_provider")
        id = id or DEFAULT_PROVIDER
        if id not in self.providers and id not in self.result.skipped:
            self._built_in(id)
        provider = self.providers.get(id)
        if provider is None:
            for key in PROFILE_KEYS:
                merged.unsupported(*here, key, why="its provider is not imported")
            return None
        if outer is None:
            merged.exact("model_provider")
            merged.exact("model")
        if model is None:
            return None
        alias = f"{id}/{model}"
        table = provider.models.setdefault(alias, {"model": model})
        sizes = {"model_context_window": "max_context_size", "model_max_output_tokens": "max_output_size"}
        for there, name in sizes.items():
            size = merged.size(*here, there)
            if size is not None and table.setdefault(name, size) == size:
                merged.exact(*here, there)
            elif outer is not None and (size := outer.size(there)) is not None:
                table.setdefault(name, size)
        effort = merged.text(*here, "model_reasoning_effort")
        if outer is not None and not effort and (usual := outer.text("model_reasoning_effort")):
            table.setdefault("default_effort", usual)
        elif effort:
            if table.setdefault("default_effort", effort) == effort:
                merged.exact(*here, "model_reasoning_effort")
            else:
                merged.unsupported(
                    *here, "model_reasoning_effort", why="another setting for this model is used instead"
                )
        return alias


# Export


def _write(providers: list[ExportedProvider]) -> ExportedConfig:
    exported = ExportedConfig("toml")
    exported.problems = lambda file, data: _problems(exported, data)
    for provider in providers:
        id = provider.id if presets.by_id(provider.id) is None else f"{provider.id}-modelbay"
        exported.entries.append(
            ExportedEntry(("model_providers", id), _destination, ADDRESS, SECRETS, KEY_SETTINGS, CREDENTIALS)
        )
        if id != provider.id:
            provider.note(f"exported as {id}: {AGENT.title} reserves the ID {provider.id}")
        exported.settings["model_providers", id] = _entry(provider, exported)
        if (model := exported.start_model(provider)) is not None:
            exported.default_model = _default_model(provider, id, model)
            exported.command = f"codex -c model_provider={id} -m {shlex.quote(model.model)}"
        others = [other.model for other in provider.models if other is not provider.first_model]
        if others and not provider.of_gateway:  # which serves the list
            why = f"{AGENT.title} has no list; choose one with `codex -m MODEL`"
            provider.not_exported(f"models {', '.join(others)}", why)
        exported.notes += provider.notes
    return exported


def _destination(table: Table) -> str | None:
    """The destination of an entry's calls as comparable text; None if unknown."""
    return origin_text(table.get("base_url"))


def _problems(exported: ExportedConfig, data: Table) -> list[str]:
    """The reasons why Codex would not use the providers."""
    name, profiles = data.get("profile"), data.get("profiles")
    if name is None:
        return []
    profile = profiles.get(name) if isinstance(profiles, dict) and isinstance(name, str) else None
    chosen = profile.get("model_provider") if isinstance(profile, dict) else None
    if chosen is not None and ("model_providers", chosen) in [entry.path for entry in exported.entries]:
        return []
    other = f" with the provider {chosen}" if chosen else ""
    return [f'profile = "{name}"{other} overrides model_provider (and Codex 0.134 or newer does not start with it)']


def _default_model(provider: ExportedProvider, id: str, model: ModelEntry) -> dict[Keys, object]:
    """The settings that select a model. They include its context window, which Codex does not know."""
    size = model.max_context_size or provider.facts[model.alias].max_context_tokens
    facts = {"model_context_window": size, "model_reasoning_effort": model.default_effort}
    rest: dict[Keys, object] = {(name,): value for name, value in facts.items() if value}
    return {("model_provider",): id, ("model",): model.model, **rest}


def _entry(provider: ExportedProvider, exported: ExportedConfig) -> Table:
    table: Table = {"name": provider.name, "base_url": provider.base_url, "wire_api": "responses"}
    kind, target = provider.reference
    if kind == "env":
        table["env_key"] = target
    elif words := {"command": shlex.split(target), "file": ["cat", target]}.get(kind):
        table["auth"] = {"command": words[0], "args": words[1:]}
    elif key := provider.secret():
        table["experimental_bearer_token"] = key
    elif provider.key:
        table["env_key"] = provider.variable
        exported.variables[provider.variable] = provider.id
    plain, variables = {}, {}
    for name, value in provider.headers(("env",)).items():
        if reference := REFERENCE.fullmatch(value):
            variables[name] = reference[2]
        else:
            plain[name] = value
    if provider.of_gateway:  # Codex repeats no request after a rate limit (429)
        plain["x-modelbay-retries"] = str(RETRIES)
    if plain:
        table["http_headers"] = plain
    if variables:
        table["env_http_headers"] = variables
    if provider.query:
        table["query_params"] = provider.query
    if provider.of_gateway:  # without it, Codex assumes the sizes of its own models for all others
        table["model_catalog_url"] = f"{provider.base_url}/models"
        table["request_max_retries"] = 0  # the gateway repeats failed requests itself
    if provider.entry.timeout is not None:
        if provider.entry.timeout.idle:
            table["stream_idle_timeout_ms"] = round(provider.entry.timeout.idle * 1000)
        for key in ("connect", "first_byte"):
            if getattr(provider.entry.timeout, key):
                provider.not_exported(f"timeout.{key}")
    return table


AGENT = Agent(
    id="codex",
    title="Codex",
    protocols=("openai_responses",),
    files=_files,
    read=_read,
    write=_write,
    model_urls=False,
)
