"""Retries, lessons, limits and ends of a call, with servers that send exactly the bytes of a test."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelbay import Hub, collect, errors
from modelbay.conversation import Conversation, Text, Turn
from modelbay.events import Event, Failed, Finished, PartDelta, Started, Warned
from modelbay.routing.retry import Policy
from modelbay.storage.lessons import LessonBook
from tests.fault_config import NAMES, hub_config
from tests.faults.raw_server import Client, RawServer, Script, chunk, head, reply

SSE = head(200, "Content-Type: text/event-stream", chunked=True)
EVERY = pytest.mark.parametrize("protocol", NAMES)


def event(data: Any, name: str = "") -> bytes:
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(data).encode() + b"\n\n"


def chat(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return event({"id": "c", "model": "m", "choices": choices})


def gemini(text: str, finish: str | None = None) -> bytes:
    candidate = {"content": {"role": "model", "parts": [{"text": text}]} if text else {}}
    return event({"responseId": "r", "candidates": [candidate | ({"finishReason": finish} if finish else {})]})


RESPONSE = {"id": "r", "object": "response", "model": "m", "output": []}
MESSAGE = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": {"input_tokens": 1}}
BLOCK = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
BEGINNINGS = {
    "openai_chat": chat({"role": "assistant", "content": ""}),
    "openai_responses": event({"type": "response.created", "response": RESPONSE | {"status": "in_progress"}}),
    "anthropic": event({"type": "message_start", "message": MESSAGE}) + event(BLOCK) + event({"type": "ping"}),
    "google": event({"responseId": "r", "usageMetadata": {"promptTokenCount": 3}}),
}
"""The first events of a stream, before any content."""
TEXTS = {
    "openai_chat": chat({"content": "well"}),
    "openai_responses": event(
        {"type": "response.output_text.delta", "output_index": 0, "item_id": "i", "delta": "well"}
    ),
    "anthropic": event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "well"}}),
    "google": gemini("well"),
}
STOPS = {
    "openai_chat": chat({}, "stop"),
    "openai_responses": event({"type": "response.completed", "response": RESPONSE | {"status": "completed"}}),
    "anthropic": event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
    "google": gemini("", "STOP"),
}
"""After these, only usage and a terminator may follow."""
BUSY = {
    "openai_chat": {"error": {"message": "The engine is overloaded", "type": "server_error", "code": "overloaded"}},
    "openai_responses": {"type": "error", "error": {"type": "x", "code": "server_is_overloaded", "message": "Busy."}},
    "anthropic": {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
    "google": {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}},
}


def streamed(*events: bytes) -> bytes:
    return SSE + b"".join(chunk(data) for data in events) + chunk(b"")


def good(protocol: str) -> bytes:
    return streamed(BEGINNINGS[protocol], TEXTS[protocol], STOPS[protocol])


def failing(protocol: str, form: str) -> bytes:
    said = json.dumps(BUSY[protocol]).encode()
    if form == "first event":
        return streamed(event(BUSY[protocol], "error"))
    if form == "after the beginning":
        return streamed(BEGINNINGS[protocol], event(BUSY[protocol], "error"))
    if form == "unframed":
        return SSE + chunk(said) + chunk(b"")
    if form == "cut":
        return SSE + chunk(BEGINNINGS[protocol]) + CUT
    return reply(said, 200, "Content-Type: application/json")


CUT = b"the connection ends here"
FORMS = ("first event", "after the beginning", "JSON", "cut")


def in_turn(*answers: bytes) -> tuple[Script, list[dict[str, Any]]]:
    """Answers each request with the next, and the last one from then on; and the bodies that came."""
    bodies: list[dict[str, Any]] = []

    async def script(client: Client) -> None:
        while True:
            bodies.append(json.loads((await client.request()).body))
            answer = answers[min(len(bodies), len(answers)) - 1]
            await client.send(answer.removesuffix(CUT))
            if answer.endswith(CUT):
                return

    return script, bodies


async def streaming(hub: Hub, name: str, **ask: Any) -> list[Event]:
    try:
        return [event async for event in hub.stream("Hello", model=name, **ask)]
    except errors.ModelbayError as error:
        return [Failed(error)]


def opened(folder: Path, url: str, **limits: Any) -> Hub:
    hub = Hub.open(hub_config(folder, url, **limits))
    hub._client.policy = Policy(base=0.01)
    hub._client.lessons = LessonBook(folder / "lessons.json")
    return hub


# --- failures inside a 200 ---------------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("form", FORMS)
async def test_a_failure_before_any_output_is_retried_like_a_status(tmp_path: Path, protocol: str, form: str) -> None:
    script, bodies = in_turn(failing(protocol, form), good(protocol))
    async with RawServer(script) as server, opened(tmp_path, server.url) as hub:
        events = await streaming(hub, f"{protocol}/m")
    told = collect(events)
    assert (told.text, told.error, len(bodies)) == ("well", None, 2)
    assert [type(event) for event in events].count(Started) == 1  # the start of the failed attempt is not passed on
    assert "(attempt 2 of 4)" in told.warnings[0].message


WHOLE = {
    "openai_chat": {"id": "c", "choices": [{"message": {"content": "well"}, "finish_reason": "stop"}]},
    "openai_responses": RESPONSE
    | {
        "status": "completed",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "well"}]}],
    },
    "anthropic": MESSAGE | {"content": [{"type": "text", "text": "well"}], "stop_reason": "end_turn"},
    "google": {"candidates": [{"content": {"parts": [{"text": "well"}]}, "finishReason": "STOP"}]},
}


@EVERY
async def test_a_server_that_always_streams_is_understood(tmp_path: Path, protocol: str) -> None:
    script, bodies = in_turn(failing(protocol, "first event"), good(protocol))
    async with RawServer(script) as server, opened(tmp_path, server.url) as hub:
        told = await hub.complete("Hello", model=f"{protocol}/m")
    assert (told.text, len(bodies)) == ("well", 2)


@EVERY
async def test_an_error_in_a_stream_that_was_not_asked_for_is_what_it_is(tmp_path: Path, protocol: str) -> None:
    wrong = {"error": {"type": "invalid_request_error", "code": 400, "message": "bad", "status": "INVALID_ARGUMENT"}}
    script, bodies = in_turn(streamed(event(wrong | {"type": "error"}, "error")))
    async with RawServer(script) as server, opened(tmp_path, server.url) as hub:
        with pytest.raises(errors.BadRequest):
            await hub.complete("Hello", model=f"{protocol}/m")
    assert len(bodies) == 1


@EVERY
async def test_a_whole_reply_that_is_labelled_as_a_stream_is_read(tmp_path: Path, protocol: str) -> None:
    data = json.dumps(WHOLE[protocol]).encode()
    script, bodies = in_turn(SSE + chunk(b" \n") + b"".join(chunk(bytes([byte])) for byte in data) + chunk(b""))
    async with RawServer(script) as server, opened(tmp_path, server.url) as hub:
        told = await hub.complete("Hello", model=f"{protocol}/m")
    assert (told.text, len(bodies)) == ("well", 1)


@EVERY
async def test_a_whole_reply_that_is_an_error_is_retried_too(tmp_path: Path, protocol: str) -> None:
    whole = WHOLE[protocol]
    ok = reply(json.dumps(whole).encode(), 200, "Content-Type: application/json")
    script, bodies = in_turn(failing(protocol, "JSON"), ok)
    async with RawServer(script) as server, opened(tmp_path, server.url) as hub:
        told = await hub.complete("Hello", model=f"{protocol}/m")
    assert (told.text, len(bodies)) == ("well", 2)


@EVERY
async def test_a_provider_that_stays_busy_is_raised_as_what_it_is(tmp_path: Path, protocol: str) -> None:
    whole, in_a_stream = failing(protocol, "JSON"), failing(protocol, "after the beginning")
    script, bodies = in_turn(*[whole] * 4, in_a_stream)
    async with RawServer(script) as server, opened(tmp_path, server.url) as hub:
        with pytest.raises(errors.Overloaded) as caught:
            await hub.complete("Hello", model=f"{protocol}/m")
        with pytest.raises(errors.Overloaded):
            await anext(
                event async for event in hub.stream("Hello", model=f"{protocol}/m") if type(event) is not Warned
            )
    assert (caught.value.attempts, len(bodies)) == (4, 8)


@EVERY
async def test_after_a_received_part_the_request_is_not_repeated(tmp_path: Path, protocol: str) -> None:
    script, bodies = in_turn(
        streamed(BEGINNINGS[protocol], TEXTS[protocol], event(BUSY[protocol], "error")), good(protocol)
    )
    async with RawServer(script) as server, opened(tmp_path, server.url) as hub:
        told = collect(await streaming(hub, f"{protocol}/m"))
    assert (told.text, type(told.error), len(bodies)) == ("well", errors.Overloaded, 1)


@pytest.mark.parametrize(
    ("failure", "kind", "attempts"),
    [
        ({"message": "slow down", "type": "rate_limit_error"}, errors.RateLimited, 2),
        ({"message": "Too many requests", "type": "x"}, errors.RateLimited, 2),
        ({"message": "no", "type": "ThrottlingException"}, errors.RateLimited, 2),
        ({"message": "Upstream error", "code": 502}, errors.ServerError, 2),
        ({"message": "x", "type": "InternalServerException"}, errors.ServerError, 2),
        ({"message": "x", "type": "service_unavailable_error"}, errors.Overloaded, 2),
        ({"message": "The request timed out"}, errors.ServerError, 2),
        ({"message": "no such model", "code": "model_not_found"}, errors.NotFound, 1),
        ({"message": "bad key", "code": 401}, errors.AuthenticationFailed, 1),
        ({"message": "no money", "code": "insufficient_quota"}, errors.QuotaExhausted, 1),
        ({"message": "I do not like it"}, errors.ProviderError, 1),
    ],
)
async def test_only_errors_that_pass_are_retried(
    tmp_path: Path, failure: dict[str, Any], kind: type[errors.ModelbayError], attempts: int
) -> None:
    script, bodies = in_turn(streamed(event({"error": failure})))
    async with RawServer(script) as server, opened(tmp_path, server.url) as hub:
        hub._client.policy = Policy(attempts=2, base=0.01)
        told = collect(await streaming(hub, "openai_chat/m"))
    assert (type(told.error), len(bodies)) == (kind, attempts)


async def test_an_answer_may_forbid_to_retry(tmp_path: Path) -> None:
    refused = failing("openai_chat", "JSON").replace(b"\r\n\r\n", b"\r\nx-should-retry: false\r\n\r\n", 1)
    script, bodies = in_turn(refused, good("openai_chat"))
    async with RawServer(script) as server, opened(tmp_path, server.url) as hub:
        told = collect(await streaming(hub, "openai_chat/m"))
    assert (type(told.error), len(bodies)) == (errors.Overloaded, 1)


# --- lessons -----------------------------------------------------------------------------------------------------------

REFUSAL = {"error": {"message": "Unsupported parameter: 'top_p'", "type": "invalid_request_error", "param": "top_p"}}
AS_STATUS = reply(json.dumps(REFUSAL).encode(), 400, "Content-Type: application/json")


@pytest.mark.parametrize("refusal", [AS_STATUS, streamed(event(REFUSAL))], ids=["status", "inside a 200"])
async def test_a_lesson_is_kept_when_the_adapted_call_succeeded(tmp_path: Path, refusal: bytes) -> None:
    script, bodies = in_turn(refusal, failing("openai_chat", "first event"), good("openai_chat"))
    async with RawServer(script) as server, opened(tmp_path, server.url) as hub:
        told = collect(await streaming(hub, "openai_chat/m", top_p=0.5))
        assert hub._client.lessons.at(server.url) == {"m": [{"parameter": "top_p", "protocol": "openai_chat"}]}
    assert told.text == "well"
    assert ["top_p" in body for body in bodies] == [True, False, False]


@pytest.mark.parametrize(
    "after",
    [
        AS_STATUS.replace(b"top_p", b"model"),
        failing("openai_chat", "after the beginning"),
        failing("openai_chat", "JSON"),
    ],
    ids=["refused again", "fails in a stream", "fails in JSON"],
)
async def test_no_lesson_is_kept_of_an_adapted_call_that_failed(tmp_path: Path, after: bytes) -> None:
    script, bodies = in_turn(AS_STATUS, after)
    async with RawServer(script) as server, opened(tmp_path, server.url) as hub:
        events = await streaming(hub, "openai_chat/m", top_p=0.5)
        assert hub._client.lessons.at(server.url) == {}
    assert isinstance(events[-1], Failed)
    assert "top_p" not in bodies[-1]


async def test_a_lesson_is_kept_in_memory_until_a_call_with_it_succeeds(tmp_path: Path) -> None:
    unpaid = reply(b'{"error":{"message":"Your credit balance is too low"}}', 400, "Content-Type: application/json")
    script, bodies = in_turn(AS_STATUS, unpaid, unpaid, good("openai_chat"))
    async with RawServer(script) as server, opened(tmp_path, server.url) as hub:
        for _ in range(2):
            assert isinstance((await streaming(hub, "openai_chat/m", top_p=0.5))[-1], Failed)
        assert ["top_p" in body for body in bodies] == [True, False, False], "it is refused only once"
        assert not (tmp_path / "lessons.json").exists()
        told = collect(await streaming(hub, "openai_chat/m", top_p=0.5))
        assert hub._client.lessons.at(server.url) == {"m": [{"parameter": "top_p", "protocol": "openai_chat"}]}
    assert told.text == "well"
    assert [warning.setting for warning in told.warnings if warning.dropped] == ["top_p"]


async def test_a_lesson_after_which_the_same_refusal_comes_again_is_not_kept(tmp_path: Path) -> None:
    script, bodies = in_turn(AS_STATUS, AS_STATUS)
    async with RawServer(script) as server, opened(tmp_path, server.url) as hub:
        for _ in range(2):
            assert isinstance((await streaming(hub, "openai_chat/m", top_p=0.5))[-1], Failed)
    assert ["top_p" in body for body in bodies] == [True, False, True, False]


async def test_a_call_that_is_repeated_with_an_adaptation_is_one_of_the_attempts(tmp_path: Path) -> None:
    script, bodies = in_turn(AS_STATUS, failing("openai_chat", "JSON"))
    async with RawServer(script) as server, opened(tmp_path, server.url) as hub:
        hub._client.policy = Policy(attempts=3, base=0.01)
        failed = (await streaming(hub, "openai_chat/m", top_p=0.5))[-1]
        assert isinstance(failed, Failed)
        assert (failed.error.attempts, len(bodies)) == (3, 3)
        hub._client.policy = Policy(attempts=1)
        bodies.clear()
        assert isinstance((await streaming(hub, "openai_chat/m", top_p=0.5))[-1], Failed)
        assert len(bodies) == 1


async def test_a_role_that_is_refused_is_learned_like_a_parameter(tmp_path: Path) -> None:
    words = {"error": {"message": "System role not supported", "type": "BadRequestError", "param": None, "code": 400}}
    refused = reply(json.dumps(words).encode(), 400, "Content-Type: application/json")
    script, bodies = in_turn(refused, good("openai_chat"))
    talk = Conversation([Turn("system", [Text(text="Be brief.")]), Turn("user", [Text(text="Hello")])])
    async with RawServer(script) as server, opened(tmp_path, server.url) as hub:
        first = collect([event async for event in hub.stream(talk, model="openai_chat/m")])
        again = collect([event async for event in hub.stream(talk, model="openai_chat/m")])
        assert hub._client.lessons.at(server.url) == {"m": [{"parameter": "role:system", "protocol": "openai_chat"}]}
    assert [first.text, again.text] == ["well", "well"]
    assert [[message["role"] for message in body["messages"]] for body in bodies] == [
        ["system", "user"],
        ["user"],
        ["user"],
    ]
    assert bodies[2]["messages"][0]["content"] == "Be brief.\n\nHello"


async def test_a_limit_of_output_tokens_is_learned_like_a_parameter(tmp_path: Path) -> None:
    words = {"error": {"message": "max_tokens is too large: 9000. This model supports at most 4096 completion tokens."}}
    refused = reply(json.dumps(words).encode(), 400, "Content-Type: application/json")
    script, bodies = in_turn(refused, good("openai_chat"))
    async with RawServer(script) as server, opened(tmp_path, server.url) as hub:
        for _ in range(2):
            told = collect(await streaming(hub, "openai_chat/m", max_tokens=9000))
            assert told.text == "well"
            assert "limited to 4,096" in told.warnings[0].message
        assert hub._client.lessons.at(server.url) == {"m": [{"parameter": "max_output_tokens", "most": 4096}]}
    assert [body["max_tokens"] for body in bodies] == [9000, 4096, 4096]


async def test_a_parameter_that_one_protocol_rejects_is_sent_in_another_of_the_same_server(tmp_path: Path) -> None:
    script, bodies = in_turn(AS_STATUS, good("openai_chat"), good("anthropic"))
    async with RawServer(script) as server, opened(tmp_path, server.url) as hub:
        for name in ("openai_chat/m", "anthropic/m"):
            assert collect(await streaming(hub, name, top_p=0.5)).text == "well"
    assert ["top_p" in body for body in bodies] == [True, False, True]


# --- ends --------------------------------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("alive", [b"", b": ping\n\n"], ids=["silence", "keep-alives"])
async def test_a_finished_reply_does_not_wait_for_the_connection_to_end(
    tmp_path: Path, protocol: str, alive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelbay.transport.response.REST", 0.3)
    told: list[Event] = []

    async def script(client: Client) -> None:
        await client.request()
        await client.send(SSE + chunk(BEGINNINGS[protocol] + TEXTS[protocol] + STOPS[protocol]))
        while alive:
            await client.drip(chunk(alive), 100, 0.05)
        await client.hangup()

    async with RawServer(script) as server, opened(tmp_path, server.url, first_byte=600, idle=600, content=600) as hub:
        told = await streaming(hub, f"{protocol}/m")
    assert isinstance(told[-1], Finished)
    assert collect(told).text == "well"


async def test_usage_that_follows_the_finish_is_waited_for(tmp_path: Path) -> None:
    usage = event({"id": "c", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}})

    async def script(client: Client) -> None:
        await client.request()
        await client.send(SSE)
        await client.drip(chunk(TEXTS["openai_chat"]) + chunk(STOPS["openai_chat"]), 100, 0.2)
        await client.send(chunk(usage))
        await client.hangup()

    async with RawServer(script) as server, opened(tmp_path, server.url) as hub:
        told = collect(await streaming(hub, "openai_chat/m"))
    assert told.usage is not None and told.usage.output_total == 7


async def test_text_behind_a_finish_reason_is_part_of_the_reply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some models of Gemini say STOP with every chunk."""
    monkeypatch.setattr("modelbay.transport.response.REST", 3.0)

    async def script(client: Client) -> None:
        await client.request()
        await client.send(SSE)
        for _ in range(14):
            await client.drip(chunk(gemini("a", "STOP")), 10_000, 0.25)
        await client.hangup()

    async with RawServer(script) as server, opened(tmp_path, server.url) as hub:
        told = collect(await streaming(hub, "google/m"))
    assert told.text == "a" * 14


# --- limits ------------------------------------------------------------------------------------------------------------

KEEP_ALIVES: dict[str, bytes] = {"comments": b": ping\n\n", "empty data": b"data:\n\n", "blank": b"\n"}


def keeping_alive(first: bytes, alive: bytes, head: bytes = SSE) -> Script:
    async def script(client: Client) -> None:
        await client.request()
        await client.send(head + (chunk(first) if first else b""))
        while True:
            await client.drip(chunk(alive), 100, 0.02)

    return script


@EVERY
@pytest.mark.parametrize("alive", KEEP_ALIVES.values(), ids=KEEP_ALIVES.keys())
async def test_keep_alives_alone_are_not_an_answer(tmp_path: Path, protocol: str, alive: bytes) -> None:
    script = keeping_alive(b"", alive)
    async with RawServer(script) as server, opened(tmp_path, server.url, content=0.4) as hub:
        hub._client.policy = Policy(attempts=1)
        told = await streaming(hub, f"{protocol}/m")
    assert isinstance(told[-1], Failed)
    assert isinstance(told[-1].error, errors.TimedOut)
    assert told[-1].error.stage == "first_event"
    assert "timeout.first_event" in (told[-1].error.hint or "")


@EVERY
async def test_keep_alives_do_not_prolong_an_answer_for_ever(tmp_path: Path, protocol: str) -> None:
    alive = event({"type": "ping"}, "ping") if protocol == "anthropic" else b": ping\n\n"
    script = keeping_alive(BEGINNINGS[protocol] + TEXTS[protocol], alive)
    async with RawServer(script) as server, opened(tmp_path, server.url, content=1.0) as hub:
        told = collect(await streaming(hub, f"{protocol}/m"))
    assert told.text == "well"
    assert isinstance(told.error, errors.TimedOut)
    assert told.error.stage == "content"


@EVERY
async def test_a_whole_reply_that_drips_is_given_up(tmp_path: Path, protocol: str) -> None:
    script = keeping_alive(b"", b": ping\n\n", head(200, "Content-Type: application/json", chunked=True))
    async with RawServer(script) as server, opened(tmp_path, server.url, content=0.4) as hub:
        hub._client.policy = Policy(attempts=1)
        with pytest.raises(errors.TimedOut) as raised:
            await hub.complete("Hello", model=f"{protocol}/m")
    assert raised.value.stage == "content"


async def test_keep_alives_bridge_a_silence(tmp_path: Path) -> None:
    async def script(client: Client) -> None:
        await client.request()
        await client.send(SSE)
        for _ in range(20):
            await client.drip(chunk(b": ping\n\n"), 100, 0.1)
        await client.send(good("openai_chat").removeprefix(SSE))

    async with RawServer(script) as server, opened(tmp_path, server.url, idle=1.5, content=600) as hub:
        assert collect(await streaming(hub, "openai_chat/m")).text == "well"


async def test_a_longer_idle_timeout_also_extends_the_wait_for_content(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    base = '[providers.p]\ntype = "openai"\nbase_url = "http://127.0.0.1:1/v1"\n'
    found = []
    for timeout in ("", "first_byte = 900.0, idle = 800.0", "first_byte = 900.0, first_event = 60.0, content = 5.0"):
        config.write_text(f"{base}timeout = {{ {timeout} }}\n")
        async with Hub.open(config) as hub:
            sending = await hub._prepare("Hello", {}, [], True, "p/m")
        from modelbay.calling.provider_client import _limits

        limits = _limits(sending.endpoint)
        found.append((limits.first_event, limits.content, limits.stream_bytes))
    assert found == [(600.0, 600.0, 2**28), (900.0, 800.0, 2**28), (60.0, 5.0, 2**28)]


LINE_START = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"'
FLOODS: dict[str, Callable[[], tuple[bytes, bytes]]] = {
    "text in many events": lambda: (b"", chat({"content": "x" * 60_000})),
    "text in one line": lambda: (LINE_START, b"x" * 65_536),
    "empty data lines": lambda: (b"", b"data:\n" * 10_000),
    "comments": lambda: (b"", b": ping\n\n" * 8_000),
}


@pytest.mark.parametrize("flood_of", FLOODS.values(), ids=FLOODS.keys())
async def test_a_stream_without_end_is_refused_at_its_limit(
    tmp_path: Path, flood_of: Callable[[], tuple[bytes, bytes]]
) -> None:
    first, piece = flood_of()
    sent: list[int] = []

    async def script(client: Client) -> None:
        await client.request()
        await client.send(SSE + (chunk(first) if first else b""))
        while True:
            await client.send(chunk(piece))
            sent.append(len(piece))

    path = hub_config(tmp_path, "URL")
    async with RawServer(script) as server:
        text = path.read_text().replace("URL", server.url)
        path.write_text(text.replace("timeout =", "limits = { stream_bytes = 1_000_000 }\ntimeout ="))
        async with Hub.open(path) as hub:
            told = await streaming(hub, "openai_chat/m")
    assert isinstance(told[-1], Failed)
    assert isinstance(told[-1].error, errors.MalformedReply)
    assert "1,000,000 bytes" in told[-1].error.message
    assert "limits.stream_bytes" in (told[-1].error.hint or "")
    assert not told[-1].error.retryable
    assert sum(map(len, (event.text for event in told if isinstance(event, PartDelta)))) <= 1_000_000
    assert not [event for event in told if isinstance(event, Warned)]  # it was asked once


@pytest.mark.parametrize("name", ["content-type", "USER-AGENT", "accept-encoding", "host", "authorization"])
async def test_a_header_of_the_user_replaces_that_of_modelbay_in_any_case(name: str) -> None:
    heads: list[str] = []

    async def script(client: Client) -> None:
        heads.append((await client.reader.readuntil(b"\r\n\r\n")).decode())
        await client.send(reply(json.dumps(WHOLE["openai_chat"]).encode(), 200, "Content-Type: application/json"))

    given: dict[str, Any] = {"api_key": "k", "headers": {name: "mine"}, "model": "m"}
    async with RawServer(script) as server, Hub.of(base_url=f"{server.url}/v1", **given) as hub:
        await hub.complete("Hello")
    found = [line for line in heads[0].splitlines() if line.lower().startswith(f"{name.lower()}:")]
    assert found == [f"{name}: mine"]


@pytest.mark.parametrize(("key", "named"), [("planted-key", "…"), ("ollama", "ollama"), ("lm-studio", "lm-studio")])
async def test_a_request_is_named_once_if_its_url_contains_the_key(key: str, named: str) -> None:
    """The usual key of a server that needs none is a public name, which stays."""

    async def script(client: Client) -> None:
        while await client.request():
            await client.send(reply(b'{"error":{"message":"no"}}', 400, "Content-Type: application/json"))

    async with (
        RawServer(script) as server,
        Hub.of(base_url=f"{server.url}/{key}/v1", api_key=key, model="m") as hub,
    ):
        with pytest.raises(errors.BadRequest) as caught:
            await hub.complete("Hello")
    assert caught.value.message == f"POST {server.url}/{named}/v1/chat/completions returned 400: no"
