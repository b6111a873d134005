"""The blocking Hub, for programs without an event loop."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelbay import collect
from modelbay.errors import UnknownModel
from modelbay.events import PartDelta
from modelbay.sync import Hub
from tests.servers import SENTENCE
from tests.servers.llamacpp import LlamaServer
from tests.test_hub import write_config


@pytest.fixture
def hub(llamacpp: LlamaServer, tmp_path: Path) -> Iterator[Hub]:
    with Hub.open(write_config(tmp_path, llamacpp.url)) as hub:
        yield hub


def test_streams_and_completes_without_an_event_loop(hub: Hub) -> None:
    events = list(hub.stream("Hello", model="chat", temperature=0))
    assert collect(events).text == hub.complete("Hello", model="chat", temperature=0).text == SENTENCE


def test_errors_are_raised_where_they_are_met(hub: Hub) -> None:
    with pytest.raises(UnknownModel):
        hub.complete("Hello", model="nobody")


def test_a_stream_may_be_left_early(hub: Hub) -> None:
    for event in hub.stream("Hello", model="chat"):
        if type(event) is PartDelta:
            break
    assert hub.list_models("chat") == ["tiny"]


def test_many_threads_share_one_hub(hub: Hub) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: hub.complete("Hello", model="chat", temperature=0).text, range(24)))
    assert answers == [SENTENCE] * 24


def test_closing_ends_its_thread_and_may_be_said_twice(llamacpp: LlamaServer, tmp_path: Path) -> None:
    before = threading.active_count()
    hub = Hub.open(write_config(tmp_path, llamacpp.url))
    assert hub.list_models("chat") == ["tiny"]
    assert "modelbay" in {thread.name for thread in threading.enumerate()}
    hub.close()
    hub.close()
    assert threading.active_count() == before
