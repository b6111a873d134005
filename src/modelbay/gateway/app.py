"""The ASGI app of the gateway: a visit for each request, and its log."""

from collections.abc import Callable

from modelbay.gateway.access_log import AccessLog
from modelbay.gateway.gateway import Gateway
from modelbay.gateway.limits import InProgress
from modelbay.gateway.visit import Visit
from modelbay.serving.asgi import Message, Receive, Send


class GatewayApp:
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

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        revision = self._gateway.enter()
        visit = Visit(self._gateway, scope, receive, send, self._in_progress)
        try:
            await visit.answer()
        finally:
            visit.responder.stop()
            self._log.write(visit)
            self._gateway.leave(revision)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self._gateway.start()
                if self._ready is not None:
                    self._ready()
            else:
                await self._gateway.aclose()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
