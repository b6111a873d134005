"""Fields and previews that an endpoint does not know: what an error says about them, and what is left out then."""

import copy
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelbay.errors import BadRequest
from modelbay.protocols.anthropic.pass_rules import PASS
from modelbay.protocols.defaults import changes_nothing
from modelbay.providers.adaptation import Adaptation, adapt, adaptation, preview_lessons
from modelbay.providers.unknown_fields import remove, unknown_place, unknown_previews

MARK = {"type": "ephemeral", "scope": "global"}
BODY: dict[str, Any] = {
    "model": "m",
    "system": [{"type": "text", "text": "a", "cache_control": dict(MARK)}, {"type": "text", "text": "b"}],
    "tools": [
        {"name": "a", "input_schema": {}, "defer_loading": True},
        {"name": "b", "input_schema": {"cache_control": {"scope": 1}}, "defer_loading": True, "strict": True},
    ],
    "messages": [
        {"role": "user", "content": "Hello"},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "1", "name": "a", "input": {"cache_control": MARK}}],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "1",
                    "content": [{"type": "text", "text": "c", "cache_control": dict(MARK)}],
                    "cache_control": dict(MARK),
                }
            ],
        },
    ],
    "thinking": {"type": "adaptive", "display": "updates"},
    "output_config": {"effort": "high"},
    "context_management": {"edits": []},
    "safeguards": [],
}
SAID = "Extra inputs are not permitted"


@pytest.mark.parametrize(
    ("named", "place"),
    [
        ("safeguards", "safeguards"),
        ("context_management", "context_management"),
        ("tools.0.custom.defer_loading", "tools.*.defer_loading"),
        ("tools.1.defer_loading", "tools.*.defer_loading"),
        ("tools.1.custom.strict", "tools.*.strict"),
        ("thinking.adaptive.display", "thinking.display"),
        ("thinking.display", "thinking.display"),
        ("output_config.effort", "output_config.effort"),
        ("output_config", "output_config.effort"),
        ("system.0.cache_control.ephemeral.scope", "**.cache_control.scope"),
        ("system.0.text.cache_control.scope", "**.cache_control.scope"),
        ("messages.2.content.0.tool_result.cache_control", "**.cache_control"),
        ("messages.2.content.0.tool_result.content.0.text.cache_control.ephemeral.scope", "**.cache_control.scope"),
        # parts that give a request its meaning
        ("model", None),
        ("messages", None),
        ("tools.0.custom.input_schema", None),
        ("tools.0.name", None),
        ("messages.0.content", None),
        ("messages.1.content.0.tool_use.input", None),
        # fields that were not sent
        ("tools.7.custom.defer_loading", None),
        ("tools.0.custom.other", None),
        ("other", None),
        ("messages.0.content.0.text.cache_control", None),
        ("tools.defer_loading", None),
    ],
)
@pytest.mark.parametrize("words", ["{}: {}", "body invalid: {}: {}", "1 error:\n{}: {}", "({}: {})"])
def test_an_error_names_the_place_of_an_unknown_field(named: str, place: str | None, words: str) -> None:
    error = BadRequest(words.format(named, SAID), status=400)
    found = adaptation(error, BODY, PASS)
    if "." in named or words in ("{}: {}", "1 error:\n{}: {}"):
        assert found == (None if place is None else Adaptation(place))


def test_an_output_format_is_not_left_out_with_the_effort() -> None:
    body = BODY | {"output_config": {"effort": "high", "format": {}}}
    assert unknown_place(f"output_config: {SAID}", body) is None
    assert remove(body, "output_config.effort")
    assert body["output_config"] == {"format": {}}


def test_cache_marks_are_found_everywhere_but_not_in_arguments_and_schemas() -> None:
    body = copy.deepcopy(BODY)
    lesson = Adaptation("**.cache_control.scope")
    assert adapt(body, [lesson], PASS) == [lesson]
    assert body["system"][0]["cache_control"] == {"type": "ephemeral"}
    result = body["messages"][2]["content"][0]
    assert result["cache_control"] == result["content"][0]["cache_control"] == {"type": "ephemeral"}
    assert body["messages"][1] == BODY["messages"][1]
    assert body["tools"] == BODY["tools"]
    assert adapt(body, [lesson], PASS) == [], "nothing is left to remove"


def test_a_field_is_removed_from_all_items_and_an_empty_group_with_it() -> None:
    body = copy.deepcopy(BODY)
    assert remove(body, "tools.*.defer_loading")
    assert [sorted(tool) for tool in body["tools"]] == [["input_schema", "name"], ["input_schema", "name", "strict"]]
    assert remove(body, "output_config.effort")
    assert "output_config" not in body
    assert not remove(body, "tools.*.defer_loading")
    assert not remove({"tools": "text"}, "tools.*.defer_loading")


BETAS = "claude-code-20250219,context-management-2025-06-27,new-1"


@pytest.mark.parametrize(
    ("message", "names"),
    [
        ("Unexpected value(s) `new-1` for the `anthropic-beta` header. Please consult our documentation.", ["new-1"]),
        (
            "Unexpected value(s) `new-1`, `context-management-2025-06-27` for the `anthropic-beta` header",
            [*BETAS.split(",")[1:]],
        ),
        ("unexpected value(s) 'other-2' for the anthropic-beta header", []),
        ("new-1 is not nice", []),
    ],
)
def test_an_error_names_unknown_previews(message: str, names: list[str]) -> None:
    assert unknown_previews(message, {"anthropic-beta": BETAS}) == names


def test_a_preview_is_left_out_with_its_fields() -> None:
    message = "Unexpected value(s) `context-management-2025-06-27` for the `anthropic-beta` header"
    lessons = preview_lessons(BadRequest(message, status=400), {"anthropic-beta": BETAS}, BODY, PASS)
    assert lessons == [Adaptation("anthropic-beta: context-management-2025-06-27"), Adaptation("context_management")]
    assert str(lessons[0]) == "`anthropic-beta: context-management-2025-06-27` is omitted"


_JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["content", "tools", "a", "cache_control"]), inner)
    ),
)
_PLACES = st.lists(
    st.sampled_from(["tools", "0", "1", "content", "cache_control", "a", "custom"]), min_size=1, max_size=5
)


@example(body={"a": {"cache_control": None}}, steps=["a", "cache_control"])
@example(body={"a": None}, steps=["a"])
@given(st.dictionaries(st.sampled_from(["system", "messages", "tools", "a", "output_config"]), _JSON), _PLACES)
def test_no_error_and_no_body_breaks_it(body: dict[str, Any], steps: list[str]) -> None:
    error = BadRequest(f"{'.'.join(steps)}: {SAID}", status=400)
    lesson = adaptation(error, body, PASS)
    if lesson is not None:
        before = copy.deepcopy(body)
        applied = adapt(body, [lesson], PASS)
        assert body != before, "what is named can be removed"
        default = lesson.parameter in before and changes_nothing(lesson.parameter, before[lesson.parameter])
        assert applied == ([] if default else [lesson]), "a value that changes nothing is not missed"
