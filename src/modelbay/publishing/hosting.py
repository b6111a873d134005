"""Serves a manifest locally, to try it before it is published: an ASGI app.

The manifest's base URL is replaced by the URL of this server, because the real server may not have the manifest yet. Calls are
forwarded to the real server with the caller's key. So an application finds everything at one URL, as it will later.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, TypeAlias
from urllib.parse import parse_qs

import msgspec

from modelbay.calling.network_client import USER_AGENT
from modelbay.catalog.facts import day
from modelbay.catalog.formats.manifest import parse_manifest, parse_models
from modelbay.config.schema import Config
from modelbay.conversation import Extra
from modelbay.credentials.network import transport_of
from modelbay.errors import ConfigError, ModelbayError, NotFound, RequestTooLarge, SourceError
from modelbay.json_text import decode
from modelbay.logs import escaped
from modelbay.origin import origin
from modelbay.providers import urls
from modelbay.serving import refusals
from modelbay.serving.asgi import (
    Message,
    Receive,
    Send,
    body_of,
    disconnected,
    respond,
    respond_json,
)
from modelbay.serving.callers import Callers
from modelbay.serving.paths import NOT_PLAIN, is_plain
from modelbay.transport import Request, Transport

Files: TypeAlias = Callable[[], tuple[bytes, bytes | None]]
"""Reads the content of the manifest's file, and of `models.json` next to it."""
LOG = logging.getLogger("modelbay.hosting")
HOST = "127.0.0.1"
BASE = "/v1"
FORWARDED = ("authorization", "content-type", "accept")
"""The headers of a call that are forwarded. The others are about the connection, or not needed."""


class HostedManifest:
    """The documents to serve: a manifest and its models by ID. `models` is None if they are at models.dev."""

    def __init__(self, manifest: Extra, models: Extra | None, url: str) -> None:
        self._models = models
        self.base_url = str(manifest["baseUrl"]).strip()
        """The base URL that calls are forwarded to."""
        source = "models_dev" if models is None else "endpoint"
        table = {**manifest, "baseUrl": f"{url}{BASE}", "models_data_source": source}
        self._manifest = msgspec.json.encode(table)

    def page(self, query: str) -> bytes | None:
        """The document for `GET /models` with a query; None if the request is forwarded."""
        parameters = parse_qs(query)
        if parameters.get("provider") == ["true"]:
            return self._manifest
        if self._models is None:
            return None
        if parameters.get("extended") == ["true"]:
            return msgspec.json.encode({"models": self._models})
        data = [
            {"id": id, "object": "model", "created": _created(entry), "owned_by": origin(self.base_url).host}
            for id, entry in self._models.items()
        ]
        return msgspec.json.encode({"object": "list", "data": data})


def hosted(content: bytes, models: bytes | None, url: str) -> HostedManifest:
    """The documents to serve at `url`, from the content of the files.

    Raises:
        ConfigError: a file is not valid, or the models are missing.
    """
    pasted = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"["
    manifest = parse_manifest(content, pasted=pasted)
    read: Any = decode(content)
    if pasted:
        return HostedManifest(read[0], _by_id(read[1]), url)
    if manifest.source == "models_dev":
        return HostedManifest(read, None, url)
    if models is None:
        hint = "write both files with `modelbay manifest build`"
        raise ConfigError("models.json is missing next to the manifest", hint=hint)
    parse_models(models)
    return HostedManifest(read, _by_id(decode(models)), url)


def _by_id(extended: Any) -> Extra:
    models = extended.get("models") if isinstance(extended, dict) else None
    if not isinstance(models, dict) or not all(isinstance(entry, dict) for entry in models.values()):
        raise ConfigError('"models" is not an object with models by ID', hint="run `modelbay manifest check`")
    return models


def serve(files: Files, port: int, ready: Callable[[str, HostedManifest], None], config: Config) -> None:
    """Serve until Ctrl-C or SIGTERM. Call `ready` with the manifest's URL when the server accepts requests.

    Raises:
        ConfigError: the files are not valid.
        OSError: the port is in use.
        KeyboardInterrupt: Ctrl-C.
    """
    from modelbay.serving.server import HttpServer, listen, url_of

    with listen(HOST, port) as listener:
        url = url_of(HOST, listener.getsockname()[1])
        served = hosted(*files(), url)
        ready(f"{url}{BASE}/models?provider=true", served)
        HttpServer(HostingApp(files, served, url, config), listener, drain=1).run()


class HostingApp:
    def __init__(self, files: Files, served: HostedManifest, url: str, config: Config) -> None:
        """`url`: the URL of this server."""
        self._files = files
        self._served = served
        self._url = url
        self._callers = Callers(origin(url).host)
        self._config = config
        self._transport: Transport | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        async def logged(message: Message) -> None:
            if message["type"] == "http.response.start":
                LOG.debug("%s", escaped(f"{scope['method']} {scope['path']}: status {message['status']}"))
            await send(message)

        await self._answer(scope, receive, logged)

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        method: str = scope["method"]
        if reason := self._callers.refusal(scope["headers"]):
            await _refuse(send, refusals.not_allowed(reason))
        elif not is_plain(path):
            await _refuse(send, refusals.not_valid(NOT_PLAIN))
        elif method == "GET" and path == f"{BASE}/models" and (problem := await self._read()) is not None:
            await _refuse(send, problem)
        elif method == "GET" and path == f"{BASE}/models" and (page := self._served.page(query)) is not None:
            await respond_json(send, 200, page)
        elif path.startswith(f"{BASE}/") and method in ("GET", "POST"):
            await self._forward(scope, receive, send, path.removeprefix(BASE) + (f"?{query}" if query else ""))
        else:
            await _refuse(send, NotFound(f"{method} {path} is not served here", status=404, code="unknown_path"))

    async def _read(self) -> ModelbayError | None:
        """Read the files again, because their author edits them while they are served. Returns why they cannot be served."""
        try:
            self._served = hosted(*await asyncio.to_thread(self._files), self._url)
        except OSError as error:
            return SourceError(f"{error.filename} cannot be read: {error.strerror}")
        except ModelbayError as error:
            return SourceError(error.message, hint=error.hint)
        return None

    async def _forward(self, scope: Message, receive: Receive, send: Send, path: str) -> None:
        """Forward a request to the real base URL, and stream the response back."""
        try:
            body = await body_of(scope, receive)
        except RequestTooLarge as error:
            await _refuse(send, error)
            return
        if body is None:
            return
        named = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        headers = {"User-Agent": USER_AGENT, **{name: named[name] for name in FORWARDED if name in named}}
        url = urls.append(self._served.base_url, path)
        request = Request(scope["method"], url, headers, body or None, public=not origin(url).loopback)
        started = False
        gone = asyncio.ensure_future(disconnected(receive))
        self._transport = self._transport or transport_of(self._config)
        try:
            async with await self._transport.send(request) as response, aclosing(response.stream()) as chunks:
                kind = response.headers.get("content-type", "application/json").encode("latin-1")
                head = {"status": response.status, "headers": [(b"content-type", kind)]}
                await send({"type": "http.response.start", **head})
                started = True
                async for chunk in chunks:
                    if gone.done():
                        return
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except ModelbayError as failure:
            if not started:
                await _refuse(send, failure)
            # otherwise the response ends here without its last chunk, so that the client sees that it is incomplete
        finally:
            gone.cancel()


async def _refuse(send: Send, error: ModelbayError) -> None:
    """Send an error in OpenAI's format."""
    refused = refusals.refusal("openai_chat", error, refusals.UNREAD)
    await respond(send, refused.status, refused.body, refused.headers)


def _created(entry: Extra) -> int:
    """The release date in seconds since 1970, which a plain list requires; 0 if unknown."""
    released = entry.get("release_date")
    first = day(released) if isinstance(released, str) else None
    return int(datetime(first.year, first.month, first.day, tzinfo=UTC).timestamp()) if first else 0
