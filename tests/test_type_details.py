"""Descriptions, formats and limits of declared types reach the model, and the answer is checked against them."""

from dataclasses import dataclass
from datetime import datetime, time
from decimal import Decimal
from typing import Annotated, Any, NotRequired, TypedDict

import annotated_types
import attrs
import msgspec
import pydantic
import pytest

from modelbay import Tool
from modelbay.conversion import TypeForm
from modelbay.errors import MalformedReply
from modelbay.testing import Simulator


class Doc:
    """Has its text where `typing_extensions.Doc` has it."""

    def __init__(self, documentation: str) -> None:
        self.documentation = documentation


NAME = Annotated[str, "The full name."]


@dataclass
class Data:
    name: NAME


class Dict(TypedDict):
    name: NotRequired[NAME]


@attrs.define
class Attrs:
    name: NAME


class Struct(msgspec.Struct):
    name: NAME


class Renamed(msgspec.Struct, rename="upper"):
    name: NAME


@dataclass
class WithDoc:
    name: Annotated[str, Doc("The full name.")]


@dataclass
class WithField:
    name: Annotated[str, pydantic.Field(description="The full name.")]


@dataclass
class Inside:
    people: list[Data]


@dataclass
class Optional:
    person: Data | None


@pytest.mark.parametrize("type", [Data, Dict, Attrs, Struct, Renamed, WithDoc, WithField, Inside, Optional])
def test_a_description_beside_the_type_of_a_field_is_that_of_the_property(type: Any) -> None:
    schema = TypeForm(type).schema
    if type in (Inside, Optional):
        schema = schema["$defs"]["Data"]
    [name] = schema["properties"].values()
    assert name["description"] == "The full name."


def test_a_description_beside_the_type_of_a_parameter_reaches_the_model() -> None:
    def add(
        a: Annotated[int, "The first."], b: Annotated[int, pydantic.Field(description="The second.", ge=0)], c: int
    ) -> int:
        """Adds.

        Args:
            a: A number.
            c: The third.
        """
        return a + b + c

    found = Tool.of(add).schema["properties"]
    assert [one["description"] for one in found.values()] == ["The first.", "The second.", "The third."]
    assert found["b"]["minimum"] == 0


def test_limits_of_pydantic_hold_outside_its_models_too() -> None:
    @dataclass
    class Limited:
        age: Annotated[int, annotated_types.Ge(0)]

    @pydantic.dataclasses.dataclass
    class Checked:
        age: Annotated[int, pydantic.Field(ge=0)]

    for type in (Limited, Checked, list[Checked], Annotated[int, pydantic.Field(ge=0)]):
        form = TypeForm(type)
        wrong = {"age": -1} if type in (Limited, Checked) else [{"age": -1}] if type == list[Checked] else -1
        with pytest.raises(ValueError, match="greater than or equal to 0"):
            form.read(msgspec.json.encode(wrong))


@dataclass
class Paid:
    amount: Decimal
    other: Decimal | None
    at: datetime
    opens: time
    days: list[datetime]
    by_name: dict[str, Decimal]
    pair: tuple[Decimal, int]
    parts: "list[Paid]"


def test_times_and_decimal_numbers_have_their_form_wherever_they_are() -> None:
    schema = TypeForm(Paid).schema
    found = schema["properties"]
    number = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}
    assert found["amount"] == found["by_name"]["additionalProperties"] == found["pair"]["prefixItems"][0] == number
    assert found["other"]["anyOf"][0] == number
    assert found["at"] == found["days"]["items"] == {"type": "string", "format": "date-time"}
    assert found["opens"] == {"type": "string", "format": "time"}
    assert schema["$defs"]["Paid"]["properties"]["amount"] == number


def test_a_decimal_number_is_read_from_a_text_and_from_a_number() -> None:
    form = TypeForm(Decimal)
    assert form.read(b'"12.50"') == form.read(b"12.5") == Decimal("12.5")


class Cat(msgspec.Struct, tag=True):
    born: datetime


class Dog(msgspec.Struct, tag=True):
    name: NAME


@pytest.mark.parametrize("type", [Cat | Dog, Cat | Dog | None, Cat | Dog | int | None, Dog | Cat | list[datetime]])
def test_the_members_of_a_union_have_their_details(type: Any) -> None:
    defs = TypeForm(type).schema["$defs"]
    assert defs["Cat"]["properties"]["born"]["format"] == "date-time"
    assert defs["Dog"]["properties"]["name"]["description"] == "The full name."


def test_a_union_that_cannot_be_read_names_the_classes_that_can() -> None:
    @dataclass
    class Circle:
        radius: float

    with pytest.raises(
        TypeError, match=r"more than one dataclass.*: use pydantic's classes, or msgspec's with `tag=True`"
    ):
        TypeForm(Data | Circle)


@pytest.mark.parametrize("protocol", ["openai_chat", "openai_responses", "anthropic", "google"])
def test_every_provider_accepts_these_types(protocol: Any) -> None:
    class Bill(pydantic.BaseModel):
        amount: Decimal
        link: pydantic.HttpUrl
        data: Annotated[bytes, pydantic.Field(json_schema_extra={"contentEncoding": "base64"})]

    with Simulator() as simulator, simulator.sync_hub(protocol) as hub:
        simulator.answer({"amount": "12.50", "link": "https://example.com", "data": "eA=="})
        bill = hub.complete("Read the bill.", output=Bill)
        assert bill.value.amount == Decimal("12.50")
        simulator.answer({"value": {"amount": "12.50"}})
        with pytest.raises(MalformedReply, match="missing required field"):
            hub.complete("Read the bill.", output=Paid | None)
        assert len(simulator.requests) == 2
    moved = "limits in the output format are sent as part of its descriptions"
    assert [one.message for one in bill.warnings] == ([] if protocol == "google" else [moved])
