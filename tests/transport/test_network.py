"""TLS and proxies, each by a real server that can refuse."""

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from modelbay.calling.provider_client import ProviderClient
from modelbay.config.proxies import Proxies, Proxy
from modelbay.config.schema import Config, Network, ProviderEntry, Tls
from modelbay.errors import (
    ConfigError,
    ConnectFailed,
    Disconnected,
    IncompleteReply,
    ModelbayError,
    ProxyFailed,
    ServerError,
    TimedOut,
)
from modelbay.providers.endpoint import models_endpoint
from modelbay.transport import Limits, Transport
from tests.faults.calls import SECRET, SHORT, answers, fetch, post, told, unused_port
from tests.faults.proxies import carry, http_proxy, socks5
from tests.faults.raw_server import Client, RawServer, reply


class Authority:
    """A certificate authority, and files of what it signed."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.folder = folder
        self.file = str(folder / "ca.pem")
        self.ca.cert_pem.write_to_path(self.file)

    def server(self, *names: str, ask_for_certificate: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*(names or ["127.0.0.1", "api.example.test"])).configure_cert(context)
        if ask_for_certificate:
            context.verify_mode = ssl.CERT_REQUIRED
            self.ca.configure_trust(context)
        return context

    def client(self) -> tuple[str, str]:
        """The files of a client's certificate and key."""
        cert, key = self.folder / "client.pem", self.folder / "client.key"
        leaf = self.ca.issue_cert("client@example.test")
        leaf.cert_chain_pems[0].write_to_path(str(cert))
        leaf.private_key_pem.write_to_path(str(key))
        return str(cert), str(key)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


OK = answers(reply(b"ok"))

either = pytest.mark.usefixtures("either_client")


# TLS


@either
async def test_an_unknown_authority_is_not_trusted(authority):
    async with RawServer(OK, authority.server()) as server:
        with pytest.raises(
            ConnectFailed, match=f"could not verify the certificate of {server.url}: unable to get local issuer"
        ) as caught:
            await fetch(server.url)
        assert caught.value.hint and "tls.ca" in caught.value.hint
        assert not caught.value.retryable
        assert not server.requests


@either
async def test_an_authority_of_our_own(authority):
    async with RawServer(OK, authority.server()) as server:
        assert await fetch(server.url, tls=Tls(ca=authority.file)) == b"ok"


@either
async def test_insecure_trusts_any_certificate(authority):
    async with RawServer(OK, authority.server("other.example.test")) as server:
        assert await fetch(server.url, tls=Tls(insecure=True)) == b"ok"


@either
async def test_a_certificate_for_another_name(authority):
    async with RawServer(OK, authority.server("other.example.test")) as server:
        with pytest.raises(
            ConnectFailed, match=r"could not verify the certificate of .*not valid for '127.0.0.1'"
        ) as caught:
            await fetch(server.url, tls=Tls(ca=authority.file))
        assert caught.value.hint and "name" in caught.value.hint


@either
async def test_a_client_certificate(authority):
    cert, key = authority.client()
    async with RawServer(OK, authority.server(ask_for_certificate=True)) as server:
        assert await fetch(server.url, tls=Tls(authority.file, cert, key)) == b"ok"


@either
@pytest.mark.parametrize("says", [b"\x15\x03\x03\x00\x02\x02\x28", b""])
async def test_a_missing_client_certificate(authority, says):
    """A server says it by an alert, by breaking off, or, in TLS 1.3, after the handshake."""

    async def script(client: Client) -> None:
        await client.reader.read(1000)
        await client.send(says)

    async with RawServer(script) as server:
        with pytest.raises(ConnectFailed, match="alert handshake failure" if says else "connection closed") as caught:
            await fetch(server.url.replace("http:", "https:"))
        assert caught.value.hint and "tls.cert" in caught.value.hint
    async with RawServer(OK, authority.server(ask_for_certificate=True)) as server:
        with pytest.raises((ConnectFailed, Disconnected)):
            await fetch(server.url, tls=Tls(ca=authority.file))


@either
async def test_tls_of_one_provider_is_not_another_s(authority):
    """A pooled connection without certificate checks must not serve a call that requires them."""
    async with RawServer(OK, authority.server()) as server, Transport() as transport:
        await (await transport.send(post(server.url, tls=Tls(insecure=True)))).read()
        with pytest.raises(ConnectFailed):
            await transport.send(post(server.url))


@either
async def test_a_server_without_tls():
    async def script(client: Client) -> None:
        await client.reader.read(100)
        await client.send(reply(b"what?", 400))

    async with RawServer(script) as server:
        with pytest.raises(ConnectFailed, match="could not open a TLS connection") as caught:
            await fetch(server.url.replace("http:", "https:"))
        assert caught.value.hint and "http://" in caught.value.hint


@either
async def test_a_server_that_hangs_in_the_handshake():
    async def script(client: Client) -> None:
        await client.hangup()

    async with RawServer(script) as server:
        with pytest.raises(TimedOut) as caught:
            await fetch(server.url.replace("http:", "https:"), limits=Limits(connect=SHORT))
        assert caught.value.stage == "connect"
        await asyncio.wait_for(server.all_gone(), 60)


@either
@pytest.mark.parametrize("answered", [True, False])
async def test_leaving_a_tls_call_does_not_wait_for_the_server(authority, answered):
    """TLS has a goodbye of its own, which a server that hangs does not return."""

    async def script(client: Client) -> None:
        await client.request()
        if answered:
            await client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome")
        asked.set()
        await client.hangup()

    async def relay(client: Client) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        back = asyncio.create_task(carry(reader, client.writer))
        forth = asyncio.create_task(carry(client.reader, writer))
        await hanging.wait()
        back.cancel()
        await forth
        writer.close()
        client.gone.set()

    async def call() -> None:
        response = await transport.send(post(front.url.replace("http:", "https:"), tls=Tls(ca=authority.file)))
        passed.set()
        await response.read()

    asked, passed, hanging = asyncio.Event(), asyncio.Event(), asyncio.Event()
    async with RawServer(script, authority.server()) as server, RawServer(relay) as front, Transport() as transport:
        task = asyncio.create_task(call())
        await (passed if answered else asked).wait()
        hanging.set()
        await asyncio.sleep(0)  # the relay passes nothing on from here
        task.cancel()
        await asyncio.wait([task])
        await asyncio.wait_for(front.all_gone(), 60)


@either
@pytest.mark.parametrize(
    "text", [None, "", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
@pytest.mark.parametrize("name", ["ca", "cert", "key"])
async def test_files_that_cannot_be_used(authority, tmp_path, name, text):
    cert, _ = authority.client()
    file = tmp_path / "it.pem"
    if text is not None:
        file.write_text(text)
    tls = Tls(cert=cert, key=str(file)) if name == "key" else Tls(ca=str(file)) if name == "ca" else Tls(cert=str(file))
    with pytest.raises(ConfigError, match=r"/it\.pem cannot be loaded") as caught:
        await fetch("https://127.0.0.1:1", tls=tls)
    assert caught.value.hint and "PEM" in caught.value.hint


@either
async def test_a_key_with_a_password_does_not_ask_for_it(authority, tmp_path):
    from cryptography.hazmat.primitives import serialization as pem

    cert, key = authority.client()
    private = pem.load_pem_private_key(Path(key).read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        private.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.BestAvailableEncryption(SECRET.encode()))
    )
    with pytest.raises(ConfigError, match=r"locked\.key cannot be loaded: the key has a password"):
        await fetch("https://127.0.0.1:1", tls=Tls(cert=cert, key=str(locked)))


@either
async def test_the_key_of_another_certificate_is_named(authority, tmp_path):
    cert, own = authority.client()
    key = str(Path(own).replace(tmp_path / "former.key"))
    authority.client()
    with pytest.raises(ConfigError, match=rf"{key} cannot be loaded: it is not the key of {cert}"):
        await fetch("https://127.0.0.1:1", tls=Tls(cert=cert, key=key))


# Proxies


async def test_a_plain_call_through_an_http_proxy():
    async with RawServer(OK) as proxy:
        url = proxy.url.replace("//", f"//user:{SECRET}@")
        assert await fetch("http://api.example.test/v1?a=1", proxy=url) == b"ok"
        (request,) = proxy.requests
        assert request.target == "http://api.example.test/v1?a=1"
        assert request.headers["proxy-authorization"].startswith("Basic ")


async def test_a_tunnel_through_an_http_proxy(authority):
    async with RawServer(OK, authority.server()) as server, RawServer(http_proxy(server.port, SECRET)) as proxy:
        url, tls = proxy.url.replace("//", f"//user:{SECRET}@"), Tls(ca=authority.file)
        async with Transport() as transport:
            for _ in range(2):
                response = await transport.send(post("https://api.example.test/v1", proxy=url, tls=tls))
                assert await response.read() == b"ok"
        assert [request.target for request in proxy.requests] == ["api.example.test:443"]  # a tunnel is kept, too
        assert "authorization" not in proxy.requests[0].headers
        assert "proxy-authorization" not in server.requests[0].headers


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_may_require_a_password(scheme):
    async with RawServer(http_proxy(1, SECRET)) as proxy:
        with pytest.raises(
            ConnectFailed, match=f"the proxy {proxy.url} requires a valid username and password"
        ) as caught:
            await fetch(f"{scheme}://api.example.test", proxy=proxy.url.replace("//", f"//user:not-{SECRET}@"))
        assert SECRET not in told(caught.value)
        assert not caught.value.retryable


async def test_a_proxy_that_cannot_reach_the_server():
    async with RawServer(answers(reply(b"", 502))) as proxy:
        with pytest.raises(
            ConnectFailed, match=f"{proxy.url} refused to connect to https://api.example.test: it answered 502"
        ):
            await fetch("https://api.example.test", proxy=proxy.url)


async def test_a_proxy_that_says_nothing():
    async def script(client: Client) -> None:
        await client.hangup()

    async with RawServer(script) as proxy:
        with pytest.raises(
            TimedOut, match=f"the proxy {proxy.url} did not connect to https://api.example.test"
        ) as caught:
            await fetch("https://api.example.test", proxy=proxy.url, limits=Limits(connect=SHORT))
        assert caught.value.stage == "connect"
        await asyncio.wait_for(proxy.all_gone(), 60)


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_a_proxy_that_is_not_there_is_named_without_its_password(scheme):
    port = await unused_port()
    with pytest.raises(
        ConnectFailed, match=f"could not connect to the proxy {scheme}://127.0.0.1:{port}: connection refused"
    ) as caught:
        await fetch("http://api.example.test", proxy=f"{scheme}://user:{SECRET}@127.0.0.1:{port}")
    assert SECRET not in told(caught.value)


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
async def test_socks_looks_the_name_up(scheme):
    asked: list[tuple[str, int]] = []
    async with RawServer(OK) as server, RawServer(socks5(server.port, asked)) as proxy:
        assert await fetch("http://api.example.test/v1", proxy=f"{scheme}://127.0.0.1:{proxy.port}") == b"ok"
    assert asked == [("api.example.test", 80)]


async def test_tls_through_socks_with_a_password(authority):
    asked: list[tuple[str, int]] = []
    async with RawServer(OK, authority.server()) as server, RawServer(socks5(server.port, asked, "p@ss")) as proxy:
        url = f"socks5://user:p%40ss@127.0.0.1:{proxy.port}"
        assert await fetch("https://api.example.test", proxy=url, tls=Tls(ca=authority.file)) == b"ok"
        with pytest.raises(ConnectFailed, match="could not verify the certificate"):
            await fetch("https://api.example.test", proxy=url)
        with pytest.raises(ConnectFailed, match="requires a valid username and password"):
            await fetch("https://api.example.test", proxy=url.replace("p%40ss", "wrong"))
    assert asked[0] == ("api.example.test", 443)


async def test_socks_that_cannot_reach_the_server():
    async with RawServer(socks5(1, [], answer=5)) as proxy:
        with pytest.raises(ConnectFailed, match=r"refused to connect to http://api.example.test: .*refused") as caught:
            await fetch("http://api.example.test", proxy=f"socks5://127.0.0.1:{proxy.port}")
        assert caught.value.retryable


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_a_server_that_is_not_a_socks_proxy_is_reported(first):
    async def script(client: Client) -> None:
        await client.reader.read(1)
        await client.send(first)

    async with RawServer(script) as proxy:
        with pytest.raises(ConnectFailed, match=f"proxy socks5://127.0.0.1:{proxy.port}"):
            await fetch("http://api.example.test", proxy=f"socks5://127.0.0.1:{proxy.port}")


async def test_socks_that_hangs():
    async def script(client: Client) -> None:
        await client.hangup()

    async with RawServer(script) as proxy:
        with pytest.raises(TimedOut) as caught:
            await fetch("http://h", proxy=f"socks5://127.0.0.1:{proxy.port}", limits=Limits(connect=SHORT))
        assert caught.value.stage == "connect"
        await asyncio.wait_for(proxy.all_gone(), 60)


@pytest.mark.parametrize("close", ["abandon", "cancel"])
async def test_leaving_a_call_through_socks_closes_it(close):
    async def script(client: Client) -> None:
        await client.request()
        await client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome")
        await client.hangup()

    async with RawServer(script) as server, RawServer(socks5(server.port, [])) as proxy, Transport() as transport:
        response = await transport.send(post("http://h", proxy=f"socks5://127.0.0.1:{proxy.port}"))
        if close == "abandon":
            await response.aclose()
        else:
            task = asyncio.create_task(response.read())
            await asyncio.sleep(0)  # the task waits for the body now
            task.cancel()
            await asyncio.wait([task])
        await asyncio.wait_for(proxy.all_gone(), 60)
        await asyncio.wait_for(server.all_gone(), 60)


@pytest.mark.parametrize(
    "proxy",
    ["", "proxy", "127.0.0.1:3128", "ftp://h:1", f"http://user:{SECRET}@", "socks5://h:99999", "http://h:1\r\n"],
)
async def test_a_server_that_is_not_a_proxy_is_reported(proxy):
    with pytest.raises(ConfigError, match="invalid proxy URL") as caught:
        await fetch("http://h", proxy=proxy)
    assert SECRET not in told(caught.value)


# Addresses that came from elsewhere


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.1", "0.0.0.0"])
async def test_a_public_call_goes_nowhere_else(host):
    async with RawServer(OK) as server:
        with pytest.raises(ConnectFailed, match=r"is not a public address") as caught:
            await fetch(f"http://{host}:{server.port}/", public=True)
        assert not caught.value.retryable
        assert not server.clients


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "x.localhost", "[::1]", "169.254.169.254", "10.0.0.1", "0.0.0.0", "127.1", "2130706433",
     "metadata.google.internal", "metadata", "printer.local", "[::ffff:169.254.169.254]", "localhost."],
)  # fmt: skip
async def test_a_proxy_is_not_asked_for_what_is_not_public(host, scheme):
    """The proxy resolves names itself and may reach private hosts that we cannot."""
    async with RawServer(OK) as proxy:
        with pytest.raises(ConnectFailed, match=r"is not a public address") as caught:
            await fetch(f"http://{host}/v1", public=True, proxy=f"{scheme}://127.0.0.1:{proxy.port}")
        assert not proxy.clients
        assert not caught.value.retryable


async def test_a_proxy_on_this_machine_connects_to_what_is_public():
    async with RawServer(OK) as proxy:
        assert await fetch("http://api.example.test/v1", public=True, proxy=proxy.url) == b"ok"


# The proxies of a transport


def through(url: str, *bypass: str) -> Transport:
    proxy = Proxy(url, "HTTPS_PROXY")
    return Transport(Proxies(proxy, proxy, bypass))


async def test_a_transport_has_a_proxy_for_all_calls():
    async with RawServer(OK) as proxy, through(proxy.url) as transport:
        assert await (await transport.send(post("http://api.example.test/v1"))).read() == b"ok"
    assert [request.target for request in proxy.requests] == ["http://api.example.test/v1"]


async def test_hosts_in_no_proxy_are_reached_directly():
    async with RawServer(OK) as server, RawServer(OK) as proxy, through(proxy.url, "api.example.test") as transport:
        with pytest.raises(ConnectFailed, match="could not resolve host"):
            await transport.send(post("http://api.example.test/v1"))
        assert await (await transport.send(post(server.url))).read() == b"ok"  # nor is this machine
    assert not proxy.clients


async def test_a_call_may_have_another_proxy_or_none():
    async with RawServer(OK) as one, RawServer(OK) as other, through(one.url) as transport:
        assert await (await transport.send(post("http://api.example.test", proxy=other.url))).read() == b"ok"
        with pytest.raises(ConnectFailed, match="could not resolve host"):
            await transport.send(post("http://api.example.test", proxy="none"))
    assert (len(one.clients), len(other.clients)) == (0, 1)


async def test_the_hop_that_failed_is_named(authority):
    port = await unused_port()
    async with through(f"http://user:{SECRET}@127.0.0.1:{port}") as transport:
        with pytest.raises(ProxyFailed, match=f"could not connect to the proxy http://127.0.0.1:{port}") as caught:
            await transport.send(post("https://api.example.test"))
        assert "HTTPS_PROXY" in str(caught.value.hint)
        assert SECRET not in told(caught.value)
    async with (
        RawServer(OK, authority.server()) as server,
        RawServer(http_proxy(server.port)) as proxy,
        through(proxy.url) as transport,
    ):
        with pytest.raises(
            ConnectFailed, match=r"could not verify the certificate of https://api\.example\.test"
        ) as other:
            await transport.send(post("https://api.example.test"))
        assert not isinstance(other.value, ProxyFailed)
    async with RawServer(OK, authority.server()) as proxy, through(proxy.url) as transport:
        with pytest.raises(ProxyFailed, match=f"could not open a TLS connection to the proxy {proxy.url}") as failed:
            await transport.send(post("https://api.example.test"))
        assert "HTTPS_PROXY" in str(failed.value.hint)


async def test_more_authorities_are_trusted_beside_the_systems(authority):
    async with RawServer(OK, authority.server()) as server, Transport(ca=authority.file) as transport:
        assert await (await transport.send(post(server.url))).read() == b"ok"
        with pytest.raises(
            ConnectFailed, match="could not verify the certificate"
        ):  # a provider's own come in their place
            import certifi

            await transport.send(post(server.url, tls=Tls(ca=certifi.where())))
    with pytest.raises(ConfigError, match=r"missing\.pem cannot be loaded"):
        async with Transport(ca="missing.pem") as transport:
            await transport.send(post("https://127.0.0.1:1"))


PAGE = b"<html>The requested URL could not be retrieved</html>"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ("X-Squid-Error: ERR_CONNECT_FAIL 111", b"<html>no</html>"),
        ("Proxy-Status: corp; error=connection_refused", b""),
        ("Via: 1.1 corp", PAGE),
        ("Via: 1.1 corp", b"<html>generated by 127.0.0.1</html>"),
    ],
)
@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_proxy_that_answers_in_the_servers_place_is_named(status: int, headers: str, body: bytes) -> None:
    error = await answered(status, headers, body, proxied=True)
    assert isinstance(error, ProxyFailed)
    assert f"refused to connect to http://api.example.test: it answered {status}" in error.message
    assert "proxy of [network]" in str(error.advice)


@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway</html>"])
async def test_both_hops_are_named_where_either_may_have_answered(body: bytes) -> None:
    error = await answered(502, "Via: 1.1 somebody", body, proxied=True)
    assert isinstance(error, ServerError)
    assert "(from http://api.example.test, or from the proxy http://127.0.0.1:" in error.message
    assert "proxy" not in (await answered(502, "X-A: b", body, proxied=False)).message
    api = await answered(502, "X-A: b", b'{"error": {"message": "upstream"}}', proxied=True)
    assert "proxy" not in api.message, "an API answered"


async def answered(status: int, headers: str, body: bytes, *, proxied: bool) -> ModelbayError:
    """The error of a call that is answered so, by a proxy or by the server itself."""
    lines = [f"HTTP/1.1 {status} X", headers, f"Content-Length: {len(body)}", "", ""]

    async def script(client: Client) -> None:
        await client.request()
        await client.send("\r\n".join(lines).encode() + body)

    async with RawServer(script) as server:
        base = "http://api.example.test" if proxied else server.url
        network = Network(proxy=server.url if proxied else "none")
        entry = ProviderEntry(id="p", type="openai", base_url=f"{base}/v1", auth="none")
        line = ProviderClient(Config(path=Path("config.toml"), network=network, providers={"p": entry}))
        try:
            endpoint = models_endpoint(line.config, entry)
            assert endpoint is not None
            with pytest.raises(ModelbayError) as caught:
                await line.fetch(endpoint)
            return caught.value
        finally:
            await line.aclose()


@pytest.mark.parametrize(
    ("head", "whole"),
    [
        ("206 Partial Content\r\nContent-Range: bytes 0-1/900", False),
        ("206 Partial Content\r\nContent-Range: bytes 0-1/*", False),
        ("206 Partial Content", False),
        ("200 OK\r\nContent-Range: bytes 0-1/3", False),
        ("206 Partial Content\r\nContent-Range: bytes 0-1/2", True),
    ],
)
async def test_a_part_of_an_answer_is_not_taken_for_the_whole(head: str, whole: bool) -> None:
    async def script(client: Client) -> None:
        await client.request()
        await client.send(f"HTTP/1.1 {head}\r\nContent-Length: 2\r\n\r\nok".encode())

    async with RawServer(script) as server, Transport() as transport:
        if whole:
            assert await (await transport.send(post(server.url))).read() == b"ok"
        else:
            with pytest.raises(IncompleteReply, match="sent only part of its reply"):
                await transport.send(post(server.url))


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "metadata.google.internal"])
@pytest.mark.parametrize("own", [True, False])
async def test_no_proxy_is_asked_for_this_machines_metadata(host: str, own: bool) -> None:
    """Its tokens would be those of the machine that the proxy runs on."""
    async with RawServer(OK) as proxy, through(proxy.url) as transport:
        request = post(f"http://{host}/token", proxy=proxy.url if own else None, limits=Limits(connect=0.05))
        with suppress(ModelbayError):
            await transport.send(request)
        assert not proxy.clients
