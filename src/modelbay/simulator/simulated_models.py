"""The simulator's models with capabilities and prices, for every format of model list."""

from collections.abc import Mapping
from datetime import date

from msgspec import Struct, field
from msgspec.structs import replace

from modelbay.model import Capability, Cost, Model

RELEASED = date(2026, 1, 1)
"""Release date of the simulator's models."""
DEFAULT = "sim-1"
"""The model for requests that need not name one."""
EFFORTS = ["low", "medium", "high"]


class SimulatedModel(Struct, frozen=True):
    """A model and its special rules."""

    model: Model
    requires_reasoning_back: bool = False
    """Chat Completions: an assistant's `reasoning_content` must be sent back with its tool calls."""
    refuses_max_tokens: bool = False
    """Chat Completions: accepts only `max_completion_tokens`, and no temperature."""

    @property
    def id(self) -> str:
        return self.model.id

    @property
    def context(self) -> int:
        return self.model.max_context_tokens or 0

    def can(self, capability: Capability) -> bool:
        return bool(self.model.can(capability))


def _model(
    id: str, name: str, *yes: Capability, context: int = 200_000, output: int = 32_000, price: Cost | None = None
) -> Model:
    known: tuple[Capability, ...] = (
        "thinking", "always_thinking", "adaptive_thinking", "image_in", "audio_in", "video_in", "document_in",
        "tool_use", "structured_output", "image_out", "audio_out",
    )  # fmt: skip
    thinks = "thinking" in yes
    return Model(
        id=id,
        family="sim",
        name=name,
        max_context_tokens=context,
        max_output_tokens=output,
        capabilities={capability: capability in yes for capability in known},
        efforts=EFFORTS if thinks else None,
        default_effort="medium" if thinks else None,
        cost=price or Cost(input=1.0, output=4.0, cache_read=0.1, cache_write=1.25),
    )


_PLAIN: tuple[Capability, ...] = ("thinking", "adaptive_thinking", "image_in", "tool_use", "structured_output")
_TABLE = (
    SimulatedModel(_model("sim-1", "Simulator 1", *_PLAIN, "document_in")),
    SimulatedModel(
        _model(
            "sim-thinker", "Simulator Thinker", *_PLAIN, "always_thinking", "document_in",
            context=400_000, output=64_000, price=Cost(input=3.0, output=15.0, cache_read=0.3, cache_write=3.75),
        )
    ),
    SimulatedModel(_model("sim-vision", "Simulator Vision", *_PLAIN, "audio_in", "video_in", "document_in", context=1_000_000)),
    SimulatedModel(
        _model(
            "sim-text", "Simulator Text",
            context=32_000, output=8_000, price=Cost(input=0.1, output=0.2, cache_read=0.0, cache_write=0.0),
        )
    ),
    SimulatedModel(_model("sim-small", "Simulator Small", *_PLAIN, context=2_000, output=1_000)),
    SimulatedModel(_model("sim-echo", "Simulator Echo", *_PLAIN, "always_thinking"), requires_reasoning_back=True),
    SimulatedModel(_model("sim-o1", "Simulator O1", *_PLAIN, "always_thinking"), refuses_max_tokens=True),
)  # fmt: skip

_ANY = SimulatedModel(
    _model("any", "Any model", *_PLAIN, "audio_in", "video_in", "document_in", context=10_000_000, output=1_000_000)
)


class SimulatedModels(Struct):
    """The models of one simulator, by ID."""

    by_id: dict[str, SimulatedModel] = field(default_factory=lambda: {facts.id: facts for facts in _TABLE})
    any: bool = False
    """Whether every unknown name refers to a model, which has all capabilities and large limits."""

    @classmethod
    def with_aliases(cls, aliases: Mapping[str, str], any: bool = False) -> "SimulatedModels":
        """The models with additional names, such as `{"claude-sonnet-4-5": "sim-thinker"}`.

        Raises:
            KeyError: a name refers to an unknown model.
        """
        models = cls(any=any)
        for alias, id in aliases.items():
            models.by_id[alias] = _called(alias, models.by_id[id])
        return models

    def find(self, id: str) -> SimulatedModel | None:
        found = self.by_id.get(id)
        return _called(id, _ANY) if found is None and id and self.any else found


def _called(alias: str, facts: SimulatedModel) -> SimulatedModel:
    """The model with another name."""
    return replace(facts, model=replace(facts.model, id=alias, name=f"{facts.model.name} ({alias})"))
