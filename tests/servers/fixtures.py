"""Session fixtures for real servers, loaded by `pytest_plugins = ["tests.servers.fixtures"]` in tests/conftest.py.

Each pytest-xdist worker runs its own servers (half a second, about 60 MB each), so no test sees the requests of
another. The model's files and npm's packages take longer; they are built once and shared (cache.py). If the machine
cannot run a server, its tests are skipped with the reason.
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
    """Folder for the servers' output, to read after a failure."""
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def llamacpp(server_logs: Path) -> Iterator[LlamaServer]:
    """llama.cpp with the tiny model, which outputs `tests.servers.SENTENCE`."""
    with skipping_where_unavailable(), llama_server(server_logs / "llamacpp.log") as server:
        yield server


@pytest.fixture(scope="session")
def llamacpp_thinking(server_logs: Path) -> Iterator[LlamaServer]:
    """The same, with the reasoning `tests.servers.THOUGHT` before it."""
    with skipping_where_unavailable(), llama_server(server_logs / "llamacpp_thinking.log", think=True) as server:
        yield server


@pytest.fixture(scope="session")
def llamacpp_embedding(server_logs: Path) -> Iterator[LlamaServer]:
    """The tiny model, which makes embeddings: vectors of zeros."""
    with skipping_where_unavailable(), llama_server(server_logs / "llamacpp_embedding.log", embed=True) as server:
        yield server


@pytest.fixture(scope="session")
def llamacpp_locked(server_logs: Path) -> Iterator[LlamaServer]:
    """The same as `llamacpp`, but it requires its `api_key`."""
    log = server_logs / "llamacpp_locked.log"
    with skipping_where_unavailable(), llama_server(log, api_key="sk-tiny-secret") as server:
        yield server


@pytest.fixture(scope="session")
def aimock_process(server_logs: Path) -> Iterator[Aimock]:
    with skipping_where_unavailable(), aimock_server(server_logs / "aimock.log") as server:
        yield server


@pytest.fixture
def aimock(aimock_process: Aimock) -> Aimock:
    """aimock with the responses of aimock.json, and an empty journal for each test."""
    aimock_process.forget()
    return aimock_process


@pytest.fixture(scope="session")
def oidc_process(server_logs: Path) -> Iterator[OidcProvider]:
    with skipping_where_unavailable(), oidc_provider(server_logs / "oidc.log") as server:
        yield server


@pytest.fixture(params=["oidc-provider", "Authlib"])
def login_server(request: pytest.FixtureRequest) -> "Iterator[OidcProvider | AuthlibServer]":
    """Each third-party login server with a device flow."""
    if request.param == "oidc-provider":
        yield request.getfixturevalue("oidc_process")
    else:
        from tests.servers.authlib_server import authlib_server  # Authlib takes a tenth of a second to import

        with authlib_server() as server:
            yield server
