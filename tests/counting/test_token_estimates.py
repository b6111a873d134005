"""Estimates of input tokens: of every kind of content, by the rules of the model's family, and fast."""

import zlib
from base64 import b64encode
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
from modelbay.counting.image_sizes import image_size
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


def test_only_thinking_of_the_current_tool_loop_counts() -> None:
    thought = Thinking(texts=["Let me see what the tide is like. " * 20], opaque="x" * 4000)
    call, result = ToolCall(name="tide", id="1"), ToolResult(call_id="1", parts=[Text(text="high")])
    turns = [user("The tide?"), Turn("assistant", [thought, call]), Turn("user", [result])]
    plain = [user("The tide?"), Turn("assistant", [call]), Turn("user", [result])]
    for model in (CLAUDE, GPT, GEMINI):
        assert tokens(Conversation(turns), model) > tokens(Conversation(plain), model) + 150
        for more in (user("And now?"), Turn("user", [result, Text(text="See the file.")]), Turn("user", [image(9, 9)])):
            old, none = (tokens(Conversation([*before, more]), model) for before in (turns, plain))
            assert old == none


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


# --- media -------------------------------------------------------------------------------------------------------------


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes(100)


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + width.to_bytes(2, "little") + height.to_bytes(2, "little") + bytes(10)


def jpeg(width: int, height: int) -> bytes:
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    thumbnail = b"\xff\xe1\x00\x14" + b"\xff\xc0" + bytes(16)
    return b"\xff\xd8" + thumbnail + b"\xff\xff\xc2\x00\x11\x08" + size + bytes(20)


def webp(kind: bytes, data: bytes) -> bytes:
    return b"RIFF\0\0\0\0WEBP" + kind + b"\0\0\0\0" + data + bytes(20)


@pytest.mark.parametrize(
    "data",
    [
        png(800, 600),
        gif(800, 600),
        jpeg(800, 600),
        webp(b"VP8X", bytes(4) + (799).to_bytes(3, "little") + (599).to_bytes(3, "little")),
        webp(b"VP8L", b"\x2f" + (799 | 599 << 14).to_bytes(4, "little")),
        webp(b"VP8 ", bytes(3) + b"\x9d\x01\x2a" + (800 | 1 << 14).to_bytes(2, "little") + (600).to_bytes(2, "little")),
    ],
    ids=["png", "gif", "jpeg", "webp", "webp-lossless", "webp-lossy"],
)
def test_the_size_of_an_image_is_in_its_header(data: bytes) -> None:
    assert image_size(data) == (800, 600)
    for length in range(len(data)):
        assert image_size(data[:length]) in ((800, 600), None)


def image(width: int, height: int, detail: str | None = None) -> Media:
    return Media(kind="image", data=b64encode(png(width, height)).decode(), media_type="image/png", detail=detail)


@pytest.mark.parametrize(
    ("model", "part", "tokens"),
    [
        (CLAUDE, image(800, 600), 664),
        (CLAUDE, image(4000, 3000), 1608),
        (CLAUDE, image(300, 3136), 329),
        (Model("claude-opus-5", family="claude"), image(2000, 1500), 4106),
        (GPT_4O, image(512, 512), 255),
        (GPT_4O, image(1024, 1024), 765),
        (GPT_4O, image(2048, 4096), 1105),
        (GPT_4O, image(2048, 4096, "low"), 85),
        (Model("gpt-4o-mini", family="gpt"), image(512, 512), 8500),
        (Model("gpt-4.1-mini", family="gpt"), image(1024, 1024), 1659),
        (Model("gpt-5-nano", family="gpt"), image(128, 128), 24),
        (Model("grok-2-vision", family="grok"), image(400, 300), 256),
        (Model("mistral/pixtral-12b", family="mistral"), image(597, 566), 1409),
        (GEMINI_2, image(600, 400), 258),
        (GEMINI_2, image(1500, 1000), 1032),
        (GEMINI, image(600, 400), 1080),
        (UNKNOWN, image(280, 280), 100),
        (GEMINI_2, Media(kind="image", url="https://example.com/sea.png"), 1032),
        (GEMINI_2, Media(kind="image", data="not an image"), 1032),
    ],
)
def test_an_image_counts_by_the_rule_of_its_model(model: Model, part: Media, tokens: int) -> None:
    assert added(model, part) == pytest.approx(tokens, abs=2)


def test_documents_count_by_pages_or_by_their_text() -> None:
    pages = b"%PDF-1.4" + b"<< /Type /Pages >>" + b"<< /Type /Page >>" * 3 + b"<</Type/Page>>"
    assert added(GEMINI_2, Media(kind="document", data=b64encode(pages).decode())) == 4 * 258
    packed = Media(kind="document", data=b64encode(b"%PDF-1.7" + bytes(200_000)).decode())
    assert added(GEMINI_2, packed) == pytest.approx(4 * 258, rel=0.01)
    text = "The tide is high. " * 50
    for document in (
        Media(kind="document", text=text),
        Media(kind="document", data=b64encode(text.encode()).decode(), media_type="text/plain"),
        Media(kind="document", parts=[Text(text=text)]),
    ):
        assert added(GPT, document) == pytest.approx(added(GPT, Text(text=text)) + 18, abs=2), "with its frame"
        assert added(GEMINI_2, document) == pytest.approx(added(GEMINI_2, Text(text=text)), abs=2)


def test_a_page_counts_with_its_text() -> None:
    def document(text: bytes) -> Media:
        content = zlib.compress(b"BT (" + text + b") Tj ET")
        page = b"%PDF-1.7\n1 0 obj << /Type /Page >> endobj 2 0 obj << /FlateDecode >>\nstream\n" + content
        return Media(kind="document", data=b64encode(page).decode())

    short, long = document(b"Tide"), document(b"Tide" * 1000)
    for model in (CLAUDE, GPT, GPT_4O):
        assert 900 < added(model, long) - added(model, short) < 1600
    assert added(GEMINI, long) == added(GEMINI, short) == 540
    chat, responses = (tokens(asks(short), GPT_4O, protocol=one) for one in ("openai_chat", "openai_responses"))
    assert chat > responses + 100, "Chat Completions adds an image of the page"


def test_gemini_2_reads_the_only_page_of_a_request_in_tiles() -> None:
    page, pages = (
        Media(kind="document", data=b64encode(b"%PDF-1.4" + b"<< /Type /Page >>" * count).decode()) for count in (1, 2)
    )
    image = Media(kind="image", data=b64encode(png(100, 100)).decode())
    assert (added(GEMINI_2, page), added(GEMINI_2, pages)) == (1290, 2 * 258)
    assert (added(GEMINI_2, page, image), added(GEMINI_2, page, page)) == (2 * 258, 2 * 258)
    direct = Model("gemini-2.5-flash", family="gemini")
    assert added(direct, page) == 258, "the Gemini API reads it like the others"
    vertex = Dialect(bare_counts=True)
    assert tokens(asks(page), direct, dialect=vertex) - tokens(asks(), direct, dialect=vertex) == 1290


def test_audio_and_video_count_by_their_length() -> None:
    rate = (48_000).to_bytes(4, "little")
    wave = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\xc0\x5d\0\0" + rate + bytes(480_000)
    assert added(GEMINI, Media(kind="audio", data=b64encode(wave).decode())) == pytest.approx(320, abs=2)
    assert added(GEMINI, Media(kind="audio", data=b64encode(bytes(160_000)).decode())) == pytest.approx(320, abs=2)
    assert added(GEMINI, Media(kind="video", data=b64encode(bytes(800_000)).decode())) == pytest.approx(930, abs=2)
    assert added(GEMINI, Media(kind="video", file_id="files/1")) == pytest.approx(2790, abs=2)


def test_each_second_of_a_video_counts_and_its_sound_does_if_it_has_one() -> None:
    def video(milliseconds: int, *more: bytes) -> Media:
        header = b"mvhd" + bytes(12) + (1000).to_bytes(4, "big") + milliseconds.to_bytes(4, "big")
        data = b"\0\0\0\x18ftypmp42" + header + b"hdlr" + b"".join(more) + bytes(9000)
        return Media(kind="video", data=b64encode(data).decode())

    assert added(GEMINI_2, video(1300, b"vide")) == pytest.approx(258, abs=2)
    assert added(GEMINI_2, video(10_030, b"vide")) == pytest.approx(2580, abs=5)
    assert added(GEMINI_2, video(10_030, b"vide", b"soun")) == pytest.approx(3210, abs=5)


def test_media_in_the_results_of_tools_count() -> None:
    inside = ToolResult(call_id="1", parts=[image(600, 400)])
    assert added(GEMINI_2, inside) >= 258
