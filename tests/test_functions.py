"""Functions as tools: the schema of a signature, the descriptions of a docstring, and arguments in JSON."""

import asyncio
import copy
import dataclasses
import functools
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pydantic
import pytest

from modelbay import Tool


@dataclasses.dataclass
class City:
    name: str
    country: str = "DE"


class Point(pydantic.BaseModel):
    x: float
    y: float


class Area(pydantic.BaseModel):
    """An area on a map."""

    corners: list[Point]


class Options(TypedDict, total=False):
    days: int


def weather(city: City, unit: Literal["c", "f"] = "c", days: Annotated[int, msgspec.Meta(ge=1)] = 1) -> str:
    """The weather in a city.

    Only for the next days.

    Args:
        city: Name of the city,
            and its country.
        unit (str): Celsius or Fahrenheit.

    Returns:
        A sentence.
    """
    return f"{days} days of sun in {city.name}, {city.country}, in {unit}"


def schema(tool: Tool) -> Any:
    return tool.schema


def test_the_schema_of_a_tool_is_that_of_the_signature() -> None:
    tool = Tool.of(weather)
    assert tool.name == "weather"
    assert schema(tool)["required"] == ["city"]
    assert schema(tool)["additionalProperties"] is False
    properties = schema(tool)["properties"]
    assert list(properties) == ["city", "unit", "days"]
    assert properties["unit"]["enum"] == ["c", "f"]
    assert properties["days"]["minimum"] == 1
    city = schema(tool)["$defs"][properties["city"]["$ref"].rpartition("/")[2]]
    assert city["properties"] == {"name": {"type": "string"}, "country": {"type": "string", "default": "DE"}}


def google(a: int, b: str = "x") -> None:
    """Adds.

    Args:
        a: The first
            number.
        b (str, optional): The second.
    """


def numpy(a: int, b: str = "x") -> None:
    """Adds.

    Parameters
    ----------
    a : int
        The first
        number.
    b : str, optional
        The second.

    Returns
    -------
    None
    """


def sphinx(a: int, b: str = "x") -> None:
    """Adds.

    :param a: The first number.
    :param str b: The second.
    :returns: nothing
    """


@pytest.mark.parametrize("function", [google, numpy, sphinx])
def test_the_descriptions_are_those_of_the_docstring(function: Any) -> None:
    tool = Tool.of(function)
    found = {name: inner.get("description") for name, inner in schema(tool)["properties"].items()}
    assert (tool.description, found) == ("Adds.", {"a": "The first number.", "b": "The second."})


def test_a_docstring_keeps_its_paragraphs_and_loses_its_sections() -> None:
    assert Tool.of(weather).description == "The weather in a city.\n\nOnly for the next days."


def test_a_class_is_described_by_its_own_docstring() -> None:
    @dataclasses.dataclass
    class Plain:
        x: int

    class Documented(Point):
        """A point with a docstring."""

    assert [Tool.of(one).description for one in (Point, Plain, Documented)] == [None, None, "A point with a docstring."]


def test_name_and_description_can_be_given() -> None:
    tool = Tool.of(lambda: 1, name="one", description="The number one.")
    assert (tool.name, tool.description, schema(tool)["properties"]) == ("one", "The number one.", {})


async def test_arguments_become_values_of_the_declared_types() -> None:
    def place(area: Area, options: Options, cities: list[City], note: str | None = None) -> tuple[Any, ...]:
        return area, options, cities, note

    function = Tool.of(place).function
    assert function is not None
    found = await function.call(
        '{"area": {"corners": [{"x": 1, "y": "2"}]}, "options": {"days": 3}, "cities": [{"name": "Hamburg"}]}'
    )
    assert found == (Area(corners=[Point(x=1, y=2)]), {"days": 3}, [City("Hamburg")], None)
    definitions = schema(Tool.of(place))["$defs"]
    assert {"Point", "City", "Options"} <= set(definitions)


async def test_functions_with_async_methods_and_objects_can_be_called() -> None:
    class Counter:
        async def add(self, n: int) -> int:
            """Counts."""
            return n + 1

        def __call__(self, n: int) -> int:
            return n + 2

    counter = Counter()
    for function, name in ((counter.add, "add"), (counter, "Counter")):
        tool = Tool.of(function)
        assert tool.name == name
        assert tool.function is not None
        assert await tool.function.call('{"n": 1}') == (2 if name == "add" else 3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ('{"city": {"name": 1}}', "Expected `str`, got `int` - at `$.city.name`"),
        ('{"town": {}}', "unknown field `town`"),
        ("{}", "missing required field `city`"),
        ('{"city": {"name": "Hamb', "truncated"),
        ('{"city": {"name": "Hamburg"}, "days": 0}', "`int` >= 1"),
    ],
)
async def test_wrong_arguments_are_an_error_that_says_where(arguments: str, said: str) -> None:
    function = Tool.of(weather).function
    assert function is not None
    with pytest.raises(ValueError, match=r".") as caught:
        await function.call(arguments)
    assert said in str(caught.value)


class Opaque:
    pass


def of_opaque(value: Opaque) -> None: ...


def of_many(*values: int) -> None: ...


def of_any(**values: int) -> None: ...


def of_several() -> Iterator[int]:
    yield 1


async def of_several_later() -> AsyncIterator[int]:
    yield 1


def of_missing(value: "Missing") -> None: ...  # type: ignore[name-defined] # noqa: F821


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (of_opaque, "of_opaque cannot be a tool: .*Opaque"),
        (of_many, r"of_many cannot be a tool: models pass arguments by name, which \*values: int does not allow"),
        (of_any, r"\*\*values: int does not allow"),
        (of_missing, "the types of its parameters cannot be read: name 'Missing' is not defined"),
        (of_several, "of_several cannot be a tool: its values are yielded one by one: return them as a list"),
        (of_several_later, "of_several_later cannot be a tool: its values are yielded one by one"),
        (dict, "dict cannot be a tool: no signature found for builtin type"),
        (lambda x: x, "<lambda> is not a name of a tool; give it one"),
    ],
)
def test_a_function_that_cannot_be_a_tool_is_refused(function: Any, said: str) -> None:
    with pytest.raises(TypeError, match=f"(?s){said}"):
        Tool.of(function)


def test_the_function_of_a_tool_is_not_shown_as_an_address() -> None:
    assert "Signature('weather')" in repr(Tool.of(weather))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda tool: pickle.loads(pickle.dumps(tool))])
async def test_a_tool_can_be_copied_and_pickled_with_its_function(copied: Callable[[Tool], Tool]) -> None:
    """For a process pool, and for conversations that go on in two ways."""
    tool = copied(Tool.of(weather, name="sun"))
    assert (tool.name, tool.schema) == ("sun", Tool.of(weather).schema)
    assert tool.function is not None
    assert await tool.function.call('{"city": {"name": "Rome"}}') == "1 days of sun in Rome, DE, in c"


class Branch(pydantic.BaseModel):
    leaves: list["Branch"] = []


def _places() -> tuple[Any, Any]:
    """Two classes of one name, each with an inner class of one name."""

    class First(pydantic.BaseModel):
        class Spot(pydantic.BaseModel):
            x: int

        spot: Spot

    class Second(pydantic.BaseModel):
        class Spot(pydantic.BaseModel):
            name: str

        spot: Spot

    return First, Second


async def test_parameters_may_be_any_types_with_classes_of_pydantic() -> None:
    def draw(tree: Branch, what: Point | Area, more: list[Point | Area] | None = None) -> str:
        return f"{len(tree.leaves)} {type(what).__name__} {more}"

    tool = Tool.of(draw)
    assert tool.function is not None
    found = await tool.function.call('{"tree": {"leaves": [{}]}, "what": {"corners": [{"x": 1, "y": 2}]}}')
    assert found == "1 Area None"
    assert schema(tool)["properties"]["tree"] == {"$ref": "#/$defs/Branch"}
    with pytest.raises(ValueError, match="what"):
        await tool.function.call('{"tree": {}, "what": 5}')


async def test_classes_of_one_name_keep_their_own_schemas() -> None:
    first, second = _places()

    def find(a: first, b: second) -> str:  # type: ignore[valid-type]
        return f"{a.spot.x} {b.spot.name}"  # type: ignore[attr-defined]

    find.__annotations__ = {"a": first, "b": second, "return": str}
    tool = Tool.of(find)
    definitions = schema(tool)["$defs"]
    assert sorted(list(one["properties"]) for one in definitions.values() if "spot" not in one["properties"]) == [
        ["name"],
        ["x"],
    ]
    assert tool.function is not None
    assert await tool.function.call('{"a": {"spot": {"x": 1}}, "b": {"spot": {"name": "n"}}}') == "1 n"


def test_a_partial_is_a_tool_like_the_function_in_it() -> None:
    def book(city: str, user: str, nights: int = 1) -> str:
        """Book a hotel."""
        return f"{city} for {user}: {nights}"

    tool = Tool.of(functools.partial(functools.partial(book, user="ada"), nights=2))
    assert (tool.name, tool.description) == ("book", "Book a hotel.")
    assert tool.schema["properties"]["city"] == {"type": "string"}
    assert tool.schema["required"] == ["city"]
    assert tool.function is not None
    assert asyncio.run(tool.function.call('{"city": "Rome"}')) == "Rome for ada: 2"
