"""Gemini CLI: environment variables from the shell and from a file of variables; its settings name the model and the login.

It has one provider, which speaks Google's protocol. Files of a project are not read: Gemini CLI ignores them too, unless the user
trusts the folder.
"""

import re
import shlex
from pathlib import Path

from msgspec import Struct, field

from modelbay.agents import variables
from modelbay.agents.agent import Agent, ExportedConfig, ImportedConfig, ImportedProvider
from modelbay.agents.config_files import json_layer
from modelbay.agents.entry_values import UNUSABLE_URL, has_host, import_secret
from modelbay.agents.exported import NO_KEY, ExportedProvider, check_supported, refused
from modelbay.agents.findings import KEY_IN_HEADER, NOT_COPIED, MergedConfig
from modelbay.agents.importing import check
from modelbay.config.provider_types import TYPES
from modelbay.config.schema import Table
from modelbay.config.toml.scan import Keys
from modelbay.credentials.credential import LOCATION, PROJECT
from modelbay.errors import ConfigError
from modelbay.origin import origin
from modelbay.providers import presets, urls
from modelbay.secrecy import REFERENCE, bare_url, misspelled_reference, secret_header
from modelbay.storage.paths import environment, expanded

URL, KEY, MODEL, HEADERS = "GOOGLE_GEMINI_BASE_URL", "GEMINI_API_KEY", "GEMINI_MODEL", "GEMINI_CLI_CUSTOM_HEADERS"
AT_VERTEX, VERTEX_URL, VERTEX_KEY = "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_VERTEX_BASE_URL", "GOOGLE_API_KEY"
VERTEX_PROJECT, VERTEX_LOCATION = "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION"
NAMES = (URL, MODEL, AT_VERTEX, VERTEX_URL, VERTEX_PROJECT, VERTEX_LOCATION)
LOGIN = ("security", "auth", "selectedType")
OTHER_LOGINS = ("oauth-personal", "login-with-google", "cloud-shell", "compute-default-credentials")
OWN_NAMES = re.compile(r"auto(-.*)?|pro|flash|flash-lite")
"""Names for models that only it knows."""
_HEADER = re.compile(r",(?=\s*[^,:]+:)")


def _home() -> Path:
    return expanded(environment("GEMINI_CLI_HOME") or "~") / ".gemini"


def _files() -> list[Path]:
    return [_home() / "settings.json", _home() / ".env"]


def _read(file: Path | None, keys: bool) -> ImportedConfig:
    if file is not None:
        layers = [json_layer(file) if file.suffix == ".json" else variables.file_layer(file)]
    else:
        settings, own = _files()
        layers = [json_layer(settings)] if settings.is_file() else []
        env = next((path for path in (own, Path.home() / ".env") if path.is_file()), None)
        layers += [variables.file_layer(env)] if env else []
        layers += variables.shell_layer(NAMES, (KEY, VERTEX_KEY))
    if not layers:
        raise ConfigError(f"{AGENT.title} has no settings at {_files()[0]}", hint="name its settings or its .env file")
    merged = MergedConfig(layers, keys=keys, provider_tables=())
    return _Reader(merged, ImportedConfig([layer.file for layer in layers])).read()


class _Reader(Struct):
    merged: MergedConfig
    result: ImportedConfig
    provider: ImportedProvider = field(default_factory=lambda: ImportedProvider("", {}))

    def read(self) -> ImportedConfig:
        merged, result, provider = self.merged, self.result, self.provider
        login = merged.text(*LOGIN)
        vertex = login == "vertex-ai" or merged.get("env", AT_VERTEX) in ("true", "1")
        why = ""
        if login in OTHER_LOGINS and merged.get("env", KEY) is None and merged.get("env", URL) is None:
            why = "the login of Gemini CLI is not imported"
            provider.id = "gemini-login"
        elif vertex:
            self._vertex()
        else:
            why = self._api()
        if not why:
            self._headers()
            self._model()
            merged.exact(*LOGIN, why="the type of the provider")
            merged.exact("env", AT_VERTEX)
            why = check(provider, merged, lambda alias: self._model_path())
        if why:
            result.skipped[provider.id] = why
            merged.override_unsupported(*LOGIN, why=why)
        elif self._has_provider():
            result.providers.append(provider)
        merged.unsupported("env", why="not about the provider")
        result.findings = merged.findings()
        return result

    def _has_provider(self) -> bool:
        """Whether the settings describe a provider."""
        named = (KEY, URL, AT_VERTEX, VERTEX_URL)
        return any(self.merged.get("env", name) is not None for name in named) or self.merged.get(*LOGIN) is not None

    def _api(self) -> str:
        """Read the provider of an API key. Returns why it cannot be used, or ""."""
        merged, provider = self.merged, self.provider
        url = merged.text("env", URL)
        home = TYPES["google-genai"].base_url or ""
        bare = bare_url(url) if url else home
        if url and bare != url and not merged.keys:
            merged.approximate("env", URL, why=NOT_COPIED)
            url = bare
        unusable = merged.get("env", URL)  # a reference: it is refused, as its key must not go to another URL
        provider.table = {"type": "google-genai", "base_url": url or unusable or home}
        host = "" if not has_host(provider.table["base_url"]) else origin(provider.table["base_url"]).host
        vendor = presets.by_host(host)
        provider.id = vendor.id if vendor else re.sub(r"[^a-z0-9]+", "-", host.lower()).strip("-") or "gemini"
        if not host:
            return UNUSABLE_URL
        merged.exact("env", URL)
        self._key(KEY)
        return ""

    def _vertex(self) -> None:
        merged, provider = self.merged, self.provider
        provider.id, provider.table = "gemini-vertex", {"type": "vertexai"}
        if url := merged.text("env", VERTEX_URL):
            provider.table["base_url"] = bare_url(url) if not merged.keys else url
            merged.exact("env", VERTEX_URL)
        places = {PROJECT: VERTEX_PROJECT, LOCATION: VERTEX_LOCATION}
        found = {name: value for name, there in places.items() if (value := merged.text("env", there))}
        for there in places.values():
            merged.exact("env", there)
        if found:
            provider.table["env"] = found
        self._key(VERTEX_KEY)

    def _key(self, name: str) -> None:
        merged, provider = self.merged, self.provider
        value = merged.get("env", name)
        if not isinstance(value, str) or not value.strip():
            if name == KEY:
                provider.missing_key = "its key is not in these files: Gemini CLI may keep it in the system's key store"
            return
        if merged.owner("env", name).file == variables.SHELL:
            provider.table["api_key"] = value
            merged.exact("env", name)
        else:
            import_secret(merged, ("env", name), provider)

    def _headers(self) -> None:
        """Read headers, written as `Name: value, Name: value`."""
        merged, provider = self.merged, self.provider
        text = merged.text("env", HEADERS)
        headers, withheld = {}, []
        for part in _HEADER.split(text or ""):
            name, colon, value = (word.strip() for word in part.partition(":"))
            if not colon or not name or REFERENCE.search(value) or misspelled_reference(value):
                continue
            if secret_header(name, value) and not merged.keys:
                withheld.append(name)
            else:
                headers[name] = value
        if headers:
            provider.table["custom_headers"] = headers
        if withheld:
            provider.missing_key = provider.missing_key or KEY_IN_HEADER
            merged.approximate("env", HEADERS, why=f"{', '.join(withheld)}: {NOT_COPIED}")
        merged.exact("env", HEADERS)

    def _model_path(self) -> Keys:
        return ("env", MODEL) if self.merged.get("env", MODEL) is not None else ("model", "name")

    def _model(self) -> None:
        merged, provider, path = self.merged, self.provider, self._model_path()
        model = merged.text(*path)
        if model is None:
            return
        if OWN_NAMES.fullmatch(model):
            merged.unsupported(*path, why=f'only Gemini CLI knows the model ID of "{model}"')
            return
        alias = f"{provider.id}/{model.removeprefix('models/')}"
        provider.models[alias] = {"model": model}
        self.result.default_model = alias
        merged.exact(*path)
        merged.exact("model", "name", why=f"{MODEL} overrides it")


# Export


def _write(providers: list[ExportedProvider]) -> ExportedConfig:
    exported = ExportedConfig("env")
    provider, *others = providers
    if others:
        named = ", ".join(provider.id for provider in providers)
        raise refused(
            provider.id,
            f"{AGENT.title} supports only one provider",
            f"name one of {named}",
        )
    check_supported(AGENT.title, provider, vertex=True)
    found: dict[str, str] = {}
    if provider.upstream.preset and provider.upstream.preset.addressing == "vertexai":
        found |= _vertex(provider)
    else:
        base = urls.VERSION.sub("", provider.base_url.rstrip("/"))
        if not base.startswith("https://") and origin(base).host not in ("localhost", "127.0.0.1", "::1"):
            raise refused(provider.id, f"{AGENT.title} supports only https, except for this machine")
        found[URL] = base
        found |= _key(provider, exported)
    if headers := provider.headers():
        found[HEADERS] = ", ".join(f"{name}: {value}" for name, value in headers.items())
    default = provider.first_model
    if default is not None:
        found[MODEL] = default.model
    exported.settings = {(name,): value for name, value in found.items()}
    exported.command = f"gemini -m {shlex.quote(default.model)} -p Hello" if default else "gemini"
    rest = [model.model for model in provider.models if model is not default]
    if rest and not provider.of_gateway:
        why = f"{AGENT.title} has no list; choose one with `gemini -m MODEL`"
        provider.not_exported(f"models {', '.join(rest)}", why)
    if provider.entry.timeout is not None:
        provider.not_exported("timeout")
    login = "vertex-ai" if AT_VERTEX in found else "gemini-api-key"
    exported.notes.append(
        f'set security.auth.selectedType to "{login}" in {_files()[0]}, otherwise the URL is not used'
    )
    exported.notes.append(f"{AGENT.title} reads {_files()[1]} only in folders that you trust")
    if provider.of_gateway:
        model = default.model.removeprefix("models/") if default else "MODEL"
        exported.notes.append(
            f"{AGENT.title} searches and summarizes with models of its own, and repeats requests for unknown models without end: "
            f'add "gemini-*" = "{model}" under [gateway.names]'
        )
    exported.notes += provider.notes
    return exported


def _vertex(provider: ExportedProvider) -> dict[str, str]:
    found = {AT_VERTEX: "true"}
    for name, key in ((VERTEX_PROJECT, PROJECT), (VERTEX_LOCATION, LOCATION)):
        if value := provider.entry.env.get(key):
            found[name] = value
    if provider.entry.base_url:
        found[VERTEX_URL] = provider.entry.base_url
    return found


def _key(provider: ExportedProvider, exported: ExportedConfig) -> Table:
    if key := provider.secret():
        return {KEY: key}
    if not provider.key:
        return {KEY: NO_KEY}
    if provider.reference != ("env", KEY):
        exported.variables[KEY] = provider.id
    return {}


AGENT = Agent(
    id="gemini",
    title="Gemini CLI",
    protocols=("google",),
    files=_files,
    read=_read,
    write=_write,
    model_urls=False,
    changes_file=False,
)
