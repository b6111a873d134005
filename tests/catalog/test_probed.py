"""The results of a provider test as facts and dialect fields, between the user's settings and all lists."""

from pathlib import Path
from typing import Any

import pytest

from modelbay.calling.target import Targets
from modelbay.catalog.facts import Facts
from modelbay.catalog.knowledge import fitted
from modelbay.catalog.lists.discovery import Discovery
from modelbay.catalog.lists.entry import Listed
from modelbay.catalog.lookup import Catalog, probed_endpoint
from modelbay.config.load import parse
from modelbay.config.schema import Config
from modelbay.dialect import Dialect
from modelbay.model import Model
from modelbay.providers.upstream import Upstream, upstream
from modelbay.storage.cache import Cache
from modelbay.storage.probes import Observation, ProbeStore

ACME = '[providers.p]\ntype = "{type}"\nbase_url = "https://acme.example/v1"\n{more}[models.m]\nprovider = "p"\nmodel = "{id}"\n'
YES, NO, UNKNOWN = "yes", "no", "unknown"


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(Cache(tmp_path / "cache"), ProbeStore(tmp_path / "probes.json"))


def configured(id: str = "large", type: str = "openai", more: str = "", model: str = "") -> Config:
    config = parse(ACME.format(type=type, more=more, id=id) + model, Path("/somewhere/config.toml"))
    assert config.problems == []
    return config


def after(catalog: Catalog, config: Config, **checks: Any) -> tuple[Model, Dialect]:
    """The facts and the dialect of the model after a test. A check is its result, or its result and value."""
    entry = config.models["m"]
    found = upstream(config, config.provider_of(entry), entry)
    results = {
        name: Observation(said[0], 1.0, value=said[1]) if isinstance(said, tuple) else Observation(said, 1.0)
        for name, said in checks.items()
    }
    catalog.probes.add(probed_endpoint(entry, found), "m", results)
    target = Targets(config, catalog).find("m")
    return target.model, target.upstream.dialect


def test_a_test_takes_precedence_over_the_providers_list_and_the_models_name(catalog: Catalog):
    config = configured("gpt-3.5-turbo")
    found = upstream(config, config.providers["p"])
    facts = Facts(max_output_tokens=9_000, capabilities={"tool_use": True, "image_in": False})
    catalog.remember(
        found, Discovery(models=[Listed(id="gpt-3.5-turbo", facts=facts)], url="https://acme.example/v1/models")
    )
    model, _ = after(catalog, config, tools=NO, images=YES, max_output=(YES, 4_096), context_window=(YES, 16_000))
    assert (model.can("tool_use"), model.can("image_in")) == (False, True)
    assert (model.max_output_tokens, model.max_context_tokens) == (4_096, 16_000)
    assert {model.sources[fact] for fact in ("tool_use", "image_in", "max_output_tokens", "max_context_tokens")} == {
        "probe"
    }
    assert model.sources["temperature"] == "prefix", "facts that a test does not see stay"


def test_the_users_configuration_takes_precedence_over_a_test(catalog: Catalog):
    own = "image_in = false\nmax_output_size = 5\ncapabilities = ['tool_use']\n"
    model, dialect = after(
        catalog,
        configured(model=own, more="dialect = { json_schema = true }\n"),
        images=YES,
        tools=NO,
        max_output=(YES, 4_096),
        json_schema=NO,
        forced_tool=NO,
    )
    assert (model.can("image_in"), model.can("tool_use"), model.max_output_tokens) == (False, True, 5)
    assert {model.sources[fact] for fact in ("image_in", "tool_use", "max_output_tokens")} == {"config"}
    assert (dialect.json_schema, dialect.tool_choices) == (True, ["auto", "none", "tool"])


def test_facts_that_a_list_wrote_into_the_file_are_not_the_users(catalog: Catalog):
    source = 'source = { kind = "apiJson", url = "https://acme.example/api.json" }\n'
    model, _ = after(
        catalog,
        configured(more=source, model="max_output_size = 9000\ncapabilities = ['image_in']\n"),
        max_output=(YES, 4_096),
        images=NO,
    )
    assert (model.max_output_tokens, model.can("image_in")) == (4_096, False)


def test_an_unknown_result_changes_nothing(catalog: Catalog):
    config = configured()
    plain = Targets(config, catalog).find("m")
    checks = dict.fromkeys(
        ("tools", "images", "thinking", "json_schema", "forced_tool", "parallel_tools", "strict_tools", "cache"),
        UNKNOWN,
    )
    model, dialect = after(catalog, config, **checks)
    assert (model, dialect) == (plain.model, plain.upstream.dialect)


@pytest.mark.parametrize(
    ("type", "checks", "fields"),
    [
        ("openai", {"forced_tool": NO}, {"tool_choices": ["auto", "none", "tool"]}),
        ("openai", {"forced_tool": NO, "named_tool": NO}, {"tool_choices": ["auto", "none"]}),
        ("openai", {"parallel_tools": NO}, {"parallel_tool_calls": False, "parallel_call_history": True}),
        ("openai", {"parallel_history": NO}, {"parallel_tool_calls": True, "parallel_call_history": False}),
        ("openai", {"strict_tools": NO}, {"strict_tools": False}),
        ("openai", {"json_schema": NO, "json_mode": NO}, {"json_schema": False, "json_mode": False}),
        ("openai", {"thinking_return": NO}, {"reasoning_echo": "never"}),
        ("openai", {"thinking_return": YES, "thinking_optional": NO}, {"reasoning_echo": "always"}),
        ("openai", {"thinking_return": YES, "thinking_optional": YES}, {"reasoning_echo": "seen"}),
        ("openai", {"reply": NO, "streaming": YES}, {"stream_only": True}),
        ("openai", {"cache": YES}, {"cache_marks": False}),
        ("anthropic", {"cache": YES}, {"cache_marks": True, "cache_control": True}),
        ("anthropic", {"cache": NO}, {"cache_marks": False, "cache_control": False}),
        ("anthropic", {"thinking_optional": NO}, {"reasoning_echo": "seen"}),
    ],
)
def test_a_result_is_a_field_of_the_dialect(
    catalog: Catalog, type: str, checks: dict[str, str], fields: dict[str, Any]
):
    _, dialect = after(catalog, configured(type=type), **checks)
    assert {name: getattr(dialect, name) for name in fields} == fields


@pytest.mark.parametrize(("optional", "expected"), [(YES, False), (NO, True)])
def test_gemini_requires_signatures_if_the_test_saw_it(catalog: Catalog, optional: str, expected: bool):
    model, _ = after(catalog, configured(type="google-genai"), thinking_optional=optional)
    assert model.can("call_signatures") is expected


@pytest.mark.parametrize(
    ("old", "new"), [("acme.example/v1", "acme.example/v2"), ('"openai"', '"anthropic"'), ('"large"', '"larger"')]
)
def test_a_test_of_another_endpoint_is_not_used_but_known(catalog: Catalog, old: str, new: str):
    after(catalog, configured(), images=NO)
    config = parse(ACME.format(type="openai", more="", id="large").replace(old, new), Path("/somewhere/config.toml"))
    target = Targets(config, catalog).find("m")
    assert target.model.can("image_in") is None
    outdated = catalog.outdated(target.entry, target.upstream)
    assert outdated is not None and outdated.checks["images"].result == NO
    assert catalog.record(target.entry, target.upstream) is None


def test_models_without_a_test_share_nothing(catalog: Catalog):
    after(catalog, configured(), images=NO, json_schema=NO)
    target = Targets(configured("other"), catalog).find("m")
    assert (target.model.can("image_in"), target.upstream.dialect.json_schema) == (None, True)


def test_a_dialect_without_a_test_is_that_of_the_name(catalog: Catalog):
    config = configured()
    found: Upstream = upstream(config, config.providers["p"], config.models["m"])
    assert fitted(found, None) == fitted(found)
