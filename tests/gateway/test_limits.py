"""Requests in progress, in one process and in several workers."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
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


def test_workers_do_not_wait_for_each_other_while_places_are_free(
    workers: tuple[SharedCounts, SharedCounts], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lock(*_: object) -> None:
        raise AssertionError("a lock is taken")

    monkeypatch.setattr("modelbay.gateway.limits.fcntl.flock", lock)
    one, two = workers
    assert one.enter("aa", 2)
    assert two.enter("aa", 2)
    with pytest.raises(AssertionError, match="a lock is taken"):
        one.enter("aa", 2)


TURNS = """
import mmap, sys
from pathlib import Path
from modelbay.gateway.limits import SharedCounts

folder, worker = Path(sys.argv[1]), int(sys.argv[2])
counts = SharedCounts(folder / "counts", worker, 2)
with (folder / "inside").open("r+b") as file:
    inside = mmap.mmap(file.fileno(), 2)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(40_000):  # ends also if the other one was killed while it was counted
    if counts.enter("aa", 1):
        inside[worker] = 1
        assert not inside[1 - worker], "two are inside"
        inside[worker] = 0
        counts.leave("aa")
"""


def test_workers_that_count_at_the_same_time_never_exceed_the_limit(tmp_path: Path) -> None:
    SharedCounts.create(tmp_path / "counts", 2)
    (tmp_path / "inside").write_bytes(bytes(2))
    with ExitStack() as stack:
        both = [stack.enter_context(_process(tmp_path, worker)) for worker in range(2)]
        for process in both:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in both:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        errors = [process.communicate()[1] for process in both]
    assert errors == ["", ""]


def _process(folder: Path, worker: int) -> "subprocess.Popen[str]":
    words = [sys.executable, "-c", TURNS, str(folder), str(worker)]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
