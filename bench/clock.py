"""How long something takes, in processor time: the least of several tries, as other programs get in the way."""

import gc
import time
from collections.abc import Callable

TRIES = 15
LEAST = 0.02
"""Seconds that one try should take."""


def microseconds(run: Callable[[], object], per_run: int = 1) -> float:
    """Of one of the `per_run` things that `run` does."""
    run()
    start = time.process_time()
    run()
    times = max(1, round(LEAST / (time.process_time() - start)))
    gc.collect()
    gc.disable()
    try:
        return min(_once(run, times) for _ in range(TRIES)) / times / per_run * 1e6
    finally:
        gc.enable()


def _once(run: Callable[[], object], times: int) -> float:
    start = time.process_time()
    for _ in range(times):
        run()
    return time.process_time() - start
