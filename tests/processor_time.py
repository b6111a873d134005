"""Growth of processor time, for tests: what takes how many times as long when its input grows."""

import gc
import time
from collections.abc import Callable


def growth(few: Callable[[], object], many: Callable[[], object], tries: int = 5) -> float:
    """The processor time of `many`, as a ratio to that of `few`.

    They take turns and the least of several tries counts: a busy machine slows now one and now the other, and only ever
    adds to the time.
    """
    least = [float("inf"), float("inf")]
    gc.collect()
    gc.disable()
    try:
        for _ in range(tries):
            for index, run in enumerate((few, many)):
                start = time.process_time()
                run()
                least[index] = min(least[index], time.process_time() - start)
    finally:
        gc.enable()
    return least[1] / max(least[0], 1e-5)
