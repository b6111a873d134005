"""Runs programs of one library, and prints their output as JSON: `python runner.py LIBRARY FOLDER`, with runs in standard input.

The library is imported once, as some take ten seconds. Each program runs in a child process of its own, in a working folder, with
its environment.
"""

import importlib
import json
import multiprocessing
import os
import runpy
import sys
import tempfile
import traceback
from contextlib import redirect_stdout
from http.client import HTTPConnection
from io import StringIO
from pathlib import Path
from typing import Any

QUESTION = "/answer?question=Why+is+the+sky+blue%3F"
TRIES = 5
"""A busy machine may read a whole streamed answer at once. An answer that is not streamed never has several chunks."""


def cells(code: str) -> list[str]:
    """The cells of a notebook as a script."""
    return [cell.strip() for cell in code.split("# %%\n")[1:]]


def run_notebook(program: Path) -> None:
    """Run the cells in a kernel of Jupyter, and print what they print."""
    import nbclient
    import nbformat

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells(program.read_text())])
    nbclient.NotebookClient(notebook, timeout=None).execute()
    print("".join(output["text"] for cell in notebook.cells for output in cell.outputs))


def run_web_server(program: Path) -> None:
    """Run the FastAPI app of a program, ask it a question, and print the answer with the number of its chunks."""
    from modelbay.serving.server import HttpServer, listen

    listener = listen("127.0.0.1", 0)
    server = HttpServer(runpy.run_path(str(program))["app"], listener)
    connection = HTTPConnection("127.0.0.1", listener.getsockname()[1])
    server.start()
    for _ in range(TRIES):
        connection.request("GET", QUESTION)
        response = connection.getresponse()
        chunks = list(iter(response.read1, b""))
        if len(chunks) > 1:
            break
    print(b"".join(chunks).decode(), f"{len(chunks)} chunks", sep="\n")
    connection.close()
    server.stop()


SPECIAL = {"notebook": run_notebook, "web_stream": run_web_server}


def run(program: Path, folder: Path, environment: dict[str, str], results: Any) -> None:
    os.environ.update(environment)
    os.chdir(folder)
    output = StringIO()
    try:
        with redirect_stdout(output):
            (SPECIAL.get(program.stem) or run_script)(program)
        results.put(output.getvalue())
    except (Exception, SystemExit):  # noqa: BLE001  the output of a program ends with its error
        results.put(f"{output.getvalue()}\n{traceback.format_exc()}")


def run_script(program: Path) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(program.read_text().replace("https://api.anthropic.com", os.environ["ANTHROPIC_BASE_URL"]))
        file.flush()
        runpy.run_path(file.name, run_name="__main__")


def main(library: str, folder: Path) -> None:
    importlib.import_module(library)
    forking = multiprocessing.get_context("fork")
    outputs = {}
    for program, environment in json.load(sys.stdin):
        results = forking.SimpleQueue()
        child = forking.Process(target=run, args=(Path(program), folder, environment, results))
        child.start()
        outputs[Path(program).stem] = results.get()
        child.join()
    json.dump(outputs, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
