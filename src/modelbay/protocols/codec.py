"""The contract of a protocol: a codec with two sides, toward an upstream and toward a client.

Nothing here and nothing in the protocol folders does any I/O: bytes in, values out. N protocols need 2N codecs, and
none knows another. A protocol is a package whose `__init__` has the functions of `Codec`; `codec()` finds it by name.

Parsers are lenient: unknown fields are kept, odd shapes accepted. Renderers are strict: what they write satisfies the
protocol's own rules for any conversation and any sequence of events.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Protocol, cast

import msgspec

from modelbay.conversation import Conversation, Json
from modelbay.dialect import Dialect
from modelbay.errors import ProviderError
from modelbay.events import Event, Reply, Warned
from modelbay.json_text import encode
from modelbay.model import Model
from modelbay.protocols.names import ToolName


class Call(msgspec.Struct):
    """One HTTP request without its address: `path` is the protocol's own, to be put after a base URL.

    `warnings` says what of the conversation this body does not carry, or carries otherwise.
    """

    path: str
    body: dict[str, Json]
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    stream: bool = False
    warnings: list[Warned] = msgspec.field(default_factory=list)
    names: dict[str, ToolName] = msgspec.field(default_factory=dict)
    """The tools that the body names otherwise than the conversation, by the name in the body."""

    def encode(self) -> bytes:
        """The body as bytes. Raises what `json_text.encode` raises."""
        return encode(self.body)


class StreamParser(Protocol):
    @property
    def finishing(self) -> bool:
        """The reply has told that it is finished: only its usage and a terminator may follow, which some servers omit."""

    def feed(self, data: bytes) -> list[Event]:
        """The events in the next bytes, which may be cut anywhere. After the end of the reply the rest is ignored."""

    def close(self) -> list[Event]:
        """The connection ended: what is still open, and `Failed` where the reply had no end."""


class StreamRenderer(Protocol):
    def feed(self, event: Event) -> bytes:
        """The bytes to send for one more event; b"" where there is nothing to say yet."""


class Codec(Protocol):
    """`dialect` tells how the other side departs from the protocol; a client never does, as far as we write to it."""

    def render_request(self, conversation: Conversation, model: Model, dialect: Dialect) -> Call:
        """The call that asks `model` to continue.

        Raises:
            Unsupported: the conversation asks for what the protocol cannot express and must not lose.
        """

    def parse_reply(self, body: bytes, dialect: Dialect) -> list[Event]:
        """The events of a whole reply; ends in `Finished` or `Failed`."""

    def stream_parser(self, dialect: Dialect) -> StreamParser: ...

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """The error that an answer with a status of 400 or more tells of."""

    def parse_request(self, call: Call) -> Conversation:
        """The conversation in a client's call.

        Raises:
            Unsupported: the body is not one of this protocol; the message says where.
        """

    def render_reply(self, reply: Reply) -> bytes: ...

    def stream_renderer(self, conversation: Conversation) -> StreamRenderer:
        """Writes the stream for the client whose request `conversation` is."""

    def render_error(self, error: Exception) -> tuple[int, bytes]:
        """Status and body that tell a client of this protocol about `error`."""


NAMES = ("openai_chat", "openai_responses", "anthropic", "google")


def codec(name: str) -> Codec:
    """The codec of a protocol; loaded when first asked for."""
    return cast(Codec, import_module(f"modelbay.protocols.{name}"))
