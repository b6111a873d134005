"""Finds the models of a provider: fetches its model list, from any of its known places, with all pages."""

import re
from asyncio import Semaphore, gather, timeout, to_thread
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeAlias
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec
from msgspec import Struct, field
from msgspec.structs import asdict, replace

from modelbay.catalog.facts import Facts
from modelbay.catalog.lists.entry import Gaps, Listed
from modelbay.catalog.lists.listing import ListPage, listed_model, parse_list
from modelbay.catalog.names import problems, quoted
from modelbay.config.schema import Config, ProviderEntry, Timeout
from modelbay.conversation import Extra
from modelbay.credentials.credential import AUTH_HEADERS, may_block
from modelbay.errors import (
    AuthenticationFailed,
    ConfigError,
    MalformedReply,
    ModelbayError,
    PermissionDenied,
    ProviderError,
    Redirected,
    TimedOut,
)
from modelbay.json_text import decode
from modelbay.origin import origin
from modelbay.providers import urls
from modelbay.providers.endpoint import Endpoint, endpoint_at, models_endpoint
from modelbay.providers.upstream import Upstream, upstream
from modelbay.providers.vendor import built_in
from modelbay.secrecy import masked_url

PAGES = 20
SECONDS = 15.0
"""Timeout for one page in seconds."""
BYTES = 16 * 2**20
"""Maximum size of one page, enforced by `fetch`."""
ALL_BYTES = 64 * 2**20
ASIDE = 5.0
"""Timeout in seconds for a list that only adds facts to the first one."""
DESCRIBED = 60
"""Maximum number of models that are queried one by one."""
AT_ONCE = 8
TOLD = 5
"""Maximum number of skipped models that are named."""
PAGE_SIZE = {"anthropic": "?limit=1000", "google": "?pageSize=1000"}
CONTEXT_SETTING = re.compile(r"^num_ctx\s+(\d+)\s*$", re.MULTILINE)

Fetch: TypeAlias = Callable[[Endpoint, bytes | None], Awaitable[bytes]]
"""Sends a GET, or with a body a POST, and returns the body of the response, of at most `BYTES`; raises the error of a response
with an error status, or of a failed request.
"""


class Discovery(Struct):
    """The result of a discovery."""

    models: list[Listed] = field(default_factory=list)
    """All models; those that are not for chat have another `kind`."""
    url: str = ""
    """URL of the list, without its query."""
    base_url: str | None = None
    """The base URL that this list belongs to, with or without `/v1`, if the provider's own did not lead to a list."""
    problems: list[str] = field(default_factory=list)
    """Problems for the user to read; the models are usable regardless."""
    gaps: Gaps = field(default_factory=Gaps)
    """Parts of the list that were not read."""


class _Form(Struct):
    """One possible place of a list."""

    endpoint: Endpoint
    base_url: str | None = None


async def discover(config: Config, provider: ProviderEntry, fetch: Fetch) -> Discovery:
    """The models that a provider lists.

    If its list is not found, the other known places on the same host are tried: no key is sent to another host. A response that
    rejects the key ends the search, and so does a server that does not respond.

    Raises:
        ConfigError: the provider's entry cannot be used, or its vendor has no model list.
        ModelbayError: there is no list, or it was refused; the error of the first place.
    """
    found = upstream(config, provider)
    blocks = may_block(provider, None)
    forms = await to_thread(_forms, config, provider, found) if blocks else _forms(config, provider, found)
    if not forms:
        hint = "name its models yourself, as `provider/model-id` or under [models]"
        raise ConfigError(f'provider "{provider.id}" has no model list', hint=hint, provider=provider.id)
    discovery = await _first(forms, fetch)
    await _ask_aside(_aside(found, forms), fetch, discovery)
    await _describe(found, forms[0].endpoint, fetch, discovery)
    if found.preset and found.preset.addressing == "azure":
        discovery.problems.append("these models can be deployed; a request needs the name of your deployment")
    return discovery


# Places


def _forms(config: Config, provider: ProviderEntry, found: Upstream) -> list[_Form]:
    """Possible places of the list, likeliest first."""
    usual = models_endpoint(config, provider)
    forms: list[_Form] = []
    if usual is not None:
        plain = _hurried(usual)
        plain = replace(plain, url=urls.append(plain.url, PAGE_SIZE.get(plain.protocol, "")))
        forms += [_Form(plain), *_other_forms(found, plain), *_own_forms(found, plain)]
    elif found.preset and found.preset.lists:
        call = _hurried(endpoint_at(config, found, "/models"))
        forms += [_Form(place) for path in found.preset.lists if (place := _at(call, path))]
    once: dict[tuple[str, ...], _Form] = {}
    for form in forms:
        once.setdefault((form.endpoint.url, *sorted(form.endpoint.headers)), form)
    return list(once.values())


def _other_forms(found: Upstream, plain: Endpoint) -> Iterator[_Form]:
    """The same list with and without `/v1`, next to another protocol's endpoints, and at the root of the host."""
    stem = urlsplit(plain.url).path.removesuffix("/models")
    bare = urls.VERSION.sub("", stem)
    chat = _as_chat(plain)
    is_chat = chat is plain
    toggled = bare if stem != bare else f"{stem}/v1"
    if not is_chat and plain.protocol == "anthropic" and found.preset is None:
        yield _Form(chat)  # compatible hosts accept the key in either header, or only in one of the two
    if is_chat and (form := _at(plain, f"{toggled}/models")):
        yield _Form(form, None if found.full_url else _moved(found.base_url, toggled))
    for protocol in found.preset.protocols if found.preset else ():
        known = found.preset.url(protocol) if found.preset else None
        if known and "{" not in known and protocol != plain.protocol:
            path = urlsplit(urls.models_url(known, protocol)).path
            if form := _at(plain if protocol == "anthropic" else chat, path):
                yield _Form(form)
    for above in (bare.rpartition("/")[0], ""):
        if form := _at(chat, f"{above}/v1/models"):
            yield _Form(form, _moved(found.base_url, f"{above}/v1") if is_chat and found.origin.loopback else None)


def _own_forms(found: Upstream, plain: Endpoint) -> Iterator[_Form]:
    """Lists in the server's own form, for a server that has no other: the vendor's, or any that a local server may have."""
    chat = _as_chat(plain)
    if chat is not plain and found.preset is None:
        return
    bare = urls.VERSION.sub("", urlsplit(urls.base_of(found.base_url)).path.rstrip("/"))
    unversioned = found.preset is None and not found.full_url and not urls.VERSION.search(urlsplit(found.base_url).path)
    for path in _own_lists(found):
        for above in dict.fromkeys((bare, "")):
            if form := _at(chat, f"{above}{path}"):
                yield _Form(form, _moved(found.base_url, f"{above}/v1") if unversioned else None)


def _own_lists(found: Upstream) -> list[str]:
    """Paths of those lists. For an address that belongs to no vendor, the kind of server is unknown."""
    some = [found.preset] if found.preset else [other for other in built_in() if other.keyless]
    return list(dict.fromkeys(path for preset in some for path in preset.lists))


def _moved(base: str, path: str) -> str:
    return urlunsplit(urlsplit(urls.base_of(base))._replace(path=path))


def _at(endpoint: Endpoint, path: str) -> Endpoint | None:
    """The endpoint at another path of its host; None if its credential must not be sent there."""
    parts = urlsplit(endpoint.url)
    pairs = [pair for pair in parts.query.split("&") if pair not in ("limit=1000", "pageSize=1000")]
    url = urlunsplit(parts._replace(path=path, query="&".join(pairs)))
    return replace(endpoint, url=url) if origin(url) == endpoint.origin else None


def _as_chat(endpoint: Endpoint) -> Endpoint:
    """The endpoint with its key in the header that OpenAI's protocols use, at the same host."""
    if endpoint.protocol in ("openai_chat", "openai_responses"):
        return endpoint
    secret = endpoint.credential.secret if endpoint.credential else None
    headers = endpoint.headers
    if secret is not None:
        headers = {name: value for name, value in headers.items() if name.lower() not in AUTH_HEADERS}
        headers["Authorization"] = secret.prefixed("Bearer ")
    return replace(endpoint, headers=headers, protocol="openai_chat")


def _hurried(endpoint: Endpoint) -> Endpoint:
    """The endpoint with the timeouts of a list, or the user's own if they are shorter."""
    own = {name: min(seconds or SECONDS, SECONDS) for name, seconds in asdict(endpoint.timeout).items()}
    return replace(endpoint, timeout=Timeout(**own))


# Fetching


async def _first(forms: list[_Form], fetch: Fetch) -> Discovery:
    """The list of the first place that has one."""
    first: ModelbayError | None = None
    for number, form in enumerate(forms, 1):
        try:
            discovery = await _pages(form.endpoint, fetch)
        except ModelbayError as error:
            refused = isinstance(error, AuthenticationFailed | PermissionDenied)
            once_more = number < len(forms) and forms[number].endpoint.url == form.endpoint.url
            first = first or _about(error, form.endpoint)
            if (refused and once_more) or _elsewhere(error):
                continue
            if first is not error and isinstance(error, PermissionDenied):
                continue  # some gateways answer so for a path that does not exist
            raise (_about(error, form.endpoint) if refused else first) from None
        discovery.base_url = form.base_url
        return discovery
    assert first is not None
    raise first


def _elsewhere(error: ModelbayError) -> bool:
    """Whether a response means that the list is elsewhere, rather than that access is denied or the server is down."""
    if isinstance(error, ProviderError) and not isinstance(error, Redirected):
        return error.status is None or error.status in (400, 404, 405, 410, 415, 501)
    return isinstance(error, MalformedReply | Redirected)


def _about(error: ModelbayError, endpoint: Endpoint) -> ModelbayError:
    error.provider, error.operation = endpoint.provider, error.operation or "list"
    error.request = error.request or f"GET {masked_url(endpoint.url)}"
    if isinstance(error, AuthenticationFailed) and not _is_authorized(endpoint):
        error.hint = "the model list requires an API key: add one, or name its models yourself"
    return error


def _is_authorized(endpoint: Endpoint) -> bool:
    return endpoint.credential is not None or any(name.lower() in AUTH_HEADERS for name in endpoint.headers)


async def _pages(endpoint: Endpoint, fetch: Fetch) -> Discovery:
    """A whole list. If a later page fails, the pages before it."""
    parts = urlsplit(endpoint.url)
    discovery = Discovery(url=f"{endpoint.origin}{parts.path}")
    listing, size = await _page(endpoint, fetch)
    known = {model.id: model for model in listing.models}
    gaps = discovery.gaps
    gaps.add(listing.gaps)
    stopped: str | None = None
    for number in range(2, PAGES + 1):
        if not listing.next:
            break
        asked = replace(endpoint, url=urls.append(endpoint.url, f"?{urlencode(listing.next)}"))
        try:
            listing, more = await _page(asked, fetch)
        except ModelbayError as error:
            stopped = f"could not fetch page {number} of the list: {error.message}"
            break
        before, size = len(known), size + more
        gaps.add(listing.gaps)
        fresh = {model.id: model for model in listing.models if model.id not in known}
        refused = problems(fresh, known)
        gaps.entries |= refused
        known |= {id: model for id, model in fresh.items() if id not in refused}
        if len(known) == before:  # the server ignores the page parameter; no warning, because the list may be complete
            gaps.reasons.append(f"page {number} of the list repeats earlier pages")
            break
        if size > ALL_BYTES:
            stopped = f"the list is too large: only its first {number} pages were read"
            break
    else:
        if listing.next:
            stopped = f"the list has more than {PAGES} pages: the others were not read"
    if stopped:
        discovery.problems.append(stopped)
        gaps.reasons.append(stopped)
    if listing.total is not None and listing.total > len(known):
        gaps.reasons.append(f"the list announces {listing.total} models and contains {len(known)}")
    discovery.problems += [f"skipped model {quoted(id)}: {why}" for id, why in list(gaps.entries.items())[:TOLD]]
    if len(gaps.entries) > TOLD:
        discovery.problems.append(f"skipped {len(gaps.entries) - TOLD} more models because of their IDs")
    discovery.models = list(known.values())
    return discovery


async def _page(endpoint: Endpoint, fetch: Fetch, seconds: float | None = None) -> tuple[ListPage, int]:
    body = await _body(endpoint, None, fetch, SECONDS if seconds is None else seconds)
    return parse_list(body), len(body)


async def _body(endpoint: Endpoint, body: bytes | None, fetch: Fetch, seconds: float) -> bytes:
    try:
        async with timeout(seconds):
            return await fetch(endpoint, body)
    except TimeoutError:
        message = f"{endpoint.origin} did not return its model list within {seconds:g} s"
        raise TimedOut(message, stage="first_byte", provider=endpoint.provider) from None


# Facts that the server has and its list lacks


def _lacks_facts(models: list[Listed]) -> bool:
    return not any(model.facts.max_context_tokens for model in models)


def _aside(found: Upstream, forms: list[_Form]) -> list[Endpoint]:
    """The vendor's own lists; on this machine, where the kind of server may be unknown, those of every local server."""
    if found.preset is None and not found.origin.loopback:
        return []
    return [place for path in _own_lists(found) if (place := _at(_as_chat(forms[0].endpoint), path))]


async def _ask_aside(places: list[Endpoint], fetch: Fetch, discovery: Discovery) -> None:
    """Add the facts of richer lists. Their errors do not affect the list that was read."""
    asked = [place for place in places if urlsplit(place.url).path != urlsplit(discovery.url).path]
    if not asked or not _lacks_facts(discovery.models):
        return

    async def models_of(place: Endpoint) -> list[Listed]:
        try:
            listing = (await _page(place, fetch, ASIDE))[0]
        except ModelbayError as error:
            if not _elsewhere(error):
                discovery.gaps.reasons.append(f"{urlsplit(place.url).path} could not be fetched: {error.message}")
            return []
        discovery.gaps.add(listing.gaps)
        if listing.next:
            discovery.gaps.reasons.append(f"{urlsplit(place.url).path} has more pages, which were not read")
        return listing.models

    known = {model.id: model for model in discovery.models}
    for models in await gather(*(models_of(place) for place in asked)):
        for model in models:
            if model.id in known:
                _complete(known[model.id], model)
            else:
                known[model.id] = model
    discovery.models = list(known.values())


async def _describe(found: Upstream, endpoint: Endpoint, fetch: Fetch, discovery: Discovery) -> None:
    """Query each model, if the vendor has an endpoint for that."""
    preset = found.preset
    if preset is None and found.origin.loopback:
        preset = next((other for other in built_in() if other.keyless and other.describes), None)
    place = _at(endpoint, preset.describes) if preset and preset.describes else None
    if place is None or not discovery.models or not _lacks_facts(discovery.models):
        return
    turn = Semaphore(AT_ONCE)

    async def ask(model: Listed) -> bool:
        async with turn:
            try:
                told = decode(await _body(place, msgspec.json.encode({"model": model.id}), fetch, ASIDE))
            except ModelbayError:
                return False
        if isinstance(told, dict) and "error" not in told:
            _complete(model, listed_model(model.id, _as_run(told)))
        return True

    first, *others = discovery.models[:DESCRIBED]
    if await ask(first):  # otherwise it is another server
        await gather(*(ask(model) for model in others))


def _as_run(told: Extra) -> Extra:
    """The details with the context size that the model was loaded with, if set: it may be smaller than the possible one."""
    setting = CONTEXT_SETTING.search(told["parameters"]) if isinstance(told.get("parameters"), str) else None
    return {**told, "loaded_context_length": int(setting[1])} if setting else told


def _complete(known: Listed, more: Listed) -> None:
    """Add facts of another list that a model's own entry lacks."""
    for name in Facts.__struct_fields__:
        if name == "capabilities":
            known.facts.capabilities = more.facts.capabilities | known.facts.capabilities
        elif getattr(known.facts, name) is None:
            setattr(known.facts, name, getattr(more.facts, name))
    if known.chats:
        known.kind = more.kind
    known.status = known.status or more.status
    known.protocols = known.protocols or more.protocols
    known.extra = more.extra | known.extra
