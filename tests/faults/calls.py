"""Calls to scripted servers, as the tests of the transport make them."""

import contextlib
import socket
import traceback
from collections.abc import Iterator

from modelbay.transport import Request, Transport
from tests.faults.raw_server import Client, RawServer, Script

SHORT = 0.2
SECRET = "sk-secret-0123456789"


def post(url: str, body: bytes = b"{}", **options) -> Request:
    headers = {"Authorization": f"Bearer {SECRET}", **options.pop("headers", {})}
    return Request("POST", url, headers=headers, body=body, **options)


async def fetch(url: str, **options) -> bytes:
    """A whole reply, by a transport of its own."""
    async with Transport() as transport:
        return await (await transport.send(post(url, **options))).read()


async def ask(script: Script, **options) -> bytes:
    """The complete result of a client, from a server that follows the script."""
    async with RawServer(script) as server:
        return await fetch(server.url, **options)


def answers(data: bytes) -> Script:
    """Send these bytes to every request until the client leaves."""

    async def script(client: Client) -> None:
        while True:
            await client.request()
            await client.send(data)

    return script


async def unused_port() -> int:
    async with RawServer(answers(b"")) as server:
        return server.port


@contextlib.contextmanager
def deaf_server() -> Iterator[str]:
    """A listening socket with a full queue, so that no connection is accepted."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def told(error: BaseException) -> str:
    """Everything that a log or a terminal may show of an error."""
    return "".join(traceback.format_exception(error)) + repr(error) + repr(getattr(error, "hint", ""))
