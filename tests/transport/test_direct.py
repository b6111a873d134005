"""The client for calls without a proxy: connections that are kept, opened and closed, and their cost."""

import asyncio
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from unittest.mock import patch

import pytest
import trustme

from modelbay.config.schema import Tls
from modelbay.errors import ConnectFailed, Disconnected, IncompleteReply, TimedOut
from modelbay.transport import Limits, Request, Transport
from modelbay.transport.http_connection import HttpConnection
from modelbay.transport.pool import KEEP_ALIVE
from tests.fault_config import LONG
from tests.faults.calls import SHORT, answers, deaf_server, post, unused_port
from tests.faults.raw_server import Client, Clock, RawServer, Script, chunk, head, reply

OK = answers(reply(b"ok"))

# --- kept connections that the server has closed ---


def closing_after(first: bytes, second: bytes | None = None) -> Script:
    """Each connection gets one reply. A further request on it gets `second`, and the connection is closed."""

    async def script(client: Client) -> None:
        await client.request()
        await client.send(first)
        await client.request()
        if second is not None:
            await client.send(second)

    return script


@pytest.mark.parametrize("size", [2, 10 * 2**20])
async def test_a_call_that_meets_the_closing_of_a_kept_connection_is_sent_again(size):
    async with RawServer(closing_after(reply(b"ok"))) as server, Transport() as transport:
        for _ in range(2):
            response = await transport.send(post(server.url, bytes(size)))
            assert (response.status, await response.read()) == (200, b"ok")
        assert [len(client.requests) for client in server.clients] == [2, 1]


async def test_a_call_is_sent_again_once():
    async def script(client: Client) -> None:
        await client.request()
        if len(server.clients) == 1:
            await client.send(reply(b"ok"))
            await client.request()

    async with RawServer(script) as server, Transport() as transport:
        await (await transport.send(post(server.url))).read()
        with pytest.raises(Disconnected):
            await transport.send(post(server.url))
        assert [len(client.requests) for client in server.clients] == [2, 1]


@pytest.mark.parametrize("second", [b"H", b"HTTP/1.1 200 OK\r\n", head(100)])
async def test_a_call_is_not_sent_again_after_a_byte_of_a_reply(second):
    async with RawServer(closing_after(reply(b"ok"), second)) as server, Transport() as transport:
        await (await transport.send(post(server.url))).read()
        with pytest.raises(Disconnected):
            await transport.send(post(server.url))
        assert len(server.requests) == 2


@pytest.mark.parametrize("way", ["read", "stream"])
async def test_a_second_reader_of_a_body_that_was_cut_off_gets_its_error_too(way):
    async def cut(client: Client) -> None:
        await client.request()
        await client.send(head(200, length=100) + b"half")

    async with RawServer(cut) as server, Transport() as transport:
        response = await transport.send(post(server.url))
        for _ in range(3):
            with pytest.raises(IncompleteReply):
                await (response.read() if way == "read" else anext(_rest_of(response)))


async def _rest_of(response: Any) -> AsyncIterator[bytes]:
    whole = b"".join([piece async for piece in response.stream()])
    yield whole


async def test_a_body_that_can_be_read_once_is_not_sent_on_a_kept_connection():
    """It could not be sent again if the server closed the connection at that moment."""

    async def body() -> AsyncIterator[bytes]:
        yield b"{}"

    async with RawServer(closing_after(reply(b"ok"))) as server, Transport() as transport:
        await (await transport.send(post(server.url))).read()
        response = await transport.send(Request("POST", server.url, {}, body(), length=2))
        assert (response.status, await response.read()) == (200, b"ok")
        assert [len(client.requests) for client in server.clients] == [1, 1]


async def test_a_connection_that_is_being_closed_is_not_used():
    async with RawServer(OK) as server, Transport() as transport:
        await (await transport.send(post(server.url))).read()
        assert transport._direct is not None
        for connection in transport._direct._pool._open:
            connection.transport.abort()  # the event loop reports it in its next turn
        with patch.object(HttpConnection, "start", autospec=True, side_effect=HttpConnection.start) as started:
            assert await (await transport.send(post(server.url))).read() == b"ok"
        assert started.call_count == 1


async def test_a_silent_kept_connection_is_a_timeout():
    async def script(client: Client) -> None:
        await client.request()
        await client.send(reply(b"ok"))
        await client.hangup()

    async with RawServer(script) as server, Transport() as transport:
        await (await transport.send(post(server.url))).read()
        with pytest.raises(TimedOut):
            await transport.send(post(server.url, limits=Limits(first_byte=SHORT)))
        assert len(server.clients) == 1


# --- the pool ---


async def test_an_unused_connection_is_closed_after_a_while():
    clock = Clock(frozen=True)

    async def script(client: Client) -> None:
        await client.request()
        await client.send(reply(b"ok"))
        await client.hangup()

    async with RawServer(script) as server, Transport() as transport:
        await (await transport.send(post(server.url))).read()
        await clock.passes(KEEP_ALIVE / 2)
        assert not server.clients[0].gone.is_set()
        await clock.passes(KEEP_ALIVE)
        await asyncio.wait_for(server.all_gone(), 60)


async def test_a_transport_without_connections_does_not_wake_the_event_loop():
    async def script(client: Client) -> None:
        await client.request()
        await client.send(reply(b"ok"))

    clock = Clock(frozen=True)
    async with RawServer(script) as server, Transport() as transport:
        await (await transport.send(post(server.url))).read()
        await closed(transport)
        await clock.passes(KEEP_ALIVE * 2)
        assert transport._direct is not None
        assert transport._direct.sweeper._timer is None


async def test_only_some_unused_connections_are_kept(monkeypatch):
    monkeypatch.setattr("modelbay.transport.pool.MOST_KEPT", 2)
    all_here = asyncio.Barrier(5)

    async def script(client: Client) -> None:
        await client.request()
        await all_here.wait()
        await client.send(reply(b"ok"))
        await client.hangup()

    async def call() -> bytes:
        return await (await transport.send(post(server.url))).read()

    async with RawServer(script) as server, Transport() as transport:
        assert await asyncio.gather(*(call() for _ in range(5))) == [b"ok"] * 5
        async with asyncio.timeout(60):
            while sum(client.gone.is_set() for client in server.clients) < 3:
                await asyncio.sleep(0)
        assert len(server.clients) == 5


async def test_the_connection_that_was_used_last_is_used_next():
    """So that those that are not needed any more grow old."""
    both_here = asyncio.Barrier(2)

    async def script(client: Client) -> None:
        await client.request()
        await both_here.wait()
        await client.send(reply(b"ok"))
        await answers(reply(b"ok"))(client)

    async with RawServer(script) as server, Transport() as transport:
        first, second = await asyncio.gather(*(transport.send(post(server.url)) for _ in range(2)))
        await first.read()
        await second.read()
        for _ in range(5):
            await (await transport.send(post(server.url))).read()
        assert sorted(len(client.requests) for client in server.clients) == [1, 6]


async def test_a_request_with_another_body_is_not_checked_and_encoded_again():
    async with RawServer(OK) as server, Transport() as transport:
        template = Request("POST", f"{server.url}/v1", {"X-One": "1"})
        for body in (b"a", b"bc", None):
            await (await transport.send(template.with_body(body))).read()
        assert [request.body for request in server.requests] == [b"a", b"bc", b""]
        assert {request.headers["x-one"] for request in server.requests} == {"1"}
        assert template.with_body(b"a").head is template.head
        template.url = f"{server.url}/v2"  # no copy with other properties is sent with the old head
        await (await transport.send(template)).read()
        assert server.requests[-1].target == "/v2"


@pytest.mark.parametrize("url", ["{}", "{}?a=1", "{}/ü/{{x}}?q=ä%20b#part", "{}/a%2Fb;c=d"])
async def test_the_address_is_sent_as_it_is_written(url):
    wanted = {"{}": "/", "{}?a=1": "/?a=1", "{}/ü/{{x}}?q=ä%20b#part": "/%C3%BC/{x}?q=%C3%A4%20b"}
    async with RawServer(OK) as server, Transport() as transport:
        await (await transport.send(post(url.format(server.url)))).read()
        (request,) = server.requests
        assert request.target == wanted.get(url, "/a%2Fb;c=d")
        assert request.headers["host"] == f"127.0.0.1:{server.port}"


async def test_a_user_in_the_url_is_sent_as_a_header():
    async with RawServer(OK) as server, Transport() as transport:
        request = Request("GET", server.url.replace("//", "//me:p%40ss@"))
        await (await transport.send(request)).read()
        assert server.requests[0].headers["authorization"] == "Basic bWU6cEBzcw=="
        assert server.requests[0].headers["host"] == f"127.0.0.1:{server.port}"


# --- addresses ---


def resolving_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    async def getaddrinfo(*_: Any, **__: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


async def test_the_next_address_of_a_name_is_tried(monkeypatch):
    async with RawServer(OK) as server, Transport() as transport:
        resolving_to(monkeypatch, ("127.0.0.1", await unused_port()), ("127.0.0.1", server.port))
        assert await (await transport.send(post("http://api.example.test/"))).read() == b"ok"


async def test_an_address_that_does_not_answer_delays_a_call_little(monkeypatch):
    with deaf_server() as deaf:
        async with RawServer(OK) as server, Transport() as transport:
            resolving_to(monkeypatch, ("127.0.0.1", int(deaf.rpartition(":")[2])), ("127.0.0.1", server.port))
            request = post("http://api.example.test/", limits=Limits(connect=LONG))
            assert await (await transport.send(request)).read() == b"ok"


async def test_a_public_call_skips_the_addresses_that_are_not_public(monkeypatch):
    monkeypatch.setattr("modelbay.transport.pool.is_public", lambda address: address == "127.0.0.1")
    async with RawServer(OK) as server, Transport() as transport:
        resolving_to(monkeypatch, ("127.0.0.2", server.port), ("127.0.0.1", server.port))
        request = post("http://api.example.test/", public=True)
        assert await (await transport.send(request)).read() == b"ok"
        resolving_to(monkeypatch, ("127.0.0.2", server.port), ("10.0.0.1", server.port))
        with pytest.raises(ConnectFailed, match="is not a public address"):
            await transport.send(post("http://other.example.test/", public=True))
        assert len(server.clients) == 1


async def test_a_connection_of_another_call_is_not_used_for_a_public_one(monkeypatch):
    async with RawServer(OK) as server, Transport() as transport:
        assert await (await transport.send(post(server.url))).read() == b"ok"
        with pytest.raises(ConnectFailed, match="is not a public address"):
            await transport.send(post(server.url, public=True))
        assert len(server.requests) == 1


# --- TLS ---


def server_context(file: str | None = None) -> ssl.SSLContext:
    """The TLS side of a server on loopback. `file` gets the certificate of its authority."""
    authority = trustme.CA()
    if file is not None:
        authority.cert_pem.write_to_path(file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def secure(transport: Transport, server: RawServer, tls: Tls) -> bytes:
    return await (await transport.send(post(server.url, tls=tls))).read()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_tls_session_is_resumed(loops, tmp_path, version):
    async def scenario() -> None:
        async def script(client: Client) -> None:
            await client.request()
            resumed.append(client.writer.get_extra_info("ssl_object").session_reused)
            await client.send(reply(b"ok", 200, "Connection: keep-alive"))

        resumed = list[bool]()
        context = server_context(str(tmp_path / "ca.pem"))
        context.maximum_version = version
        own = Tls(ca=str(tmp_path / "ca.pem"))
        async with RawServer(script, context) as server, Transport() as transport:
            for _ in range(3):
                assert await secure(transport, server, own) == b"ok"
                await closed(transport)
            assert await secure(transport, server, Tls(insecure=True)) == b"ok"
        assert resumed == [False, True, True, False]

    loops(scenario())


async def closed(transport: Transport) -> None:
    """Wait until the transport has noticed that its connections were closed."""
    assert transport._direct is not None
    async with asyncio.timeout(60):
        while transport._direct._pool._open:
            await asyncio.sleep(0)


# --- event loops ---


@pytest.fixture(params=["asyncio", "uvloop"])
def loops(request: pytest.FixtureRequest) -> Callable[[Awaitable[None]], None]:
    """Run a coroutine in an event loop of each kind."""
    if request.param == "asyncio":
        return asyncio.run  # type: ignore[return-value]
    return pytest.importorskip("uvloop").run  # type: ignore[no-any-return]


@pytest.mark.parametrize("secured", [False, True])
def test_calls_in_an_event_loop_of_each_kind(loops, secured):
    async def scenario() -> None:
        async def script(client: Client) -> None:
            while True:
                received = await client.request()
                match received.target:
                    case "/whole":
                        await client.send(reply(b"ok"))
                    case "/stream":
                        await client.drip(head(chunked=True) + chunk(b"a") + chunk(b"b") + chunk(b""))
                    case "/large":
                        await client.send(reply(bytes(received.body)))
                    case "/cut":
                        await client.send(head(length=9) + b"some")
                        await client.reset()
                    case "/silent":
                        await client.hangup()

        def call(path: str, body: bytes = b"{}", **options: Any) -> Request:
            return post(server.url + path, body, tls=Tls(insecure=True) if secured else None, **options)

        context = server_context() if secured else None
        async with RawServer(script, context) as server, Transport() as transport:
            for _ in range(3):
                assert await (await transport.send(call("/whole"))).read() == b"ok"
            seen = bytearray()
            await (await transport.send(call("/stream"))).pump(seen.extend)
            assert bytes(seen) == b"ab"
            body = bytes(5 * 2**20)
            assert await (await transport.send(call("/large", body))).read() == body
            assert len(server.clients) == 1
            with pytest.raises(IncompleteReply):
                await (await transport.send(call("/cut"))).read()
        async with RawServer(script, context) as server, Transport() as transport:
            with pytest.raises(TimedOut):
                await transport.send(call("/silent", limits=Limits(first_byte=SHORT)))
            await asyncio.wait_for(server.all_gone(), 60)
            with pytest.raises(ConnectFailed):
                await transport.send(post(f"http://127.0.0.1:{await unused_port()}"))

    loops(scenario())


# --- cost ---


async def test_a_call_on_a_kept_connection_needs_no_task_and_no_timer():
    loop, caller, made = asyncio.get_running_loop(), asyncio.current_task(), list[str]()

    def noted(patched: pytest.MonkeyPatch, name: str) -> None:
        plain = getattr(loop, name)

        def call(*arguments: Any, **named: Any) -> Any:
            if asyncio.current_task() is caller:  # not the server's
                made.append(name)
            return plain(*arguments, **named)

        patched.setattr(loop, name, call)

    async with RawServer(OK) as server, Transport() as transport:
        template = Request("POST", server.url)
        await (await transport.send(template.with_body(b"{}"))).read()
        with pytest.MonkeyPatch.context() as patched:
            for name in ("create_task", "call_at", "create_future"):
                noted(patched, name)
            for _ in range(20):
                assert await (await transport.send(template.with_body(b"{}"))).read() == b"ok"
    assert made == ["create_future"] * 20


def test_aiohttp_is_not_imported_without_a_proxy():
    script = "import modelbay.transport, modelbay.calling.provider_client, sys; print('aiohttp' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300)
    assert ran.stdout == "False\n"


# --- closing ---


@pytest.mark.parametrize("kept", [True, False])
async def test_nothing_is_sent_after_the_transport_was_closed(kept):
    """A call in progress is not sent again, and a connection that is being opened is not left open."""

    async def script(client: Client) -> None:
        if kept:
            await client.request()
            await client.send(reply(b"ok"))
            await client.request()
            asked.set()
        await client.hangup()

    asked = asyncio.Event()
    async with RawServer(script) as server:
        transport = Transport()
        if kept:
            await (await transport.send(post(server.url))).read()
        task = asyncio.create_task(transport.send(post(server.url)))
        if kept:
            await asked.wait()
        else:
            await asyncio.sleep(0)
        await transport.aclose()
        with pytest.raises((ConnectFailed, Disconnected)):
            await task
        await asyncio.wait_for(server.all_gone(), 60)
        assert len(server.requests) == (2 if kept else 0)


async def test_calls_that_begin_together_look_a_name_up_once(monkeypatch):
    lookups = 0

    async def getaddrinfo(*_: Any, **__: Any) -> Any:
        nonlocal lookups
        lookups += 1
        await asyncio.sleep(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))]

    async def call() -> bytes:
        return await (await transport.send(post("http://api.example.test/"))).read()

    async with RawServer(OK) as server, Transport() as transport:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        left = asyncio.create_task(call())
        await asyncio.sleep(0)
        left.cancel()
        assert await asyncio.gather(*(call() for _ in range(10))) == [b"ok"] * 10
    assert lookups == 1
