"""Growth of processor time, for tests: what takes how many times as long when its input grows."""

import gc
import time
from collections.abc import Callable


def check_growth(few: Callable[[], object], many: Callable[[], object], *, below: float, tries: int = 5) -> None:
    """Checks that `many` takes less than `below` times the processor time of `few`.

    The least of several tries counts, because a busy machine only ever adds to the time. `few` has all its tries first, and
    `many` as many as it needs, at most four times that: a longer run is more rarely undisturbed.
    """
    gc.collect()
    gc.disable()
    try:
        least, growth = min(_time(few) for _ in range(tries)), float("inf")
        for _ in range(4 * tries):
            growth = min(growth, _time(many) / max(least, 1e-5))
            if growth < below:
                return
    finally:
        gc.enable()
    raise AssertionError(f"it takes {growth:.0f} times as long, not less than {below:g} times")


def _time(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start
