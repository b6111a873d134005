import hypothesis
import pytest

pytest_plugins = ["tests.servers.fixtures"]

hypothesis.settings.register_profile("modelbay", deadline=None)  # a slow machine is no failure
hypothesis.settings.register_profile("soak", deadline=None, max_examples=10_000)
hypothesis.settings.load_profile("modelbay")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
