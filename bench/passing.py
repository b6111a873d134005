"""Cost of passing a request on in its own protocol, as a ratio to decoding its body once."""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec

from bench.clock import side_by_side
from bench.table import ratio, table
from modelbay.config.load import parse
from modelbay.gateway.passing import ClientBody
from modelbay.target import Target, Targets

CONFIG = """
[providers.acme]
type = "openai"
base_url = "https://acme.example/v1"
dialect = { unsupported = ["logprobs"], max_tokens_parameter = "max_completion_tokens" }
[models.one]
provider = "acme"
model = "wire-1"
max_output_size = 8192
"""
SIZES = (1_000, 10_000, 100_000, 1_000_000)


def body(size: int, text: str) -> bytes:
    """A request of about `size` bytes: many messages of a few hundred bytes, as agents send them."""
    message = {"role": "user", "content": [{"type": "text", "text": (text * 400)[:400]}]}
    messages = [message] * max(1, size // len(json.dumps(message, ensure_ascii=False).encode()))
    settings = {"model": "one", "stream": True, "max_tokens": 128_000, "logprobs": True}
    return json.dumps({**settings, "messages": messages}, ensure_ascii=False).encode()


def passing(data: bytes, target: Target) -> Callable[[], object]:
    def run() -> object:
        read = ClientBody(data, target.codec.PASS)
        if read.sealed:
            raise AssertionError("it contains no envelope")
        return read.call(target, "/chat/completions", generates=True, stream=read.stream).encode()

    return run


def decoding(data: bytes) -> Callable[[], object]:
    return lambda: msgspec.json.decode(data)


def report() -> str:
    target = Targets(parse(CONFIG, Path("config.toml"))).find("one")
    rows = []
    for what, text in (("ASCII", 'print("hello")\n'), ("other text", "größer → 漢字 ")):
        cells = []
        for size in SIZES:
            data = body(size, text)
            passed, decoded = side_by_side([passing(data, target), decoding(data)])
            cells.append(ratio(passed, decoded))
        rows.append([what, *cells])
    return table(
        "A request that is passed on, to decoding its body", ["", *[f"{size // 1000} KB" for size in SIZES]], rows
    )
