"""LiteLLM: the `model_list` of its proxy's configuration, which is imported only.

Each deployment has all settings of its calls. Deployments with the same URL, key and headers become the models of one provider, and
their `model_name` becomes an alias. The file is always named: LiteLLM has no usual place for it.
"""

import re
from pathlib import Path

from msgspec.structs import replace

from modelbay.agents.agent import ImportedConfig, ImportedProvider, ImportSource
from modelbay.agents.config_files import yaml_layer
from modelbay.agents.entry_values import (
    NO_URL,
    UNUSABLE_URL,
    Field,
    ReferenceForm,
    has_host,
    id_of,
    import_cost,
    import_fields,
    import_headers,
    import_key,
    import_secret,
    read_url,
)
from modelbay.agents.findings import MergedConfig
from modelbay.agents.model_list import ModelListReader
from modelbay.agents.named_lists import NamedLists, as_tables
from modelbay.config.provider_types import TYPE_OF
from modelbay.config.provider_types import TYPES as PROVIDER_TYPES
from modelbay.config.schema import Table
from modelbay.config.toml.scan import Keys
from modelbay.conversation import Protocol
from modelbay.credentials.credential import LOCATION, PROJECT
from modelbay.errors import ConfigError
from modelbay.onboarding.fields import free_name
from modelbay.providers import presets, urls
from modelbay.providers.vendor import Preset
from modelbay.secrecy import REFERENCE

LISTS: NamedLists = {("model_list",): "model_name"}
FORM = ReferenceForm(re.compile(r"\Aos\.environ/([A-Za-z_]\w*)\Z"))
TYPES: dict[str, Protocol] = {
    "openai": "openai_chat",
    "custom_openai": "openai_chat",
    "openai_like": "openai_chat",
    "litellm_proxy": "openai_chat",
    "anthropic": "anthropic",
    "gemini": "google",
}
"""LiteLLM's prefixes of models that name a protocol. Others name a vendor."""
VERTEX, AZURE = "vertex_ai", "azure"
GUESSED = (
    (re.compile(r"claude-"), "anthropic"),
    (re.compile(r"gpt-|o\d|chatgpt-|codex-"), "openai"),
    (re.compile(r"gemini-"), VERTEX),
)
"""The prefix that it assumes for a model without one."""
FIELDS: list[Field] = [
    (("litellm_params", "max_tokens"), ("max_output_size",), "size"),
    (("model_info", "max_output_tokens"), ("max_output_size",), "size"),
    (("model_info", "max_input_tokens"), ("max_input_size",), "size"),
    (("model_info", "supports_vision"), ("image_in",), "boolean"),
    (("model_info", "supports_audio_input"), ("audio_in",), "boolean"),
    (("model_info", "supports_pdf_input"), ("document_in",), "boolean"),
    (("model_info", "supports_reasoning"), ("reasoning",), "boolean"),
    (("model_info", "supports_function_calling"), ("tool_call",), "boolean"),
    (("litellm_params", "reasoning_effort"), ("default_effort",), "text"),
]
COSTS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
}
"""Prices in dollars per token."""
LIMITS = ("rpm", "tpm", "max_parallel_requests", "weight", "order", "max_budget", "budget_duration")
FOR_CHAT = ("chat", "responses", "completion")
NO_LIMITS = "modelbay does not limit or balance calls"
RETRIES = "calls are retried; the header x-modelbay-retries of a request limits this"
TIMEOUT = "set it at each provider: `modelbay provider edit ID --timeout SECONDS`"


def _files() -> list[Path]:
    return []


def _read(file: Path | None, keys: bool) -> ImportedConfig:
    if file is None:
        raise ConfigError(
            f"{AGENT.title} has no usual place for its configuration", hint="name it: `modelbay import litellm FILE`"
        )
    layer = yaml_layer(file, old=True)
    layer = replace(layer, data=as_tables(layer.data, LISTS))
    tables = ("model_list", "router_settings", "litellm_settings", "general_settings", "credential_list")
    merged = MergedConfig([layer], keys=keys, provider_tables=tables)
    return _Reader(merged, ImportedConfig([layer.file])).read()


class _Reader(ModelListReader):
    def read(self) -> ImportedConfig:
        self.read_list("model_list", self._deployment)
        self._aliases()
        self.add_providers()
        self._rest()
        self.result.findings = self.merged.findings()
        return self.result

    def _deployment(self, path: Keys) -> str:
        """Add a deployment. Returns why it cannot be used, or ""."""
        merged, params = self.merged, (*path, "litellm_params")
        name, written = merged.text(*path, "model_name"), merged.text(*params, "model")
        if name is None or written is None:
            return "it has no name" if name is None else "it has no model"
        mode = merged.text(*path, "model_info", "mode")
        if mode is not None and mode not in FOR_CHAT:
            return f"it is not a model for chat (mode {mode})"
        prefix, model = _split(written, merged.text(*params, "custom_llm_provider"))
        protocol: Protocol | None = None
        if model.startswith("responses/") or mode == "responses":
            protocol, model = "openai_responses", model.removeprefix("responses/")
        provider = ImportedProvider("", {})
        if why := self._set_type(provider, prefix, protocol, params):
            return why
        self._settings(provider, params)
        vendor = _vendor(prefix)
        id = vendor.id if vendor else id_of(provider.table.get("base_url", ""), prefix.replace("_", "-"))
        provider = self.shared((prefix, repr(provider.table), provider.missing_key), provider, id)
        merged.exact(*path, "model_name")
        merged.exact(*params, "model")
        merged.exact(*params, "custom_llm_provider")
        merged.exact(*path, "model_info", "mode")
        for limit in LIMITS:
            merged.unsupported(*params, limit, why=NO_LIMITS)
        if "*" in model or "*" in name:
            merged.override_exact(*path, "model_name", why=f"every model can be named as {provider.id}/MODEL")
            return ""
        alias = name
        if alias in self.places:
            alias = free_name(f"{provider.id}/{model}", self.places)
            why = f"imported as {alias}: {name} has another deployment, and modelbay does not balance calls"
            merged.override_unsupported(*path, "model_name", why=why)
        self.add(provider, alias, self._entry(path, {"model": model}), path)
        return ""

    def _entry(self, path: Keys, table: Table) -> Table:
        """Read the facts of a model."""
        merged = self.merged
        import_fields(merged, path, table, FIELDS)
        places = {
            here: [(*path, place, there) for place in ("model_info", "litellm_params")] for there, here in COSTS.items()
        }
        import_cost(merged, places, table, factor=1_000_000, why="imported as dollars per million tokens")
        base = merged.text(*path, "model_info", "base_model")
        if base:
            table["base_model"] = base.partition("/")[2] or base
            merged.exact(*path, "model_info", "base_model")
        return table

    def _set_type(self, provider: ImportedProvider, prefix: str, protocol: Protocol | None, params: Keys) -> str:
        """Set type and base URL. Returns why it cannot, or ""."""
        merged, table = self.merged, provider.table
        at = next((name for name in ("api_base", "base_url") if merged.get(*params, name) is not None), "api_base")
        url = read_url(merged, (*params, at), FORM)
        if url is None and merged.get(*params, at) is not None:
            return UNUSABLE_URL
        if prefix == VERTEX:
            return self._vertex(provider, params)
        vendor = _vendor(prefix)
        if prefix == AZURE:
            table["type"] = AZURE
            if version := merged.text(*params, "api_version"):
                table["api_version"] = version
                merged.exact(*params, "api_version")
        elif prefix in TYPES:
            table["type"] = TYPE_OF[protocol or TYPES[prefix]]
            url = url or PROVIDER_TYPES[table["type"]].base_url
        elif vendor is not None:
            protocol = protocol or vendor.protocols[0]
            table["type"] = TYPE_OF[protocol]
            url = _with_path(url, vendor, protocol)
        else:
            return f'modelbay does not know the provider "{prefix}"' if prefix else "its provider is unknown"
        if not has_host(url) or "{" in str(url):
            return NO_URL
        table["base_url"] = urls.base_of(str(url))
        merged.exact(*params, at)
        return ""

    def _vertex(self, provider: ImportedProvider, params: Keys) -> str:
        merged = self.merged
        provider.table["type"] = "vertexai"
        places = {PROJECT: "vertex_project", LOCATION: "vertex_location"}
        env = {}
        for name, there in places.items():
            value = merged.text(*params, there)
            if value is not None and FORM.variable.search(value):
                merged.unsupported(*params, there, why="modelbay does not follow references in this setting")
            elif value is not None:
                env[name] = value
                merged.exact(*params, there)
        if env:
            provider.table["env"] = env
        merged.unsupported(*params, "vertex_credentials", why="modelbay uses Google's default credentials")
        return ""

    def _settings(self, provider: ImportedProvider, params: Keys) -> None:
        """Read key, headers and time limits."""
        merged, table = self.merged, provider.table
        if table["type"] != "vertexai":
            import_key(merged, (*params, "api_key"), provider, FORM)
            self._own_variable(provider)
        if merged.get(*params, "litellm_credential_name") is not None and "api_key" not in table:
            provider.missing_key = "its key is in credential_list"
        for there in ("headers", "extra_headers"):
            import_headers(merged, (*params, there), provider, FORM)
        organization = merged.text(*params, "organization")
        if organization and not FORM.variable.search(organization):
            table.setdefault("custom_headers", {})["OpenAI-Organization"] = organization
            merged.exact(*params, "organization")
        for there, here in (("timeout", "first_byte"), ("stream_timeout", "idle")):
            if wait := merged.number(*params, there):
                table.setdefault("timeout", {})[here] = float(wait)
                merged.approximate(*params, there, why=f"imported as timeout.{here} of the provider")

    def _own_variable(self, provider: ImportedProvider) -> None:
        """Replace a reference to a variable whose value the file itself contains."""
        merged = self.merged
        match = REFERENCE.fullmatch(provider.table.get("api_key", ""))
        value = merged.get("environment_variables", match[2]) if match else None
        if match is None or not isinstance(value, str) or not value.strip() or FORM.variable.search(value):
            return
        del provider.table["api_key"]
        import_secret(merged, ("environment_variables", match[2]), provider)

    def _aliases(self) -> None:
        """Import other names of models."""
        merged = self.merged
        for here in (("router_settings", "model_group_alias"), ("model_group_alias",)):
            for alias in merged.table(*here):
                path = (*here, alias)
                value = merged.get(*path)
                target = merged.text(*path, "model") if isinstance(value, dict) else merged.text(*path)
                tables = [one.models[target] for one in self.providers.values() if target in one.models]
                if not tables or alias in self.places:
                    why = "a model has this name" if tables else "its model is not imported"
                    merged.override_unsupported(*path, why=why)
                    continue
                tables[0].setdefault("aliases", []).append(alias)
                merged.exact(*path)

    def _rest(self) -> None:
        merged = self.merged
        merged.exact("litellm_settings", "drop_params", why="modelbay drops settings that a provider does not support")
        for there in ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "default_fallbacks"):
            for table in ("litellm_settings", "router_settings"):
                merged.unsupported(table, there, why="modelbay does not call another model instead")
        for there in ("routing_strategy", "routing_strategy_args", "allowed_fails", "cooldown_time"):
            merged.unsupported("router_settings", there, why=NO_LIMITS)
        for table in ("litellm_settings", "router_settings"):
            merged.unsupported(table, "num_retries", why=RETRIES)
            for there in ("request_timeout", "timeout"):
                merged.unsupported(table, there, why=TIMEOUT)
        why = "add a client of the gateway: `modelbay client add NAME`, with `--key -` to keep this key"
        merged.unsupported("general_settings", "master_key", why=why)
        merged.unsupported("include", why="these files are not read: import each of them")
        merged.unsupported("environment_variables", why="not the key of an imported provider; set it in your shell")
        merged.unsupported("credential_list", why="set each key with `modelbay key set`")


def _split(written: str, custom: str | None) -> tuple[str, str]:
    """The prefix of a model and the rest. `custom`: the provider that overrides the prefix."""
    prefix, slash, rest = written.partition("/")
    if custom:
        return custom, rest if slash and prefix == custom else written
    if slash and (prefix in TYPES or prefix in (VERTEX, AZURE) or _vendor(prefix)):
        return prefix, rest
    guessed = next((name for pattern, name in GUESSED if pattern.match(written)), None)
    return (guessed, written) if guessed else (prefix if slash else "", rest or written)


def _vendor(prefix: str) -> Preset | None:
    """The vendor that a prefix names, such as `together_ai` or `hosted_vllm`."""
    if not prefix or prefix in TYPES or prefix in (VERTEX, AZURE):
        return None
    short = prefix.removesuffix("_ai").removesuffix("_chat").removeprefix("hosted_")
    for name in (prefix, prefix.replace("_", "-"), prefix.replace("_", ""), short):
        vendor = presets.by_id(name) or presets.by_models_dev(name)
        if vendor is not None and vendor.addressing == "plain":
            return vendor
    return None


def _with_path(url: str | None, vendor: Preset, protocol: Protocol) -> str | None:
    """The base URL of a deployment. For some vendors LiteLLM adds the path itself, so a URL without one gets the vendor's."""
    usual = vendor.url(protocol) if protocol in vendor.protocols else None
    if url is None or usual is None:
        return url or usual
    path = "/" + usual.partition("://")[2].partition("/")[2]
    bare = url.partition("://")[2].partition("/")[2] == ""
    return f"{url.rstrip('/')}{path}" if bare and path != "/" else url


AGENT = ImportSource(id="litellm", title="LiteLLM", files=_files, read=_read)
