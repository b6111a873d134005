"""Changed, moved or missing reasoning state gets the same error as at the real provider."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from modelbay.simulator import Simulator
from tests.servers.wire import Answer, call
from tests.simulator.conftest import KEY

Body = dict[str, Any]
VERSION: Any = {"anthropic_version": "2023-06-01"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


class Anthropic:
    """Two steps of a tool loop with thinking, in Anthropic's format."""

    path = "/v1/messages"

    def body(self) -> Body:
        return {
            "model": "sim-1",
            "max_tokens": 4096,
            "thinking": {"type": "enabled", "budget_tokens": 2048},
            "tools": [{"name": "get_weather", "input_schema": SCHEMA}],
            "messages": [{"role": "user", "content": "Find the weather in Paris and Rome in 2 steps"}],
        }

    def step(self, body: Body, reply: Body) -> None:
        calls = [block for block in reply["content"] if block["type"] == "tool_use"]
        results = [{"type": "tool_result", "tool_use_id": block["id"], "content": "18"} for block in calls]
        body["messages"].append({"role": "assistant", "content": reply["content"]})
        body["messages"].append({"role": "user", "content": results})


class Responses:
    path = "/v1/responses"

    def body(self) -> Body:
        return {
            "model": "sim-thinker",
            "store": False,
            "include": ["reasoning.encrypted_content"],
            "reasoning": {"summary": "auto"},
            "tools": [{"type": "function", "name": "get_weather", "parameters": SCHEMA}],
            "input": [{"role": "user", "content": "Find the weather in Paris and Rome in 2 steps"}],
        }

    def step(self, body: Body, reply: Body) -> None:
        body["input"] += reply["output"]
        for item in reply["output"]:
            if item["type"] == "function_call":
                output = {"type": "function_call_output", "call_id": item["call_id"], "output": "18"}
                body["input"].append(output)


class Google:
    path = "/v1beta/models/sim-thinker:generateContent"

    def body(self) -> Body:
        return {
            "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
            "tools": [{"functionDeclarations": [{"name": "get_weather", "parameters": SCHEMA}]}],
            "contents": [{"role": "user", "parts": [{"text": "Find the weather in Paris and Rome in 2 steps"}]}],
        }

    def step(self, body: Body, reply: Body) -> None:
        content = reply["candidates"][0]["content"]
        calls = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
        body["contents"].append(content)
        results = [{"functionResponse": {"name": called["name"], "response": {"output": "18"}}} for called in calls]
        body["contents"].append({"role": "user", "parts": results})


def post(sim: Simulator, wire: Any, body: Body) -> Answer:
    return call(sim.url + wire.path, body, authorization=f"Bearer {KEY}", **VERSION)


def after(sim: Simulator, wire: Any, steps: int) -> Body:
    """The request body after a number of steps."""
    body: Body = wire.body()
    for _ in range(steps):
        answer = post(sim, wire, body)
        assert answer.status == 200, answer.json
        wire.step(body, answer.json)
    return body


@pytest.mark.parametrize("wire", [Anthropic(), Responses(), Google()], ids=lambda wire: type(wire).__name__)
def test_unchanged_state_is_accepted(sim: Simulator, wire: Any):
    answer = post(sim, wire, after(sim, wire, 2))
    assert answer.status == 200
    assert "The tool get_weather answered: 18." in answer.body.decode()


@pytest.mark.parametrize("wire", [Anthropic(), Responses(), Google()], ids=lambda wire: type(wire).__name__)
def test_another_providers_state_is_refused(sim: Simulator, wire: Any):
    with Simulator(key=KEY, secret=b"another provider") as other:
        assert post(sim, wire, after(other, wire, 1)).status == 400


# --- Anthropic: messages[1] and [3] are the model's, each a thinking block and a tool_use block ------------------------


def _thinking(body: Body, message: int = 1) -> Body:
    block: Body = body["messages"][message]["content"][0]
    return block


def _change_signature(body: Body) -> None:
    block = _thinking(body)
    block["signature"] = (
        block["signature"][:10] + ("A" if block["signature"][10] != "A" else "B") + block["signature"][11:]
    )


def _change_text(body: Body) -> None:
    _thinking(body)["thinking"] += " And so on."


def _empty_signature(body: Body) -> None:
    _thinking(body)["signature"] = ""


def _omit_signature(body: Body) -> None:
    del _thinking(body)["signature"]


def _swap_thinking(body: Body) -> None:
    first, second = body["messages"][1]["content"], body["messages"][3]["content"]
    first[0], second[0] = second[0], first[0]


def _move_behind_call(body: Body) -> None:
    body["messages"][1]["content"].reverse()


def _change_history(body: Body) -> None:
    body["messages"][0]["content"] = "Another question"


def _put_into_an_envelope(body: Body) -> None:
    _thinking(body)["signature"] = "modelbay1.anthropic.somebody.claude.eyJraW5kIjoidGhpbmtpbmcifQ"


def _drop_from_last(body: Body) -> None:
    del body["messages"][3]["content"][0]


INVALID = "messages.1.content.0: Invalid `signature` in `thinking` block"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_change_signature, INVALID),
        (_change_text, INVALID),
        (_empty_signature, INVALID),
        (_omit_signature, "messages.1.content.0.thinking.signature: Field required"),
        (_swap_thinking, INVALID),
        (_move_behind_call, "messages.1.content.1: Invalid `signature` in `thinking` block"),
        (_change_history, INVALID),
        (_put_into_an_envelope, INVALID),
        (
            _drop_from_last,
            "messages.3.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`. "
            "When `thinking` is enabled, a final `assistant` message must start with a thinking block",
        ),
    ],
)
def test_anthropic_refuses_thinking_that_is_not_as_it_was(sim: Simulator, damage: Callable[[Body], None], message: str):
    body = after(sim, Anthropic(), 2)
    damage(body)
    answer = post(sim, Anthropic(), body)
    assert answer.status == 400
    assert answer.json["type"] == "error"
    assert answer.json["error"]["type"] == "invalid_request_error"
    assert answer.json["error"]["message"].startswith(message)


def test_anthropic_takes_older_thinking_left_out(sim: Simulator):
    body = after(sim, Anthropic(), 2)
    del body["messages"][1]["content"][0]
    assert post(sim, Anthropic(), body).status == 200


def test_anthropic_misses_thinking_of_an_adaptive_model_only_if_there_was_any(sim: Simulator):
    body = after(sim, Anthropic(), 1)
    body["thinking"] = {"type": "adaptive"}
    body["messages"][1]["content"] = body["messages"][1]["content"][1:]
    assert "Expected `thinking`" in post(sim, Anthropic(), body).json["error"]["message"]
    for message, block in ((1, "id"), (2, "tool_use_id")):
        body["messages"][message]["content"][0][block] = "toolu_of_another_model"
    assert post(sim, Anthropic(), body).status == 200


def test_anthropic_needs_no_thinking_where_it_is_off(sim: Simulator):
    body = after(sim, Anthropic(), 1)
    body["messages"][1]["content"] = body["messages"][1]["content"][1:]
    del body["thinking"]
    assert post(sim, Anthropic(), body).status == 200


def test_parts_that_clients_may_change_are_not_signed(sim: Simulator):
    body = after(sim, Anthropic(), 2)
    text = body["messages"][0]["content"]
    body["messages"][0]["content"] = [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]
    body["system"] = "Another system prompt"
    body["messages"][2]["content"][0]["content"] = [{"type": "text", "text": "18 "}]
    body["messages"][1]["content"][-1]["input"]["replace_all"] = False
    for message, field in ((1, "id"), (2, "tool_use_id")):
        block = body["messages"][message]["content"][-1]
        block[field] = block[field].replace("toolu_", "call_")
    assert post(sim, Anthropic(), body).status == 200


# --- Responses: input[1] is the reasoning of the call input[2] ---------------------------------------------------------


def _drop_reasoning(body: Body) -> None:
    del body["input"][1]


def _drop_content(body: Body) -> None:
    del body["input"][1]["encrypted_content"]


def _change_content(body: Body) -> None:
    body["input"][1]["encrypted_content"] = "c2ltMQ"


def _swap_content(body: Body) -> None:
    first, second = body["input"][1], body["input"][4]
    first["encrypted_content"], second["encrypted_content"] = second["encrypted_content"], first["encrypted_content"]


@pytest.mark.parametrize(
    ("damage", "status", "code", "message"),
    [
        (
            _drop_reasoning,
            400,
            None,
            "of type 'function_call' was provided without its required 'reasoning' item: 'rs_",
        ),
        (_drop_content, 404, None, "not found. Items are not persisted when `store` is set to false."),
        (
            _change_content,
            400,
            "invalid_encrypted_content",
            "could not be verified. Reason: Encrypted content could not be",
        ),
        (_swap_content, 400, "invalid_encrypted_content", "could not be verified"),
    ],
)
def test_openai_refuses_reasoning_that_is_not_as_it_was(
    sim: Simulator, damage: Callable[[Body], None], status: int, code: str | None, message: str
):
    body = after(sim, Responses(), 2)
    assert [item.get("type") for item in body["input"][1:]] == [
        "reasoning",
        "function_call",
        "function_call_output",
    ] * 2
    damage(body)
    answer = post(sim, Responses(), body)
    assert (answer.status, answer.json["error"]["code"]) == (status, code)
    assert message in answer.json["error"]["message"]


# --- Gemini: contents[1] and [3] are the model's, each a thought and a call --------------------------------------------


def _call(body: Body, content: int) -> Body:
    return next(part for part in body["contents"][content]["parts"] if "functionCall" in part)


def _drop_call_signature(body: Body) -> None:
    del _call(body, 3)["thoughtSignature"]


def _change_call_signature(body: Body) -> None:
    _call(body, 3)["thoughtSignature"] = "c2ltMQ=="


def _swap_call_signatures(body: Body) -> None:
    first, second = _call(body, 1), _call(body, 3)
    first["thoughtSignature"], second["thoughtSignature"] = second["thoughtSignature"], first["thoughtSignature"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_drop_call_signature, "Function call is missing a thought_signature in functionCall parts."),
        (_change_call_signature, "Corrupted thought signature."),
        (_swap_call_signatures, "Corrupted thought signature."),
    ],
)
def test_google_refuses_signatures_that_are_not_as_they_were(
    sim: Simulator, damage: Callable[[Body], None], message: str
):
    body = after(sim, Google(), 2)
    damage(body)
    answer = post(sim, Google(), body)
    assert (answer.status, answer.json["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert answer.json["error"]["message"].startswith(message)


def test_google_accepts_arguments_to_which_an_agent_added_defaults(sim: Simulator):
    body = after(sim, Google(), 2)
    _call(body, 1)["functionCall"]["args"]["replace_all"] = False
    assert post(sim, Google(), body).status == 200


def test_google_needs_no_signatures_of_turns_that_are_over(sim: Simulator):
    body = after(sim, Google(), 2)
    for content in (1, 3):
        del _call(body, content)["thoughtSignature"]
    body["contents"] += [{"role": "model", "parts": [{"text": "18"}]}, {"role": "user", "parts": [{"text": "Thanks"}]}]
    assert post(sim, Google(), body).status == 200


def test_google_takes_signatures_in_either_alphabet(sim: Simulator):
    body = after(sim, Google(), 2)
    for content in (1, 3):
        part = _call(body, content)
        part["thoughtSignature"] = part["thoughtSignature"].replace("+", "-").replace("/", "_").rstrip("=")
    assert post(sim, Google(), body).status == 200


# --- Chat Completions: no signatures, but one vendor's rule ------------------------------------------------------------


def test_missing_reasoning_is_refused_by_a_model_that_requires_it(sim: Simulator):
    body: Body = {
        "model": "sim-echo",
        "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
        "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}],
    }
    url = f"{sim.url}/v1/chat/completions"
    message = call(url, body, authorization=f"Bearer {KEY}").json["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "18"}
    kept = copy.deepcopy(message)
    del message["reasoning_content"]
    body["messages"] += [message, result]
    answer = call(url, body, authorization=f"Bearer {KEY}")
    assert answer.status == 400
    assert "reasoning_content is missing in assistant tool call message at index 1" in answer.json["error"]["message"]
    body["messages"][1] = kept
    assert call(url, body, authorization=f"Bearer {KEY}").status == 200
