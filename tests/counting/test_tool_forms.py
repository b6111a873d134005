"""The forms in which models read tools."""

from typing import Any

import pytest

from modelbay.conversation import Tool
from modelbay.counting.tool_forms import declaration, python, typescript
from tests.processor_time import check_growth

WEATHER = Tool(name="get_weather", description="The weather of a place.", schema={
    "type": "object",
    "properties": {
        "place": {"type": "object", "description": "A place", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        "unit": {"enum": ["C", "F"], "type": "string"},
        "days": {"type": ["array", "null"], "items": {"$ref": "#/$defs/Day"}},
    },
    "required": ["place"],
    "$defs": {"Day": {"type": "integer", "title": "Day"}},
})  # fmt: skip


def test_a_function_in_python_has_the_classes_of_its_arguments() -> None:
    assert (
        python(WEATHER)
        == '''@dataclass(kw_only=True)
class GetWeatherPlace:
  """A place

  Attributes:
    city: 
  """
  city: str


def get_weather(
    place: GetWeatherPlace,
    unit: Literal['C', 'F'] | None = None,
    days: list | None | None = None,
) -> dict:
  """The weather of a place.

  Args:
    place: A place
    unit: 
    days: 
  """

'''
    )


def test_a_declaration_has_each_text_between_tokens() -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "the city"}},
        "required": ["city"],
    }
    text = declaration(Tool(name="weather", description="Gets it", schema=schema)).replace("\n", "|")
    assert text == (
        "|declaration:weather{description:|Gets it|,parameters:{properties:{city:{description:|the city|,type:|STRING|}},"
        "required:[|city|],type:|OBJECT|}}|"
    )
    assert "items:{title:\nDay\n,type:\nINTEGER\n}" in declaration(WEATHER)


def test_a_type_has_the_descriptions_of_its_members() -> None:
    assert 'unit?: "C" | "F",\n' in typescript(WEATHER)


ODD: list[Any] = [
    None, [], "x", {"properties": []}, {"properties": {"a": None}}, {"properties": {"a": {"type": 3}}},
    {"properties": {"a": {"type": [None, "null"]}}}, {"properties": {"a": {"enum": [{}, None]}}}, {"required": 3},
    {"properties": {"a": {"$ref": "#/$defs/Missing"}}}, {"$defs": 3, "properties": {"a": {"$ref": "#/$defs/A"}}},
    {"properties": {"a": {"anyOf": [None, {}]}}}, {"properties": {"a": {"items": [{}]}}},
]  # fmt: skip


@pytest.mark.parametrize("schema", ODD, ids=str)
@pytest.mark.parametrize("form", [python, declaration, typescript])
def test_any_schema_has_a_text(form: Any, schema: Any) -> None:
    assert "tide" in form(Tool(name="tide", description="", schema=schema))


@pytest.mark.parametrize("form", [python, declaration])
def test_references_that_form_a_circle_or_multiply_end(form: Any) -> None:
    circle = {"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {
        "A": {"type": "object", "properties": {"b": {"$ref": "#/$defs/B"}}}, "B": {"anyOf": [{"$ref": "#/$defs/A"}]},
    }}  # fmt: skip
    many = {"properties": {"a": {"$ref": "#/$defs/0"}}, "$defs": {
        str(level): {"type": "object", "properties": {name: {"$ref": f"#/$defs/{level + 1}"} for name in "abcdefgh"}}
        for level in range(40)
    }}  # fmt: skip
    alone = {"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"$ref": "#/$defs/A"}}}
    listed = {
        "properties": {"a": {"$ref": "#/$defs/A"}},
        "$defs": {"A": {"type": "array", "items": {"$ref": "#/$defs/A"}}},
    }
    deep: dict[str, Any] = {}
    for _ in range(400):
        deep = {"type": "object", "properties": {"inner": deep}}
    for schema in (circle, many, alone, listed, deep):
        assert len(form(Tool(name="tide", description="", schema=schema))) < 500_000


@pytest.mark.parametrize("form", [python, declaration, typescript])
def test_the_time_for_a_tool_grows_with_its_schema(form: Any) -> None:
    def tool(count: int) -> Tool:
        schema = {
            "properties": {f"name_{number}": {"type": "string", "description": "A text"} for number in range(count)}
        }
        return Tool(name="tide", description="", schema=schema | {"required": ["name_1"]})

    few, many = tool(150), tool(1500)
    check_growth(lambda: form(few), lambda: form(many), below=20)
