"""How much to think, as each model can have it: what is sent, and what is reported."""

from pathlib import Path
from typing import Any

import pytest

from modelbay.catalog.knowledge import fitted, model_facts
from modelbay.config.load import parse
from modelbay.conversation import Conversation, Reasoning, Settings, Tool, ToolChoice, user
from modelbay.errors import UnknownEffort
from modelbay.protocols.codec import codec
from modelbay.providers.upstream import upstream

OPENAI = 'type = "openai"'
RESPONSES = 'type = "openai_responses"'
ANTHROPIC = 'type = "anthropic"'
GEMINI = 'type = "google-genai"'
KIMI = 'type = "kimi"'
FIELDS = ("reasoning_effort", "reasoning", "thinking", "output_config", "enable_thinking", "thinking_budget")


def sent(
    provider: str, model: str, reasoning: Reasoning, protocol: Any = None, extra: str = "", **settings: Any
) -> tuple[Any, list[str]]:
    """The reasoning settings of a request, and the warnings about them."""
    text = f'[providers.p]\n{provider}\napi_key = "k"\n[models.m]\nprovider = "p"\nmodel = "{model}"\n{extra}'
    config = parse(text, Path("/somewhere/config.toml"))
    entry = config.models["m"]
    found = fitted(upstream(config, config.provider_of(entry), entry))
    asked = Conversation([user("hello")], Settings(reasoning=reasoning, **settings), protocol=protocol)
    call = codec(found.protocol).render_request(asked, model_facts(entry, found), found.dialect)
    said = {name: call.body[name] for name in FIELDS if name in call.body}
    if "generationConfig" in call.body:
        said |= call.body["generationConfig"].get("thinkingConfig", {})
    return said, [warning.message for warning in call.warnings]


def wish(effort: str) -> Reasoning:
    return Reasoning(enabled=effort != "off", effort=None if effort == "off" else effort)


@pytest.mark.parametrize(
    ("provider", "model", "effort", "said", "warned"),
    [
        (OPENAI, "gpt-4o", "high", {}, "m does not support thinking: the effort `high` is not sent"),
        (OPENAI, "gpt-5.2", "max", {"reasoning_effort": "xhigh"}, "`max` is sent as `xhigh`"),
        (OPENAI, "gpt-5.2", "minimal", {"reasoning_effort": "low"}, "`minimal` is sent as `low`"),
        (OPENAI, "gpt-5-pro", "low", {"reasoning_effort": "high"}, "`low` is sent as `high`"),
        (OPENAI, "gpt-5", "off", {"reasoning_effort": "minimal"}, "m always thinks"),
        (RESPONSES, "o3", "off", {"reasoning": {"effort": "low"}}, "m always thinks"),
        (RESPONSES, "gpt-5.1", "max", {"reasoning": {"effort": "high", "summary": "auto"}}, "`max` is sent as `high`"),
        (RESPONSES, "gpt-4.1", "low", {}, "m does not support thinking"),
        (KIMI, "kimi-k2-thinking", "off", {}, "`off` is not sent: m always thinks"),
        (KIMI, "kimi-k3", "medium", {"thinking": {"type": "enabled", "effort": "low"}}, "`medium` is sent as `low`"),
        (GEMINI, "gemini-3-pro-preview", "off", {"thinkingLevel": "low"}, "m always thinks"),
        (GEMINI, "gemini-3-pro-preview", "max", {"thinkingLevel": "high", "includeThoughts": True}, "`max` is sent as"),
        (GEMINI, "gemini-2.5-flash", "xhigh", {"thinkingBudget": 24576, "includeThoughts": True}, "sent as `high`"),
        (GEMINI, "gemini-2.0-flash", "low", {}, "m does not support thinking"),
        (ANTHROPIC, "claude-sonnet-4-5", "max", {"thinking": {"type": "enabled", "budget_tokens": 32_000}}, "as `high`"),
        (ANTHROPIC, "claude-3-5-sonnet-latest", "high", {}, "m does not support thinking"),
        (ANTHROPIC, "claude-fable-5", "off",
         {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "low"}}, "always thinks"),
        ('type = "openai"\ndialect = "dashscope"', "qwen3-32b", "high", {"enable_thinking": True}, "has no levels"),
        ('type = "openai"\ndialect = "minimax"', "MiniMax-M2.5", "high", {}, "minimax has no setting for it"),
        ('type = "openai"\ndialect = "zai"', "glm-5.2", "low",
         {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}, "`low` is sent as `high`"),
    ],
)  # fmt: skip
def test_an_effort_that_the_model_lacks_becomes_the_nearest_one_with_a_warning(provider, model, effort, said, warned):
    found, warnings = sent(provider, model, wish(effort))
    assert found == {
        **said,
        **({"thinking": found["thinking"]} if provider is ANTHROPIC and "thinking" in found else {}),
    }
    assert len(warnings) == 1 and warned in warnings[0]


@pytest.mark.parametrize(
    ("provider", "model", "effort", "said"),
    [
        (OPENAI, "gpt-5.6", "max", {"reasoning_effort": "max"}),
        (OPENAI, "gpt-5.6", "off", {"reasoning_effort": "none"}),
        (OPENAI, "gpt-4o", "off", {}),
        (RESPONSES, "gpt-5.2", "xhigh", {"reasoning": {"effort": "xhigh", "summary": "auto"}}),
        (GEMINI, "gemini-2.5-flash", "off", {"thinkingBudget": 0}),
        (GEMINI, "gemini-3-flash-preview", "minimal", {"thinkingLevel": "minimal", "includeThoughts": True}),
        (ANTHROPIC, "claude-opus-4-8", "off", {"thinking": {"type": "disabled"}}),
        ('type = "openai"\ndialect = "openrouter"', "openai/gpt-5.6", "max", {"reasoning": {"enabled": True, "effort": "xhigh"}}),
    ],
)  # fmt: skip
def test_an_effort_that_the_model_has_is_sent_without_a_warning(provider, model, effort, said):
    assert sent(provider, model, wish(effort)) == (said, [])


@pytest.mark.parametrize(
    ("effort", "said", "warned"),
    [
        ("high", {"reasoning_effort": "high"}, "unknown whether m has the effort `high`"),
        ("off", {"reasoning_effort": "none"}, "can turn off thinking"),
    ],
)
def test_an_effort_of_an_unknown_model_is_sent_with_a_warning(effort, said, warned):
    found, warnings = sent('type = "openai"\nbase_url = "https://acme.example/v1"', "acme-1", wish(effort))
    assert found == said
    assert [warned in warning for warning in warnings] == [True]


@pytest.mark.parametrize("provider", [OPENAI, RESPONSES, ANTHROPIC, GEMINI, KIMI])
@pytest.mark.parametrize("protocol", [None, "openai_chat", "openai_responses", "anthropic", "google"])
def test_an_unknown_effort_is_refused_unless_it_comes_over_the_same_protocol(provider, protocol):
    names = {OPENAI: "openai_chat", KIMI: "openai_chat", RESPONSES: "openai_responses", ANTHROPIC: "anthropic"}
    if protocol == names.get(provider, "google"):
        assert "banana" in repr(sent(provider, "m-1", wish("banana"), protocol))
        return
    with pytest.raises(UnknownEffort, match='unknown effort "banana"') as caught:
        sent(provider, "m-1", wish("banana"), protocol)
    assert caught.value.hint == "use one of: off, minimal, low, medium, high, xhigh, max"


def test_a_model_may_have_words_of_its_own():
    own = 'support_efforts = ["Quick", "deep"]'
    assert sent(OPENAI, "m-1", wish("quick"), extra=own) == ({"reasoning_effort": "Quick"}, [])
    found, (warning,) = sent(OPENAI, "m-1", wish("high"), extra=own)
    assert (found, "Quick, deep" in warning) == ({"reasoning_effort": "Quick"}, True)


@pytest.mark.parametrize(
    ("provider", "model", "said"),
    [
        (OPENAI, "gpt-5-pro", {"reasoning_effort": "high"}),
        (RESPONSES, "gpt-5-pro", {"reasoning": {"effort": "high", "summary": "auto"}}),
        (GEMINI, "gemini-3-pro-preview", {"thinkingLevel": "low", "includeThoughts": True}),
    ],
)
def test_a_budget_becomes_a_level_that_the_model_has(provider, model, said):
    found, warnings = sent(provider, model, Reasoning(enabled=True, budget=1024), "anthropic")
    assert found == said and len(warnings) == (0 if provider is GEMINI else 1)


@pytest.mark.parametrize("model", ["claude-opus-4-7", "claude-sonnet-5", "claude-opus-9", "corp-opus-latest"])
@pytest.mark.parametrize(("budget", "effort"), [(1024, "low"), (8000, "medium"), (32_000, "high")])
def test_a_budget_becomes_an_effort_where_the_model_refuses_budgets(model, budget, effort):
    found, (warning,) = sent(ANTHROPIC, model, Reasoning(enabled=True, budget=budget), "google")
    assert found == {
        "thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": effort},
    }  # fmt: skip
    assert f"is sent as effort `{effort}`" in warning


@pytest.mark.parametrize("model", ["claude-opus-4-6", "claude-sonnet-4-5", "claude-haiku-4-5"])
def test_a_budget_stays_one_where_the_model_takes_it(model):
    found, warnings = sent(ANTHROPIC, model, Reasoning(enabled=True, budget=8000), "openai_chat")
    assert (found, warnings) == ({"thinking": {"type": "enabled", "budget_tokens": 8000}}, [])


@pytest.mark.parametrize(
    ("model", "said"),
    [("claude-sonnet-5", {"thinking": {"type": "disabled"}}), ("claude-fable-5", {}), ("claude-sonnet-4-5", {})],
)
def test_a_model_that_may_think_by_default_does_not_before_a_forced_call(model, said):
    forced: dict[str, Any] = {"tools": [Tool(name="f")], "tool_choice": ToolChoice("required")}
    found, warnings = sent(ANTHROPIC, model, Reasoning(effort="high"), "openai_chat", **forced)
    assert found == said
    assert warnings == ["`reasoning` is not sent: a forced tool call and thinking exclude each other"]


@pytest.mark.parametrize("provider", [KIMI, 'type = "openai"\ndialect = "zai"'])
def test_a_budget_for_a_provider_without_budgets_is_reported(provider):
    found, (warning,) = sent(provider, "unknown-1", Reasoning(enabled=True, budget=2048), "google")
    assert found == {"thinking": {"type": "enabled"}}
    assert warning == "the thinking budget is not sent: the provider has no setting for it"


EFFORT_DROPPED = "the effort `high` is not sent: a budget of 4000 tokens is set"
BUDGET_DROPPED = "a budget of 4000 thinking tokens is not sent: the effort `high` is set"
ADAPTIVE = {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "high"}}
OPENROUTER = 'type = "openai"\ndialect = "openrouter"'


@pytest.mark.parametrize(
    ("provider", "model", "said", "warned"),
    [
        (OPENAI, "gpt-5.6", {"reasoning_effort": "high"}, BUDGET_DROPPED),
        (RESPONSES, "gpt-5.6", {"reasoning": {"effort": "high", "summary": "auto"}}, BUDGET_DROPPED),
        (ANTHROPIC, "claude-sonnet-4-5", {"thinking": {"type": "enabled", "budget_tokens": 4000}}, EFFORT_DROPPED),
        (ANTHROPIC, "claude-opus-4-8", ADAPTIVE, BUDGET_DROPPED),
        (GEMINI, "gemini-2.5-flash", {"thinkingBudget": 4000, "includeThoughts": True}, EFFORT_DROPPED),
        (GEMINI, "gemini-3-pro-preview", {"thinkingLevel": "high", "includeThoughts": True}, BUDGET_DROPPED),
        (OPENROUTER, "openai/gpt-5.6", {"reasoning": {"enabled": True, "max_tokens": 4000}}, EFFORT_DROPPED),
        ('type = "openai"\ndialect = "dashscope"', "qwen3-32b",
         {"enable_thinking": True, "thinking_budget": 4000}, EFFORT_DROPPED),
        ('type = "openai"\ndialect = "zai"', "glm-5.2",
         {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}, BUDGET_DROPPED),
    ],
)  # fmt: skip
def test_of_an_effort_and_a_budget_one_is_sent_and_the_other_reported(provider, model, said, warned):
    assert sent(provider, model, Reasoning(enabled=True, effort="high", budget=4000)) == (said, [warned])


@pytest.mark.parametrize(
    ("reasoning", "warned"),
    [
        (Reasoning(enabled=True, effort="high", budget=0), "the effort `high` is not sent: thinking is off"),
        (Reasoning(enabled=False, budget=4000), "a budget of 4000 thinking tokens is not sent: thinking is off"),
        (Reasoning(effort="off", budget=4000), "a budget of 4000 thinking tokens is not sent: thinking is off"),
    ],
)
@pytest.mark.parametrize(
    ("provider", "model", "said"),
    [
        (OPENAI, "gpt-5.6", {"reasoning_effort": "none"}),
        (RESPONSES, "gpt-5.6", {"reasoning": {"effort": "none"}}),
        (ANTHROPIC, "claude-sonnet-4-5", {"thinking": {"type": "disabled"}}),
        (GEMINI, "gemini-2.5-flash", {"thinkingBudget": 0}),
    ],
)
def test_off_comes_before_an_effort_and_a_budget(provider, model, said, reasoning, warned):
    assert sent(provider, model, reasoning) == (said, [warned])


@pytest.mark.parametrize("budget", [0, 2048])
def test_a_budget_for_a_model_that_does_not_think_is_reported(budget):
    found, warnings = sent(OPENAI, "gpt-4o", Reasoning(enabled=budget > 0, budget=budget), "google")
    assert (found, warnings) == (
        {}, ["m does not support thinking: a thinking budget is not sent"] if budget else []
    )  # fmt: skip


@pytest.mark.parametrize(
    ("provider", "protocol", "said"),
    [
        (OPENAI, "openai_chat", {"reasoning_effort": "max"}),
        (RESPONSES, "openai_responses", {"reasoning": {"effort": "max"}}),
        (ANTHROPIC, "anthropic", {"output_config": {"effort": "max"}}),
        (GEMINI, "google", {"thinkingLevel": "max"}),
    ],
)
def test_an_effort_over_the_same_protocol_is_not_changed(provider, protocol, said):
    names = {
        OPENAI: "gpt-4o",
        RESPONSES: "gpt-4o",
        ANTHROPIC: "claude-3-5-sonnet-latest",
        GEMINI: "gemini-3-pro-preview",
    }
    assert sent(provider, names[provider], Reasoning(effort="max"), protocol) == (said, [])
