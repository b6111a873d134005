"""Twice as much costs twice as much, about: no step searches everything for each item."""

import pytest

from bench.growth import scenarios
from tests.processor_time import check_growth

FEW, MANY = 300, 4_000
MOST = 40.0
"""13 times as much costs 13 times as much; where each thing is compared with each other, 178 times."""


@pytest.mark.parametrize(
    "prepare", [pytest.param(prepare, id=f"{what} {protocol}") for what, protocol, prepare in scenarios()]
)
def test_the_cost_grows_with_the_size_and_not_with_its_square(prepare):
    check_growth(prepare(FEW), prepare(MANY), below=MOST, tries=3)
