"""Runs the gateway: in this process, or in several worker processes on one socket."""

import contextlib
import gc
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from multiprocessing.context import SpawnProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from types import FrameType
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from modelbay.config.load import load
from modelbay.config.schema import Config
from modelbay.errors import ConfigError
from modelbay.gateway import limits
from modelbay.gateway.access_log import AccessLog, JsonLines, TextLines
from modelbay.gateway.app import GatewayApp
from modelbay.gateway.clients import ClientKeys
from modelbay.gateway.gateway import Gateway
from modelbay.gateway.limits import OneProcess, SharedCounts
from modelbay.gateway.log_stream import LogStream
from modelbay.logs import LOG
from modelbay.serving.server import HttpServer

if TYPE_CHECKING:
    import ctypes

DRAIN = 60.0
"""Seconds that requests in progress may take after SIGTERM."""
MOST_FILES = 65_536
"""Open files that are asked for. Some programs, which references start, close all numbers up to the limit."""
_LOOK = 0.2
"""Seconds between two checks of the workers."""
_PAUSE = 2.0
"""Minimum seconds between two starts of a worker."""


class Options(Struct, frozen=True):
    """How to run the gateway."""

    host: str
    config: Path | None
    log_format: Literal["text", "json"] = "text"
    workers: int = 1
    verbose: bool = False
    """Whether requests to providers are logged."""


def run(options: Options, listener: socket.socket, gateway: Gateway) -> None:
    """Serve until SIGTERM or Ctrl-C. `gateway`: that of `gateway_of`; several workers make their own.

    Raises:
        ConfigError: the workers cannot be started.
        KeyboardInterrupt: Ctrl-C, after everything is closed.
    """
    if options.workers == 1:
        _serve(options, listener, gateway, OneProcess())
        return
    try:
        temporary = TemporaryDirectory(prefix="modelbay-")
    except OSError as error:
        raise ConfigError(
            f"a temporary folder for the workers cannot be created: {error.strerror or error}",
            hint="set TMPDIR to a folder that you can write to, or omit --workers",
        ) from None
    with temporary as folder:
        counts = Path(folder) / "in-progress"
        SharedCounts.create(counts, options.workers)
        _Workers(options, listener, counts).run()


def gateway_of(options: Options, config: Config) -> Gateway:
    """The gateway of a configuration.

    Raises:
        ConfigError: the gateway cannot start with this configuration, or this system cannot run several workers.
    """
    if options.workers > 1 and not limits.CAN_SHARE:
        raise ConfigError(
            "--workers above 1 is not supported on Windows: worker processes cannot share their limits there",
            hint="omit --workers: one process serves all clients",
        )
    return Gateway(config, options.host, ClientKeys())


def _serve(
    options: Options,
    listener: socket.socket,
    gateway: Gateway,
    in_progress: OneProcess | SharedCounts,
    ready: Callable[[], object] | None = None,
) -> None:
    def serves() -> None:
        # an agent's request makes thousands of objects; the collections that they cause would visit the whole program each time
        gc.freeze()
        if ready is not None:
            ready()

    # lines that are written later would be out of order among those of the requests to providers
    log = AccessLog() if options.verbose else AccessLog(LogStream(sys.stderr), options.log_format)
    app = GatewayApp(gateway, log, in_progress, serves)
    HttpServer(app, listener, drain=DRAIN).run()


def ignore_hangups() -> None:
    """Ignore SIGHUP until the gateway handles it: a reload during the start must not end it."""
    if hasattr(signal, "SIGHUP") and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def raise_open_files() -> None:
    """Raise the limit on open files as far as the system allows it: a stream needs two, and the usual limit is 1,024."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if 0 <= soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def log_to_stderr(options: Options) -> None:
    """Write the log of the gateway and its requests to standard error, instead of the messages of the command line."""
    handler = logging.StreamHandler(LogStream(sys.stderr))
    handler.setFormatter(JsonLines() if options.log_format == "json" else TextLines())
    LOG.handlers = [handler]
    LOG.setLevel(logging.DEBUG if options.verbose else logging.INFO)
    LOG.propagate = False


def _work(
    options: Options, listener: socket.socket, counts: Path, number: int, ready: "ctypes.Array[ctypes.c_byte]"
) -> None:
    """A worker process."""
    log_to_stderr(options)
    threading.Thread(target=_end_with_parent, name="modelbay-parent", daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its workers
    gateway = gateway_of(options, load(options.config))
    in_progress = SharedCounts(counts, number, options.workers)
    _serve(options, listener, gateway, in_progress, lambda: ready.__setitem__(number, 1))


def _end_with_parent() -> None:
    """Stop this worker when its parent has ended without stopping it, such as by SIGKILL. It would keep the port in use."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def has_failed(exit_codes: Iterable[int | None]) -> bool:
    """Whether a worker ended otherwise than by the signal that stops it, which may reach it before it handles it."""
    return any(code not in (0, -signal.SIGTERM) for code in exit_codes)


class _Workers:
    """Worker processes. One that ends is started again."""

    def __init__(self, options: Options, listener: socket.socket, counts: Path) -> None:
        self._options = options
        self._listener = listener
        self._counts = counts
        self._context = multiprocessing.get_context("spawn")
        self._processes: list[SpawnProcess] = []
        self._started_at = [0.0] * options.workers
        # bytes, as a worker that is killed while it sets an event leaves its lock behind
        self._ready = self._context.RawArray("b", options.workers)
        self._stopping: int | None = None

    def run(self) -> None:
        for wanted in (signal.SIGTERM, signal.SIGINT):  # before there are workers that would outlive this process
            signal.signal(wanted, self._stop)
        signal.signal(signal.SIGHUP, self._forward)
        for number in range(self._options.workers):
            self._processes.append(self._started(number))
        while any(process.is_alive() for process in self._processes) or self._stopping is None:
            sleep(_LOOK)
            for number, process in enumerate(self._processes):
                if process.is_alive() or self._stopping is not None:
                    continue
                killed = (process.exitcode or 0) < 0
                if not self._ready[number] and not killed and not self._is_served():
                    self._stop(signal.SIGTERM, None)  # its successor would not get further
                    continue
                if monotonic() < self._started_at[number] + _PAUSE:
                    continue
                LOG.error("worker %d ended with exit code %s; it is started again", number, process.exitcode)
                self._ready[number] = 0
                self._processes[number] = self._started(number)
        for process in self._processes:
            process.join()
        if self._stopping == signal.SIGINT:
            raise KeyboardInterrupt
        if has_failed(process.exitcode for process in self._processes):
            sys.exit(1)

    def _is_served(self) -> bool:
        """Whether a worker serves clients. It does so with the last valid configuration while a new worker cannot read the file."""
        return any(ready and one.is_alive() for ready, one in zip(self._ready, self._processes, strict=False))

    def _started(self, number: int) -> SpawnProcess:
        self._started_at[number] = monotonic()
        arguments = (self._options, self._listener, self._counts, number, self._ready)
        process = self._context.Process(target=_work, args=arguments)
        process.start()
        if self._stopping is not None:  # the signal came before it was one of the processes
            process.terminate()
        return process

    def _stop(self, number: int, _: FrameType | None) -> None:
        self._stopping = number
        _signal(signal.SIGTERM, self._processes)

    def _forward(self, number: int, _: FrameType | None) -> None:
        # a worker that is not ready does not handle it yet, and would end
        _signal(number, [one for ready, one in zip(self._ready, self._processes, strict=False) if ready])


def _signal(number: int, processes: Iterable[SpawnProcess]) -> None:
    for process in processes:
        if process.pid is not None and process.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)
