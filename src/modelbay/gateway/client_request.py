"""A request of a client, and the conversation in it."""

from typing import Any

from msgspec import Struct

from modelbay.conversation import Conversation
from modelbay.errors import BadRequest, MalformedReply, ModelbayError
from modelbay.json_text import decode
from modelbay.protocols.codec import Call, Codec, codec
from modelbay.protocols.google.request import parse_path
from modelbay.secrecy import Hidden
from modelbay.serving.refusals import not_valid
from modelbay.serving.routes import Route

MISREAD = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""Errors of a codec that reads values of wrong types: it is lenient, and providers decide what is valid."""


class ClientRequest(Struct):
    """A request whose key was accepted. Header names are in lower case."""

    id: str
    """Its `x-modelbay-request-id`."""
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
        call = Call(self.target, fields, self.headers, stream=bool(self.route.stream or fields.get("stream")))
        try:
            conversation = self.codec.parse_request(call)
        except ModelbayError:
            raise
        except MISREAD as error:
            raise not_valid(f"invalid request: {type(error).__name__}: {error}") from error
        if self.route.model is not None:
            conversation.model = self.route.model
        if self.route.stream is not None:
            conversation.stream = self.route.stream
        return conversation
