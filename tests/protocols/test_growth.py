"""Twice as much costs twice as much, about: nobody looks through everything for each thing."""

import gc
import time
from collections.abc import Callable

import pytest

from bench.growth import scenarios

FEW, MANY = 300, 4_000
MOST = 40.0
"""13 times as much costs 13 times as much; where each thing is compared with each other, 178 times."""


def cost(run: Callable[[], object], tries: int) -> float:
    """Processor time, the least of several: a busy machine only ever adds to it."""
    least = float("inf")
    gc.collect()
    gc.disable()
    try:
        for _ in range(tries):
            start = time.process_time()
            run()
            least = min(least, time.process_time() - start)
    finally:
        gc.enable()
    return max(least, 1e-5)


@pytest.mark.parametrize(
    "prepare", [pytest.param(prepare, id=f"{what} {protocol}") for what, protocol, prepare in scenarios()]
)
def test_the_cost_grows_with_the_size_and_not_with_its_square(prepare):
    few, many = prepare(FEW), prepare(MANY)
    assert cost(many, 2) < MOST * cost(few, 5)
