"""Logs contain every request and response, and no secret."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelbay import Hub, logs
from modelbay.errors import ModelbayError
from modelbay.events import Finished
from modelbay.simulator import Simulator
from tests.fault_config import KEY, NAMES, hub_config
from tests.pages import ROOT


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with Simulator(key=KEY) as simulator:
        yield simulator


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, logger="modelbay")
    return caplog


async def test_a_call_is_two_lines_and_its_end(sim: Simulator, tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    async with Hub.open(hub_config(tmp_path, sim.url)) as hub:
        await hub.complete("Say hello", model="openai_chat/sim-1")
    sent, answered, ended = [record.getMessage() for record in log.records if record.name == "modelbay"]
    assert sent.startswith(f"→ POST {sim.url}/v1/chat/completions (openai_chat, ")
    assert "\n    Authorization: …" in sent
    assert "\n    Content-Type: application/json" in sent
    assert answered.startswith("← 200 after 0.")
    assert "content-type: application/json" in answered
    assert ended.startswith("the reply ended after 0.")
    assert ended.endswith(": stop")


async def test_the_end_of_a_stream_is_logged_after_its_events_were_used(
    sim: Simulator, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("modelbay.test")
    async with Hub.open(hub_config(tmp_path, sim.url)) as hub:
        async for event in hub.stream("Say hello", model="openai_chat/sim-1"):
            logger.debug(type(event).__name__)
    assert [record.getMessage() for record in log.records][-2] == "Finished"
    assert log.records[-1].getMessage().startswith("the reply ended after 0.")


async def test_the_end_of_a_stream_that_is_left_at_its_last_event_is_logged(
    sim: Simulator, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    async with (
        Hub.open(hub_config(tmp_path, sim.url)) as hub,
        hub.stream("Say hello", model="openai_chat/sim-1") as stream,
    ):
        async for event in stream:
            if isinstance(event, Finished):
                break
        assert "the reply ended" not in log.text
        await stream.aclose()
        assert "the reply ended after 0." in log.text


async def test_retries_and_failures_are_lines_too(
    sim: Simulator, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    async with Hub.open(hub_config(tmp_path, sim.url)) as hub:
        await hub.complete("Say hello", model="anthropic/sim-1!429=0*1")
        with pytest.raises(ModelbayError):
            await hub.complete("Say hello", model="anthropic/sim-1!cut-before")
    assert "← 429 after" in log.text
    assert "retrying in" in log.text and "(attempt 2 of 4)" in log.text
    assert "← no response after" in log.text
    assert ": Disconnected: " in log.text


@pytest.mark.parametrize("protocol", NAMES)
async def test_no_line_has_a_secret(
    sim: Simulator, tmp_path: Path, protocol: str, log: pytest.LogCaptureFixture
) -> None:
    more = f'\n[providers.{protocol}.custom_headers]\nX-Team = "team-password-1"\nX-Title = "my application"\n'
    async with Hub.open(hub_config(tmp_path, sim.url, more=more)) as hub:
        async for _ in hub.stream(f"Say {KEY}", model=f"{protocol}/sim-1"):
            pass
    assert "X-Team: …" in log.text
    assert "X-Title: my application" in log.text
    assert KEY not in log.text
    assert "team-password-1" not in log.text
    try:
        raise ValueError(f"the key is {KEY}")
    except ValueError:
        logs.LOG.exception("with %s", KEY)
    assert "ValueError: the key is …" in log.text
    assert KEY not in log.text


async def test_no_log_text_is_built_if_logging_is_off(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_HeaderLines", None)
    async with Hub.open(hub_config(tmp_path, sim.url)) as hub:
        await hub.complete("Say hello", model="openai_chat/sim-1")


async def test_insecure_tls_is_warned_of_at_every_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        Hub.open(hub_config(tmp_path, "https://localhost:1", more="tls = { insecure = true }\n"))
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert warnings[0].getMessage().startswith("providers.google has tls.insecure = true: certificates are not checked")


async def test_embeddings_are_logged_without_the_texts(
    sim: Simulator, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    async with Hub.open(hub_config(tmp_path, sim.url)) as hub:
        await hub.embed(["a private text", f"key {KEY}"], model="openai_chat/sim-1!429=0*1")
    assert f"→ POST {sim.url}/v1/embeddings (openai_chat, " in log.text
    assert "retrying in" in log.text
    assert "private" not in log.text
    assert KEY not in log.text


def test_the_guide_has_every_logger_and_level() -> None:
    source = Path(logs.__file__).parent
    text = "\n".join(file.read_text() for file in source.rglob("*.py"))
    names = set(re.findall(r'getLogger\("(modelbay[.\w]*)"\)', text))
    guide = (ROOT / "docs" / "guides" / "python.md").read_text()
    assert names == set(re.findall(r"^\| `(modelbay[.\w]*)` \| `[A-Z]+`", guide, re.MULTILINE))
