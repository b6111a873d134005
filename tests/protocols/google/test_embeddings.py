"""Gemini's embeddings: the requests of the Gemini API and of Vertex AI, their replies, and those of clients."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google import genai
from google.genai import types

from modelbay.embedding import EmbeddingRequest, Embeddings
from modelbay.errors import MalformedReply, ProviderError, Unsupported
from modelbay.protocols.codec import Call
from modelbay.protocols.google import embeddings
from modelbay.sync import Hub
from modelbay.usage import Usage
from tests.servers.loopback import Handler, served

VALUES = {"values": [0.5, 1]}
Seen = list[tuple[str, Any]]


@pytest.fixture
def seen() -> Seen:
    return []


@pytest.fixture
def url(seen: Seen) -> Iterator[str]:
    class Google(Handler):
        def do_POST(self) -> None:
            body = json.loads(self.body())
            seen.append((self.path.partition("?")[0], body))
            if "instances" in body:
                values = {"values": [1, 2], "statistics": {"token_count": 3.0, "truncated": False}}
                reply: Any = {"predictions": [{"embeddings": values} for _ in body["instances"]]}
            else:
                reply = {"embeddings": [VALUES] * len(body["requests"]), "usageMetadata": {"promptTokenCount": 7}}
            self.answer(200, json.dumps(reply).encode())

    with served(Google) as found:
        yield found


def hub_of(tmp_path: Path, url: str, kind: str, version: str) -> Hub:
    file = tmp_path / "config.toml"
    file.write_text(f'[providers.g]\ntype = "{kind}"\nbase_url = "{url}{version}"\napi_key = "k"\n')
    return Hub.open(file)


@pytest.mark.parametrize("model", ["text-embedding-005", "gemini-embedding-001", "gemini-embedding-2"])
def test_vertex_ai_gets_what_the_official_sdk_sends(tmp_path: Path, url: str, seen: Seen, model: str) -> None:
    client = genai.Client(vertexai=True, api_key="k", http_options={"base_url": url})
    config = {"task_type": "RETRIEVAL_QUERY", "output_dimensionality": 2, "auto_truncate": False}
    contents = [types.Content(parts=[types.Part(text=text)]) for text in ("a", "b")]
    texts = contents if model == "gemini-embedding-2" else ["a", "b"]
    client.models.embed_content(model=model, contents=texts, config=config)
    with hub_of(tmp_path, url, "vertexai", "/v1beta1") as hub:
        found = hub.embed(["a", "b"], model=f"g/{model}", input_type="query", dimensions=2)
    (theirs, body), ours = seen
    body["requests" if "requests" in body else "instances"] = [
        {**one, "content": _whole(one["content"])} for one in body.get("requests") or body["instances"]
    ]
    assert ours == (theirs, body)
    assert len(found.vectors) == 2
    assert found.usage is not None
    assert found.usage.input in (6, 7)


def _whole(content: Any) -> Any:
    """A content without its role, which the SDK adds."""
    return {"parts": content["parts"]} if isinstance(content, dict) else content


def test_the_gemini_api_gets_what_the_official_sdk_sends(tmp_path: Path, url: str, seen: Seen) -> None:
    client = genai.Client(api_key="k", http_options={"base_url": url, "api_version": "v1beta"})
    config = {"task_type": "RETRIEVAL_DOCUMENT", "output_dimensionality": 2}
    client.models.embed_content(model="gemini-embedding-001", contents=["a", "b"], config=config)
    with hub_of(tmp_path, url, "google-genai", "") as hub:
        hub.embed(["a", "b"], model="g/gemini-embedding-001", input_type="document", dimensions=2, user="u")
    (theirs, body), ours = seen
    for one in body["requests"]:
        one["content"] = _whole(one["content"])
    assert ours == (theirs, body)


def test_other_purposes_and_own_fields_are_sent_as_they_are(tmp_path: Path, url: str, seen: Seen) -> None:
    with hub_of(tmp_path, url, "google-genai", "") as hub:
        found = hub.embed("a", model="g/m", input_type="FACT_VERIFICATION", extra_body={"title": "T"}, user="u")
    assert seen[0][1]["requests"] == [
        {"model": "models/m", "content": {"parts": [{"text": "a"}]}, "taskType": "FACT_VERIFICATION", "title": "T"}
    ]
    assert [warning.setting for warning in found.warnings] == ["user"]


def test_more_texts_than_a_batch_may_have_are_sent_in_several(tmp_path: Path, url: str, seen: Seen) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'[providers.g]\ntype = "google-genai"\nbase_url = "{url}"\napi_key = "k"\ndialect = "google"\n')
    with Hub.open(file) as hub:
        assert len(hub.embed(["a"] * 250, model="g/m").vectors) == 250
    assert sorted(len(body["requests"]) for _, body in seen) == [50, 100, 100]


# --- replies


def test_the_reply_to_a_single_text_is_read() -> None:
    assert embeddings.parse_reply(json.dumps({"embedding": VALUES}).encode(), 1).vectors == [[0.5, 1]]


@pytest.mark.parametrize(
    ("reply", "count", "match"),
    [
        ({"embeddings": [VALUES]}, 2, "1 vectors for 2 texts"),
        ({"embedding": VALUES}, 2, "1 vectors for 2 texts"),
        ({"embeddings": [{}]}, 1, "does not have embeddings"),
        ({"embeddings": [{"values": []}]}, 1, "is empty"),
        ({"candidates": []}, 1, "does not have embeddings"),
        ({"predictions": [{"scores": [1]}]}, 1, "does not have embeddings"),
    ],
)
def test_a_reply_without_a_vector_for_each_text_is_an_error(reply: Any, count: int, match: str) -> None:
    with pytest.raises(MalformedReply, match=match):
        embeddings.parse_reply(json.dumps(reply).encode(), count)


def test_an_error_in_a_reply_is_raised() -> None:
    with pytest.raises(ProviderError, match="denied"):
        embeddings.parse_reply(b'{"error": {"code": 403, "message": "denied", "status": "PERMISSION_DENIED"}}', 1)


# --- clients


def request(body: Any) -> EmbeddingRequest:
    return embeddings.parse_request(Call("/v1beta/models/m:embedContent", body))


def content(*texts: str) -> Any:
    return {"parts": [{"text": text} for text in texts]}


@pytest.mark.parametrize(
    "settings",
    [
        {"taskType": "RETRIEVAL_QUERY", "outputDimensionality": 3},
        {"task_type": "RETRIEVAL_QUERY", "output_dimensionality": 3},
        {"embedContentConfig": {"task_type": "RETRIEVAL_QUERY", "outputDimensionality": 3}},
    ],
)
def test_the_request_of_a_client_is_read_in_every_spelling(settings: Any) -> None:
    asked = request({"content": content("a", "b"), **settings})
    assert asked == EmbeddingRequest(texts=["a\nb"], dimensions=3, input_type="query", single=True)
    batch = request({"requests": [{"content": content("a"), **settings}, {"content": content("b"), **settings}]})
    assert batch == EmbeddingRequest(texts=["a", "b"], dimensions=3, input_type="query")


@pytest.mark.parametrize(
    ("body", "match"),
    [
        ({}, "`content` must consist of texts"),
        ({"requests": []}, "at least one request"),
        ({"content": {"parts": [{"inlineData": {"data": ""}}]}}, "must consist of texts"),
        ({"content": content("a"), "outputDimensionality": "x"}, "outputDimensionality"),
        (
            {"requests": [{"content": content("a")}, {"content": content("a"), "outputDimensionality": 2}]},
            "the same settings",
        ),
    ],
)
def test_a_request_that_cannot_be_read_is_refused(body: Any, match: str) -> None:
    with pytest.raises(Unsupported, match=match):
        request(body)


@pytest.mark.parametrize(("single", "name"), [(True, "embedding"), (False, "embeddings")])
def test_a_client_gets_the_form_that_it_asked_for(single: bool, name: str) -> None:
    reply = Embeddings([[0.5, 1.0]], usage=Usage(input=3))
    found = json.loads(embeddings.render_reply(reply, EmbeddingRequest(texts=["a"], single=single)))
    assert found[name] == (VALUES if single else [VALUES])
    assert found["usageMetadata"] == {"promptTokenCount": 3}
