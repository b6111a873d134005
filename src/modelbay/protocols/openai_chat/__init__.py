"""OpenAI Chat Completions, and the variants of compatible providers."""

from modelbay.protocols import openai_embeddings as EMBEDDINGS
from modelbay.protocols.openai_chat.pass_rules import PASS
from modelbay.protocols.openai_chat.reply import parse_reply, render_reply
from modelbay.protocols.openai_chat.request import parse_request, render_request
from modelbay.protocols.openai_chat.stream_in import stream_parser
from modelbay.protocols.openai_chat.stream_out import stream_renderer
from modelbay.protocols.openai_chat.usual import plain_reply
from modelbay.protocols.openai_errors import parse_error, render_error

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
