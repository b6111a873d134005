"""Gemini's generateContent, for the Gemini API and Vertex AI."""

from modelbay.protocols.google import embeddings as EMBEDDINGS
from modelbay.protocols.google.errors import parse_error, render_error
from modelbay.protocols.google.pass_rules import PASS
from modelbay.protocols.google.reply import parse_reply, render_reply
from modelbay.protocols.google.request import parse_request, render_request
from modelbay.protocols.google.stream_in import stream_parser
from modelbay.protocols.google.stream_out import stream_renderer

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
