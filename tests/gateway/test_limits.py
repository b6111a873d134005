"""Requests in progress, in one process and in several workers."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from modelbay.gateway.limits import InProgress, OneProcess, SharedCounts


@pytest.fixture(params=["one process", "workers"])
def counts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[InProgress]:
    if request.param == "one process":
        yield OneProcess()
    else:
        SharedCounts.create(tmp_path / "counts", 2)
        with closing(SharedCounts(tmp_path / "counts", 0, 2)) as shared:
            yield shared


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[tuple[SharedCounts, SharedCounts]]:
    SharedCounts.create(tmp_path / "counts", 2)
    with (
        closing(SharedCounts(tmp_path / "counts", 0, 2)) as one,
        closing(SharedCounts(tmp_path / "counts", 1, 2)) as two,
    ):
        yield one, two


def test_a_client_has_as_many_as_its_limit(counts: InProgress) -> None:
    assert [counts.enter("aa", 2) for _ in range(3)] == [True, True, False]
    counts.leave("aa")
    assert counts.enter("aa", 2)


def test_clients_do_not_share_a_limit(counts: InProgress) -> None:
    assert counts.enter("00000001", 1)
    assert counts.enter("00000002", 1)
    assert not counts.enter("00000001", 1)


def test_workers_share_a_limit(workers: tuple[SharedCounts, SharedCounts]) -> None:
    one, two = workers
    assert one.enter("aa", 2)
    assert two.enter("aa", 2)
    assert not one.enter("aa", 2)
    two.leave("aa")
    assert one.enter("aa", 2)


def test_the_requests_of_a_killed_worker_end_when_its_successor_starts(
    workers: tuple[SharedCounts, SharedCounts], tmp_path: Path
) -> None:
    one, killed = workers
    assert killed.enter("aa", 1)
    assert not one.enter("aa", 1)
    with closing(SharedCounts(tmp_path / "counts", 1, 2)):
        assert one.enter("aa", 1)
