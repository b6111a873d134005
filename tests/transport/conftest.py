"""Tests that hold for both HTTP clients."""

import pytest

from modelbay.transport import Transport


@pytest.fixture(params=["direct", "aiohttp"])
def either_client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test with the client for direct calls, and with the one for proxies, which is then used for direct calls, too."""
    if request.param == "aiohttp":
        monkeypatch.setattr(Transport, "_client", lambda transport, _: transport._through_proxy())
    return str(request.param)
