"""Recognizing a name, URL or document, and the entry that is made from it."""

import msgspec
import pytest

from modelbay.draft import azure_draft, draft, vertex_draft, with_key
from modelbay.errors import ConfigError
from modelbay.recognition import recognize, recognize_content, recognize_text, suggested_id


@pytest.mark.parametrize(
    ("what", "kind", "vendor", "protocol"),
    [
        ("openai", "vendor", "openai", "openai_chat"),
        ("OpenRouter", "vendor", "openrouter", "openai_chat"),
        ("Google Gemini", "vendor", "google", "google"),
        ("lm studio", "vendor", "lmstudio", "openai_chat"),
        ("kimi", "vendor", "moonshot", "openai_chat"),
        ("fireworks-ai", "vendor", "fireworks", "openai_chat"),
        ("claude", "vendor", "anthropic", "anthropic"),
        ("Gemini", "vendor", "google", "google"),
        ("grok", "vendor", "xai", "openai_chat"),
        ("ChatGPT", "vendor", "openai", "openai_chat"),
        ("qwen", "vendor", "dashscope", "openai_chat"),
        ("GLM", "vendor", "zai", "openai_chat"),
        ("copilot", "vendor", "github-copilot", "openai_chat"),
        ("foundry", "azure", "azure", "openai_chat"),
        ("azure", "azure", "azure", "openai_chat"),
        ("vertexai", "vertexai", "vertex", "google"),
        ("https://api.acme.example/v1", "base", None, None),
        ("https://api.acme.example", "base", None, None),
        ("https://api.acme.example/anthropic", "base", None, "anthropic"),
        ("https://api.provider.com/v1/chat/completions", "endpoint", None, "openai_chat"),
        ("https://api.provider.com/v1/chat/completions?key=1", "endpoint", None, "openai_chat"),
        ("https://custom-endpoint.provider.com/api/v2/models/chat", "endpoint", None, None),
        ("https://custom-endpoint.provider.com/api/v2/models/chat?x=y", "endpoint", None, None),
        ("https://acme.example/v1/messages", "endpoint", None, "anthropic"),
        ("https://acme.example/v1/responses", "endpoint", None, "openai_responses"),
        ("https://acme.example/v1beta/models/m:generateContent", "base", None, "google"),
        ("https://acme.example/v1/models", "list", None, None),
        ("https://acme.example/v1/models?provider=true", "list", None, None),
        ("https://acme.example/api.json", "list", None, None),
        ("https://api.deepseek.com", "base", "deepseek", "openai_chat"),
        ("https://api.deepseek.com/anthropic", "base", "deepseek", "anthropic"),
        ("http://127.0.0.1:11434", "base", "ollama", "openai_chat"),
        ("https://acme.openai.azure.com/", "azure", "azure", None),
        ("https://acme.services.ai.azure.com/models", "azure", "azure", None),
        ("https://europe-west4-aiplatform.googleapis.com", "vertexai", "vertex", None),
    ],
)
def test_a_name_or_url_is_recognized_by_its_form(what, kind, vendor, protocol):
    found = recognize(what)
    assert (found.kind, found.preset and found.preset.id, found.protocol) == (kind, vendor, protocol)


@pytest.mark.parametrize(
    ("what", "hint"),
    [
        ("opnai", "did you mean openai"),
        ("api.acme.example/v1", "did you mean https://api.acme.example/v1?"),
        ("localhost:8080/v1", "did you mean http://localhost:8080/v1?"),
        ("127.0.0.1:8080/v1", "did you mean http://127.0.0.1:8080/v1?"),
        ("192.168.1.7:8080", "did you mean http://192.168.1.7:8080?"),
        ("SiliconFlow", "add it from models.dev: `modelbay provider catalog add siliconflow`"),
        ("cloudflare-workers-ai", "`modelbay provider catalog add cloudflare-workers-ai`"),
        ("amazon-bedrock", "did you mean bedrock-mantle?"),
        ("qqqqqq", "pass a vendor's name"),
        ('"https://api.acme.example/v1"', "`modelbay provider add https://api.acme.example/v1`"),
        ("OPENAI_BASE_URL=https://api.acme.example/v1", "`modelbay provider add https://api.acme.example/v1`"),
        (
            "curl 'https://a.example/v1/messages?a=1&b' \\\n -d '{}'",
            "`modelbay provider add https://a.example/v1/messages`",
        ),
        ("a.example/v1 (new)", "`modelbay provider add 'https://a.example/v1 (new)'`"),
    ],
)
def test_an_unknown_name_gets_a_hint(what, hint):
    with pytest.raises(ConfigError) as error:
        recognize(what)
    assert hint in str(error.value.hint)


def test_the_kind_can_be_given():
    assert recognize("https://acme.example/v1/models", "base").kind == "base"
    assert recognize("https://acme.example/chat", "base").kind == "base"
    assert recognize("https://acme.example/talk", "endpoint").kind == "endpoint"
    assert recognize("https://acme.example", "azure").kind == "azure"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ({"object": "list", "data": [{"id": "a"}]}, "list"),
        ({"data": []}, "list"),
        ([{"id": "a"}, {"id": "b"}], "list"),
        (["a", "b"], "list"),
        ({"models": [{"name": "models/a", "supportedGenerationMethods": ["generateContent"]}]}, "list"),
        ({"models": {"a": {"name": "A"}}}, "list"),
        ({"name": "X", "baseUrl": "https://x.example", "models_data_source": "endpoint"}, "manifest"),
        ([{"name": "X", "models_data_source": "embedded"}, {"models": {}}], "manifest"),
        ({"acme": {"api": "https://x.example", "models": {"a": {}}}}, "registry"),
    ],
)
def test_a_document_is_recognized_by_its_content(content, kind):
    assert recognize_content(content, "it").kind == kind
    assert recognize_text(msgspec.json.encode(content), "it").kind == kind


@pytest.mark.parametrize("content", [{}, {"hello": "world"}, [], [1], "x", 3])
def test_other_json_is_refused(content):
    with pytest.raises(ConfigError, match="is not a list of models, a manifest or a registry"):
        recognize_content(content, "it")


def test_a_text_may_be_a_url():
    assert recognize_text(b"https://acme.example/v1\n", "standard input").kind == "base"
    with pytest.raises(ConfigError, match="neither JSON nor a URL"):
        recognize_text(b"hello\n", "standard input")


@pytest.mark.parametrize(
    ("what", "id"),
    [
        ("https://api.acme.example/v1", "acme"),
        ("https://llm.api.acme.example/v1", "acme"),
        ("http://127.0.0.1:8123/v1", "localhost-8123"),
        ("http://192.168.1.7:8123/v1", "192-168-1-7-8123"),
        ("https://api.deepseek.com/anthropic", "deepseek"),
        ("https://acme", "acme"),
    ],
)
def test_the_suggested_id_comes_from_vendor_or_host(what, id):
    assert suggested_id(recognize(what)) == id


@pytest.mark.parametrize(
    ("what", "table"),
    [
        ("openai", {"type": "openai", "base_url": "https://api.openai.com/v1"}),
        ("anthropic", {"type": "anthropic", "base_url": "https://api.anthropic.com"}),
        ("moonshot", {"type": "kimi", "base_url": "https://api.moonshot.ai/v1"}),
        ("ollama", {"type": "openai", "base_url": "http://localhost:11434/v1"}),
        ("llamacpp", {"type": "openai", "base_url": "http://localhost:8080/v1", "dialect": "llamacpp"}),
        ("https://api.openai.com", {"type": "openai", "base_url": "https://api.openai.com/v1"}),
        ("https://api.deepseek.com/anthropic", {"type": "anthropic", "base_url": "https://api.deepseek.com/anthropic"}),
        ("https://acme.example/v1?team=7", {"type": "openai", "base_url": "https://acme.example/v1?team=7"}),
        (
            "https://custom-endpoint.provider.com/api/v2/models/chat?x=y",
            {"type": "openai", "base_url": "https://custom-endpoint.provider.com/api/v2/models/chat?x=y"},
        ),
        ("https://acme.example/v1/messages", {"type": "anthropic", "base_url": "https://acme.example/v1/messages"}),
    ],
)
def test_a_recognized_provider_becomes_an_entry(what, table):
    assert draft(recognize(what), "id").table == table


def test_a_given_kind_of_url_is_written_as_full_url():
    assert draft(recognize("https://acme.example/talk", "endpoint"), "id").table["full_url"] is True
    assert draft(recognize("https://acme.example/chat", "base"), "id").table["full_url"] is False


def test_a_vendor_with_a_url_per_customer_requires_the_url():
    with pytest.raises(ConfigError) as error:
        draft(recognize("snowflake"), "id")
    assert "--base-url" in str(error.value.hint)
    made = draft(recognize("snowflake"), "id", base_url="https://acme.snowflakecomputing.com/api/v2/cortex/v1")
    assert made.table["base_url"].startswith("https://acme.snowflakecomputing.com")


@pytest.mark.parametrize(
    ("options", "table", "models"),
    [
        (
            {"resource": "acme-east", "deployment": "gpt-5"},
            {"type": "azure", "base_url": "https://acme-east.openai.azure.com"},
            ["gpt-5"],
        ),
        (
            {"url": "https://a.openai.azure.com/openai/deployments/d%201/chat/completions?api-version=2024-10-21"},
            {"type": "azure", "base_url": "https://a.openai.azure.com", "api_version": "2024-10-21"},
            ["d 1"],
        ),
        (
            {"url": "https://a.openai.azure.com/openai/v1/responses", "deployment": "d"},
            {"type": "azure", "base_url": "https://a.openai.azure.com/openai/v1"},
            ["d"],
        ),
    ],
)
def test_azure_urls_become_a_native_entry(options, table, models):
    made = azure_draft("azure", **options)
    assert (made.table, made.models) == (table, models)


def test_azure_requires_a_resource():
    with pytest.raises(ConfigError, match="Azure resource name or endpoint is missing"):
        azure_draft("azure")
    with pytest.raises(ConfigError, match="is not an Azure resource name"):
        azure_draft("azure", resource="a.b/c")


def test_vertex_becomes_a_native_entry():
    assert vertex_draft("v", "proj", "global").table == {
        "type": "vertexai",
        "env": {"GOOGLE_CLOUD_PROJECT": "proj", "GOOGLE_CLOUD_LOCATION": "global"},
    }


@pytest.mark.parametrize(
    ("what", "key", "added"),
    [
        ("https://acme.example/v1", "sk-1", {"api_key": "sk-1"}),
        ("https://acme.example/v1", "{env:KEY}", {"api_key": "{env:KEY}"}),
        ("https://acme.example/v1", "", {"auth": "none"}),
        ("http://localhost:9999/v1", "", {}),
        ("ollama", None, {}),
    ],
)
def test_without_a_key_auth_is_none(what, key, added):
    made = draft(recognize(what), "id")
    table = with_key(made, key).table
    assert {name: value for name, value in table.items() if name not in made.table} == added
