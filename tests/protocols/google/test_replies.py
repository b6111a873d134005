"""Gemini replies: why they ended, what was counted, cited and signed."""

import json
from typing import Any

import pytest

from modelbay.conversation import Annotation, Provenance, Refusal, ServerToolCall, Text, Thinking, ToolCall
from modelbay.dialect import PLAIN, Dialect
from modelbay.errors import IncompleteReply, MalformedReply
from modelbay.events import Finished, Reply, collect
from modelbay.protocols import google
from modelbay.usage import Usage
from tests.protocols.google.bodies import answer, read, streamed

CALL = {"functionCall": {"name": "f", "args": {}}}
CLAUDE = Provenance("anthropic", "anthropic", "claude")


def whole(reply: Reply) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(google.render_reply(reply))
    return body


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("STOP", "stop"), (1, "stop"), ("stop", "stop"), ("MAX_TOKENS", "length"), (2, "length"),
        ("SAFETY", "content_filter"), (3, "content_filter"), ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"), ("MODEL_ARMOR", "content_filter"), ("SPII", "content_filter"),
    ],
)  # fmt: skip
def test_a_finish_reason_has_its_meaning(native, reason):
    finish = read(answer({"text": "a"}, reason=native)).finish
    assert finish is not None
    assert finish.reason == reason


@pytest.mark.parametrize(
    "native",
    ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "OTHER", "MISSING_THOUGHT_SIGNATURE", 9],
)
def test_a_model_that_went_wrong_has_not_stopped(native):
    reply = read(answer(CALL, reason=native))
    assert reply.finish is None
    assert isinstance(reply.error, MalformedReply)


def test_calls_count_more_than_a_stop_and_an_unknown_reason_is_reported():
    reply = read(answer(CALL))
    assert reply.finish == Finished("tool_calls", "STOP")
    assert read(answer(CALL, reason="FUNCTION_CALL")).finish == Finished("tool_calls", "FUNCTION_CALL")
    unknown = read(answer({"text": "a"}, reason="NEWLY_INVENTED"))
    assert unknown.finish is not None
    assert unknown.finish.reason == "other"
    assert len(unknown.warnings) == 1


def test_a_blocked_prompt_is_filtered_content_and_stays_one_for_a_gemini_client():
    body = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}}
    for reply in (read(body), streamed(body)):
        assert reply.finish is not None
        assert (reply.finish.reason, reply.finish.native, reply.parts) == ("content_filter", "SAFETY", [])
        assert whole(reply) == body


def test_all_tokens_spent_on_thinking_is_a_reply_cut_by_length():
    reply = read({"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}]})
    assert (reply.finish, reply.parts) == (Finished("length", "MAX_TOKENS"), [])


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"<html>", MalformedReply),
        (b"[1]", MalformedReply),
        (b"{}", IncompleteReply),
        (b'{"candidates":[]}', IncompleteReply),
        (b'{"totalTokens": 3}', IncompleteReply),
        (b'{"candidates":[{"content":{}}]}', IncompleteReply),
    ],
)
def test_a_body_that_is_not_a_reply_fails(body, error):
    assert isinstance(collect(google.parse_reply(body, PLAIN)).error, error)


def test_a_whole_reply_without_a_reason_is_an_answer():
    assert read(answer({"text": "a"}, reason=None)).finish == Finished("stop")


def test_only_the_first_candidate_is_the_answer():
    body = answer({"text": "a"})
    body["candidates"].append({"index": 1, "content": {"parts": [{"text": "b"}]}, "finishReason": "MAX_TOKENS"})
    reply = read(body)
    assert (reply.text, reply.finish) == ("a", Finished("stop", "STOP"))


def test_cached_tokens_are_part_of_the_prompt_and_thoughts_are_not_part_of_the_output():
    counts = {
        "promptTokenCount": 100, "cachedContentTokenCount": 30, "candidatesTokenCount": 5, "thoughtsTokenCount": 7,
        "toolUsePromptTokenCount": 11, "totalTokenCount": 123,
    }  # fmt: skip
    usage = read(answer({"text": "a"}, usageMetadata=counts)).usage
    assert usage == Usage(input=70, cache_read=30, output=5, reasoning=7, tool_prompt=11, raw=counts)
    assert usage.total == 123
    foreign = Reply(
        finish=Finished("stop"), usage=Usage(input=70, cache_read=20, cache_write=10, output=5, reasoning=7)
    )
    assert whole(foreign)["usageMetadata"] == {
        "promptTokenCount": 100, "cachedContentTokenCount": 20, "candidatesTokenCount": 5, "thoughtsTokenCount": 7,
        "totalTokenCount": 112,
    }  # fmt: skip


def test_the_last_counts_of_a_stream_stand():
    reply = streamed(
        answer({"text": "a"}, reason=None, usageMetadata={"trafficType": "ON_DEMAND"}),
        answer({"text": "b"}, reason=None, usageMetadata={"promptTokenCount": 3, "candidatesTokenCount": 1}),
        answer({"text": ""}, usageMetadata={"promptTokenCount": 3, "candidatesTokenCount": 2}),
    )
    assert reply.usage is not None
    assert (reply.usage.input, reply.usage.output) == (3, 2)


def test_sources_are_cited_by_the_bytes_of_the_text():
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://a.example", "title": "A"}}, {"retrievedContext": {"title": "B"}}],
        "groundingSupports": [{"segment": {"startIndex": 3, "endIndex": 7, "text": "über"}, "groundingChunkIndices": [0, 1, 9]}],
    }  # fmt: skip
    body = answer({"text": "So über", "thoughtSignature": "s"})
    body["candidates"][0]["groundingMetadata"] = grounding
    reply = read(body)
    (text,) = reply.parts
    assert [(a.kind, a.url, a.title, a.text, a.start, a.end, a.unit) for a in text.annotations or ()] == [
        ("url", "https://a.example", "A", "über", 3, 7, "bytes"),
        ("document", None, "B", "über", 3, 7, "bytes"),
    ]
    assert whole(reply)["candidates"][0]["groundingMetadata"] == grounding


def test_sources_that_come_after_the_calls_are_kept_on_a_text_of_their_own():
    body = answer({"text": "a"}, CALL)
    body["candidates"][0]["groundingMetadata"] = {"groundingChunks": [{"web": {"uri": "u"}}]}
    reply = read(body)
    assert [type(part) for part in reply.parts] == [Text, ToolCall, Text]
    assert reply.text == "a"
    assert [a.url for a in reply.parts[-1].annotations or ()] == ["u"]


def test_citations_of_others_become_sources_with_bytes():
    cited = [Annotation("url", url="u", start=3, end=7), Annotation("url", url="u", unit="block"), Annotation("file")]
    reply = Reply(parts=[Text(text="So über", annotations=cited, origin=CLAUDE)], finish=Finished("stop"))
    assert whole(reply)["candidates"][0]["groundingMetadata"] == {
        "groundingChunks": [{"web": {"uri": "u", "title": "u"}}],
        "groundingSupports": [
            {"segment": {"startIndex": 3, "endIndex": 8, "text": "über"}, "groundingChunkIndices": [0]},
            {"segment": {"endIndex": 8, "text": "So über"}, "groundingChunkIndices": [0]},
        ],
    }


def test_log_probabilities_are_the_same_there_and_back():
    result = {
        "chosenCandidates": [{"token": "a", "logProbability": -0.5}],
        "topCandidates": [
            {"candidates": [{"token": "a", "logProbability": -0.5}, {"token": "b", "logProbability": -2.0}]}
        ],
    }
    body = answer({"text": "hm", "thought": True}, {"text": "a"})
    body["candidates"][0]["logprobsResult"] = result
    reply = read(body)
    text = reply.parts[1]
    assert isinstance(text, Text)
    tops = [{"token": "a", "logprob": -0.5, "bytes": [97]}, {"token": "b", "logprob": -2.0, "bytes": [98]}]
    assert text.logprobs == [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": tops}]
    assert whole(reply)["candidates"][0]["logprobsResult"] == result


def test_parts_of_one_reply_stay_apart_and_keep_their_signatures():
    parts: list[dict[str, Any]] = [
        {"text": "a"}, {"text": "b"}, {"text": "c", "thoughtSignature": "s"}, {"text": "", "thoughtSignature": "t"},
        {"text": "hm", "thought": True}, {"text": "hm", "thought": True},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}, "thoughtSignature": "u"},
    ]  # fmt: skip
    assert whole(read(answer(*parts)))["candidates"][0]["content"]["parts"] == parts


def test_replies_of_other_providers_are_written_in_geminis_form():
    reply = Reply(
        id="msg_1",
        model="claude",
        parts=[
            Thinking(texts=["hm"], origin=CLAUDE), Refusal(text="no", origin=CLAUDE),
            ServerToolCall(name="web_search", native="server_tool_use", origin=CLAUDE),
            ToolCall(name="now", id="toolu_1", origin=CLAUDE),
        ],
        finish=Finished("refusal", "refusal"),
    )  # fmt: skip
    written = whole(reply)
    thought, _, call = written["candidates"][0]["content"]["parts"]
    assert thought.pop("thoughtSignature") and call.pop("thoughtSignature"), "envelopes, for the next request"
    assert written == {
        "candidates": [
            {
                "content": {
                    "parts": [
                        {"text": "hm", "thought": True},
                        {"text": "no"},
                        {"functionCall": {"name": "now", "args": {}, "id": "toolu_1"}},
                    ],
                    "role": "model",
                },
                "finishReason": "SAFETY",
                "index": 0,
            }
        ],
        "modelVersion": "claude",
        "responseId": "msg_1",
    }


def test_a_provider_known_to_give_no_reason_may_end_without_one():
    body = json.dumps({"candidates": [{"content": {"parts": [{"text": "a"}]}}]}).encode()
    assert collect(google.parse_reply(body, Dialect(ends_without_finish=True))).finish == Finished("stop")
