"""Whether embeddings are translated, and their encoding if they are not.

OpenAI's SDKs ask for base64 by default, and decode a string as 32-bit floats. Some providers ignore the field
and return numbers.
"""

import sys
from array import array
from base64 import b64encode

from msgspec import Raw

from modelbay.calling.target import Target
from modelbay.errors import MalformedReply
from modelbay.gateway.client_request import ClientRequest
from modelbay.json_members import ObjectText, RepeatedName
from modelbay.json_text import decode_as, encode


def is_translated(request: ClientRequest, target: Target) -> bool:
    """Whether the provider does not have the client's form of requests for embeddings."""
    theirs, ours = request.codec.EMBEDDINGS, target.codec.EMBEDDINGS
    gemini, dialect = target.upstream.protocol == "google", target.upstream.dialect
    return theirs is not ours or (gemini and (dialect.embedding_method == "predict" or dialect.embedding_config))


def as_asked(reply: bytes, encoding_format: str | None) -> bytes:
    """A reply of `/embeddings` with base64 instead of numbers, if the client asked for it; any other reply unchanged."""
    if encoding_format != "base64":
        return reply
    try:
        body = ObjectText(reply)
        if (data := body.raw("data")) is None:
            return reply
        items = decode_as(data, list[dict[str, Raw]])
        for item in items:
            if bytes(item.get("embedding", Raw(b"")))[:1] == b"[":
                item["embedding"] = Raw(b'"%b"' % _packed(bytes(item["embedding"])))
    except (MalformedReply, RepeatedName):
        return reply  # not a list of vectors, such as an error or the matrix of a model with several vectors per text
    body.write("data", encode(items))
    return body.edited()


def _packed(numbers: bytes) -> bytes:
    """The base64 of a JSON list of numbers as 32-bit floats, lowest byte first."""
    floats = array("f", decode_as(numbers, list[float]))
    if sys.byteorder == "big":
        floats.byteswap()
    return b64encode(floats.tobytes())
