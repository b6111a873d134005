"""Counts of input tokens that the gateway gives its clients: exact after earlier replies."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelbay.simulator import Simulator
from tests.gateway.running import RunningGateway, running
from tests.gateway.test_app import call


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[RunningGateway, Simulator]]:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    with running(tmp_path, key="sk-provider") as found:
        yield found


def messages(model: str, *texts: str) -> dict[str, Any]:
    turns = [{"role": ("user", "assistant")[index % 2], "content": text} for index, text in enumerate(texts)]
    return {"model": model, "max_tokens": 99, "system": "You know the tides. " * 40, "messages": turns}


def prompt_tokens(usage: dict[str, Any]) -> int:
    return int(usage.get("prompt_tokens") or usage["input_tokens"] + usage.get("cache_read_input_tokens", 0))


async def streamed(gateway: RunningGateway, body: dict[str, Any]) -> tuple[int, int]:
    """The input tokens at the start and at the end of a stream."""
    status, _, data = await call(gateway.url, "/v1/messages", body | {"stream": True})
    assert status == 200
    events = [json.loads(line[6:]) for line in data.decode().splitlines() if line.startswith("data: ")]
    usages = [event.get("usage") or event.get("message", {}).get("usage") or {} for event in events]
    found = [prompt_tokens(usage) for usage in usages if usage]
    return found[0], found[-1]


async def test_a_stream_begins_with_the_provider_s_count_of_a_known_conversation(
    gateway: tuple[RunningGateway, Simulator],
) -> None:
    first = messages("openai_chat", "The tide?")
    await streamed(gateway[0], first)
    begun, known = await streamed(gateway[0], first)
    assert begun == known
    begun, counted = await streamed(gateway[0], messages("openai_chat", "The tide?", "High.", "And tomorrow?"))
    assert counted > known
    assert begun == pytest.approx(counted, abs=counted - known), "only the new messages are estimated"


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
async def test_a_count_is_exact_after_a_reply(gateway: tuple[RunningGateway, Simulator], path: str) -> None:
    """Passed on as bytes, or translated and not streamed: a reply is read if a client asked for a count before."""
    body = messages("openai_chat", "The tide?")
    if path == "/v1/chat/completions":
        body["messages"] = [{"role": "system", "content": body.pop("system")}, *body["messages"]]

    async def count() -> int:
        asked = messages("openai_chat", "The tide?")
        status, headers, data = await call(gateway[0].url, "/v1/messages/count_tokens", asked)
        assert (status, headers["x-modelbay-estimated"]) == (200, "true")
        return json.loads(data)["input_tokens"]  # type: ignore[no-any-return]

    await count()
    status, _, data = await call(gateway[0].url, path, body)
    usage = json.loads(data)["usage"]
    assert status == 200
    assert await count() == prompt_tokens(usage)
