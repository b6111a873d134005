"""Gemini requests: settings and tools, from a Gemini client and for one of another protocol."""

from typing import Any

import pytest

from modelbay.conversation import Conversation, OutputFormat, Reasoning, Settings, Tool, ToolChoice, user
from modelbay.dialect import Dialect
from modelbay.errors import BadRequest, Unsupported
from modelbay.model import Model
from modelbay.protocols import google
from tests.protocols.google.bodies import GEMINI, again, asked, parsed, rendered

OBJECT = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def foreign(**settings: Any) -> Conversation:
    return Conversation([user("Hello")], Settings(**settings), protocol="openai_chat")


@pytest.mark.parametrize(
    ("path", "model", "stream", "framing"),
    [
        ("/v1beta/models/gemini-x:generateContent", "gemini-x", False, None),
        ("/v1/models/gemini-x:streamGenerateContent?alt=sse", "gemini-x", True, None),
        ("/v1beta/models/gemini-x:streamGenerateContent?key=k", "gemini-x", True, "array"),
        ("/v1/publishers/google/models/gemini-x:generateContent", "gemini-x", False, None),
        ("/v1beta1/projects/p/locations/l/publishers/google/models/m:streamGenerateContent?alt=sse", "m", True, None),
        ("/v1beta/tunedModels/mine:generateContent", "tunedModels/mine", False, None),
        ("/v1beta/models/llama3:8b:generateContent", "llama3:8b", False, None),
        ("/v1beta/models/hf%3Aorg%2Fname:generateContent", "hf:org/name", False, None),
    ],
)
def test_the_path_names_the_model_and_how_it_answers(path, model, stream, framing):
    conversation = parsed(asked(), path)
    assert (conversation.model, conversation.stream) == (model, stream)
    assert conversation.settings.spelling.get("stream") == framing


@pytest.mark.parametrize(
    ("model", "stream", "path"),
    [
        ("gemini-x", False, "/models/gemini-x:generateContent"),
        ("gemini-x", True, "/models/gemini-x:streamGenerateContent?alt=sse"),
        ("models/gemini-x", False, "/models/gemini-x:generateContent"),
        ("tunedModels/mine", False, "/tunedModels/mine:generateContent"),
    ],
)
def test_the_model_is_in_the_path_and_not_in_the_body(model, stream, path):
    conversation = foreign()
    conversation.stream = stream
    call = google.render_request(conversation, Model(id=model), Dialect())
    assert (call.path, call.stream) == (path, stream)
    assert call.body.keys() == {"contents"}


@pytest.mark.parametrize(
    "contents", ["Hello", {"role": "user", "parts": [{"text": "Hello"}]}, ["Hello"], [{"text": "Hello"}]]
)
def test_contents_may_be_what_sdk_users_write(contents):
    assert again({"contents": contents}) == asked()


@pytest.mark.parametrize("body", [{}, {"contents": []}, {"messages": []}])
def test_a_body_without_contents_is_refused_in_gemini_s_words(body):
    with pytest.raises(BadRequest, match="contents is not specified") as caught:
        parsed(body)
    assert caught.value.param == "contents"


def test_contents_that_gemini_does_not_know_are_refused_by_name():
    with pytest.raises(Unsupported) as caught:
        parsed({"contents": [1]})
    assert caught.value.setting == "contents"


@pytest.mark.parametrize(
    "also",
    [
        {"generation_config": {"max_output_tokens": 9, "top_k": 3, "thinking_config": {"thinking_budget": 0}}},
        {"generationConfig": {"maxOutputTokens": 9, "thinkingConfig": {"include_thoughts": True}}},
        {"generationConfig": {"responseMimeType": "application/json", "response_schema": {"type": "STRING"}}},
        {"generationConfig": {"responseModalities": ["TEXT", "IMAGE"], "speechConfig": {"a": 1}, "mediaResolution": "LOW"}},
        {"generationConfig": {"responseModalities": ["Text"]}},
        {"generationConfig": {"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING", "enum": ["a"]}}},
        {"generationConfig": {"responseJsonSchema": OBJECT}},
        {"generationConfig": {"thinkingConfig": {"thinkingBudget": -1, "includeThoughts": False}}},
        {"generationConfig": {"thinkingConfig": {"thinkingLevel": "HIGH"}}},
        {"generationConfig": {}, "toolConfig": {}},
        {"system_instruction": {"parts": [{"text": "Be brief."}]}},
        {"systemInstruction": {"parts": [{"text": "a"}, {"text": "b"}], "role": "user"}},
        {"tools": [{"function_declarations": [{"name": "f", "parameters_json_schema": OBJECT}]}]},
        {"tools": [{"functionDeclarations": [{"name": name, "parametersJsonSchema": OBJECT}]} for name in "abc"]},
        {"tools": [{"functionDeclarations": [{"name": name, "description": "d"} for name in "abc"]}]},
        {"tools": [{"googleSearch": {}}, {"functionDeclarations": [{"name": "f"}]}, {"url_context": {}}]},
        {"tools": [{"functionDeclarations": [{"name": "f"}], "codeExecution": {}}]},
        {"tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT", "nullable": True}}]}]},
        {"tools": [{"functionDeclarations": [{"name": "f", "behavior": "BLOCKING", "response": {"type": "STRING"}}]}]},
        {"tool_config": {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["a", "b"]}}},
        {"toolConfig": {"functionCallingConfig": {"mode": "any"}, "includeServerSideToolInvocations": True}},
        {"toolConfig": {"functionCallingConfig": {"mode": "VALIDATED", "allowedFunctionNames": ["a"]}}},
        {"toolConfig": {"functionCallingConfig": {"mode": "MODE_UNSPECIFIED"}}},
        {"toolConfig": {"functionCallingConfig": {"streamFunctionCallArguments": True}}},
        {"safetySettings": [{"category": "c", "threshold": "t"}], "labels": {"team": "x"}, "cachedContent": "c/1"},
        {"safety_settings": [], "cached_content": "c/1", "serviceTier": "flex"},
    ],
)  # fmt: skip
def test_a_request_of_a_gemini_client_is_written_back_unchanged(also):
    assert again(asked(**also)) == asked(**also)


def test_numbers_may_be_texts_as_in_json_of_protocol_buffers():
    numbers = {"maxOutputTokens": "100", "temperature": "0.5", "topK": "40", "seed": "-1"}
    config = {**numbers, "thinkingConfig": {"thinkingBudget": "-1"}}
    settings = parsed(asked(generationConfig=config)).settings
    assert (settings.max_output_tokens, settings.temperature, settings.top_k, settings.seed) == (100, 0.5, 40, -1)
    assert settings.reasoning is not None
    assert settings.reasoning.adaptive
    assert not settings.extra


@pytest.mark.parametrize("declarations", [{"name": "f"}, [{"name": "f"}]])
def test_a_single_object_is_read_as_a_list_of_tools(declarations):
    conversation = parsed(asked(tools={"functionDeclarations": declarations}))
    assert rendered(conversation)["tools"] == [{"functionDeclarations": [{"name": "f"}]}]


def test_a_schema_of_the_subset_is_read_as_json_schema():
    subset = {"type": "OBJECT", "properties": {"n": {"type": "INTEGER", "nullable": True}}, "propertyOrdering": ["n"]}
    conversation = parsed(asked(tools=[{"functionDeclarations": [{"name": "f", "parameters": subset}]}]))
    (tool,) = conversation.settings.tools or []
    assert tool.schema == {"type": "object", "properties": {"n": {"type": ["integer", "null"]}}}


def test_a_schema_changed_since_it_came_is_written_as_it_is_now():
    conversation = parsed(asked(tools=[{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]}]))
    assert conversation.settings.tools is not None
    conversation.settings.tools[0].schema = OBJECT
    assert rendered(conversation)["tools"] == [{"functionDeclarations": [{"name": "f", "parameters": OBJECT}]}]


def test_a_tool_added_to_a_client_s_own_joins_the_functions_before_it():
    conversation = parsed(asked(tools=[{"functionDeclarations": [{"name": "a"}]}]))
    assert conversation.settings.tools is not None
    conversation.settings.tools.append(Tool(name="b"))
    assert rendered(conversation)["tools"] == [{"functionDeclarations": [{"name": "a"}, {"name": "b"}]}]


@pytest.mark.parametrize(
    ("config", "choice"),
    [
        ({"mode": "AUTO"}, ToolChoice("auto")),
        ({"mode": "NONE"}, ToolChoice("none")),
        ({"mode": "ANY"}, ToolChoice("required")),
        ({"mode": "ANY", "allowedFunctionNames": ["a"]}, ToolChoice("tool", ["a"])),
        ({"mode": "ANY", "allowedFunctionNames": ["a", "b"]}, ToolChoice("allowed", ["a", "b"], required=True)),
        ({"mode": "VALIDATED", "allowedFunctionNames": ["a"]}, ToolChoice("allowed", ["a"])),
    ],
)
def test_a_choice_of_tools_means_the_same_both_ways(config, choice):
    assert parsed(asked(toolConfig={"functionCallingConfig": config})).settings.tool_choice == choice
    body = rendered(foreign(tools=[Tool(name="a"), Tool(name="b")], tool_choice=choice))
    assert body["toolConfig"] == {"functionCallingConfig": config}


def test_a_choice_without_tools_and_an_empty_list_of_tools_are_not_sent():
    assert rendered(foreign(tools=[], tool_choice=ToolChoice("auto"))).keys() == {"contents"}


def test_tools_of_another_protocol_keep_their_json_schema():
    body = rendered(foreign(tools=[Tool(name="f", description="d", schema=OBJECT, strict=True)]))
    assert body["tools"] == [
        {"functionDeclarations": [{"name": "f", "description": "d", "parametersJsonSchema": OBJECT}]}
    ]


def test_where_only_the_subset_is_known_schemas_are_written_in_it():
    form = OutputFormat("json_schema", schema={**OBJECT, "additionalProperties": False}, name="answer")
    conversation = foreign(
        tools=[Tool(name="f", schema=OBJECT), Tool(name="g", schema={"type": "object"})], output_format=form
    )
    body = rendered(conversation, dialect=Dialect(schema="openapi"))
    subset = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]}
    assert body["tools"] == [{"functionDeclarations": [{"name": "f", "parameters": subset}, {"name": "g"}]}]
    assert body["generationConfig"] == {"responseMimeType": "application/json", "responseSchema": subset}


def test_a_freeform_tool_becomes_a_function_with_one_text():
    (declaration,) = rendered(foreign(tools=[Tool("freeform", name="patch", grammar={"type": "text"})]))["tools"][0][
        "functionDeclarations"
    ]
    assert declaration["name"] == "patch"
    assert declaration["parametersJsonSchema"]["required"] == ["input"]


def test_of_more_stop_sequences_than_five_none_is_sent():
    assert rendered(foreign(stop=list("abcde")))["generationConfig"] == {"stopSequences": list("abcde")}
    assert "generationConfig" not in rendered(foreign(stop=list("abcdef")))


@pytest.mark.parametrize(
    ("reasoning", "thinking"),
    [
        (Reasoning(effort="low"), {"thinkingLevel": "low", "includeThoughts": True}),
        (Reasoning(effort="max"), {"thinkingLevel": "high", "includeThoughts": True}),
        (Reasoning(effort="medium"), {"thinkingLevel": "low", "includeThoughts": True}),
        (Reasoning(effort="minimal"), {"thinkingLevel": "low", "includeThoughts": True}),
        (Reasoning(budget=20_000), {"thinkingLevel": "high", "includeThoughts": True}),
        (Reasoning(enabled=True), {"includeThoughts": True}),
        (Reasoning(effort="high", visibility="hidden"), {"thinkingLevel": "high"}),
        (Reasoning(enabled=False), {"thinkingLevel": "low"}),
        (Reasoning(effort="none"), {"thinkingLevel": "low"}),
    ],
)
def test_a_model_with_levels_is_told_the_nearest_level(reasoning, thinking):
    body = rendered(foreign(reasoning=reasoning), Model(id="g", efforts=["low", "high"]))
    assert body["generationConfig"]["thinkingConfig"] == thinking


@pytest.mark.parametrize(
    ("reasoning", "thinking"),
    [
        (Reasoning(effort="low"), {"thinkingBudget": 1024, "includeThoughts": True}),
        (Reasoning(effort="medium"), {"thinkingBudget": 8192, "includeThoughts": True}),
        (Reasoning(effort="xhigh"), {"thinkingBudget": 24576, "includeThoughts": True}),
        (Reasoning(enabled=True, budget=2000), {"thinkingBudget": 2000, "includeThoughts": True}),
        (Reasoning(effort="on"), {"includeThoughts": True}),
        (Reasoning(effort="off"), {"thinkingBudget": 0}),
        (Reasoning(enabled=False), {"thinkingBudget": 0}),
    ],
)
def test_a_model_without_levels_is_told_a_budget(reasoning, thinking):
    assert rendered(foreign(reasoning=reasoning))["generationConfig"]["thinkingConfig"] == thinking


def test_a_model_that_always_thinks_cannot_be_told_not_to_and_says_so():
    model = Model(id="g", capabilities={"always_thinking": True})
    call = google.render_request(foreign(reasoning=Reasoning(enabled=False)), model, Dialect())
    assert "generationConfig" not in call.body
    assert [warning.setting for warning in call.warnings] == ["reasoning"]


def test_a_model_that_does_not_think_is_told_nothing_about_it():
    call = google.render_request(
        foreign(reasoning=Reasoning(effort="high")), Model(id="g", capabilities={"thinking": False}), Dialect()
    )
    assert "generationConfig" not in call.body
    assert [warning.setting for warning in call.warnings] == ["reasoning"]


def test_settings_of_other_protocols_get_their_gemini_names():
    body = rendered(
        foreign(
            max_output_tokens=9, temperature=1.5, top_p=0.5, seed=1, presence_penalty=0.1, frequency_penalty=0.2,
            logprobs=True, top_logprobs=2, output_format=OutputFormat("json"), modalities=["text", "audio"],
        )
    )  # fmt: skip
    assert body["generationConfig"] == {
        "maxOutputTokens": 9, "temperature": 1.5, "topP": 0.5, "seed": 1, "presencePenalty": 0.1,
        "frequencyPenalty": 0.2, "responseLogprobs": True, "logprobs": 2, "responseMimeType": "application/json",
        "responseModalities": ["TEXT", "AUDIO"],
    }  # fmt: skip


def test_a_setting_that_an_endpoint_refuses_is_left_out_and_reported():
    call = google.render_request(
        foreign(seed=1, temperature=1),
        GEMINI,
        Dialect(vendor="v", unsupported=["seed", "labels"], body={"labels": {"a": "b"}}),
    )
    assert call.body["generationConfig"] == {"temperature": 1}
    assert "labels" not in call.body
    assert [warning.setting for warning in call.warnings] == ["labels", "seed"]
