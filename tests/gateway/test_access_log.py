"""The line of each request in the gateway's log, as text and as JSON."""

import json
from io import StringIO
from time import localtime, strftime
from typing import Any, Literal

import pytest

from modelbay import secrecy
from modelbay.errors import RateLimited
from modelbay.gateway.access_log import LONGEST, AccessLog, EndedRequest
from modelbay.gateway.log_stream import LogStream
from tests.gateway.targets import target_of

AT = 1_796_000_000.25


def ended(**more: Any) -> EndedRequest:
    usual = {"path": "/v1/messages", "client": "app", "status": 200, "at": AT}
    return EndedRequest(id="4f2a", method="POST", seconds=1.2345, **{**usual, **more})


async def written(form: Literal["text", "json"], *requests: EndedRequest) -> list[str]:
    stream = StringIO()
    log = AccessLog(LogStream(stream), form)
    for request in requests:
        log.write(request)
    log.flush()
    return stream.getvalue().splitlines()


async def test_a_line_of_text_has_the_time_and_all_facts() -> None:
    asked = ended(sent=512, target=target_of("anthropic"), attempts=2)
    [line] = await written("text", asked)
    assert line == (
        f"{strftime('%Y-%m-%d %H:%M:%S', localtime(AT))},250 INFO request_id=4f2a client=app method=POST path=/v1/messages"
        " status=200 outcome=ok milliseconds=1234 bytes=512 model=one provider=acme attempts=2"
    )


async def test_a_line_of_json_has_the_same() -> None:
    [line] = await written("json", ended(sent=512, target=target_of("anthropic"), attempts=2))
    assert json.loads(line) == {
        "time": "2026-11-30T00:53:20.250+00:00",
        "level": "info",
        "request_id": "4f2a",
        "client": "app",
        "method": "POST",
        "path": "/v1/messages",
        "status": 200,
        "outcome": "ok",
        "milliseconds": 1234,
        "bytes": 512,
        "model": "one",
        "provider": "acme",
        "attempts": 2,
    }


@pytest.mark.parametrize("form", ["text", "json"])
async def test_only_the_beginning_of_a_long_path_is_logged(form: Literal["text", "json"]) -> None:
    asked = ended(path=f"/v1/{'x' * 60_000}")
    [line] = await written(form, asked)
    assert f"/v1/{'x' * (LONGEST - 4)}…" in (json.loads(line)["path"] if form == "json" else line)
    assert len(line) < LONGEST + 300


@pytest.mark.parametrize(
    ("ended_as", "outcome"),
    [
        ({"status": 399}, "ok"),
        ({"status": 400}, "failed"),
        ({"error": RateLimited("slow down")}, "failed"),
        ({"status": 500, "disconnected": True}, "disconnected"),
    ],
)
async def test_the_outcome_is_that_of_the_client(ended_as: dict[str, Any], outcome: str) -> None:
    [line] = await written("json", ended(**ended_as))
    assert json.loads(line)["outcome"] == outcome


async def test_facts_that_are_unknown_are_not_in_the_line() -> None:
    [line] = await written("json", ended(client="", status=0))
    assert json.loads(line).keys() == {
        *("time", "level", "request_id", "method", "path", "outcome", "milliseconds", "bytes"),
    }


async def test_an_error_is_quoted_in_one_line_without_secrets() -> None:
    secrecy.register("sk-acme-1234567890")
    [line] = await written("text", ended(status=429, error=RateLimited('the key "sk-acme-1234567890"\nis slow')))
    assert line.partition(" error=")[2] == r'"RateLimited: the key \"…\"\nis slow"'


async def test_lines_of_a_later_second_have_its_time() -> None:
    lines = await written("text", ended(), ended(at=AT + 1), ended(at=AT + 1.5))
    clocks = [strftime("%H:%M:%S", localtime(at)) for at in (AT, AT + 1, AT + 1)]
    assert [line.split(" ")[1].partition(",")[0] for line in lines] == clocks
    assert [line.split(" ")[1].partition(",")[2] for line in lines] == ["250", "250", "750"]
