"""Answers as values of a type, over all protocols."""

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any, Generic, Literal, TypedDict, TypeVar

import msgspec
import pydantic
import pytest

from modelbay import Hub, OutputFormat, errors, sync, testing
from modelbay.conversation import Protocol, Text
from modelbay.events import Reply
from modelbay.json_text import decode, encode
from modelbay.library.typed_output import OutputType, object_text
from modelbay.simulator import Simulator
from tests.faults.raw_server import Client, RawServer
from tests.test_hub import HEAD, chunked, hub_at, json_answer


@dataclasses.dataclass
class City:
    name: str
    population: int
    tags: list[str]
    country: str = "DE"


class Place(pydantic.BaseModel):
    name: str
    at: tuple[float, float]


class Box(msgspec.Struct):
    width: float
    inside: "Box | None" = None


class Options(TypedDict, total=False):
    days: int


IN_THE_PROMPT = (Place, Box, dict[str, int])
"""Types whose schema has fixed positions, refers to itself, or allows any name: Anthropic has no output format for these."""


@pytest.mark.parametrize("wanted", [City, Place, Box, list[City], Literal["spam", "ham"], int, dict[str, int], Options])
async def test_the_answer_is_a_value_of_the_type(config: Path, model: str, wanted: Any) -> None:
    async with Hub.open(config) as hub:
        reply = await hub.complete("Describe `Hamburg`", model=model, output=wanted)
        streamed = await hub.stream("Describe `Hamburg`", model=model, output=wanted).reply()
    assert reply.value == streamed.value
    assert reply.value is not None
    asked_by_prompt = hub.model(model).protocol == "anthropic" and wanted in IN_THE_PROMPT
    assert any("sent as part of the system prompt" in one.message for one in reply.warnings) == asked_by_prompt
    if isinstance(wanted, type):
        assert isinstance(reply.value, dict if wanted is Options else wanted)


async def test_a_schema_in_the_prompt_follows_the_system_prompt_of_the_call(config: Path, simulator: Simulator) -> None:
    simulator.journal.clear()
    async with Hub.open(config) as hub:
        model = next(one.alias for one in hub.models() if one.protocol == "anthropic")
        run = hub.run(
            "Use the weather tool for `Hamburg`", tools=[get_weather], system="Be brief.", output=Box, model=model
        )
        reply = await run
    assert isinstance(reply.value, Box)
    for entry in simulator.journal:
        asked = decode(entry.body)
        assert "output_config" not in asked or "format" not in asked["output_config"]
        assert str(asked["system"]).count("Answer with JSON that matches this JSON Schema") == 1
        assert "Be brief." in str(asked["system"])


async def test_the_model_is_asked_for_every_field(config: Path, simulator: Simulator) -> None:
    simulator.journal.clear()
    async with Hub.open(config) as hub:
        await hub.complete("Describe `Hamburg`", output=City)
    asked = decode(simulator.journal[-1].body)["response_format"]["json_schema"]
    assert asked["name"] == "City"
    assert asked["strict"] is True
    assert asked["schema"]["required"] == ["name", "population", "tags", "country"]
    assert asked["schema"]["additionalProperties"] is False


async def test_a_value_grows_while_it_arrives(tmp_path: Path) -> None:
    pieces = ['{"width": 1', '.5, "ins', 'ide": {"width"', ": 2}", "}"]

    async def script(client: Client) -> None:
        await client.request()
        chunks = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
        last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        await client.send(HEAD + b"".join(chunked(b"data: %b\n\n" % encode(chunk)) for chunk in [*chunks, last]))
        await client.send(b"0\r\n\r\n")

    async with RawServer(script) as server, hub_at(tmp_path, server.url) as hub:
        stream = hub.stream("Hi", model="chat", output=Box)
        values = [value async for value in stream.partial]
        reply = await stream.reply()
    assert values == [{}, {"width": 1.5}, {"width": 1.5, "inside": {}}, {"width": 1.5, "inside": {"width": 2}}]
    assert reply.value == Box(1.5, Box(2))


def test_the_blocking_hub_gives_values_too(config: Path) -> None:
    with sync.Hub.open(config) as hub:
        assert isinstance(hub.complete("Describe `Hamburg`", output=City).value, City)
        assert list(hub.stream("Describe `Hamburg`", output=City).partial)[-1].keys() == {
            "name", "population", "tags", "country",
        }  # fmt: skip


def get_weather(city: str) -> str:
    """The weather in a city."""
    return "sunny"


async def test_a_reply_that_calls_tools_has_no_value_and_the_last_one_has(config: Path) -> None:
    async with Hub.open(config) as hub:
        run = hub.run("Use the weather tool for `Hamburg`", tools=[get_weather], output=City)
        reply = await run
    assert isinstance(reply.value, City)
    assert [step.value for step in run.steps[:-1]] == [None]


@asynccontextmanager
async def answering(folder: Path, choice: dict[str, Any]) -> AsyncIterator[Hub]:
    """A hub whose provider always sends this choice."""

    async def script(client: Client) -> None:
        while True:
            await client.request()
            await client.send(json_answer("200 OK", encode({"id": "c1", "choices": [{"index": 0, **choice}]})))

    async with RawServer(script) as server, hub_at(folder, server.url) as hub:
        yield hub


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"message": {"content": "It is big."}, "finish_reason": "stop"}, "the answer is not City: DecodeError"),
        ({"message": {"content": '{"name": "Ham'}, "finish_reason": "length"}, "cut off at the maximum output tokens"),
        ({"message": {"content": '{"name": 1}'}, "finish_reason": "stop"}, r"Expected `str`, got `int` - at `\$.name`"),
        ({"message": {"content": None, "refusal": "No."}, "finish_reason": "stop"}, "the model refused: No."),
    ],
)
async def test_an_answer_of_another_form_is_an_error_with_the_reply(
    tmp_path: Path, choice: dict[str, Any], said: str
) -> None:
    async with answering(tmp_path, choice) as hub:
        with pytest.raises(errors.MalformedReply, match=said) as caught:
            await hub.complete("Describe Hamburg", model="chat", output=City)
    assert caught.value.reply.text == (choice["message"]["content"] or "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("It is big.", "the answer is not JSON: JSON is malformed"),
        ("[1]", "the answer is not a JSON object: it is of type"),
    ],
)
def test_an_answer_that_is_not_an_object_is_described_without_the_name_of_a_class(text: str, said: str) -> None:
    with pytest.raises(errors.MalformedReply, match=f"^{said}"):
        object_text(Reply(parts=[Text(text)]))


async def test_json_in_a_code_block_is_an_answer_too(tmp_path: Path) -> None:
    text = '```json\n{"width": 2}\n```'
    async with answering(tmp_path, {"message": {"content": text}, "finish_reason": "stop"}) as hub:
        assert (await hub.complete("Hi", model="chat", output=Box)).value == Box(2.0)


async def test_only_one_kind_of_output_can_be_passed(config: Path) -> None:
    async with Hub.open(config) as hub:
        with pytest.raises(TypeError, match="pass either output or output_format"):
            hub.stream("Hi", output=City, output_format=OutputFormat("json"))


def test_a_field_may_be_called_like_a_word_of_a_schema() -> None:
    class Odd(msgspec.Struct):
        default: int = 1
        properties: str = ""

    assert OutputType(Odd).format.schema["required"] == ["default", "properties"]


T = TypeVar("T")


class Folder(pydantic.BaseModel):
    """A class that refers to itself."""

    name: str
    inside: list["Folder"] = []


class Visit(pydantic.BaseModel):
    """A class of pydantic that accepts no texts as dates, except in JSON."""

    model_config = pydantic.ConfigDict(strict=True)
    kind: Literal["visit"]
    day: date


class Call(pydantic.BaseModel):
    kind: Literal["call"]
    number: str

    @pydantic.field_validator("number")
    @classmethod
    def without_spaces(cls, number: str) -> str:
        return number.replace(" ", "")


class Page(pydantic.BaseModel, Generic[T]):
    items: list[T]


VISIT, CALL = {"kind": "visit", "day": "2026-01-02"}, {"kind": "call", "number": "12 34"}
MODELS: list[tuple[Any, Any, Any]] = [
    (Folder, {"name": "a", "inside": [{"name": "b"}]}, Folder(name="a", inside=[Folder(name="b")])),
    (Page[Folder], {"items": [{"name": "a"}]}, Page[Folder](items=[Folder(name="a")])),
    (Visit, VISIT, Visit(kind="visit", day=date(2026, 1, 2))),
    (Visit | Call, {"value": CALL}, Call(kind="call", number="1234")),
    (
        list[Visit | Call],
        {"value": [VISIT, CALL]},
        [Visit(kind="visit", day=date(2026, 1, 2)), Call.model_validate(CALL)],
    ),
    (Call | None, {"value": None}, None),
    (dict[str, Folder], {"value": {"x": {"name": "a"}}}, {"x": Folder(name="a")}),
]


@pytest.mark.parametrize(("wanted", "answer", "value"), MODELS, ids=lambda one: getattr(one, "__name__", None))
@pytest.mark.parametrize("protocol", ["openai_chat", "openai_responses", "anthropic", "google"])
async def test_the_answer_is_read_by_pydantic(protocol: Protocol, wanted: Any, answer: Any, value: Any) -> None:
    with testing.Simulator() as simulator:
        simulator.answer(answer)
        async with simulator.hub(protocol) as hub:
            assert (await hub.complete("Read it", output=wanted)).value == value


async def test_an_answer_that_pydantic_rejects_is_an_error_with_its_reason() -> None:
    with testing.Simulator() as simulator:
        simulator.answer({"value": {"kind": "visit", "day": "someday"}})
        async with simulator.hub() as hub:
            with pytest.raises(errors.MalformedReply, match=r"the answer is not (?s:.*)day") as caught:
                await hub.complete("Read it", output=Visit | Call)
    assert caught.value.hint == "describe the fields more clearly, or use another model"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Call(kind="call", number="1"), "output must be a type, not a value of Call"),
        (object(), "output: Type .* is not supported"),
        (
            type("Bare", (), {}),
            "Bare has no form in JSON: use a dataclass, a TypedDict, or a class of msgspec or pydantic",
        ),
        (Box | Call, "output: Type unions containing a custom type"),
    ],
)
async def test_an_output_that_has_no_form_in_json_is_refused(config: Path, wanted: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        await Hub.open(config).complete("Hi", output=wanted)
