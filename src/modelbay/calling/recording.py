"""Records exchanges with providers for later inspection: `modelbay ask --record FILE`, `modelbay replay FILE`.

A recorded exchange is the complete object that `replay` reads, without secrets. Without a `Recorder` there is no
overhead.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self

import msgspec

from modelbay.conversation import Json
from modelbay.errors import MalformedReply, ModelbayError, TimedOut
from modelbay.json_text import decode_as
from modelbay.logs import shown_answer, shown_request
from modelbay.protocols.form import form_of
from modelbay.providers.endpoint import Endpoint
from modelbay.secrecy import redact

if TYPE_CHECKING:
    from modelbay.transport import Request, Response

MOST_BYTES = 16 * 2**20
"""Maximum bytes of a response that are recorded. A longer one is marked `truncated`."""


class Recorder:
    """Records every exchange, in the order of their requests."""

    def __init__(self) -> None:
        self._recordings: list[Recording] = []

    def begin(self, request: "Request", endpoint: Endpoint, *, stream: bool) -> "Recording":
        recording = Recording(request, endpoint, stream=stream)
        self._recordings.append(recording)
        return recording

    def rows(self) -> list[dict[str, Json]]:
        """The exchanges in the form that `replay` reads, without secrets."""
        return [decode_as(line, dict[str, Any]) for line in self.lines().splitlines()]

    def lines(self) -> bytes:
        """The exchanges as JSON Lines, without secrets."""
        rows = [recording.row() for recording in self._recordings]
        return b"".join(redact(msgspec.json.encode(row).decode()).encode() + b"\n" for row in rows)


class Recording:
    """One exchange. The sender calls `answered` and `failed`; reading the response adds the rest."""

    def __init__(self, request: "Request", endpoint: Endpoint, *, stream: bool) -> None:
        self._request = request
        self._endpoint = endpoint
        self._stream = stream
        self._start = perf_counter()
        self._status: int | None = None
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._chunks: list[tuple[float, int]] = []
        self._head_after = 0.0
        self._error: ModelbayError | None = None
        self._truncated = False

    def answered(self, response: "Response") -> "RecordedResponse":
        self._status, self._headers = response.status, response.headers
        self._head_after = self._now()
        return RecordedResponse(response, self)

    def failed(self, error: ModelbayError) -> None:
        self._error = error

    def chunk(self, data: bytes) -> None:
        self._chunks.append((self._now(), len(data)))
        room = MOST_BYTES - len(self._body)
        self._body += data[:room]
        self._truncated |= len(data) > room

    def _now(self) -> float:
        return round(perf_counter() - self._start, 6)

    def row(self) -> dict[str, Json]:
        from modelbay.transport import public

        protocol = self._endpoint.protocol
        body = self._request.body if isinstance(self._request.body, bytes) else None
        row: dict[str, Json] = {
            "name": f"{self._endpoint.provider} {protocol}",
            "protocol": protocol if body is not None else "model_list",
            "dialect": msgspec.to_builtins(self._endpoint.dialect),
            "request": {
                "method": self._request.method,
                "url": public(self._request.url),
                "headers": shown_request(self._request.headers, self._endpoint),
                **({} if body is None else _content(body)),
            },
            "response": None if self._status is None else self._response(self._status),
        }
        if self._error is not None:
            row["error"] = _error(self._error)
        return row

    def _response(self, status: int) -> dict[str, Json]:
        form = form_of(self._headers, self._endpoint.protocol, stream=self._stream) if status < 400 else "whole"
        if not self._stream and self._body.lstrip()[:1] == b"{":  # despite its content type
            form = "whole"
        content: dict[str, Json] = (
            {"sse": self._body.decode("utf-8", "replace")} if form == "stream" else _content(bytes(self._body))
        )
        return {
            "status": status,
            "headers": shown_answer(self._headers),
            "form": form,
            **content,
            "head_after": self._head_after,
            "chunks": [[seconds, size] for seconds, size in self._chunks],
            **({"truncated": True} if self._truncated else {}),
        }


def _content(body: bytes) -> dict[str, Json]:
    """A body as a JSON value, so that it is readable, else as text."""
    try:
        return {"json": decode_as(body, object)}
    except MalformedReply:
        return {"text": body.decode("utf-8", "replace")}


def _error(error: ModelbayError) -> dict[str, Json]:
    fields: dict[str, Json] = {"type": type(error).__name__, "message": error.message, "status": error.status}
    return {**fields, "stage": error.stage} if isinstance(error, TimedOut) else fields


class RecordedResponse:
    """A response whose bytes are recorded as they are read."""

    def __init__(self, response: "Response", recording: Recording) -> None:
        self.status, self.headers = response.status, response.headers
        self._response = response
        self._recording = recording

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def read(self) -> bytes:
        try:
            body = await self._response.read()
        except ModelbayError as error:
            self._recording.failed(error)
            raise
        self._recording.chunk(body)
        return body

    def of_hop(self, error: ModelbayError, body: bytes) -> ModelbayError:
        return self._response.of_hop(error, body)

    async def stream(self) -> AsyncGenerator[bytes, None]:
        try:
            async with aclosing(self._response.stream()) as chunks:
                async for chunk in chunks:
                    self._recording.chunk(chunk)
                    yield chunk
        except ModelbayError as error:
            self._recording.failed(error)
            raise

    async def pump(self, consume: Callable[[bytes], None]) -> None:
        def record(chunk: bytes) -> None:
            self._recording.chunk(chunk)
            consume(chunk)

        try:
            await self._response.pump(record)
        except ModelbayError as error:
            self._recording.failed(error)
            raise

    def pause(self) -> None:
        self._response.pause()

    def resume(self) -> None:
        self._response.resume()

    def finished(self) -> None:
        self._response.finished()

    def progress(self) -> None:
        self._response.progress()

    def hurry(self) -> None:
        self._response.hurry()

    async def finish(self) -> bytes:
        if rest := await self._response.finish():
            self._recording.chunk(rest)
        return rest

    async def aclose(self) -> None:
        await self._response.aclose()


def error_of(row: Any) -> ModelbayError | None:
    """The error of a recorded exchange, or None."""
    from modelbay import errors

    if not isinstance(row, dict) or not isinstance(row.get("message"), str):
        return None
    if row.get("type") == "Redirected" and isinstance(row.get("status"), int):
        return errors.Redirected(row["message"], status=row["status"], location=None)
    if row.get("type") == "TimedOut":
        return TimedOut(row["message"], stage=str(row.get("stage")))
    kind = getattr(errors, str(row.get("type")), None)
    if isinstance(kind, type) and issubclass(kind, errors.TransportError | errors.ReplyError | errors.ConfigError):
        return kind(row["message"])
    return errors.ReplyError(row["message"])
