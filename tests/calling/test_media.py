"""Media made what a provider takes: fetched from the open internet only, uploaded once."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from unittest.mock import patch

import pytest

from modelbay import Conversation, Media, Text, ToolResult, Turn, user
from modelbay.calling.media import MediaTools, ready
from modelbay.dialect import PLAIN, Dialect
from modelbay.errors import Unsupported
from modelbay.origin import is_public
from modelbay.transport import Transport
from tests.faults.raw_server import Client, RawServer

PNG = b"\x89PNG not really"
BLIND_TO_URLS = Dialect(media_by_url=False)
UPLOADS = Dialect(media_by_url=False, video_upload="ms://{id}")


@asynccontextmanager
async def workshop(
    answers: list[bytes] | None = None,
) -> AsyncIterator[tuple[MediaTools, list[tuple[str, bytes, str]]]]:
    sent: list[tuple[str, bytes, str]] = []

    async def upload(path: str, body: bytes, kind: str) -> bytes:
        sent.append((path, body, kind))
        return (answers or [b'{"id":"file-1"}'])[len(sent) - 1]

    async with Transport() as sender:
        yield MediaTools(sender, upload, {}), sent


def answer(body: bytes, kind: bytes = b"image/png") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (kind, len(body), body)


def image(url: str) -> Conversation:
    return Conversation([user("Look", Media(kind="image", url=url))])


@pytest.fixture
def loopback_counts_as_public() -> object:
    """Let a test's own server stand for the internet."""
    with patch("modelbay.transport.pool.is_public", lambda _: True):
        yield


async def test_media_that_the_provider_accepts_are_unchanged() -> None:
    conversation = image("https://example.org/cat.png")
    async with workshop() as (tools, _):
        assert await ready(conversation, "openai_chat", PLAIN, tools) is conversation


@pytest.mark.usefixtures("loopback_counts_as_public")
async def test_a_url_becomes_bytes_where_only_bytes_are_taken() -> None:
    async def script(client: Client) -> None:
        await client.request()
        await client.send(answer(PNG))

    async with RawServer(script) as server, workshop() as (tools, _):
        conversation = image(f"{server.url}/cat.png")
        done = await ready(conversation, "google", BLIND_TO_URLS, tools)
    [media, text] = done.turns[0].parts
    assert isinstance(media, Media) and isinstance(text, Text)
    assert (media.url, media.data, media.media_type) == (None, base64.b64encode(PNG).decode(), "image/png")
    assert isinstance(conversation.turns[0].parts[0], Media) and conversation.turns[0].parts[0].url is not None


@pytest.mark.usefixtures("loopback_counts_as_public")
async def test_media_inside_a_tool_result_is_fetched_too() -> None:
    async def script(client: Client) -> None:
        await client.request()
        await client.send(answer(b"%PDF-1.7", b"application/pdf"))

    async with RawServer(script) as server, workshop() as (tools, _):
        result = ToolResult(call_id="c", parts=[Media(kind="document", url=f"{server.url}/a/report.pdf")])
        done = await ready(Conversation([Turn("tool", [result])]), "openai_chat", PLAIN, tools)
    [fetched] = done.turns[0].parts
    assert isinstance(fetched, ToolResult)
    [media] = fetched.parts
    assert isinstance(media, Media)
    assert (media.media_type, media.name) == ("application/pdf", "report.pdf")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/x.png",
        "http://localhost:1/x.png",
        "http://[::1]:1/x.png",
        "http://[::ffff:127.0.0.1]:1/x.png",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/x.png",
        "http://0x7f000001:1/x.png",
    ],
)
async def test_no_address_but_the_open_internet_is_asked(url: str) -> None:
    async with workshop() as (tools, _):
        with pytest.raises(Unsupported) as caught:
            await ready(image(url), "google", BLIND_TO_URLS, tools)
    assert "could not download the" in caught.value.message


async def test_a_redirect_to_a_private_address_is_not_followed() -> None:
    async def inside(client: Client) -> None:
        raise AssertionError("nobody should come here")

    async with RawServer(inside) as private:
        target = private.url

        async def script(client: Client) -> None:
            await client.request()
            await client.send(b"HTTP/1.1 302 Found\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % target.encode())

        async with RawServer(script) as server, workshop() as (tools, _):
            port = int(server.url.rpartition(":")[2])
            allowed = []

            def first_only(host: str) -> bool:
                allowed.append(host)
                return len(allowed) == 1

            with patch("modelbay.transport.pool.is_public", first_only), pytest.raises(Unsupported):
                await ready(image(f"http://127.0.0.1:{port}/x.png"), "google", BLIND_TO_URLS, tools)
        assert private.clients == []


@pytest.mark.usefixtures("loopback_counts_as_public")
@pytest.mark.parametrize("status", [b"400 Bad Request", b"404 Not Found", b"500 Oops"])
async def test_a_file_that_is_not_there_is_an_error_and_not_a_sentence(status: bytes) -> None:
    async def script(client: Client) -> None:
        await client.request()
        await client.send(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % status)

    async with RawServer(script) as server, workshop() as (tools, _):
        with pytest.raises(Unsupported, match="HTTP status"):
            await ready(image(f"{server.url}/x.png?token=secret"), "google", BLIND_TO_URLS, tools)


async def test_a_video_is_uploaded_once_and_sent_by_its_id() -> None:
    video = Media(kind="video", data=base64.b64encode(b"frames").decode(), media_type="video/mp4", name='a"b.mp4')
    conversation = Conversation([user("Watch", video), user("And again", video)])
    async with workshop() as (tools, sent):
        done = await ready(conversation, "openai_chat", UPLOADS, tools)
    urls = [turn.parts[0].url for turn in done.turns]  # type: ignore[union-attr]
    assert urls == ["ms://file-1", "ms://file-1"]
    [(path, body, kind)] = sent
    assert path == "/files"
    form: EmailMessage = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body, _class=EmailMessage)
    assert (form.get_content_type(), form.defects) == ("multipart/form-data", []), "a strict server reads it"
    purpose, file = form.iter_parts()
    assert (purpose.get_param("name", header="content-disposition"), purpose.get_payload()) == ("purpose", "video")
    assert (file.get_filename(), file.get_content_type()) == ("a_b.mp4", "video/mp4")
    assert (file.get_param("name", header="content-disposition"), file.get_payload()) == ("file", "frames")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("::", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::808:808", True),
        ("2002:7f00:1::", False),
        ("224.0.0.1", False),
    ],
)
def test_only_the_open_internet_is_public(address: str, public: bool) -> None:
    assert is_public(address) is public
