"""Continue: `config.yaml` with a list of models, each with the settings of its calls. Its secrets are environment variables.

An export is printed: modelbay does not change YAML files.
"""

import re
import shlex
from pathlib import Path

from msgspec.structs import replace

from modelbay.agents import variables
from modelbay.agents.agent import Agent, ExportedConfig, ImportedConfig, ImportedProvider
from modelbay.agents.config_files import yaml_layer
from modelbay.agents.entry_values import (
    NO_URL,
    UNUSABLE_URL,
    Field,
    ReferenceForm,
    has_host,
    id_of,
    import_fields,
    import_headers,
    import_key,
    import_secret,
    read_url,
)
from modelbay.agents.exported import ExportedProvider, check_supported
from modelbay.agents.findings import MergedConfig
from modelbay.agents.model_list import ModelListReader
from modelbay.agents.named_lists import NamedLists, as_tables
from modelbay.config.provider_types import TYPE_OF
from modelbay.config.provider_types import TYPES as PROVIDER_TYPES
from modelbay.config.schema import ModelEntry, Table
from modelbay.config.toml.scan import Keys
from modelbay.conversation import Protocol
from modelbay.credentials.credential import LOCATION, PROJECT
from modelbay.errors import ConfigError
from modelbay.onboarding.fields import free_name
from modelbay.providers import presets, urls
from modelbay.secrecy import REFERENCE
from modelbay.storage.paths import environment, expanded

LISTS: NamedLists = {("models",): "name"}
FORM = ReferenceForm(
    re.compile(r"\$\{\{\s*secrets\.([A-Za-z_]\w*)\s*\}\}"),
    re.compile(r"\$\{\{"),
    "modelbay does not know the inputs of Continue's hub",
)
TYPES: dict[str, Protocol] = {"openai": "openai_chat", "anthropic": "anthropic", "gemini": "google"}
"""Continue's providers that are protocols. Others are named after vendors."""
NAMES = {protocol: name for name, protocol in TYPES.items()}
VERTEX, AZURE = "vertexai", "azure"
FOR_CHAT = {"chat", "edit", "apply", "summarize"}
FIELDS: list[Field] = [
    (("defaultCompletionOptions", "contextLength"), ("max_context_size",), "size"),
    (("defaultCompletionOptions", "maxTokens"), ("max_output_size",), "size"),
]
CAPABILITIES = {"tool_use": "tool_call", "image_input": "image_in"}


def _home() -> Path:
    return expanded(environment("CONTINUE_GLOBAL_DIR") or "~/.continue")


def _files() -> list[Path]:
    return [_home() / "config.yaml"]


def _read(file: Path | None, keys: bool) -> ImportedConfig:
    path = file or _files()[0]
    if file is None and not path.is_file():
        old = path.with_name("config.json")
        hint = f"Continue converts {old} itself: open its settings once" if old.is_file() else "name its config.yaml"
        raise ConfigError(f"{AGENT.title} has no configuration at {path}", hint=hint)
    layers = [yaml_layer(path)]
    env = _home() / ".env"
    layers += [variables.file_layer(env)] if file is None and env.is_file() else []
    layers = [replace(layer, data=as_tables(layer.data, LISTS)) for layer in layers]
    merged = MergedConfig(layers, keys=keys, provider_tables=("models",))
    return _Reader(merged, ImportedConfig([layer.file for layer in layers])).read()


class _Reader(ModelListReader):
    def read(self) -> ImportedConfig:
        merged, result = self.merged, self.result
        self.read_list("models", self._model)
        self.add_providers()
        result.default_model = next(iter(self.usable()), None)
        merged.unsupported("env", why="not the key of an imported provider")
        result.findings = merged.findings()
        return result

    def _model(self, path: Keys) -> str:
        """Add a model. Returns why it cannot be used, or ""."""
        merged = self.merged
        if merged.get(*path, "uses") is not None:
            return "it is a block of Continue's hub"
        id, kind = merged.text(*path, "model"), merged.text(*path, "provider")
        if id is None or kind is None:
            return "it has no model" if id is None else "it has no provider"
        roles = merged.strings(*path, "roles") if merged.get(*path, "roles") is not None else None
        if roles is not None and not FOR_CHAT & set(roles):
            return "it is not a model for chat"
        provider = ImportedProvider("", {})
        if why := self._set_type(provider, kind, path):
            return why
        self._settings(provider, path)
        same = (kind, repr(provider.table), provider.missing_key)
        provider = self.shared(same, provider, id_of(provider.table.get("base_url", ""), kind))
        table: Table = {"model": id}
        if kind == AZURE and (deployment := merged.text(*path, "env", "deployment")):
            table |= {"model": deployment, "base_model": id}
            merged.exact(*path, "env", "deployment")
        if name := merged.text(*path, "name"):
            table["display_name"] = name
        for setting in ("model", "provider", "name"):
            merged.exact(*path, setting)
        merged.exact(*path, "roles", why="modelbay has no roles")
        import_fields(merged, path, table, FIELDS)
        for capability in merged.strings(*path, "capabilities") or []:
            if capability in CAPABILITIES:
                table[CAPABILITIES[capability]] = True
        merged.exact(*path, "capabilities")
        self.add(provider, free_name(f"{provider.id}/{id}", self.places), table, path)
        return ""

    def _set_type(self, provider: ImportedProvider, kind: str, path: Keys) -> str:
        """Set type and base URL. Returns why it cannot, or ""."""
        merged, table = self.merged, provider.table
        url = read_url(merged, (*path, "apiBase"), FORM)
        if url is None and merged.get(*path, "apiBase") is not None:
            return UNUSABLE_URL
        vendor = presets.by_id(kind) or presets.by_models_dev(kind)
        if kind == VERTEX:
            table["type"] = VERTEX
            places = {PROJECT: ("env", "projectId"), LOCATION: ("env", "region")}
            env = {name: value for name, there in places.items() if (value := merged.text(*path, *there))}
            for there in places.values():
                merged.exact(*path, *there)
            table |= {"env": env} if env else {}
            return ""
        if kind == AZURE:
            table["type"] = AZURE
            if version := merged.text(*path, "env", "apiVersion"):
                table["api_version"] = version
            merged.exact(*path, "env", "apiVersion")
        elif kind in TYPES:
            table["type"] = TYPE_OF[TYPES[kind]]
            url = url or PROVIDER_TYPES[table["type"]].base_url
        elif vendor is not None and vendor.addressing == "plain":
            table["type"] = TYPE_OF[vendor.protocols[0]]
            url = url or vendor.url(vendor.protocols[0])
        elif url is not None:
            table["type"] = "openai"
            merged.approximate(*path, "provider", why="unknown in modelbay, which uses Chat Completions")
        else:
            return f'modelbay does not know the provider "{kind}"'
        if not has_host(url) or "{" in str(url):
            return NO_URL
        table["base_url"] = str(url).rstrip("/")
        merged.exact(*path, "apiBase")
        return ""

    def _settings(self, provider: ImportedProvider, path: Keys) -> None:
        """Read key, headers, time limit, proxy and certificates."""
        merged, table, options = self.merged, provider.table, (*path, "requestOptions")
        if table["type"] != VERTEX:
            import_key(merged, (*path, "apiKey"), provider, FORM)
            self._own_variable(provider)
        import_headers(merged, (*options, "headers"), provider, FORM)
        if wait := merged.number(*options, "timeout"):
            table["timeout"] = {"first_byte": float(wait)}
            merged.approximate(*options, "timeout", why="imported as the timeout for the first byte of a response")
        if proxy := read_url(merged, (*options, "proxy"), FORM):
            table["proxy"] = proxy
            merged.exact(*options, "proxy")
        tls: Table = {}
        if isinstance(merged.get(*options, "caBundlePath"), str) and (ca := merged.text(*options, "caBundlePath")):
            tls["ca"] = str(expanded(ca))
            merged.exact(*options, "caBundlePath")
        for name in ("cert", "key"):
            if value := merged.text(*options, "clientCertificate", name):
                tls[name] = str(expanded(value))
                merged.exact(*options, "clientCertificate", name)
        if merged.boolean(*options, "verifySsl") is False:
            tls["insecure"] = True
        merged.exact(*options, "verifySsl")
        if tls:
            table["tls"] = tls

    def _own_variable(self, provider: ImportedProvider) -> None:
        """Replace a reference to a variable that Continue's file of variables sets."""
        merged = self.merged
        match = REFERENCE.fullmatch(provider.table.get("api_key", ""))
        value = merged.get("env", match[2]) if match else None
        if match is None or not isinstance(value, str) or not value.strip() or environment(match[2]):
            return
        del provider.table["api_key"]
        import_secret(merged, ("env", match[2]), provider)


# Export


def _write(providers: list[ExportedProvider]) -> ExportedConfig:
    exported = ExportedConfig(
        "yaml", lists=LISTS, new_file={("name",): "modelbay", ("version",): "1.0.0", ("schema",): "v1"}
    )
    for provider in providers:
        check_supported(AGENT.title, provider, vertex=True)
        key, options = _key(provider, exported), _options(provider)
        for model in provider.models:
            name = _name(model, exported)
            exported.settings["models", name] = _entry(provider, model, name, key, options)
        if provider.models:
            exported.command = f"cn --config {shlex.quote(str(_files()[0]))} -p Hello"
        else:
            provider.not_offered(AGENT.title)
        exported.notes += provider.notes
    return exported


def _name(model: ModelEntry, exported: ExportedConfig) -> str:
    """The name of a model in Continue: names must differ."""
    used = {keys[1] for keys in exported.settings if keys[0] == "models"}
    return next(name for name in (model.display_name, model.alias) if name and name not in used)


def _key(provider: ExportedProvider, exported: ExportedConfig) -> str:
    kind, target = provider.reference
    if kind == "env":
        return f"${{{{ secrets.{target} }}}}"
    if key := provider.secret():
        return key
    if provider.key:
        exported.variables[provider.variable] = provider.id
        return f"${{{{ secrets.{provider.variable} }}}}"
    return ""


def _options(provider: ExportedProvider) -> Table:
    """The settings of requests, which are the same for all models of the provider."""
    options: Table = {}
    headers = {}
    for name, value in provider.headers(("env",), inside=True).items():
        headers[name] = REFERENCE.sub(lambda found: f"${{{{ secrets.{found[2]} }}}}", value)
    if headers:
        options["headers"] = headers
    timeout = provider.entry.timeout
    if timeout is not None and timeout.first_byte:
        options["timeout"] = timeout.first_byte
    return options


def _entry(provider: ExportedProvider, model: ModelEntry, name: str, key: str, options: Table) -> Table:
    facts = provider.facts[model.alias]
    protocol = provider.protocols.get(model.alias, provider.protocol)
    preset = provider.upstream.preset
    at_vertex = preset is not None and preset.addressing == "vertexai"
    places = {"projectId": provider.entry.env.get(PROJECT), "region": provider.entry.env.get(LOCATION)}
    where: Table = (
        {"provider": VERTEX, "env": {there: value for there, value in places.items() if value}}
        if at_vertex
        else {"provider": NAMES[protocol], "apiBase": urls.versioned(model.base_url or provider.base_url, protocol)}
    )
    table: Table = {
        "name": name,
        "model": model.model,
        **where,
        **({"apiKey": key} if key and not at_vertex else {}),
        "roles": ["chat", "edit", "apply"],
    }
    can = {
        "tool_use": facts.can("tool_use") if model.tool_call is None else model.tool_call,
        "image_input": facts.can("image_in") if model.image_in is None else model.image_in,
    }
    if any(can.values()):
        table["capabilities"] = [capability for capability, yes in can.items() if yes]
    sizes = {
        "contextLength": model.max_context_size or facts.max_context_tokens,
        "maxTokens": model.max_output_size or facts.max_output_tokens,
    }
    if known := {there: size for there, size in sizes.items() if size}:
        table["defaultCompletionOptions"] = known
    if options:
        table["requestOptions"] = options
    for what in ("cost", "variants"):
        if getattr(model, what):
            provider.not_exported(f"{what} of model {model.alias}")
    return table


AGENT = Agent(
    id="continue",
    title="Continue",
    protocols=("openai_chat", "anthropic", "google"),
    files=_files,
    read=_read,
    write=_write,
    changes_file=False,
)
