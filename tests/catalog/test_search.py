"""The models that a search finds, and their order."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.catalog.models_dev.live import ModelsDev
from modelbay.catalog.search import Finder, search
from modelbay.model import Model
from modelbay.storage.cache import Cache
from tests.processor_time import check_growth

MODELS = [
    Model(id="gpt-4o-mini", name="GPT-4o mini", provider="openai"),
    Model(id="gpt-4o", name="GPT-4o", provider="openai"),
    Model(id="openai/gpt-4o", name="OpenAI: GPT-4o", provider="router"),
    Model(id="gpt-4-turbo-preview", name="GPT-4 Turbo", provider="openai"),
    Model(id="claude-sonnet-4-5", name="Claude Sonnet 4.5", provider="anthropic"),
    Model(id="claude-opus-4-7", name="Claude Opus 4.7", provider="anthropic"),
    Model(id="us.anthropic.claude-opus-4-7-v1:0", name="Claude Opus 4.7 (US)", provider="bedrock"),
    Model(id="MiniMax-M2", provider="minimax"),
    Model(id="hf:Qwen/Qwen3-Coder-480B", name="Qwen3 Coder", provider="synthetic"),
    Model(id="accounts/fireworks/models/kimi-k2", name="Kimi K2", provider="fireworks"),
    Model(id="o3", name="o3", provider="openai"),
    Model(id="通义千问-max", name="通义千问", provider="dashscope"),
]


def found(query: str, models: Sequence[Model] = MODELS, limit: int = 50) -> list[str]:
    return [model.id for model in search(query, models, limit)]


def test_letters_in_their_order_are_enough():
    assert "gpt-4o-mini" in found("gpt4o")
    assert "claude-sonnet-4-5" in found("son45")
    assert found("gptturbo") == ["gpt-4-turbo-preview"]


@pytest.mark.parametrize("query", ["gpt-4o", "GPT4O", "gpt 4o", " gpt_4o ", "gpt.4o"])
def test_the_whole_name_comes_first_then_those_that_begin_with_it(query):
    assert found(query)[:3] == ["gpt-4o", "openai/gpt-4o", "gpt-4o-mini"]


def test_a_match_at_the_start_comes_before_a_word_and_a_word_before_a_part():
    assert found("mini") == ["MiniMax-M2", "gpt-4o-mini"]
    assert found("o3")[0] == "o3"
    models = [Model(id="xturbox"), Model(id="gpt-turbo-9"), Model(id="turbo-1"), Model(id="turbo")]
    assert found("turbo", models) == ["turbo", "turbo-1", "gpt-turbo-9", "xturbox"]


def test_a_shorter_name_comes_first():
    assert found("claude opus")[:2] == ["claude-opus-4-7", "us.anthropic.claude-opus-4-7-v1:0"]


def test_every_word_must_be_there_in_any_order():
    assert found("opus claude") == ["claude-opus-4-7", "us.anthropic.claude-opus-4-7-v1:0"]
    assert found("anthropic sonnet") == ["claude-sonnet-4-5"]
    assert found("opus gpt") == []


def test_provider_and_id_are_found_as_they_are_written():
    assert found("openai/gpt-4o")[:2] == ["gpt-4o", "openai/gpt-4o"]
    assert found("fireworks/kimi-k2") == ["accounts/fireworks/models/kimi-k2"]
    assert found("hf:Qwen/Qwen3-Coder-480B") == ["hf:Qwen/Qwen3-Coder-480B"]


def test_a_typing_error_is_accepted():
    assert found("cluade opus")[0] == "claude-opus-4-7"
    assert "gpt-4o" in found("gtp4o")
    assert found("xyzzy") == []


def test_other_scripts_are_letters_too():
    assert found("千问") == ["通义千问-max"]


@pytest.mark.parametrize("query", ["", "  ", "\t"])
def test_a_blank_query_finds_everything_in_its_order(query):
    assert found(query) == [model.id for model in MODELS]
    assert found(query, limit=2) == [model.id for model in MODELS[:2]]


@pytest.mark.parametrize("query", ["---", "/", "?", "(", "[a", "\\"])
def test_punctuation_alone_finds_nothing(query):
    assert isinstance(found(query), list)


def test_no_more_than_the_limit():
    assert len(found("o", limit=3)) == 3
    assert found("gpt4o", limit=1) == ["gpt-4o"]
    assert search("x", []) == []


def test_rapidfuzz_is_only_loaded_for_typing_errors():
    import subprocess
    import sys

    code = (
        "import sys; from modelbay.catalog.search import search; from modelbay.model import Model; "
        "search('gpt4o', [Model(id='gpt-4o')], 1); print('rapidfuzz' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert told.stdout.strip() == "False"


NAMES = st.text("gpt4o-/ ._:Aé", min_size=1, max_size=12).filter(str.strip)


@given(st.lists(NAMES, max_size=12), NAMES)
def test_each_result_is_found_once_and_matches(ids, query):
    models = [Model(id=id) for id in ids]
    hits = Finder(models).find(query, 50)
    assert len({id(hit) for hit in hits}) == len(hits)
    assert all(hit in models for hit in hits)


@given(st.lists(NAMES, min_size=1, max_size=12, unique=True), st.data())
def test_a_model_is_found_by_its_own_name(ids, data):
    wanted = data.draw(st.sampled_from(ids))
    if any(letter.isalnum() for letter in wanted):
        assert wanted in [model.id for model in search(wanted, [Model(id=id) for id in ids])]


def test_a_model_is_found_among_all_of_models_dev_in_time_that_grows_with_their_number(tmp_path: Path):
    """A limit against quadratic time only; the benchmark has the figures."""
    models = [
        Model(id=id, provider=provider, name=raw.get("name"))
        for provider, entry in ModelsDev(Cache(tmp_path)).providers.items()
        for id, raw in entry["models"].items()
    ]
    assert found("gpt4o", models)[0] == "gpt-4o"
    few, many = models[:500], models[:4_000]
    check_growth(lambda: search("gpt4o", few), lambda: search("gpt4o", many), below=24)  # quadratic: 64
