import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.errors import BadRequest
from modelbay.protocols.openai_chat.pass_rules import PASS
from modelbay.providers.adaptation import CONTRACT, Adaptation, adapt, adaptation, stops_to_cut

MAX = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."


def refusal(message: str, **fields: str) -> BadRequest:
    return BadRequest(message, status=400, **fields)


@pytest.mark.parametrize(
    ("error", "body", "expected"),
    [
        (refusal(MAX, param="max_tokens", code="unsupported_parameter"), {"max_tokens": 1}, "max_completion_tokens"),
        (refusal(MAX), {"max_tokens": 1}, "max_completion_tokens"),
        (refusal("Unrecognized request argument supplied: seed"), {"seed": 1}, None),
        (
            refusal("litellm.UnsupportedParamsError: ollama does not support parameters: ['seed', 'x'], for model=m."),
            {"seed": 1},
            None,
        ),
        (
            refusal("litellm.UnsupportedParamsError: ollama does not support parameters: {'seed': 1}, for model=m."),
            {"seed": 1},
            None,
        ),
        (refusal("Unknown parameter: 'prompt_cache_key'."), {"prompt_cache_key": "x"}, None),
        (refusal("property 'logit_bias' is unsupported"), {"logit_bias": {}}, None),
        (
            refusal("bad", body='{"detail":[{"loc":["body","seed"],"msg":"Extra inputs are not permitted"}]}'),
            {"seed": 1},
            "",
        ),
        (refusal("Unsupported parameter: 'stop' is not supported with this model.", param="stop"), {"stop": "x"}, None),
        (refusal("Argument not supported on this model: stop"), {"stop": ["x"]}, None),
        (
            refusal("Unsupported value", param="reasoning_effort", code="unsupported_value"),
            {"reasoning_effort": "x"},
            None,
        ),
    ],
)
def test_a_400_that_names_a_parameter_tells_how_to_go_on(
    error: BadRequest, body: dict[str, object], expected: str | None
) -> None:
    found = adaptation(error, body, PASS)
    if expected == "":  # only the body names the rejected parameter
        error.message = "Extra inputs are not permitted"
        found, expected = adaptation(error, body, PASS), None
    assert found == Adaptation(next(iter(body)), expected)


@pytest.mark.parametrize("name", sorted(CONTRACT - {"max_tokens", "max_completion_tokens"}))
def test_a_parameter_that_changes_the_answer_is_never_left_out(name: str) -> None:
    assert adaptation(refusal(f"Unsupported parameter: '{name}'", param=name), {name: 1}, PASS) is None


def test_a_parameter_that_was_not_sent_is_nobodys_fault() -> None:
    assert adaptation(refusal("Unknown parameter: 'seed'", param="seed"), {"model": "m"}, PASS) is None


def test_a_wrong_value_is_not_taken_for_an_unknown_parameter() -> None:
    assert adaptation(refusal("temperature must be at most 1", param="temperature"), {"temperature": 2}, PASS) is None


def test_adapting_renames_and_leaves_out_and_says_what_it_did() -> None:
    body: dict[str, object] = {"max_tokens": 5, "seed": 1}
    lessons = [Adaptation("max_tokens", "max_completion_tokens"), Adaptation("seed"), Adaptation("absent")]
    assert adapt(body, lessons, PASS) == lessons[:2]
    assert body == {"max_completion_tokens": 5}


def test_stop_sequences_stay_if_several_answers_would_have_to_be_cut() -> None:
    error = refusal("Unsupported parameter: 'stop' is not supported with this model.", param="stop")
    found = [adaptation(error, {"stop": "x", "n": n}, PASS) for n in (None, 1, 2)]
    assert found == [Adaptation("stop"), Adaptation("stop"), None]


def test_an_answer_is_cut_at_the_stop_sequences_that_are_left_out() -> None:
    body: dict[str, object] = {"stop": ["x", "", "yz"], "seed": 1}
    lessons = [Adaptation("stop"), Adaptation("seed")]
    assert stops_to_cut(body, lessons) == ["x", "yz"]
    assert adapt(body, lessons, PASS) == lessons[1:], "the request still means the same"
    assert (body, stops_to_cut(body, lessons), stops_to_cut({"stop": "x"}, lessons)) == ({}, [], ["x"])


@given(st.text(max_size=300))
def test_no_words_of_a_provider_break_it(message: str) -> None:
    adaptation(refusal(message, body=message), {"seed": 1}, PASS)
