"""Where to send a call: pure rules from a base URL and a protocol's path to a URL.

A base URL that is a whole endpoint is used as it stands, query and all; after any other the protocol's path is put, before
its query. `/v1` is never made up for a protocol whose base URLs carry it (OpenAI's): adding a provider finds out.
"""

import re
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from modelbay.conversation import Protocol

ENDPOINT = re.compile(r"/(?:chat/completions|completions|responses|messages|invocations|chat)/*$")
"""How a path ends that is a whole endpoint."""
METHOD = re.compile(r":(?:generateContent|streamGenerateContent|rawPredict|streamRawPredict)$")
"""How Google's whole endpoints end."""
DEPLOYMENT = re.compile(r"(/openai)?/deployments/[^/]+$")
VERSION = re.compile(r"/v\d+[a-z0-9]*$")


def endpoint_url(base: str, path: str, protocol: Protocol, full: bool | None = None) -> str:
    """The URL of a call. `full` says whether `base` is a whole endpoint, where its looks deceive.

    `path` is what a codec gives: "/chat/completions", "/v1/messages", "/models/ID:generateContent".
    """
    if full or (full is None and is_endpoint(base)):
        return _with_method(base, path) if protocol == "google" else base
    return append(versioned(base, protocol), path.removeprefix("/v1") if protocol == "anthropic" else path)


def is_endpoint(base: str) -> bool:
    """Whether a base URL looks like a whole endpoint."""
    path = urlsplit(base).path
    return bool(ENDPOINT.search(path) or METHOD.search(path))


def versioned(base: str, protocol: Protocol) -> str:
    """The base URL with a version, for the protocols whose base URLs are written with and without one."""
    path = urlsplit(base).path.rstrip("/")
    if VERSION.search(path) or "/publishers/" in path:
        return base
    if protocol == "anthropic":
        return append(base, "/v1")
    if protocol == "google":
        return append(base, "/v1beta")
    return base


def models_url(base: str, protocol: Protocol, full: bool | None = None) -> str:
    """Where the provider lists its models, by the conventions of its protocol."""
    parts = urlsplit(base)
    path = parts.path.rstrip("/")
    if full or (full is None and is_endpoint(base)):
        path, known = re.subn(ENDPOINT, "", path)
        if not known:
            path = path.rpartition("/")[0]  # an endpoint of its own kind: the list may stand beside it
    path = DEPLOYMENT.sub(r"\1", path)  # Azure lists models of a resource, not of a deployment
    if path.endswith("/models"):
        return urlunsplit(parts._replace(path=path))
    return append(versioned(urlunsplit(parts._replace(path=path)), protocol), "/models")


def base_of(url: str) -> str:
    """A whole endpoint without what its protocol put there; any other URL as it is."""
    parts = urlsplit(url)
    path = re.sub(r"/(?:chat/completions|responses|messages)/*$", "", parts.path)
    return urlunsplit(parts._replace(path=path))


def append(base: str, path: str) -> str:
    """`path`, which may have a query, after the path of `base` and before its query. Its parameters win."""
    parts = urlsplit(base)
    path, _, query = path.partition("?")
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + path, query=joined_query(parts.query, query)))


def joined_query(first: str, second: str) -> str:
    """Both queries as they are written; of the first, what the second does not say anew."""
    anew = {name for name, _ in parse_qsl(second, keep_blank_values=True)}
    kept = [pair for pair in first.split("&") if pair and pair.partition("=")[0] not in anew]
    return "&".join([*kept, second] if second else kept)


def without_user(url: str) -> tuple[str, str | None, str | None]:
    """The URL without the `user:password@` in it, and those two."""
    ...


def azure_url(base: str, path: str, deployment: str, api_version: str | None) -> str:
    ...


def vertex_url():
    ...


def _with_method(url: str, path: str) -> str:
    """A whole Google endpoint, for streaming or not as `path` says."""
    wanted, _, query = path.partition("?")
    method = METHOD.search(wanted)
    parts = urlsplit(url)
    ...
