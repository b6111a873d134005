"""Embeddings of OpenAI's API, in both directions. Chat Completions and Responses share them."""

import sys
from array import array
from base64 import b64decode, b64encode
from binascii import Error
from typing import Annotated, TypedDict

from msgspec import Meta, Struct

from modelbay.conversation import Extra, Json
from modelbay.dialect import Dialect
from modelbay.embedding import EmbeddingRequest, Embeddings, checked_vectors
from modelbay.errors import MalformedReply, Unsupported
from modelbay.events import Warned
from modelbay.json_text import decode, decode_as, encode
from modelbay.model import Model
from modelbay.protocols.codec import Call
from modelbay.protocols.dispositions import dropped
from modelbay.protocols.openai_errors import error_in
from modelbay.protocols.shapes import check, mapping
from modelbay.protocols.shapes import count as counted
from modelbay.usage import Usage

_PATH = "/embeddings"


class _Item(Struct):
    embedding: list[float] | str
    index: int | None = None


class _Reply(Struct):
    data: list[_Item]
    model: str | None = None
    usage: Extra | None = None


def render_request(asked: EmbeddingRequest, model: Model, dialect: Dialect) -> Call:
    warnings: list[Warned] = []
    body: dict[str, Json] = {"model": model.id} if dialect.model_in_body else {}
    body["input"] = asked.texts
    if dialect.base64_vectors:
        body["encoding_format"] = "base64"
    settings: dict[str, Json] = {dialect.dimensions_parameter: asked.dimensions, "user": asked.user}
    if dialect.input_type_parameter is not None and asked.input_type is not None:
        settings[dialect.input_type_parameter] = dialect.input_types.get(asked.input_type, asked.input_type)
    elif asked.input_type is not None:
        warnings.append(dropped("input_type", "embeddings", "the vendor has no parameter for it, or an unknown one"))
    for name, value in settings.items():
        if value is not None and name in dialect.unsupported:
            warnings.append(dropped(name, "embeddings", f"{dialect.vendor} rejects it"))
        elif value is not None:
            body[name] = value
    return Call(_PATH, {**body, **asked.extra}, warnings=warnings)


def parse_reply(body: bytes, count: int) -> Embeddings:
    try:
        reply = decode_as(body, _Reply)
    except MalformedReply as malformed:
        if (error := error_in(decode(body))) is not None:
            raise error from None
        raise MalformedReply(f"the reply does not have embeddings: {malformed.message}") from None
    vectors = [_unpacked(item.embedding) if isinstance(item.embedding, str) else item.embedding for item in reply.data]
    places = [place if item.index is None else item.index for place, item in enumerate(reply.data)]
    if len(places) == count and sorted(places) != list(range(count)):
        raise MalformedReply("the embeddings of the reply are not numbered from 0 on, or have the same number")
    ordered = [vector for _, vector in sorted(zip(places, vectors, strict=True), key=lambda pair: pair[0])]
    return Embeddings(checked_vectors(ordered, count), reply.model, _usage(reply.usage))


def _usage(raw: Extra | None) -> Usage | None:
    tokens = counted(mapping(raw).get("prompt_tokens"))
    if tokens is None:
        tokens = counted(mapping(raw).get("total_tokens"))  # Voyage and Jina have nothing else
    return None if tokens is None else Usage(input=tokens, output=0, raw=raw)


def _unpacked(text: str) -> list[float]:
    """The numbers of a vector in Base64: 32-bit floats, lowest byte first."""
    floats = array("f")
    try:
        floats.frombytes(b64decode(text, validate=True))
    except (Error, ValueError):
        raise MalformedReply("a vector of the reply is not Base64 of 32-bit numbers") from None
    if sys.byteorder == "big":
        floats.byteswap()
    return floats.tolist()


def packed(vector: list[float]) -> str:
    """A vector in Base64."""
    floats = array("f", vector)
    if sys.byteorder == "big":
        floats.byteswap()
    return b64encode(floats.tobytes()).decode()


# --- toward clients


class _Request(TypedDict, total=False):
    input: str | list[str]
    model: str
    dimensions: Annotated[int, Meta(ge=1)] | None
    encoding_format: str | None
    input_type: str | None
    user: str | None


def parse_request(call: Call) -> EmbeddingRequest:
    body = call.body
    check(body, _Request)
    given = body.get("input")
    if not given:
        raise Unsupported("invalid request: `input` must have at least one text", setting="input")
    return EmbeddingRequest(
        texts=[given] if isinstance(given, str) else list(given),
        model=body.get("model"),
        dimensions=body.get("dimensions"),
        input_type=body.get("input_type"),
        user=body.get("user"),
        base64=body.get("encoding_format") == "base64",
    )


def render_reply(reply: Embeddings, asked: EmbeddingRequest) -> bytes:
    data = [
        {"object": "embedding", "index": place, "embedding": packed(vector) if asked.base64 else vector}
        for place, vector in enumerate(reply.vectors)
    ]
    tokens = reply.usage.input_total if reply.usage is not None else 0
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return encode({"object": "list", "data": data, "model": reply.model or asked.model, "usage": usage})
