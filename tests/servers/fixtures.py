"""Session fixtures for real servers. `pytest_plugins = ["tests.servers.fixtures"]` in tests/conftest.py offers them.

Each pytest-xdist worker that asks for a server runs its own (half a second, some 60 MB), so no test sees another's
requests; what takes longer, the model's files and npm's packages, is made once and shared (cache.py). A server that the
machine cannot run skips its tests and says why.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.servers.aimock import Aimock, aimock_server
from tests.servers.llamacpp import LlamaServer, llama_server
from tests.servers.oidc import OidcProvider, oidc_provider
from tests.servers.process import Unavailable

if TYPE_CHECKING:
    from tests.servers.authlib_server import AuthlibServer


@contextmanager
def skipping_where_unavailable() -> Iterator[None]:
    try:
        yield
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def server_logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the servers' output goes, for a look after a failure."""
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def llamacpp(server_logs: Path) -> Iterator[LlamaServer]:
    """llama.cpp with the tiny model, which says `tests.servers.SENTENCE`."""
    with skipping_where_unavailable(), llama_server(server_logs / "llamacpp.log") as server:
        yield server


@pytest.fixture(scope="session")
def llamacpp_thinking(server_logs: Path) -> Iterator[LlamaServer]:
    """The same, but it first thinks `tests.servers.THOUGHT`."""
    with skipping_where_unavailable(), llama_server(server_logs / "llamacpp_thinking.log", think=True) as server:
        yield server


@pytest.fixture(scope="session")
def llamacpp_locked(server_logs: Path) -> Iterator[LlamaServer]:
    """The same as `llamacpp`, but it wants its `api_key`."""
    log = server_logs / "llamacpp_locked.log"
    with skipping_where_unavailable(), llama_server(log, api_key="sk-tiny-secret") as server:
        yield server


@pytest.fixture(scope="session")
def aimock_process(server_logs: Path) -> Iterator[Aimock]:
    with skipping_where_unavailable(), aimock_server(server_logs / "aimock.log") as server:
        yield server


@pytest.fixture
def aimock(aimock_process: Aimock) -> Aimock:
    """aimock with the answers of aimock.json, and an empty journal for each test."""
    aimock_process.forget()
    return aimock_process


@pytest.fixture(scope="session")
def oidc_process(server_logs: Path) -> Iterator[OidcProvider]:
    with skipping_where_unavailable(), oidc_provider(server_logs / "oidc.log") as server:
        yield server


@pytest.fixture(params=["oidc-provider", "Authlib"])
def login_server(request: pytest.FixtureRequest) -> "Iterator[OidcProvider | AuthlibServer]":
    """A login server that is not ours, with a device flow: each of those we have."""
    if request.param == "oidc-provider":
        yield request.getfixturevalue("oidc_process")
    else:
        from tests.servers.authlib_server import authlib_server  # Authlib takes a tenth of a second to import

        with authlib_server() as server:
            yield server
