"""Values made for the schemas of pydantic are valid for pydantic."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import AnyUrl, BaseModel, ConfigDict, Field, TypeAdapter

from modelbay.simulator.examples import example


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Address(BaseModel):
    street: str
    number: Annotated[int, Field(ge=1, le=99)]


class Tree(BaseModel):
    name: str
    children: "list[Tree]"


class Chain(BaseModel):
    next: "Chain | None"


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    first: Address
    all: list[Address]


SHAPES: dict[str, Any] = {
    "text": str,
    "number": float,
    "true or false": bool,
    "nothing": None,
    "enum": Colour,
    "literal": Literal["a", 1],
    "list": list[int],
    "at least three": Annotated[list[str], Field(min_length=3)],
    "at most one": Annotated[list[str], Field(max_length=1)],
    "tuple": tuple[int, str],
    "map": dict[str, int],
    "optional": int | None,
    "either": int | str,
    "nested": Strict,
    "recursive list": Tree,
    "recursive optional": Chain,
    "long text": Annotated[str, Field(min_length=200)],
    "short text": Annotated[str, Field(max_length=2)],
    "range": Annotated[float, Field(gt=0, lt=1)],
    "negative": Annotated[int, Field(lt=-10)],
    "multiple": Annotated[int, Field(multiple_of=7, ge=20)],
    "pattern": Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")],
    "date": date,
    "time": datetime,
    "address": AnyUrl,
    "uuid": UUID,
    "tagged": Annotated[Cat | Dog, Field(discriminator="kind")],
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("prompt", ["", "What is the weather in Paris on 3 days, at 200 or -5 degrees?"])
def test_a_made_value_is_valid(shape: Any, prompt: str):
    adapter: TypeAdapter[Any] = TypeAdapter(shape)
    adapter.validate_python(example(adapter.json_schema(), prompt), strict=False)


def test_a_quoted_text_in_the_prompt_is_the_value():
    schema = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
    assert example(schema, "Run `ls -l` please") == {"command": "ls -l"}


@pytest.mark.parametrize(
    ("name", "prompt", "value"),
    [
        ("path", "Read src/main.py now", "src/main.py"),
        ("url", "Fetch https://example.org/x for me", "https://example.org/x"),
        ("query", "who is who", "who is who"),
        ("city", "How warm is it in New York today?", "New York"),
        ("days", "no word of it", "days"),
    ],
)
def test_a_value_is_taken_from_the_prompt_by_its_name(name: str, prompt: str, value: str):
    schema = {"type": "object", "properties": {name: {"type": "string"}}}
    assert example(schema, prompt) == {name: value}


def test_a_schema_of_google_is_understood():
    schema = {"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}, "required": ["n"]}
    assert example(schema, "take 4") == {"n": 4}


@pytest.mark.parametrize(
    "schema", [None, True, {}, {"$ref": "#"}, {"$ref": "#/nowhere"}, {"type": []}, {"allOf": [{}]}]
)
def test_an_odd_schema_does_not_trouble_it(schema: Any):
    example(schema, "anything")
