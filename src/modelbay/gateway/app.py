"""The gateway as a server's handler: a visit for each request, and its log."""

from collections.abc import Callable
from logging import DEBUG

from modelbay.gateway.access_log import AccessLog
from modelbay.gateway.asked import Asked
from modelbay.gateway.gateway import Gateway
from modelbay.gateway.limits import InProgress
from modelbay.gateway.passage import Passage
from modelbay.gateway.visit import Visit
from modelbay.logs import LOG, REQUEST
from modelbay.serving.http_request import HttpRequest
from modelbay.serving.request_head import RequestHead
from modelbay.serving.server import RequestHandler


class GatewayApp(RequestHandler):
    def __init__(
        self,
        gateway: Gateway,
        log: AccessLog,
        in_progress: InProgress,
        ready: Callable[[], object] | None = None,
    ) -> None:
        """`ready` is called when requests are answered."""
        self._gateway = gateway
        self._log = log
        self._in_progress = in_progress
        self._ready = ready

    async def start(self) -> None:
        await self._gateway.start()
        if self._ready is not None:
            self._ready()

    def begin(self, request: HttpRequest) -> bool:
        asked: Asked | None = request.head.derived
        if asked is None or asked.callers is not self._gateway.callers:
            return False
        return Passage(self._gateway, request, self._in_progress, self._log.write, self._go_on).begin(asked)

    def expects(self, head: RequestHead) -> bool:
        asked: Asked | None = head.derived
        if asked is None or asked.callers is not self._gateway.callers or asked.sent_on is None:
            return False
        return self._gateway.revision.settings.auth == "none" or self._gateway.client_of(asked.keys) is not None

    async def answer(self, request: HttpRequest) -> None:
        revision = self._gateway.enter()
        try:
            await self._visited(Visit(self._gateway, request, self._in_progress))
        finally:
            self._gateway.leave(revision)

    def _go_on(self, passage: Passage) -> None:
        async def answer(request: HttpRequest) -> None:
            try:
                await self._visited(Visit(self._gateway, request, self._in_progress, passage))
            finally:
                passage.begun.leave()
                passage.close()

        passage.http.run(answer)

    async def _visited(self, visit: Visit) -> None:
        if LOG.isEnabledFor(DEBUG):
            REQUEST.set(visit.id)
        try:
            await visit.answer()
        finally:
            visit.responder.stop()
            self._log.write(visit.record)
            visit.drop_frames()

    async def aclose(self) -> None:
        await self._gateway.aclose()
        self._log.flush()
