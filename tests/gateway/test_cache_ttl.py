"""An hour for prompt caches, if the user sets it: for which marks, and at which providers."""

import json
from pathlib import Path
from typing import Any

import pytest

from modelbay.gateway.cache_ttl import lengthen
from modelbay.protocols.codec import Call
from tests.faults.raw_server import Client, RawServer
from tests.faults.raw_server import reply as raw_reply
from tests.gateway.running import RunningGateway, config_text
from tests.gateway.test_app import call, request
from tests.gateway.test_claude_code import body
from tests.gateway.test_client_login import MESSAGE, provider

MARK, HOUR, MINUTES = {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}, {"type": "ephemeral", "ttl": "5m"}


def block(*inner: dict[str, Any], **mark: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "t", "content": list(inner), **mark}


def lengthened(sent: dict[str, Any], *, as_text: bool) -> dict[str, Any]:
    made = Call("/v1/messages", {} if as_text else sent, text=json.dumps(sent).encode() if as_text else None)
    lengthen(made, "1h")
    return made.fields


@pytest.mark.parametrize("as_text", [True, False], ids=["passed", "rendered"])
@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"tools": [{"name": "a", "cache_control": MARK}]}, {"tools": [{"name": "a", "cache_control": HOUR}]}),
        ({"system": [{"text": "a", "cache_control": MARK}]}, {"system": [{"text": "a", "cache_control": HOUR}]}),
        ({"cache_control": MARK}, {"cache_control": HOUR}),
        (
            {"messages": [{"content": [block({"text": "a", "cache_control": MARK}, cache_control=MARK)]}]},
            {"messages": [{"content": [block({"text": "a", "cache_control": HOUR}, cache_control=HOUR)]}]},
        ),
        # providers reject an hour after five minutes, in the order tools, system, messages
        (
            {"messages": [{"content": [block(cache_control=MARK)]}], "system": [{"cache_control": MINUTES}]},
            {"messages": [{"content": [block(cache_control=MARK)]}], "system": [{"cache_control": MINUTES}]},
        ),
        (
            {"system": [{"cache_control": MINUTES}], "tools": [{"cache_control": MARK}], "cache_control": MARK},
            {"system": [{"cache_control": MINUTES}], "tools": [{"cache_control": HOUR}], "cache_control": MARK},
        ),
        (
            {"messages": [{"content": [block({"cache_control": MINUTES}, cache_control=MARK)]}]},
            {"messages": [{"content": [block({"cache_control": MINUTES}, cache_control=MARK)]}]},
        ),
        (
            {"system": [{"cache_control": HOUR}], "cache_control": MARK},
            {"system": [{"cache_control": HOUR}], "cache_control": HOUR},
        ),
        # arguments and schemas are not marks
        (
            {
                "tools": [{"input_schema": {"cache_control": MARK}}],
                "messages": [{"content": [{"input": {"cache_control": MARK}}]}],
            },
            {
                "tools": [{"input_schema": {"cache_control": MARK}}],
                "messages": [{"content": [{"input": {"cache_control": MARK}}]}],
            },
        ),
        (
            {"messages": [{"content": '"cache_control"'}], "system": None},
            {"messages": [{"content": '"cache_control"'}], "system": None},
        ),
        ({"tools": "x", "system": [1], "messages": {"a": 1}}, {"tools": "x", "system": [1], "messages": {"a": 1}}),
    ],
)
def test_marks_without_a_time_get_an_hour(sent: dict[str, Any], expected: dict[str, Any], as_text: bool) -> None:
    assert lengthened(sent, as_text=as_text) == expected


def test_other_bytes_stay_as_they_were_written() -> None:
    text = b'{ "model" : "m",  "system":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}], "messages" : [ ] }'
    made = Call("/v1/messages", {}, text=text)
    lengthen(made, "1h")
    assert made.text is not None
    assert made.text.startswith(b'{ "model" : "m",  "system":')
    assert made.text.endswith(b', "messages" : [ ] }')
    plain = Call("/v1/messages", {}, text=b'{"messages": []}')
    lengthen(plain, "1h")
    assert plain.text == b'{"messages": []}'


def configured(
    folder: Path, url: str, settings: str = 'cache_ttl = "1h"', dialect: str = "cache_marks = true"
) -> RunningGateway:
    entry = f"[providers.anthropic]\ndialect = {{ {dialect} }}\n"
    (folder / "config.toml").write_text(
        config_text(url, f"ttl-{len(dialect)}", settings).replace("[providers.anthropic]\n", entry)
    )
    return RunningGateway(folder / "config.toml")


def times(received: bytes) -> set[str | None]:
    found: set[str | None] = set()

    def walk(value: Any) -> None:
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(item)
        if isinstance(value, dict) and value.get("type") == "ephemeral":
            found.add(value.get("ttl"))

    walk(json.loads(received))
    return found


@pytest.mark.parametrize(
    ("settings", "dialect", "expected"),
    [
        ('cache_ttl = "1h"', "cache_marks = true", {"1h"}),
        ("", "cache_marks = true", {None}),
        ('cache_ttl = "1h"', "cache_marks = true, cache_ttl = false", {None}),
        ('cache_ttl = "1h"', "adaptive_thinking = true", {None}),
    ],
    ids=["set", "not set", "rejected by the dialect", "unknown provider"],
)
async def test_a_provider_that_accepts_it_keeps_caches_for_an_hour(
    tmp_path: Path, settings: str, dialect: str, expected: set[str | None]
) -> None:
    async with RawServer(provider) as upstream:
        with configured(tmp_path, upstream.url, settings, dialect) as at:
            status, _, data = await call(at.url, "/v1/messages", body("anthropic", stream=False))
            assert status == 200, data
    assert times(upstream.requests[-1].body) == expected


@pytest.mark.parametrize("client", ["openai_chat", "openai_responses", "google"])
async def test_marks_that_the_gateway_sets_for_clients_of_other_protocols_last_an_hour_too(
    tmp_path: Path, client: str
) -> None:
    async with RawServer(provider) as upstream:
        with configured(tmp_path, upstream.url) as at:
            assert (await call(at.url, *request(client, "anthropic")))[0] == 200
    assert times(upstream.requests[-1].body) == {"1h"}


async def test_a_provider_that_rejects_it_is_asked_without_it_from_then_on(tmp_path: Path) -> None:
    async def script(client: Client) -> None:
        while True:
            received = await client.request()
            if b'"ttl"' in received.body:
                said = "system.1.cache_control.ephemeral.ttl: Extra inputs are not permitted"
                error = {"type": "error", "error": {"type": "invalid_request_error", "message": said}}
                await client.send(raw_reply(json.dumps(error).encode(), 400, "Content-Type: application/json"))
            else:
                await client.send(raw_reply(json.dumps(MESSAGE).encode(), 200, "Content-Type: application/json"))

    async with RawServer(script) as upstream:
        with configured(tmp_path, upstream.url, dialect="cache_marks = true, tool_result_media = true") as at:
            for _ in range(2):
                assert (await call(at.url, "/v1/messages", body("anthropic", stream=False)))[0] == 200
    assert len(upstream.requests) == 3
