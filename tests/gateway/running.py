"""A gateway in a thread, with the simulator as providers of all protocols."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from openai import OpenAI

from modelbay.config.load import load
from modelbay.gateway.access_log import AccessLog
from modelbay.gateway.app import GatewayApp
from modelbay.gateway.clients import ClientKeys
from modelbay.gateway.gateway import Gateway
from modelbay.gateway.limits import OneProcess
from modelbay.serving.server import HttpServer, listen, url_of
from modelbay.simulator import Simulator

KEY = "sk-mb-key-of-the-tests-0123456789"
PROTOCOLS = ("openai_chat", "openai_responses", "anthropic", "google")
TYPES = {
    "openai_chat": ("openai", "/v1"),
    "openai_responses": ("openai_responses", "/v1"),
    "anthropic": ("anthropic", ""),
    "google": ("google-genai", ""),
}


def config_text(url: str, model: str = "sim-1", settings: str = "") -> str:
    """A provider of each protocol at one server; its model has the protocol's name."""
    lines = ["[gateway]", settings]
    for protocol, (kind, base) in TYPES.items():
        lines += [f"[providers.{protocol}]", f'type = "{kind}"', f'base_url = "{url}{base}"', 'api_key = "sk-provider"']
        lines += [f"[models.{protocol}]", f'provider = "{protocol}"', f'model = "{model}"']
    return "\n".join(lines) + "\n"


class RunningGateway:
    """A gateway that serves from `with` to its end."""

    def __init__(
        self, config: Path, *, drain: float = 0.0, host: str = "127.0.0.1", clients: ClientKeys | None = None
    ) -> None:
        self.config = config
        self.clients = clients or ClientKeys(config.parent / "clients.json")
        self.gateway = Gateway(load(config, trusted=True), host, self.clients)
        app = GatewayApp(self.gateway, AccessLog(), OneProcess())
        listener = listen(host, 0)
        self.url = url_of(host, listener.getsockname()[1])
        self.server = HttpServer(app, listener, drain=drain)

    def __enter__(self) -> Self:
        self.clients.add("tests", KEY)
        self.server.start()
        return self

    def openai(self, key: str = KEY) -> OpenAI:
        """A client of OpenAI's SDK."""
        return OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.stop()


@contextmanager
def running(
    folder: Path, *, model: str = "sim-1", settings: str = "", more: str = "", **simulator: Any
) -> Iterator[tuple[RunningGateway, Simulator]]:
    """A gateway over a simulator."""
    with Simulator(**simulator) as upstream:
        config = folder / "config.toml"
        config.write_text(config_text(upstream.url, model, settings) + more)
        with RunningGateway(config) as gateway:
            yield gateway, upstream


@contextmanager
def running_at_home(folder: Path, *, keeps: bool = False, **options: Any) -> Iterator[tuple[RunningGateway, Simulator]]:
    """A gateway whose home is `folder`: it finds no state of others. `keeps`: its provider of Responses keeps responses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODELBAY_HOME", str(folder))
        more = "[providers.openai_responses.dialect]\nkeeps_responses = true\n" if keeps else ""
        with running(folder, key="sk-provider", more=more, **options) as found:
            yield found
