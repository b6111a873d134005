import os
import signal

import hypothesis
import pytest

for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):  # the developer's own, also for processes of tests
    os.environ.pop(name, None)
    os.environ.pop(name.lower(), None)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background process, and its children
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # under nohup
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

pytest_plugins = ["tests.servers.fixtures"]

hypothesis.settings.register_profile("modelbay", deadline=None)  # a slow machine is not a failure
hypothesis.settings.register_profile("soak", deadline=None, max_examples=10_000)
hypothesis.settings.load_profile("modelbay")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
