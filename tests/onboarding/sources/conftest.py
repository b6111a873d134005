from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.site import Site, site


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration file of a separate home."""
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    return tmp_path / "config.toml"


@pytest.fixture(scope="session")
def one_site() -> Iterator[Site]:
    with site() as running:
        yield running


@pytest.fixture
def fresh_site(one_site: Site) -> Site:
    """A site without pages."""
    one_site.reset()
    return one_site
