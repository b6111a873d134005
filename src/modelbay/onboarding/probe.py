"""Which models a provider that is being added has, and where it answers: with or without `/v1`."""

from asyncio import to_thread
from contextlib import suppress

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from modelbay.catalog.facts import fill
from modelbay.catalog.lists.discovery import Discovery, discover
from modelbay.catalog.lists.entry import Listed
from modelbay.catalog.lookup import LIST, MODELS_DEV, Catalog
from modelbay.catalog.models_dev.models import why_left_out
from modelbay.catalog.models_dev.providers import model_wire, wire
from modelbay.catalog.names import problems
from modelbay.config.schema import Config
from modelbay.conversation import Json, Protocol
from modelbay.errors import (
    AuthenticationFailed,
    MalformedReply,
    MissingCredential,
    ModelbayError,
    PermissionDenied,
    ProviderError,
)
from modelbay.json_text import decode
from modelbay.line import ProviderClient
from modelbay.model import Model
from modelbay.onboarding.draft import Draft, joined
from modelbay.providers import urls
from modelbay.providers.endpoint import Endpoint, endpoint_at
from modelbay.providers.upstream import Upstream
from modelbay.secrecy import masked_url
from modelbay.storage.cache import Cache

ELSEWHERE = (404, 405)
"""Statuses that say: not at this path. Others say that it is here and will not serve, which another path cannot mend."""
PROBES: dict[Protocol, str] = {"openai_chat": "/chat/completions", "openai_responses": "/responses"}
"""The protocols whose base URLs are written with `/v1` or without it, and only the server knows which."""


class Detected(Struct):
    """What was found out. `error` is why there is no list; the models may be named all the same."""

    draft: Draft
    models: list[Model] = field(default_factory=list)
    """Those that can be talked to, with what is known of each."""
    discovery: Discovery | None = None
    source: str = ""
    """Who says that these are its models: "models" for the provider, "models.dev"."""
    others: int = 0
    """How many it has beside, for embeddings and the like."""
    error: ModelbayError | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def refused(self) -> bool:
        """Whether it was the key that was wrong."""
        return isinstance(self.error, AuthenticationFailed | PermissionDenied)


async def detect(config: Config, made: Draft, named: list[str], catalog: Catalog | None = None) -> Detected:
    """Asks a provider for its models. `named` are wire ids that the user gave, to try where it answers without a list.

    The key goes to the provider's own origin and nowhere else; no failure is raised, but for an entry that cannot be used.

    Raises:
        ConfigError: the entry cannot be used.
    """
    grown, found = joined(config, made)
    with suppress(MissingCredential):
        await to_thread(endpoint_at, grown, found, "/chat/completions")
    catalog = catalog or Catalog()
    line = ProviderClient(grown)
    detected = Detected(made)
    try:
        try:
            detected.discovery = await discover(grown, found.provider, line.fetch)
        except ModelbayError as error:
            detected.error = error
        if detected.discovery is not None:
            _take(detected, detected.discovery, found, catalog)
        elif not detected.refused:
            detected.models = _vendors(found, catalog)
            detected.source = MODELS_DEV if detected.models else ""
        wire_id = next(iter([*named, *made.models]), None)
        if wire_id and detected.error is not None and _may_be_elsewhere(detected.error):
            await _probe(line, grown, found, wire_id, detected)
    finally:
        await line.aclose()
    return detected


async def fetched(config: Config, made: Draft, url: str) -> Json:
    """The JSON at an address of the provider's own host, for which it may want its key.

    Raises:
        ModelbayError: there is none.
    """
    grown, found = joined(config, made)
    line = ProviderClient(grown)
    try:
        endpoint = endpoint_at(grown, found, "/models")
        if urls.without_user(url)[0] != url or not _same_origin(endpoint, url):
            raise MalformedReply(f"{url} is not at the provider's own host")
        return decode(await line.fetch(replace(endpoint, url=url), operation="fetch"))
    except MalformedReply:
        raise MalformedReply(f"what is at {url} is not JSON") from None
    finally:
        await line.aclose()


def remember(config: Config, detected: Detected) -> None:
    """Keeps the list that was seen, so that what it says of its models is known from now on."""
    if detected.discovery is not None:
        _, found = joined(config, detected.draft)
        Catalog(Cache()).remember(found, detected.discovery)


def listed(models: list[Listed], found: Upstream, catalog: Catalog) -> list[Model]:
    """The models that can be talked to, each with what its list and models.dev say of it."""
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
                more.max_context_tokens = None  # that is for the server here to say
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
        detected.notes.append(f"it answers at {masked_url(discovery.base_url)}, which is taken for its base URL")
        detected.draft = _at(detected.draft, discovery.base_url)


def _vendors(found: Upstream, catalog: Catalog) -> list[Model]:
    """The models that models.dev says the vendor has, where it has no list of its own; each says how it is talked to."""
    if found.preset is None or found.preset.lists_models:
        return []
    for name in catalog.names(found):
        entry = catalog.models_dev.providers.get(name)
        if entry is not None:
            here = wire(entry)
            raw = {str(id): one for id, one in entry["models"].items() if not why_left_out(here, entry, str(id), one)}
            for id in problems(raw):
                del raw[id]
            models = listed([Listed(id=id) for id in raw], found, catalog)
            for model in models:
                model.protocol = model_wire(here, entry, raw[model.id]).protocol or here.protocol or found.protocol
            return models
    return []


def _may_be_elsewhere(error: ModelbayError) -> bool:
    """Whether an answer says that nothing is at this address, rather than that nobody may use it or not now."""
    return isinstance(error, MalformedReply) or (isinstance(error, ProviderError) and error.status in ELSEWHERE)


async def _probe(line: ProviderClient, config: Config, found: Upstream, wire_id: str, detected: Detected) -> None:
    """Asks for one word at the base URL, and where that is not the place, with `/v1` or without it."""
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
    if await _is_here(line, usual, body) is not False:
        return
    moved = replace(found, base_url=other)
    if await _is_here(line, endpoint_at(config, moved, path), body):
        detected.notes.append(f"it answers at {masked_url(other)}, which is taken for its base URL")
        detected.draft = _at(detected.draft, other)


async def _is_here(line: ProviderClient, endpoint: Endpoint, body: bytes) -> bool | None:
    """Whether calls are answered at an address; None where that cannot be told."""
    try:
        answer = await line.fetch(endpoint, body)
    except ProviderError as error:
        return False if error.status in ELSEWHERE else None
    except ModelbayError:
        return None
    try:
        return isinstance(decode(answer), dict)
    except MalformedReply:
        return False if answer.lstrip()[:1] == b"<" else None


def _smallest(found: Upstream, wire_id: str) -> bytes:
    """The smallest call: a word to answer with a word."""
    if found.protocol == "openai_responses":
        return msgspec.json.encode({"model": wire_id, "input": "Hi", "max_output_tokens": 16})
    limit = found.dialect.max_tokens_parameter
    body = {"model": wire_id, "messages": [{"role": "user", "content": "Hi"}]}
    return msgspec.json.encode(body | ({limit: 16} if limit else {}))


def _at(made: Draft, base_url: str) -> Draft:
    return replace(made, table={**made.table, "base_url": base_url})


def _same_origin(endpoint: Endpoint, url: str) -> bool:
    from modelbay.origin import origin

    try:
        return origin(url) == endpoint.origin
    except ValueError:
        return False
