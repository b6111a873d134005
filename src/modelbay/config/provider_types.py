"""The provider types: what `type` means in `[providers.<name>]`.

The rows are Kimi Code's, with the names that its engine looks for in `[providers.<name>.env]`, and our own `azure`.
"""

from typing import NamedTuple

from modelbay.conversation import Protocol


class ProviderType(NamedTuple):
    protocol: Protocol
    base_url: str | None
    """Where it is when nobody says; None: there is no such place (Vertex AI has one a region, Azure one a customer)."""
    key_names: tuple[str, ...]
    """What its key is called in the `env` table, first come first."""
    url_names: tuple[str, ...]
    """What its base URL is called there."""


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
"""What kimi-cli, Kimi Code's predecessor, called them."""

PROTOCOLS: dict[str, Protocol] = {
    "openai_chat": "openai_chat",
    "openai_responses": "openai_responses",
    "anthropic": "anthropic",
    "google": "google",
    "openai": "openai_chat",
    "google-genai": "google",
}
"""The names that the key `protocol` takes, ours and Kimi Code's."""

TYPE_OF: dict[Protocol, str] = {
    "openai_chat": "openai",
    "openai_responses": "openai_responses",
    "anthropic": "anthropic",
    "google": "google-genai",
}
"""The type of a provider that is known by its protocol only."""


def protocol_of_type(name: str | None) -> Protocol | None:
    row = TYPES.get(name or "")
    return row.protocol if row else None
