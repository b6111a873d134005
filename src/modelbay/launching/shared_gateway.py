"""The gateway that launches share: found running, or started as a process of its own, which ends after its last agent."""

import hmac
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import sleep
from urllib.parse import urlsplit

from msgspec import Struct

from modelbay import threads
from modelbay.config.schema import Config
from modelbay.credentials.approval import Approval
from modelbay.errors import ConfigError, ModelbayError
from modelbay.gateway.proof import PATH, proof, state_of
from modelbay.json_text import decode
from modelbay.launching.held_file import HeldFile
from modelbay.launching.launches import Launches, LaunchesChange, RunningGateway
from modelbay.logs import LOG
from modelbay.origin import origin
from modelbay.secrecy import Hidden
from modelbay.transport import Request, Transport
from modelbay.transport.fetch import Fetching, fetch

LOOK = 1.0
"""Seconds between two checks of a gateway whether an agent still uses it."""
PATIENCE = 60.0
"""Seconds to wait for the answer of a gateway, which may just be starting."""
ENDING = 10.0
"""Seconds to wait for the end of a gateway that could not start, and for its error."""
_SHOWN = 2_000
"""Maximum characters of the log of a gateway that could not start."""


class GatewayStart(Struct, frozen=True):
    """The configuration and approvals that a gateway is started with."""

    config: Config
    file: Path | None
    """The file of --config."""
    approvals: Sequence[Approval]
    """The references that --allow-reference allows. A gateway that is started with some is not shared."""


def found(change: LaunchesChange, how: GatewayStart, key: Hidden) -> RunningGateway | None:
    """A running gateway with this version, configuration and key, which it proves. The key is not sent."""
    if how.approvals:
        return None
    shared = (gateway for gateway in change.gateways() if gateway.shared)
    return next((gateway for gateway in shared if is_proved(gateway.url, how.config, key)), None)


def is_proved(url: str, config: Config, key: Hidden) -> bool:
    """Whether the server at a URL has the key and the configuration."""
    challenge = secrets.token_hex(32)
    expected = proof(key, challenge, urlsplit(url).port or 80, state_of(config))
    return hmac.compare_digest(threads.run(_answer(url, challenge)).encode(errors="replace"), expected.encode())


async def _answer(url: str, challenge: str) -> str:
    request = Request("GET", f"{url}{PATH}?challenge={challenge}", {"Accept": "application/json"})
    with suppress(ModelbayError):
        async with Transport() as transport:
            got = await fetch(transport, request, Fetching(trusted=[origin(url)], seconds=PATIENCE, redirects=0))
        body = decode(got.body)
        if got.status == 200 and isinstance(body, dict):
            return str(body.get("proof"))
    return ""


def start(change: LaunchesChange, id: str, how: GatewayStart, key: Hidden, port: int = 0) -> RunningGateway:
    """Start a gateway, and wait until it answers. `port`: 0 for a free one.

    Raises:
        ConfigError: it did not start. The message has its error.
    """
    log = change.log_of(id)
    # -P: a folder `modelbay` in the working directory is not the program
    command = [sys.executable, "-P", "-m", "modelbay"]
    if how.file is not None:
        command += ["--config", str(how.file.absolute())]
    for approval in how.approvals:
        command += ["--allow-reference", "=".join(approval)]
    command += ["serve", "--port", str(port), "--host", "127.0.0.1", "--for-launches", id]
    log.unlink(missing_ok=True)  # of a process that ended
    with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as output:
        process = subprocess.Popen(
            command,
            cwd=log.parent,  # not the user's folder, which it would keep in use
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            # Ctrl-C in the terminal, and its end, must not reach it: other agents may use it
            start_new_session=True,
            creationflags=0x00000008 | 0x08000000 if sys.platform == "win32" else 0,  # detached, without a window
        )
    assert process.stdout is not None
    try:
        with process.stdout as lines:
            url = lines.readline().decode().strip()
        if url and is_proved(url, how.config, key):
            return RunningGateway(id, url, launched=True, shared=not how.approvals)
    except BaseException:
        process.kill()
        process.wait()
        raise
    with suppress(subprocess.TimeoutExpired):  # a gateway that does not answer is ending
        process.wait(ENDING)
    process.terminate()
    why = "its configuration is not the one that was read" if process.wait() == -signal.SIGTERM else _error_in(log)
    raise ConfigError(f"the gateway did not start: {why}", hint="run `modelbay serve` to see its messages")


def _error_in(log: Path) -> str:
    """The error in the log of a gateway that did not start."""
    text = log.read_bytes().decode(errors="replace").strip()[-_SHOWN:]
    _, mark, error = text.rpartition("error: ")
    return error.partition("\n\nhint:")[0].strip() if mark else text or "it ended without a message"


@contextmanager
def known_to_launches(url: str, id: str | None, *, shared: bool) -> Iterator[None]:
    """Make the gateway of this process known to launches in the block. `id`: the ID that a launcher gave it, and then it ends
    after the last agent; None if a person started it. `shared`: whether every launch may use it."""
    with _terminated_at_the_end(), _registered(url, id, shared=shared):
        yield


@contextmanager
def _terminated_at_the_end() -> Iterator[None]:
    """Delay the effect of SIGTERM until the block has been left. The server sends the signal to itself again when it has ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except _Terminated:
        signal.signal(signal.SIGTERM, before)
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


class _Terminated(BaseException):
    """SIGTERM was received."""


def _terminate(number: int, frame: object) -> None:
    raise _Terminated


@contextmanager
def _registered(url: str, id: str | None, *, shared: bool) -> Iterator[None]:
    launches = Launches()
    record: HeldFile | None = None
    if id is not None:  # also without a record: launcher and folder may be gone before it can be written
        threading.Thread(target=_end_when_unused, args=(launches, id), daemon=True).start()
    try:
        if id is not None:  # the launcher holds the lock until the gateway answers
            record = LaunchesChange(launches.folder).register(RunningGateway(id, url, launched=True, shared=shared))
        elif shared:
            with launches.locked() as change:
                change.sweep()
                record = change.register(RunningGateway(change.new_gateway(), url, launched=False, shared=True))
    except (ConfigError, OSError) as error:  # agents can still use it, but not find it
        LOG.warning("`modelbay launch` will not find this gateway: %s", error)
    try:
        yield
    finally:
        if record is not None:
            record.release()
            record.path.unlink(missing_ok=True)


def _end_when_unused(launches: Launches, id: str) -> None:
    """End this process when no agent uses it any more. Requests in progress are answered."""
    while True:
        sleep(LOOK)
        if not launches.folder.is_dir():
            break
        with suppress(ConfigError, OSError), launches.locked() as change:
            if not change.is_used(id):
                change.unregister(id)  # no launcher can find it any more
                break
    os.kill(os.getpid(), signal.SIGTERM)
