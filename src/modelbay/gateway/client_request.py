"""A request of a client, and the conversation in it."""

from collections.abc import Mapping
from typing import Any

from msgspec import Raw, Struct
from msgspec.structs import replace

from modelbay.conversation import Conversation, Protocol
from modelbay.errors import BadRequest, MalformedReply, ModelbayError
from modelbay.json_text import decode
from modelbay.protocols.codec import Call, Codec, codec
from modelbay.protocols.freeform import CALLED_AS_FUNCTION, with_text_calls
from modelbay.protocols.google.request import parse_path
from modelbay.secrecy import Hidden
from modelbay.serving.refusals import not_valid
from modelbay.serving.routes import Route

MISREAD = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""Errors of a codec that reads values of wrong types: it is lenient, and providers decide what is valid."""


def form_of_body(protocol: str, fields: Mapping[str, Any]) -> Protocol | None:
    """The protocol of a body, if it is not that of the request and of the reply, else None. Cursor posts
    bodies of Responses to Chat Completions, some with an empty list of messages, and reads chunks of Chat Completions."""
    if protocol != "openai_chat" or "input" not in fields:
        return None
    messages = fields.get("messages")
    return "openai_responses" if messages is None or messages in _EMPTY else None


_EMPTY: tuple[Any, ...] = ([], Raw(b"[]"), Raw(b"null"))


def _call_as_functions(conversation: Conversation) -> None:
    """Note that the client reads calls of freeform tools as those of functions."""
    settings = conversation.settings
    if any(tool.kind == "freeform" for tool in settings.tools or ()):
        settings.tools = [
            replace(tool, native=CALLED_AS_FUNCTION) if tool.kind == "freeform" else tool
            for tool in settings.tools or ()
        ]
        conversation.turns = with_text_calls(conversation.turns, settings.tools)


class ClientRequest(Struct):
    """A request whose key was accepted. Header names are in lower case."""

    id: str
    """The `x-modelbay-request-id` of the response."""
    client: str
    """The digest of the client's key; "" if no key is required."""
    route: Route
    protocol: str
    """The protocol of the client."""
    path: str
    """The raw path, still percent-encoded."""
    query: str
    """The query without a key."""
    headers: dict[str, str]
    body: bytes = b""
    login: Hidden | None = None
    """The token beside the client's key, if the key is in the header that allows this: see `client_login`."""

    @property
    def codec(self) -> Codec:
        return codec(self.protocol)

    @property
    def target(self) -> str:
        """The path with the query."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def wants_array(self) -> bool:
        """Whether its stream is a JSON array: that of Gemini without `alt=sse`."""
        return self.protocol == "google" and parse_path(self.target)[2] == "array"

    def fields(self) -> dict[str, Any]:
        """The JSON object in the body.

        Raises:
            BadRequest: the body is not a JSON object.
        """
        try:
            fields = decode(self.body)
        except MalformedReply as error:
            raise BadRequest(f"the request body is not valid JSON: {error}", status=400) from None
        if not isinstance(fields, dict):
            raise BadRequest("the request body must be a JSON object", status=400)
        return fields

    def conversation(self, fields: dict[str, Any]) -> Conversation:
        """The conversation in the fields of the body.

        Raises:
            Unsupported, BadRequest: it cannot be read.
        """
        if (other := form_of_body(self.protocol, fields)) is not None:
            fields = {name: value for name, value in fields.items() if name != "messages"}
        call = Call(self.target, fields, self.headers, stream=bool(self.route.stream or fields.get("stream")))
        try:
            conversation = (self.codec if other is None else codec(other)).parse_request(call)
        except ModelbayError:
            raise
        except MISREAD as error:
            raise not_valid(f"invalid request: {type(error).__name__}: {error}") from error
        if other is not None:
            _call_as_functions(conversation)
        if self.route.model is not None:
            conversation.model = self.route.model
        if self.route.stream is not None:
            conversation.stream = self.route.stream
        return conversation
