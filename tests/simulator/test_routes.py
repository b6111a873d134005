"""Paths, accepted keys, and the protocol of each response."""

from typing import Any

import pytest
from anthropic import Anthropic
from google import genai
from google.genai import types
from openai import OpenAI

from modelbay.simulator import Simulator
from modelbay.simulator.simulated_models import SimulatedModels
from tests.servers.wire import call
from tests.simulator.conftest import KEY
from tests.simulator.protocols import BY_NAME, WireProtocol

VERTEX = "/v1/projects/p/locations/global/publishers"
PLACES = [
    ("openai_chat", "/v1/chat/completions"),
    ("openai_chat", "/chat/completions"),
    ("openai_chat", "/openai/v1/chat/completions"),
    ("openai_chat", "/openai/deployments/sim-1/chat/completions?api-version=2026-01-01"),
    ("openai_responses", "/v1/responses"),
    ("openai_responses", "/responses"),
    ("openai_responses", "/openai/v1/responses"),
    ("openai_responses", "/openai/responses?api-version=2026-01-01-preview"),
    ("anthropic", "/v1/messages"),
    ("anthropic", "/v1/messages?beta=true"),
    ("anthropic", "/messages"),
    ("anthropic", f"{VERTEX}/anthropic/models/sim-1:rawPredict"),
    ("google", "/v1beta/models/sim-1:generateContent"),
    ("google", "/v1/models/sim-1:generateContent"),
    ("google", f"{VERTEX}/google/models/sim-1:generateContent"),
    ("google", "/v1beta1/publishers/google/models/sim-1:generateContent"),
]
STREAMING_PLACES = [
    f"{VERTEX}/anthropic/models/sim-1:streamRawPredict",
    f"{VERTEX}/google/models/sim-1:streamGenerateContent?alt=sse",
]


def _any(headers: dict[str, str]) -> Any:
    return headers


@pytest.mark.parametrize(("protocol", "path"), PLACES, ids=[path for _, path in PLACES])
def test_a_protocol_is_served_at_each_of_its_paths(sim: Simulator, protocol: str, path: str):
    wire = BY_NAME[protocol]
    body, headers = wire.body("sim-1", "Say hello", False), wire.headers
    if "/publishers/anthropic/" in path:
        del body["model"]
        body["anthropic_version"], headers = "vertex-2023-10-16", {}
    answer = call(sim.url + path, body, authorization=f"Bearer {KEY}", **_any(headers))
    assert answer.status == 200, answer.body
    assert "Say hello" in wire.text(answer)
    assert (sim.journal.last.protocol, sim.journal.last.model) == (protocol, "sim-1")


def test_official_sdks_work_with_the_base_urls_of_other_gateways(sim: Simulator):
    messages: Any = [{"role": "user", "content": "Hi"}]
    for mount in ("/openai", "/openai/v1", "/genai/v1"):
        with OpenAI(base_url=f"{sim.url}{mount}", api_key=KEY, max_retries=0) as openai:
            assert openai.chat.completions.create(model="sim-1", messages=messages).choices
    for mount in ("", "/anthropic"):
        with Anthropic(base_url=f"{sim.url}{mount}", api_key=KEY, max_retries=0) as anthropic:
            assert anthropic.messages.create(model="sim-1", max_tokens=50, messages=messages).content
            assert anthropic.models.list().data[0].id == "sim-1"
    for mount in ("", "/gemini", "/genai"):
        gemini = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=f"{sim.url}{mount}"))
        assert gemini.models.generate_content(model="sim-1", contents="Hi").text
        assert next(iter(gemini.models.list())).name == "models/sim-1"


@pytest.mark.parametrize("path", ["/v1/models/acme/sim", "/v1/models/acme%2Fsim", "/v1beta/models/acme/sim"])
def test_an_id_of_a_model_may_contain_slashes(path: str):
    with Simulator(aliases={"acme/sim": "sim-1"}) as sim:
        found = call(sim.url + path).json
        assert found.get("id", found.get("name")) in ("acme/sim", "models/acme/sim")
        gemini = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=sim.url))
        assert gemini.models.generate_content(model="acme/sim", contents="Hi").text


def test_a_deployment_requires_the_version_of_its_api(sim: Simulator):
    body = BY_NAME["openai_chat"].body("sim-1", "Hi", False)
    answer = call(f"{sim.url}/openai/deployments/sim-1/chat/completions", body, authorization=f"Bearer {KEY}")
    assert (answer.status, answer.json["error"]["message"]) == (404, "Resource not found")


@pytest.mark.parametrize("path", STREAMING_PLACES)
def test_a_path_can_ask_for_a_stream(sim: Simulator, path: str):
    protocol = BY_NAME["anthropic" if "anthropic" in path else "google"]
    body = protocol.body("", "Say hello", True)
    for field in ("model", "stream"):
        body.pop(field, None)
    if "/publishers/anthropic/" in path:
        body["anthropic_version"] = "vertex-2023-10-16"
    answer = call(sim.url + path, body, authorization=f"Bearer {KEY}")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "Say hello" in protocol.text(answer)


@pytest.mark.parametrize("header", ["authorization", "x_api_key", "api_key", "x_goog_api_key"])
def test_a_key_is_taken_from_every_header(sim: Simulator, protocol: WireProtocol, header: str):
    given = f"Bearer {KEY}" if header == "authorization" else KEY
    assert protocol.ask(sim.url, "Hi", **_any({header: given})).status == 200
    assert protocol.ask(sim.url, "Hi", **_any({header: given + "x"})).status == 401


def test_a_key_is_taken_from_the_query(sim: Simulator):
    assert call(f"{sim.url}/v1beta/models?key={KEY}").status == 200
    assert KEY not in sim.journal.last.target


def test_a_missing_key_is_told_in_the_words_of_the_protocol(sim: Simulator, protocol: WireProtocol):
    answer = protocol.ask(sim.url, "Hi")
    assert answer.status == 401
    assert protocol.error(answer.json)
    assert any(name in answer.headers for name in ("x-request-id", "request-id", "x-goog-request-id"))


def test_no_key_is_needed_where_none_is_set(protocol: WireProtocol):
    with Simulator() as sim:
        assert protocol.ask(sim.url, "Hi").status == 200


def test_an_unknown_model_is_a_404_in_the_words_of_the_protocol(sim: Simulator, protocol: WireProtocol):
    answer = protocol.ask(sim.url, "Hi", "sim-0", authorization=f"Bearer {KEY}")
    assert answer.status == 404
    assert "sim-0" in protocol.error(answer.json)


@pytest.mark.parametrize(
    ("path", "headers", "shape"),
    [
        ("/v1/nothing", {}, {"error": {"type": "invalid_request_error"}}),
        ("/v1/nothing", {"anthropic_version": "2023-06-01"}, {"type": "error", "error": {"type": "not_found_error"}}),
        ("/v1beta/nothing", {}, {"error": {"code": 404, "status": "NOT_FOUND"}}),
        ("/v1/nothing", {"x_goog_api_key": "k"}, {"error": {"code": 404, "status": "NOT_FOUND"}}),
    ],
)
def test_an_unknown_path_is_a_404_in_the_callers_words(sim: Simulator, path: str, headers: dict[str, str], shape: Any):
    answer = call(sim.url + path, **_any(headers))
    assert answer.status == 404
    for name, value in shape.items():
        found = answer.json[name]
        assert found == value or value.items() <= found.items()


def test_a_wrong_method_is_told(sim: Simulator, protocol: WireProtocol):
    answer = call(sim.url + protocol.path("sim-1", False), method="PUT", authorization=f"Bearer {KEY}")
    assert answer.status == 405


def test_a_websocket_is_turned_down_so_that_clients_fall_back_at_once(sim: Simulator):
    headers: Any = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec_websocket_version": "13",
        "sec_websocket_key": "x",
    }
    assert call(f"{sim.url}/v1/responses", **headers).status == 426


def test_models_are_listed_in_the_form_of_the_caller(sim: Simulator):
    key: Any = {"authorization": f"Bearer {KEY}"}
    openai = call(f"{sim.url}/v1/models", **key).json
    anthropic = call(f"{sim.url}/v1/models", anthropic_version="2023-06-01", **key).json
    google = call(f"{sim.url}/v1beta/models", **key).json
    assert google == call(f"{sim.url}/v1/models", x_goog_api_key=KEY).json
    ids = list(SimulatedModels().by_id)
    assert [model["id"] for model in openai["data"]] == ids
    assert [model["id"] for model in anthropic["data"]] == ids
    assert [model["name"] for model in google["models"]] == [f"models/{id}" for id in ids]
    assert (anthropic["has_more"], anthropic["first_id"]) == (False, "sim-1")


def test_a_list_has_the_facts_of_a_model(sim: Simulator):
    listed = {model["id"]: model for model in call(f"{sim.url}/v1/models", authorization=f"Bearer {KEY}").json["data"]}
    thinker = listed["sim-thinker"]
    assert thinker["context_length"] == 400_000
    assert thinker["pricing"]["prompt"] == "0.000003"
    assert "reasoning" in thinker["supported_parameters"]
    assert "video" in listed["sim-vision"]["architecture"]["input_modalities"]
    assert "tools" not in listed["sim-text"]["supported_parameters"]


def test_models_can_go_by_other_names(protocol: WireProtocol):
    with Simulator(aliases={"claude-sonnet-4-5": "sim-thinker"}) as sim:
        answer = protocol.ask(sim.url, "Hi", "claude-sonnet-4-5")
        assert answer.status == 200
        assert "I am claude-sonnet-4-5" in protocol.text(answer)
        assert "claude-sonnet-4-5" in call(f"{sim.url}/v1/models").body.decode()


@pytest.mark.parametrize(
    ("path", "body", "count"),
    [
        (
            "/v1/messages/count_tokens",
            {"model": "sim-1", "messages": [{"role": "user", "content": "Hello there"}]},
            "input_tokens",
        ),
        ("/v1/responses/input_tokens", {"model": "sim-1", "input": "Hello there"}, "input_tokens"),
        ("/v1beta/models/sim-1:countTokens", {"contents": [{"parts": [{"text": "Hello there"}]}]}, "totalTokens"),
        (
            f"{VERTEX}/anthropic/models/count-tokens:rawPredict",
            {"model": "sim-1", "messages": [{"role": "user", "content": "Hello there"}]},
            "input_tokens",
        ),
        (
            "/v1beta/models/sim-1:countTokens",
            {"generateContentRequest": {"model": "models/sim-1", "contents": [{"parts": [{"text": "Hello there"}]}]}},
            "totalTokens",
        ),
    ],
)
def test_tokens_are_counted(sim: Simulator, path: str, body: Any, count: str):
    assert call(sim.url + path, body, authorization=f"Bearer {KEY}").json[count] == 4


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (
            "/v1/messages/count_tokens",
            {"model": "sim-1", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello there"}]},
        ),
        ("/v1/responses/input_tokens", {"model": "sim-1", "input": "Hello there", "max_output_tokens": 9}),
        (
            "/v1beta/models/sim-1:countTokens",
            {"contents": [{"parts": [{"text": "Hello there"}]}], "systemInstruction": {"parts": [{"text": "Hello"}]}},
        ),
    ],
)
def test_a_count_refuses_fields_that_only_replies_have(sim: Simulator, path: str, body: Any):
    assert call(sim.url + path, body, authorization=f"Bearer {KEY}").status == 400
