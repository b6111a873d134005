"""Converts media for a provider: downloads URLs if it needs data, uploads videos if it needs file IDs.

A failure is an error. Some gateways replace an image by a sentence about it, which misleads the model.
"""

import mimetypes
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from hashlib import sha256
from urllib.parse import urlsplit
from uuid import uuid4

from msgspec import Struct
from msgspec.structs import replace

from modelbay.conversation import AnyPart, Conversation, Media, ToolResult, Turn
from modelbay.dialect import Dialect
from modelbay.errors import MalformedReply, ModelbayError, Unsupported
from modelbay.json_text import decode
from modelbay.protocols.media_types import normal
from modelbay.protocols.shapes import mapping
from modelbay.transport import Fetching, Limits, Request, Transport, fetch

LIMIT = 50 * 2**20
"""Maximum bytes of a file; current providers accept smaller requests only."""
SECONDS = 60.0
"""Time limit for downloading a file, in seconds."""
SILENCE = 30.0

BYTES_ONLY = {
    ("openai_chat", "document"),  # `file` has no URL
    ("openai_chat", "audio"),
    ("openai_responses", "audio"),
}
"""Kinds of media for which a protocol has no URL field."""
AS_THEY_ARE = ("gs://", "ms://", "https://generativelanguage.googleapis.com/", "https://www.youtube.com/")
"""URLs that the provider resolves itself."""

Upload = Callable[[str, bytes, str], Awaitable[bytes]]
"""Posts a body of a content type to a path of the provider; returns the response body."""


class MediaTools(Struct):
    """Resources for the conversion."""

    transport: Transport
    upload: Upload
    uploaded: dict[str, str]
    """URLs of uploaded files by the hash of their data."""


async def ready(conversation: Conversation, protocol: str, dialect: Dialect, workshop: MediaTools) -> Conversation:
    """The conversation with its media converted for the provider; the same object if nothing changes.

    Raises:
        Unsupported: a file could not be downloaded; the message contains the reason.
    """

    async def worked(parts: list[AnyPart]) -> list[AnyPart]:
        return [await piece(part) for part in parts]

    async def piece(part: AnyPart) -> AnyPart:
        if isinstance(part, ToolResult) and any(_needs_work(inner, protocol, dialect) for inner in part.parts):
            return replace(part, parts=await worked(part.parts))
        if not isinstance(part, Media) or not _needs_work(part, protocol, dialect):
            return part
        media = normal(part)
        if media.url is not None:
            media = await _fetched(media, workshop.transport)
        return await _uploaded(media, dialect, workshop) if _uploads(media, dialect) else media

    turns: list[Turn] = []
    for turn in conversation.turns:
        touched = any(
            _needs_work(part, protocol, dialect)
            or (isinstance(part, ToolResult) and any(_needs_work(inner, protocol, dialect) for inner in part.parts))
            for part in turn.parts
        )
        turns.append(replace(turn, parts=await worked(turn.parts)) if touched else turn)
    return conversation if turns == conversation.turns else replace(conversation, turns=turns)


def _needs_work(part: AnyPart, protocol: str, dialect: Dialect) -> bool:
    if not isinstance(part, Media):
        return False
    part = normal(part)  # a data URL has no address
    if part.url is not None:
        return not part.url.startswith(AS_THEY_ARE) and (
            (protocol, part.kind) in BYTES_ONLY or not dialect.media_by_url
        )
    return _uploads(part, dialect)


def _uploads(part: Media, dialect: Dialect) -> bool:
    return part.kind == "video" and part.data is not None and dialect.video_upload is not None


async def _fetched(part: Media, transport: Transport) -> Media:
    """The media as data. Its URL comes from the conversation, so only public addresses are allowed, including
    redirects."""
    url = part.url or ""
    try:
        kind, data = await _fetch(url, transport)
    except ModelbayError as error:
        raise Unsupported(
            f"could not download the {part.kind} at {urlsplit(url)._replace(query='', fragment='').geturl()}: {error.message}",
            setting=part.kind,
            hint="download it and send the file itself",
        ) from error
    media_type = part.media_type or kind or mimetypes.guess_type(urlsplit(url).path)[0]
    name = part.name or urlsplit(url).path.rpartition("/")[2] or None
    return replace(
        part,
        url=None,
        native=None,
        data=b64encode(data).decode(),
        media_type=media_type,
        name=name if part.kind == "document" else part.name,
    )


async def _fetch(url: str, transport: Transport) -> tuple[str | None, bytes]:
    limits = Limits(first_byte=SILENCE, idle=SILENCE, reply_bytes=LIMIT)
    found = await fetch(transport, Request("GET", url, limits=limits), Fetching(seconds=SECONDS))
    if found.status >= 400:
        raise MalformedReply(f"HTTP status {found.status}")
    kind = found.headers.get("content-type", "").partition(";")[0].strip()
    return kind or None, found.body


async def _uploaded(part: Media, dialect: Dialect, workshop: MediaTools) -> Media:
    """The media as an uploaded file. Each file is uploaded once."""
    data = b64decode(part.data or "")
    digest = sha256(data).hexdigest()
    if digest not in workshop.uploaded:
        body, kind = _form(data, part.media_type or "video/mp4", part.name or "video.mp4", part.kind)
        answer = await workshop.upload("/files", body, kind)
        try:
            id = mapping(decode(answer)).get("id")
        except MalformedReply:
            id = None
        if not isinstance(id, str) or not id:
            raise MalformedReply("the provider accepted the upload but returned no file ID")
        workshop.uploaded[digest] = (dialect.video_upload or "{id}").replace("{id}", id)
    return replace(part, data=None, url=workshop.uploaded[digest])


def _form(data: bytes, media_type: str, name: str, purpose: str) -> tuple[bytes, str]:
    """A multipart form with the file and its purpose, and the content type of the form."""
    mark = uuid4().hex
    safe = name.replace('"', "_").replace("\r", "_").replace("\n", "_")
    body = (
        f'--{mark}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n{purpose}\r\n'
        f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{safe}"\r\n'
        f"Content-Type: {media_type}\r\n\r\n"
    ).encode()
    return body + data + f"\r\n--{mark}--\r\n".encode(), f"multipart/form-data; boundary={mark}"
