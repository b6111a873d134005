"""Claude Code's contract with a gateway: what it sends, over providers of all protocols. The bodies are in its form."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from modelbay.conversation import Provenance, Thinking
from modelbay.protocols.opaque import seal
from modelbay.simulator import Simulator
from tests.faults.calls import answers
from tests.faults.raw_server import Client, RawServer, Received, Script
from tests.faults.raw_server import reply as raw_reply
from tests.gateway.running import PROTOCOLS, RunningGateway, config_text, running
from tests.gateway.test_app import call
from tests.gateway.test_client_login import MESSAGE, provider

Running = tuple[RunningGateway, Simulator]
OTHERS = [protocol for protocol in PROTOCOLS if protocol != "anthropic"]
BILLING = "x-anthropic-billing-header: cc_version=2.1.332.5d6; cc_entrypoint=cli;"
EPHEMERAL = {"type": "ephemeral"}
BETAS = "claude-code-20250219,context-management-2025-06-27,effort-2025-11-24,dangerous-tool-use-2026-09-03,future-2027-01-01"
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}}


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "description": f"Use {name}.", "input_schema": SCHEMA, **more}


def body(model: str, *turns: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A request as Claude Code sends it: `turns` follow the first message of the user and the system message after it."""
    return {
        "model": model,
        "max_tokens": 32000,
        "stream": True,
        "system": [
            {"type": "text", "text": BILLING},
            {"type": "text", "text": "You are Claude Code.", "cache_control": EPHEMERAL},
            {"type": "text", "text": "Work with the user.", "cache_control": EPHEMERAL | {"scope": "global"}},
        ],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hello there"}]},
            {"role": "system", "content": [{"type": "text", "text": "# Environment", "cache_control": EPHEMERAL}]},
            *turns,
        ],
        "tools": [
            tool("Agent"),
            tool("ToolSearch"),
            tool("WebFetch", defer_loading=True),
            tool("Held", defer_loading=True),
        ],
        "metadata": {"user_id": json.dumps({"device_id": "d" * 64, "account_uuid": "", "session_id": "s"})},
        "thinking": {"type": "adaptive", "display": "updates"},
        "output_config": {"effort": "high"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "safeguards": [{"type": "dangerous_tool_use", "classifier_context": {"v": 1}}],
        "field_of_the_future": {"a": 1},
        **more,
    }


def plain(model: str) -> dict[str, Any]:
    """A request without fields that some provider does not have."""
    return {"model": model, "max_tokens": 1000, "messages": [{"role": "user", "content": "Hello there"}]}


SEARCH = (
    {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "ToolSearch", "input": {}}]},
    {
        "role": "user",
        "content": [
            {
                "type": "tool_result",
                "tool_use_id": "toolu_1",
                "content": [{"type": "tool_reference", "tool_name": "WebFetch"}],
            }
        ],
    },
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("gateway"), key="sk-provider") as found:
        yield found


async def ask(gateway: Running, sent: dict[str, Any], **headers: str) -> tuple[dict[str, str], dict[str, Any]]:
    """The headers of the response, and the body that the provider received."""
    usual = {"anthropic-version": "2023-06-01", "anthropic-beta": BETAS}
    status, fields, data = await call(gateway[0].url, "/v1/messages?beta=true", sent, **(usual | headers))
    assert status == 200, data
    return fields, json.loads(gateway[1].journal.last.body)


async def passed(folder: Path, sent: dict[str, Any]) -> tuple[dict[str, str], Received]:
    """The headers of the response, and the request at a provider that accepts everything."""
    async with RawServer(provider) as upstream:
        (folder / "config.toml").write_text(config_text(upstream.url))
        with RunningGateway(folder / "config.toml") as at:
            usual = {"anthropic-version": "2023-06-01", "anthropic-beta": BETAS}
            status, fields, data = await call(at.url, "/v1/messages?beta=true", sent, **usual)
        assert status == 200, data
        return fields, upstream.requests[-1]


def dropped(headers: dict[str, str]) -> set[str]:
    return set(filter(None, headers.get("x-modelbay-dropped", "").split(", ")))


async def test_its_own_protocol_passes_unchanged(tmp_path: Path) -> None:
    """Also unknown previews and fields, the system array, and the tools that are held back."""
    sent = body("anthropic", *SEARCH)
    headers, received = await passed(tmp_path, sent)
    assert json.loads(received.body) == sent | {"model": "sim-1"}
    assert received.headers["anthropic-beta"] == BETAS
    assert dropped(headers) == set()


@pytest.mark.parametrize("protocol", OTHERS)
async def test_fields_of_previews_are_left_out_and_named(gateway: Running, protocol: str) -> None:
    headers, received = await ask(gateway, body(protocol))
    assert {"anthropic-beta", "context_management", "safeguards", "field_of_the_future"} <= dropped(headers)
    assert "anthropic-beta" not in gateway[1].journal.last.headers
    for name in ("context_management", "safeguards", "field_of_the_future"):
        assert name not in json.dumps(received)


@pytest.mark.parametrize("protocol", OTHERS)
async def test_the_block_with_the_version_is_not_part_of_the_prompt_of_another_provider(
    gateway: Running, protocol: str
) -> None:
    headers, received = await ask(gateway, body(protocol))
    assert "x-anthropic-billing-header" not in json.dumps(received)
    assert "You are Claude Code." in json.dumps(received)
    assert "x-anthropic-billing-header" in dropped(headers)


async def test_a_request_that_is_rendered_again_keeps_previews_with_their_fields(tmp_path: Path) -> None:
    """After a switch of the model, for example: the thinking of another vendor is in the conversation."""
    thinking = Thinking(texts=["Hm."], opaque="x", origin=Provenance("openai_responses", "openai", "gpt-5"))
    turns = [{"type": "thinking", "thinking": "Hm.", "signature": seal(thinking)}, {"type": "text", "text": "a"}]
    sent = body("anthropic", {"role": "assistant", "content": turns}, {"role": "user", "content": "b"}, *SEARCH)
    _, received = await passed(tmp_path, sent)
    assert b"modelbay1." not in received.body
    assert received.headers["anthropic-beta"] == BETAS
    again = json.loads(received.body)
    for name in ("system", "tools", "thinking", "output_config", "context_management", "safeguards", "metadata"):
        assert again[name] == sent[name], name
    assert again["messages"][-2:] == sent["messages"][-2:]


async def test_errors_of_its_protocol_pass_unchanged_also_if_the_request_was_rendered_again(tmp_path: Path) -> None:
    """Claude Code finds out from the words and from `details` what it must leave out."""
    error = {"type": "invalid_request_error", "message": "Odd.", "details": {"error_code": "not_here"}, "more": 1}
    answer = json.dumps({"type": "error", "error": error, "request_id": "req_1"}, indent=1).encode()
    reply = {"role": "assistant", "content": [{"type": "thinking", "thinking": "a", "signature": "modelbay1.x"}]}
    again: list[dict[str, Any]] = [reply, {"role": "user", "content": "b"}]
    for turns in ([], again):
        async with RawServer(answers(raw_reply(answer, 400, "Content-Type: application/json"))) as provider:
            (tmp_path / "config.toml").write_text(config_text(provider.url))
            with RunningGateway(tmp_path / "config.toml") as at:
                status, _, data = await call(at.url, "/v1/messages", body("anthropic", *turns))
        (tmp_path / "clients.json").unlink()
        assert (status, data) == (400, answer)


@pytest.mark.parametrize("protocol", OTHERS)
async def test_another_provider_sees_a_tool_when_the_client_s_search_found_it(gateway: Running, protocol: str) -> None:
    _, before = await ask(gateway, body(protocol))
    assert "WebFetch" not in json.dumps(before)
    headers, after = await ask(gateway, body(protocol, *SEARCH))
    assert "Use WebFetch." in json.dumps(after)
    assert "Tool found: WebFetch" in json.dumps(after), "the result of the search is not empty"
    assert "Held" not in json.dumps(after)
    assert dropped(headers).isdisjoint(("unknown_parts", "tool_reference", "server_tool_use"))


@pytest.mark.parametrize("protocol", OTHERS)
async def test_another_provider_sees_all_tools_if_a_provider_was_to_search_them(
    gateway: Running, protocol: str
) -> None:
    tools = [
        tool("Held", defer_loading=True),
        {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"},
    ]
    _, received = await ask(gateway, body(protocol, tools=tools))
    assert "Use Held." in json.dumps(received)


UNKNOWN = ("future-2027-01-01", "context-management-2025-06-27")
FIELDS = {
    "safeguards": lambda sent: "safeguards" in sent,
    "field_of_the_future": lambda sent: "field_of_the_future" in sent,
    "context_management": lambda sent: "context_management" in sent,
    "output_config": lambda sent: "output_config" in sent,
    "thinking.adaptive.display": lambda sent: "display" in sent.get("thinking", {}),
    "tools.2.custom.defer_loading": lambda sent: "defer_loading" in sent["tools"][2],
    "system.2.cache_control.ephemeral.scope": lambda sent: "scope" in sent["system"][2]["cache_control"],
}


def strict(*, knows_previews: bool) -> Script:
    """A provider of an older version of the protocol, which reports one problem at a time."""

    async def script(client: Client) -> None:
        while True:
            request = await client.request()
            betas = request.headers.get("anthropic-beta", "").split(",")
            problem = ""
            if not knows_previews and (found := [beta for beta in betas if beta in UNKNOWN]):
                problem = f"Unexpected value(s) `{'`, `'.join(found)}` for the `anthropic-beta` header."
            elif found := [name for name, sends in FIELDS.items() if sends(json.loads(request.body))]:
                problem = f"{found[0]}: Extra inputs are not permitted"
            if not problem:
                whole = {"input_tokens": 3} if request.target.endswith("count_tokens") else MESSAGE
                await client.send(raw_reply(json.dumps(whole).encode(), 200, "Content-Type: application/json"))
                continue
            error = {"type": "error", "error": {"type": "invalid_request_error", "message": problem}}
            await client.send(raw_reply(json.dumps(error).encode(), 400, "Content-Type: application/json"))

    return script


@pytest.mark.parametrize("knows_previews", [True, False])
@pytest.mark.parametrize("again", [False, True], ids=["passed", "rendered"])
async def test_a_provider_of_an_older_protocol_is_asked_without_what_it_does_not_know(
    tmp_path: Path, again: bool, knows_previews: bool
) -> None:
    thinking = {"type": "thinking", "thinking": "a", "signature": "modelbay1.x"}
    turns: list[dict[str, Any]] = [{"role": "assistant", "content": [thinking]}, {"role": "user", "content": "b"}]
    sent = body("anthropic", *turns[: 2 * again], stream=False)
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": BETAS}
    async with RawServer(strict(knows_previews=knows_previews)) as upstream:
        (tmp_path / "config.toml").write_text(config_text(upstream.url, f"strict-{again}-{knows_previews}"))
        with RunningGateway(tmp_path / "config.toml") as at:
            first = await call(at.url, "/v1/messages?beta=true", sent, **headers)
            assert first[0] == 200, first[2]
            before, adapted = len(upstream.requests), upstream.requests[-1]
            second = await call(at.url, "/v1/messages?beta=true", sent, **headers)
            assert second[0] == 200
            assert len(upstream.requests) == before + 1, "it was learned"
            counted = await call(at.url, "/v1/messages/count_tokens?beta=true", sent, **headers)
            assert counted[0] == 200
            assert "x-modelbay-estimated" not in counted[1]
    last = [request for request in upstream.requests if not request.target.endswith("count_tokens")][-1]
    received = json.loads(last.body)
    assert not [name for name, sends in FIELDS.items() if sends(received)]
    assert received["thinking"] == {"type": "adaptive"}
    assert [tool["name"] for tool in received["tools"]] == ["Agent", "ToolSearch", "WebFetch", "Held"]
    assert received["messages"] == json.loads(upstream.requests[0].body)["messages"]
    betas = last.headers["anthropic-beta"].split(",")
    assert "claude-code-20250219" in betas
    assert "context-management-2025-06-27" not in betas, "a preview is sent with its field only"
    assert ("future-2027-01-01" in betas) == knows_previews
    assert adapted.headers["anthropic-beta"] == last.headers["anthropic-beta"], "the first time, too"
    named = {"safeguards", "field_of_the_future", "context_management", "output_config.effort", "thinking.display"}
    assert named <= dropped(second[1])
    assert dropped(first[1]) == dropped(second[1])


async def test_a_strict_gateway_accepts_previews_without_fields(tmp_path: Path) -> None:
    """A client names the same previews in each request; without their fields, nothing is lost."""
    with running(tmp_path, settings="strict = true") as (at, _):
        status, headers, data = await call(at.url, "/v1/messages", plain("openai_chat"), **{"anthropic-beta": BETAS})
    assert status == 200, data
    assert dropped(headers) == {"anthropic-beta"}


async def test_a_strict_gateway_leaves_nothing_out_for_such_a_provider(tmp_path: Path) -> None:
    async with RawServer(strict(knows_previews=True)) as upstream:
        (tmp_path / "config.toml").write_text(config_text(upstream.url, "strict-one", "strict = true"))
        with RunningGateway(tmp_path / "config.toml") as at:
            status, _, data = await call(at.url, "/v1/messages", body("anthropic"))
    assert status == 400
    assert "safeguards" in json.loads(data)["error"]["message"]
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/", "/api/hello"])
async def test_its_connectivity_checks_are_answered_without_a_key(gateway: Running, method: str, path: str) -> None:
    status, _, data = await call(gateway[0].url, path, key=None, method=method)
    assert status == 200
    assert bool(data) == (method == "GET")


async def test_a_wrong_key_is_not_sent_again_and_again(gateway: Running) -> None:
    """Claude Code repeats a request after a 401, with growing pauses, unless the response says not to."""
    status, headers, _ = await call(gateway[0].url, "/v1/messages", body("anthropic"), "sk-mb-wrong")
    assert status == 401
    assert headers["x-should-retry"] == "false"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("fault", "status"), [("quota", 402), ("context-length", 400), ("403", 403), ("404", 404), ("413", 413)]
)
async def test_an_error_that_would_occur_again_has_a_status_that_ends_the_request(
    gateway: Running, protocol: str, fault: str, status: int
) -> None:
    before = len(gateway[1].journal.calls())
    found, headers, data = await call(gateway[0].url, "/v1/messages", plain(f"{protocol}/sim-1!{fault}"))
    assert json.loads(data)["type"] == "error"
    assert found in (status, 400), "402 and 400 are never repeated"
    assert headers.get("retry-after") is None
    assert len(gateway[1].journal.calls()) == before + 1, "nor does the gateway repeat it"


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_redirect_would_occur_again_although_its_status_is_502(gateway: Running, protocol: str) -> None:
    status, headers, _ = await call(gateway[0].url, "/v1/messages", plain(f"{protocol}/sim-1!redirect"))
    assert status == 502
    assert headers["x-should-retry"] == "false"


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_rate_limit_has_its_time_to_wait_and_may_be_repeated(gateway: Running, protocol: str) -> None:
    before = len(gateway[1].journal.calls())
    status, headers, _ = await call(gateway[0].url, "/v1/messages", plain(f"{protocol}/sim-1!429=50"))
    assert status == 429
    assert headers["retry-after"] == "50"
    assert headers.get("x-should-retry") != "false"
    assert len(gateway[1].journal.calls()) == before + 1, "the gateway does not sleep through it"


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_the_next_request_begins_with_the_bytes_of_the_one_before(gateway: Running, protocol: str) -> None:
    """Otherwise, the prompt cache of the provider is useless. Claude Code moves its cache marks to the end each time."""
    sent = plain(protocol) | {name: body(protocol)[name] for name in ("system", "tools", "max_tokens")}
    marked = {"type": "text", "text": "Hello there", "cache_control": EPHEMERAL}
    turns: list[dict[str, Any]] = [{"role": "user", "content": [marked]}]
    bodies = []
    for number in range(4):
        _, received = await ask(gateway, sent | {"messages": turns})
        bodies.append(received)
        answer = [{"type": "text", "text": f"Answer {number}."}]
        unmarked = [turn | {"content": [{"type": "text", "text": turn["content"][0]["text"]}]} for turn in turns]
        question = {"role": "user", "content": [marked | {"text": f"Question {number}"}]}
        turns = [*unmarked, {"role": "assistant", "content": answer}, question]
    for before, after in pairwise(bodies):
        assert {name: value for name, value in before.items() if name not in TURNS} == {
            name: value for name, value in after.items() if name not in TURNS
        }
        name = next(name for name in TURNS if name in before)
        count = len(before[name])
        assert _without_marks(after[name][:count]) == _without_marks(before[name])


TURNS = ("messages", "input", "contents")


def _without_marks(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_marks(inner) for name, inner in value.items() if name != "cache_control"}
    return [_without_marks(item) for item in value] if isinstance(value, list) else value
