"""Requests to a Responses upstream, for conversations from any protocol."""

from typing import Any

import pytest

from modelbay.conversation import (
    Annotation,
    Conversation,
    Media,
    OutputFormat,
    Provenance,
    Reasoning,
    Settings,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    user,
)
from modelbay.dialect import PLAIN, Dialect
from modelbay.errors import Unsupported
from modelbay.model import Model
from modelbay.protocols.codec import Call, codec
from modelbay.protocols.opaque import seal

RESPONSES = codec("openai_responses")
MODEL = Model(id="gpt-5", family="gpt")
OPENAI = Dialect(freeform_tools=True)
OURS = Provenance("openai_responses", "openai", "gpt")


def asked(*turns: Turn, dialect: Dialect = PLAIN, model: Model = MODEL, **settings: Any) -> Call:
    return RESPONSES.render_request(Conversation(list(turns), Settings(**settings)), model, dialect)


def parsed(**body: Any) -> Conversation:
    return RESPONSES.parse_request(Call("", {"model": "gpt-5", **body}))


def again(conversation: Conversation) -> dict[str, Any]:
    return RESPONSES.render_request(conversation, MODEL, OPENAI).body


def test_a_conversation_of_our_own_is_stateless():
    call = asked(Turn("system", [Text(text="Be brief.")]), user("Hi"))
    assert call.path == "/responses"
    assert call.body == {
        "model": "gpt-5",
        "instructions": "Be brief.",
        "input": [{"role": "user", "content": "Hi"}],
        "store": False,
    }


def test_reasoning_that_is_asked_for_comes_back_encrypted_and_summed_up():
    body = asked(user("Hi"), reasoning=Reasoning(effort="low")).body
    assert body["reasoning"] == {"effort": "low", "summary": "auto"}
    assert body["include"] == ["reasoning.encrypted_content"]


def test_a_model_known_to_think_gives_its_reasoning_back_unasked():
    thinking = Model(id="gpt-5", capabilities={"thinking": True})
    assert asked(user("Hi"), model=thinking).body["include"] == ["reasoning.encrypted_content"]


@pytest.mark.parametrize(
    ("reasoning", "written"),
    [
        (Reasoning(enabled=False), {"effort": "none"}),
        (Reasoning(effort="none"), {"effort": "none"}),
        (Reasoning(enabled=True, budget=1024), {"effort": "low", "summary": "auto"}),
        (Reasoning(budget=32_000), {"effort": "high", "summary": "auto"}),
        (Reasoning(adaptive=True, enabled=True, visibility="summarized"), {"summary": "auto"}),
        (Reasoning(effort="high", visibility="hidden"), {"effort": "high"}),
        (Reasoning(effort="high", visibility="detailed"), {"effort": "high", "summary": "detailed"}),
    ],
)
def test_reasoning_as_other_protocols_say_it(reasoning, written):
    assert asked(user("Hi"), reasoning=reasoning).body["reasoning"] == written


def test_a_turn_becomes_items_in_its_order_and_reasoning_stands_before_what_it_led_to():
    turn = Turn(
        "assistant",
        [
            Thinking(texts=["First"], summary=True, opaque="enc", item_id="rs_1", origin=OURS),
            Text(text="Let me look.", item_id="msg_1", origin=OURS, extra={"item.": {"phase": "commentary"}}),
            ToolCall(name="look", arguments='{"at": 1.0}', id="call_1", item_id="fc_1", origin=OURS),
        ],
    )
    result = Turn("tool", [ToolResult(call_id="call_1", parts=[Text(text="seen")])])
    assert asked(user("Go"), turn, result).body["input"][1:] == [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "First"}], "encrypted_content": "enc"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Let me look."}],
            "phase": "commentary",
        },
        {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": '{"at": 1.0}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "seen"},
    ]


def test_thinking_of_another_provider_stays_behind_and_is_reported():
    thinking = Thinking(texts=["Hm"], opaque="sig", origin=Provenance("anthropic", "anthropic", "claude"))
    call = asked(user("Go"), Turn("assistant", [thinking, Text(text="Yes")]))
    assert [item.get("type") for item in call.body["input"]] == [None, "message"]
    assert [warning.setting for warning in call.warnings] == ["thinking"]


def test_reasoning_that_nothing_follows_is_left_out():
    thinking = Thinking(texts=["Hm"], summary=True, opaque="enc", origin=OURS)
    call = asked(user("Go"), Turn("assistant", [thinking]), user("Well?"))
    assert [item["role"] for item in call.body["input"]] == ["user", "user"]
    assert [warning.setting for warning in call.warnings] == ["thinking"]


def test_a_tool_says_whether_it_is_strict_as_the_defaults_differ():
    tools = [Tool(name="a", schema={"type": "object"}), Tool(name="b", schema={"type": "object"}, strict=True)]
    assert [tool["strict"] for tool in asked(user("Hi"), tools=tools).body["tools"]] == [False, True]


def test_a_grammar_of_chat_completions_is_written_flat():
    grammar = {"type": "grammar", "grammar": {"syntax": "regex", "definition": "a+"}}
    body = asked(user("Hi"), dialect=OPENAI, tools=[Tool("freeform", name="sql", grammar=grammar)]).body
    flat = {"type": "grammar", "syntax": "regex", "definition": "a+"}
    assert body["tools"] == [{"type": "custom", "name": "sql", "format": flat}]


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (ToolChoice("auto"), "auto"),
        (ToolChoice("required"), "required"),
        (ToolChoice("none"), "none"),
        (ToolChoice("tool", ["a"]), {"type": "function", "name": "a"}),
        (
            ToolChoice("allowed", ["a"]),
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "a"}]},
        ),
    ],
)
def test_every_tool_choice_has_its_form(choice, written):
    assert asked(user("Hi"), tools=[Tool(name="a")], tool_choice=choice).body["tool_choice"] == written


def test_a_custom_call_and_its_result_are_custom_items():
    call = ToolCall(name="sql", arguments="SELECT 1", id="c", format="text")
    result = ToolResult(call_id="c", parts=[Text(text="1")])
    turns = [user("Go"), Turn("assistant", [call]), Turn("tool", [result])]
    assert asked(*turns, dialect=OPENAI).body["input"][1:] == [
        {"type": "custom_tool_call", "call_id": "c", "name": "sql", "input": "SELECT 1"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "1"},
    ]


def test_a_call_id_too_long_for_openai_is_shortened_the_same_everywhere():
    call = ToolCall(name="look", arguments="", id="functions.look:" + "0" * 80)
    result = ToolResult(call_id=call.id, parts=[Text(text="1")])
    first, second = asked(user("Go"), Turn("assistant", [call]), Turn("user", [result])).body["input"][1:]
    assert first["call_id"] == second["call_id"]
    assert len(first["call_id"]) <= 64
    assert first["arguments"] == "{}"


def test_media_in_a_tool_result_stay_in_it():
    result = ToolResult(call_id="c", parts=[Text(text="a"), Media(kind="image", data="AAAA", media_type="image/png")])
    call = ToolCall(name="look", id="c")
    items = asked(user("Go"), Turn("assistant", [call]), Turn("tool", [result])).body["input"]
    assert items[2]["output"] == [
        {"type": "input_text", "text": "a"},
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
    ]


def test_a_document_without_a_name_gets_one_that_tells_its_kind():
    file = Media(kind="document", data="AAAA", media_type="application/pdf")
    assert asked(user("Read", file)).body["input"][0]["content"][0] == {
        "type": "input_file",
        "filename": "file.pdf",
        "file_data": "data:application/pdf;base64,AAAA",
    }


def test_an_image_of_the_assistant_is_sent_in_a_user_message():
    drawn = Turn("assistant", [Media(kind="image", data="AAAA", media_type="image/png", origin=Provenance("google"))])
    items = asked(user("Draw"), drawn, user("Bluer")).body["input"]
    assert [item["role"] for item in items] == ["user", "user", "user"]
    assert items[1]["content"][1]["image_url"] == "data:image/png;base64,AAAA"


def test_citations_of_another_protocol_are_reported():
    cited = Text(text="So", annotations=[Annotation("url", url="https://example.com")], origin=Provenance("anthropic"))
    call = asked(user("Hi"), Turn("assistant", [cited]), user("More"))
    assert [warning.setting for warning in call.warnings] == ["annotations"]


@pytest.mark.parametrize("setting", ["n", "modalities"])
def test_a_setting_that_responses_does_not_support_is_refused_by_name(setting):
    value: Any = {"n": 2, "modalities": ["audio"]}[setting]
    with pytest.raises(Unsupported, match=f"`{setting}`"):
        asked(user("Hi"), **{setting: value})


def test_an_unsupported_tuning_setting_is_left_out_and_reported():
    call = asked(user("Hi"), seed=1, top_k=3)
    assert {warning.setting for warning in call.warnings} == {"seed", "top_k"}
    assert "seed" not in call.body


def test_fewer_tokens_than_openai_takes_are_raised_to_its_least():
    call = asked(user("Hi"), max_output_tokens=1)
    assert call.body["max_output_tokens"] == 16
    assert [warning.setting for warning in call.warnings] == ["max_output_tokens"]


def test_a_schema_without_a_name_gets_one():
    schema = {"type": "object", "properties": {}}
    body = asked(user("Hi"), output_format=OutputFormat("json_schema", schema=schema)).body
    assert body["text"] == {"format": {"type": "json_schema", "name": "answer", "schema": schema}}


def test_a_dialect_renames_roles_and_leaves_parameters_out():
    dialect = Dialect(vendor="acme", developer_role=False, unsupported=["store"], strict_tools=False)
    call = asked(user("Hi"), Turn("developer", [Text(text="D")]), tools=[Tool(name="a")], dialect=dialect)
    assert call.body["input"][1] == {"role": "system", "content": "D"}
    assert "store" not in call.body
    assert "strict" not in call.body["tools"][0]
    assert call.warnings == [], "nothing is stored anyway"


CODEX: dict[str, Any] = {
    "model": "gpt-5",
    "input": [
        {"type": "message", "role": "developer", "id": "msg_1", "content": [{"type": "input_text", "text": "Rules"}]},
        {"role": "user", "content": [{"type": "input_text", "text": "Go"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "enc"},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "sh", "arguments": '{"b":1, "a":2.0}'},
        {"type": "function_call_output", "id": "fco_1", "call_id": "c1", "output": "done"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}},
        {
            "type": "message",
            "role": "assistant",
            "id": "msg_2",
            "phase": "final_answer",
            "status": "completed",
            "content": [
                {"type": "output_text", "text": "Done", "annotations": [{"type": "url_citation", "url": "u"}]},
                {"type": "refusal", "refusal": "Not that"},
            ],
        },
        {"type": "something_new", "id": "x_1", "payload": [1]},
        {"role": "user", "content": "Thanks"},
    ],
    "tools": [
        {"type": "function", "name": "sh", "description": "d", "parameters": {"type": "object"}, "strict": False},
        {"type": "namespace", "name": "multi_agent_v1", "tools": [{"type": "function", "name": "spawn"}]},
        {"type": "web_search", "external_web_access": True},
        {"type": "custom", "name": "patch", "format": {"type": "grammar", "syntax": "lark", "definition": "s"}},
    ],
    "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "sh"}]},
    "parallel_tool_calls": True,
    "reasoning": {"effort": "high", "summary": "auto", "context": "all"},
    "text": {"verbosity": "low", "format": {"type": "text"}},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "k",
    "client_metadata": {"a": "b"},
    "user": "u",
    "safety_identifier": "s",
}


def test_a_request_of_codex_goes_on_as_it_came():
    assert again(parsed(**CODEX)) == CODEX


def test_a_new_turn_leaves_the_rest_of_a_request_as_it_came():
    conversation = parsed(**CODEX)
    conversation.turns += [Turn("assistant", [Text(text="Welcome", item_id="msg_9")]), user("Bye")]
    items = again(conversation)["input"]
    assert items[:-2] == CODEX["input"]
    # nothing is stored, so the id of the answer means nothing
    assert items[-2:] == [
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Welcome"}]},
        {"role": "user", "content": [{"type": "input_text", "text": "Bye"}]},
    ]


def test_a_request_of_codex_reaches_chat_completions_without_what_only_openai_has():
    call = codec("openai_chat").render_request(parsed(**CODEX), MODEL, PLAIN)
    assert [tool["type"] for tool in call.body["tools"]] == ["function", "function", "function"]
    assert call.body["tools"][1]["function"]["name"] == "multi_agent_v1__spawn"
    assert "web_search" in {warning.setting for warning in call.warnings}


@pytest.mark.parametrize(
    "body",
    [
        {"input": "Hi"},
        {"input": "Hi", "instructions": ""},
        {"input": [{"type": "message", "role": "assistant", "content": "As a string"}]},
        {"input": [{"role": "user", "content": []}], "text": {}, "reasoning": {}},
        {"input": [{"role": "critic", "content": "A role nobody knows"}]},
        {
            "input": [
                {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": {"odd": 1}},
            ]
        },
        {"input": [{"id": "msg_1"}], "store": True},
        {"input": "Hi", "previous_response_id": "resp_1", "background": True, "prompt": {"id": "p"}},
        {"input": "Hi", "tool_choice": {"type": "mcp", "server_label": "s"}, "background": False},
        {
            "input": [
                {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "A", "format": "wav"}}]}
            ]
        },
        {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f", "detail": "low"}]}]},
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_data": "QUJD", "filename": "a"}]}]},
        {"input": [{"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "AAAA"}]},
        {
            "input": [
                {
                    "type": "reasoning",
                    "id": "rs_1",
                    "summary": [{"type": "summary_text", "text": "short"}],
                    "content": [{"type": "reasoning_text", "text": "long"}],
                    "status": "completed",
                }
            ]
        },
    ],
    ids="-".join,
)
def test_an_odd_request_goes_on_as_it_came(body):
    assert again(parsed(**body)) == {"model": "gpt-5", **body}


@pytest.mark.parametrize(
    "body",
    [
        {"input": "Hi", "previous_response_id": "resp_1"},
        {"input": "Hi", "conversation": "conv_1"},
        {"input": "Hi", "background": True},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
    ],
    ids="-".join,
)
@pytest.mark.parametrize("protocol", ["openai_chat", "anthropic", "google"])
def test_state_that_only_the_provider_has_goes_nowhere_else(protocol, body):
    with pytest.raises(Unsupported):
        codec(protocol).render_request(parsed(**body), MODEL, PLAIN)


@pytest.mark.parametrize("body", [{"input": 1}, {"input": ["x"]}, {"input": "x", "tools": {}}, {"instructions": [1]}])
def test_a_body_of_the_wrong_shape_is_refused_by_the_field_s_name(body):
    with pytest.raises(Unsupported, match=f"`{next(iter(body)) if 'tools' not in body else 'tools'}`"):
        parsed(**body)


def test_an_envelope_restores_the_state_of_thinking_of_a_call_and_of_a_text():
    gemini = Provenance("google", "google", "gemini")
    parts = [
        Thinking(texts=["a", "b"], opaque="sig-1", origin=gemini, native="thought"),
        ToolCall(name="look", arguments="{}", id="c1", opaque="sig-2", origin=gemini),
        Text(text="Hi", opaque="sig-3", origin=gemini),
    ]

    def carrier(part: Any) -> dict[str, Any]:
        return {"type": "reasoning", "summary": [], "encrypted_content": seal(part)}

    conversation = parsed(
        input=[
            carrier(parts[0]) | {"id": "rs_1", "summary": [{"type": "summary_text", "text": "ab"}]},
            carrier(parts[1]),
            {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]},
            carrier(parts[2]),
        ]
    )
    assert [part for turn in conversation.turns for part in turn.parts] == parts


def test_a_damaged_envelope_does_not_fail_the_request():
    conversation = parsed(input=[{"type": "reasoning", "summary": [], "encrypted_content": "modelbay1.google.x.y.!!"}])
    assert len(conversation.turns) == 1
