"""Gemini's embeddings, in both directions: `batchEmbedContents`, and `predict` of Vertex AI. Clients may also call
`embedContent`."""

from typing import Annotated, Any, TypedDict

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
from modelbay.protocols.google.case import camel
from modelbay.protocols.google.errors import error_in
from modelbay.protocols.google.resource import resource_name, resource_path
from modelbay.protocols.shapes import check, mapping, objects
from modelbay.protocols.shapes import count as counted
from modelbay.usage import Usage

_PURPOSES = {
    "query": "RETRIEVAL_QUERY",
    "document": "RETRIEVAL_DOCUMENT",
    "similarity": "SEMANTIC_SIMILARITY",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}
"""The names of purposes that every vendor's `input_types` translates."""
_CLIENTS = {theirs: ours for ours, theirs in _PURPOSES.items()}


_TASK_TYPE = "taskType"
_WHOLE = {"autoTruncate": False}
"""Otherwise Vertex AI ignores the end of a text that is too long, and says nothing about it."""


class _Statistics(Struct, frozen=True):
    token_count: float | None = None


class _Vector(Struct):
    values: list[float]
    statistics: _Statistics = _Statistics()


class _Prediction(Struct):
    embeddings: _Vector


class _Reply(Struct, rename="camel"):
    """The replies of all methods: `batchEmbedContents`, `embedContent` and `predict`."""

    embeddings: list[_Vector] | None = None
    embedding: _Vector | None = None
    predictions: list[_Prediction] | None = None
    usage_metadata: Extra | None = None


def render_request(asked: EmbeddingRequest, model: Model, dialect: Dialect) -> Call:
    warnings: list[Warned] = []
    if asked.user is not None:
        warnings.append(dropped("user", "google"))
    purpose = {**_PURPOSES, **dialect.input_types}.get(asked.input_type or "", asked.input_type)
    known = {_TASK_TYPE: purpose, "outputDimensionality": asked.dimensions}
    settings = {name: value for name, value in known.items() if value is not None} | asked.extra
    if dialect.embedding_method == "predict":
        instance = {"task_type": settings.pop(_TASK_TYPE)} if _TASK_TYPE in settings else {}
        body: dict[str, Json] = {
            "instances": [{"content": text, **instance} for text in asked.texts],
            "parameters": {**_WHOLE, **settings},
        }
    elif dialect.embedding_config:
        body = {
            "requests": [
                {"content": _content(text), "embedContentConfig": {**_WHOLE, **settings}} for text in asked.texts
            ]
        }
    else:
        name = resource_name(model.id)
        body = {"requests": [{"model": name, "content": _content(text), **settings} for text in asked.texts]}
    return Call(f"/{resource_path(model.id)}:{dialect.embedding_method}", body, warnings=warnings)


def _content(text: str) -> dict[str, Json]:
    return {"parts": [{"text": text}]}


def parse_reply(body: bytes, count: int) -> Embeddings:
    try:
        reply = decode_as(body, _Reply)
    except MalformedReply as malformed:
        if (error := error_in(decode(body))) is not None:
            raise error from None
        raise MalformedReply(f"the reply does not have embeddings: {malformed.message}") from None
    found = reply.embeddings
    if reply.embedding is not None:
        found = [reply.embedding]
    elif reply.predictions is not None:
        found = [one.embeddings for one in reply.predictions]
    if found is None:
        raise error_in(decode(body)) or MalformedReply("the reply does not have embeddings")
    return Embeddings(checked_vectors([one.values for one in found], count), usage=_usage(reply.usage_metadata, found))


def _usage(raw: Extra | None, found: list[_Vector]) -> Usage | None:
    """The tokens of a batch, or of each of its texts; None if they were not counted."""
    if (tokens := counted(mapping(raw).get("promptTokenCount"))) is not None:
        return Usage(input=tokens, output=0, raw=raw)
    each = [one.statistics.token_count for one in found]
    return Usage(input=int(sum(filter(None, each))), output=0) if found and None not in each else None


# --- toward clients


class _Request(TypedDict, total=False):
    outputDimensionality: Annotated[int, Meta(ge=1)] | None
    taskType: str | None


def parse_request(call: Call) -> EmbeddingRequest:
    body = camel(call.body)[0]
    batch = body.get("requests")
    requests = [_flat(one) for one in objects(batch)] if batch is not None else [_flat(body)]
    if not requests:
        raise Unsupported("invalid request: `requests` must have at least one request", setting="requests")
    settings = [{name: one.get(name) for name in _Request.__annotations__} for one in requests]
    check(settings[0], _Request)
    if any(one != settings[0] for one in settings):
        raise Unsupported("the requests of a batch must have the same settings", setting="requests")
    purpose = settings[0]["taskType"]
    return EmbeddingRequest(
        texts=[_text(one) for one in requests],
        dimensions=settings[0]["outputDimensionality"],
        input_type=_CLIENTS.get(purpose or "", purpose),
        single=batch is None,
    )


def _flat(request: dict[str, Any]) -> dict[str, Any]:
    """A request in camelCase, with the settings that newer clients write into an object."""
    request = camel(request)[0]
    return {**request, **camel(mapping(request.get("embedContentConfig")))[0]}


def _text(request: dict[str, Any]) -> str:
    parts = mapping(request.get("content")).get("parts")
    texts = [part["text"] for part in objects(parts) if isinstance(part.get("text"), str)]
    if not texts or len(texts) != len(objects(parts)):
        raise Unsupported("invalid request: `content` must consist of texts", setting="content")
    return "\n".join(texts)


def render_reply(reply: Embeddings, asked: EmbeddingRequest) -> bytes:
    vectors = [{"values": vector} for vector in reply.vectors]
    body: dict[str, Any] = {"embedding": vectors[0]} if asked.single else {"embeddings": vectors}
    if reply.usage is not None:
        body["usageMetadata"] = {"promptTokenCount": reply.usage.input_total}
    return encode(body)
