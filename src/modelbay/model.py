"""A model for the codecs: its ID on the wire and the known facts."""

from typing import TYPE_CHECKING, Literal, NoReturn, TypeAlias

from msgspec import Struct, field

from modelbay.conversation import Extra, Protocol
from modelbay.other_names import MODEL, unknown

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
    """Price of input tokens."""
    output: float | None = None
    """Price of output tokens, with reasoning."""
    cache_read: float | None = None
    """Price of input tokens that are read from a cache."""
    cache_write: float | None = None
    """Price of input tokens that are written to a cache."""


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
    """Name in the configuration; "" without one."""
    provider: str = ""
    """ID of the provider in the configuration."""
    protocol: Protocol | None = None
    """Protocol of its requests."""
    family: str = ""
    """Model family that opaque reasoning state is bound to, such as "claude" or "gpt"."""
    name: str | None = None
    """Name for people."""
    max_context_tokens: int | None = None
    """Context window: maximum tokens of input and output together."""
    max_input_tokens: int | None = None
    """Maximum input tokens."""
    max_output_tokens: int | None = None
    """Maximum output tokens."""
    output_tokens_explicit: bool = False
    """Whether the user set `max_output_tokens`. Then it is sent even if the protocol does not require it."""
    capabilities: dict[Capability, bool] = field(default_factory=dict)
    """Capabilities that are known, as yes or no."""
    efforts: list[str] | None = None
    """Reasoning efforts that it accepts; None if unknown."""
    default_effort: str | None = None
    """Reasoning effort without a setting."""
    off_effort: str | None = None
    """Reasoning effort that turns thinking off."""
    reasoning_key: str | None = None
    """Field of a message that has the reasoning (Chat Completions)."""
    cost: Cost | None = None
    """Prices; None if unknown."""
    variants: dict[str, Extra] = field(default_factory=dict)
    """Settings of named variants."""
    extra: Extra = field(default_factory=dict)
    """Further fields of its list or manifest."""
    sources: dict[str, str] = field(default_factory=dict)
    """Source of each fact."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            raise unknown(self, name, MODEL)

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
