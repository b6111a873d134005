"""How long things take, in processor time, beside each other: they take turns, and of each the least of several tries counts,
as a busy machine slows now this one, now that."""

import gc
import time
from collections.abc import Callable

TRIES = 15
LEAST = 0.02
"""Seconds that one try should take."""


def microseconds(run: Callable[[], object], per_run: int = 1) -> float:
    """Of one of the `per_run` things that `run` does."""
    return side_by_side([run], per_run)[0]


def side_by_side(runs: list[Callable[[], object]], per_run: int = 1) -> list[float]:
    """Microseconds of one of the `per_run` things that each of `runs` does."""
    times = [max(1, round(LEAST / _once(run, 1))) for run in runs]
    least = [float("inf")] * len(runs)
    gc.collect()
    gc.disable()
    try:
        for _ in range(TRIES):
            for index, run in enumerate(runs):
                least[index] = min(least[index], _once(run, times[index]) / times[index])
    finally:
        gc.enable()
    return [seconds / per_run * 1e6 for seconds in least]


def _once(run: Callable[[], object], times: int) -> float:
    start = time.process_time()
    for _ in range(times):
        run()
    return time.process_time() - start
