"""Model servers on this machine, on the default ports of the presets."""

from asyncio import gather, timeout
from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from modelbay.calling.provider_client import ProviderClient
from modelbay.catalog.lists.entry import Listed
from modelbay.catalog.lists.listing import parse_list
from modelbay.config.provider_types import TYPE_OF
from modelbay.config.schema import Config, Timeout
from modelbay.draft import Draft, joined
from modelbay.errors import (
    ConnectFailed,
    MissingCredential,
    ModelbayError,
    PermissionDenied,
    ProviderError,
    TimedOut,
)
from modelbay.origin import origin
from modelbay.providers import presets
from modelbay.providers.endpoint import models_endpoint
from modelbay.providers.vendor import Preset

SECONDS = 2.0


class LocalServer(Struct):
    """A server that responded."""

    preset: Preset | None
    """The vendor; None if the model list contradicts the vendor of the port."""
    base_url: str
    models: list[str]
    locked: bool = False
    """Whether the model list requires an API key."""
    provider: str | None = None
    """ID of the provider, if the server is already configured."""

    @property
    def name(self) -> str:
        return self.preset.name if self.preset else "an unknown server"


def usual() -> list[Preset]:
    """The vendors whose server runs on the user's machine."""
    return [one for one in presets.all() if _is_local(one)]


def owner_of(models: Iterable[Listed]) -> Preset | None:
    """The server program that all models of a list name as their owner (`owned_by`), as vLLM, SGLang and llama.cpp do at any
    address. A service in front of such a server may write other names."""
    names = {str(model.extra.get("owned_by")).lower() for model in models}
    found = presets.by_id(names.pop()) if len(names) == 1 else None
    return found if found is not None and _is_local(found) else None


async def local_servers(config: Config, known: Iterable[Preset] | None = None) -> list[LocalServer]:
    """The servers that respond on their default ports. All ports are tried at the same time, without API keys."""
    client = ProviderClient(config)
    try:
        found = await gather(*(_ask(client, config, one) for one in (usual() if known is None else known)))
    finally:
        await client.aclose()
    return [one for one in found if one is not None]


async def _ask(client: ProviderClient, config: Config, preset: Preset) -> LocalServer | None:
    base = preset.base_url or ""
    made = Draft(preset.id, {"type": TYPE_OF[preset.protocols[0]], "base_url": base, "auth": "none"}, preset)
    grown, found = joined(config, made)
    endpoint = models_endpoint(grown, found.provider)
    if endpoint is None:
        return None
    hurried = replace(endpoint, timeout=Timeout(connect=SECONDS, first_byte=SECONDS, idle=SECONDS))
    here = _configured(config, base)
    try:
        async with timeout(2 * SECONDS):
            body = await client.fetch(hurried)
        listed = parse_list(body)
    except (ConnectFailed, TimedOut, TimeoutError):
        return None
    except (PermissionDenied, MissingCredential):
        return LocalServer(preset, base, [], locked=True, provider=here)
    except ProviderError as error:
        return LocalServer(preset, base, [], locked=True, provider=here) if error.status == 401 else None
    except ModelbayError:
        return None
    return LocalServer(
        _vendor(listed.models, preset), base, [model.id for model in listed.models if model.chats], provider=here
    )


def _vendor(models: list[Listed], preset: Preset) -> Preset | None:
    """The vendor of the server on a vendor's default port. Some default ports are used by many programs."""
    found = owner_of(models)
    if found is None and not preset.hosts and any(model.extra.get("owned_by") for model in models):
        return None
    return found or preset


def _configured(config: Config, base: str) -> str | None:
    mine = origin(base)
    for id, entry in config.providers.items():
        if entry.base_url and (there := origin(entry.base_url)).loopback and there.port == mine.port:
            return id
    return None


def _is_local(preset: Preset) -> bool:
    """Whether a vendor's server runs on the user's machine."""
    return preset.base_url is not None and origin(preset.base_url.replace("{", "").replace("}", "")).loopback
