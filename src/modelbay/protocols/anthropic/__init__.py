"""Anthropic Messages, for Anthropic's own host, Bedrock, Vertex AI and compatible hosts."""

from modelbay.protocols.anthropic.errors import parse_error, render_error
from modelbay.protocols.anthropic.pass_rules import PASS
from modelbay.protocols.anthropic.reply import parse_reply, render_reply
from modelbay.protocols.anthropic.request import parse_request, render_request
from modelbay.protocols.anthropic.stream_in import stream_parser
from modelbay.protocols.anthropic.stream_out import stream_renderer
from modelbay.protocols.anthropic.usual import plain_reply

EMBEDDINGS = None
"""The protocol has none."""

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
