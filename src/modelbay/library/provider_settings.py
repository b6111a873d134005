"""Settings of a provider that a program describes: their types, their run-time check, and the keys of its entry."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypedDict, get_type_hints

from msgspec import Meta

from modelbay.config.proxies import NONE
from modelbay.config.schema import Table, Timeout
from modelbay.conversation import Protocol
from modelbay.credentials.approval import place_of
from modelbay.library.prompt import Ask, check_headers, check_type
from modelbay.secrecy import REFERENCE
from modelbay.typed import Name


class ProviderSettings(TypedDict, total=False):
    """A provider that a program describes. A setting that is missing or None has the default of the vendor."""

    base_url: Name | None
    """URL of the server, or of an endpoint such as `https://…/v1/messages`. Default: that of the vendor."""
    api_key: Name | None
    """API key, or a reference to it, such as `{env:NAME}`."""
    protocol: Protocol | None
    """Protocol. Default: that of the URL or of the vendor."""
    headers: Mapping[str, str] | None
    """Headers of every request."""
    proxy: Name | None
    """URL of a proxy (http, https, socks4, socks5), a reference to it, or "none". Default: that of the environment."""
    timeout: Annotated[float, Meta(gt=0)] | Mapping[str, float] | None
    """Seconds without a byte until a request fails, before and within the reply. A dict sets each timeout by its name: `connect`,
    `first_byte`, `idle`, `first_event` and `content`."""
    tls: Mapping[str, str | Path | bool] | None
    """Certificates: `ca`, `cert` and `key` are paths of PEM files. `insecure`: True disables the verification."""


_TYPES = {**get_type_hints(ProviderSettings, include_extras=True), "tls": dict[str, Any] | None}
_TABLES: dict[str, dict[str, Any]] = {
    "timeout": dict.fromkeys(Timeout.__struct_fields__, Annotated[float, Meta(gt=0)]),
    "tls": {**dict.fromkeys(("ca", "cert", "key"), Name | Path), "insecure": bool},
}
"""Types of the members of settings that are dicts."""
_OTHERS = {
    **dict.fromkeys(("key", "token", "apikey", "api_token", "auth_token"), "api_key"),
    **dict.fromkeys(("url", "api_base", "host", "endpoint", "azure_endpoint", "server_url"), "base_url"),
    **dict.fromkeys(("default_headers", "extra_headers", "custom_headers"), "headers"),
    **dict.fromkeys(("verify", "ssl_verify", "ca", "cert", "ssl_context"), "tls"),
    **dict.fromkeys(("api", "type", "api_type", "dialect"), "protocol"),
    **dict.fromkeys(("proxies", "http_proxy", "https_proxy"), "proxy"),
    **dict.fromkeys(("default_model", "model_name", "models", "model"), "model"),
    **dict.fromkeys(("name", "provider_id", "alias"), "id"),
}
"""Settings of other libraries, and of config.toml, with the setting here."""
_ELSEWHERE = {
    "max_retries": "pass `retries` to each call",
    "http_client": "pass `proxy`, `timeout` and `tls`",
    "organization": 'pass headers={"OpenAI-Organization": …}',
    "project": 'pass headers={"OpenAI-Project": …}',
    "api_version": "pass a base_url with ?api-version=…",
}


def check_settings(settings: ProviderSettings) -> None:
    """Check the settings before anything is made of them.

    Raises:
        TypeError: an unknown setting, or a value of the wrong type.
        ValueError: a value of the right type that is not allowed.
    """
    for name, value in settings.items():
        if name not in _TYPES:
            raise TypeError(_unknown(name))
        if isinstance(value, Mapping) and name in _TABLES:
            _check_members(name, value)
        else:
            check_type(value, _TYPES[name], name)
    check_headers(settings.get("headers") or {}, "headers")
    proxy = settings.get("proxy")
    if proxy is not None and proxy.lower() != NONE and not REFERENCE.search(proxy):
        try:
            place_of(proxy)
        except ValueError as error:
            raise ValueError(f'proxy must be a URL, such as "http://host:port", or "none": {error}') from None


def _check_members(setting: str, values: Mapping[str, object]) -> None:
    types = _TABLES[setting]
    for name, value in values.items():
        if name not in types:
            raise ValueError(f"{setting}[{name!r}] is unknown: must be one of {', '.join(types)}")
        check_type(value, types[name], f"{setting}[{name!r}]")


def _unknown(name: str) -> str:
    if name in _ELSEWHERE:
        told = _ELSEWHERE[name]
    elif name in Ask.__annotations__:
        told = f"pass it to a call, as in hub.complete(…, {name}=…), or to hub.chat"
    elif name in _OTHERS or (near := get_close_matches(name, [*_TYPES, "model", "id"], 1)):
        told = f'did you mean "{_OTHERS.get(name) or near[0]}"?'
    else:
        told = f"must be one of {', '.join(_TYPES)}"
    return f'"{name}" is not a setting of a provider: {told}'


def as_table(settings: ProviderSettings) -> Table:
    """The keys of the entry for the settings of its connections."""
    timeout = settings.get("timeout")
    if timeout is not None and not isinstance(timeout, Mapping):
        timeout = {"first_byte": timeout, "idle": timeout}
    tls = {
        name: str(value) if isinstance(value, Path) else value for name, value in (settings.get("tls") or {}).items()
    }
    found: Table = {
        "custom_headers": dict(settings.get("headers") or {}),
        "proxy": settings.get("proxy"),
        "timeout": dict(timeout or {}),
        "tls": tls,
    }
    return {name: value for name, value in found.items() if value}
