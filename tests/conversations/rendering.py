"""The requests that providers of each protocol receive for a conversation."""

import json
from typing import Any

import msgspec

from modelbay.conversation import Conversation
from modelbay.dialect import PLAIN, Dialect
from modelbay.errors import Unsupported
from modelbay.model import Model
from modelbay.protocols.codec import codec

FREEFORM = Dialect(freeform_tools=True)
MODEL = Model(id="m", max_output_tokens=8192, capabilities={"call_signatures": False})


def rendered(protocol: str, conversation: Conversation, model: Model = MODEL, dialect: Dialect = PLAIN) -> Any:
    """The body, and beside it what was reported; or the words of the refusal. The model's name goes without saying."""
    before = msgspec.json.encode(conversation)
    try:
        call = codec(protocol).render_request(conversation, model, dialect)
    except Unsupported as refusal:
        return f"refused: {refusal}"
    assert msgspec.json.encode(conversation) == before, "a conversation is not changed by rendering it"
    body = json.loads(call.encode())
    body.pop("model", None)
    if call.warnings:
        return body, [warning.message for warning in call.warnings]
    return body


def chat(conversation: Conversation, **options: Any) -> Any:
    return rendered("openai_chat", conversation, **options)


def responses(conversation: Conversation, **options: Any) -> Any:
    return rendered("openai_responses", conversation, **options)


def anthropic(conversation: Conversation, **options: Any) -> Any:
    return rendered("anthropic", conversation, **options)


def google(conversation: Conversation, **options: Any) -> Any:
    return rendered("google", conversation, **options)
