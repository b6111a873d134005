"""A process that is stopped while it waits for a reply, as with Ctrl-Z, and goes on later."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.fault_config import LONG
from tests.faults.raw_server import chunk, head

IDLE = 1.0
"""Seconds of silence after which the process gives up."""
READER = f"""
import asyncio, importlib, sys
from modelbay.transport import Limits, Request, Transport

async def read():
    if sys.argv[2] == "aiohttp":
        Transport._client = lambda transport, _: transport._through_proxy()
    async with Transport() as transport:
        limits = Limits(connect={LONG}, first_byte={LONG}, idle={IDLE})
        response = await transport.send(Request("POST", sys.argv[1], body=b"{{}}", limits=limits))
        await response.pump(lambda piece: print(piece.decode(), flush=True))

with asyncio.Runner(loop_factory=importlib.import_module(sys.argv[3]).new_event_loop) as runner:
    runner.run(read())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGSTOP")
@pytest.mark.parametrize("client", ["direct", "aiohttp"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_reply_that_arrived_while_the_process_was_stopped_is_read(client: str, loop: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        command = [sys.executable, "-c", READER, url, client, loop]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as reader:
            assert reader.stdout
            peer, _ = listener.accept()
            received = b""
            while not received.endswith(b"{}"):
                received += peer.recv(65536)
            peer.sendall(head(chunked=True) + chunk(b"first"))
            assert reader.stdout.readline() == "first\n"
            reader.send_signal(signal.SIGSTOP)
            os.waitpid(reader.pid, os.WUNTRACED)
            peer.sendall(chunk(b"second") + chunk(b""))
            time.sleep(1.25 * IDLE)
            reader.send_signal(signal.SIGCONT)
            found, errors = reader.communicate(timeout=LONG)
            peer.close()
    assert found == "second\n", errors
