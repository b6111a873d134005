"""`KEY=VALUE` made into changes of a model's table."""

import pytest

from modelbay.errors import ConfigError
from modelbay.onboarding.model_settings import changes


@pytest.mark.parametrize(
    ("setting", "change"),
    [
        ("max_output_size=8192", {("max_output_size",): 8192}),
        ("max_context_size=200k", {("max_context_size",): 200_000}),
        ("max_context_size=1.5M", {("max_context_size",): 1_500_000}),
        ("max_input_size=100_000", {("max_input_size",): 100_000}),
        ("max_output_size=", {("max_output_size",): None}),
        ("cost.input=2.50", {("cost", "input"): 2.5}),
        ("cost.output=$15", {("cost", "output"): 15}),
        ("cost.cache_read=0", {("cost", "cache_read"): 0}),
        ("capabilities=thinking, image_in", {("capabilities",): ["thinking", "image_in"]}),
        ("image_in=no", {("image_in",): False}),
        ("image_in=yes", {("capabilities",): ["image_in"], ("image_in",): None}),
        ("image_in=", {("image_in",): None}),
        ("document_in=yes", {("document_in",): True}),
        ("computer_use=no", {("computer_use",): False}),
        ("computer_use=on", {("computer_use",): True}),
        ("thinking=off", {("reasoning",): False}),
        ("tool_use=no", {("tool_call",): False}),
        ("temperature=no", {("temperature",): False}),
        ("structured_output=yes", {("capabilities",): ["structured_output"]}),
        ("reasoning_key=reasoning", {("reasoning_key",): "reasoning"}),
        ("protocol=anthropic", {("protocol",): "anthropic"}),
        ("support_efforts=low,high", {("support_efforts",): ["low", "high"]}),
        ("variants.deep.reasoning_effort=high", {("variants", "deep", "reasoning_effort"): "high"}),
        ("variants.deep.top_k=40", {("variants", "deep", "top_k"): 40}),
        ('variants.deep.thinking={"type": "disabled"}', {("variants", "deep", "thinking"): {"type": "disabled"}}),
        ("variants.deep.thinking.budget=1024", {("variants", "deep", "thinking", "budget"): 1024}),
        ("variants.deep=", {("variants", "deep"): None}),
    ],
)
def test_a_setting(setting, change):
    assert changes([setting], {}) == change


def test_a_capability_leaves_the_list_that_kimi_code_reads():
    table = {"capabilities": ["thinking", "image_in"]}
    assert changes(["image_in=no"], table) == {("capabilities",): ["thinking"], ("image_in",): False}
    assert changes(["image_in=no", "thinking=no"], table) == {
        ("capabilities",): None, ("image_in",): False, ("reasoning",): False,
    }  # fmt: skip
    assert changes(["image_in=yes", "tool_use=yes"], table) == {
        ("capabilities",): ["thinking", "image_in", "tool_use"], ("image_in",): None, ("tool_call",): None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("setting", "message", "hint"),
    [
        ("max_output_size", "is not a setting", "KEY=VALUE"),
        ("=3", "is not a setting", "KEY=VALUE"),
        ("max_output=3", "unknown setting `max_output`", "max_output_size"),
        ("max_output_size=-1", "`max_output_size` cannot be `-1`", "a number of tokens"),
        ("max_output_size=0", "cannot be", "a number of tokens"),
        ("max_output_size=1.5", "cannot be", "a number of tokens"),
        ("cost.input=cheap", "cannot be", "dollars per million tokens"),
        ("cost.input=-1", "cannot be", "dollars per million tokens"),
        ("cost.input=nan", "cannot be", "dollars per million tokens"),
        ("image_in=maybe", "cannot be", "yes or no"),
        ("protocol=http", "cannot be", "openai_chat"),
        ("variants.deep=high", "is a table of settings", "variants.deep.KEY=VALUE"),
        ("structured_output=no", "cannot be no", "remove it with"),
        ("provider=other", "unknown setting `provider`", ""),
    ],
)
def test_a_setting_that_makes_no_sense(setting, message, hint):
    with pytest.raises(ConfigError, match=message) as error:
        changes([setting], {})
    assert hint in str(error.value.hint)
