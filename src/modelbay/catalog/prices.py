"""The cost of an answer: by the user's price, the provider's own, or a public price list."""

from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct

from modelbay.catalog.lookup import LIST, MODELS_DEV, Catalog
from modelbay.catalog.models_dev.index import IndexEntry
from modelbay.conversation import Extra
from modelbay.model import Cost, Model
from modelbay.providers.upstream import Upstream
from modelbay.usage import Usage

GENAI_PRICES = "genai-prices"
FIRST_HAND = ("config", "manifest", LIST)
"""Sources of prices that take precedence over public lists."""
MILLION = Decimal(1_000_000)
LONG = 200_000
"""Tokens above which models.dev's `context_over_200k` applies."""


class Price(Struct, frozen=True):
    dollars: Decimal
    source: str
    """Source of the price: a source of facts, or "genai-prices"."""


def price(
    model: Model, usage: Usage, found: Upstream, catalog: Catalog, context: Mapping[str, str] | None = None
) -> Price | None:
    """The cost of an answer; None if the price is unknown. `context` has further conditions of a price, such as `service_tier`.

    Prices with tiers, for long prompts and for each kind of cache come from genai-prices, which takes 250 ms to load and is
    therefore asked only about providers that it may know.
    """
    if usage.input is None and usage.output is None:
        return None
    source = model.sources.get("cost", "config")
    if model.cost is not None and source in FIRST_HAND:
        dollars = flat(model.cost, usage)
        if dollars is not None:
            return Price(dollars, source)
    if not catalog.names(found):
        return None if model.cost is None else _priced(flat(model.cost, usage), source)
    exact = _exact(model.identity, usage, found.base_url, context)
    if exact is not None:
        return Price(exact, GENAI_PRICES)
    entry = catalog.entry(model.identity, found)
    if entry is not None and (cost := _tier(entry, usage)) is not None:
        return _priced(flat(cost, usage), MODELS_DEV)
    return None if model.cost is None else _priced(flat(model.cost, usage), source)


def flat(cost: Cost, usage: Usage) -> Decimal | None:
    """Dollars from one price per bucket. A bucket without its own price costs as much as input."""
    if cost.input is None or (cost.output is None and (usage.output != 0 or usage.reasoning)):
        return None
    into, out = Decimal(str(cost.input)), Decimal(str(cost.output or 0))
    read = into if cost.cache_read is None else Decimal(str(cost.cache_read))
    write = into if cost.cache_write is None else Decimal(str(cost.cache_write))
    total = (
        ((usage.input or 0) + (usage.tool_prompt or 0)) * into
        + (usage.cache_read or 0) * read
        + ((usage.cache_write or 0) + (usage.cache_write_1h or 0)) * write
        + usage.output_total * out
    )
    return total / MILLION


def _priced(dollars: Decimal | None, source: str) -> Price | None:
    return None if dollars is None else Price(dollars, source)


def _exact(wire_id: str, usage: Usage, base_url: str, context: Mapping[str, str] | None) -> Decimal | None:
    """The price from genai-prices, if it knows the provider at that address and the model."""
    import genai_prices

    written = (usage.cache_write or 0) + (usage.cache_write_1h or 0)
    counts = genai_prices.Usage(
        input_tokens=usage.input_total,
        cache_read_tokens=usage.cache_read or 0,
        cache_write_tokens=written,
        cache_write_1h_tokens=usage.cache_write_1h or 0,
        output_tokens=usage.output_total,
        output_reasoning_tokens=usage.reasoning or 0,
    )
    try:
        found = genai_prices.calc_price(counts, wire_id, provider_api_url=base_url, price_context=context)
    except (LookupError, ValueError):
        return None
    return Decimal(found.total_price)


def _tier(entry: IndexEntry, usage: Usage) -> Cost | None:
    """The price from models.dev for a prompt of that length."""
    usual = entry.facts.cost
    told = entry.raw.get("cost")
    if usual is None or not isinstance(told, dict):
        return usual
    reached = [(size, tier) for size, tier in _tiers(told) if usage.input_total > size]
    if not reached:
        return usual
    tier = max(reached, key=lambda reach: reach[0])[1]
    known = {name: tier[name] for name in Cost.__struct_fields__ if type(tier.get(name)) in (int, float)}
    kept = {name: getattr(usual, name) for name in Cost.__struct_fields__}
    return Cost(**{**kept, **known})


def _tiers(told: Extra) -> list[tuple[int, Extra]]:
    """Each tier with the prompt length from which it applies."""
    tiers = [tier for tier in told.get("tiers") or () if isinstance(tier, dict) and isinstance(tier.get("tier"), dict)]
    found = [(tier["tier"].get("size"), tier) for tier in tiers if tier["tier"].get("type") == "context"]
    long = told.get("context_over_200k")
    if not found and isinstance(long, dict):
        found.append((LONG, long))
    return [(size, tier) for size, tier in found if isinstance(size, int)]
