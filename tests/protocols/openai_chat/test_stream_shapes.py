"""Streams of Chat Completions, apart from their deltas: usage, ends, errors, choices (reference: dialects.md §0.2-6)."""

import json
from typing import Any

import pytest

from modelbay.conversation import Annotation, Media, Refusal, Text
from modelbay.dialect import PLAIN, Dialect
from modelbay.errors import (
    ContextOverflow,
    IncompleteReply,
    MalformedReply,
    Overloaded,
    ProviderError,
    RateLimited,
    ServerError,
)
from modelbay.usage import Usage
from tests.protocols import reading
from tests.protocols.openai_chat.chunks import DONE, call, chunk, read, stream

HI = chunk({"role": "assistant", "content": "Hi"})
USAGE = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}
COUNTED = Usage(input=10, output=3, raw=USAGE)


def read_stream(data: bytes, dialect: Dialect = PLAIN):
    return reading.read("openai_chat", data, dialect)


# usage


@pytest.mark.parametrize(
    "chunks",
    [
        [HI, chunk(finish="stop"), {"id": "c1", "choices": [], "usage": USAGE}],
        [HI, chunk(finish="stop", usage=USAGE)],
        [chunk({"content": "Hi"}, usage={"prompt_tokens": 10, "completion_tokens": 1}), chunk(finish="stop", usage=USAGE)],
        [HI, chunk(finish="stop", x_groq={"id": "r", "usage": USAGE})],
        [HI, chunk(finish="stop"), chunk(finish="stop", usage=USAGE)],
        [HI, chunk(finish="stop", usage=USAGE), chunk(usage=None)],
        [HI, chunk(finish="stop", usage=USAGE), chunk(usage=dict.fromkeys(USAGE, None))],
        [HI, chunk(finish="stop", usage=USAGE), chunk(usage=dict.fromkeys(USAGE, 0))],
    ],
    ids=["in a chunk without choices", "with the last choice", "in every chunk", "in x_groq", "with a second finish",
         "null after it", "nulls after it", "zeros after it"],
)  # fmt: skip
def test_usage_is_read_wherever_it_stands_and_never_added(chunks):
    assert read(*chunks, finish=None).usage == COUNTED


def test_usage_may_be_in_the_choice():
    ending = chunk(finish="stop")
    ending["choices"][0]["usage"] = USAGE
    assert read(HI, ending, finish=None).usage == COUNTED


def test_usage_may_have_the_words_of_responses():
    details = {"input_tokens_details": {"cached_tokens": 4}, "output_tokens_details": {"reasoning_tokens": 1}}
    raw = {"input_tokens": 10, "output_tokens": 3, **details}
    usage = read(HI, chunk(usage=raw)).usage
    assert usage == Usage(input=6, cache_read=4, output=2, reasoning=1, raw=raw)


def test_usage_of_only_zeros_is_kept_if_there_is_no_other():
    assert read(HI, chunk(usage=dict.fromkeys(USAGE, 0))).usage == Usage(input=0, output=0, raw=dict.fromkeys(USAGE, 0))


def test_usage_that_was_not_reported_is_none():
    assert read(HI).usage is None


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 4}}, Usage(input=6, cache_read=4, output=3)),
        ({"cached_tokens": 4}, Usage(input=6, cache_read=4, output=3)),
        ({"num_cached_tokens": 4}, Usage(input=6, cache_read=4, output=3)),
        ({"prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 6}, Usage(input=6, cache_read=4, output=3)),
        ({"cache_read_input_tokens": 4, "cache_creation_input_tokens": 1}, Usage(input=5, cache_read=4, cache_write=1, output=3)),
        ({"prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 3}},
         Usage(input=5, cache_read=2, cache_write=3, output=3)),
        ({"completion_tokens_details": {"reasoning_tokens": 2}}, Usage(input=10, output=1, reasoning=2)),
        ({"completion_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 15}, Usage(input=10, output=3, reasoning=2)),
        ({"completion_tokens_details": {"reasoning_tokens": 5}}, Usage(input=10, output=3, reasoning=5)),
        ({"prompt_tokens_details": None, "completion_tokens_details": None}, Usage(input=10, output=3)),
        ({"prompt_tokens_details": {"cached_tokens": 0}}, Usage(input=10, cache_read=0, output=3)),
    ],
    ids=["OpenAI", "Moonshot", "Mistral", "DeepSeek", "Claude", "written", "reasoning inside",
         "reasoning beside, by the total",
         "more reasoning than output", "null details", "none cached"],
)  # fmt: skip
def test_usage_comes_apart_into_disjoint_buckets(raw, usage):
    raw = {**USAGE, **raw}
    usage.raw = raw
    assert read(HI, chunk(usage=raw)).usage == usage


# ends


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("stop", "stop"), ("length", "length"), ("content_filter", "content_filter"), ("eos", "stop"),
        ("max_tokens", "length"), ("model_length", "length"), ("sensitive", "content_filter"), ("unheard_of", "other"),
    ],
)  # fmt: skip
def test_the_finish_reason_keeps_the_provider_s_word(native, reason):
    finish = read(HI, finish=native).finish
    assert finish is not None
    assert (finish.reason, finish.native) == (reason, native)


@pytest.mark.parametrize("blank", ["", None])
def test_a_stream_without_a_finish_reason_is_whole_with_done(blank):
    finish = read(HI, chunk(finish=blank), finish=None).finish
    assert finish is not None
    assert (finish.reason, finish.native) == ("stop", None)


def test_stop_on_every_chunk_ends_nothing_early():
    assert read(chunk({"content": "Hel"}, "stop"), chunk({"content": "lo"}, "stop")).text == "Hello"


@pytest.mark.parametrize("native", ["stop", "", "tool_calls", "function_call", "eos"])
def test_calls_make_it_a_reply_that_waits_for_them(native):
    finish = read(chunk(call("{}", index=0, id="a", name="f")), finish=native).finish
    assert finish is not None
    assert finish.reason == "tool_calls"


def test_a_call_that_was_cut_off_by_length_is_one_of_length():
    finish = read(chunk(call('{"x', index=0, id="a", name="f")), finish="length").finish
    assert finish is not None
    assert finish.reason == "length"


def test_the_stop_sequence_that_vllm_names_is_kept():
    ending = chunk(finish="stop")
    ending["choices"][0]["stop_reason"] = "END"
    finish = read(HI, ending, finish=None).finish
    assert finish is not None
    assert finish.stop_sequence == "END"


def test_a_stream_may_end_without_done():
    assert read_stream(stream(HI, chunk(finish="stop"))).error is None


@pytest.mark.parametrize("data", [stream(HI), stream(HI)[:-2], stream(HI, chunk(finish=""))])
def test_a_stream_that_just_stops_is_incomplete_and_keeps_what_came(data):
    reply = read_stream(data)
    assert isinstance(reply.error, IncompleteReply)
    assert reply.text == "Hi"
    assert reply.finish is None


def test_a_stream_that_just_stops_is_whole_where_the_dialect_says_so():
    reply = read_stream(stream(HI), Dialect(ends_without_finish=True))
    assert reply.finish is not None
    assert reply.finish.reason == "stop"


@pytest.mark.parametrize("data", [b"", b"\n\n", b": PROCESSING\n\n", b"<html><body>Hello</body></html>"])
@pytest.mark.parametrize("dialect", [PLAIN, Dialect(ends_without_finish=True)], ids=["plain", "ends without finish"])
def test_a_body_that_is_not_a_stream_is_incomplete(data, dialect):
    assert isinstance(read_stream(data, dialect).error, IncompleteReply)


@pytest.mark.parametrize("payload", ["{", "<html>", "[1", "nonsense", "7", "[]"])
def test_a_chunk_that_is_not_an_object_is_malformed(payload):
    reply = read_stream(stream(HI) + f"data: {payload}\n\n".encode())
    assert isinstance(reply.error, MalformedReply)
    assert reply.text == "Hi"


def test_chunks_after_the_end_are_ignored():
    assert read_stream(stream(HI, DONE, chunk({"content": " again"}), DONE)).text == "Hi"


def test_half_an_emoji_does_not_stop_the_stream():
    data = stream(HI) + b'data: {"choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}\n\n' + stream(DONE)
    assert read_stream(data).text == "Hi\ufffd"


def test_not_a_number_is_passed_over():
    data = (
        b'data: {"choices":[{"delta":{"content":"a"},"logprobs":{"content":[{"token":"a","logprob":-Infinity}]}}]}\n\n'
    )
    assert read_stream(data + stream(DONE)).text == "a"


# errors inside a 200


@pytest.mark.parametrize(
    ("error", "message", "kind"),
    [
        ({"error": {"message": "Token limit reached", "code": 502}}, "Token limit reached", ServerError),
        ({"error": {"message": "slow down", "type": "rate_limit_error", "code": "429"}}, "slow down", RateLimited),
        ({"error": {"message": "busy", "code": 503}, "choices": []}, "busy", Overloaded),
        ({"error": "out of memory"}, "out of memory", ProviderError),
        ({"error": {"message": "no type"}}, "no type", ProviderError),
        ({"error": "bad", "code": "rate_limit_exceeded"}, "bad", RateLimited),
        ([{"error": {"message": "in a list", "code": 429}}], "in a list", RateLimited),
        ({"object": "error", "message": "vLLM", "code": 400}, "vLLM", ProviderError),
        ({"detail": "FastAPI"}, "FastAPI", ProviderError),
        ({"base_resp": {"status_code": 1002, "status_msg": "MiniMax"}}, "MiniMax", ProviderError),
        (chunk({"content": ""}, "error", error={"message": "OpenRouter", "code": 429}), "OpenRouter", RateLimited),
    ],
    ids=["object", "code as a string", "beside empty choices", "string", "no type", "code beside it", "list", "object: error",
         "detail", "base_resp", "beside a choice"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["", "event: error\n"], ids=["unnamed", "named"])
def test_an_error_inside_a_stream_is_the_end_of_it(error, message, kind, name):
    data = stream(HI) + f"{name}data: {json.dumps(error)}\n\n".encode() + stream(chunk({"content": "!"}), DONE)
    reply = read_stream(data)
    assert isinstance(reply.error, kind)
    assert reply.error.message == message
    assert reply.text == "Hi"
    assert reply.finish is None


def test_the_message_of_the_provider_behind_openrouter_is_reported():
    error = {
        "message": "Provider returned error",
        "code": 400,
        "metadata": {"raw": "prompt is too long", "provider_name": "X"},
    }
    reply = read_stream(stream({"error": error}))
    assert isinstance(reply.error, ContextOverflow)
    assert reply.error.message == "Provider returned error: prompt is too long"


@pytest.mark.parametrize("nothing", [None, "", {}, []])
def test_an_error_that_says_nothing_is_none(nothing):
    assert read({**HI, "error": nothing}).text == "Hi"


def test_a_finish_reason_of_error_is_a_failure():
    assert isinstance(read(HI, finish="error").error, IncompleteReply)


# choices


@pytest.mark.parametrize(
    "odd",
    [
        {"id": "", "object": "", "model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]},
        {"choices": None},
        {"obfuscation": "abc"},
        {**chunk(), "choices": [{"index": 0, "delta": None, "content_filter_results": {}, "finish_reason": None}]},
        {**chunk(), "choices": [{"index": 0}]},
        {**chunk(), "choices": [None]},
    ],
    ids=["Azure's first", "null", "absent", "delta null", "no delta", "a choice that is null"],
)
@pytest.mark.parametrize("place", [0, 1])
def test_a_chunk_without_a_delta_says_nothing(odd, place):
    chunks = [HI, chunk({"content": "!"})]
    chunks.insert(place, odd)
    reply = read(*chunks)
    assert (reply.id, reply.model, reply.text) == ("c1", "m", "Hi!")


def test_the_role_may_be_repeated():
    assert read(*[chunk({"role": "assistant", "content": text}) for text in ("a", "b", None, "")]).text == "ab"


def other_choice(text: str) -> dict[str, Any]:
    other = chunk({"content": text})
    other["choices"][0]["index"] = 1
    return other


def test_only_the_first_choice_is_the_answer():
    assert read(HI, other_choice("Bye")).text == "Hi"


def test_choices_are_one_answer_where_the_dialect_says_so():
    assert read(HI, other_choice("!"), dialect=Dialect(merge_choices=True)).text == "Hi!"


def test_perplexity_s_message_beside_the_delta_is_not_counted_twice():
    both = chunk({"content": "lo"})
    both["choices"][0]["message"] = {"role": "assistant", "content": "Hello"}
    assert read(chunk({"content": "Hel"}), both).text == "Hello"


def test_a_stream_may_hold_one_whole_message():
    whole = {
        "id": "c1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    }
    assert read(whole, finish=None).text == "Hi"


def test_unknown_fields_are_kept_with_the_reply():
    assert read({**HI, "provider": "DeepInfra", "system_fingerprint": "fp"}).extra == {
        "created": 7, "provider": "DeepInfra", "system_fingerprint": "fp",
    }  # fmt: skip


# other contents of a delta


def test_a_refusal_is_a_part_of_its_own():
    assert read(chunk({"content": None, "refusal": "I "}), chunk({"refusal": "cannot."})).parts == [
        Refusal(text="I cannot.")
    ]


def test_annotations_stand_with_the_text():
    raw = {
        "type": "url_citation",
        "url_citation": {"url": "https://e.com", "title": "E", "start_index": 0, "end_index": 2},
    }
    reply = read(HI, chunk({"annotations": [raw]}))
    assert reply.parts == [
        Text(
            text="Hi",
            annotations=[
                Annotation("url", url="https://e.com", title="E", start=0, end=2, protocol="openai_chat", raw=raw)
            ],
        )
    ]


def test_token_probabilities_stand_with_their_text():
    first, second = chunk({"content": "H"}), chunk({"content": "i"})
    first["choices"][0]["logprobs"] = {"content": [{"token": "H", "logprob": -0.1, "bytes": [72], "top_logprobs": []}]}
    second["choices"][0]["logprobs"] = {
        "content": [{"token": "i", "logprob": -0.2, "bytes": [105], "top_logprobs": []}]
    }
    (part,) = read(first, second).parts
    assert isinstance(part, Text)
    assert [token["token"] for token in part.logprobs or ()] == ["H", "i"]


def test_images_come_as_parts():
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}, "index": 0}
    _, found = read(HI, chunk({"images": [image]})).parts
    assert isinstance(found, Media)
    assert (found.kind, found.media_type, found.data) == ("image", "image/png", "AAAA")


def test_an_empty_sound_is_none():
    assert read(chunk({"content": "Hi", "audio": {}})).parts == [Text(text="Hi")]


def test_sound_comes_in_pieces_and_is_one_part():
    pieces = [
        {"id": "audio_1"},
        {"data": "AAE="},
        {"transcript": "H"},
        {"data": "Ag==", "transcript": "i"},
        {"expires_at": 9},
    ]
    reply = read(*[chunk({"audio": piece}) for piece in pieces])
    assert reply.parts == [
        Media(kind="audio", data="AAEC", native="audio", extra={"id": "audio_1", "transcript": "Hi", "expires_at": 9})
    ]


@pytest.mark.parametrize("content", ["", None, [], [{"type": "text", "text": ""}]])
def test_blank_content_is_not_a_part(content):
    assert read(chunk({"role": "assistant", "content": content})).parts == []


def test_content_may_be_a_list():
    items = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
    assert read(chunk({"content": items}), chunk({"content": "!"})).parts == [Text(text="Hello!")]


@pytest.mark.parametrize("end", ["[DONE]", " [DONE] ", "[done]", '"[DONE]"'])
def test_the_terminator_has_several_spellings(end):
    data = b"".join(b"data: " + json.dumps(item).encode() + b"\n\n" for item in (HI, chunk(finish=None)))
    reply = read_stream(b"data: null\n\n" + data + f"data: {end}\n\n".encode())
    assert (reply.text, reply.error) == (read(HI).text, None)
