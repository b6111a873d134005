"""Lists the models of a provider that is being added, and finds its base URL: with or without `/v1`."""

from asyncio import to_thread
from contextlib import suppress

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from modelbay.calling.provider_client import ProviderClient
from modelbay.catalog.facts import fill
from modelbay.catalog.lists.discovery import Discovery, discover
from modelbay.catalog.lists.entry import Listed
from modelbay.catalog.lookup import LIST, MODELS_DEV, Catalog
from modelbay.catalog.models_dev.models import why_skipped
from modelbay.catalog.models_dev.providers import model_wire, wire
from modelbay.catalog.names import problems
from modelbay.config.schema import Config
from modelbay.conversation import Json, Protocol
from modelbay.draft import Draft, joined
from modelbay.errors import (
    AuthenticationFailed,
    MalformedReply,
    MissingCredential,
    ModelbayError,
    PermissionDenied,
    ProviderError,
)
from modelbay.hints import name_request
from modelbay.json_text import decode
from modelbay.model import Model
from modelbay.onboarding.local_servers import owner_of
from modelbay.providers import urls
from modelbay.providers.endpoint import Endpoint, endpoint_at
from modelbay.providers.upstream import Upstream
from modelbay.providers.vendor import Preset
from modelbay.secrecy import masked_url

ELSEWHERE = (404, 405)
"""Statuses for a wrong path. With any other status the path exists, so another path is not tried."""
PROBES: dict[Protocol, str] = {"openai_chat": "/chat/completions", "openai_responses": "/responses"}
"""The protocols whose base URLs may or may not end in `/v1`, depending on the server."""


class Detected(Struct):
    """The result of listing the models. `error`: the list could not be read; `models` may have the vendor's known models."""

    draft: Draft
    models: list[Model] = field(default_factory=list)
    """The chat models, with their known facts."""
    discovery: Discovery | None = None
    source: str = ""
    """Source of the models: "models" for the provider's list, or "models.dev"."""
    others: int = 0
    """Number of other models, such as embedding models."""
    error: ModelbayError | None = None
    notes: list[str] = field(default_factory=list)
    corrections: list[str] = field(default_factory=list)
    """Notes about differences between `draft` and the provider that was given."""

    @property
    def refused(self) -> bool:
        """Whether the API key was rejected."""
        return isinstance(self.error, AuthenticationFailed | PermissionDenied)


async def detect(config: Config, made: Draft, named: list[str], catalog: Catalog | None = None) -> Detected:
    """List a provider's models. `named` are model IDs that the user gave: without a list, one of them finds the base URL.

    The API key is sent to the provider's own origin only. Failures of the provider are in the result, not raised.

    Raises:
        ConfigError: the entry is invalid.
    """
    grown, found = joined(config, made)
    with suppress(MissingCredential):
        await to_thread(endpoint_at, grown, found, "/chat/completions")
    catalog = catalog or Catalog()
    client = ProviderClient(grown)
    detected = Detected(made)
    try:
        try:
            detected.discovery = await discover(grown, found.provider, client.fetch)
        except ModelbayError as error:
            name_request(error)
            detected.error = error
        if detected.discovery is not None:
            _take(detected, detected.discovery, found, catalog)
            if found.preset is None and (program := owner_of(detected.discovery.models)) is not None:
                await _speak(client, grown, found, program, detected)
        elif not detected.refused:
            detected.models = _vendors(found, catalog)
            detected.source = MODELS_DEV if detected.models else ""
        wire_id = next(iter([*named, *made.models]), None)
        if wire_id and detected.error is not None and _may_be_elsewhere(detected.error):
            await _probe(client, grown, found, wire_id, detected)
    finally:
        await client.aclose()
    return detected


async def fetched(config: Config, made: Draft, url: str) -> Json:
    """The JSON document at a URL on the provider's own host, requested with the provider's key.

    Raises:
        ModelbayError: the document could not be fetched, or it is not JSON.
    """
    grown, found = joined(config, made)
    client = ProviderClient(grown)
    try:
        endpoint = endpoint_at(grown, found, "/models")
        if urls.without_user(url)[0] != url or not _same_origin(endpoint, url):
            raise MalformedReply(f"{url} is not on the provider's own host")
        return decode(await client.fetch(replace(endpoint, url=url), operation="fetch"))
    except MalformedReply:
        raise MalformedReply(f"{url} is not a JSON document") from None
    finally:
        await client.aclose()


def listed(models: list[Listed], found: Upstream, catalog: Catalog) -> list[Model]:
    """The chat models, with facts from the provider's list and from models.dev."""
    names = catalog.names(found)
    index = catalog.models_dev.index
    known = []
    for one in models:
        if not one.chats or one.status == "inactive":
            continue
        model = Model(id=one.id, provider=found.provider.id, protocol=found.protocol)
        fill(model, one.facts, LIST)
        more = entry.facts if (entry := index.at(names, one.id)) else index.family(one.id)
        if more is not None:
            if found.origin.loopback:
                more.max_context_tokens = None  # a local server sets its own context window
            fill(model, more, MODELS_DEV)
        known.append(model)
    return known


def _take(detected: Detected, discovery: Discovery, found: Upstream, catalog: Catalog) -> None:
    detected.models = listed(discovery.models, found, catalog)
    detected.source = LIST
    detected.others = len(discovery.models) - len(detected.models)
    detected.notes += discovery.problems
    plain = found.preset is None or found.preset.addressing == "plain"
    if plain and discovery.base_url and discovery.base_url.rstrip("/") != found.base_url.rstrip("/"):
        detected.corrections.append(_found_at(discovery.base_url))
        detected.draft = _at(detected.draft, discovery.base_url)


async def _speak(client: ProviderClient, config: Config, found: Upstream, program: Preset, detected: Detected) -> None:
    """Uses the dialect of the server program that the list names, and the version in its paths: without it, llama.cpp's
    embeddings have another format."""
    detected.corrections.append(f"The model list names {program.name}, so its dialect is used")
    table = {**detected.draft.table, "dialect": program.id}
    detected.draft = replace(detected.draft, table=table, preset=program)
    base = str(detected.draft.table["base_url"]).rstrip("/")
    version = urls.VERSION.search(program.url(found.protocol) or "")
    whole = found.full_url or urls.is_endpoint(base) or "?" in base
    if found.protocol not in PROBES or version is None or whole or urls.VERSION.search(base):
        return
    moved = base + version[0]
    if await _is_here(client, endpoint_at(config, replace(found, base_url=moved), "/models"), None):
        detected.corrections.append(_found_at(moved))
        detected.draft = _at(detected.draft, moved)


def _vendors(found: Upstream, catalog: Catalog) -> list[Model]:
    """The models that models.dev says the vendor has, where it has no list of its own; each says how it is talked to."""
    if found.preset is None or found.preset.lists_models:
        return []
    for name in catalog.names(found):
        entry = catalog.models_dev.providers.get(name)
        if entry is not None:
            here = wire(entry)
            raw = {str(id): one for id, one in entry["models"].items() if not why_skipped(here, entry, str(id), one)}
            for id in problems(raw):
                del raw[id]
            models = listed([Listed(id=id) for id in raw], found, catalog)
            for model in models:
                model.protocol = model_wire(here, entry, raw[model.id]).protocol or here.protocol or found.protocol
            return models
    return []


def _may_be_elsewhere(error: ModelbayError) -> bool:
    """Whether an error means that the path does not exist, and not that access is denied or the server is unavailable."""
    return isinstance(error, MalformedReply) or (isinstance(error, ProviderError) and error.status in ELSEWHERE)


async def _probe(client: ProviderClient, config: Config, found: Upstream, wire_id: str, detected: Detected) -> None:
    """Send a minimal request to the base URL. If the path does not exist, try the URL with or without `/v1` instead."""
    base = found.base_url
    path = PROBES.get(found.protocol)
    plain = found.preset is None or found.preset.addressing == "plain"
    if path is None or not plain or found.full_url or (found.full_url is None and urls.is_endpoint(base)):
        return
    usual = endpoint_at(config, found, path)
    stem = base.partition("?")[0].rstrip("/")
    other = urls.VERSION.sub("", stem) if urls.VERSION.search(stem) else f"{stem}/v1"
    query = base.partition("?")[2]
    other += f"?{query}" if query else ""
    body = _smallest(found, wire_id)
    if await _is_here(client, usual, body) is not False:
        return
    moved = replace(found, base_url=other)
    if await _is_here(client, endpoint_at(config, moved, path), body):
        detected.corrections.append(_found_at(other))
        detected.draft = _at(detected.draft, other)


async def _is_here(client: ProviderClient, endpoint: Endpoint, body: bytes | None) -> bool | None:
    """Whether an endpoint exists; None if the answer does not show it."""
    try:
        answer = await client.fetch(endpoint, body)
    except ProviderError as error:
        return False if error.status in ELSEWHERE else None
    except ModelbayError:
        return None
    try:
        return isinstance(decode(answer), dict)
    except MalformedReply:
        return False if answer.lstrip()[:1] == b"<" else None


def _smallest(found: Upstream, wire_id: str) -> bytes:
    """A minimal request: one word, with a small limit for the answer."""
    if found.protocol == "openai_responses":
        return msgspec.json.encode({"model": wire_id, "input": "Hi", "max_output_tokens": 16})
    limit = found.dialect.max_tokens_parameter
    body = {"model": wire_id, "messages": [{"role": "user", "content": "Hi"}]}
    return msgspec.json.encode(body | ({limit: 16} if limit else {}))


def _found_at(base_url: str) -> str:
    return f"The base URL is {masked_url(base_url)}: the provider answers there"


def _at(made: Draft, base_url: str) -> Draft:
    return replace(made, table={**made.table, "base_url": base_url})


def _same_origin(endpoint: Endpoint, url: str) -> bool:
    from modelbay.origin import origin

    try:
        return origin(url) == endpoint.origin
    except ValueError:
        return False
