"""Simulated embeddings. A vector depends only on the words of a text, so texts with common words are similar."""

import math
import struct
from base64 import b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import TypeAlias

from modelbay.conversation import Extra, Json
from modelbay.simulator.error_messages import bad_request
from modelbay.simulator.token_counts import tokens

DIMENSIONS = 256
"""Default number of dimensions."""
_MOST_DIMENSIONS = 3_072
_MOST_TEXTS = 2_048
_PEAKS = 4
"""The number of dimensions that a word changes."""


def vector(text: str, dimensions: int) -> list[float]:
    """A vector of length 1, in numbers that fit into 32 bits."""
    sums = [0.0] * dimensions
    for word in text.lower().split() or [""]:
        digest = sha256(word.encode("utf-8", "replace")).digest()
        for place in range(_PEAKS):
            at, weight = struct.unpack_from(">Ib", digest, place * 5)
            sums[at % dimensions] += weight / 128 or 0.5
    length = math.sqrt(sum(number * number for number in sums)) or 1.0
    return list(struct.unpack(f"<{dimensions}f", struct.pack(f"<{dimensions}f", *(number / length for number in sums))))


Vectors: TypeAlias = Sequence[Sequence[float]]


def embedded_texts(body: Extra) -> list[str]:
    """The texts that a request asks to embed, in either form. Texts that are not valid are left out."""
    if "input" in body:
        given = body["input"]
        return [item for item in (given if isinstance(given, list) else [given]) if isinstance(item, str)]
    requests = body.get("requests")
    return [text for one in (requests if isinstance(requests, list) else [body]) for text in _google_texts(one)]


def openai_embeddings(body: Extra, model: str, scripted: Vectors | None = None) -> Extra:
    """The response to a request for embeddings in OpenAI's form. `scripted`: the vectors, one for each text.

    Raises:
        ProviderError: the request is not valid.
    """
    protocol = "openai_chat"
    texts = list(_texts(body.get("input")))
    if not texts or len(texts) > _MOST_TEXTS:
        raise bad_request(protocol, f"'input' must have between 1 and {_MOST_TEXTS} texts.", param="input")
    if "" in texts:
        raise bad_request(protocol, "'input' cannot be an empty string.", param="input")
    form = body.get("encoding_format", "float")
    if form not in ("float", "base64"):
        raise bad_request(
            protocol,
            "'encoding_format' must be one of: 'float', 'base64'.",
            param="encoding_format",
            code="invalid_value",
        )
    dimensions = _dimensions(body.get("dimensions"), protocol, "dimensions")
    vectors = _vectors(texts, dimensions, protocol, scripted)
    data = [
        {"object": "embedding", "index": index, "embedding": _base64(numbers) if form == "base64" else numbers}
        for index, numbers in enumerate(vectors)
    ]
    count = sum(map(tokens, texts))
    return {"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": count, "total_tokens": count}}


def google_embeddings(body: Extra, scripted: Vectors | None = None) -> Extra:
    """The response to `embedContent`, or with `requests` to `batchEmbedContents`. `scripted`: the vectors, one for each text.

    Raises:
        ProviderError: the request is not valid.
    """
    requests = body.get("requests")
    asked = requests if isinstance(requests, list) else [body]
    texts = [_google_text(one) for one in asked]
    sizes = [_dimensions(_google_dimensions(one), "google", "outputDimensionality") for one in asked]
    if scripted is None:
        vectors: Vectors = [vector(text, size) for text, size in zip(texts, sizes, strict=True)]
    else:
        vectors = _vectors(texts, DIMENSIONS, "google", scripted)
    made = [{"values": numbers} for numbers in vectors]
    return {"embeddings": made} if isinstance(requests, list) else {"embedding": made[0]}


def _google_text(request: Json) -> str:
    texts = _google_texts(request)
    if not texts:
        raise bad_request("google", "content: at least one part with a text is required")
    return " ".join(texts)


def _google_texts(request: Json) -> list[str]:
    content = request.get("content") if isinstance(request, dict) else None
    parts = content.get("parts") if isinstance(content, dict) else None
    return [part["text"] for part in parts or () if isinstance(part, dict) and isinstance(part.get("text"), str)]


def _google_dimensions(request: Json) -> Json:
    if not isinstance(request, dict):
        return None
    config = request.get("embedContentConfig")
    asked = request if not isinstance(config, dict) else {**request, **config}
    return asked.get("outputDimensionality", asked.get("output_dimensionality"))


def _vectors(texts: list[str], dimensions: int, protocol: str, scripted: Vectors | None) -> Vectors:
    if scripted is None:
        return [vector(text, dimensions) for text in texts]
    if len(scripted) != len(texts):
        raise bad_request(protocol, f"the scripted reply has {len(scripted)} vectors for {len(texts)} texts")
    return scripted


def _texts(given: Json) -> Iterator[str]:
    """The texts of an input: one or several, as text or as token IDs."""
    items = given if isinstance(given, list) else [given]
    if items and all(type(item) is int for item in items):
        items = [items]
    for item in items:
        if isinstance(item, str):
            yield item
        elif isinstance(item, list) and item and all(type(token) is int for token in item):
            yield " ".join(map(str, item))
        else:
            raise bad_request("openai_chat", "'input' must be a text, a list of texts, or token IDs.", param="input")


def _dimensions(asked: Json, protocol: str, name: str) -> int:
    if asked is None:
        return DIMENSIONS
    if type(asked) is not int or not 1 <= asked <= _MOST_DIMENSIONS:
        raise bad_request(protocol, f"'{name}' must be between 1 and {_MOST_DIMENSIONS}.", param=name)
    return asked


def _base64(numbers: Sequence[float]) -> str:
    """The numbers in 32 bits each, little-endian: the form that official SDKs request."""
    return b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
