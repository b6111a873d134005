"""Every shape of a list of models."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.catalog.lists.listing import parse_list
from modelbay.errors import MalformedReply, ModelbayError, ProviderError
from tests.corpus import exchanges


def ids(body: object) -> list[str]:
    return [model.id for model in parse_list(body).models]


# Shapes

ENTRY = {"id": "m-1", "object": "model"}


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        ("OpenAI", {"object": "list", "data": [ENTRY]}),
        ("OpenRouter, without object and owner", {"data": [{"id": "m-1", "name": "M 1"}]}),
        ("Anthropic", {"data": [{"type": "model", "id": "m-1", "display_name": "M 1"}], "has_more": False}),
        ("Gemini", {"models": [{"name": "models/m-1", "supportedGenerationMethods": ["generateContent"]}]}),
        ("Vertex AI", {"publisherModels": [{"name": "publishers/google/models/m-1"}]}),
        ("Together, a bare array", [{"id": "m-1", "type": "chat"}]),
        ("Ollama's tags", {"models": [{"name": "m-1", "model": "m-1", "details": {}}]}),
        ("llama.cpp, both", {"models": [{"name": "m-1", "model": "m-1"}], "object": "list", "data": [ENTRY]}),
        ("LM Studio's first version", {"models": [{"type": "llm", "key": "m-1", "display_name": "M 1"}]}),
        ("Cohere", {"models": [{"name": "m-1", "endpoints": ["chat"]}]}),
        ("LiteLLM", {"data": [{"model_name": "m-1", "model_info": {"mode": "chat"}}]}),
        ("Bedrock", {"modelSummaries": [{"modelId": "m-1", "modelName": "M 1"}]}),
        ("Cloudflare", {"success": True, "result": [{"id": "3f1f0c1e-1111-4222-8333-0123456789ab", "name": "m-1"}]}),
        ("Replicate's pages", {"next": None, "previous": None, "results": [{"name": "m-1"}]}),
        ("extended models", {"models": {"m-1": {"id": "m-1", "name": "M 1"}}}),
        ("extended models without ids", {"models": {"m-1": {"name": "M 1", "limit": {"context": 9}}}}),
        ("names", ["m-1"]),
        ("names under data", {"data": ["m-1"]}),
        ("an envelope", {"code": 0, "data": {"models": [ENTRY]}}),
        ("one model", ENTRY),
        ("Hugging Face, one model", {"_id": "66", "id": "m-1", "inferenceProviderMapping": {"x": {"task": "chat"}}}),
    ],
)
def test_every_shape_of_a_list_is_read(shape, body):
    assert ids(body) == ["m-1"]
    assert ids(json.dumps(body).encode()) == ["m-1"]


@pytest.mark.parametrize("body", [{"data": []}, {"models": []}, {"models": {}}, [], {"object": "list", "data": None}])
def test_a_list_may_be_empty(body):
    assert ids(body) == []


def test_ids_are_trimmed_deduplicated_and_in_order():
    assert ids({"data": [{"id": " b "}, {"id": "a"}, {"id": "b"}, {"id": ""}, {"id": None}, {"no": "id"}, 7]}) == [
        "b",
        "a",
    ]


def test_ids_with_slashes_and_colons_stay_whole():
    names = ["hf:org/name", "accounts/fireworks/models/m", "@cf/meta/m", "org/name:free", "ft:gpt-4o:me::1"]
    assert ids({"data": [{"id": name} for name in names]}) == names


@pytest.mark.parametrize(
    ("other", "reasons"),
    [
        ({"name": "models/veo-3/operations/x1"}, []),
        ({"name": "Acme", "baseUrl": "https://acme.example/v1"}, []),
        ({"created": 1}, ["1 of the 2 entries of the model list cannot be read"]),
    ],
)
def test_only_an_entry_that_may_be_a_model_makes_a_list_incomplete(other, reasons):
    assert parse_list({"data": [{"id": "m"}, other]}).gaps.reasons == reasons


def test_a_second_entry_says_that_a_model_is_not_for_chats():
    [model] = parse_list({"models": [{"model": "m"}], "data": [{"id": "m", "type": "embedding"}]}).models
    assert model.kind == "embedding"


def test_facts_of_both_entries_of_a_model_are_used():
    """llama.cpp: sizes in one entry, capabilities in the other."""
    [model] = parse_list(
        {
            "models": [{"name": "m", "model": "m", "capabilities": ["completion", "vision"]}],
            "data": [{"id": "m", "object": "model", "owned_by": "llamacpp", "meta": {"n_ctx_train": 4096}}],
        }
    ).models
    assert model.facts.max_context_tokens == 4096
    assert model.facts.capabilities["image_in"] is True


# Pages


@pytest.mark.parametrize(
    ("body", "parameters"),
    [
        ({"data": [ENTRY], "has_more": True, "first_id": "a", "last_id": "z"}, {"after_id": "z"}),
        ({"data": [ENTRY], "has_more": True}, {"after_id": "m-1"}),
        ({"data": [ENTRY], "has_more": False, "last_id": "z"}, {}),
        ({"models": [{"name": "models/m"}], "nextPageToken": "t=="}, {"pageToken": "t=="}),
        ({"models": [{"name": "m"}], "next_page_token": "t"}, {"page_token": "t"}),
        ({"models": [{"name": "m"}], "nextPageToken": ""}, {}),
        ({"results": [{"name": "m"}], "next": "https://elsewhere.example/v1/models?cursor=c%3D"}, {"cursor": "c="}),
        ([ENTRY], {}),
    ],
)
def test_only_parameters_of_the_next_page_link_are_used(body, parameters):
    assert parse_list(body).next == parameters


# Content that is not a list


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<!doctype html><title>Sign in</title>", "an HTML page: Sign in"),
        (b"", "empty"),
        (b"not found", "not JSON: not found"),
        (b"42", "expected a model list, got 42"),
        (b'{"status": "ok"}', "only status"),
        (b"{}", "an empty object"),
        (b'[{"status": "ok"}]', "only status"),
        (b'{"name": "Acme", "baseUrl": "https://a.example", "models_data_source": "endpoint"}', "manifest"),
        (b'[{"name": "Acme", "baseUrl": "https://a"}, {"models": {"m": {"id": "m"}}}]', "manifest"),
        (b'{"acme": {"id": "acme", "api": "https://a", "models": {"m": {"id": "m"}}}}', "registry"),
        (b'{"id": "ac73", "created_at": "2023", "openapi_schema": {}}', "openapi_schema"),
        (b'{"name": "models/veo-3/operations/x1", "done": true}', "only name, done"),
    ],
)
def test_other_content_than_a_list_is_described(body, words):
    with pytest.raises(MalformedReply, match=words):
        parse_list(body)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": {"message": "bad key", "type": "authentication_error"}}', "bad key"),
        (b'{"error": "Unexpected endpoint or method. (GET /models)"}', "Unexpected endpoint"),
        (b'[{"error": {"code": 400, "message": "API key not valid", "status": "INVALID_ARGUMENT"}}]', "not valid"),
        (b'{"detail": "Not authenticated"}', "Not authenticated"),
        (b'{"success": false, "message": "no access", "data": null}', "no access"),
    ],
)
def test_an_error_object_instead_of_a_list_is_an_error(body, words):
    with pytest.raises(ProviderError, match=words):
        parse_list(body)


# Recorded and random content


def test_every_recorded_response_is_a_list_or_has_an_error():
    seen = {"listed": 0, "refused": 0}
    for exchange in exchanges("model_list"):
        body = json.dumps(exchange["response"]["json"]).encode()
        try:
            listing = parse_list(body)
        except MalformedReply as error:
            assert error.message.startswith("it contains no model list")
            seen["refused"] += 1
            continue
        seen["listed"] += 1
        assert listing.models and all(model.id == model.id.strip() != "" for model in listing.models)
        assert len({model.id for model in listing.models}) == len(listing.models)
    assert seen["listed"] >= 4


WORDS = st.sampled_from(
    [
        "id",
        "name",
        "data",
        "models",
        "error",
        "pricing",
        "prompt",
        "completion",
        "context_length",
        "type",
        "capabilities",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=8), inner, max_size=5),
    max_leaves=25,
)


@given(JSON)
def test_any_json_is_a_list_or_an_error(body):
    try:
        listing = parse_list(json.dumps(body).encode())
    except ModelbayError as error:
        assert error.message
    else:
        assert all(isinstance(model.id, str) and model.id for model in listing.models)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_list_or_an_error(body):
    try:
        parse_list(body)
    except ModelbayError as error:
        assert error.message


@pytest.mark.parametrize(
    "body",
    [
        {"data": [{"id": "models/foo"}]},
        {"data": [{"id": "models/foo", "name": "models/foo"}]},
        {"models": [{"name": "models/foo", "model": "models/foo"}]},
        ["models/foo"],
        {"models": {"models/foo": {"limit": {"context": 9}}}},
    ],
)
def test_only_googles_own_list_has_resource_names(body):
    assert [model.id for model in parse_list(body).models] == ["models/foo"]


@pytest.mark.parametrize(
    "beside",
    [
        {"next": "https://elsewhere.example/page-2"},
        {"links": {"next": "/v1/models/page/2"}},
        {"_links": {"next": {"href": "/v1/models/2"}}},
        {"pagination": {"next": "abc"}},
        {"meta": {"next_cursor": "abc"}},
        {"pageInfo": {"hasNextPage": True}},
        {"@odata.nextLink": "https://elsewhere.example/2"},
        {"warnings": ["some regions did not answer"]},
    ],
)
def test_a_list_with_an_unknown_next_link_is_incomplete(beside):
    assert parse_list(json.dumps({"data": [ENTRY], **beside}).encode()).gaps.reasons


@pytest.mark.parametrize(
    "beside",
    [
        {"next": None},
        {"links": {"next": None, "self": "/v1/models"}},
        {"pagination": {"has_next": False}},
        {"meta": {"warnings": []}},
    ],
)
def test_a_list_that_reports_its_end_is_complete(beside):
    assert not parse_list(json.dumps({"data": [ENTRY], **beside}).encode()).gaps.reasons
