from pathlib import Path

import pytest

from modelbay.config.load import parse
from modelbay.config.schema import Config
from modelbay.errors import UnknownModel, UnknownProvider

TEXT = """
[providers.openai]
type = "openai"
[providers.synthetic]
type = "openai"
base_url = "https://api.synthetic.new/openai/v1"
[providers.broken]
type = "nothing"

[models.gpt]
provider = "openai"
model = "gpt-5.1"
aliases = ["best", "gpt:latest"]
variants = { deep = { reasoning_effort = "high" } }
[models.mini-high]
provider = "openai"
model = "o3-mini"
[models.mini-low]
provider = "openai"
model = "o3-mini"
[models."gpt:deep-thought"]
provider = "openai"
model = "deep-thought"
[models."synthetic/glm"]
provider = "synthetic"
model = "hf:zai-org/GLM-5"
"""


@pytest.fixture
def config() -> Config:
    return parse(TEXT, Path("/somewhere/config.toml"))


@pytest.mark.parametrize(
    ("name", "alias", "provider", "wire_id", "variant"),
    [
        ("gpt", "gpt", "openai", "gpt-5.1", None),
        ("best", "gpt", "openai", "gpt-5.1", None),
        ("gpt:latest", "gpt", "openai", "gpt-5.1", None),
        ("gpt:deep", "gpt", "openai", "gpt-5.1", "deep"),
        ("best:deep", "gpt", "openai", "gpt-5.1", "deep"),
        ("gpt:deep-thought", "gpt:deep-thought", "openai", "deep-thought", None),
        ("openai/gpt-5.1", "gpt", "openai", "gpt-5.1", None),
        ("openai/gpt-5.1:deep", "gpt", "openai", "gpt-5.1", "deep"),
        ("openai/o3-mini", "openai/o3-mini", "openai", "o3-mini", None),
        ("openai/gpt-6", "openai/gpt-6", "openai", "gpt-6", None),
        ("openai/gpt-6:deep", "openai/gpt-6:deep", "openai", "gpt-6:deep", None),
        ("synthetic/glm", "synthetic/glm", "synthetic", "hf:zai-org/GLM-5", None),
        ("synthetic/hf:org/name", "synthetic/hf:org/name", "synthetic", "hf:org/name", None),
    ],
)
def test_a_model_has_several_names(config, name, alias, provider, wire_id, variant):
    entry = config.model(name)
    assert (entry.alias, entry.provider, entry.model, entry.variant) == (alias, provider, wire_id, variant)


def test_a_variant_adds_settings_and_does_not_change_the_model(config):
    assert config.model("gpt:deep").settings == {"reasoning_effort": "high"}
    assert config.model("gpt").settings == {}


def test_a_name_with_a_colon_comes_before_a_variant():
    config = parse(TEXT.replace("gpt:latest", "gpt:deep"), Path("/somewhere/config.toml"))
    assert config.model("gpt:deep").variant is None
    assert config.model("best:deep").variant == "deep"


def test_a_model_that_is_not_configured_is_marked(config):
    assert not config.model("openai/gpt-6").configured
    assert config.model("gpt").configured


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("gtp", 'did you mean "gpt"?'),
        ("GPT", 'did you mean "gpt"?'),
        ("bset", 'did you mean "best"?'),
        ("opnai/gpt-5", 'did you mean "openai"?'),
        ("xyzzy", "use a model of the file, or provider/model-id"),
        ("gpt:shallow", "the variants of gpt are deep"),
    ],
)
def test_the_hint_for_an_unknown_model_has_similar_names(config, name, hint):
    with pytest.raises(UnknownModel) as caught:
        config.model(name)
    assert str(caught.value) == f'no model "{name}" in /somewhere/config.toml'
    assert str(caught.value.hint).startswith(hint)


def test_the_error_for_a_model_of_an_invalid_provider_names_the_problem(config):
    with pytest.raises(UnknownModel, match='unknown type "nothing"') as caught:
        config.model("broken/m")
    assert caught.value.line == 8


def test_without_a_name_the_default_model_is_used(config):
    with pytest.raises(UnknownModel, match="no default model"):
        config.model()
    config.default_model = "best:deep"
    assert config.model().variant == "deep"


def test_the_hint_for_an_unknown_provider_has_similar_names(config):
    with pytest.raises(UnknownProvider, match='no provider "sintetic"') as caught:
        config.provider("sintetic")
    assert caught.value.hint == 'did you mean "synthetic"?'


def test_the_error_for_an_invalid_provider_names_the_problem(config):
    with pytest.raises(UnknownProvider, match=r'cannot be used: .*:8: .*unknown type "nothing"'):
        config.provider("broken")
