"""A model as the codecs see it: its id on the wire and the facts known of it."""

from typing import Literal, TypeAlias

from msgspec import Struct, field

from modelbay.conversation import Extra, Protocol

Capability: TypeAlias = Literal[
    "thinking",
    "always_thinking",
    "adaptive_thinking",
    "image_in",
    "video_in",
    "audio_in",
    "document_in",
    "tool_use",
    "image_out",
    "audio_out",
    "computer_use",
    "temperature",
    "structured_output",
    "call_signatures",
    "thinking_budget",
]
"""`thinking_budget`: takes a number of thinking tokens; Claude since 4.7 refuses one and takes efforts only.

`call_signatures`: refuses a call in the history that lacks its signature (Gemini 3). Unknown is treated as yes."""


class Cost(Struct, omit_defaults=True):
    """Dollars per million tokens."""

    input: float | None = None
    output: float | None = None
    cache_read: float | None = None
    cache_write: float | None = None


class Model(Struct, omit_defaults=True):
    """`capabilities` maps to yes or no; what is not in it is unknown. Only *no* stops a request before it leaves.

    `sources` says where each fact comes from: "config", "manifest", "registry", "models", "models.dev", "prefix" or "default".
    """

    id: str
    """The name on the wire."""
    base_model: str | None = None
    """The model behind that name, where the configuration says: prices and facts are its."""
    alias: str = ""
    provider: str = ""
    protocol: Protocol | None = None
    family: str = ""
    """The model family that opaque reasoning state is bound to, as "claude" or "gpt"."""
    name: str | None = None
    max_context_tokens: int | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    output_tokens_explicit: bool = False
    """The user set `max_output_tokens`: it is sent even where the protocol does not need it."""
    capabilities: dict[Capability, bool] = field(default_factory=dict)
    efforts: list[str] | None = None
    default_effort: str | None = None
    off_effort: str | None = None
    reasoning_key: str | None = None
    cost: Cost | None = None
    variants: dict[str, Extra] = field(default_factory=dict)
    extra: Extra = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """The name by which facts and prices are looked up."""
        return self.base_model or self.id

    def can(self, capability: Capability) -> bool | None:
        """Yes, no, or None for unknown."""
        return self.capabilities.get(capability)
