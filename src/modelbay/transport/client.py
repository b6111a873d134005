"""Sends a call, once. Whether to send it again is decided by `routing.retry`.

A call ends in bounded time: there are limits for reaching the server, for its first byte, and for silence after that.
It ends with the truth: a reply that broke off, did not unpack or grew too large is an error, never a shorter reply.
Redirects are not followed, cookies are not kept, and no error quotes a header, a query or a password.
"""

import asyncio
import io
from typing import Self

import aiohttp
from yarl import URL

from modelbay.config.schema import Tls
from modelbay.secrecy import without_frames
from modelbay.transport.connection import PENDING, Pending, open_session
from modelbay.transport.failure import explained, refused, timed_out
from modelbay.transport.request import Request, check, is_socks
from modelbay.transport.response import Response

LARGE_BODY = 2**20
"""From here on a body is handed over as a file, so that it is written piece by piece."""


class Transport:
    """Sends requests over connections that it keeps. Belongs to the event loop that it is first used in."""

    def __init__(self) -> None:
        self._sessions: dict[tuple[str | None, Tls | None, bool], aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection, those in use too."""
        sessions = list(self._sessions.values())
        self._sessions.clear()
        for session in sessions:
            await session.close()

    async def send(self, request: Request) -> Response:
        """Send a request, once, and return when the headers of its answer are here, whatever its status.

        Raises:
            ConfigError: the request cannot be sent as it is; nothing was sent.
            ConnectFailed, TimedOut, Disconnected: no answer came.
            Redirected: the answer points elsewhere.
            MalformedReply: what answered does not speak HTTP, or packs its reply in an unknown way.
        """
        check(request)
        proxy = None if request.public else request.proxy
        session = self._session(proxy, request.tls, request.public)
        call = Pending(request.limits)
        token = PENDING.set(call)
        try:
            async with asyncio.timeout(request.limits.connect) as call.deadline:
                reply = await session.request(
                    request.method,
                    URL(request.url, encoded=request.url.isascii()),
                    data=_payload(request.body),
                    headers=request.headers,
                    proxy=None if is_socks(proxy) else proxy,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=request.limits.connect),
                )
            response = Response(reply, request, call.connected_at)
            del reply  # its repr has the whole URL
            call.answered = True
        except TimeoutError:
            raise timed_out("connect" if call.connection is None else "first_byte", request) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise explained(without_frames(error), request, connected=call.connection is not None) from None
        except BaseException as error:  # a call that is cancelled, above all
            without_frames(error)  # aiohttp's frames have the URL and the headers in types of its own
            raise
        finally:
            PENDING.reset(token)
            if not call.answered:
                call.abort()
        if failure := refused(response.status, response.headers, request):
            await response.aclose()
            raise failure
        return response

    def _session(self, proxy: str | None, tls: Tls | None, public: bool) -> aiohttp.ClientSession:
        session = self._sessions.get((proxy, tls, public))
        if session is None:
            session = self._sessions[proxy, tls, public] = open_session(proxy, tls, public)
        return session


def _payload(body: bytes | None) -> bytes | io.BytesIO | None:
    return io.BytesIO(body) if body is not None and len(body) >= LARGE_BODY else body
