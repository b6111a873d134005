"""Every fault in every protocol, seen by a client."""

import gzip
import json
import time
import zlib
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from modelbay.simulator import Simulator
from modelbay.simulator.faults import FAULTS
from modelbay.simulator.odd_streams import CALL
from tests.servers.wire import DONE
from tests.simulator.conftest import KEY
from tests.simulator.protocols import BY_NAME, WireProtocol, sse
from tests.simulator.raw_client import Seen, watch

BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


async def see(sim: Simulator, protocol: WireProtocol, fault: str, *, stream: bool, quiet: float = 60.0) -> Seen:
    model = f"sim-1!{fault}" if fault else "sim-1"
    body = protocol.body(model, "Say hello", stream)
    headers: Any = {**protocol.headers, "authorization": f"Bearer {KEY}"}
    return await watch(sim, protocol.path(model, stream), body, quiet=quiet, **headers)


def ended(protocol: WireProtocol, seen: Seen) -> bool:
    return any(protocol.ends(event) for event in sse(seen.body))


def told(protocol: WireProtocol, seen: Seen, *, stream: bool) -> str:
    values = [event for event in sse(seen.body) if event != DONE] if stream else [seen.json]
    return "".join(text for value in values for text in protocol.texts(value))


def test_every_fault_of_the_table_has_a_test():
    with open(__file__, encoding="utf-8") as file:
        source = file.read()
    assert [name for name in FAULTS if f'"{name}' not in source] == []


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("400", 400),
        ("401", 401),
        ("403", 403),
        ("404", 404),
        ("413", 413),
        ("429", 429),
        ("500", 500),
        ("503", 503),
        ("529", 529),
        ("context-length", 400),
    ],
)
@BOTH
async def test_an_error_status_comes_in_the_words_of_its_protocol(
    sim: Simulator, protocol: WireProtocol, fault: str, status: int, stream: bool
):
    seen = await see(sim, protocol, fault, stream=stream)
    assert seen.status == status
    assert seen.headers["content-type"] == "application/json"
    assert protocol.error(seen.json)
    assert not {"retry-after", "retry-after-ms"} & seen.headers.keys()


async def test_an_overload_may_say_when_to_come_back(sim: Simulator, protocol: WireProtocol):
    assert (await see(sim, protocol, "503=2", stream=True)).headers["retry-after"] == "2"


async def test_an_empty_account_is_not_a_rate_limit(sim: Simulator, protocol: WireProtocol):
    seen = await see(sim, protocol, "quota", stream=False)
    assert (seen.status, protocol.error(seen.json)[:3]) in ((429, "You"), (400, "You"))
    assert any(word in protocol.error(seen.json) for word in ("exceeded your current quota", "credit balance"))


async def test_a_rate_limit_has_seconds(sim: Simulator, protocol: WireProtocol):
    assert (await see(sim, protocol, "429=7", stream=True)).headers["retry-after"] == "7"


async def test_a_rate_limit_has_milliseconds(sim: Simulator, protocol: WireProtocol):
    assert (await see(sim, protocol, "429=ms", stream=True)).headers["retry-after-ms"] == "150"
    assert (await see(sim, protocol, "429=ms:20", stream=True)).headers["retry-after-ms"] == "20"


async def test_a_rate_limit_has_a_date(sim: Simulator, protocol: WireProtocol):
    seen = await see(sim, protocol, "429=date:30", stream=True)
    delay = parsedate_to_datetime(seen.headers["retry-after"]).timestamp() - time.time()
    assert 25 < delay <= 31


async def test_a_rate_limit_has_a_delay_in_its_body(sim: Simulator, protocol: WireProtocol):
    seen = await see(sim, protocol, "429=info:3", stream=True)
    assert seen.status == 429
    assert seen.json["error"]["details"][-1]["retryDelay"] == "3s"
    assert "retry-after" not in seen.headers


async def test_a_rate_limit_has_the_time_of_its_reset(sim: Simulator, protocol: WireProtocol):
    seen = await see(sim, protocol, "429=reset:3", stream=True)
    assert seen.headers["x-ratelimit-reset-requests"] == "3s"
    assert seen.headers["x-ratelimit-remaining-requests"] == "0"
    assert "retry-after" not in seen.headers


@BOTH
async def test_a_page_comes_instead_of_an_answer(sim: Simulator, protocol: WireProtocol, stream: bool):
    seen = await see(sim, protocol, "html", stream=stream)
    assert (seen.status, seen.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"<title>502 Bad Gateway</title>" in seen.body
    assert (await see(sim, protocol, "html=502", stream=stream)).status == 502


@BOTH
async def test_nothing_comes_with_a_200(sim: Simulator, protocol: WireProtocol, stream: bool):
    seen = await see(sim, protocol, "empty", stream=stream)
    assert (seen.status, seen.body, seen.end) == (200, b"", "whole")


@BOTH
async def test_the_answer_is_elsewhere(sim: Simulator, protocol: WireProtocol, stream: bool):
    seen = await see(sim, protocol, "redirect", stream=stream)
    assert seen.status == 307
    assert seen.headers["location"].startswith("https://elsewhere.invalid/v1")
    body = protocol.body("sim-1", "Say hello", stream)
    headers: Any = {**protocol.headers, "authorization": f"Bearer {KEY}", "x_simulate": "redirect=http://localhost:1/x"}
    seen = await watch(sim, protocol.path("sim-1", stream), body, **headers)
    assert seen.headers["location"] == "http://localhost:1/x"


@BOTH
async def test_the_answer_says_it_is_something_else(sim: Simulator, protocol: WireProtocol, stream: bool):
    seen = await see(sim, protocol, "wrong-type", stream=stream)
    assert seen.headers["content-type"] == "text/plain"
    assert "Say hello" in told(protocol, seen, stream=stream)


@BOTH
async def test_the_answer_is_a_thousand_times_larger_than_it_looks(
    sim: Simulator, protocol: WireProtocol, stream: bool
):
    seen = await see(sim, protocol, "gzip-bomb=20", stream=stream)
    assert (seen.end, seen.headers["content-encoding"]) == ("whole", "gzip")
    packed, unpacked = seen.body, gzip.decompress(seen.body)
    assert len(unpacked) > 20_000_000 > 500 * len(packed)
    seen.chunks = [unpacked]
    assert "Say hello" in told(protocol, seen, stream=stream)


@BOTH
async def test_the_head_is_late(sim: Simulator, protocol: WireProtocol, stream: bool):
    seen = await see(sim, protocol, "slow-headers=0.2", stream=stream)
    assert seen.head_after >= 0.19
    assert "Say hello" in told(protocol, seen, stream=stream)


@BOTH
async def test_the_first_token_is_late(sim: Simulator, protocol: WireProtocol, stream: bool):
    seen = await see(sim, protocol, "slow-first-token", stream=stream, quiet=0.2)
    assert (seen.status, seen.body, seen.end) == (200, b"", "open")
    seen = await see(sim, protocol, "slow-first-token=0.3", stream=stream)
    assert seen.body_after >= 0.29
    assert "Say hello" in told(protocol, seen, stream=stream)


@BOTH
async def test_the_answer_stalls_in_the_middle(sim: Simulator, protocol: WireProtocol, stream: bool):
    seen = await see(sim, protocol, "stall", stream=stream, quiet=1.0)
    assert (seen.status, seen.end) == (200, "open")
    assert seen.body
    if stream:
        assert not ended(protocol, seen)


async def test_a_stall_may_pass(sim: Simulator, protocol: WireProtocol):
    seen = await see(sim, protocol, "stall=0.2", stream=True)
    assert ended(protocol, seen)
    assert "Say hello" in told(protocol, seen, stream=True)


async def test_tokens_come_at_a_pace(sim: Simulator, protocol: WireProtocol):
    start = time.monotonic()
    seen = await see(sim, protocol, "pace=0.01", stream=True)
    assert time.monotonic() - start > 0.1
    assert ended(protocol, seen)


@BOTH
async def test_the_connection_is_reset_before_the_answer(sim: Simulator, protocol: WireProtocol, stream: bool):
    seen = await see(sim, protocol, "cut-before", stream=stream)
    assert (seen.status, seen.end) == (None, "reset")
    seen = await see(sim, protocol, "cut-before=close", stream=stream)
    assert (seen.status, seen.end) == (None, "closed")
    seen = await see(sim, protocol, "cut-before=head", stream=stream)
    assert (seen.status, seen.body) == (200, b"")
    assert seen.end in ("closed", "reset")


@BOTH
@pytest.mark.parametrize(("fault", "end"), [("cut-after-first", "closed"), ("cut-after-first=reset", "reset")])
async def test_the_connection_is_cut_in_the_middle(
    sim: Simulator, protocol: WireProtocol, stream: bool, fault: str, end: str
):
    seen = await see(sim, protocol, fault, stream=stream)
    assert (seen.status, seen.end) == (200, end)
    assert seen.body
    if stream:
        assert told(protocol, seen, stream=True) == "You"
        assert not ended(protocol, seen)


async def test_a_chunk_is_broken_and_the_rest_is_not(sim: Simulator, protocol: WireProtocol):
    seen = await see(sim, protocol, "malformed-chunk", stream=True)
    lines = [line[5:] for line in seen.body.decode().splitlines() if line.startswith("data:") and DONE not in line]
    assert sum(_is_broken(line) for line in lines) == 1
    assert len(lines) > 5
    assert not _is_broken(lines[-1])


def _is_broken(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return True
    return False


async def test_a_whole_body_is_broken(sim: Simulator, protocol: WireProtocol):
    seen = await see(sim, protocol, "malformed-chunk", stream=False)
    assert (seen.status, seen.end) == (200, "whole")
    assert _is_broken(seen.body.decode())


@BOTH
async def test_an_error_comes_inside_a_200(sim: Simulator, protocol: WireProtocol, stream: bool):
    seen = await see(sim, protocol, "error-in-200", stream=stream)
    assert (seen.status, seen.end) == (200, "whole")
    assert b"overloaded" in seen.body or b"unavailable" in seen.body
    if stream:
        assert not ended(protocol, seen)
        texts = [protocol.texts(event) for event in sse(seen.body)[:-1] if "error" not in event]
        assert "".join(text for found in texts for text in found) == "You"


@BOTH
async def test_an_error_comes_before_the_first_token(sim: Simulator, protocol: WireProtocol, stream: bool):
    seen = await see(sim, protocol, "error-first=429", stream=stream)
    assert (seen.status, seen.end) == (200, "whole")
    assert b"error" in seen.body
    assert told(protocol, seen, stream=stream) == ""


@BOTH
async def test_keep_alives_are_not_an_answer(sim: Simulator, protocol: WireProtocol, stream: bool):
    seen = await see(sim, protocol, "keep-alives=0.1", stream=stream)
    assert (seen.status, seen.end, sse(seen.body) if stream else seen.body.strip()) == (
        200,
        "whole",
        [] if stream else b"",
    )
    assert len(seen.chunks) > 2


async def test_a_connection_stays_open_after_a_whole_response(sim: Simulator, protocol: WireProtocol):
    start = time.monotonic()
    seen = await see(sim, protocol, "open-end=0.2", stream=True)
    assert time.monotonic() - start >= 0.2
    assert "Say hello" in told(protocol, seen, stream=True)
    assert DONE not in sse(seen.body)


@BOTH
async def test_the_end_of_the_answer_is_missing(sim: Simulator, protocol: WireProtocol, stream: bool):
    seen = await see(sim, protocol, "missing-end", stream=stream)
    assert (seen.status, seen.end) == (200, "whole")
    assert "Say hello" in told(protocol, seen, stream=stream)
    if stream:
        assert not ended(protocol, seen)
    else:
        assert _finish(seen.json) is None


def _finish(reply: Any) -> Any:
    for field in ("choices", "candidates"):
        if field in reply:
            choice = reply[field][0]
            return choice.get("finish_reason", choice.get("finishReason"))
    return reply.get("stop_reason", reply.get("status"))


async def test_only_the_mark_of_the_end_is_missing(sim: Simulator, protocol: WireProtocol):
    seen = await see(sim, protocol, "missing-end=mark", stream=True)
    assert (seen.status, seen.end) == (200, "whole")
    assert not ended(protocol, seen)
    assert len(sse(seen.body)) == len(sse((await see(sim, protocol, "", stream=True)).body)) - 1


async def test_letters_are_cut_in_two(sim: Simulator, protocol: WireProtocol):
    seen = await see(sim, protocol, "split-utf8", stream=True)
    assert sum(not _is_text(chunk) for chunk in seen.chunks) > 5
    assert "你好, naïve café" in told(protocol, seen, stream=True)
    assert ended(protocol, seen)


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


@BOTH
async def test_one_event_is_huge(sim: Simulator, protocol: WireProtocol, stream: bool):
    seen = await see(sim, protocol, "oversized-event=3", stream=stream)
    assert seen.end == "whole"
    assert max(len(text) for text in seen.body.split(b"\n")) > 3_000_000


async def test_the_start_comes_twice(sim: Simulator, protocol: WireProtocol):
    plain, twice = await see(sim, protocol, "", stream=True), await see(sim, protocol, "duplicate-start", stream=True)
    first = twice.chunks[0]
    assert twice.chunks[1] == first
    assert len(twice.chunks) == len(plain.chunks) + 1


@BOTH
async def test_usage_can_be_missing(sim: Simulator, protocol: WireProtocol, stream: bool):
    seen = await see(sim, protocol, "no-usage", stream=stream)
    assert "Say hello" in told(protocol, seen, stream=stream)
    assert b'tokens":2' not in seen.body and b"TokenCount" not in seen.body


@BOTH
async def test_a_filter_stops_the_answer(sim: Simulator, protocol: WireProtocol, stream: bool):
    seen = await see(sim, protocol, "content-filter", stream=stream)
    assert any(word in seen.body for word in (b"content_filter", b"refusal", b"SAFETY"))


@pytest.mark.parametrize(
    ("form", "wanted"),
    [
        ("", ["{}", '{"city":', ' "Paris",', ' "days":', " 2}"]),
        ("=twice", ['{"city":', ' "Paris",', ' "days":', " 2}", CALL.arguments]),
        ("=name", ["get", "_weather", '{"city":', ' "Paris",', ' "days":', " 2}"]),
        ("=objects", ["get_weather", {"city": "Paris"}, {"days": 2}]),
        ("=cut", ["get_weather", '{"city":', ' "Pari']),
    ],
)
async def test_a_call_is_streamed_oddly(sim: Simulator, form: str, wanted: list[Any]):
    seen = await see(sim, BY_NAME["openai_chat"], f"odd-call{form}", stream=True)
    deltas = [event["choices"][0]["delta"] for event in sse(seen.body) if event != DONE and event["choices"]]
    functions = [call["function"] for delta in deltas for call in delta.get("tool_calls", ())]
    told = [value for function in functions for value in (function.get("name"), function.get("arguments")) if value]
    assert told == ([] if wanted[0] in ("get", "get_weather") else ["get_weather"]) + wanted


@BOTH
async def test_an_answer_ends_for_an_unknown_reason(sim: Simulator, protocol: WireProtocol, stream: bool):
    seen = await see(sim, protocol, "odd-finish", stream=stream)
    assert '"mystery"' in seen.body.decode()
    assert "You asked" in told(protocol, seen, stream=stream)


async def test_a_fault_happens_as_often_as_it_is_told(sim: Simulator, protocol: WireProtocol):
    statuses = [(await see(sim, protocol, "500*2", stream=False)).status for _ in range(4)]
    assert statuses == [500, 500, 200, 200]


async def test_an_unknown_fault_is_told(sim: Simulator, protocol: WireProtocol):
    seen = await see(sim, protocol, "nonsense", stream=False)
    assert seen.status == 400
    assert "Unknown fault `nonsense`" in protocol.error(seen.json)


@pytest.mark.parametrize(
    "fault", ["401", "500", "429=2", "html", "redirect", "empty", "slow-headers=0.1", "malformed-chunk"]
)
async def test_a_model_list_can_fail_too(sim: Simulator, fault: str):
    seen = await watch(sim, "/v1/models", authorization=f"Bearer {KEY}", x_simulate=fault)
    plain = await watch(sim, "/v1/models", authorization=f"Bearer {KEY}")
    assert seen.body != plain.body or seen.head_after >= 0.09  # timers may be a millisecond early


@pytest.mark.parametrize("fault", sorted(FAULTS))
@BOTH
async def test_any_fault_can_happen_to_anything(sim: Simulator, fault: str, stream: bool):
    argument = {"gzip-bomb": "1", "oversized-event": "1"}.get(fault, "0.01")
    for target, body in (
        ("/v1/models", None),
        ("/v1beta/models/sim-1:streamGenerateContent", {"contents": [{"parts": [{"text": "Hi"}]}]}),
        (
            "/v1/chat/completions",
            {"model": "sim-1", "stream": stream, "messages": [{"role": "user", "content": "SIM_REFUSE"}]},
        ),
    ):
        headers: Any = {"authorization": f"Bearer {KEY}", "x_simulate": f"{fault}={argument}"}
        seen = await watch(sim, target, body, **headers)
        assert seen.end != "open"
        assert seen.status is None or seen.status != 500 or fault == "500"


def test_a_bomb_is_cheap_to_make():
    packer = zlib.compressobj(9, wbits=31)
    assert len(packer.compress(b" " * (1 << 20)) + packer.flush()) < 2_000
