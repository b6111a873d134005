"""Growth of processor time, for tests: what takes how many times as long when its input grows."""

import gc
import time
from collections.abc import Callable


def check_growth(few: Callable[[], object], many: Callable[[], object], *, below: float, tries: int = 5) -> None:
    """Check that `many` takes less than `below` times the processor time of `few`.

    Another program can make this one several times as slow, for a moment or for minutes, as it fills the caches. So each run of
    `many` is compared with the runs of `few` right before it, of which the least counts, and the least growth of several.
    """
    gc.collect()
    gc.disable()
    try:
        growth = float("inf")
        for _ in range(4 * tries):
            least = min(_time(few) for _ in range(tries))
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
