"""OpenAI Responses."""

from modelbay.protocols import openai_embeddings as EMBEDDINGS
from modelbay.protocols.openai_errors import parse_error, render_error
from modelbay.protocols.openai_responses.pass_rules import PASS
from modelbay.protocols.openai_responses.reply import parse_reply, render_reply
from modelbay.protocols.openai_responses.request import parse_request, render_request
from modelbay.protocols.openai_responses.stream_in import stream_parser
from modelbay.protocols.openai_responses.stream_out import stream_renderer

plain_reply = None

__all__ = [
    "EMBEDDINGS",
    "PASS",
    "parse_error",
    "parse_reply",
    "parse_request",
    "plain_reply",
    "render_error",
    "render_reply",
    "render_request",
    "stream_parser",
    "stream_renderer",
]
