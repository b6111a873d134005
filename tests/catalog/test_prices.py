"""The cost of an answer, and the source of the price."""

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from modelbay.catalog.lookup import Catalog
from modelbay.catalog.prices import Price, flat, price
from modelbay.config.load import parse
from modelbay.model import Cost, Model
from modelbay.providers.upstream import Upstream, upstream
from modelbay.storage.cache import Cache
from modelbay.usage import Usage

MILLION = 1_000_000


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return Catalog(Cache(tmp_path_factory.mktemp("cache")))


def at(provider: str) -> Upstream:
    config = parse(f"[providers.p]\n{provider}", Path("/somewhere/config.toml"))
    return upstream(config, config.providers["p"])


OPENAI, ANTHROPIC = at('type = "openai"'), at('type = "anthropic"')
ACME = at('type = "openai"\nbase_url = "https://acme.example/v1"')
VENICE = at('type = "openai"\nbase_url = "https://api.venice.ai/api/v1"')


def priced(source: str, **cost: float) -> Model:
    return Model(id="gpt-4o", cost=Cost(**cost), sources={"cost": source})


# One price for each bucket


@pytest.mark.parametrize(
    ("usage", "dollars"),
    [
        (Usage(input=MILLION), "1"),
        (Usage(output=MILLION), "4"),
        (Usage(output=MILLION // 2, reasoning=MILLION // 2), "4"),
        (Usage(input=0, cache_read=MILLION), "0.1"),
        (Usage(input=0, cache_write=MILLION, cache_write_1h=MILLION), "2.5"),
        (Usage(input=0, tool_prompt=MILLION), "1"),
        (Usage(input=3, output=7), "0.000031"),
    ],
)
def test_each_bucket_has_its_price(usage, dollars):
    assert flat(Cost(input=1, output=4, cache_read=0.1, cache_write=1.25), usage) == Decimal(dollars)


def test_a_bucket_without_a_price_costs_what_input_does():
    usage = Usage(input=0, cache_read=MILLION, cache_write=MILLION)
    assert flat(Cost(input=3, output=4), usage) == 6


def test_an_incomplete_price_is_ignored():
    assert flat(Cost(input=3), Usage(input=1)) is None
    assert flat(Cost(output=3), Usage(output=1)) is None


def test_no_error_of_binary_fractions_adds_up():
    assert flat(Cost(input=0.1, output=0.2), Usage(input=3, output=3)) == Decimal("0.0000009")


# Sources of prices


@pytest.mark.parametrize("source", ["config", "manifest", "models"])
def test_prices_of_the_user_and_provider_come_first(catalog, source):
    found = price(priced(source, input=100, output=100), Usage(input=MILLION), OPENAI, catalog)
    assert found == Price(Decimal(100), source)


@pytest.mark.parametrize("source", ["models.dev", "prefix"])
def test_genai_prices_come_before_prices_of_other_lists(catalog, source):
    found = price(priced(source, input=100, output=100), Usage(input=MILLION), OPENAI, catalog)
    assert found == Price(Decimal("2.5"), "genai-prices")


def test_each_kind_of_cache_has_its_own_price(catalog):
    model = Model(id="claude-sonnet-4-5")
    usage = Usage(input=0, cache_read=100_000, cache_write=50_000, cache_write_1h=50_000, output=0)
    found = price(model, usage, ANTHROPIC, catalog)
    assert found == Price(
        Decimal("0.1") * Decimal("0.3") + Decimal("0.05") * Decimal("3.75") + Decimal("0.05") * 6, "genai-prices"
    )


def test_a_long_prompt_costs_more(catalog):
    google = at('type = "google-genai"')
    short = price(Model(id="gemini-2.5-pro"), Usage(input=100_000, output=0), google, catalog)
    long = price(Model(id="gemini-2.5-pro"), Usage(input=300_000, output=0), google, catalog)
    assert short is not None and long is not None
    assert (short.dollars, long.dollars) == (Decimal("0.125"), Decimal("0.75"))


def test_reasoning_is_paid_as_output_and_not_twice(catalog):
    plain = price(Model(id="gpt-5"), Usage(input=0, output=1000), OPENAI, catalog)
    thought = price(Model(id="gpt-5"), Usage(input=0, output=400, reasoning=600), OPENAI, catalog)
    assert plain == thought == Price(Decimal("0.01"), "genai-prices")


def test_a_service_tier_may_change_the_price(catalog):
    usage = Usage(input=MILLION, output=MILLION)
    usual = price(Model(id="o3"), usage, OPENAI, catalog)
    flex = price(Model(id="o3"), usage, OPENAI, catalog, {"service_tier": "flex"})
    assert usual is not None and flex is not None and flex.dollars < usual.dollars


def test_models_dev_has_prices_where_genai_prices_has_none(catalog):
    entry = catalog.models_dev.index.at(["venice"], "zai-org-glm-5")
    assert entry is not None and entry.facts.cost is not None and entry.facts.cost.input is not None
    found = price(Model(id="zai-org-glm-5"), Usage(input=MILLION), VENICE, catalog)
    assert found == Price(Decimal(str(entry.facts.cost.input)), "models.dev")


def test_models_dev_has_tiers_too(catalog):
    entry = catalog.models_dev.index.at(["302ai"], "gpt-5.4")
    assert entry is not None and entry.raw["cost"]["tiers"][0]["tier"]["size"] == 272_000
    found = at('type = "openai"\nbase_url = "https://api.302.ai/v1"')
    model = Model(id="gpt-5.4")
    assert price(model, Usage(input=272_000), found, catalog) == Price(Decimal("0.68"), "models.dev")
    assert price(model, Usage(input=273_000), found, catalog) == Price(Decimal("1.365"), "models.dev")


def test_a_price_by_name_is_used_if_there_is_no_other(catalog):
    assert price(priced("prefix", input=1, output=1), Usage(input=MILLION), ACME, catalog) == Price(
        Decimal(1), "prefix"
    )


def test_an_unknown_price_is_none(catalog):
    assert price(Model(id="gpt-4o"), Usage(input=1), ACME, catalog) is None
    assert price(Model(id="never-heard-of"), Usage(input=1), OPENAI, catalog) is None


def test_usage_without_counts_has_no_price(catalog):
    assert price(priced("config", input=1, output=1), Usage(), OPENAI, catalog) is None


@pytest.mark.parametrize("provider", ["https://acme.example/v1", "http://localhost:11434/v1"])
def test_genai_prices_are_not_loaded_for_providers_that_they_cannot_know(tmp_path, provider):
    code = f"""
import sys
from pathlib import Path
from modelbay.catalog.prices import price
from modelbay.catalog.lookup import Catalog
from modelbay.storage.cache import Cache
from modelbay.config.load import parse
from modelbay.model import Model
from modelbay.providers.upstream import upstream
from modelbay.usage import Usage
config = parse('[providers.p]\\ntype = "openai"\\nbase_url = "{provider}"', Path("/c.toml"))
price(Model(id="gpt-4o"), Usage(input=1), upstream(config, config.providers["p"]), Catalog(Cache(Path({str(tmp_path)!r}))))
print("genai_prices" in sys.modules)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert told.stdout.strip() == "False"


def test_a_deployment_costs_what_the_model_behind_it_does(catalog):
    usage = Usage(input=MILLION)
    named, plain = Model(id="blue", base_model="gpt-4o"), Model(id="gpt-4o")
    assert price(Model(id="blue"), usage, OPENAI, catalog) is None
    assert price(named, usage, OPENAI, catalog) == price(plain, usage, OPENAI, catalog) != None  # noqa: E711 both are known
