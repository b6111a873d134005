import pytest

from modelbay.providers import urls
from modelbay.providers.urls import endpoint_url, models_url

CHAT, RESPONSES, MESSAGES = "/chat/completions", "/responses", "/v1/messages"
GENERATE = "/models/gemini-3-pro:generateContent"
STREAM = "/models/gemini-3-pro:streamGenerateContent?alt=sse"


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://api.provider.com/v1", "https://api.provider.com/v1/chat/completions"),
        ("https://api.provider.com/v1/", "https://api.provider.com/v1/chat/completions"),
        ("https://api.provider.com/v1//", "https://api.provider.com/v1/chat/completions"),
        ("https://api.provider.com", "https://api.provider.com/chat/completions"),
        ("https://api.provider.com/", "https://api.provider.com/chat/completions"),
        ("https://api.z.ai/api/paas/v4", "https://api.z.ai/api/paas/v4/chat/completions"),
        ("https://h/v1?api-version=2", "https://h/v1/chat/completions?api-version=2"),
        ("https://h/v1/?a=1&b=%2F", "https://h/v1/chat/completions?a=1&b=%2F"),
        ("https://user:p%40ss@h:8443/v1", "https://user:p%40ss@h:8443/v1/chat/completions"),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1/chat/completions"),
        ("https://h/chats", "https://h/chats/chat/completions"),
        ("https://x.services.ai.azure.com/models", "https://x.services.ai.azure.com/models/chat/completions"),
    ],
)
def test_the_path_is_put_after_a_base_url(base, url):
    assert endpoint_url(base, CHAT, "openai_chat") == url


@pytest.mark.parametrize(
    "base",
    [
        "https://api.provider.com/v1/chat/completions",
        "https://custom-endpoint.provider.com/api/v2/models/chat",
        "https://h/v1/chat/completions/",
        "https://h/v1/chat/completions?api-version=2024-10-21&x=%20y",
        "https://h/openai/v1/responses",
        "https://h/v1/completions",
        "https://h/v1/messages",
        "https://h/serving-endpoints/llama/invocations",
        "https://user:pass@h/v1/chat/completions",
        "https://h/v1/chat/completions#part",
    ],
)
def test_a_full_endpoint_is_called_unchanged(base):
    assert endpoint_url(base, CHAT, "openai_chat") == base


def test_full_url_overrides_the_detection():
    assert endpoint_url("https://h/chat", CHAT, "openai_chat", full=False) == "https://h/chat/chat/completions"
    assert endpoint_url("https://h/api/generate?x=1", CHAT, "openai_chat", full=True) == "https://h/api/generate?x=1"


@pytest.mark.parametrize(
    ("base", "path", "protocol", "url"),
    [
        ("https://a/v1/chat/completions", "/embeddings", "openai_chat", "https://a/v1/embeddings"),
        (
            "https://a/v1/responses?x=1",
            "/responses/input_tokens",
            "openai_responses",
            "https://a/v1/responses/input_tokens?x=1",
        ),
        ("https://a/v1/messages", "/v1/messages/count_tokens", "anthropic", "https://a/v1/messages/count_tokens"),
        (
            "https://a/v1beta/models/g:generateContent",
            "/models/g:countTokens",
            "google",
            "https://a/v1beta/models/g:countTokens",
        ),
        ("https://a/v1", "/embeddings", "openai_chat", "https://a/v1/embeddings"),
        ("https://a/v1/embeddings", "/embeddings", "openai_chat", "https://a/v1/embeddings"),
        ("https://a/v1/embeddings/", "/chat/completions", "openai_chat", "https://a/v1/chat/completions"),
        (
            "https://r.openai.azure.com/openai/deployments/e/embeddings?api-version=2024-10-21",
            "/embeddings",
            "openai_chat",
            "https://r.openai.azure.com/openai/deployments/e/embeddings?api-version=2024-10-21",
        ),
    ],
)
def test_other_endpoints_are_next_to_a_complete_one(base, path, protocol, url):
    assert endpoint_url(base, path, protocol) == url


def test_other_endpoints_are_next_to_a_complete_one_with_an_unusual_path():
    assert endpoint_url("https://a/llm/invoke", "/embeddings", "openai_chat", True) == "https://a/llm/embeddings"


def test_responses_are_beside_chat():
    assert (
        endpoint_url("https://api.openai.com/v1", RESPONSES, "openai_responses")
        == "https://api.openai.com/v1/responses"
    )


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://api.anthropic.com", "https://api.anthropic.com/v1/messages"),
        ("https://api.anthropic.com/v1", "https://api.anthropic.com/v1/messages"),
        ("https://api.anthropic.com/v1/", "https://api.anthropic.com/v1/messages"),
        ("https://api.deepseek.com/anthropic", "https://api.deepseek.com/anthropic/v1/messages"),
        ("https://api.synthetic.new/anthropic/v1", "https://api.synthetic.new/anthropic/v1/messages"),
        ("https://api.kimi.com/coding/v1", "https://api.kimi.com/coding/v1/messages"),
        ("https://h/v1/messages?beta=true", "https://h/v1/messages?beta=true"),
        ("https://h?x=1", "https://h/v1/messages?x=1"),
    ],
)
def test_an_anthropic_base_url_has_a_version_or_not(base, url):
    assert endpoint_url(base, MESSAGES, "anthropic") == url


def test_a_path_may_have_a_query_of_its_own():
    assert endpoint_url("https://h", "/v1/messages?beta=true", "anthropic") == "https://h/v1/messages?beta=true"
    assert endpoint_url("https://h?beta=no&x=1", "/v1/messages?beta=true", "anthropic") == (
        "https://h/v1/messages?x=1&beta=true"
    )


@pytest.mark.parametrize(
    ("base", "path", "url"),
    [
        ("https://g.example", GENERATE, "https://g.example/v1beta/models/gemini-3-pro:generateContent"),
        ("https://g.example/", GENERATE, "https://g.example/v1beta/models/gemini-3-pro:generateContent"),
        ("https://g.example/v1", GENERATE, "https://g.example/v1/models/gemini-3-pro:generateContent"),
        (
            "https://g.example/v1beta",
            STREAM,
            "https://g.example/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse",
        ),
        ("https://g.example/gemini", GENERATE, "https://g.example/gemini/v1beta/models/gemini-3-pro:generateContent"),
        (
            "https://g.example?key=k",
            STREAM,
            "https://g.example/v1beta/models/gemini-3-pro:streamGenerateContent?key=k&alt=sse",
        ),
        (
            "https://g.example/v1/publishers/google",
            GENERATE,
            "https://g.example/v1/publishers/google/models/gemini-3-pro:generateContent",
        ),
        (
            "https://g.example/x/models/m:generateContent",
            STREAM,
            "https://g.example/x/models/m:streamGenerateContent?alt=sse",
        ),
        ("https://g.example/x/models/m:streamGenerateContent?alt=sse", STREAM, None),
    ],
)
def test_a_google_base_url_is_a_root_or_has_a_version(base, path, url):
    assert endpoint_url(base, path, "google") == (url or base)


@pytest.mark.parametrize(
    ("base", "protocol", "url"),
    [
        ("https://h/v1", "openai_chat", "https://h/v1/models"),
        ("https://h/v1/", "openai_responses", "https://h/v1/models"),
        ("https://h", "openai_chat", "https://h/models"),
        ("https://h/v1/models", "openai_chat", "https://h/v1/models"),
        ("https://h/v1/chat/completions", "openai_chat", "https://h/v1/models"),
        ("https://h/api/v2/models/chat", "openai_chat", "https://h/api/v2/models"),
        ("https://h/v1/chat/completions?api-version=1", "openai_chat", "https://h/v1/models?api-version=1"),
        ("https://h/v1?api-version=1", "openai_chat", "https://h/v1/models?api-version=1"),
        ("https://u:p@h/v1", "openai_chat", "https://u:p@h/v1/models"),
        ("https://h/v1/responses", "openai_responses", "https://h/v1/models"),
        ("https://h", "anthropic", "https://h/v1/models"),
        ("https://h/v1", "anthropic", "https://h/v1/models"),
        ("https://h/anthropic/v1/messages", "anthropic", "https://h/anthropic/v1/models"),
        ("https://h", "google", "https://h/v1beta/models"),
        ("https://h/v1", "google", "https://h/v1/models"),
        (
            "https://r.openai.azure.com/openai/deployments/d/chat/completions?api-version=1",
            "openai_chat",
            "https://r.openai.azure.com/openai/models?api-version=1",
        ),
    ],
)
def test_where_models_are_listed(base, protocol, url):
    assert models_url(base, protocol) == url


def test_where_models_are_listed_when_looks_deceive():
    assert models_url("https://h/api/generate", "openai_chat", full=True) == "https://h/api/models"
    assert models_url("https://h/chat", "openai_chat", full=False) == "https://h/chat/models"


@pytest.mark.parametrize(
    ("base", "path", "version", "url"),
    [
        ("https://r.openai.azure.com", CHAT, None, "https://r.openai.azure.com/openai/v1/chat/completions"),
        ("https://r.openai.azure.com/openai", CHAT, None, "https://r.openai.azure.com/openai/v1/chat/completions"),
        ("https://r.openai.azure.com/openai/v1/", CHAT, None, "https://r.openai.azure.com/openai/v1/chat/completions"),
        ("https://r.openai.azure.com/openai/v1", RESPONSES, None, "https://r.openai.azure.com/openai/v1/responses"),
        ("https://r.openai.azure.com", RESPONSES, "1", "https://r.openai.azure.com/openai/responses?api-version=1"),
        (
            "https://r.openai.azure.com",
            CHAT,
            "2024-10-21",
            "https://r.openai.azure.com/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21",
        ),
        (
            "https://r.openai.azure.com?api-version=7",
            CHAT,
            "2024-10-21",
            "https://r.openai.azure.com/openai/deployments/my%20gpt/chat/completions?api-version=7",
        ),
        (
            "https://r.openai.azure.com/openai/deployments/d",
            CHAT,
            None,
            "https://r.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-08-01-preview",
        ),
        (
            "https://r.openai.azure.com/openai/deployments/d?api-version=7",
            CHAT,
            None,
            "https://r.openai.azure.com/openai/deployments/d/chat/completions?api-version=7",
        ),
        (
            "https://r.openai.azure.com/openai/deployments/d?api-version=7",
            RESPONSES,
            None,
            "https://r.openai.azure.com/openai/responses?api-version=7",
        ),
        (
            "https://r.services.ai.azure.com",
            CHAT,
            "2024-05-01-preview",
            "https://r.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview",
        ),
        ("https://gateway.corp/azure-models", CHAT, None, "https://gateway.corp/azure-models/chat/completions"),
        ("https://gw.corp/a/openai", CHAT, None, "https://gw.corp/a/openai/v1/chat/completions"),
        (
            "https://gw.corp/a/openai",
            CHAT,
            "7",
            "https://gw.corp/a/openai/deployments/my%20gpt/chat/completions?api-version=7",
        ),
        ("https://gw.corp/a/openai", RESPONSES, "7", "https://gw.corp/a/openai/responses?api-version=7"),
        (
            "https://gw.corp/a",
            CHAT,
            "7",
            "https://gw.corp/a/openai/deployments/my%20gpt/chat/completions?api-version=7",
        ),
        ("https://gw.corp/a/openai/v1", CHAT, "7", "https://gw.corp/a/openai/v1/chat/completions?api-version=7"),
        (
            "https://gw.corp/a/deployments",
            CHAT,
            "7",
            "https://gw.corp/a/deployments/my%20gpt/chat/completions?api-version=7",
        ),
        (
            "https://gw.corp/a/openai/deployments/d?team=x",
            CHAT,
            "7",
            "https://gw.corp/a/openai/deployments/d/chat/completions?team=x&api-version=7",
        ),
    ],
)
def test_azure_has_several_addresses_for_one_thing(base, path, version, url):
    assert urls.azure_url(base, path, "my gpt", version) == url


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("us-central1", "us-central1-aiplatform.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ],
)
def test_vertex_has_an_address_for_every_location(location, host):
    assert urls.vertex_base(location) == f"https://{host}"
    assert urls.vertex_location(host) == (None if location == "global" else location)


@pytest.mark.parametrize("host", ["generativelanguage.googleapis.com", "us-aiplatform.googleapis.com.evil.example"])
def test_other_hosts_name_no_location(host):
    assert urls.vertex_location(host) is None


PLACE = ("my-project", "us-central1")


@pytest.mark.parametrize(
    ("base", "place", "url"),
    [
        ("https://v", PLACE, "https://v/v1/projects/my-project/locations/us-central1/publishers/google/models/m:x"),
        (
            "https://v/v1beta1/",
            PLACE,
            "https://v/v1beta1/projects/my-project/locations/us-central1/publishers/google/models/m:x",
        ),
        ("https://v", None, "https://v/v1/publishers/google/models/m:x"),
        (
            "https://v/v1/projects/p/locations/l",
            PLACE,
            "https://v/v1/projects/p/locations/l/publishers/google/models/m:x",
        ),
        ("https://v/v1/projects/p/locations/l/publishers/google", PLACE, None),
    ],
)
def test_vertex_names_project_and_location(base, place, url):
    assert urls.vertex_url(base, "/models/m:x", place) == (url or f"{base}/models/m:x")


def test_claude_at_vertex_is_another_publishers():
    assert urls.vertex_url("https://v", "/models/claude@1", PLACE, "rawPredict") == (
        "https://v/v1/projects/my-project/locations/us-central1/publishers/anthropic/models/claude@1:rawPredict"
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://user:p%40ss@h:1/v1?x=1", ("https://h:1/v1?x=1", "user:p%40ss")),
        ("https://h/v1", ("https://h/v1", "")),
        ("https://token@h", ("https://h", "token")),
    ],
)
def test_user_and_password_can_be_taken_off(url, expected):
    assert urls.without_user(url) == expected
