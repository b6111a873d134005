"""A hub in a web application: a client that leaves ends the call of the model."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse

from modelbay import Hub, ModelbayError
from modelbay.serving.server import HttpServer, listen
from modelbay.testing import Simulator

STALLED = "sim-1!stall"


def application(hub: Hub) -> FastAPI:
    app = FastAPI()

    @app.get("/answer")
    async def answer(question: str) -> str:
        return (await hub.complete(question)).text

    @app.get("/stream")
    async def stream(question: str, model: str = "sim-1") -> StreamingResponse:
        return StreamingResponse(hub.stream(question, model=model).text, media_type="text/plain")

    @app.get("/begun")
    async def begun(question: str, model: str = "sim-1") -> StreamingResponse:
        try:
            stream = await hub.stream(question, model=model, retries=0).begin()
        except ModelbayError as error:
            raise HTTPException(502, str(error)) from error
        return StreamingResponse(stream.text, media_type="text/plain")

    @app.get("/limited")
    async def limited(question: str) -> str:
        try:
            async with asyncio.timeout(0):
                return (await hub.complete(question, model=STALLED)).text
        except TimeoutError:
            return "too slow"

    return app


@asynccontextmanager
async def running(hub: Hub) -> AsyncIterator[int]:
    """The port of the application."""
    server = HttpServer(application(hub), listener := listen("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server.start()
    try:
        yield port
    finally:
        await asyncio.to_thread(server.stop)


async def opened(port: int, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n".encode())
    return reader, writer


async def fetched(port: int, path: str) -> str:
    reader, writer = await opened(port, path)
    body = (await reader.read()).decode()
    writer.close()
    return body


async def test_handlers_answer_with_replies() -> None:
    async with Simulator() as simulator, simulator.hub() as hub, running(hub) as port:
        simulator.when("whole").say("Sunny.").times(20)
        bodies = await asyncio.gather(*[fetched(port, "/answer?question=whole") for _ in range(20)])
        assert all("Sunny." in body for body in bodies)
        simulator.say("Rainy.")
        assert "Rainy." in await fetched(port, "/stream?question=piece+by+piece")
        assert "too slow" in await fetched(port, "/limited?question=slow")


async def test_a_failure_before_the_reply_is_a_status_of_the_response() -> None:
    async with Simulator() as simulator, simulator.hub() as hub, running(hub) as port:
        failed = await fetched(port, "/begun?question=Hi&model=sim-1!500")
        assert failed.startswith("HTTP/1.1 502 ")
        simulator.say("Sunny.")
        whole = await fetched(port, "/begun?question=Hi")
        assert whole.startswith("HTTP/1.1 200 ") and "Sunny." in whole


async def test_a_client_that_leaves_after_the_beginning_ends_the_call() -> None:
    async with Simulator() as simulator, simulator.hub() as hub, running(hub) as port:
        reader, writer = await opened(port, f"/begun?question=Hi&model={STALLED}")
        await reader.readuntil(b"You")
        writer.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        writer.close()
        assert (await simulator.requests[0].wait_over()).disconnected


async def test_a_client_that_leaves_ends_the_call_of_its_stream() -> None:
    async with Simulator() as simulator, simulator.hub() as hub, running(hub) as port:
        reader, writer = await opened(port, f"/stream?question=Hi&model={STALLED}")
        await reader.readuntil(b"You")
        writer.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        writer.close()
        assert (await simulator.requests[0].wait_over()).disconnected
        assert "You asked: Yo" in await fetched(port, "/answer?question=Yo")


async def test_a_server_that_stops_ends_its_calls() -> None:
    async with Simulator() as simulator, simulator.hub() as hub:
        async with running(hub) as port:
            reader, writer = await opened(port, f"/stream?question=Hi&model={STALLED}")
            await reader.readuntil(b"You")
        assert (await simulator.requests[0].wait_over()).disconnected
        writer.close()
        assert (await hub.complete("Yo")).text.startswith("You asked: Yo")  # in another event loop
