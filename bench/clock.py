"""How long something takes, as well as a busy machine can tell: the least of several tries."""

import gc
import time
from collections.abc import Callable

TRIES = 15
LEAST = 0.02
"""Seconds that one try should take."""


def microseconds(run: Callable[[], object], per_run: int = 1) -> float:
    """Of one of the `per_run` things that `run` does."""
    run()
    start = time.perf_counter()
    run()
    times = max(1, round(LEAST / (time.perf_counter() - start)))
    gc.collect()
    gc.disable()
    try:
        return min(_once(run, times) for _ in range(TRIES)) / times / per_run * 1e6
    finally:
        gc.enable()


def _once(run: Callable[[], object], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        run()
    return time.perf_counter() - start
