"""Mutations of HTTP messages: of their lines, headers, framing and bodies, and of their bytes."""

import json
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.fuzzing import damaged

BLANKS = [b" ", b"\t", b"\x0b", b"\x0c", b"\xa0", b"\r", b"\n", b"\0", b""]
JUNK = [
    b"\0",
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b" ",
    b":",
    b",",
    b";",
    b"\xff",
    b"\x7f",
    b"%00",
    b"a" * 300,
    b"0",
    b"-1",
    b'"',
]
LENGTHS = [
    b"0",
    b"1",
    b"-1",
    b"+5",
    b"5 ",
    b"5, 5",
    b"5,6",
    b"0x5",
    b"99999999",
    b"9" * 30,
    b"1e3",
    b"",
    b" ",
    b"05",
    b"5\r\n 5",
]
CODINGS = [
    b"chunked", b"Chunked", b"identity", b"gzip", b"gzip, chunked", b"chunked, gzip", b"chunked, chunked", b" chunked ",
    b"x", b"", b"chunked;a", b"\x0bchunked", b"chunked\0", b"identity, chunked",
]  # fmt: skip
SIZES = [
    b"0", b"-1", b"+1", b"0x1", b" 1", b"1 ", b"g", b"", b"ffffffff", b"f" * 17, b"0" * 20 + b"1", b"1;" + b"a" * 99, b"1\n",
]  # fmt: skip
ENDS = [b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\n", b"\0\r\n", b"", b" \r\n", b"\r\n "]


@dataclass
class Message:
    """A request or a response. `chunks`: the sizes of the pieces of its body; empty: it has a length."""

    first: bytes
    headers: list[bytes]
    body: bytes = b""
    chunks: list[int] = field(default_factory=list)
    length: bytes | None = None
    """The length that is said, if it is not that of the body."""
    trailers: list[bytes] = field(default_factory=list)
    framed: bool = True
    """Whether the message says how long it is."""
    bad: dict[int, tuple[bytes, bytes, bytes]] = field(default_factory=dict)
    """Size, and the ends of the size and of the data, of chunks that are not valid."""
    end: bool = True
    """Whether chunks have their end."""

    def encode(self) -> bytes:
        lines = [self.first, *self.headers]
        if self.framed and self.chunks:
            lines.append(b"Transfer-Encoding: chunked")
        elif self.framed:
            lines.append(b"Content-Length: " + (b"%d" % len(self.body) if self.length is None else self.length))
        head = b"\r\n".join([*lines, b"", b""])
        return head + (self._chunked() if self.chunks else self.body)

    def _chunked(self) -> bytes:
        data, at = b"", 0
        for number, size in enumerate([*self.chunks, len(self.body)]):
            piece = self.body[at : at + size]
            at += size
            if piece:
                said, first, second = self.bad.get(number, (b"%x" % len(piece), b"\r\n", b"\r\n"))
                data += said + first + piece + second
        if self.end:
            data += b"\r\n".join([b"0", *self.trailers, b"", b""])
        return data


def split(choose: Random, message: Message) -> None:
    """Send the body in chunks."""
    message.chunks = [choose.choice([1, 2, 7, 100, 5_000]) for _ in range(choose.randrange(1, 6))]


def headers(choose: Random, message: Message) -> None:
    lines = message.headers
    at = choose.randrange(len(lines) + 1)
    match choose.randrange(9):
        case 0 if lines:
            del lines[at - 1]
        case 1 if lines:
            lines.insert(at, lines[at - 1])
        case 2 if lines:
            name, colon, value = lines[at - 1].partition(b":")
            lines[at - 1] = name + choose.choice(BLANKS) + colon + choose.choice(BLANKS) + value + choose.choice(BLANKS)
        case 3:
            lines.insert(at, b"Transfer-Encoding: " + choose.choice(CODINGS))
        case 4:
            lines.insert(at, b"Content-Length: " + choose.choice(LENGTHS))
        case 5:
            lines.insert(
                at, choose.choice([b"X", b"", b":", b"X y: 1", b" X: 1", b"X: 1\r\n 2", b"X: " + choose.choice(JUNK)])
            )
        case 6:
            lines.insert(at, b"X: " + b"a" * choose.choice([1_000, 30_000, 70_000]))
        case 7:
            lines[at:at] = [b"X%d: a" % number for number in range(choose.choice([10, 200, 3_000]))]
        case _:
            choose.shuffle(lines)


def framing(choose: Random, message: Message) -> None:
    match choose.randrange(8):
        case 0:
            message.chunks = []
            message.length = b"%d" % max(0, len(message.body) + choose.choice([-100, -1, 1, 2, 100]))
        case 1:
            message.chunks = []
            message.length = choose.choice(LENGTHS)
        case 2:
            message.framed = False
        case 3:
            split(choose, message)
            number = choose.randrange(len(message.chunks))
            message.bad[number] = choose.choice(SIZES), choose.choice(ENDS), choose.choice(ENDS)
        case 4:
            split(choose, message)
            message.end = False
        case 5:
            split(choose, message)
            message.trailers = [
                choose.choice([b"X: 1", b"Content-Length: 5", b"X", b"Host: x", b": ", b"X: " + b"a" * 70_000])
            ]
        case 6:
            split(choose, message)
            message.headers.append(b"Content-Length: " + choose.choice(LENGTHS))
        case _:
            split(choose, message)


def body(choose: Random, message: Message) -> None:
    message.body = scrambled(choose, message.body)


def of_json(choose: Random, message: Message) -> None:
    """Change fields of a JSON body."""
    try:
        value: Any = json.loads(message.body)
    except ValueError:
        body(choose, message)
        return
    message.body = json.dumps(damaged(value, choose.randrange)).encode()


def scrambled(choose: Random, data: bytes) -> bytes:
    """Bytes with a few of them changed, removed, repeated or added."""
    for _ in range(choose.choice([1, 1, 1, 2, 5])):
        at = choose.randrange(len(data) + 1)
        size = choose.choice([1, 1, 2, 10, 100])
        match choose.randrange(6):
            case 0:
                data = data[:at] + bytes([choose.randrange(256)]) + data[at + 1 :]
            case 1:
                data = data[:at] + data[at + size :]
            case 2:
                data = data[:at] + data[at : at + size] + data[at:]
            case 3:
                data = data[:at] + choose.choice(JUNK) + data[at:]
            case 4:
                data = data.replace(b"\r\n", choose.choice(ENDS), choose.choice([1, 2, -1]))
            case _:
                data = data[:at] if choose.random() < 0.3 else data[:at] + choose.randbytes(size) + data[at:]
    return data
