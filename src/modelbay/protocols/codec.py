"""The codec contract: each protocol has two sides, one toward providers (upstream) and one toward clients.

Codecs do no I/O: bytes in, values out. N protocols need 2N codecs, and none depends on another. A protocol is a package
whose `__init__` has the functions of `Codec`; `codec()` finds it by name.

Parsers are lenient: unknown fields are kept, unusual shapes accepted. Renderers are strict: their output is valid for
any conversation and any sequence of events.
"""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Protocol, TypeVar, cast

import msgspec

from modelbay.conversation import Conversation, Json, Provenance
from modelbay.dialect import Dialect
from modelbay.embedding import EmbeddingRequest, Embeddings
from modelbay.errors import ProviderError
from modelbay.events import Event, Reply, Warned
from modelbay.json_members import rewritten
from modelbay.json_text import decode, encode
from modelbay.model import Model
from modelbay.protocols.names import ToolName
from modelbay.protocols.pass_rules import PassRules

T = TypeVar("T")

GROUPS = frozenset(("generationConfig", "generation_config", "output_config", "text", "stream_options", "metadata"))
"""Objects in bodies that only group independent settings. A setting added to one leaves the others."""


class Call(msgspec.Struct):
    """An HTTP request without its base URL: `path` is appended to one.

    `warnings` report parts of the conversation that the body omits or changes.
    """

    path: str
    body: dict[str, Json]
    """Empty if the body is a text."""
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    stream: bool = False
    warnings: list[Warned] = msgspec.field(default_factory=list)
    names: dict[str, ToolName] = msgspec.field(default_factory=dict)
    """Tools whose names in the body differ from those in the conversation, by the name in the body."""
    offered: frozenset[str] = frozenset()
    """Names of the other tools; empty if they are unknown."""
    text: bytes | None = None
    """The body of a client that speaks the provider's protocol: sent as it was written."""
    stops: list[str] = msgspec.field(default_factory=list)
    """Stop sequences that the body does not have, because the provider does not accept them: the reply is cut at them."""
    wrapped: bool = False
    """Whether the answer is inside of an object, because the provider's output must be one."""
    reasoning_refused: bool = False
    """Whether the provider refused the reasoning state in the history, which was then removed."""

    @property
    def fields(self) -> dict[str, Json]:
        """The fields of the body. Change them with `edit`. Raises what `json_text.decode` raises."""
        return self.body if self.text is None else cast(dict[str, Json], decode(self.text))

    def edit(self, change: Callable[[dict[str, Json]], T]) -> T:
        """Call `change` with the fields of the body, which it may change. Of a text, only changed fields are written again.
        Raises what `json_text.decode` raises."""
        if self.text is None:
            return change(self.body)
        fields = self.fields
        result = change(fields)
        self.text = rewritten(self.text, fields)
        return result

    def encode(self) -> bytes:
        """The body as bytes. Raises what `json_text.encode` raises."""
        return encode(self.body) if self.text is None else self.text


class StreamParser(Protocol):
    @property
    def finishing(self) -> bool:
        """Whether the reply is finished. Only usage and a terminator may follow, which some servers omit."""

    def feed(self, data: bytes) -> list[Event]:
        """The events in the next bytes, which may be split anywhere. Bytes after the end of the reply are ignored."""

    def close(self) -> list[Event]:
        """The connection ended. Ends open parts; `Failed` if the reply was incomplete."""


class StreamRenderer(Protocol):
    def feed(self, event: Event) -> bytes:
        """The bytes to send for one event; may be empty."""


class EmbeddingCodec(Protocol):
    """The part of a protocol that is about embeddings."""

    def render_request(self, asked: EmbeddingRequest, model: Model, dialect: Dialect) -> Call:
        """The call that asks `model` for the vectors of all texts. There are no more than `dialect.embedding_texts`."""

    def parse_reply(self, body: bytes, count: int) -> Embeddings:
        """The vectors of `count` texts, in the order of the texts.

        Raises:
            MalformedReply: the body does not have one vector for each text.
            ProviderError: the body is an error.
        """

    def parse_request(self, call: Call) -> EmbeddingRequest:
        """The request in a client's call.

        Raises:
            Unsupported: the body is invalid, or has other input than texts.
        """

    def render_reply(self, reply: Embeddings, asked: EmbeddingRequest) -> bytes: ...


class Codec(Protocol):
    """A protocol. `dialect` describes deviations of the provider; clients are assumed to have none."""

    @property
    def PASS(self) -> PassRules:
        """Rules for requests that are passed on."""

    @property
    def EMBEDDINGS(self) -> EmbeddingCodec | None:
        """None if the protocol does not have embeddings."""

    def render_request(self, conversation: Conversation, model: Model, dialect: Dialect) -> Call:
        """The call that asks `model` to continue the conversation.

        Raises:
            Unsupported: the protocol cannot express a part of the conversation that must not be lost.
        """

    def parse_reply(self, body: bytes, dialect: Dialect, origin: Provenance | None = None) -> list[Event]:
        """The events of a reply without streaming; ends with `Finished` or `Failed`. `origin` becomes that of its parts."""

    @property
    def plain_reply(self) -> Callable[[bytes, Dialect, Provenance | None], Reply | None] | None:
        """The function that reads a reply which is complete, has only text, and has the usual form. It returns what `collect`
        makes of the events, in a fraction of the time, and None for any other reply. None if the protocol has no such function."""

    def stream_parser(self, dialect: Dialect, origin: Provenance | None = None) -> StreamParser:
        """A parser of one stream. `origin` becomes that of its parts."""

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """The error in a response with a status of 400 or more."""

    def parse_request(self, call: Call) -> Conversation:
        """The conversation in a client's call.

        Raises:
            Unsupported: the body is invalid; the message contains the path of the field.
        """

    def render_reply(self, reply: Reply) -> bytes: ...

    def stream_renderer(self, conversation: Conversation) -> StreamRenderer:
        """A renderer of the stream for the client that sent `conversation`."""

    def render_error(self, error: Exception) -> tuple[int, bytes]:
        """Status and body that report `error` to a client."""


NAMES = ("openai_chat", "openai_responses", "anthropic", "google")


@cache
def codec(name: str) -> Codec:
    """The codec of a protocol; imported on first use."""
    return cast(Codec, import_module(f"modelbay.protocols.{name}"))


def add_settings(body: dict[str, Json], settings: Mapping[str, Json]) -> None:
    """Add the settings of a model's entry to a body. They replace fields of the same name."""
    for name, value in settings.items():
        known = body.get(name)
        body[name] = {**known, **value} if name in GROUPS and isinstance(known, dict) else value
