"""Twice as much costs twice as much, about: no step searches everything for each item."""

import json
from collections.abc import Callable

import pytest

from bench.growth import scenarios
from modelbay.errors import BadRequest
from modelbay.protocols.arguments import Arguments, normal
from modelbay.protocols.codec import codec
from modelbay.protocols.failures import summary
from modelbay.providers.adaptation import adaptation
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


def whole(text: str) -> Callable[[], object]:
    return lambda: normal(text)


@pytest.mark.parametrize("value", ["{}", '""', "{ } ", '"{}"', '{"a":1}', "null ", "[]"])
def test_the_cost_of_a_value_that_a_model_repeats_grows_with_their_number(value: str) -> None:
    check_growth(whole(value * 10 * FEW), whole(value * 10 * MANY), below=MOST, tries=3)


WORDS = ("temperature and top_p not ", "Unsupported ", "<title", "max_tokens ", "input is too long: ")


@pytest.mark.parametrize("word", WORDS)
def test_the_cost_of_an_error_grows_with_the_length_of_its_message(word: str) -> None:
    body = {"max_tokens": 5, "temperature": 1, "top_p": 1, "messages": []}

    def run(count: int) -> Callable[[], object]:
        said = json.dumps({"error": {"message": word * count}}).encode()

        def read() -> None:
            error = codec("openai_chat").parse_error(400, {}, said)
            adaptation(BadRequest(error.message, status=400), body, codec("openai_chat").PASS)
            summary(word * count)

        return read

    check_growth(run(10 * FEW), run(10 * MANY), below=MOST, tries=3)


@pytest.mark.parametrize("spelled", [one_string, many_objects, quoted])
def test_the_cost_of_arguments_that_arrive_by_character_grows_with_their_length(spelled: Callable[[int], str]) -> None:
    check_growth(fed(spelled(10 * FEW)), fed(spelled(10 * MANY)), below=MOST, tries=3)
