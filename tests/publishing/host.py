"""A provider's host on loopback that publishes the documents of a test, valid or not."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from msgspec import Struct, field

from tests.servers.loopback import JSON, Handler, served

KEY = "sk-planted-0123456789abcdef"
MODELS = {
    "acme/large": {
        "id": "acme/large",
        "name": "Acme Large",
        "attachment": True,
        "reasoning": True,
        "temperature": True,
        "tool_call": True,
        "release_date": "2025-08-21",
        "last_updated": "2025-08-21",
        "modalities": {"input": ["text", "image"], "output": ["text"]},
        "open_weights": False,
        "cost": {"input": 0.5, "output": 1.5},
        "limit": {"context": 128000, "output": 4096},
    },
    "acme/small": {
        "id": "acme/small",
        "name": "Acme Small",
        "attachment": False,
        "reasoning": False,
        "temperature": True,
        "tool_call": True,
        "release_date": "2025-02",
        "last_updated": "2025-08-21",
        "modalities": {"input": ["text"], "output": ["text"]},
        "open_weights": True,
        "cost": {"input": 0, "output": 0},
        "limit": {"context": 32000, "output": 4096},
    },
}
STREAM = """\
data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"acme/large","choices":[{"index":0,"delta":\
{"role":"assistant","content":"ready"},"finish_reason":null}]}

data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"acme/large","choices":[{"index":0,"delta":{},\
"finish_reason":"stop"}]}

data: [DONE]

"""


class Page(Struct):
    """A response. `wait` is called before it is sent."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))
    wait: Callable[[], object] | None = None

    @property
    def data(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body, ensure_ascii=False).encode()


class Host:
    """Valid at first. `manifest`, `models` and `list` are its documents; `pages` has other responses by target."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.reset()

    def reset(self) -> None:
        self.manifest: Any = {
            "name": "Acme",
            "website": "https://acme.example",
            "baseUrl": f"{self.url}/v1",
            "models_data_source": "endpoint",
        }
        self.models: Any = json.loads(json.dumps(MODELS))
        self.list: Any = {
            "object": "list",
            "data": [{"id": id, "object": "model", "created": 1755734400, "owned_by": "acme"} for id in MODELS],
        }
        self.pages: dict[str, Page] = {}
        self.chat = Page(STREAM.encode(), headers={"content-type": "text/event-stream"})
        self.keys: list[str | None] = []
        """The Authorization header of each call."""

    @property
    def address(self) -> str:
        return f"{self.url}/v1/models?provider=true"

    def page(self, target: str) -> Page:
        if target in self.pages:
            return self.pages[target]
        match target:
            case "/v1/models?provider=true":
                return Page(self.manifest)
            case "/v1/models?extended=true":
                return Page({"models": self.models})
            case "/v1/models":
                return Page(self.list)
        return Page({"error": {"message": "nothing here"}}, 404)


@contextmanager
def host() -> Iterator[Host]:
    class Answering(Handler):
        def do_GET(self) -> None:
            self._give(made.page(self.path))

        def do_POST(self) -> None:
            self.body()
            there = self.path == "/v1/chat/completions"
            self._give(made.chat if there else Page({"error": {"message": "no such path"}}, 404))

        def _give(self, page: Page) -> None:
            made.keys.append(self.headers["authorization"])
            if page.wait is not None:
                page.wait()
            self.answer(page.status, page.data, page.headers)

    with served(Answering) as url:
        made = Host(url)
        yield made
