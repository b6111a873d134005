import gc
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from modelbay import secrecy
from modelbay.calling import next_attempt
from tests import bundled_list

for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):  # the developer's own, also for processes of tests
    os.environ.pop(name, None)
    os.environ.pop(name.lower(), None)

# Container images set this variable. Every worker would rewrite the asserts of all tests, and every process of a test would
# compile what it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

for name in ("SIGHUP", "SIGINT", "SIGQUIT"):
    # nohup and a shell's `&` start pytest with ignored signals. Processes of tests would inherit that and not end at Ctrl-C.
    # A handler is not inherited, so they get the default.
    if (number := getattr(signal, name, None)) and signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)

MEMORY = Path("/dev/shm")
if "TMPDIR" not in os.environ and MEMORY.is_dir():
    # Every written configuration, and every row of a database, waits for the disk: in memory such a test takes half as long.
    found = os.statvfs(MEMORY)
    if not found.f_flag & os.ST_NOEXEC and found.f_bavail * found.f_frsize > 2**31:  # a container may have only 64 MB
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

pytest_plugins = ["tests.servers.fixtures"]

SLOW = [hypothesis.HealthCheck.too_slow]
"""A slow machine is not a failure."""
hypothesis.settings.register_profile("modelbay", deadline=None, suppress_health_check=SLOW)
hypothesis.settings.register_profile("soak", deadline=None, suppress_health_check=SLOW, max_examples=10_000)
hypothesis.settings.load_profile("modelbay")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Two more than processors, because tests wait: for limits that they reach, for retries, and for processes to end. The slowest
    ones wait for half of their time. Each worker needs 1 GB of memory."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return 2 + (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collected tests stay until the end: each search for garbage among them takes half a second."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()
        gc.set_threshold(700, 10, 100)  # the modules that tests import stay, too


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True, scope="module")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Tests without a home of their own do not share the developer's: other runs use it at the same time, and state of one
    conversation that two of them hold there is that of another model."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODELBAY_HOME", str(home))
        yield home


@pytest.fixture(autouse=True)
def own_cache(own_home: Path) -> Iterator[None]:
    """Nothing is known of a server that has the port of an earlier one."""
    yield
    shutil.rmtree(own_home / "cache", ignore_errors=True)


@pytest.fixture(autouse=True)
def own_secrets() -> Iterator[None]:
    """Secrets of one test are not masked in the messages of the next: the registry belongs to the process."""
    before = dict(secrecy._known)
    yield
    if secrecy._known != before:
        secrecy._known.clear()
        secrecy._known.update(before)
        secrecy._forms = None


@pytest.fixture(autouse=True, scope="session")
def one_index() -> Iterator[None]:
    with bundled_list.shared():
        yield


@pytest.fixture(autouse=True, scope="session")
def shortest_pauses() -> Iterator[None]:
    """The pause before a retry is random, from 0 s: tests do not wait longer than a provider asks for. The rule for pauses is
    tested in `routing/test_retry.py`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(next_attempt, "random", float)
        yield
