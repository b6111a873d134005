"""Provider types: the values of `type` in `[providers.<id>]`.

The rows are Kimi Code's, with the names that it looks for in `[providers.<id>.env]`, and `azure`, which is ours.
"""

from typing import NamedTuple

from modelbay.conversation import Protocol


class ProviderType(NamedTuple):
    protocol: Protocol
    base_url: str | None
    """Default base URL; None if there is no single one (Vertex AI has one per region, Azure one per customer)."""
    key_names: tuple[str, ...]
    """Names of the API key in the `env` table, in order of precedence."""
    url_names: tuple[str, ...]
    """Names of the base URL in the `env` table."""


TYPES: dict[str, ProviderType] = {
    "kimi": ProviderType("openai_chat", "https://api.moonshot.ai/v1", ("KIMI_API_KEY",), ("KIMI_BASE_URL",)),
    "anthropic": ProviderType(
        "anthropic", "https://api.anthropic.com", ("ANTHROPIC_API_KEY",), ("ANTHROPIC_BASE_URL",)
    ),
    "openai": ProviderType("openai_chat", "https://api.openai.com/v1", ("OPENAI_API_KEY",), ("OPENAI_BASE_URL",)),
    "openai_responses": ProviderType(
        "openai_responses", "https://api.openai.com/v1", ("OPENAI_API_KEY",), ("OPENAI_BASE_URL",)
    ),
    "google-genai": ProviderType(
        "google",
        "https://generativelanguage.googleapis.com",
        ("VERTEXAI_API_KEY", "GOOGLE_API_KEY"),
        ("GOOGLE_VERTEX_BASE_URL", "GOOGLE_GEMINI_BASE_URL"),
    ),
    "vertexai": ProviderType("google", None, ("VERTEXAI_API_KEY", "GOOGLE_API_KEY"), ("GOOGLE_VERTEX_BASE_URL",)),
    "azure": ProviderType("openai_chat", None, ("AZURE_OPENAI_API_KEY", "AZURE_API_KEY"), ("AZURE_OPENAI_ENDPOINT",)),
}

OLD_TYPES = {"openai_legacy": "openai", "gemini": "google-genai", "google_genai": "google-genai"}
"""Names used by kimi-cli, the predecessor of Kimi Code."""

PROTOCOLS: dict[str, Protocol] = {
    "openai_chat": "openai_chat",
    "openai_responses": "openai_responses",
    "anthropic": "anthropic",
    "google": "google",
    "openai": "openai_chat",
    "google-genai": "google",
}
"""Values of the key `protocol`, ours and Kimi Code's."""

TYPE_OF: dict[Protocol, str] = {
    "openai_chat": "openai",
    "openai_responses": "openai_responses",
    "anthropic": "anthropic",
    "google": "google-genai",
}
"""The type for a protocol, if nothing else about the provider is known."""


def protocol_of_type(name: str | None) -> Protocol | None:
    row = TYPES.get(name or "")
    return row.protocol if row else None
