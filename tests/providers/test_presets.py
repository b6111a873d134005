from urllib.parse import urlsplit

import pytest

from modelbay.catalog.models_dev.live import ModelsDev
from modelbay.config.provider_types import TYPES
from modelbay.dialect import Dialect
from modelbay.origin import origin
from modelbay.providers import presets
from modelbay.providers.vendor import FOLDER, NAMES, Preset

ROWS = [
    "openai", "azure", "xai", "minimax", "deepseek", "dashscope", "moonshot", "kimi-code", "mistral", "groq", "together",
    "perplexity", "anyscale", "fireworks", "openrouter", "cerebras", "ollama", "ollama-cloud", "lmstudio", "llamacpp", "vllm",
    "sglang", "one-api", "zai", "synthetic", "bedrock-mantle", "github-models", "github-copilot", "huggingface", "snowflake",
    "vercel", "anthropic", "google", "vertex", "deepinfra", "venice", "v0", "aihubmix", "cohere", "jan",
]  # fmt: skip
PRESETS = presets.all()


def test_every_vendor_has_a_file():
    assert sorted(preset.id for preset in PRESETS) == sorted(ROWS)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.id)
def test_a_preset_says_only_what_is_understood(preset):
    known = set(Preset.__struct_fields__) - {"id"}
    import tomllib

    table = tomllib.loads((FOLDER / f"{preset.id}.toml").read_text())
    assert set(table) <= known
    for key, value in preset.dialect.items():
        fields = value if key in NAMES else {key: value}
        assert set(fields) <= set(Dialect.__struct_fields__) - {"vendor"}
        assert key not in NAMES or key in preset.protocols
    assert set(preset.base_urls) | set(preset.auth) <= set(preset.protocols)
    assert set(preset.types) <= set(TYPES)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.id)
def test_a_preset_is_found_where_it_says_it_is(preset):
    for host in preset.hosts:
        assert presets.by_host(host.replace("*", "x")) == preset
    for protocol in preset.protocols:
        url = preset.url(protocol)
        assert preset.dialect_of(protocol).vendor == preset.id
        if url and preset.hosts:
            where = origin(url.replace("{", "").replace("}", ""))
            assert presets.by_host(f"localhost:{where.port}" if where.loopback else where.host) == preset


def test_keys_are_got_over_https():
    assert all(urlsplit(preset.key_url).scheme == "https" for preset in PRESETS if preset.key_url)


@pytest.mark.parametrize(
    ("host", "id"),
    [
        ("api.deepseek.com", "deepseek"),
        ("api.minimaxi.com", "minimax"),
        ("api.moonshot.cn", "moonshot"),
        ("open.bigmodel.cn", "zai"),
        ("my-res.openai.azure.com", "azure"),
        ("europe-west4-aiplatform.googleapis.com", "vertex"),
        ("bedrock-mantle.us-east-1.api.aws", "bedrock-mantle"),
        ("localhost:11434", "ollama"),
        ("localhost:1234", "lmstudio"),
        ("localhost:8080", None),
        ("openai.azure.com", None),
        ("api.openai.com.evil.example", None),
        ("evil-api.openai.com", None),
        ("", None),
        ("*", None),
    ],
)
def test_a_host_tells_the_vendor(host, id):
    preset = presets.by_host(host)
    assert (preset.id if preset else None) == id


def test_an_alias_belongs_to_one_vendor_and_hides_no_other_name():
    def letters(name: str) -> str:
        return "".join(char for char in name.lower() if char.isalnum())

    aliases = [letters(alias) for preset in PRESETS for alias in preset.aliases]
    names = {letters(word) for one in PRESETS for word in (one.id, one.name, *one.models_dev)}
    assert len(set(aliases)) == len(aliases)
    assert names.isdisjoint(aliases)
    assert {letters(id) for id in ModelsDev().providers}.isdisjoint(aliases)
    for preset in PRESETS:
        assert all(presets.by_name(alias.upper()) == preset for alias in preset.aliases)


@pytest.mark.parametrize("id", ["nobody", "", "../openai", "openai.toml"])
def test_an_unknown_id_has_no_preset(id):
    assert presets.by_id(id) is None


def test_some_types_are_a_vendor_wherever_they_point():
    found = {type: preset.id if (preset := presets.by_type(type)) else None for type in TYPES}
    assert found == {
        "kimi": "moonshot",
        "azure": "azure",
        "vertexai": "vertex",
        "anthropic": None,
        "openai": None,
        "openai_responses": None,
        "google-genai": None,
    }


# Examples from the table of dialects


@pytest.mark.parametrize(
    ("id", "protocol", "fields"),
    [
        ("openai", "openai_chat", {"prompt_cache_key": True, "max_tokens_parameter": None}),
        ("moonshot", "openai_chat", {"reasoning_echo": "always", "schema": "typed", "media_by_url": False}),
        ("moonshot", "anthropic", {"cache_ttl": False, "reasoning_echo": "seen"}),
        ("deepseek", "openai_chat", {"reasoning_echo": "always", "text_only_content": True}),
        ("mistral", "openai_chat", {"tool_id": "[a-zA-Z0-9]{9}", "required_word": "any"}),
        ("openai", "openai_responses", {"tool_id": None}),
        ("xai", "openai_chat", {"reasoning_in_output": False, "strict_tools": False}),
        ("openrouter", "openai_chat", {"reasoning_control": "reasoning", "cache_marks": True}),
        ("dashscope", "openai_chat", {"reasoning_control": "enable_thinking", "stream_only": True}),
        ("minimax", "openai_chat", {"body": {"reasoning_split": True}}),
        ("vertex", "anthropic", {"model_in_body": False, "body": {"anthropic_version": "vertex-2023-10-16"}}),
        ("vertex", "google", {"model_in_body": True, "body": {}}),
        ("anthropic", "anthropic", {"cache_marks": True, "cache_ttl": True}),
    ],
)
def test_how_a_vendor_departs_from_its_protocol(id, protocol, fields):
    preset = presets.by_id(id)
    assert preset is not None
    dialect = preset.dialect_of(protocol)
    assert {name: getattr(dialect, name) for name in fields} == fields
