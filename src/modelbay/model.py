"""A model for the codecs: its ID on the wire and the known facts."""

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
"""`thinking_budget`: accepts a number of thinking tokens. Claude rejects one since 4.7 and accepts efforts only.

`call_signatures`: rejects tool calls in the history without their signature (Gemini 3). Unknown is treated as yes.
"""


class Cost(Struct, omit_defaults=True, repr_omit_defaults=True):
    """Prices in US dollars per million tokens."""

    input: float | None = None
    output: float | None = None
    cache_read: float | None = None
    cache_write: float | None = None


class Model(Struct, omit_defaults=True, repr_omit_defaults=True):
    """A model. `capabilities` are yes or no; missing ones are unknown. Only *no* prevents a request from being sent.

    `sources` has the source of each fact: "config", "probe", "manifest", "registry", "models", "models.dev", "prefix" or
    "default".
    """

    id: str
    """Model ID on the wire."""
    base_model: str | None = None
    """Model that an ID stands for, if configured. Prices and facts are looked up under this name."""
    alias: str = ""
    provider: str = ""
    protocol: Protocol | None = None
    family: str = ""
    """Model family that opaque reasoning state is bound to, such as "claude" or "gpt"."""
    name: str | None = None
    max_context_tokens: int | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    output_tokens_explicit: bool = False
    """Whether the user set `max_output_tokens`. Then it is sent even if the protocol does not require it."""
    capabilities: dict[Capability, bool] = field(default_factory=dict)
    efforts: list[str] | None = None
    default_effort: str | None = None
    off_effort: str | None = None
    reasoning_key: str | None = None
    cost: Cost | None = None
    variants: dict[str, Extra] = field(default_factory=dict)
    extra: Extra = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        alias = f"{self.alias!r}, " if self.alias else ""
        return f"Model({alias}id={self.id!r}, provider={self.provider!r})"

    @property
    def identity(self) -> str:
        """The name under which facts and prices are looked up."""
        return self.base_model or self.id

    def can(self, capability: Capability) -> bool | None:
        """Whether the model has a capability; None if unknown."""
        return self.capabilities.get(capability)
