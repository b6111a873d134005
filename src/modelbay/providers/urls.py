"""Where to send a call: pure rules from a base URL and a protocol's path to a URL.

A base URL that is a whole endpoint is used as it stands, query and all; to any other the protocol's path is added,
before its query. `/v1` is never made up for OpenAI's protocols, whose base URLs carry it: adding a provider finds out.
"""

import re
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from modelbay.conversation import Protocol
from modelbay.origin import Origin, origin

ENDPOINT = re.compile(r"/(?:chat/completions|completions|responses|messages|invocations|chat)/*$")
"""How the path of a whole endpoint ends."""
GOOGLE_METHOD = re.compile(r":(?:generateContent|streamGenerateContent|rawPredict|streamRawPredict)$")
"""How it ends at Google's."""
PROTOCOL_PATH = re.compile(r"/(?:chat/completions|responses|messages)/*$")
DEPLOYMENT = re.compile(r"/deployments/[^/]+$")
VERSION = re.compile(r"/v\d+[a-z0-9]*$")
VERTEX_ROOTS = ("/publishers/", "/projects/", "/endpoints/")
"""How the path of a resource begins that names more than a model of the usual publisher."""
AZURE_DEFAULT = "2024-08-01-preview"
"""The `api-version` of deployments that name none (Kilo Code's), without which Azure answers 404."""


def endpoint_url(base: str, path: str, protocol: Protocol, full: bool | None = None) -> str:
    """The URL of a call. `full` says whether `base` is a whole endpoint, where its looks deceive.

    `path` is a codec's: "/chat/completions", "/v1/messages", "/models/ID:generateContent"; it may have a query.
    """
    if full or (full is None and is_endpoint(base)):
        return _with_method(base, path) if protocol == "google" else base
    return append(versioned(base, protocol), path.removeprefix("/v1") if protocol == "anthropic" else path)


def is_endpoint(base: str) -> bool:
    """Whether a base URL looks like a whole endpoint."""
    path = urlsplit(base).path
    return bool(ENDPOINT.search(path) or GOOGLE_METHOD.search(path))


def base_of(url: str) -> str:
    """A whole endpoint without the path of its protocol, so that another can take its place; any other URL as it is."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=PROTOCOL_PATH.sub("", parts.path)))


def versioned(base: str, protocol: Protocol) -> str:
    """The base URL with a version, for the protocols whose base URLs are written with and without one."""
    path = urlsplit(base).path.rstrip("/")
    if VERSION.search(path) or "/publishers/" in path:
        return base
    version = {"anthropic": "/v1", "google": "/v1beta"}.get(protocol)
    return append(base, version) if version else base


def models_url(base: str, protocol: Protocol, full: bool | None = None) -> str:
    """Where a provider lists its models: beside the endpoint, or after the base URL."""
    parts = urlsplit(base)
    path = parts.path.rstrip("/")
    if full or (full is None and is_endpoint(base)):
        path, standard = re.subn(ENDPOINT, "", path)
        path = path if standard else path.rpartition("/")[0]
    path = DEPLOYMENT.sub("", path)  # Azure lists a resource's models, never a deployment's
    bare = urlunsplit(parts._replace(path=path))
    return bare if path.endswith("/models") else append(versioned(bare, protocol), "/models")


def azure_url(base: str, path: str, deployment: str, api_version: str | None = None) -> str:
    """The URL of an OpenAI call at Azure, for any address that its portal shows.

    With an `api-version`, in its query or given, a resource is asked by deployment, else by its `/openai/v1`. What stands before
    `/openai` or `/deployments` is a proxy's path, and stays.
    A Foundry host (`*.services.ai.azure.com`) has the models of other makers under `/models`.
    """
    parts = urlsplit(base)
    stem = parts.path.rstrip("/")
    api_version = dict(parse_qsl(parts.query)).get("api-version") or api_version
    by_deployment = path == "/chat/completions"
    if DEPLOYMENT.search(stem):
        if by_deployment:
            return append(base, f"{path}?api-version={api_version or AZURE_DEFAULT}")
        stem = DEPLOYMENT.sub("", stem)
    if stem.endswith("/deployments"):  # of a proxy that has it elsewhere than under /openai
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
    """Whether an Azure base path is followed by a call's own path."""
    return bool(VERSION.search(stem)) or stem.endswith("/models")


def vertex_base(location: str) -> str:
    """Vertex AI's address for a location."""
    if location == "global":
        return "https://aiplatform.googleapis.com"
    if location in ("us", "eu"):  # multi-regions
        return f"https://aiplatform.{location}.rep.googleapis.com"
    return f"https://{location}-aiplatform.googleapis.com"


def vertex_location(host: str) -> str | None:
    """The location that an address of Vertex AI names."""
    match = re.fullmatch(r"([a-z0-9-]+)-aiplatform\.googleapis\.com|aiplatform\.(\w+)\.rep\.googleapis\.com", host)
    return (match[1] or match[2]) if match else None


def is_vertex(where: Origin) -> bool:
    """Whether an origin is one of Vertex AI's own."""
    of_all = [origin(vertex_base(location)).host for location in ("global", "us", "eu")]
    return where.scheme == "https" and (where.host in of_all or vertex_location(where.host) is not None)


def vertex_url(base: str, path: str, place: tuple[str, str] | None, claude: str | None = None) -> str:
    """The URL of a call at Vertex AI. `place` is project and location; None is express mode: a key stands for both.

    `claude` is the method for Claude, whose `path` is only its model's: "rawPredict" or "streamRawPredict".
    """
    parts = urlsplit(base)
    stem = parts.path.rstrip("/")
    if path.startswith(
        VERTEX_ROOTS
    ):  # the model's id says more than its name: it takes the place of what the base says
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
    """`path`, which may have a query, after the path of `base` and before its query. Its own parameters win."""
    parts = urlsplit(base)
    path, _, query = path.partition("?")
    anew = {name for name, _ in parse_qsl(query, keep_blank_values=True)}
    pairs = [pair for pair in parts.query.split("&") if pair and pair.partition("=")[0] not in anew]
    joined = "&".join([*pairs, query] if query else pairs)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + path, query=joined))


def without_user(url: str) -> tuple[str, str]:
    """The URL without `user:password@`, and that as it was written; "" where there is none."""
    parts = urlsplit(url)
    user, _, address = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=address)), user


def _with_method(url: str, path: str) -> str:
    """A whole Google endpoint with the method that `path` has: it says whether the reply is streamed."""
    wanted, _, query = path.partition("?")
    method = GOOGLE_METHOD.search(wanted)
    parts = urlsplit(url)
    if not method or not GOOGLE_METHOD.search(parts.path):
        return url
    replaced = urlunsplit(parts._replace(path=GOOGLE_METHOD.sub(method[0], parts.path)))
    return append(replaced, f"?{query}" if query else "")
