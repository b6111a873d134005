"""A hub in a notebook, in a real Jupyter kernel: `await` in cells, blocking calls beside the kernel's event loop, interrupts."""

import os
import signal
import time
from collections.abc import Iterator
from threading import Thread
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from modelbay.testing import Simulator

SETUP = """
import asyncio, gc, os, threading, warnings
warnings.simplefilter("error")
import modelbay
from modelbay import Hub
from modelbay.sync import Hub as Blocking
"""
STALLED = "sim-1!slow-headers"


class Notebook:
    """A kernel in which cells run one after the other."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.client = NotebookClient(nbformat.v4.new_notebook(), kernel_name="python3", timeout=300, allow_errors=True)

    def run(self, code: str) -> str:
        """The output and the value of a cell."""
        texts, errors = self._outputs(code)
        assert not errors
        return texts

    def interrupted(self, code: str) -> list[str]:
        """The errors of a cell that is interrupted when its request has arrived."""
        before = len(self.simulator.requests)
        kernel: Any = self.client.km

        def interrupt() -> None:
            while len(self.simulator.requests) == before:
                time.sleep(0.01)
            os.kill(kernel.provisioner.pid, signal.SIGINT)

        thread = Thread(target=interrupt)
        thread.start()
        _, errors = self._outputs(code)
        thread.join()
        return errors

    def _outputs(self, code: str) -> tuple[str, list[str]]:
        cell = nbformat.v4.new_code_cell(code)
        cells = self.client.nb.cells
        cells.append(cell)
        self.client.execute_cell(cell, len(cells) - 1)
        texts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs]
        return "".join(texts), [output.ename for output in cell.outputs if output.output_type == "error"]


@pytest.fixture(scope="module")
def notebook() -> Iterator[Notebook]:
    with Simulator() as simulator:
        notebook = Notebook(simulator)
        with notebook.client.setup_kernel():
            notebook.run(f"{SETUP}\nCONNECTION = dict(base_url={simulator.base_url()!r}, model='sim-1')")
            yield notebook


def test_cells_await_calls(notebook: Notebook) -> None:
    notebook.run("hub = Hub.of(**CONNECTION)")
    assert "You asked: Hi" in notebook.run("(await hub.complete('Hi')).text")
    assert "You asked: Yo" in notebook.run("async for text in hub.stream('Yo').text:\n    print(text, end='')")
    assert "3" in notebook.run("len(await hub.map(['a', 'b', 'c']))")


def test_cells_make_blocking_calls(notebook: Notebook) -> None:
    notebook.run("hub = Blocking.of(**CONNECTION)")
    assert "You asked: Hi" in notebook.run("hub.complete('Hi').text")
    assert "You asked: Yo" in notebook.run("for text in hub.stream('Yo').text:\n    print(text, end='')")


def test_the_shortest_program_runs_in_a_cell(notebook: Notebook) -> None:
    notebook.run("import modelbay.default_hub as home\nhome.default_hub = lambda made=Blocking.of(**CONNECTION): made")
    assert "You asked: Hi" in notebook.run("modelbay.complete('Hi').text")
    assert "You asked: Yo" in notebook.run("print(*modelbay.stream('Yo').text, sep='')")


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        ("Blocking", "hub.complete('Hi', model=MODEL)"),
        ("Blocking", "list(hub.stream('Hi', model=MODEL))"),
        ("Hub", "await hub.complete('Hi', model=MODEL)"),
        ("Hub", "[event async for event in hub.stream('Hi', model=MODEL)]"),
    ],
)
def test_an_interrupted_cell_ends_its_call_and_the_hub_goes_on(notebook: Notebook, kind: str, call: str) -> None:
    notebook.run(f"MODEL = {STALLED!r}\nhub = {kind}.of(**CONNECTION)")
    assert notebook.interrupted(call) in (["KeyboardInterrupt"], ["CancelledError"])
    [stalled] = [request for request in notebook.simulator.requests if request.model == STALLED][-1:]
    assert stalled.wait_over_sync().disconnected
    again = call.replace(", model=MODEL", "")
    assert "asked" in notebook.run(f"str({again})")


def test_a_cell_that_makes_a_hub_can_run_again(notebook: Notebook) -> None:
    cell = """
hub = Blocking.of(**CONNECTION)
hub.complete("Hi")
stream = hub.stream("Hi", model="sim-1!stall")
next(stream);
"""
    for _ in range(5):
        notebook.run(cell)
    counted = """
del hub, stream
gc.collect()
home = [thread for thread in threading.enumerate() if thread.name == "modelbay"]
while len([thread for thread in home if thread.is_alive()]) > 2:
    threading.Event().wait(0.01)
"""
    notebook.run(counted)


def test_a_kernel_ends_with_open_streams(notebook: Notebook) -> None:
    other = Notebook(notebook.simulator)
    with other.client.setup_kernel():
        other.run(f"{SETUP}\nCONNECTION = dict(base_url={notebook.simulator.base_url()!r}, model='sim-1')")
        other.run("hub = Blocking.of(**CONNECTION)\nstream = hub.stream('Hi', model='sim-1!stall')\nnext(stream);")
        other.run("own = Hub.of(**CONNECTION)\nasync for event in own.stream('Hi', model='sim-1!stall'):\n    break")
    assert not other.client.km or not other.client.km.is_alive()
