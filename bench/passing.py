"""Cost of passing requests and replies on: as ratios to decoding a request once, and to parsing an event of a reply."""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec

from bench.clock import side_by_side
from bench.table import ratio, table
from modelbay.calling.target import Target, Targets
from modelbay.config.load import parse
from modelbay.dialect import PLAIN
from modelbay.gateway.passing import ClientBody
from modelbay.protocols.codec import codec
from modelbay.reply_secrecy import StreamRedactor
from modelbay.secrecy import register

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


KEYS = (1, 5, 50, 2000)
EVENT = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"wire-1",'
    b'"choices":[{"index":0,"delta":{"content":" hello"},"finish_reason":null}]}\n\n'
)


def redacting() -> Callable[[], object]:
    redactor = StreamRedactor()
    return lambda: redactor.feed(EVENT)


def reading() -> Callable[[], object]:
    parser = codec("openai_chat").stream_parser(PLAIN)
    return lambda: parser.feed(EVENT)


def report() -> str:
    return requests() + "\n" + streams()


def streams() -> str:
    cells, known = [], 0
    for count in KEYS:
        for number in range(known, count):
            register(f"sk-bench-{number:040}")
        known = count
        redacted, read = side_by_side([redacting(), reading()])
        cells.append(ratio(redacted, read))
    head = [f"{count} keys" for count in KEYS]
    return table("An event in which known keys are looked for, to parsing it", ["", *head], [["one event", *cells]])


def requests() -> str:
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
