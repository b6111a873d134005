"""A proxy on uvloop and httptools that parses both messages and passes their bytes on: the least that a proxy in Python costs.

`python -m bench.gateway.bare_proxy UPSTREAM_PORT`
"""

import asyncio
import sys

import httptools
import uvloop


class FromClient(asyncio.Protocol):
    def __init__(self, pool: "list[ToUpstream]", port: int) -> None:
        self._pool, self._port = pool, port
        self.transport: asyncio.Transport
        self._upstream: ToUpstream | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._upstream is not None:
            self._upstream.transport.abort()

    def on_message_begin(self) -> None:
        self._body: list[bytes] = []
        self._head = bytearray()

    def on_url(self, url: bytes) -> None:
        self._url = url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() != b"connection":
            self._head += name + b": " + value + b"\r\n"

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        line = b"%b %b HTTP/1.1\r\n" % (self._parser.get_method(), self._url)
        request = b"".join([line, self._head, b"\r\n", *self._body])
        if self._pool:
            self._send(self._pool.pop(), request)
        else:
            asyncio.get_running_loop().create_task(self._connect(request))

    async def _connect(self, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        _, upstream = await loop.create_connection(lambda: ToUpstream(self._pool), "127.0.0.1", self._port)
        self._send(upstream, request)

    def _send(self, upstream: "ToUpstream", request: bytes) -> None:
        self._upstream = upstream
        upstream.start(self, request)

    def replied(self) -> None:
        self._upstream = None


class ToUpstream(asyncio.Protocol):
    def __init__(self, pool: "list[ToUpstream]") -> None:
        self._pool = pool
        self.transport: asyncio.Transport
        self._client: FromClient | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def start(self, client: FromClient, request: bytes) -> None:
        self._client = client
        self._ended = False
        self._parser = httptools.HttpResponseParser(self)
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        client = self._client
        if client is None:
            self.transport.abort()
            return
        self._parser.feed_data(data)
        client.transport.write(data)
        if self._ended:
            self._client = None
            self._pool.append(self)
            client.replied()

    def on_message_complete(self) -> None:
        self._ended = True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._client is not None:
            self._client.transport.abort()
        elif self in self._pool:
            self._pool.remove(self)


async def serve(port: int) -> None:
    pool: list[ToUpstream] = []
    server = await asyncio.get_running_loop().create_server(
        lambda: FromClient(pool, port), "127.0.0.1", 0, backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
