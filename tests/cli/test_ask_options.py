"""`modelbay ask` with a schema, tools and other settings, as a person and a script use it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Command

PROTOCOLS = ["sim", "claude", "responses", "gemini"]
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city", "people"],
}
SHAPES: dict[str, Any] = {
    "openai": {"type": "function", "function": {"name": "weather", "description": "Weather", "parameters": CITY}},
    "responses": {"type": "function", "name": "weather", "description": "Weather", "parameters": CITY},
    "anthropic": {"name": "weather", "description": "Weather", "input_schema": CITY},
    "mcp": {"tools": [{"name": "weather", "description": "Weather", "inputSchema": CITY}]},
    "list": [{"name": "weather", "description": "Weather", "schema": CITY}],
}


def written(home: Path, name: str, value: Any) -> str:
    (home / name).write_text(value if isinstance(value, str) else json.dumps(value))
    return name


@pytest.mark.parametrize("provider", PROTOCOLS)
@pytest.mark.parametrize("as_file", [True, False])
def test_the_answer_to_a_schema_is_json_on_stdout(modelbay: Command, provider: str, as_file: bool):
    schema = written(modelbay.home, "city.json", CITY) if as_file else json.dumps(CITY)
    ended = modelbay("ask", "-m", f"{provider}/sim-1", "--schema", schema, "A city, please")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out).keys() == {"city", "people"}


def test_an_answer_that_is_not_json_is_an_error_and_not_on_stdout(modelbay: Command):
    ended = modelbay("ask", "-m", "sim/sim-1", "--schema", json.dumps(CITY), "--max-tokens", "2", "A city, please")
    assert (ended.code, ended.out) == (1, "")
    assert "the answer is not JSON: it was cut off at the maximum output tokens" in ended.err


@pytest.mark.parametrize(
    ("schema", "code", "words"),
    [
        ("[1]", 2, "the schema must be a JSON object"),
        ('{"type": "array"}', 2, "must describe an object, not 'array'"),
        ("{bad", 2, "not valid JSON"),
        ("missing.json", 2, "missing.json cannot be read: No such file or directory"),
        (".", 2, ". cannot be read: Is a directory"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_before_the_call(modelbay: Command, schema: str, code: int, words: str):
    ended = modelbay("ask", "--schema", schema, "A city, please")
    assert ended.code == code
    assert words in ended.err
    assert len(modelbay.simulator.journal) == 0


@pytest.mark.parametrize("provider", PROTOCOLS)
@pytest.mark.parametrize("shape", SHAPES)
def test_tool_calls_are_lines_of_json_on_stdout(modelbay: Command, provider: str, shape: str):
    file = written(modelbay.home, "tool.json", SHAPES[shape])
    ended = modelbay("ask", "-m", f"{provider}/sim-1", "--tool", file, "Weather in Paris?")
    assert ended.code == 0, ended.err
    call = json.loads(ended.out)
    assert call["name"] == "weather"
    assert json.loads(call["arguments"]).keys() == {"city", "people"}


def test_tools_come_from_several_files_and_must_have_different_names(modelbay: Command):
    first = written(modelbay.home, "first.json", SHAPES["openai"])
    second = written(modelbay.home, "second.json", {"name": "clock"})
    assert modelbay("ask", "-m", "sim/sim-1", "--tool", first, "--tool", second, "Weather in Paris?").code == 0
    sent = modelbay.simulator.journal.last.json["tools"]
    assert [tool["function"]["name"] for tool in sent] == ["weather", "clock"]
    twice = modelbay("ask", "--tool", first, "--tool", first, "Weather?")
    assert (twice.code, "--tool: weather is given twice" in twice.err) == (2, True)


@pytest.mark.parametrize("tool", ["{}", "3", '{"name": 3}', '{"name": "x", "parameters": 1}', "[[]]", "nonsense"])
def test_a_file_without_tools_is_refused(modelbay: Command, tool: str):
    ended = modelbay("ask", "--tool", written(modelbay.home, "tool.json", tool), "Weather?")
    assert ended.code == 2
    assert len(modelbay.simulator.journal) == 0


def test_settings_are_sent_as_json_or_text(modelbay: Command):
    options = ["seed=7", "service_tier=flex", "extra_body.note=ten", "extra_headers.X-Team=7", "tool_choice=required"]
    arguments = [word for option in options for word in ("--option", option)]
    file = written(modelbay.home, "tool.json", SHAPES["openai"])
    more = ["--top-p", "0.5", "--stop", "END", "--stop", "\n", "--timeout", "60", "--tool", file]
    assert modelbay("ask", "-m", "sim/sim-1", *more, *arguments, "Why?").code == 0
    sent = modelbay.simulator.journal.last
    expected = {
        "seed": 7, "service_tier": "flex", "note": "ten", "tool_choice": "required", "top_p": 0.5, "stop": ["END", "\n"],
    }  # fmt: skip
    assert {name: sent.json.get(name) for name in expected} == expected
    assert sent.headers["x-team"] == "7"


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("sed=1", 'did you mean "seed"?'),
        ("temperature=1", "temperature has its own option: --temperature"),
        ("seed=abc", "seed must be an integer, not str"),
        ("frequency_penalty=3", "frequency_penalty must be from -2 to 2"),
        ("seed", "must be KEY=VALUE"),
        ("=1", "must be KEY=VALUE"),
        ("seed.x=1", "seed has no members"),
        ("extra_body=3", "extra_body must be a dict"),
        ("output=str", "output can only be set in Python"),
        ("tool_choice=maybe", "tool_choice must be one of: auto, none, required"),
        ("extra_body.a..b=1", "extra_body.a..b has an empty name next to a dot"),
        ("extra_body.=1", "has an empty name next to a dot"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_before_the_call(modelbay: Command, option: str, words: str):
    ended = modelbay("ask", "--option", option, "Why?")
    assert ended.code == 2
    assert words in ended.err
    assert len(modelbay.simulator.journal) == 0


def test_a_setting_given_twice_is_refused(modelbay: Command):
    for pair in (["seed=1", "seed=2"], ["extra_body.a=1", "extra_body.a=2"]):
        ended = modelbay("ask", "--option", pair[0], "--option", pair[1], "Why?")
        assert (ended.code, "is given twice" in ended.err) == (2, True)


def test_a_dot_in_the_body_s_members_nests_them_and_json_has_names_with_dots(modelbay: Command):
    options = [
        'extra_body={"a.b": 1}', "extra_body.provider.sort=price", "extra_body.provider.only.0=x",
        "metadata.app.version=v2", "extra_headers.X.Team=7",
    ]  # fmt: skip
    arguments = [word for option in options for word in ("--option", option)]
    assert modelbay("ask", "-m", "sim/sim-1", *arguments, "Why?").code == 0
    sent = modelbay.simulator.journal.last
    assert (sent.json["a.b"], sent.json["metadata"]) == (1, {"app.version": "v2"})
    assert sent.json["provider"] == {"sort": "price", "only": {"0": "x"}}
    assert sent.headers["x.team"] == "7"


def test_a_member_of_a_value_that_is_not_an_object_is_refused(modelbay: Command):
    ended = modelbay("ask", "--option", "extra_body.a=1", "--option", "extra_body.a.b=2", "Why?")
    assert ended.code == 2
    assert "--option: extra_body.a must be an object to have a member b" in ended.err


def test_a_setting_that_a_protocol_lacks_is_named_by_its_option(modelbay: Command):
    ended = modelbay("ask", "-m", "claude/sim-1", "--option", "logprobs=true", "Why?")
    assert ended.code == 1
    assert "`--option logprobs` cannot be expressed in anthropic" in ended.err
    assert "hint: remove `--option logprobs`, or use a provider" in ended.err


def test_an_empty_stop_sequence_is_refused_before_the_call(modelbay: Command):
    ended = modelbay("ask", "--stop", "", "Why?")
    assert ended.code == 2
    assert "--stop: the stop sequence is empty" in ended.err.replace("'", "")
    assert len(modelbay.simulator.journal) == 0


def test_a_timeout_names_the_option_that_increases_it(modelbay: Command):
    ended = modelbay("ask", "--timeout", "0.000001", "Why?")
    assert ended.code == 1
    assert "hint: increase --timeout" in ended.err
