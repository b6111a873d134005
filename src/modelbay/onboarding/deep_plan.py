"""The deep test of models before it is run: its calls, tokens and price. Nothing is sent, and no list is fetched."""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from msgspec import Struct, field

from modelbay.calling.target import Target, Targets
from modelbay.catalog.lists.entry import Kind
from modelbay.catalog.lists.entry_facts import kind_of
from modelbay.catalog.lookup import Catalog, probed_endpoint
from modelbay.catalog.prices import price
from modelbay.config.schema import Config, ModelEntry
from modelbay.errors import ConfigError, UnknownModel
from modelbay.providers.upstream import upstream
from modelbay.storage.probes import ProbedEndpoint
from modelbay.usage import Usage

LONG = 6_000
"""Tokens of the long prompt that a cache must recognize. Newer models of Claude cache no prompt below 4,096."""
USUAL_OUTPUT = 150


class PlannedCheck(NamedTuple):
    """The calls of one check: usual number, maximum number, and input tokens of each."""

    usual: int
    most: int
    tokens: int


PLANNED: dict[str, PlannedCheck] = {
    "reply": PlannedCheck(1, 2, 30),
    "streaming": PlannedCheck(1, 2, 40),
    "usage": PlannedCheck(0, 0, 0),
    "tools": PlannedCheck(1, 4, 200),
    "parallel_tools": PlannedCheck(1, 3, 220),
    "parallel_history": PlannedCheck(1, 3, 400),
    "forced_tool": PlannedCheck(1, 3, 200),
    "named_tool": PlannedCheck(1, 3, 300),
    "strict_tools": PlannedCheck(1, 3, 200),
    "json_schema": PlannedCheck(1, 3, 150),
    "json_mode": PlannedCheck(0, 3, 50),
    "images": PlannedCheck(2, 4, 1_000),
    "thinking": PlannedCheck(1, 3, 30),
    "thinking_return": PlannedCheck(2, 5, 700),
    "thinking_optional": PlannedCheck(1, 3, 700),
    "cache": PlannedCheck(2, 4, LONG),
    "max_output": PlannedCheck(1, 1, 30),
    "context_window": PlannedCheck(0, 0, 0),
}
"""The checks of a model. The maximum includes the repetition of a check whose first result is a no."""


class CostEstimate(Struct, frozen=True):
    """A number of calls and their cost."""

    calls: int
    input: int
    output: int
    dollars: Decimal | None
    """None if the price is unknown."""


class PlannedModel(Struct, frozen=True):
    """A model that will be tested."""

    name: str
    """As the hub knows it: an alias, or `provider/model-id`."""
    entry: ModelEntry
    endpoint: ProbedEndpoint
    usual: CostEstimate
    most: CostEstimate
    """Maximum that the test never exceeds."""


class DeepPlan(Struct):
    """The models of a deep test."""

    models: list[PlannedModel] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """Models and providers that are not tested, with the reason."""

    def total(self) -> CostEstimate:
        """The most that all models need; the price of those whose price is known."""
        most = [model.most for model in self.models]
        known = [one.dollars for one in most if one.dollars is not None]
        return CostEstimate(
            sum(one.calls for one in most),
            sum(one.input for one in most),
            sum(one.output for one in most),
            sum(known, Decimal(0)) if known else None,
        )


def plan(config: Config, providers: Sequence[str], models: Sequence[str], longest: int) -> DeepPlan:
    """The plan for some models, or for the first model of some providers, or of all. `longest`: maximum output tokens of a
    reply.

    Raises:
        UnknownProvider, UnknownModel: a provider or a model does not exist.
        ConfigError: the entry of a provider is invalid.
    """
    targets = Targets(config)
    found = DeepPlan()
    for name in _names(config, providers, models, targets.catalog, found.skipped):
        target = targets.find(name)
        place = probed_endpoint(target.entry, target.upstream)
        if (kind := _kind(target, targets.catalog)) != "chat":
            found.skipped[name] = f"not a chat model ({kind})"
        if kind != "chat" or place in [model.endpoint for model in found.models]:
            continue
        usual = [(one.usual, one.tokens, USUAL_OUTPUT) for one in PLANNED.values()]
        most = [(one.most, one.tokens, longest) for one in PLANNED.values()]
        found.models.append(
            PlannedModel(
                name,
                target.entry,
                place,
                _estimate(usual, target, targets.catalog),
                _estimate(most, target, targets.catalog),
            )
        )
    return found


def _names(
    config: Config, providers: Sequence[str], models: Sequence[str], catalog: Catalog, skipped: dict[str, str]
) -> list[str]:
    for id in providers:
        config.provider(id)
    if models:
        return [_named(config, providers, model) for model in models]
    names = []
    for id in providers or config.providers:
        try:
            names.append(_first(config, id, catalog))
        except ConfigError as error:
            if providers:
                raise
            skipped[id] = error.message
    return names


def _named(config: Config, providers: Sequence[str], model: str) -> str:
    """The name of a model for the hub: an alias, or `provider/model-id`."""
    known = config.models.get(model)
    if known is not None and (not providers or known.provider in providers):
        return model
    if model.partition("/")[0] in (providers or config.providers):
        return model
    if len(providers) == 1:
        return f"{providers[0]}/{model}"
    return config.model(model).alias


def _first(config: Config, provider: str, catalog: Catalog) -> str:
    """The model that a provider is tested with: the default model if it has it, its first configured one, or the first of its
    stored list."""
    mine = [entry.alias for entry in config.models.values() if entry.provider == provider]
    if mine:
        return config.default_model if config.default_model in mine else mine[0]
    seen = catalog.seen(upstream(config, config.provider(provider)))
    chats = [id for id, model in seen.models.items() if model.chats] if seen is not None else []
    if not chats:
        raise UnknownModel(f"no model of {provider} is known", hint="name one with --model")
    return f"{provider}/{chats[0]}"


def _kind(target: Target, catalog: Catalog) -> Kind:
    """The purpose of a model, from the provider's stored list or from its ID."""
    seen = catalog.seen(target.upstream)
    listed = seen.models.get(target.entry.model) if seen is not None else None
    return listed.kind if listed is not None else kind_of({}, target.entry.identity)


def _estimate(calls: list[tuple[int, int, int]], target: Target, catalog: Catalog) -> CostEstimate:
    """The sum of some calls: their numbers, with the input and output tokens of each."""
    into = sum(number * tokens for number, tokens, _ in calls)
    out = sum(number * tokens for number, _, tokens in calls)
    cost = price(target.model, Usage(input=into, output=out), target.upstream, catalog)
    return CostEstimate(sum(number for number, _, _ in calls), into, out, cost.dollars if cost is not None else None)
