"""A provider that a program describes, without a config file."""

from msgspec.structs import replace

from modelbay.conversation import Protocol
from modelbay.draft import Draft, asks_for_key, direct_draft, draft, with_values
from modelbay.errors import ConfigError, MissingCredential
from modelbay.library.prompt import check_type
from modelbay.library.provider_settings import ProviderSettings, as_table, check_settings
from modelbay.providers import presets
from modelbay.recognition import recognize, with_scheme
from modelbay.typed import Name

_SCHEMES = ("http://", "https://")


def provider_in_code(provider: str | None, settings: ProviderSettings, id: str | None = None) -> Draft:
    """The entry for a vendor's name or a base URL, or both.

    Raises:
        TypeError: neither is given, a setting is unknown, or a value has another type.
        ValueError: there is no such protocol, a value is empty, or a header or proxy cannot be used.
        ConfigError: there is no such vendor, the URL cannot be that of a provider, or the vendor needs more than these values.
        MissingCredential: the vendor requires an API key.
    """
    base_url, api_key, protocol = settings.get("base_url"), settings.get("api_key"), settings.get("protocol")
    if callable(api_key):
        raise TypeError(
            'api_key must be a string, not a function: pass its result, or api_key="{env:NAME}", which is read again when the '
            "variable changes"
        )
    for name, value in {"provider": provider, "id": id}.items():
        check_type(value, Name | None, name)
    check_settings(settings)
    if id is not None and "/" in id:
        raise ValueError(f'id must not contain "/", which separates it from the IDs of models: {id}')
    if provider is None and base_url is None:
        raise TypeError("pass the name of a provider, or base_url")
    if base_url is not None:
        _check_url(base_url)
    made = direct_draft(base_url or "", protocol) if provider is None else _of_vendor(provider, base_url, protocol)
    table = {name: value for name, value in made.table.items() if name != "auth"}
    table |= as_table(settings)
    made = replace(made, id=id or made.id, table=table)
    if api_key is not None:
        return replace(made, table=with_values(table, api_key=api_key))
    if not asks_for_key(made):
        return made
    if made.preset is None or provider is None:  # a server of its own often needs none
        return replace(made, table={**table, "auth": "none"})
    variable = f"{made.preset.id.upper().replace('-', '_')}_API_KEY"
    raise MissingCredential(
        f"{made.preset.name} requires an API key",
        hint=f'pass api_key=…, or api_key="{{env:{variable}}}" to read it from a variable',
    )


def _check_url(base_url: str) -> None:
    if not base_url.strip().lower().startswith(_SCHEMES):
        guess = "pass an http:// or https:// URL" if "://" in base_url else f'pass base_url="{with_scheme(base_url)}"'
        raise ConfigError(f"base_url is not an HTTP URL: {base_url}", hint=guess)


def _of_vendor(name: str, base_url: str | None, protocol: Protocol | None) -> Draft:
    if presets.by_name(name) is None:
        if name.lower().startswith(_SCHEMES):
            raise ConfigError(f"the provider is not a vendor's name: {name}", hint=f'pass base_url="{name}"')
        near = [f'"{id}"' for id in presets.similar(name)]
        guess = f"did you mean {' or '.join(near)}?" if near else "pass the name of a vendor, or base_url=URL"
        raise ConfigError(f'unknown provider "{name}"', hint=presets.broken(name) or guess)
    found = recognize(name)
    if found.kind not in ("vendor", "local") or found.preset is None:
        raise ConfigError(
            f"{found.title} needs more than a name and a key",
            hint="pass its base_url without a name, or add it to config.toml: `modelbay provider add`",
        )
    return draft(found, found.preset.id, base_url=base_url, protocol=protocol)
