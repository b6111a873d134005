"""The one rule by which documents of others are fetched, and that every door keeps it."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from modelbay import Media, user
from modelbay.calling.media import MediaTools, ready
from modelbay.calling.provider_client import ProviderClient
from modelbay.config.load import parse
from modelbay.config.schema import Config, Network, Tls
from modelbay.conversation import Conversation
from modelbay.dialect import PLAIN
from modelbay.errors import ConfigError, ConnectFailed, MalformedReply, ModelbayError, Redirected, TimedOut
from modelbay.onboarding.sources import catalogs, manifests, registries
from modelbay.origin import origin
from modelbay.publishing.inspection import ChatCheck, check_hosted
from modelbay.transport import Fetched, Fetching, Limits, Request, Transport, fetch
from tests.faults.calls import SECRET, answers
from tests.faults.raw_server import Client, RawServer, Script, reply
from tests.transport.test_network import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with Transport() as made:
        yield made


def pages(**by_path: bytes) -> Script:
    """Answer `GET /name` with the bytes of that name."""

    async def script(client: Client) -> None:
        while True:
            request = await client.request()
            await client.send(by_path[request.target.strip("/").partition("?")[0]])

    return script


def to(url: str, status: int = 302) -> bytes:
    return reply(b"", status, f"Location: {url}")


def keyed(url: str, **options: Any) -> Request:
    headers = {"Authorization": f"Bearer {SECRET}", "X-Key": SECRET, "Accept": "application/json"}
    return Request("GET", url, headers, **options)


async def got(transport: Transport, request: Request, *trusted: str, **how: Any) -> Fetched:
    return await fetch(transport, request, Fetching(trusted=[origin(url) for url in trusted], **how))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_credential_follows_to_another_origin(transport: Transport, status: int) -> None:
    async with RawServer(pages(b=reply(b"there"))) as other, RawServer(pages(a=to(f"{other.url}/b", status))) as home:
        found = await got(transport, keyed(f"{home.url}/a"), home.url, other.url)
    assert (found.body, found.url) == (b"there", f"{other.url}/b")
    assert SECRET in home.requests[0].headers["authorization"]
    assert SECRET not in str(other.requests[0].headers)
    assert other.requests[0].headers["accept"] == "application/json"


async def test_at_its_own_origin_a_credential_goes_on(transport: Transport) -> None:
    async with RawServer(pages(a=to("/b"), b=reply(b"here"))) as home:
        assert (await got(transport, keyed(f"{home.url}/a"), home.url)).url == f"{home.url}/b"
    assert [SECRET in one.headers["authorization"] for one in home.requests] == [True, True]


async def test_a_client_certificate_is_for_its_own_origin(transport: Transport, authority: Authority) -> None:
    tls = Tls(ca=authority.file)
    async with (
        RawServer(pages(b=reply(b"there")), authority.server()) as other,
        RawServer(pages(a=to(f"{other.url}/b")), authority.server()) as home,
    ):
        with pytest.raises(ConnectFailed, match="could not verify the certificate"):
            await got(transport, keyed(f"{home.url}/a", tls=tls), home.url, other.url)
        assert not other.requests


@pytest.mark.parametrize(
    "target",
    ["http://127.0.0.1:1/x", "ftp://elsewhere.example/x", "file:///etc/passwd", "//", "https://u:p@a.example/x"],
)
async def test_these_redirects_are_not_followed(authority: Authority, target: str) -> None:
    async with RawServer(pages(a=to(target)), authority.server()) as home, Transport(ca=authority.file) as transport:
        with pytest.raises(Redirected) as caught:
            await got(transport, keyed(f"{home.url}/a"), home.url, "http://127.0.0.1:1")
    assert caught.value.hint


async def test_the_open_internet_is_checked_at_every_step(transport: Transport) -> None:
    async with RawServer(pages(b=reply(b"inside"))) as other, RawServer(pages(a=to(f"{other.url}/b"))) as home:
        with pytest.raises(ConnectFailed, match="is not a public address"):
            await got(transport, keyed(f"{home.url}/a"), home.url)
        with pytest.raises(ConnectFailed, match="is not a public address"):
            await got(transport, keyed(f"{home.url}/a"))
    assert (len(home.requests), other.requests) == (1, [])


async def test_redirects_bytes_and_seconds_are_limited(transport: Transport) -> None:
    async def slow(client: Client) -> None:
        await client.request()
        await client.hangup()

    async with RawServer(pages(a=to("/a"), large=reply(bytes(2_000)))) as home, RawServer(slow) as sleepy:
        with pytest.raises(Redirected) as caught:
            await got(transport, keyed(f"{home.url}/a"), home.url, redirects=2)
        assert "3 redirects; at most 2 are followed" in str(caught.value.hint)
        assert len(home.requests) == 3
        with pytest.raises(MalformedReply, match="more than 1,000 bytes"):
            await got(transport, keyed(f"{home.url}/large", limits=Limits(reply_bytes=1_000)), home.url)
        with pytest.raises(TimedOut, match=r"took longer than 0\.2 s"):
            await got(transport, keyed(f"{sleepy.url}/a?k={SECRET}"), sleepy.url, seconds=0.2)


# Every door

MANIFEST = "/models?provider=true"


async def by_media(config: Config, url: str) -> None:
    line = ProviderClient(config)

    async def upload(*_: object) -> bytes:
        raise AssertionError("nothing is uploaded here")

    try:
        picture = Conversation([user("Look", Media(kind="image", url=url))])
        await ready(
            picture, "openai_chat", replace(PLAIN, media_by_url=False), MediaTools(line.transport(), upload, {})
        )
    finally:
        await line.aclose()


async def by_manifest(config: Config, url: str) -> None:
    await manifests.from_url(config, url)


async def by_registry(config: Config, url: str) -> None:
    await registries.fetched(config, url, ["token-0123456789"])


async def by_catalog(config: Config, url: str) -> None:
    await catalogs.opened(config, url)


async def by_check(config: Config, url: str) -> None:
    report = await check_hosted(url, ChatCheck("sk-0123456789"), config=config)
    errors = [one for one in report.findings if one.severity == "error"]
    if errors:
        raise ModelbayError(errors[-1].message)


Door = Callable[[Config, str], Awaitable[None]]
DOORS: list[Door] = [by_media, by_manifest, by_registry, by_catalog, by_check]
EVERY = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)


@EVERY
async def test_no_door_leaves_an_encrypted_connection(
    door: Door, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelbay.transport.pool.is_public", lambda _: True)
    config = Config(path=authority.folder / "config.toml", network=Network(ca=authority.file))
    async with (
        RawServer(pages(b=reply(b"{}"))) as plain,
        RawServer(pages(a=to(f"{plain.url}/b"), models=to(f"{plain.url}/b")), authority.server()) as home,
    ):
        with pytest.raises(ModelbayError):
            await door(config, f"{home.url}/a")
        assert home.requests
        assert not plain.requests


@EVERY
async def test_no_door_is_open_when_offline(door: Door, tmp_path: Path) -> None:
    config = Config(path=tmp_path / "config.toml", network=Network(offline=True))
    async with RawServer(pages(a=reply(b"{}"))) as home:
        with pytest.raises(ModelbayError, match="offline"):
            await door(config, f"{home.url}/a")
        assert not home.clients


@EVERY
async def test_every_door_goes_through_the_proxy(door: Door, tmp_path: Path) -> None:
    async with RawServer(answers(reply(b"{}"))) as proxy:
        config = Config(path=tmp_path / "config.toml", network=Network(proxy=proxy.url))
        with contextlib.suppress(ModelbayError):  # that is not a manifest
            await door(config, "http://docs.example.test/a")
        assert proxy.requests[0].target.startswith("http://docs.example.test/a")


async def test_a_network_table_that_cannot_be_used_sends_nothing(tmp_path: Path) -> None:
    config = parse('[network]\nofflin = true\n[providers.p]\ntype = "openai"\n', tmp_path / "config.toml")
    assert [problem.where for problem in config.problems] == ["network.offlin"]
    line = ProviderClient(config)
    with pytest.raises(ConfigError, match=r"invalid \[network\]: .*:[12]: network") as caught:
        line.transport()
    assert caught.value.line == config.problems[0].line
