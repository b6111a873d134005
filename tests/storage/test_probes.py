"""Results of provider tests survive later tests, other programs and damage of their file."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelbay.errors import ConfigError
from modelbay.storage.probes import Observation, ProbedEndpoint, ProbeStore

HERE = ProbedEndpoint("acme", "https://acme.example/v1", "openai_chat", "large")
YES, NO, UNKNOWN = Observation("yes", 1.0), Observation("no", 2.0, "status 400"), Observation("unknown", 3.0)


@pytest.fixture
def store(tmp_path: Path) -> ProbeStore:
    return ProbeStore(tmp_path / "probes.json")


def test_results_are_those_of_one_endpoint(store: ProbeStore):
    store.add(HERE, "large", {"tools": YES})
    again = ProbeStore(store.path)
    found = again.at(HERE)
    assert found is not None and found.checks == {"tools": YES} and found.when == 1.0
    for other in (
        ProbedEndpoint("acme", "https://acme.example/v2", "openai_chat", "large"),
        ProbedEndpoint("acme", "https://acme.example/v1", "anthropic", "large"),
        ProbedEndpoint("acme", "https://acme.example/v1", "openai_chat", "small"),
        ProbedEndpoint("other", "https://acme.example/v1", "openai_chat", "large"),
    ):
        assert again.at(other) is None


def test_only_the_owner_can_read_the_file(store: ProbeStore):
    store.add(HERE, "large", {"tools": YES})
    assert store.path.stat().st_mode & 0o077 == 0


def test_an_unknown_result_does_not_replace_an_observed_one(store: ProbeStore):
    store.add(HERE, "large", {"tools": YES, "images": UNKNOWN})
    store.add(HERE, "large", {"tools": UNKNOWN, "images": NO, "cache": UNKNOWN})
    found = store.at(HERE)
    assert found is not None
    assert found.checks == {"tools": YES, "images": NO, "cache": UNKNOWN}
    store.add(HERE, "large", {"tools": NO})
    found = store.at(HERE)
    assert found is not None and found.checks["tools"] == NO


def test_a_test_at_a_new_endpoint_replaces_that_at_the_old_one(store: ProbeStore):
    store.add(HERE, "large", {"tools": YES})
    new = ProbedEndpoint("acme", "https://acme.example/v2", "openai_chat", "large")
    store.add(new, "large", {"tools": NO})
    assert [record.endpoint for record in store.of("acme")] == [new]


def test_deleting_the_results_of_a_provider_leaves_the_others(store: ProbeStore):
    other = ProbedEndpoint("other", "https://other.example/v1", "openai_chat", "large")
    store.add(HERE, "large", {"tools": YES})
    store.add(other, "large2", {"tools": YES})
    assert (store.forget("acme"), store.forget("acme")) == (1, 0)
    assert (store.at(HERE), store.at(other) is None) == (None, False)


def test_a_copy_has_the_same_results(store: ProbeStore):
    store.add(HERE, "acme/large", {"tools": YES})
    store.copy("acme", "copy")
    (found,) = store.of("copy")
    assert (found.name, found.checks, found.endpoint.base_url) == ("copy/large", {"tools": YES}, HERE.base_url)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"records": 5}', b'{"records": [{"endpoint": {}}]}', b"\xff"])
def test_a_damaged_file_has_no_results_and_is_replaced(store: ProbeStore, content: bytes):
    store.path.write_bytes(content)
    assert store.at(HERE) is None
    store.add(HERE, "large", {"tools": YES})
    assert ProbeStore(store.path).at(HERE) is not None


def test_a_folder_in_its_place_is_reported_when_results_are_stored(store: ProbeStore):
    store.path.mkdir()
    assert store.at(HERE) is None
    with pytest.raises(ConfigError):
        store.add(HERE, "large", {"tools": YES})


def test_two_programs_keep_both_results(store: ProbeStore):
    def add(number: int) -> None:
        endpoint = ProbedEndpoint("acme", HERE.base_url, "openai_chat", f"m{number}")
        ProbeStore(store.path).add(endpoint, f"m{number}", {"tools": YES})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(8)))
    assert len(store.of("acme")) == 8
