"""The paths of all LLM APIs that our servers answer: one table, and the protocol of a response.

A client appends its path to the base URL that its user entered. Users copy base URLs from the documentation of other gateways, so
every path is served with and without `/v1`, and below each of the mounts of LiteLLM and Bifrost. Model IDs may contain slashes,
colons and percent-encoded characters.
"""

import re
from collections.abc import Mapping
from typing import Literal, TypeAlias
from urllib.parse import parse_qsl, unquote

from msgspec import Struct

Action: TypeAlias = Literal[
    # the model answers
    "generate", "count", "embed",
    # stored responses
    "retrieve", "delete", "input_items", "cancel", "compact",
    # stored conversations
    "create_conversation", "get_conversation", "update_conversation", "delete_conversation",
    "list_items", "add_items", "get_item", "delete_item",
    # sent to a provider of an OpenAI type
    "completions", "images", "audio", "rerank", "moderations",
    # catalogs
    "models", "model", "model_info", "api_json", "registry",
    # the state of the server
    "root", "health", "live", "ready",
    # of the gateway only
    "proof",
    # of the simulator only
    "upload", "managed", "device", "token", "revoke", "about_login", "simulate", "page",
]  # fmt: skip
ListForm: TypeAlias = Literal[
    "openai", "anthropic", "google", "codex", "litellm", "models_dev", "registry", "manifest", "extended"
]
"""The form of a model list. The manifest describes the server as a provider, and the extended list has its models."""

STATUS: frozenset[Action] = frozenset(("root", "health", "live", "ready"))
"""Actions about the server's own state. They need no key."""


class Route(Struct, frozen=True):
    action: Action
    protocol: str
    """The protocol; "" if the headers decide, as for model lists."""
    path: str
    """The path below the base URL, without mount and version, such as "/images/edits". IDs are placeholders."""
    model: str | None = None
    """The model ID in the path, decoded."""
    id: str | None = None
    """The ID of a stored response or conversation in the path, decoded."""
    item: str | None = None
    """The ID of an item of a conversation in the path, decoded."""
    stream: bool | None = None
    """Whether the path requests a stream; None if it does not decide."""


class RouteRow(Struct, frozen=True):
    """A row of a table: methods and a path with the placeholders `{model}`, `{id}` and `{item}`, and its route."""

    methods: tuple[str, ...]
    path: str
    action: Action
    protocol: str = ""
    stream: bool | None = None
    versions: tuple[str, ...] = ("", "/v1")
    """The versions that may precede the path."""


MOUNTS = ("/openai", "/anthropic", "/gemini", "/genai")
"""Prefixes under which all paths are served too."""
_GET, _POST = ("GET", "HEAD"), ("POST",)
_CHAT, _RESPONSES, _MESSAGES, _GEMINI = "openai_chat", "openai_responses", "anthropic", "google"
_BARE = ("",)
_GEMINI_VERSIONS = ("/v1beta", "/v1", "/v1alpha")
"""The Gemini API's versions. The official SDK calls `/v1` since its version 3."""
_GOOGLE = (*_GEMINI_VERSIONS, "")
_VERTEX = tuple(
    f"{version}{place}/publishers"
    for version in ("/v1", "/v1beta1", "/v1beta")
    for place in ("/projects/{place}/locations/{place}", "")
)

ROWS: tuple[RouteRow, ...] = (
    RouteRow(_POST, "/chat/completions", "generate", _CHAT),
    RouteRow(_POST, "/chat/completions/input_tokens", "count", _CHAT),  # as at llama.cpp's server
    RouteRow(_POST, "/responses", "generate", _RESPONSES),
    RouteRow(_POST, "/responses/input_tokens", "count", _RESPONSES),
    RouteRow(_POST, "/responses/compact", "compact", _RESPONSES),
    RouteRow(_POST, "/conversations", "create_conversation", _RESPONSES),
    RouteRow(_POST, "/messages", "generate", _MESSAGES),
    RouteRow(_POST, "/messages/count_tokens", "count", _MESSAGES),
    RouteRow(_POST, "/embeddings", "embed", _CHAT),
    RouteRow(_POST, "/completions", "completions", _CHAT),
    RouteRow(_POST, "/images/generations", "images", _CHAT),
    RouteRow(_POST, "/images/edits", "images", _CHAT),
    RouteRow(_POST, "/images/variations", "images", _CHAT),
    RouteRow(_POST, "/audio/speech", "audio", _CHAT),
    RouteRow(_POST, "/audio/transcriptions", "audio", _CHAT),
    RouteRow(_POST, "/audio/translations", "audio", _CHAT),
    RouteRow(_POST, "/rerank", "rerank", _CHAT),
    RouteRow(_POST, "/moderations", "moderations", _CHAT),
    RouteRow(_GET, "/models", "models", "", None, ("", "/v1")),
    RouteRow(_GET, "/models", "models", _GEMINI, None, ("/v1beta", "/v1alpha")),
    RouteRow(_GET, "/model/info", "model_info", _CHAT),
    RouteRow(_GET, "/api.json", "api_json", _CHAT),
    RouteRow(_GET, "/registry.json", "registry", _CHAT),
    RouteRow(_GET, "/", "root", "", None, _BARE),
    RouteRow(_GET, "", "root", "", None, _BARE),
    RouteRow(_GET, "/api/hello", "root", "", None, _BARE),  # the connectivity check of Claude Code
    RouteRow(_GET, "/health", "health", "", None, _BARE),
    RouteRow(_GET, "/healthz", "health", "", None, _BARE),
    RouteRow(_GET, "/livez", "live", "", None, _BARE),
    RouteRow(_GET, "/health/liveness", "live", "", None, _BARE),
    RouteRow(_GET, "/readyz", "ready", "", None, _BARE),
    RouteRow(_GET, "/health/readiness", "ready", "", None, _BARE),
    RouteRow(("GET",), "/proof", "proof", "", None, _BARE),
    RouteRow(_POST, "/models/{model}:generateContent", "generate", _GEMINI, False, _GOOGLE),
    RouteRow(_POST, "/models/{model}:streamGenerateContent", "generate", _GEMINI, True, _GOOGLE),
    RouteRow(_POST, "/models/{model}:countTokens", "count", _GEMINI, None, _GOOGLE),
    RouteRow(_POST, "/models/{model}:embedContent", "embed", _GEMINI, None, _GOOGLE),
    RouteRow(_POST, "/models/{model}:batchEmbedContents", "embed", _GEMINI, None, _GOOGLE),
    RouteRow(_POST, "/tunedModels/{model}:generateContent", "generate", _GEMINI, False, _GOOGLE),
    RouteRow(_POST, "/tunedModels/{model}:streamGenerateContent", "generate", _GEMINI, True, _GOOGLE),
    RouteRow(_POST, "/tunedModels/{model}:countTokens", "count", _GEMINI, None, _GOOGLE),
    RouteRow(_GET, "/models/{model}", "model", "", None, ("/v1", "")),
    RouteRow(_GET, "/models/{model}", "model", _GEMINI, None, ("/v1beta", "/v1alpha")),
    RouteRow(_GET, "/responses/{id}", "retrieve", _RESPONSES),
    RouteRow(("DELETE",), "/responses/{id}", "delete", _RESPONSES),
    RouteRow(_GET, "/responses/{id}/input_items", "input_items", _RESPONSES),
    RouteRow(_POST, "/responses/{id}/cancel", "cancel", _RESPONSES),
    RouteRow(_GET, "/conversations/{id}", "get_conversation", _RESPONSES),
    RouteRow(_POST, "/conversations/{id}", "update_conversation", _RESPONSES),
    RouteRow(("DELETE",), "/conversations/{id}", "delete_conversation", _RESPONSES),
    RouteRow(_GET, "/conversations/{id}/items", "list_items", _RESPONSES),
    RouteRow(_POST, "/conversations/{id}/items", "add_items", _RESPONSES),
    RouteRow(_GET, "/conversations/{id}/items/{item}", "get_item", _RESPONSES),
    RouteRow(("DELETE",), "/conversations/{id}/items/{item}", "delete_item", _RESPONSES),
    # clouds: a client that is configured for one keeps its paths if only the host is changed
    RouteRow(_POST, "/deployments/{model}/chat/completions", "generate", _CHAT, None, _BARE),
    RouteRow(_POST, "/deployments/{model}/completions", "completions", _CHAT, None, _BARE),
    RouteRow(_POST, "/deployments/{model}/embeddings", "embed", _CHAT, None, _BARE),
    RouteRow(_POST, "/anthropic/models/count-tokens:rawPredict", "count", _MESSAGES, None, _VERTEX),
    RouteRow(_POST, "/anthropic/models/{model}:rawPredict", "generate", _MESSAGES, False, _VERTEX),
    RouteRow(_POST, "/anthropic/models/{model}:streamRawPredict", "generate", _MESSAGES, True, _VERTEX),
    RouteRow(_POST, "/google/models/{model}:generateContent", "generate", _GEMINI, False, _VERTEX),
    RouteRow(_POST, "/google/models/{model}:streamGenerateContent", "generate", _GEMINI, True, _VERTEX),
    RouteRow(_POST, "/google/models/{model}:countTokens", "count", _GEMINI, None, _VERTEX),
    RouteRow(_GET, "/google/models", "models", _GEMINI, None, _VERTEX),
    # clients that read a slash in a model ID as a path of their own, such as the `ai` SDK
    RouteRow(_POST, "/{model}:generateContent", "generate", _GEMINI, False, _GEMINI_VERSIONS),
    RouteRow(_POST, "/{model}:streamGenerateContent", "generate", _GEMINI, True, _GEMINI_VERSIONS),
)


_PLACEHOLDERS = {"model": r"(?P<model>.+)", "id": r"(?P<id>[^/]+)", "item": r"(?P<item>[^/]+)", "place": r"[^/]+"}
_COLON = re.compile("%3a", re.IGNORECASE)


class RouteTable:
    """Finds the route of a path. Paths without an ID are looked up in a dict, the others are matched one after the other."""

    def __init__(self, rows: tuple[RouteRow, ...], mounts: tuple[str, ...] = MOUNTS) -> None:
        self._exact: dict[str, dict[str, Route]] = {}
        self._plain: list[str] = []
        patterns: dict[str, dict[str, RouteRow]] = {}
        for row in rows:
            if any("{" in part for part in (row.path, *row.versions)):
                patterns.setdefault(_regex(mounts, row), {}).update(dict.fromkeys(row.methods, row))
                continue
            by_method = dict.fromkeys(row.methods, Route(row.action, row.protocol, row.path, stream=row.stream))
            for version in row.versions:
                self._plain.append(f"{version}{row.path}")
                for mount in ("", *mounts):
                    self._exact.setdefault(f"{mount}{version}{row.path}", {}).update(by_method)
        self._patterns = [(re.compile(pattern), by_method) for pattern, by_method in patterns.items()]

    def find(self, method: str, path: str) -> tuple[Route | None, tuple[str, ...]]:
        """The route of a raw path, and the methods that the path exists for; no methods if the path is unknown."""
        routes = self._exact.get(path)
        if routes is None and path.endswith("/"):
            path = path.rstrip("/")
            routes = self._exact.get(path)
        if routes is not None:
            return routes.get(method), tuple(routes)
        if "%3" in path:
            path = _COLON.sub(":", path)  # some HTTP clients encode it, and Gemini's methods follow it
        methods: dict[str, None] = {}
        for pattern, rows in self._patterns:
            if (found := pattern.fullmatch(path)) is None:
                continue
            if (row := rows.get(method)) is not None:
                ids = {name: unquote(value) for name, value in found.groupdict().items()}
                return Route(row.action, row.protocol, row.path, stream=row.stream, **ids), tuple(rows)
            if not (method == "POST" and _has_own_method(path, found)):
                methods.update(dict.fromkeys(rows))
        return None, tuple(methods)

    def near(self, path: str) -> str | None:
        """The most similar path without an ID, for an unknown path; None if no path is similar."""
        from difflib import get_close_matches

        return next(iter(get_close_matches(path, self._plain, 1, 0.8)), None)


def _has_own_method(path: str, found: re.Match[str]) -> bool:
    """Whether a path ends with a model ID and a method of Google's API, such as `:generateContent`. An unknown one is a path of its
    own: GET is not allowed for it either."""
    model = found.groupdict().get("model") or ""
    return ":" in model and path.endswith(model)


def _regex(mounts: tuple[str, ...], row: RouteRow) -> str:
    return f"(?:{'|'.join(mounts)})?(?:{'|'.join(map(_filled, row.versions))}){_filled(row.path)}"


def _filled(path: str) -> str:
    """A path as a regular expression. Its only special characters are those of placeholders."""
    return re.sub(r"\{(\w+)\}", lambda found: _PLACEHOLDERS[found[1]], path)


TABLE = RouteTable(ROWS)
"""All paths but those of a simulated login server."""


def protocol_of(path: str, headers: Mapping[str, str], query: str = "") -> str:
    """The protocol of a response if several protocols share the path, or no route has it. Header names are in lower case."""
    path = _BEFORE_MODEL.split(path, 1)[0]  # an ID such as `anthropic/claude` is not a mount
    if "anthropic-version" in headers or _has(path, "messages") or _has(path, "anthropic"):
        return "anthropic"
    if (
        "x-goog-api-key" in headers
        or "x-goog-api-client" in headers
        or path.startswith(("/v1beta", "/v1alpha", "/gemini/", "/genai/"))
        or _has(path, "publishers")
    ):
        return "google"
    stored = _has(path, "responses") or _has(path, "conversations")
    return "openai_responses" if stored or _is_codex(query) else "openai_chat"


_FORMS: dict[Action, ListForm] = {"model_info": "litellm", "api_json": "models_dev", "registry": "registry"}


def list_form(action: Action, path: str, headers: Mapping[str, str], query: str) -> ListForm:
    """The form of a model list that the client of a request reads."""
    if action in _FORMS:
        return _FORMS[action]
    parameters = dict(parse_qsl(query)) if query else {}
    if parameters.get("provider") == "true":
        return "manifest"
    if parameters.get("extended") == "true":
        return "extended"
    match protocol_of(path, headers):
        case "anthropic":
            return "anthropic"
        case "google":
            return "google"
    return "codex" if _CLIENT_VERSION in parameters else "openai"


def client_version(query: str) -> str:
    """The version of Codex that reads a model list; "" if the query has none."""
    return dict(parse_qsl(query)).get(_CLIENT_VERSION, "") if query else ""


_CLIENT_VERSION = "client_version"
_BEFORE_MODEL = re.compile("(?<=/models)/|(?<=/deployments)/")
"""The slash before the ID of a model."""


def _has(path: str, segment: str) -> bool:
    return f"/{segment}/" in path or path.endswith(f"/{segment}")


def _is_codex(query: str) -> bool:
    return query.startswith("client_version=") or "&client_version=" in query
