"""The response of a provider to a rendered body: the simulator's rules, for a model that can do everything."""

import json

import msgspec

from modelbay.conversation import Conversation
from modelbay.dialect import PLAIN, Dialect
from modelbay.errors import ModelbayError
from modelbay.model import Model
from modelbay.protocols.codec import Call, codec
from modelbay.simulator.request_rules import CheckedRequest, check
from modelbay.simulator.simulated_models import SimulatedModel
from modelbay.simulator.traits import TRAITS

ABLE = Model(
    id="m",
    family="sim",
    max_output_tokens=1_000_000,
    max_context_tokens=100_000_000,
    capabilities=dict.fromkeys(
        ("thinking", "image_in", "audio_in", "video_in", "document_in", "tool_use", "structured_output"), True
    ),
)
_HEADERS = {"anthropic-version": "2023-06-01"}


def complaint(protocol: str, call: Call) -> str | None:
    """The error message for a call; None where a provider takes it."""
    sent = Call(call.path, json.loads(call.encode()), _HEADERS, stream=call.stream)
    try:
        conversation = codec(protocol).parse_request(sent)
        msgspec.convert(msgspec.to_builtins(conversation), Conversation)
        check(CheckedRequest(conversation, SimulatedModel(ABLE), TRAITS[protocol], sent))
    except ModelbayError as error:
        return str(error)
    return None


def refusal(protocol: str, conversation: Conversation, model: Model = ABLE, dialect: Dialect = PLAIN) -> str | None:
    """A provider's error for a conversation; None if it accepts it."""
    return complaint(protocol, codec(protocol).render_request(conversation, model, dialect))
