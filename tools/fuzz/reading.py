"""A strict reader of HTTP responses."""

import re
from typing import NamedTuple

_STATUS = re.compile(rb"HTTP/1\.1 ([1-5]\d\d) [ -~]*")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*")
_SIZE = re.compile(rb"[0-9a-fA-F]{1,8}")


class NotHttp(Exception):
    """The received bytes are not a response."""


class HttpResponse(NamedTuple):
    status: int
    headers: dict[bytes, bytes]
    body: bytes
    whole: bool


def responses(data: bytes) -> list[HttpResponse]:
    """All responses in some bytes, without those of status 100. The last one may have broken off.

    Raises:
        NotHttp: something else is in between.
    """
    found = []
    while data:
        response, data = _next(data)
        if response is None:
            break
        if response.status != 100:
            found.append(response)
    return found


def _next(data: bytes) -> tuple[HttpResponse | None, bytes]:
    head, end, rest = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    first = _STATUS.fullmatch(lines[0])
    if not end:
        if not b"HTTP/1.1 ".startswith(data[:9]) and not data.startswith(b"HTTP/1.1 "):
            raise NotHttp(f"not a response: {data[:100]!r}")
        return None, b""
    if first is None:
        raise NotHttp(f"not a status line: {lines[0][:100]!r}")
    headers: dict[bytes, bytes] = {}
    for line in lines[1:]:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise NotHttp(f"not a header: {line[:100]!r}")
        name = field[1].lower()
        if name in headers and name in (b"content-length", b"transfer-encoding"):
            raise NotHttp(f"repeated: {line[:100]!r}")
        headers[name] = field[2]
    status = int(first[1])
    if status < 200 or status in (204, 304):
        return HttpResponse(status, headers, b"", True), rest
    if b"transfer-encoding" in headers:
        if b"content-length" in headers or headers[b"transfer-encoding"] != b"chunked":
            raise NotHttp(f"two lengths: {headers}")
        body, whole, rest = _chunks(rest)
        return HttpResponse(status, headers, body, whole), rest
    if b"content-length" in headers:
        if not headers[b"content-length"].isdigit():
            raise NotHttp(f"not a length: {headers}")
        size = int(headers[b"content-length"])
        return HttpResponse(status, headers, rest[:size], len(rest) >= size), rest[size:]
    if headers.get(b"connection") != b"close":
        raise NotHttp(f"a response without a length: {headers}")
    return HttpResponse(status, headers, rest, True), b""


def _chunks(data: bytes) -> tuple[bytes, bool, bytes]:
    body = b""
    while True:
        size, end, rest = data.partition(b"\r\n")
        if not end and len(size) <= 8:
            return body, False, b""
        if not _SIZE.fullmatch(size):
            raise NotHttp(f"not the size of a chunk: {size[:100]!r}")
        length = int(size, 16)
        if len(rest) < length + 2:
            return body + rest[:length], False, b""
        if rest[length : length + 2] != b"\r\n":
            raise NotHttp(f"not the end of a chunk: {rest[length : length + 100]!r}")
        body += rest[:length]
        data = rest[length + 2 :]
        if not length:
            return body, True, data
