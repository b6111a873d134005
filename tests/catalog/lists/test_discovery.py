"""Discovery of a provider's models, and its errors."""

import asyncio

import pytest

from modelbay.catalog.lists import discovery
from modelbay.errors import (
    AuthenticationFailed,
    ConfigError,
    ConnectFailed,
    MalformedReply,
    MissingCredential,
    ModelbayError,
    NotFound,
    PermissionDenied,
    RateLimited,
    Redirected,
    ServerError,
    TimedOut,
)
from tests.catalog.shelf import PAGE, Answer, Shelf, data

KEY = 'api_key = "sk-secret-1"'
OPENAI = f'type = "openai"\nbase_url = "https://acme.example/v1"\n{KEY}'
ANTHROPIC = f'type = "anthropic"\nbase_url = "https://acme.example"\n{KEY}'


def at(url: str, type: str = "openai", more: str = KEY) -> str:
    return f'type = "{type}"\nbase_url = "{url}"\n{more}'


def names(found: discovery.Discovery) -> list[str]:
    return [model.id for model in found.models]


# The plain list


async def test_the_list_next_to_the_calls_is_requested_with_the_key():
    shelf = Shelf({"/v1/models": data("a", "b", max_model_len=4096)})
    found = await shelf.discover(OPENAI)
    assert names(found) == ["a", "b"]
    assert (found.url, found.base_url, found.problems) == ("https://acme.example/v1/models", None, [])
    assert shelf.asked == ["/v1/models"]
    assert shelf.headers[0]["authorization"] == "Bearer sk-secret-1"


async def test_models_for_other_purposes_are_listed_and_marked():
    shelf = Shelf({"/v1/models": data("gpt-4o", "text-embedding-3-small")})
    assert [(model.id, model.chats) for model in (await shelf.discover(OPENAI)).models] == [
        ("gpt-4o", True),
        ("text-embedding-3-small", False),
    ]


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://acme.example/api/v2/chat/completions?version=1", "/api/v2/models"),
        ("https://acme.example/api/v2/models/chat?version=1", "/api/v2/models"),
        ("https://acme.example/openai/deployments/d/chat/completions", "/openai/models"),
    ],
)
async def test_a_list_next_to_a_full_endpoint_url_is_found(url, path):
    shelf = Shelf({path: data("a", context_length=1)})
    found = await shelf.discover(at(url))
    assert (names(found), shelf.asked) == (["a"], [path])


async def test_the_query_of_the_base_url_is_sent_with_each_request():
    shelf = Shelf({"/x/v1/models": lambda query, _: data(query)})
    assert names(await shelf.discover(at("https://acme.example/x?tenant=7"))) == ["tenant=7"]


# Pages


async def test_all_pages_are_read():
    asked = []

    def answer(query, _):
        asked.append(query)
        after = query.partition("after_id=")[2]
        return {"data": [{"id": f"m{len(asked)}"}], "has_more": after != "m2", "last_id": f"m{len(asked)}"}

    found = await Shelf({"/v1/models": answer}).discover(ANTHROPIC)
    assert names(found) == ["m1", "m2", "m3"]
    assert asked == ["limit=1000", "limit=1000&after_id=m1", "limit=1000&after_id=m2"]


async def test_an_id_of_a_later_page_that_differs_only_in_case_is_left_out():
    def answer(query: str, _: object) -> Answer:
        return data("M-1", "m-2") if "after_id" in query else {**data("m-1"), "has_more": True, "last_id": "m-1"}

    found = await Shelf({"/v1/models": answer}).discover(ANTHROPIC)
    assert names(found) == ["m-1", "m-2"]
    assert found.gaps.covers("M-1") == "it differs from m-1 only in case"


async def test_pages_of_google_follow_by_token():
    def answer(query, _):
        listed = [{"name": f"models/m{len(query)}", "supportedGenerationMethods": ["generateContent"]}]
        return {"models": listed, "nextPageToken": "" if "pageToken" in query else "t"}

    found = await Shelf({"/v1beta/models": answer}).discover(at("https://acme.example", "google-genai"))
    assert len(names(found)) == 2


async def test_at_most_twenty_pages_are_read():
    asked = []

    def answer(query, _):
        asked.append(query)
        return {"data": [{"id": f"m{len(asked)}"}], "has_more": True, "last_id": f"m{len(asked)}"}

    found = await Shelf({"/v1/models": answer}).discover(ANTHROPIC)
    assert len(found.models) == len(asked) == discovery.PAGES == 20
    assert found.problems == ["the list has more than 20 pages: the others were not read"]


async def test_a_server_that_repeats_its_first_page_is_asked_twice():
    shelf = Shelf({"/v1/models": {"data": [{"id": "m"}], "has_more": True, "last_id": "m"}})
    assert names(await shelf.discover(ANTHROPIC)) == ["m"]
    assert shelf.asked == ["/v1/models"] * 2


async def test_the_pages_before_a_failure_are_used():
    def answer(query, _):
        return 500 if "after_id" in query else {"data": [{"id": "m"}], "has_more": True, "last_id": "m"}

    found = await Shelf({"/v1/models": answer}).discover(ANTHROPIC)
    assert names(found) == ["m"]
    assert found.problems == ["could not fetch page 2 of the list: told to"]


async def test_the_size_of_a_list_is_limited(monkeypatch):
    monkeypatch.setattr(discovery, "ALL_BYTES", 1000)
    asked = []

    def answer(query, _):
        asked.append(query)
        return {"data": [{"id": f"m{len(asked)}", "x": "x" * 400}], "has_more": True, "last_id": "m"}

    found = await Shelf({"/v1/models": answer}).discover(ANTHROPIC)
    assert (len(found.models), len(found.problems)) == (3, 1)


async def test_the_wait_for_a_page_is_limited(monkeypatch):
    monkeypatch.setattr(discovery, "SECONDS", 0.05)

    class Silent(Shelf):
        async def fetch(self, endpoint, body):
            await asyncio.sleep(10)
            return b""

    with pytest.raises(TimedOut, match=r"did not return its model list within 0\.05 s"):
        await Silent().discover(OPENAI)


# Other URLs


@pytest.mark.parametrize("wrong", [404, 405, PAGE, {"status": "ok"}, {"error": "Unexpected endpoint. (GET /models)"}])
@pytest.mark.parametrize(
    ("base", "path", "better"),
    [
        ("http://127.0.0.1:8000", "/v1/models", "http://127.0.0.1:8000/v1"),
        ("https://acme.example/llm", "/llm/v1/models", "https://acme.example/llm/v1"),
        ("https://acme.example/v1", "/models", "https://acme.example"),
        ("https://acme.example/llm?tenant=7", "/llm/v1/models", "https://acme.example/llm/v1?tenant=7"),
    ],
)
async def test_the_list_is_found_with_or_without_a_version_in_the_base_url(wrong, base, path, better):
    plain = "/models" if path != "/models" else "/v1/models"
    plain = "/llm/models" if base.startswith("https://acme.example/llm") else plain
    shelf = Shelf({plain: wrong, path: data("a", context_length=1)})
    found = await shelf.discover(at(base))
    assert (names(found), found.base_url) == (["a"], better)
    assert shelf.asked == [plain, path]


async def test_an_anthropic_base_url_finds_the_list_of_openai_clients():
    shelf = Shelf({"/v1/models": data("a")})
    found = await shelf.discover(at("https://acme.example/anthropic", "anthropic"))
    assert (names(found), found.base_url) == (["a"], None)
    assert shelf.asked[0] == "/anthropic/v1/models" and shelf.asked[-1] == "/v1/models"
    assert shelf.headers[0]["x-api-key"] == "sk-secret-1"
    assert shelf.headers[-1]["authorization"] == "Bearer sk-secret-1" and "x-api-key" not in shelf.headers[-1]


async def test_the_list_of_a_vendors_other_protocol_is_found():
    shelf = Shelf({"/api/paas/v4/models": data("glm-5", context_length=1)})
    found = await shelf.discover(at("https://api.z.ai/api/anthropic", "anthropic"))
    assert names(found) == ["glm-5"]
    assert shelf.asked == ["/api/anthropic/v1/models", "/api/paas/v4/models"]


async def test_a_host_that_requires_the_key_in_the_other_header_gets_it_there():
    class Picky(Shelf):
        async def fetch(self, endpoint, body):
            answer = await super().fetch(endpoint, body)
            if "authorization" not in self.headers[-1]:
                raise AuthenticationFailed("no Bearer", status=401)
            return answer

    shelf = Picky({"/v1/models": data("a")})
    assert names(await shelf.discover(ANTHROPIC)) == ["a"]
    assert shelf.asked == ["/v1/models"] * 2


@pytest.mark.parametrize("provider", [OPENAI, ANTHROPIC, at("https://api.z.ai/api/anthropic", "anthropic")])
async def test_the_key_is_not_sent_to_another_host(provider):
    origins = set()

    class Watched(Shelf):
        async def fetch(self, endpoint, body):
            origins.add(endpoint.url.split("/")[2])
            return await super().fetch(endpoint, body)

    with pytest.raises(NotFound):
        await Watched().discover(provider)
    assert len(origins) == 1


async def test_a_next_page_at_another_host_is_requested_from_this_one():
    shelf = Shelf({"/v1/models": {"results": [{"id": "a"}], "next": "https://evil.example/v1/models?page=2"}})
    assert names(await shelf.discover(OPENAI)) == ["a"]
    assert shelf.asked == ["/v1/models"] * 2


# No list


async def test_a_rejected_key_ends_the_search():
    shelf = Shelf({"/v1/models": 401})
    with pytest.raises(AuthenticationFailed) as caught:
        await shelf.discover(OPENAI)
    assert shelf.asked == ["/v1/models"]
    assert caught.value.provider == "acme"


async def test_a_key_rejected_at_the_second_url_is_reported():
    with pytest.raises(AuthenticationFailed):
        await Shelf({"/v1/models": 401}).discover(at("https://acme.example"))


async def test_a_list_that_requires_a_key_is_reported_if_there_is_none():
    with pytest.raises(AuthenticationFailed) as caught:
        await Shelf({"/v1/models": 401}).discover(at("https://acme.example/v1", more='auth = "none"'))
    assert caught.value.hint is not None and "requires an API key" in caught.value.hint


@pytest.mark.parametrize("more", [KEY, 'auth = "none"\ncustom_headers = { Authorization = "Bearer sk-secret-1" }'])
async def test_a_rejected_key_is_not_reported_as_missing(more: str):
    with pytest.raises(AuthenticationFailed) as caught:
        await Shelf({"/v1/models": 401}).discover(at("https://acme.example/v1", more=more))
    assert "requires an API key" not in (caught.value.hint or "")


@pytest.mark.parametrize(
    "error",
    [
        PermissionDenied("no", status=403),
        RateLimited("slow down", status=429),
        ServerError("down", status=500),
        ConnectFailed("nobody"),
    ],
)
async def test_after_other_failures_no_other_url_is_tried(error):
    shelf = Shelf({"/v1/models": error})
    with pytest.raises(type(error)):
        await shelf.discover(OPENAI)
    assert shelf.asked == ["/v1/models"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (404, NotFound),
        (PAGE, MalformedReply),
        (Redirected("elsewhere", status=301, location="https://x.example"), Redirected),
    ],
)
async def test_if_no_url_has_a_list_the_first_response_is_reported(error, kind):
    with pytest.raises(kind) as caught:
        await Shelf({"/v1/models": error}).discover(OPENAI)
    assert caught.value.provider == "acme"


async def test_for_a_vendor_without_a_list_the_hint_is_to_name_models():
    with pytest.raises(ConfigError, match="has no model list") as caught:
        await Shelf().discover('dialect = "perplexity"\n' + KEY)
    assert caught.value.hint is not None and "yourself" in caught.value.hint


async def test_a_missing_key_is_reported_before_anything_is_sent():
    shelf = Shelf()
    with pytest.raises(MissingCredential):
        await shelf.discover(at("https://acme.example/v1", more=""))
    assert shelf.asked == []


# Servers with more facts in other lists

LOCAL = at("http://127.0.0.1:9/v1", more="")
LM_STUDIO = {
    "data": [
        {"id": "qwen", "type": "vlm", "max_context_length": 32_768, "state": "not-loaded"},
        {"id": "nomic", "type": "embeddings", "max_context_length": 2048},
    ]
}


async def test_lm_studios_own_list_adds_facts_to_the_plain_one():
    shelf = Shelf({"/v1/models": data("qwen", "nomic"), "/api/v0/models": LM_STUDIO})
    found = await shelf.discover(LOCAL)
    assert [(model.id, model.kind, model.facts.max_context_tokens) for model in found.models] == [
        ("qwen", "chat", 32_768),
        ("nomic", "embedding", 2048),
    ]
    assert found.problems == []


def show(_, body):
    if body is None or body["model"] == "broken":
        return {"error": "model not found"}
    return {
        "capabilities": ["completion", "tools"],
        "model_info": {"general.architecture": "llama", "llama.context_length": 131_072},
        "parameters": 'stop                           "<|eot|>"\nnum_ctx                        8192',
    }


async def test_ollama_is_asked_about_each_of_its_models():
    tags = {"models": [{"name": "llama:8b", "model": "llama:8b", "details": {"family": "llama"}}]}
    listed = data("llama:8b", "broken", "llama:70b")
    answers: dict[str, Answer] = {"/v1/models": listed, "/api/tags": tags, "/api/show": show}
    for provider in (LOCAL, at("http://localhost:11434/v1", more="")):
        shelf = Shelf(answers)
        first, second, third = (await shelf.discover(provider)).models
        for model in (first, third):
            assert model.facts.max_context_tokens == 8192, "the context it runs with, not the one it was trained for"
            assert model.facts.capabilities == {"tool_use": True, "thinking": False}
        assert second.facts.max_context_tokens is None


async def test_an_old_ollama_has_only_its_tags():
    shelf = Shelf({"/api/tags": {"models": [{"name": "llama:8b", "model": "llama:8b"}]}, "/v1/models": {"models": []}})
    assert names(await shelf.discover(LOCAL)) == ["llama:8b"]


async def test_no_further_request_is_made_if_the_plain_list_has_facts():
    shelf = Shelf({"/v1/models": data("a", max_model_len=4096), "/api/v0/models": LM_STUDIO})
    assert names(await shelf.discover(LOCAL)) == ["a"]
    assert shelf.asked == ["/v1/models"]


@pytest.mark.parametrize(
    "strange", [401, 500, PAGE, ConnectFailed("gone"), {"error": "Unexpected endpoint"}, "null", []]
)
async def test_the_plain_list_stays_if_the_other_lists_fail(strange):
    answers = dict.fromkeys(("/api/v0/models", "/api/tags", "/api/show"), strange)
    found = await Shelf({"/v1/models": data("a"), **answers}).discover(LOCAL)
    assert (names(found), found.problems) == (["a"], [])


async def test_a_remote_host_is_not_asked_for_lists_of_local_servers():
    shelf = Shelf({"/v1/models": data("a")})
    await shelf.discover(OPENAI)
    assert shelf.asked == ["/v1/models"]


async def test_a_vendors_own_list_of_facts_is_requested_with_the_key():
    listed = {"models": [{"id": "grok-3", "input_modalities": ["text"], "prompt_text_token_price": 30_000,
                          "completion_text_token_price": 150_000}]}  # fmt: skip
    shelf = Shelf({"/v1/models": data("grok-3"), "/v1/language-models": listed})
    [model] = (await shelf.discover(f'dialect = "xai"\n{KEY}')).models
    assert model.facts.cost is not None and model.facts.cost.output == 15
    assert shelf.headers[-1]["authorization"] == "Bearer sk-secret-1"


async def test_a_catalog_replaces_a_missing_list():
    listed = [{"id": "openai/gpt-4.1", "name": "GPT-4.1", "limits": {"max_input_tokens": 1_048_576}}]
    shelf = Shelf({"/catalog/models": listed})
    found = await shelf.discover(f'dialect = "github-models"\n{KEY}')
    assert (names(found), shelf.asked) == (["openai/gpt-4.1"], ["/catalog/models"])


@pytest.mark.parametrize("base", ["http://127.0.0.1:9", "http://127.0.0.1:9/v1", "http://gpu-box.example:11500"])
async def test_a_server_that_has_only_its_own_list_is_read(base):
    tags = {"models": [{"name": "llama:8b", "model": "llama:8b", "details": {"family": "llama"}}]}
    shelf = Shelf({"/api/tags": tags, "/api/show": show})
    found = await shelf.discover(at(base) if "gpu-box" in base else at(base, more=""))
    assert names(found) == ["llama:8b"]
    assert found.base_url == (None if base.endswith("/v1") else f"{base}/v1")
    if "127" in base:
        assert found.models[0].facts.max_context_tokens == 8192


@pytest.mark.parametrize("path", ["/api/v0/models", "/api/v1/models"])
async def test_both_forms_of_lm_studios_list_are_read(path):
    first = {
        "models": [
            {"type": "llm", "key": "qwen", "max_context_length": 32_768, "display_name": "Qwen",
             "capabilities": {"vision": True, "trained_for_tool_use": True},
             "loaded_instances": [{"id": "qwen", "config": {"context_length": 4096}}]},
            {"type": "embedding", "key": "nomic", "max_context_length": 2048, "loaded_instances": []},
        ]
    }  # fmt: skip
    shelf = Shelf({path: first if path.endswith("v1/models") else LM_STUDIO})
    for provider in (at("http://127.0.0.1:9", more=""), at("http://localhost:1234/v1", more="")):
        found = await shelf.discover(provider)
        assert [(model.id, model.kind) for model in found.models] == [("qwen", "chat"), ("nomic", "embedding")]
        qwen = found.models[0].facts
        if path.endswith("v1/models"):
            assert (qwen.max_context_tokens, qwen.name) == (4096, "Qwen")
            assert qwen.capabilities == {"image_in": True}, "it accepts tools even if it was not trained for them"
        else:
            assert qwen.max_context_tokens == 32_768


async def test_azures_list_of_models_is_not_taken_for_deployments():
    shelf = Shelf({"/openai/v1/models": data("gpt-4o")})
    found = await shelf.discover(at("https://acme.openai.azure.com", "azure"))
    assert found.problems == ["these models can be deployed; a request needs the name of your deployment"]


async def test_every_error_is_a_modelbay_error():
    for answer in ("", "[", "\x00", "nul", 302, 418, 599):
        with pytest.raises(ModelbayError):
            await Shelf({"/v1/models": answer}).discover(OPENAI)


async def test_a_key_from_a_command_does_not_block_the_loop(monkeypatch):
    aside = []

    async def to_thread(function, *arguments):
        aside.append(function)
        return function(*arguments)

    monkeypatch.setattr(discovery, "to_thread", to_thread)
    with pytest.raises(ModelbayError):
        await Shelf().discover(at("https://acme.example/v1", more='api_key = "{command:true}"'))
    assert aside == [discovery._forms]
