"""Turns as Gemini contents: roles, answers in the order of their calls, signatures on their parts."""

from base64 import b64encode
from typing import Any

import pytest

from modelbay.conversation import (
    AnyPart,
    Conversation,
    Media,
    Provenance,
    Refusal,
    ServerToolCall,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    user,
)
from modelbay.dialect import PLAIN, Dialect
from modelbay.errors import Unsupported
from modelbay.model import Model
from modelbay.protocols import google
from modelbay.protocols.ids import answered_calls
from modelbay.protocols.opaque import seal
from tests.protocols.google.bodies import GEMINI, again, parsed, rendered

SIGNED = Model(id="gemini-3-x", family="gemini", capabilities={"call_signatures": True})
UNSIGNED = Model(id="gemini-2-x", family="gemini", capabilities={"call_signatures": False})
NO_SIGNATURE = "skip_thought_signature_validator"
CLAUDE = Provenance("anthropic", "anthropic", "claude")


CALLED = {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}, "id": "1"}}]}
PICTURE = {"inline_data": {"mime_type": "image/png", "data": "_-8="}}


def contents(*turns: Turn, model: Model = GEMINI, dialect: Dialect = PLAIN) -> list[dict[str, Any]]:
    """The contents written for a conversation of another protocol."""
    found: list[dict[str, Any]] = rendered(Conversation(list(turns), protocol="openai_chat"), model, dialect)[
        "contents"
    ]
    return found


def model_turn(*parts: AnyPart) -> Turn:
    return Turn("assistant", list(parts))


def call(id: str | None, name: str = "f", arguments: str = "{}", **also: Any) -> ToolCall:
    return ToolCall(name=name, arguments=arguments, id=id, **also)


def result(id: str | None, text: str, **also: Any) -> ToolResult:
    return ToolResult(call_id=id, parts=[Text(text=text)], **also)


@pytest.mark.parametrize(
    "parts",
    [
        [{"text": "a"}, {"text": "b"}],
        [{"text": "hm", "thought": True}, {"thought": True, "thoughtSignature": "s"}],
        [{"text": "a", "thoughtSignature": "s"}, {"text": "", "thoughtSignature": "t"}, {"thoughtSignature": "u"}],
        [{"functionCall": {"name": "f", "args": {"b": 1.0, "a": 2, "c": 12345678901234567890}, "id": "1"}}],
        [{"functionCall": {"name": "f"}, "thoughtSignature": "s"}],
        [{"function_call": {"name": "f", "args": {"a_b": 1}}, "thought_signature": "s"}],
        [{"function_call": {"name": "f", "args": {}}, "thoughtSignature": "s"}],
        [{"inlineData": {"mimeType": "image/png", "data": "AA+/"}, "thoughtSignature": "s", "thought": True}],
        [{"inline_data": {"mime_type": "audio/wav", "data": "_-8=", "displayName": "x"}}],
        [{"fileData": {"file_uri": "gs://bucket/a.mp4", "mimeType": "video/mp4"}, "videoMetadata": {"fps": 1}}],
        [{"fileData": {"fileUri": "https://youtu.be/x"}, "mediaResolution": {"level": "LOW"}}],
        [{"executableCode": {"code": "1", "language": "PYTHON", "id": "1"}, "thoughtSignature": "s"}],
        [{"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1", "id": "1"}}],
        [{"toolCall": {"id": "1", "tool_type": "GOOGLE_SEARCH_WEB", "args": {"queries": []}}, "thoughtSignature": "s"}],
        [{"toolResponse": {"id": "1", "toolType": "GOOGLE_SEARCH_WEB", "response": {"a": 1}}}],
        [{"toolCall": {"id": "1", "toolType": "FILE_SEARCH"}}, {"toolResponse": {"id": "1", "toolType": "FILE_SEARCH"}}],
        [{"somethingNew": {"a_b": 1}, "text_like": "x"}],
        [{"text": "a", "partMetadata": {"k": 1}, "thought": False}],
    ],
)  # fmt: skip
@pytest.mark.parametrize("role", ["user", "model"])
def test_parts_of_a_gemini_client_are_written_back_as_they_were(parts, role):
    body = {"contents": [{"role": role, "parts": parts}]}
    assert again(body) == body


@pytest.mark.parametrize(
    "parts",
    [
        [{"functionResponse": {"name": "f", "response": {"output": "text"}, "id": "1"}}],
        [{"functionResponse": {"name": "f", "response": {"output": {"a": [1]}}, "parts": []}}],
        [{"functionResponse": {"name": "f", "response": {"error": "no"}, "willContinue": False}}],
        [{"functionResponse": {"name": "f", "response": {"result": "text", "output": 1}}}],
        [{"functionResponse": {"name": "f", "response": {}}}],
        [{"functionResponse": {"name": "f"}}],
        [{"function_response": {"name": "f", "response": {"a_b": 1}, "parts": [PICTURE]}}],
    ],
)
def test_results_of_a_gemini_client_are_written_back_as_they_were(parts):
    body = {"contents": [CALLED, {"role": "user", "parts": parts}]}
    assert again(body) == body


@pytest.mark.parametrize(
    "content",
    [{"parts": [{"text": "a"}]}, {"role": "function", "parts": []}, {"role": "odd", "parts": [{"text": "a"}]}],
)
def test_roles_of_a_gemini_client_are_written_back_as_they_were(content):
    assert again({"contents": [content]}) == {"contents": [content]}


@pytest.mark.parametrize(
    ("response", "text", "is_error"),
    [
        ({"output": "sunny"}, "sunny", None),
        ({"output": {"t": 20}}, '{"t":20}', None),
        ({"error": "no such city"}, "no such city", True),
        ({"result": "sunny"}, '{"result":"sunny"}', None),
    ],
)
def test_a_response_object_is_unwrapped_to_what_the_tool_said(response, text, is_error):
    body = {"contents": [{"role": "user", "parts": [{"functionResponse": {"name": "f", "response": response}}]}]}
    (part,) = parsed(body).turns[0].parts
    assert isinstance(part, ToolResult)
    assert ([p.text for p in part.parts if isinstance(p, Text)], part.is_error) == ([text], is_error)


def test_a_result_edited_since_it_came_is_written_as_it_is_now():
    response = {"functionResponse": {"name": "f", "response": {"a": 1}}}
    conversation = parsed({"contents": [CALLED, {"role": "user", "parts": [response]}]})
    part = conversation.turns[1].parts[0]
    assert isinstance(part, ToolResult)
    part.parts = [Text(text="gone")]
    written = rendered(conversation)["contents"][1]["parts"][0]["functionResponse"]["response"]
    assert written == {"output": "gone"}


def test_a_result_added_to_a_gemini_client_s_conversation_gets_the_name_of_its_call():
    conversation = parsed(
        {"contents": [{"role": "model", "parts": [{"functionCall": {"id": "1", "name": "f", "args": {}}}]}]}
    )
    conversation.turns.append(Turn("tool", [result("1", "done")]))
    assert rendered(conversation)["contents"][1] == {
        "role": "user",
        "parts": [{"functionResponse": {"id": "1", "name": "f", "response": {"output": "done"}}}],
    }


def test_files_only_google_can_fetch_have_an_id_and_others_an_address():
    uris = ["gs://b/x.pdf", "https://generativelanguage.googleapis.com/v1beta/files/1", "https://example.com/x.pdf"]
    body = {"contents": [{"role": "user", "parts": [{"fileData": {"fileUri": uri}} for uri in uris]}]}
    media = [part for part in parsed(body).turns[0].parts if isinstance(part, Media)]
    assert [(part.file_id, part.url) for part in media] == [(uris[0], None), (uris[1], None), (None, uris[2])]


def test_system_turns_lead_and_those_within_stay_in_their_place():
    conversation = Conversation(
        [
            Turn("system", [Text(text="a")]),
            Turn("developer", [Text(text="b")]),
            user("Hi"),
            Turn("system", [Text(text="c")]),
        ],
        protocol="openai_chat",
    )
    body = rendered(conversation)
    assert body["systemInstruction"] == {"parts": [{"text": "a"}, {"text": "b"}]}
    assert body["contents"] == [{"role": "user", "parts": [{"text": "Hi"}, {"text": "<system>\nc\n</system>"}]}]


def test_a_conversation_of_system_turns_alone_is_asked_by_the_user():
    body = rendered(Conversation([Turn("system", [Text(text="a")])], protocol="openai_chat"))
    assert body == {"contents": [{"role": "user", "parts": [{"text": "a"}]}]}


def test_turns_of_one_role_are_one_content_and_empty_text_is_left_out():
    found = contents(
        user("a"),
        user("b"),
        model_turn(Text(text="")),
        user("c"),
        model_turn(Text(text="d")),
        model_turn(Refusal(text="e")),
    )
    assert found == [
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}, {"text": "c"}]},
        {"role": "model", "parts": [{"text": "d"}, {"text": "e"}]},
    ]


def test_results_come_first_in_the_order_of_their_calls_with_their_names():
    found = contents(
        user("go"),
        model_turn(call("1", "f"), call("2", "g")),
        Turn("tool", [result("2", "two", is_error=True)]),
        Turn("user", [Text(text="and?"), result("1", "one")]),
    )
    assert found[2] == {
        "role": "user",
        "parts": [
            {"functionResponse": {"id": "1", "name": "f", "response": {"output": "one"}}},
            {"functionResponse": {"id": "2", "name": "g", "response": {"error": "two"}}},
            {"text": "and?"},
        ],
    }


def test_a_call_without_a_result_gets_an_error_and_is_reported():
    conversation = Conversation([user("go"), model_turn(call("1")), user("stop")], protocol="anthropic")
    request = google.render_request(conversation, GEMINI, PLAIN)
    first, text = request.body["contents"][2]["parts"]
    assert "error" in first["functionResponse"]["response"]
    assert text == {"text": "stop"}
    assert [warning.message for warning in request.warnings] == [
        "the call of `f` has no result: an error is sent as its result"
    ]


def test_a_result_that_answers_no_call_is_sent_as_text():
    assert contents(user("go"), Turn("tool", [result("9", "late", name="f")]))[0]["parts"] == [
        {"text": "go"},
        {"text": "Result of f: late"},
    ]


def test_ids_that_come_again_in_a_later_turn_name_the_call_they_answer():
    found = contents(
        user("go"),
        model_turn(call("call_0", "f")), Turn("tool", [result("call_0", "one")]),
        model_turn(call("call_0", "g")), Turn("tool", [result("call_0", "two")]),
    )  # fmt: skip
    answers = [
        part["functionResponse"]["name"] for content in found for part in content["parts"] if "functionResponse" in part
    ]
    assert answers == ["f", "g"]


def test_calls_without_ids_are_matched_by_name_and_order():
    found = contents(
        user("go"), model_turn(call(None, "f"), call(None, "f")),
        Turn("user", [result(None, "1", name="f"), result(None, "2", name="f")]),
    )  # fmt: skip
    answers = [part["functionResponse"] for part in found[2]["parts"]]
    assert [(a["id"], a["response"]["output"]) for a in answers] == [("call_1", "1"), ("call_2", "2")]


@pytest.mark.parametrize("name", ["", None])
def test_results_without_a_name_answer_the_calls_in_their_order(name):
    calls = [{"functionCall": {"name": "f", "args": {}}}, {"functionCall": {"name": "g", "args": {}}}]
    answers = [{"functionResponse": {"name": name, "response": {"output": text}}} for text in ("one", "two")]
    conversation = parsed({"contents": [{"role": "model", "parts": calls}, {"role": "user", "parts": answers}]})
    answered = answered_calls(conversation.turns)
    assert [answered[id(part)].name for part in conversation.turns[1].parts] == ["f", "g"]


@pytest.mark.parametrize(
    ("arguments", "args"),
    [("", {}), ("null", {}), ('{"a": 1}', {"a": 1}), ('{"a": ', {"_raw": '{"a": '}), ("[1]", {"_raw": "[1]"})],
)
def test_arguments_are_always_an_object(arguments, args):
    part = contents(user("go"), model_turn(call("1", arguments=arguments)))[1]["parts"][0]
    assert part["functionCall"]["args"] == args


def test_text_for_a_freeform_tool_is_its_input():
    part = contents(user("go"), model_turn(call("1", arguments="*** patch", format="text")))[1]["parts"][0]
    assert part["functionCall"]["args"] == {"input": "*** patch"}


def test_images_in_a_result_follow_all_results_or_stand_inside_where_that_is_known():
    image = Media(kind="image", data="AAAA", media_type="image/png")
    turns = [
        user("go"), model_turn(call("1"), call("2")),
        Turn("tool", [ToolResult(call_id="1", parts=[Text(text="see"), image])]), Turn("tool", [result("2", "b")]),
    ]  # fmt: skip
    inline = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    after = contents(*turns)[2]["parts"]
    assert [next(iter(part)) for part in after] == ["functionResponse", "functionResponse", "inlineData"]
    assert after[2] == inline
    inside = contents(*turns, dialect=Dialect(tool_result_media=True))[2]["parts"]
    assert len(inside) == 2
    assert inside[0]["functionResponse"]["parts"] == [inline]


def test_media_of_other_protocols_get_the_type_google_asks_for():
    media = [
        Media(kind="image", url="https://example.com/a.png?w=1"),
        Media(kind="video", url="https://youtu.be/x"),
        Media(kind="document", text="plain"),
    ]
    assert contents(Turn("user", list(media)))[0]["parts"] == [
        {"fileData": {"mimeType": "image/png", "fileUri": "https://example.com/a.png?w=1"}},
        {"fileData": {"mimeType": "video/mp4", "fileUri": "https://youtu.be/x"}},
        {"text": "<document>\nplain\n</document>"},
    ]


def test_media_that_cannot_be_reached_there_are_refused():
    with pytest.raises(Unsupported, match="bytes"):
        contents(
            Turn("user", [Media(kind="image", url="https://example.com/a.png")]), dialect=Dialect(media_by_url=False)
        )
    with pytest.raises(Unsupported, match="file_id"):
        contents(Turn("user", [Media(kind="image", file_id="file-1")]))


def test_thinking_and_server_calls_of_others_are_left_out_and_reported():
    conversation = Conversation(
        [
            user("go"),
            model_turn(Thinking(texts=["hm"], opaque="x", origin=CLAUDE), ServerToolCall(name="s"), Text(text="a")),
        ],
        protocol="anthropic",
    )
    request = google.render_request(conversation, GEMINI, PLAIN)
    assert request.body["contents"][1]["parts"] == [{"text": "a"}]
    assert [warning.setting for warning in request.warnings] == ["thinking", "server_tool_parts"]


# --- signatures --------------------------------------------------------------------------------------------------------


def test_a_signature_goes_back_on_the_part_it_came_with():
    gemini = Provenance("google", "google", "gemini")
    parts: list[AnyPart] = [
        Thinking(texts=["hm"], origin=gemini), Text(text="a", opaque="s", origin=gemini), Text(opaque="t", origin=gemini),
        call("1", opaque="u", origin=gemini), call("2", origin=gemini),
    ]  # fmt: skip
    (_, content, _) = rendered(
        Conversation([user("go"), model_turn(*parts), Turn("user", [result("1", "a"), result("2", "b")])]), SIGNED
    )["contents"]
    assert [part.get("thoughtSignature") for part in content["parts"]] == [None, "s", "t", "u", None]


def test_the_first_call_of_each_step_made_elsewhere_gets_the_word_for_no_signature():
    found = contents(
        user("go"), model_turn(call("1"), call("2", opaque="x", origin=CLAUDE)), Turn("tool", [result("1", "a"), result("2", "b")]),
        model_turn(Text(text="so"), call("3")), Turn("tool", [result("3", "c")]), model=SIGNED,
    )  # fmt: skip
    signatures = [
        part.get("thoughtSignature") for content in found for part in content["parts"] if "functionCall" in part
    ]
    assert signatures == [NO_SIGNATURE, None, NO_SIGNATURE]
    assert "thoughtSignature" in str(contents(user("go"), model_turn(call("1")))), "an unknown model may need it"
    assert "thoughtSignature" not in str(contents(user("go"), model_turn(call("1")), model=UNSIGNED))


def test_a_gemini_client_s_unsigned_calls_are_signed_only_for_a_model_known_to_refuse_them():
    body = {"contents": [{"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]}]}
    assert rendered(parsed(body)) == body
    assert rendered(parsed(body), UNSIGNED) == body
    assert rendered(parsed(body), SIGNED)["contents"][0]["parts"][0]["thoughtSignature"] == NO_SIGNATURE


def envelope(part: AnyPart, **also: Any) -> str:
    return b64encode(seal(part, **also).encode()).decode()


@pytest.mark.parametrize("urlsafe", [False, True])
def test_state_kept_by_a_gemini_client_is_restored_from_its_envelope(urlsafe):
    signature = envelope(Thinking(texts=["hm"], opaque="sÿ?>", origin=CLAUDE, native="thinking"))
    if urlsafe:
        signature = signature.replace("+", "-").replace("/", "_").rstrip("=")
    parts = [{"text": "hm", "thought": True, "thoughtSignature": signature}]
    (part,) = parsed({"contents": [{"role": "model", "parts": parts}]}).turns[0].parts
    assert isinstance(part, Thinking)
    assert (part.texts, part.opaque, part.origin, part.native) == (["hm"], "sÿ?>", CLAUDE, "thinking")


def test_state_of_others_never_reaches_gemini():
    signature = envelope(Thinking(texts=["hm"], opaque="s", origin=CLAUDE))
    carried = {
        "functionCall": {"name": "f", "args": {}},
        "thoughtSignature": envelope(call("1", opaque="c", origin=CLAUDE)),
    }
    body = {
        "contents": [
            {"role": "model", "parts": [{"text": "hm", "thought": True, "thoughtSignature": signature}, carried]}
        ]
    }
    assert rendered(parsed(body), UNSIGNED)["contents"] == [
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]}
    ]
    assert rendered(parsed(body), SIGNED)["contents"][0]["parts"][0]["thoughtSignature"] == NO_SIGNATURE


def test_thinking_streamed_in_pieces_is_one_again():
    """python-genai's chat keeps a content for every chunk."""
    signature = envelope(Thinking(texts=["one two"], opaque="s", origin=CLAUDE), with_text=True)
    pieces: list[dict[str, Any]] = [
        {"text": "one ", "thought": True}, {"text": "two", "thought": True},
        {"text": "", "thought": True, "thoughtSignature": signature}, {"text": "So."},
    ]  # fmt: skip
    turns = parsed({"contents": [{"role": "model", "parts": [piece]} for piece in pieces]}).turns
    assert [part for turn in turns for part in turn.parts] == [
        Thinking(texts=["one two"], opaque="s", origin=CLAUDE),
        Text(text="So."),
    ]


@pytest.mark.parametrize("thoughts_kept", [True, False])
def test_a_call_brings_back_the_thinking_before_it(thoughts_kept):
    """Gemini CLI sends calls back, and no thoughts."""
    thinking = Thinking(texts=["hm"], opaque="s", origin=CLAUDE)
    thought = {"text": "hm", "thought": True, "thoughtSignature": envelope(thinking)}
    made = {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": envelope(thinking, with_text=True)}
    turns = parsed({"contents": [{"role": "model", "parts": [thought, made] if thoughts_kept else [made]}]}).turns
    assert turns[0].parts == [thinking, ToolCall(name="f", arguments="{}")]


def test_the_thinking_that_a_call_brings_back_is_before_a_text_at_the_beginning():
    """Models think before they write a text, and Anthropic refuses a reply with calls that begins with a text."""
    thinking, later = (Thinking(texts=[text], opaque=text, origin=CLAUDE) for text in ("hm", "ah"))
    first, second = (
        {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": envelope(one, with_text=True)}
        for one in (thinking, later)
    )
    parts = [{"text": "Let me look."}, first, {"text": "And again."}, second]
    made = ToolCall(name="f", arguments="{}")
    assert parsed({"contents": [{"role": "model", "parts": parts}]}).turns[0].parts == [
        thinking,
        Text(text="Let me look."),
        made,
        Text(text="And again."),
        later,
        made,
    ]
