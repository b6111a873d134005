"""Estimates of input tokens: of every kind of content, by the rules of the model's family, and fast."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from modelbay.conversation import (
    Conversation,
    Media,
    OutputFormat,
    Reasoning,
    ServerToolResult,
    Settings,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    UnknownPart,
    user,
)
from modelbay.counting.text_tokens import text_tokens
from modelbay.counting.token_estimates import estimate
from modelbay.counting.tool_tokens import described_tool
from modelbay.dialect import Dialect
from modelbay.json_text import encode
from modelbay.model import Model
from tests.processor_time import check_growth

CLAUDE, GPT, GPT_4O = (
    Model("claude-sonnet-4-5", family="claude"),
    Model("gpt-5", family="gpt"),
    Model("gpt-4o", family="gpt"),
)
GEMINI, GEMINI_2 = Model("gemini-3-pro", family="gemini"), Model("google/gemini-2.5-flash", family="gemini")
KIMI = Model("kimi-k2.6", family="kimi")
MISTRAL, UNKNOWN = Model("mistral-large-latest", family="mistral"), Model("some-model")


def tokens(conversation: Conversation, model: Model, **at: Any) -> int:
    return estimate(conversation, model, **at).tokens


def asks(*parts: Any, **settings: Any) -> Conversation:
    return Conversation([Turn("user", [Text(text="What is this?"), *parts])], Settings(**settings))


def added(model: Model, *parts: Any, **settings: Any) -> int:
    """The tokens that parts or settings add."""
    return tokens(asks(*parts, **settings), model) - tokens(asks(), model)


# --- sizes ----------------------------------------------------------------------------------------------------------


def test_many_short_texts_count_as_one_long_one() -> None:
    long = user("One two three. " * 100)
    short = Turn("user", [Text(text="One two three. ")] * 100)
    assert tokens(Conversation([long]), GPT) == pytest.approx(tokens(Conversation([short]), GPT), abs=2)


@pytest.mark.parametrize(
    ("id", "family", "tokenizer"),
    [
        ("gpt-5", "gpt", "o200k"),
        ("gpt-4", "gpt", "cl100k"),
        ("gemini-3-pro", "gemini", "gemma"),
        ("mistral-large-latest", "mistral", "tekken"),
        ("deepseek-chat", "deepseek", "deepseek"),
        ("llama-3.3-70b-versatile", "llama", "llama"),
        ("qwen3-coder", "qwen", "qwen"),
        ("qwen3.6-plus", "qwen", "qwen35"),
        ("claude-opus-4-6", "claude", "claude"),
        ("claude-opus-4-8", "claude", "claude47"),
        ("glm-5.2", "glm", "glm"),
        ("MiniMax-M3", "minimax", "minimax"),
        ("grok-4-fast", "grok", "o200k"),
        ("some-model", "", "o200k"),
    ],
)
def test_a_long_text_has_the_tokens_of_the_model_s_tokenizer(id: str, family: str, tokenizer: str) -> None:
    """The tokens that a provider adds do not depend on the length of the text."""
    text = "The tide is the rise and fall of the sea, caused by the pull of the moon. " * 900
    for protocol in ("openai_chat", "openai_responses"):
        found = tokens(Conversation([user(text)]), Model(id, family=family), protocol=protocol)
        assert found == pytest.approx(text_tokens(text, tokenizer), rel=0.05)


def test_an_estimate_takes_time_in_proportion_to_the_text() -> None:
    few, many = ([user("The tide is high.\n" * 20)] * count for count in (100, 1000))
    check_growth(lambda: tokens(Conversation(few), CLAUDE), lambda: tokens(Conversation(many), CLAUDE), below=20)


def test_a_family_without_factors_has_those_of_the_default() -> None:
    for family in ("tide", 'a"b', "", "*"):
        assert tokens(asks(), Model("some-model", family=family)) == tokens(asks(), UNKNOWN) != tokens(asks(), GEMINI)


def test_an_empty_conversation_has_one_token() -> None:
    assert tokens(Conversation(), GEMINI) == 1


# --- tools and thinking ------------------------------------------------------------------------------------------------


def test_tools_count_with_their_names_descriptions_and_schemas() -> None:
    small = Tool(name="tide", description="The tide.", schema={"type": "object", "properties": {}})
    large = replace(small, schema={"type": "object", "properties": {
        "city": {"type": "string", "description": "The name of a city with a harbour, in English."},
        "days": {"type": "array", "items": {"type": "object", "properties": {"day": {"enum": ["today", "tomorrow"]}}}},
    }})  # fmt: skip
    for model in (CLAUDE, GPT, GEMINI, UNKNOWN):
        assert 0 < added(model, tools=[small]) < added(model, tools=[large]) < added(model, tools=[large, small])
        assert added(model, tools=[Tool(kind="namespace", name="sea", tools=[small, large])]) == added(
            model, tools=[small, large]
        )
    assert added(CLAUDE, tools=[small]) > 400, "its instructions for calling tools"


def test_a_freeform_tool_counts_with_its_grammar() -> None:
    bare = Tool("freeform", name="patch", description="Edits files.")
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: begin hunk+ end\n" * 50}
    for model in (CLAUDE, GPT, GEMINI, UNKNOWN):
        assert added(model, tools=[replace(bare, grammar=grammar)]) > added(model, tools=[bare]) + 200


def test_a_tool_choice_changes_the_count() -> None:
    tool = Tool(name="tide", description="The tide.", schema={"type": "object", "properties": {"city": {}}})
    for model in (CLAUDE, GPT, GEMINI):
        assert added(model, tools=[tool], tool_choice=ToolChoice("none")) == added(model, tools=[tool])
    assert added(MISTRAL, tools=[tool], tool_choice=ToolChoice("none")) == 0, "its template leaves the tools out"
    assert added(CLAUDE, tools=[tool], tool_choice=ToolChoice("required")) > added(CLAUDE, tools=[tool]) + 50


def test_a_choice_of_one_call_at_most_leaves_out_the_instructions_for_several() -> None:
    tool = Tool(name="tide", description="The tide.", schema={"type": "object", "properties": {"city": {}}})
    single = ToolChoice("auto", parallel=False)
    assert added(CLAUDE, tools=[tool], tool_choice=single) < added(CLAUDE, tools=[tool]) - 150
    assert added(GPT, tools=[tool], tool_choice=single) == added(GPT, tools=[tool])


@pytest.mark.parametrize(
    ("id", "free", "forced"),
    [
        ("claude-opus-4-1", 313, 0),
        ("claude-sonnet-4-6", 497, 92),
        ("claude-opus-4-7", 675, 129),
        ("claude-opus-4-8", 290, 120),
        ("claude-sonnet-5", 354, 120),
    ],
)
def test_a_claude_has_the_published_instructions_for_tools(id: str, free: int, forced: int) -> None:
    model, tool = Model(id, family="claude"), Tool(name="a", schema={})
    found = added(model, tools=[tool])
    assert found == pytest.approx(free + 25, abs=20)
    assert added(model, tools=[tool], tool_choice=ToolChoice("required")) == pytest.approx(found + forced, abs=5)


def test_a_deferred_tool_counts_twice_for_a_claude_that_declares_it() -> None:
    newest, tide = Model("claude-opus-5", family="claude"), Tool(name="tide", description="The tide.")
    sea = Tool(name="sea", description="The level of the water. " * 20, extra={"defer_loading": True})
    none, hidden = added(newest, tools=[tide]), added(newest, tools=[tide, replace(sea, loaded=False)])
    assert hidden > none + 100
    assert added(newest, tools=[tide, sea]) == pytest.approx(none + 2 * (hidden - none), abs=1)


def test_a_tool_that_the_model_does_not_see_yet_does_not_count() -> None:
    tide, sea = (Tool(name=name, description="The level of the water. " * 20) for name in ("tide", "sea"))
    hidden = replace(sea, loaded=False, extra={"defer_loading": True})
    for model in (CLAUDE, GPT, GEMINI):
        assert added(model, tools=[tide, hidden]) == added(model, tools=[tide])


def test_a_tool_that_the_provider_searches_counts_when_it_was_found() -> None:
    search = Tool("vendor", name="tool_search", native="tool_search_tool_regex_20251119", raw={"name": "tool_search"})
    sea = Tool(name="sea", description="The level of the water. " * 20, extra={"defer_loading": True})
    found = ServerToolResult(content={"tool_references": [{"type": "tool_reference", "tool_name": "sea"}]})
    without, searched = added(CLAUDE, tools=[search]), added(CLAUDE, tools=[search, sea])
    assert searched == without
    assert added(CLAUDE, found, tools=[search, sea]) > added(CLAUDE, found, tools=[search]) + 50
    assert added(CLAUDE, ToolCall(id="1", name="sea"), tools=[search, sea]) > without + 100


@pytest.mark.parametrize(
    ("model", "type", "tokens"),
    [
        (CLAUDE, "computer_20251124", 1300),
        (CLAUDE, "text_editor_20250728", 700),
        (CLAUDE, "bash_20250124", 245),
        (GPT, "web_search", 280),
        (GPT, "web_search_preview", 280),
        (GEMINI, "googleSearch", 0),
    ],
)
def test_a_tool_of_the_provider_counts_with_the_description_that_it_adds(model: Model, type: str, tokens: int) -> None:
    own, other = Tool("vendor", native=type, raw={"type": type}), Tool(name="tide", description="The tide.")
    assert added(model, tools=[own, other]) - added(model, tools=[other]) == pytest.approx(tokens, abs=1)
    assert added(UNKNOWN, tools=[own, other]) - added(UNKNOWN, tools=[other]) < 40


def test_code_in_the_arguments_of_a_call_counts_as_the_model_reads_it() -> None:
    code = 'if tide["high"]:\n\t\tprint("\\n")\n' * 200
    call = ToolCall(id="1", name="write", arguments=encode({"path": "a.py", "text": code}).decode())
    plain, escaped = text_tokens(code, "claude"), text_tokens(call.arguments, "claude")
    assert escaped > plain * 1.3
    assert added(CLAUDE, call) == pytest.approx(plain, rel=0.1)
    assert added(GPT, call) == pytest.approx(text_tokens(call.arguments), rel=0.1), "it reads JSON"


@pytest.mark.parametrize("arguments", ["", "{", "[1]", "null", '{"a": [1, {"b": null}], "c": ""}', "[" * 500])
def test_arguments_of_any_form_are_counted(arguments: str) -> None:
    assert 1 <= added(CLAUDE, ToolCall(id="1", name="tide", arguments=arguments)) < 60 + len(arguments)


def test_a_tool_by_name_and_any_tool_are_different_choices() -> None:
    """OpenAI writes the first into the prompt, and not the second."""
    tool = Tool(name="tide", description="The tide.", schema={"type": "object", "properties": {"city": {}}})
    free, any_tool, named = (
        tokens(asks(tools=[tool], tool_choice=choice), GPT_4O, protocol="openai_chat")
        for choice in (ToolChoice("auto"), ToolChoice("required"), ToolChoice("tool", ["tide"]))
    )
    assert free == any_tool
    assert 8 <= named - free <= 20


def test_kimi_reads_tools_as_json_until_k2_and_as_types_after_it() -> None:
    fields = {"city": {"type": "string"}, "day": {"type": "integer"}, "harbour": {"type": "string"}}
    schema = {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
    tool = Tool(name="tide", description="The tide.", schema=schema)

    def with_tool(id: str) -> int:
        return added(Model(id, family="kimi"), tools=[tool])

    assert with_tool("kimi-k2") == with_tool("moonshotai/Kimi-K2-Instruct-0905") == with_tool("moonshot-v1-8k")
    assert with_tool("kimi-k3") == with_tool("kimi-k2.6") == with_tool("moonshotai/kimi-k2.5")
    assert with_tool("kimi-k3") < with_tool("kimi-k2") - 30


def test_llama_reads_tools_as_indented_json_after_short_instructions() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    tool = Tool(name="tide", description="The tide.", schema=schema)
    function = {"name": "tide", "description": "The tide.", "parameters": schema}
    text = json.dumps({"type": "function", "function": function}, indent=4)
    found = added(Model("llama-3.3-70b-instruct", family="llama"), tools=[tool])
    assert found == pytest.approx(text_tokens(text, "llama") + 56, abs=1)


def test_tools_share_the_frame_of_the_system_prompt() -> None:
    tool = Tool(name="tide", description="The tide.", schema={"type": "object", "properties": {"city": {}}})
    system = Turn("system", [Text(text="Be brief.")])
    question = user("What is this?")

    def of(*turns: Turn, **settings: Any) -> int:
        return tokens(Conversation(list(turns), Settings(**settings)), GPT_4O, protocol="openai_chat")

    alone = of(question, tools=[tool]) - of(question)
    beside = of(system, question, tools=[tool]) - of(system, question)
    assert alone - beside == pytest.approx(4, abs=1)


def test_the_name_and_description_of_an_output_format_count() -> None:
    schema = {"type": "object", "properties": {"joke": {"type": "string"}}}
    bare, described = (
        added(GPT, output_format=OutputFormat("json_schema", schema=schema, name="joke", description=text))
        for text in (None, "A joke, and how funny it is in your own opinion, from one to ten.")
    )
    assert 8 < described - bare < 20


def test_tools_in_the_middle_of_a_conversation_count_like_tools() -> None:
    tide = {"type": "function", "name": "tide", "description": "The tide of a day.", "parameters": {"type": "object"}}
    raw = {"type": "additional_tools", "role": "developer", "tools": [{"type": "namespace", "tools": [tide]}]}
    late = Turn("developer", [UnknownPart(native="additional_tools", raw=raw)])
    plain = Tool(name="tide", description="The tide of a day.", schema={"type": "object"})
    both = tokens(Conversation([user("Hi"), late]), GPT, protocol="openai_responses")
    first = tokens(Conversation([user("Hi")], Settings(tools=[plain])), GPT, protocol="openai_responses")
    assert both > first + 50, "their own instructions"
    for odd in (None, [], ["tide"], {"tools": "x"}, {"tools": [None]}, {"tools": [{"parameters": [3]}]}):
        turn = Turn("developer", [UnknownPart(native="x", raw=odd)])
        assert tokens(Conversation([user("Hi"), turn]), GPT) > 0


def test_contents_that_can_be_cited_have_instructions() -> None:
    def document(enabled: bool) -> Media:
        return Media(kind="document", text="The tide is high.", extra={"citations": {"enabled": enabled}})

    assert added(CLAUDE, document(True)) - added(CLAUDE, document(False)) > 400
    found = {"type": "search_result", "citations": {"enabled": True}}
    assert added(CLAUDE, ToolResult(call_id="1", parts=[UnknownPart(native="search_result", raw=found)])) > 400


def test_the_protocol_and_the_provider_decide_how_tools_are_described() -> None:
    asked = asks(tools=[Tool(name="tide", description="The tide.", schema={"type": "object", "properties": {}})])
    assert tokens(asked, GPT, protocol="openai_chat") > tokens(asked, GPT, protocol="openai_responses") + 50
    bare, text = Dialect(bare_counts=True), asks().turns[0].text
    with_tools, without = (tokens(one, GEMINI, dialect=bare) for one in (asked, asks()))
    assert without < with_tools < tokens(asked, GEMINI)
    assert without == round(text_tokens(text, "gemma"))


def test_a_router_calls_models_by_another_protocol_than_its_client() -> None:
    asked = asks(tools=[Tool(name="tide", description="The tide.", schema={"type": "object", "properties": {}})])
    routed = Model("openai/gpt-5", family="gpt")
    assert tokens(asked, GPT, protocol="openai_chat") > tokens(asked, routed, protocol="openai_chat") + 50
    assert tokens(asked, GPT, protocol="openai_responses") == tokens(asked, routed, protocol="openai_responses")


SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "A harbour."},
        "unit": {"enum": ["m", "ft"], "default": "m"},
        "days": {"type": "array", "items": {"type": "object", "properties": {"day": {"type": ["integer", "null"]}}}},
        "any": True,
    },
    "required": ["city"],
}


def test_a_tool_is_counted_in_typescript_for_models_that_read_it_so() -> None:
    written = """// The tide
// of a day.
type tide = (_: {
// A harbour.
city: string,
unit?: "m" | "ft", // default: "m"
days?: {
day?: number | null,
}[],
any?: any,
}) => any;

"""
    tool = Tool(name="tide", description="The tide\nof a day.", schema=SCHEMA)
    assert described_tool(tool, "typescript", "o200k").tokens == text_tokens(written)
    bare = Tool(name="tide", schema={"type": "object", "properties": {}})
    assert described_tool(bare, "typescript", "o200k").tokens == text_tokens("type tide = () => any;\n\n")


@pytest.mark.parametrize(
    "schema",
    [
        None,
        [],
        {"properties": []},
        {"properties": {"a": {"type": 7, "items": 3}}, "required": "a"},
        {"anyOf": [None, {}]},
    ],
)
def test_a_schema_that_is_not_one_is_counted(schema: Any) -> None:
    assert described_tool(Tool(name="tide", schema=schema), "typescript", "o200k").tokens > 0


def test_a_schema_whose_types_are_lists_is_counted_in_time() -> None:
    schema: dict[str, Any] = {}
    for _ in range(40):
        schema = {"type": ["object", "object", "array"], "properties": {"a": schema}}
    assert described_tool(Tool(name="deep", schema=schema), "typescript", "o200k").properties == 40


def test_thinking_adds_instructions() -> None:
    on = [Reasoning(enabled=True), Reasoning(budget=2000), Reasoning(adaptive=True), Reasoning(effort="high")]
    for reasoning in on:
        assert 20 < added(CLAUDE, reasoning=reasoning) < 40
    for reasoning in (Reasoning(enabled=False), Reasoning(effort="none"), Reasoning(effort="high", enabled=False)):
        assert added(CLAUDE, reasoning=reasoning) == 0
    effort = asks(reasoning=Reasoning(effort="high"))
    effort.protocol = "anthropic"  # where the effort alone turns no thinking on
    assert tokens(effort, CLAUDE) == tokens(asks(), CLAUDE)


def test_a_system_prompt_without_text_adds_nothing() -> None:
    empty = Conversation([Turn("system", [Text(text="")]), user("Hi")])
    assert tokens(empty, GPT) == tokens(Conversation([user("Hi")]), GPT)


@pytest.mark.parametrize("family", ["deepseek", "glm", "qwen", "minimax"])
def test_thinking_in_the_text_of_an_earlier_reply_does_not_count(family: str) -> None:
    thought, model = "<think>" + "Let me see what the tide is like. " * 20 + "</think>", Model("any", family=family)

    def with_reply(text: str, model: Model = model) -> int:
        return tokens(Conversation([user("The tide?"), Turn("assistant", [Text(text=text)]), user("And now?")]), model)

    assert with_reply(thought + "High.") == with_reply("High.")
    assert with_reply(thought + "High.", GPT) > with_reply("High.", GPT) + 150
    loop = [user("The tide?"), Turn("assistant", [Text(text=thought), ToolCall(name="tide", id="1")])]
    result = Turn("user", [ToolResult(call_id="1", parts=[Text(text="high")])])
    plain = [loop[0], replace(loop[1], parts=loop[1].parts[1:]), result]
    assert tokens(Conversation([*loop, result]), model) > tokens(Conversation(plain), model) + 50


def test_a_message_that_claude_continues_has_no_frame_of_its_own() -> None:
    begun = Turn("assistant", [Text(text="Once upon a time")])
    asked, more = [user("Tell a story.")], [user("Tell a story."), begun]
    for model, frame in ((CLAUDE, 0), (GPT, 4)):
        found = tokens(Conversation(more), model) - tokens(Conversation(asked), model)
        assert found == pytest.approx(4 + frame, abs=1)


def test_templates_have_a_system_prompt_of_their_own_if_there_is_no_other() -> None:
    system = Turn("system", [Text(text="Hi")])
    old, new = Model("qwen2.5-coder", family="qwen"), Model("qwen3-coder", family="qwen")
    alone, both = Conversation([user("Hi")]), Conversation([system, user("Hi")])
    assert tokens(both, new) > tokens(alone, new)
    assert tokens(both, old) < tokens(alone, old) - 10


def test_reasoning_that_is_turned_off_is_an_empty_one_in_some_templates() -> None:
    off, on = Reasoning(enabled=False), Reasoning(enabled=True)
    for model, more in ((Model("qwen3-32b", family="qwen"), 4), (Model("glm-4.6", family="glm"), 4), (GPT, 0)):
        assert added(model, reasoning=off) == more
        assert added(model, reasoning=on) == 0


def test_deepseek_has_instructions_for_an_effort_and_for_json() -> None:
    model = Model("deepseek-v4-flash", family="deepseek")
    assert added(model, reasoning=Reasoning(effort="high")) == 80
    assert added(model, output_format=OutputFormat("json")) == 20
    assert added(GPT, output_format=OutputFormat("json")) == 0


def test_the_template_of_deepseek_r1_has_no_tools() -> None:
    tool = Tool(name="tide", description="The tide.", schema={"type": "object", "properties": {"city": {}}})
    assert added(Model("deepseek-ai/DeepSeek-R1", family="deepseek"), tools=[tool]) == 0


def test_only_thinking_of_the_current_tool_loop_counts() -> None:
    thought = Thinking(texts=["Let me see what the tide is like. " * 20], opaque="x" * 4000)
    call, result = ToolCall(name="tide", id="1"), ToolResult(call_id="1", parts=[Text(text="high")])
    turns = [user("The tide?"), Turn("assistant", [thought, call]), Turn("user", [result])]
    plain = [user("The tide?"), Turn("assistant", [call]), Turn("user", [result])]
    for model in (CLAUDE, GPT, KIMI):
        assert tokens(Conversation(turns), model) > tokens(Conversation(plain), model) + 150
        for more in (
            user("And now?"),
            Turn("user", [result, Text(text="See the file.")]),
            Turn("user", [Media("image", url="https://a.example/b.png")]),
        ):
            old, none = (tokens(Conversation([*before, more]), model) for before in (turns, plain))
            assert old == none


def test_gemini_counts_texts_of_earlier_thinking_but_not_their_signatures() -> None:
    def with_thought(*parts: Thinking) -> int:
        reply = Turn("assistant", [*parts, Text(text="High.")])
        return tokens(Conversation([user("The tide?"), reply, user("And now?")]), GEMINI)

    text = ["Let me see what the tide is like. " * 20]
    assert with_thought(Thinking(opaque="x" * 4000)) == with_thought()
    assert with_thought(Thinking(texts=text, opaque="x" * 4000)) == pytest.approx(with_thought() + 170, abs=15)


def test_all_thinking_counts_if_the_provider_keeps_it() -> None:
    thought = Thinking(texts=["Let me see what the tide is like. " * 20], opaque="x" * 4000)
    turns = [user("The tide?"), Turn("assistant", [thought, Text(text="High.")]), user("And now?")]
    plain = [turns[0], Turn("assistant", [Text(text="High.")]), turns[2]]
    for model in (Model("grok-4.3", family="grok"), Model("magistral-medium", family="mistral")):
        assert tokens(Conversation(turns), model) > tokens(Conversation(plain), model) + 150


def test_thought_signatures_count_unless_the_provider_counts_only_texts() -> None:
    signed = Conversation([user("Hi"), Turn("assistant", [ToolCall(name="tide", opaque="x" * 1000)])])
    bare = Dialect(bare_counts=True)
    assert tokens(signed, GEMINI) > tokens(signed, GEMINI, dialect=bare) + 150


def test_vertex_ai_counts_signatures_since_gemini_3_1() -> None:
    bare = Dialect(bare_counts=True)
    for id, more in (("gemini-3-flash-preview", 0), ("gemini-3.1-pro-preview", 207)):
        model = Model(id, family="gemini")
        signed, plain = (
            tokens(
                Conversation([user("Hi"), Turn("assistant", [ToolCall(name="tide", opaque=state)])]),
                model,
                dialect=bare,
            )
            for state in ("x" * 1000, None)
        )
        assert signed == pytest.approx(plain + more, abs=1)


def test_signatures_count_in_the_requests_and_for_the_time_that_the_model_reads_them() -> None:
    called = Turn("assistant", [ToolCall(name="tide", opaque="x" * 1000)])
    now, before = Conversation([user("Hi"), called]), Conversation([user("Hi"), called, user("And now?")])
    unsigned = Turn("assistant", [ToolCall(name="tide")])
    newest, older, oldest = (Model(f"gemini-{name}", family="gemini") for name in ("3.6-flash", "3-flash", "2.5-flash"))

    def counted(conversation: Conversation, model: Model) -> bool:
        plain = [unsigned if turn is called else turn for turn in conversation.turns]
        return tokens(conversation, model) > tokens(replace(conversation, turns=plain), model) + 90

    assert (counted(before, newest), counted(before, older), counted(now, older)) == (True, False, True)
    assert (counted(now, oldest), counted(replace(now, stream=True), oldest)) == (False, True)


def test_a_summary_of_encrypted_reasoning_does_not_count() -> None:
    def with_reasoning(**fields: Any) -> int:
        return tokens(Conversation([user("Hi"), Turn("assistant", [Thinking(**fields), Text(text="Hi")])]), GPT)

    nothing = with_reasoning()
    assert with_reasoning(texts=["I looked at the tide. " * 20], summary=True) == nothing
    assert with_reasoning(opaque="x" * 800) == nothing, "it contains little more than its own frame"
    assert with_reasoning(opaque="x" * 2800) == pytest.approx(nothing + 270, abs=30)
