"""llama.cpp's own HTTP server, from the wheel `xllamacpp`, with the tiny model: as a process of its own.

    python -m tests.servers.llamacpp [--think] [--embed] [--api-key KEY] [--port 8080]

runs it by hand until Ctrl-D or Ctrl-C. It serves /v1/chat/completions, /v1/responses, /v1/messages
(with count_tokens), /v1/completions, /v1/models and with --embed /v1/embeddings.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.servers.cache import made_once
from tests.servers.process import Unavailable, running

PACKAGES = ("xllamacpp", "gguf", "numpy", "tokenizers")
SLOTS = 4
"""Number of requests at the same time; they share the context."""
CONTEXT = 8192


@dataclass(frozen=True, slots=True)
class LlamaServer:
    url: str
    """The root, without /v1: the base URL of the type `anthropic`."""
    api_key: str | None = None
    model: str = "tiny"
    context: int = CONTEXT // SLOTS
    """Maximum tokens of one conversation."""

    @property
    def openai(self) -> str:
        """The base URL of the types `openai` and `openai_responses`."""
        return f"{self.url}/v1"


@contextmanager
def llama_server(log: Path, *, think: bool = False, embed: bool = False, api_key: str = "") -> Iterator[LlamaServer]:
    """Run the server while the context lasts; one with an `api_key` refuses requests that do not carry it."""
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise Unavailable(f"llama.cpp's server needs the packages {', '.join(missing)} of the group `dev`")
    command = [sys.executable, "-m", "tests.servers.llamacpp"]
    command += ["--think"] * think + ["--embed"] * embed + ["--api-key", api_key] * bool(api_key)
    with running(command, log=log) as url:
        yield LlamaServer(url, api_key or None)


def model_folder() -> Path:
    """The folder of the model's files, written by the first server. Only that imports numpy and gguf."""

    def write(folder: Path) -> None:
        from tests.servers import tiny_model

        tiny_model.write(folder)

    here = Path(__file__).parent
    return made_once(
        "tiny-model", b"".join((here / name).read_bytes() for name in ("__init__.py", "tiny_model.py")), write
    )


def serve(options: argparse.Namespace) -> None:
    """Serve until standard input ends."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model_folder() / ("tiny-think.gguf" if options.think else "tiny.gguf"))
    parameters.model_alias = {"tiny"}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = options.port
    parameters.api_keys = [options.api_key] if options.api_key else []
    parameters.n_parallel = SLOTS
    parameters.n_ctx = CONTEXT
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    if options.embed:
        parameters.embedding = True
        parameters.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    parameters.sampling.temp = 0.0  # without a temperature, each request gets the same answer
    parameters.use_jinja = True
    parameters.endpoint_slots = True
    parameters.ui = parameters.warmup = parameters.fit_params = False
    parameters.offline = True
    server = xllamacpp.Server(parameters)  # starts its threads and returns when it listens
    # a separate line in one write, because the server's threads write to the same stream
    sys.stdout.write(f"\nlistening on {server.listening_address}\n")
    sys.stdout.flush()
    with suppress(KeyboardInterrupt):
        sys.stdin.read()
    os._exit(0)  # the server's own shutdown would wait for each open stream


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m tests.servers.llamacpp", description="Serve the tiny model.")
    options.add_argument("--port", type=int, default=0, help="the port on loopback; the system chooses by default")
    options.add_argument("--api-key", default="", help="refuse requests that do not carry this key")
    options.add_argument("--think", action="store_true", help="serve the model that reasons before it speaks")
    options.add_argument("--embed", action="store_true", help="serve embeddings")
    serve(options.parse_args())


if __name__ == "__main__":
    main()
