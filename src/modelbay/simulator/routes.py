"""The table of paths, for every protocol and for every cloud that offers it."""

import re
from typing import Literal
from urllib.parse import unquote

from msgspec import Struct

Action = Literal[
    "generate", "count", "models", "model", "upload", "managed",
    "device", "token", "revoke", "about_login", "simulate", "page",
]  # fmt: skip


class Route(Struct, frozen=True):
    action: Action
    protocol: str
    """The protocol; "" if the headers decide, as for model lists."""
    model: str | None = None
    """The model in the path, if any."""
    stream: bool | None = None
    """Whether the path requests a stream; None if it does not say."""
    needs: str = ""
    """A required query parameter. Without it, the path is not found."""


_MODEL = r"(?P<model>[^/]+?)"
_DEPLOYMENT = rf"/openai/deployments/{_MODEL}"
_VERTEX = r"/v1(?:beta1|beta)?/(?:projects/[^/]+/locations/[^/]+/)?publishers"
_GEMINI = rf"(?:/v1beta|/v1)/(?:tuned)?[mM]odels/{_MODEL}"
_OPENAI = r"(?:/v1|/openai/v1|/coding/v1)?"
_VERSIONED = re.compile(r"/openai/(?:deployments/|responses|models)")
_VERSION = "api-version"
"""Azure's paths without a version require one in the query."""

_Row = tuple[str, str, Action, str, bool | None]
_ROWS: tuple[_Row, ...] = (
    # method, path, action, protocol, streaming
    ("POST", rf"{_OPENAI}/chat/completions", "generate", "openai_chat", None),
    ("POST", rf"{_DEPLOYMENT}/chat/completions", "generate", "openai_chat", None),
    ("POST", rf"{_OPENAI}/responses", "generate", "openai_responses", None),
    ("POST", r"/openai/responses", "generate", "openai_responses", None),
    ("POST", rf"{_OPENAI}/responses/input_tokens", "count", "openai_responses", None),
    ("POST", r"(?:/coding)?(?:/v1)?/messages", "generate", "anthropic", None),
    ("POST", r"(?:/coding)?(?:/v1)?/messages/count_tokens", "count", "anthropic", None),
    ("POST", rf"{_VERTEX}/anthropic/models/count-tokens:rawPredict", "count", "anthropic", None),
    ("POST", rf"{_VERTEX}/anthropic/models/{_MODEL}:rawPredict", "generate", "anthropic", False),
    ("POST", rf"{_VERTEX}/anthropic/models/{_MODEL}:streamRawPredict", "generate", "anthropic", True),
    ("POST", rf"{_VERTEX}/google/models/{_MODEL}:generateContent", "generate", "google", False),
    ("POST", rf"{_VERTEX}/google/models/{_MODEL}:streamGenerateContent", "generate", "google", True),
    ("POST", rf"{_VERTEX}/google/models/{_MODEL}:countTokens", "count", "google", None),
    ("POST", rf"{_GEMINI}:generateContent", "generate", "google", False),
    ("POST", rf"{_GEMINI}:streamGenerateContent", "generate", "google", True),
    ("POST", rf"{_GEMINI}:countTokens", "count", "google", None),
    ("POST", rf"{_OPENAI}/files", "upload", "openai_chat", None),
    ("GET", r"/coding/v1/models", "managed", "openai_chat", None),
    ("POST", r"/api/oauth/device_authorization", "device", "", None),
    ("POST", r"/api/oauth/token", "token", "", None),
    ("POST", r"/api/oauth/revoke", "revoke", "", None),
    ("GET", r"/\.well-known/oauth-authorization-server", "about_login", "", None),
    ("POST", r"/simulate/(?:approve|deny|login)", "simulate", "", None),
    ("GET", r"/simulate/approve", "page", "", None),
    ("GET", rf"{_OPENAI}/models", "models", "", None),
    ("GET", rf"{_OPENAI}/models/(?P<model>.+)", "model", "", None),
    ("GET", r"/openai/models", "models", "openai_chat", None),
    ("GET", r"/v1beta/models", "models", "google", None),
    ("GET", rf"/v1beta/models/{_MODEL}", "model", "google", None),
    ("GET", rf"{_VERTEX}/google/models", "models", "google", None),
)
_TABLE = [(method, re.compile(path), action, protocol, stream) for method, path, action, protocol, stream in _ROWS]


KEYLESS: frozenset[Action] = frozenset(("device", "token", "revoke", "about_login", "simulate", "page"))
"""Actions without a key: they provide the token for other requests."""


def find(method: str, path: str) -> tuple[Route | None, bool]:
    """The route of a raw path, and whether the path exists for any method."""
    exists = False
    for allowed, pattern, action, protocol, stream in _TABLE:
        if (found := pattern.fullmatch(path)) is not None:
            exists = True
            if method == allowed:
                model = found.groupdict().get("model")
                needs = _VERSION if _VERSIONED.match(path) else ""
                return Route(action, protocol, unquote(model) if model else None, stream, needs), True
    return None, exists


def protocol_of(path: str, headers: dict[str, str]) -> str:
    """The protocol of a response if several protocols use the path, or none."""
    if "anthropic-version" in headers or "/messages" in path or "/anthropic/" in path:
        return "anthropic"
    if (
        "x-goog-api-key" in headers
        or "x-goog-api-client" in headers
        or path.startswith("/v1beta/")
        or "/publishers/" in path
    ):
        return "google"
    return "openai_responses" if path.endswith("/responses") else "openai_chat"
