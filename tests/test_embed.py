"""Embeddings through a Hub: batches, limits, odd replies, and errors that name the fix."""

import asyncio
import struct
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import modelbay
from modelbay import Embeddings, Hub, errors, sync
from modelbay.calling.embedding_call import CONCURRENT
from modelbay.json_text import decode, encode
from modelbay.routing.retry import Policy
from modelbay.simulator import Simulator
from modelbay.simulator.config_entries import config_text
from tests.faults.raw_server import Client, RawServer
from tests.servers.llamacpp import LlamaServer
from tests.test_hub import json_answer

LONG = 60.0


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with Simulator() as simulator:
        file = tmp_path_factory.mktemp("embed") / "config.toml"
        file.write_text(config_text(simulator.url, None))
        yield file


def model_of(config: Path, protocol: str) -> str:
    return next(model.alias for model in sync.Hub.open(config).models() if model.protocol == protocol)


class Server:
    """Answers `/embeddings` with vectors that begin with the number in a text. `fails` decides about errors."""

    def __init__(self, **limits: Any) -> None:
        self.sizes: list[int] = []
        self.bodies: list[dict[str, Any]] = []
        self.now = self.most_now = 0
        self.most_texts: int | None = limits.get("most_texts")
        self.longest: int | None = limits.get("longest")
        self.failures: list[bytes] = limits.get("failures", [])
        self.reply: bytes | None = limits.get("reply")

    async def script(self, client: Client) -> None:
        while True:
            body = decode((await client.request()).body)
            self.bodies.append(body)
            self.sizes.append(len(body["input"]))
            self.now += 1
            self.most_now = max(self.most_now, self.now)
            await asyncio.sleep(0.001 * (len(self.sizes) % 3))
            self.now -= 1
            await client.send(self.answer(body))

    def answer(self, body: dict[str, Any]) -> bytes:
        texts = body["input"]
        if self.failures:
            return self.failures.pop(0)
        if self.most_texts is not None and len(texts) > self.most_texts:
            return refused(b"batch size is invalid")
        if self.longest is not None and any(len(text) > self.longest for text in texts):
            return refused(b"This model's maximum context length is 8192 tokens, however you requested 9000 tokens")
        if self.reply is not None:
            return json_answer("200 OK", self.reply)
        data = [{"index": place, "embedding": [float(text[:9].strip("x") or 0), 1]} for place, text in enumerate(texts)]
        return json_answer("200 OK", encode({"data": data, "model": "m-1", "usage": {"prompt_tokens": len(texts)}}))


def refused(message: bytes, status: str = "400 Bad Request", headers: bytes = b"") -> bytes:
    return json_answer(status, b'{"error":{"message":"%b"}}' % message, headers)


def hub_of(url: str) -> Hub:
    hub = Hub.of(base_url=f"{url}/v1", protocol="openai_chat", model="m")
    hub._client.policy = Policy(base=0.0)
    return hub


@pytest.mark.parametrize("protocol", ["openai_chat", "openai_responses", "google"])
async def test_texts_become_vectors_in_their_order(config: Path, protocol: str) -> None:
    texts = [f"text number {number}" for number in range(300)]
    async with Hub.open(config) as hub:
        model = model_of(config, protocol)
        found = await hub.embed(texts, model=model, dimensions=32)
        alone = await hub.embed(texts[271], model=model, dimensions=32)
    assert len(found.vectors) == 300
    assert {len(vector) for vector in found.vectors} == {32}
    assert alone.vectors == [found.vectors[271]]
    assert found.vectors[271] != found.vectors[270]
    assert (found.dimensions, found.provider, found.warnings) == (32, hub.model(model).provider, [])


async def test_one_text_has_one_vector(config: Path) -> None:
    async with Hub.open(config) as hub:
        found = await hub.embed("hello", model=model_of(config, "openai_chat"))
    assert [len(vector) for vector in found.vectors] == [256]
    assert repr(found).startswith("Embeddings(1 vector of 256 dimensions, model=")


def test_the_blocking_hub_and_the_module_embed_alike(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(config, "google")
    with sync.Hub.open(config) as hub:
        found = hub.embed(iter(["a", "b"]), model=model)
        monkeypatch.setattr("modelbay.default_hub.default_hub", lambda: hub)
        assert modelbay.embed(("a", "b"), model=model).vectors == found.vectors
    assert len(found.vectors) == 2


async def test_no_texts_have_no_vectors_and_send_nothing() -> None:
    server = Server()
    async with RawServer(server.script) as running, hub_of(running.url) as hub:
        found = await hub.embed([])
    assert (found.vectors, found.dimensions, server.sizes) == ([], None, [])
    assert found.usage is not None
    assert found.usage.total == 0


async def test_batches_are_as_large_as_the_provider_accepts_and_sent_together() -> None:
    server = Server()
    texts = [str(number) for number in range(3000)]
    async with RawServer(server.script) as running, hub_of(running.url) as hub:
        found = await hub.embed(texts)
    assert [vector[0] for vector in found.vectors] == list(range(3000))
    assert max(server.sizes) == 100
    assert len(server.sizes) == 30
    assert 1 < server.most_now <= CONCURRENT
    assert found.usage is not None
    assert found.usage.input == 3000
    assert found.model == "m-1"


async def test_long_texts_are_sent_in_smaller_batches() -> None:
    server = Server()
    async with RawServer(server.script) as running, hub_of(running.url) as hub:
        found = await hub.embed([f"{number:<200000}" for number in range(10)])
    assert [vector[0] for vector in found.vectors] == list(range(10))
    assert sorted(server.sizes) == [1, 3, 3, 3]


async def test_a_batch_that_is_too_large_is_divided_and_the_limit_is_remembered() -> None:
    server = Server(most_texts=32)
    texts = [str(number) for number in range(300)]
    async with RawServer(server.script) as running, hub_of(running.url) as hub:
        found = await hub.embed(texts)
        assert [vector[0] for vector in found.vectors] == list(range(300))
        server.sizes.clear()
        await hub.embed(texts)
    assert max(server.sizes) <= 32
    assert len(server.sizes) < 25


async def test_the_parts_of_a_divided_batch_are_sent_together() -> None:
    server = Server(most_texts=5)
    async with RawServer(server.script) as running, hub_of(running.url) as hub:
        found = await hub.embed([str(number) for number in range(100)])
    assert [vector[0] for vector in found.vectors] == list(range(100))
    assert server.most_now > 1


async def test_an_error_that_is_not_about_the_size_is_raised_after_one_more_request() -> None:
    server = Server(most_texts=0)
    async with RawServer(server.script) as running, hub_of(running.url) as hub:
        with pytest.raises(errors.BadRequest, match="batch size") as caught:
            await hub.embed(["a"] * 100)
    assert server.sizes == [100, 1]
    assert caught.value.hint is not None
    assert "embedding model" in caught.value.hint


async def test_the_text_that_is_too_long_is_named() -> None:
    server = Server(longest=9)
    texts = [str(number) for number in range(50)]
    texts[37] = "1" * 10
    async with RawServer(server.script) as running, hub_of(running.url) as hub:
        with pytest.raises(errors.ContextOverflow, match=r"^texts\[37\]: POST ") as caught:
            await hub.embed(texts)
    assert caught.value.operation == "embed"
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("split the text")


async def test_a_failed_batch_is_sent_again_while_the_others_wait() -> None:
    server = Server(failures=[refused(b"slow down", "429 Too Many Requests", b"retry-after-ms: 1\r\n")] * 3)
    texts = [str(number) for number in range(1000)]
    async with RawServer(server.script) as running, hub_of(running.url) as hub:
        found = await hub.embed(texts)
    assert [vector[0] for vector in found.vectors] == list(range(1000))
    assert len(server.sizes) == 10 + 3
    assert {warning.retry for warning in found.warnings} == {True}


async def test_a_call_gives_up_after_the_attempts_of_a_batch() -> None:
    server = Server(failures=[refused(b"down", "503 Service Unavailable")] * 500)
    async with RawServer(server.script) as running, hub_of(running.url) as hub:
        with pytest.raises(errors.Overloaded) as caught:
            await hub.embed([str(number) for number in range(1000)], retries=1)
        assert caught.value.attempts == 2
        assert len(server.sizes) <= 2 * CONCURRENT
        server.sizes.clear()
        with pytest.raises(errors.Overloaded):
            await hub.embed(["1"], retries=0)
    assert server.sizes == [1]


async def test_the_timeout_covers_all_batches() -> None:
    async def silent(client: Client) -> None:
        await client.request()
        await client.hangup()

    async with RawServer(silent) as running, hub_of(running.url) as hub:
        with pytest.raises(errors.TimedOut) as caught:
            await hub.embed(["a"] * 1000, timeout=0.05)
    assert caught.value.stage == "call"


async def test_a_timeout_between_two_attempts_names_the_failure_of_the_first() -> None:
    server = Server(failures=[refused(b"all busy", "503 Service Unavailable", b"retry-after: 40\r\n")] * 9)
    async with RawServer(server.script) as running, hub_of(running.url) as hub:
        with pytest.raises(errors.TimedOut) as caught:
            await hub.embed(["a"], timeout=2)
    assert caught.value.message.startswith("the call took longer than 2 s: all busy: retrying in 40")


# --- a real server


def llama_config(folder: Path, url: str) -> Path:
    file = folder / "config.toml"
    file.write_text(f'[providers.llama]\ntype = "openai"\ndialect = "llamacpp"\nbase_url = "{url}"\n')
    return file


async def test_a_real_server_makes_embeddings(llamacpp_embedding: LlamaServer, tmp_path: Path) -> None:
    async with Hub.open(llama_config(tmp_path, llamacpp_embedding.openai)) as hub:
        found = await hub.embed(["The sky", "is blue"] * 100, model="llama/tiny")
        assert {len(vector) for vector in found.vectors} == {found.dimensions}
        assert found.model == "tiny"
        assert found.usage is not None
        assert found.usage.total > 200
        with pytest.raises(errors.ContextOverflow, match=r"texts\[1\]: .* too large to process") as caught:
            await hub.embed(["The sky", "a " * 5000], model="llama/tiny")
        assert (caught.value.limit, caught.value.attempts) == (512, 1)
        with pytest.raises(errors.Unsupported, match="instead of 2"):
            await hub.embed("The sky", model="llama/tiny", dimensions=2)


async def test_a_real_chat_server_refuses_embeddings(llamacpp: LlamaServer, tmp_path: Path) -> None:
    async with Hub.open(llama_config(tmp_path, llamacpp.openai)) as hub:
        with pytest.raises(errors.BadRequest, match="does not support embeddings") as caught:
            await hub.embed("The sky", model="llama/tiny")
        assert (caught.value.status, caught.value.attempts) == (501, 1)


# --- settings


async def test_settings_and_own_fields_are_sent() -> None:
    server = Server()
    async with RawServer(server.script) as running, hub_of(running.url) as hub:
        found = await hub.embed(
            ["1"], dimensions=2, user="u", input_type="query", extra_body={"truncate": "NONE"}, timeout=LONG
        )
    assert server.bodies == [{"model": "m", "input": ["1"], "dimensions": 2, "user": "u", "truncate": "NONE"}]
    assert [warning.setting for warning in found.warnings] == ["input_type"]


async def test_headers_of_the_call_are_sent() -> None:
    seen: list[str | None] = []
    server = Server()

    async def script(client: Client) -> None:
        received = await client.request()
        seen.append(received.headers.get("x-team"))
        await client.send(server.answer(decode(received.body)))

    async with RawServer(script) as running, hub_of(running.url) as hub:
        await hub.embed("1", extra_headers={"X-Team": "blue"})
    assert seen == ["blue"]


async def test_a_vendor_gets_its_own_names_of_settings(tmp_path: Path) -> None:
    server = Server()
    file = tmp_path / "config.toml"
    async with RawServer(server.script) as running:
        file.write_text(f"""
            [providers.v]
            type = "openai"
            base_url = "{running.url}/v1"
            [providers.v.dialect]
            embedding_texts = 3
            dimensions_parameter = "output_dimension"
            input_type_parameter = "task"
            input_types = {{ query = "retrieval.query" }}
            base64_vectors = true
            [models.v]
            provider = "v"
            model = "e"
            max_context_size = 1000
        """)
        async with Hub.open(file) as hub:
            found = await hub.embed(["1"] * 4, model="v", dimensions=2, input_type="query")
            await hub.embed("1", model="v", input_type="text-matching")
    assert sorted(server.sizes) == [1, 1, 3]
    assert found.warnings == []
    assert {key: value for key, value in server.bodies[0].items() if key != "input"} == {
        "model": "e",
        "encoding_format": "base64",
        "output_dimension": 2,
        "task": "retrieval.query",
    }
    assert server.bodies[-1]["task"] == "text-matching"


@pytest.mark.parametrize(
    ("texts", "settings", "kind", "match"),
    [
        ("", {}, ValueError, r"texts\[0\] is empty"),
        (["a", ""], {}, ValueError, r"texts\[1\] is empty"),
        (["a", 2], {}, TypeError, r"texts\[1\] must be a string, not int"),
        (b"bytes", {}, TypeError, "texts must be"),
        (5, {}, TypeError, "texts must be"),
        ("a", {"dimension": 3}, TypeError, 'did you mean "dimensions"'),
        ("a", {"temperature": 3}, TypeError, "is not a setting of embeddings"),
        ("a", {"dimensions": 0}, ValueError, "dimensions"),
        ("a", {"dimensions": "3"}, TypeError, "dimensions"),
        ("a", {"timeout": 0}, ValueError, "timeout"),
        ("a", {"model": ["x", "y"]}, TypeError, "model must be"),
    ],
)
async def test_a_wrong_argument_is_an_error_before_anything_is_sent(
    texts: Any, settings: dict[str, Any], kind: type[Exception], match: str
) -> None:
    server = Server()
    async with RawServer(server.script) as running, hub_of(running.url) as hub:
        with pytest.raises(kind, match=match):
            await hub.embed(texts, **settings)
    assert server.sizes == []


# --- replies


def floats(*numbers: float) -> str:
    return b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


async def embedded(reply: Any, texts: list[str], **settings: Any) -> Embeddings:
    server = Server(reply=reply if isinstance(reply, bytes) else encode(reply))
    async with RawServer(server.script) as running, hub_of(running.url) as hub:
        return await hub.embed(texts, retries=0, **settings)


async def test_vectors_are_ordered_by_their_index() -> None:
    found = await embedded({"data": [{"index": 1, "embedding": [1]}, {"index": 0, "embedding": [0]}]}, ["a", "b"])
    assert found.vectors == [[0], [1]]
    assert (found.usage, found.cost) == (None, None)


async def test_vectors_without_an_index_are_in_their_order() -> None:
    found = await embedded({"data": [{"embedding": [1]}, {"index": 1, "embedding": [0.5]}]}, ["a", "b"])
    assert found.vectors == [[1], [0.5]]


async def test_numbers_in_base64_are_read_whether_asked_for_or_not() -> None:
    assert (await embedded({"data": [{"embedding": floats(0.5, -2)}]}, ["a"])).vectors == [[0.5, -2.0]]


@pytest.mark.parametrize(
    ("reply", "match"),
    [
        ({"data": [{"embedding": [1]}]}, "1 vectors for 2 texts"),
        ({"data": [{"embedding": [1]}] * 3}, "3 vectors for 2 texts"),
        ({"data": [{"index": 1, "embedding": [1]}, {"index": 1, "embedding": [1]}]}, "same number"),
        ({"data": [{"embedding": [1]}, {"embedding": []}]}, "vector 1 of the reply is empty"),
        ({"data": [{"embedding": [1]}, {"embedding": [[1]]}]}, "does not have embeddings"),
        ({"data": [{"embedding": [1]}, {"embedding": [None]}]}, "does not have embeddings"),
        (b'{"data":[{"embedding":[NaN]},{"embedding":[1]}]}', "does not have embeddings"),
        ({"data": [{"embedding": floats(1)}, {"embedding": floats(float("nan"))}]}, "vector 1 .* not numbers"),
        ({"data": [{"embedding": floats(1)}, {"embedding": floats(float("inf"))}]}, "vector 1 .* infinite"),
        ({"data": [{"embedding": "AAAA"}, {"embedding": floats(1)}]}, "not Base64"),
        ({"data": [{"embedding": "?"}, {"embedding": floats(1)}]}, "not Base64"),
        ({"data": [{"embedding": [1, 2]}, {"embedding": [1]}]}, "1 dimensions instead of 2"),
        ({"choices": []}, "does not have embeddings"),
        (b"[]", "does not have embeddings"),
        (b"{", "not JSON|truncated|malformed"),
    ],
)
async def test_a_reply_that_is_not_one_vector_per_text_is_an_error(reply: Any, match: str) -> None:
    with pytest.raises(errors.MalformedReply, match=match) as caught:
        await embedded(reply, ["a", "b"])
    assert caught.value.operation == "embed"


async def test_vectors_of_another_length_than_asked_for_are_an_error() -> None:
    with pytest.raises(errors.Unsupported, match="2 dimensions instead of 3") as caught:
        await embedded({"data": [{"embedding": [1, 2]}]}, ["a"], dimensions=3)
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("remove `dimensions`")


async def test_an_error_in_a_successful_response_is_raised() -> None:
    with pytest.raises(errors.ProviderError, match="no such engine"):
        await embedded({"error": {"message": "no such engine"}}, ["a"])


async def test_a_web_page_is_an_error_about_the_url() -> None:
    page = b"<html><title>Welcome</title></html>"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(page)
    server = Server(failures=[head + page])
    async with RawServer(server.script) as running, hub_of(running.url) as hub:
        with pytest.raises(errors.MalformedReply, match="an HTML page") as caught:
            await hub.embed("a")
    assert caught.value.hint is not None
    assert "base_url" in caught.value.hint


# --- models


async def test_a_chat_model_is_refused_with_advice() -> None:
    server = Server(failures=[refused(b"This model does not support embeddings", "404 Not Found")])
    async with RawServer(server.script) as running, hub_of(running.url) as hub:
        with pytest.raises(errors.NotFound) as caught:
            await hub.embed("a")
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("use an embedding model")


async def test_a_protocol_without_embeddings_is_refused_and_models_that_have_them_are_named(config: Path) -> None:
    model = model_of(config, "anthropic")
    async with Hub.open(config) as hub:
        with pytest.raises(
            errors.Unsupported, match="does not make embeddings: the protocol anthropic has none"
        ) as caught:
            await hub.embed("a", model=model)
        assert caught.value.hint is not None
        assert caught.value.hint.startswith("use an embedding model, as PROVIDER/MODEL_ID, of one of these providers: ")
        assert "sim-google" in caught.value.hint
    more = config.with_name("more.toml")
    entry = 'provider = "sim-chat"\nmodel = "text-embedding-3-small"\nmax_context_size = 8192'
    more.write_text(f"{config.read_text()}\n[models.small]\n{entry}\n")
    async with Hub.open(more) as hub:
        with pytest.raises(errors.Unsupported) as caught:
            await hub.embed("a", model=model)
        assert hub.embedding_models() == ["small"]
    assert caught.value.hint == "use an embedding model, such as small"


async def test_a_hub_without_another_provider_names_none() -> None:
    async with Hub.of("anthropic", api_key="k") as hub:
        with pytest.raises(errors.Unsupported) as caught:
            await hub.embed("a", model="claude-sonnet-4-6")
    assert caught.value.hint == "use an embedding model of a provider with another protocol"


async def test_a_price_for_input_is_enough_for_the_cost(tmp_path: Path) -> None:
    server = Server()
    file = tmp_path / "config.toml"
    async with RawServer(server.script) as running:
        file.write_text(f"""
            [providers.v]
            type = "openai"
            base_url = "{running.url}/v1"
            [models.v]
            provider = "v"
            model = "e"
            max_context_size = 1000
            cost = {{ input = 0.2 }}
        """)
        async with Hub.open(file) as hub:
            found = await hub.embed(["1"] * 5000, model="v")
    assert found.cost == pytest.approx(0.001)
