"""Twice as much costs twice as much, about: no step searches everything for each item."""

import json
from collections.abc import Callable

import pytest

from bench.growth import scenarios
from modelbay.protocols.arguments import Arguments
from tests.processor_time import check_growth

FEW, MANY = 300, 4_000
MOST = 40.0
"""13 times as much costs 13 times as much; where each thing is compared with each other, 178 times."""


@pytest.mark.parametrize(
    "prepare", [pytest.param(prepare, id=f"{what} {protocol}") for what, protocol, prepare in scenarios()]
)
def test_the_cost_grows_with_the_size_and_not_with_its_square(prepare):
    check_growth(prepare(FEW), prepare(MANY), below=MOST, tries=3)


def one_string(count: int) -> str:
    return json.dumps({"a": "x" * count})


def many_objects(count: int) -> str:
    return json.dumps({"a": [{"b": 1}] * (count // 10)})


def quoted(count: int) -> str:
    return json.dumps(one_string(count))


def fed(text: str) -> Callable[[], object]:
    def run() -> str:
        arguments = Arguments()
        return "".join([arguments.feed(character) for character in text]) + arguments.close()

    return run


@pytest.mark.parametrize("spelled", [one_string, many_objects, quoted])
def test_the_cost_of_arguments_that_arrive_by_character_grows_with_their_length(spelled: Callable[[int], str]) -> None:
    check_growth(fed(spelled(10 * FEW)), fed(spelled(10 * MANY)), below=MOST, tries=3)
