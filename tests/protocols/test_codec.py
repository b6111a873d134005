"""Calls: their body as fields, or as the text that a client wrote."""

from functools import partial

import pytest

from modelbay.errors import BadRequest
from modelbay.protocols.codec import NAMES, Call, add_settings, codec
from modelbay.protocols.openai_chat.pass_rules import PASS
from modelbay.providers.adaptation import Adaptation, adapt, adaptation, stop_thinking

TEXT = b'{"model":"m", "seed": 1.0,"max_tokens":5e1, "messages" :[{"role":"developer","content":"Hi"}],"top_p":0.10 }'


def call(text: bytes = TEXT) -> Call:
    return Call("/chat/completions", {}, text=text)


def test_a_text_is_sent_as_it_was_written() -> None:
    sent = call()
    assert sent.encode() is TEXT
    assert sent.fields["messages"] == [{"role": "developer", "content": "Hi"}]


def test_a_lesson_changes_only_its_parameter_in_a_text() -> None:
    sent = call()
    refusal = BadRequest("Unsupported parameter: 'seed'", status=400, param="seed")
    lesson = adaptation(refusal, sent.fields, PASS)
    assert lesson == Adaptation("seed")
    assert sent.edit(partial(adapt, lessons=[lesson], rules=PASS)) == [lesson]
    assert sent.encode() == TEXT.replace(b'"seed": 1.0,', b"")


def test_a_lesson_about_messages_writes_only_the_messages_again() -> None:
    sent = call()
    sent.edit(partial(adapt, lessons=[Adaptation("role:developer")], rules=PASS))
    assert sent.encode() == TEXT.replace(
        b'[{"role":"developer","content":"Hi"}]', b'[{"role":"system","content":"Hi"}]'
    )


def test_thinking_is_disabled_in_a_text() -> None:
    text = b'{"model":"m","thinking":{"type": "enabled", "budget_tokens":1024}, "messages":[]}'
    refusal = BadRequest("Expected `thinking` or `redacted_thinking`, but found `tool_use`", status=400)
    sent = call(text)
    assert sent.edit(partial(stop_thinking, refusal))
    assert sent.encode() == b'{"model":"m","thinking":{"type":"disabled"}, "messages":[]}'


def test_fields_are_edited_directly() -> None:
    sent = Call("/chat/completions", {"seed": 1, "model": "m"})
    sent.edit(partial(adapt, lessons=[Adaptation("seed")], rules=PASS))
    assert sent.body == sent.fields == {"model": "m"}


def test_added_settings_replace_fields_but_not_the_neighbors_in_a_group() -> None:
    body = {"reasoning": {"max_tokens": 5}, "text": {"format": {"type": "text"}, "verbosity": "high"}}
    add_settings(body, {"reasoning": {"effort": "low"}, "text": {"verbosity": "low"}, "top_k": 1})
    assert body == {
        "reasoning": {"effort": "low"},
        "text": {"format": {"type": "text"}, "verbosity": "low"},
        "top_k": 1,
    }


@pytest.mark.parametrize("name", NAMES)
def test_each_protocol_says_how_a_request_is_passed_on(name: str) -> None:
    rules = codec(name).PASS
    assert rules.limits
    assert {"generate", "stream"} <= rules.paths.keys()
    assert all(header == header.lower() for header in rules.headers)
    private = (
        "authorization",
        "x-api-key",
        "x-goog-api-key",
        "api-key",
        "cookie",
        "host",
        "x-forwarded-for",
        "forwarded",
    )
    assert not [header for header in private if header.startswith(rules.headers)]
