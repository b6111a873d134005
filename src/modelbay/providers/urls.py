"""Builds the URL of a call from a base URL and a protocol's path, without I/O.

A base URL that is a full endpoint is used unchanged, including its query. Otherwise the protocol's path is appended
before the query. `/v1` is never added for OpenAI's protocols, whose base URLs contain it; adding a provider detects the
right base URL.
"""

import re
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from modelbay.conversation import Protocol
from modelbay.origin import Origin, origin

ENDPOINT = re.compile(r"/(?:chat/completions|completions|responses|messages|invocations|chat|embeddings)/*$")
"""How the path of a full endpoint ends."""
GOOGLE_METHOD = re.compile(r":(?:generateContent|streamGenerateContent|rawPredict|streamRawPredict)$")
"""How the path of a complete Google endpoint ends."""
PROTOCOL_PATH = re.compile(r"/(?:chat/completions|responses|messages)/*$")
_EMBEDDINGS = re.compile(r"/embeddings/*$")
DEPLOYMENT = re.compile(r"/deployments/[^/]+$")
VERSION = re.compile(r"/v\d+[a-z0-9]*$")
_BESIDE = "/.."
"""The beginning of a path beside the version of a base URL."""
VERTEX_ROOTS = ("/publishers/", "/projects/", "/endpoints/")
"""How the path of a resource begins that names more than a model of the default publisher."""
OF_DEPLOYMENTS = frozenset(
    (
        "/chat/completions", "/completions", "/embeddings", "/images/generations", "/images/edits",
        "/audio/speech", "/audio/transcriptions", "/audio/translations",
    )
)  # fmt: skip
"""Paths that Azure serves below a deployment."""
AZURE_DEFAULT = "2024-08-01-preview"
"""Default `api-version` of deployments (Kilo Code's). Azure answers 404 without one."""


def endpoint_url(base: str, path: str, protocol: Protocol, full: bool | None = None) -> str:
    """The URL of a call. `full` says whether `base` is a full endpoint; None: detect it.

    `path` comes from a codec: "/chat/completions", "/v1/messages", "/models/ID:generateContent"; it may have a query. Other
    endpoints, such as "/embeddings", are next to a complete one.
    """
    if full or (full is None and is_endpoint(base)):
        if protocol == "google":
            return _with_method(base, path)
        if PROTOCOL_PATH.search(path.partition("?")[0]) and not _EMBEDDINGS.search(urlsplit(base).path):
            return base
        base = _folder(base)
    if path.startswith(_BESIDE):
        parts = urlsplit(base)
        base = urlunsplit(parts._replace(path=VERSION.sub("", parts.path.rstrip("/"))))
        return append(base, path.removeprefix(_BESIDE))
    return append(versioned(base, protocol), path.removeprefix("/v1") if protocol == "anthropic" else path)


def is_endpoint(base: str) -> bool:
    """Whether a base URL looks like a full endpoint."""
    path = urlsplit(base).path
    return bool(ENDPOINT.search(path) or GOOGLE_METHOD.search(path))


def base_of(url: str) -> str:
    """A full endpoint without its protocol's path, so that another can be appended; any other URL unchanged."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=PROTOCOL_PATH.sub("", parts.path)))


def versioned(base: str, protocol: Protocol) -> str:
    """The base URL with a version, for protocols whose base URLs occur with and without one."""
    path = urlsplit(base).path.rstrip("/")
    if VERSION.search(path) or "/publishers/" in path:
        return base
    version = {"anthropic": "/v1", "google": "/v1beta"}.get(protocol)
    return append(base, version) if version else base


def models_url(base: str, protocol: Protocol, full: bool | None = None) -> str:
    """The URL of a provider's model list: next to the endpoint, or below the base URL."""
    parts = urlsplit(_folder(base) if full or (full is None and is_endpoint(base)) else base)
    path = DEPLOYMENT.sub("", parts.path.rstrip("/"))  # Azure lists the models of a resource, not of a deployment
    bare = urlunsplit(parts._replace(path=path))
    return bare if path.endswith("/models") else append(versioned(bare, protocol), "/models")


def _folder(endpoint: str) -> str:
    """The base URL that a full endpoint belongs to."""
    parts = urlsplit(endpoint)
    path, standard = re.subn(ENDPOINT, "", parts.path.rstrip("/"))
    return urlunsplit(parts._replace(path=path if standard else path.rpartition("/")[0]))


def azure_url(base: str, path: str, deployment: str, api_version: str | None = None) -> str:
    """The URL of an OpenAI call at Azure, for any URL that its portal shows.

    With an `api-version`, in the query or given, the call is addressed by deployment, else by `/openai/v1`. Any path
    before `/openai` or `/deployments` belongs to a proxy and is kept. A Foundry host (`*.services.ai.azure.com`) serves
    models of other makers under `/models`.
    """
    parts = urlsplit(base)
    stem = parts.path.rstrip("/")
    api_version = dict(parse_qsl(parts.query)).get("api-version") or api_version
    by_deployment = path in OF_DEPLOYMENTS
    if DEPLOYMENT.search(stem):
        if by_deployment:
            return append(base, f"{path}?api-version={api_version or AZURE_DEFAULT}")
        stem = DEPLOYMENT.sub("", stem)
    if stem.endswith("/deployments"):  # a proxy with deployments outside /openai
        if by_deployment:
            path = f"/{quote(deployment, safe='')}{path}"
            api_version = api_version or AZURE_DEFAULT
        else:
            stem = stem.removesuffix("/deployments")
    elif stem == "" or stem.endswith("/openai") or (api_version and not _is_complete(stem)):
        foundry = (parts.hostname or "").endswith(".services.ai.azure.com")
        if api_version is None:
            path = f"/openai/v1{path}"
        elif by_deployment:
            path = f"/models{path}" if foundry else f"/openai/deployments/{quote(deployment, safe='')}{path}"
        else:
            path = f"/openai{path}"
        stem = stem.removesuffix("/openai")
    query = f"?api-version={api_version}" if api_version else ""
    return append(urlunsplit(parts._replace(path=stem)), path + query)


def _is_complete(stem: str) -> bool:
    """Whether a call's path can be appended to an Azure base path directly."""
    return bool(VERSION.search(stem)) or stem.endswith("/models")


def vertex_base(location: str) -> str:
    """The base URL of Vertex AI for a location."""
    if location == "global":
        return "https://aiplatform.googleapis.com"
    if location in ("us", "eu"):  # multi-regions
        return f"https://aiplatform.{location}.rep.googleapis.com"
    return f"https://{location}-aiplatform.googleapis.com"


def vertex_location(host: str) -> str | None:
    """The location in a Vertex AI host name; None if there is none."""
    match = re.fullmatch(r"([a-z0-9-]+)-aiplatform\.googleapis\.com|aiplatform\.(\w+)\.rep\.googleapis\.com", host)
    return (match[1] or match[2]) if match else None


def is_vertex(where: Origin) -> bool:
    """Whether an origin belongs to Vertex AI."""
    of_all = [origin(vertex_base(location)).host for location in ("global", "us", "eu")]
    return where.scheme == "https" and (where.host in of_all or vertex_location(where.host) is not None)


def vertex_url(base: str, path: str, place: tuple[str, str] | None, claude: str | None = None) -> str:
    """The URL of a call at Vertex AI. `place` is project and location; None means express mode, with an API key only.

    `claude` is the method for Claude, whose `path` contains only the model: "rawPredict" or "streamRawPredict".
    """
    parts = urlsplit(base)
    stem = parts.path.rstrip("/")
    if path.startswith(VERTEX_ROOTS):  # the model ID is a full resource name and replaces the one in the base URL
        stem = stem.partition("/publishers/")[0]
        stem = stem.partition("/projects/")[0] if path.startswith("/projects/") else stem
    whole = path.startswith("/projects/")
    if "/publishers/" not in stem:
        if "/projects/" not in stem:
            stem = stem if VERSION.search(stem) else f"{stem}/v1"
            stem += f"/projects/{place[0]}/locations/{place[1]}" if place and not whole else ""
        if not path.startswith(VERTEX_ROOTS):
            stem += "/publishers/anthropic" if claude else "/publishers/google"
    return append(urlunsplit(parts._replace(path=stem)), f"{path}:{claude}" if claude else path)


def append(base: str, path: str) -> str:
    """Append `path` to the path of `base`, before its query. A query in `path` overrides parameters of the same name."""
    parts = urlsplit(base)
    path, _, query = path.partition("?")
    anew = {name for name, _ in parse_qsl(query, keep_blank_values=True)}
    pairs = [pair for pair in parts.query.split("&") if pair and pair.partition("=")[0] not in anew]
    joined = "&".join([*pairs, query] if query else pairs)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + path, query=joined))


def without_user(url: str) -> tuple[str, str]:
    """The URL without `user:password@`, and the user part as written ("" if none)."""
    parts = urlsplit(url)
    user, _, address = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=address)), user


def _with_method(url: str, path: str) -> str:
    """A complete Google endpoint with the method in `path`, which says whether the reply is streamed."""
    wanted, _, query = path.partition("?")
    method = re.search(r":[a-zA-Z]+$", wanted)
    parts = urlsplit(url)
    if not method or not GOOGLE_METHOD.search(parts.path):
        return url
    replaced = urlunsplit(parts._replace(path=GOOGLE_METHOD.sub(method[0], parts.path)))
    return append(replaced, f"?{query}" if query else "")
