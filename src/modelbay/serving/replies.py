"""Small response bodies of each protocol that are not a model's reply, which the codecs render."""

from hashlib import blake2b

from modelbay.conversation import Extra
from modelbay.errors import BadRequest
from modelbay.json_text import encode

JSON = (b"content-type", b"application/json")
"""The header of bodies in JSON."""


def token_count(protocol: str, tokens: int) -> Extra:
    """The response to a request for a token count."""
    match protocol:
        case "openai_responses":
            return {"object": "response.input_tokens", "input_tokens": tokens}
        case "google":
            details = [{"modality": "TEXT", "tokenCount": tokens}]
            return {"totalTokens": tokens, "promptTokensDetails": details}
    return {"input_tokens": tokens}


_PREFIXES = {
    "message": "msg", "function_call": "fc", "function_call_output": "fco", "reasoning": "rs", "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
}  # fmt: skip
"""Prefixes of the IDs of items of Responses, by type."""


def listed_item(item: Extra) -> Extra:
    """An input item of Responses as lists contain it: with an ID and a type, and a message with a list of contents."""
    kind = item.get("type") or "message"
    digest = blake2b(encode(item), digest_size=16).hexdigest()
    listed = {"id": f"{_PREFIXES.get(kind, 'item')}_{digest}", "type": kind, **item}
    if kind == "message":
        listed.setdefault("status", "completed")
        if isinstance(item.get("content"), str):
            text = "output_text" if item.get("role") == "assistant" else "input_text"
            listed["content"] = [{"type": text, "text": item["content"]}]
    return listed


def input_page(items: list[Extra], *, limit: int = 20, order: str = "desc", after: str | None = None) -> Extra:
    """One page of the items that a response of Responses was generated from.

    Raises:
        BadRequest: an argument is not valid.
    """
    if not 1 <= limit <= 100:
        raise _refused("`limit` must be between 1 and 100.", "limit")
    if order not in ("asc", "desc"):
        raise _refused("`order` must be `asc` or `desc`.", "order")
    found = [listed_item(item) for item in items]
    if order == "desc":
        found.reverse()
    if after is not None:
        places = [index for index, item in enumerate(found) if item["id"] == after]
        if not places:
            raise _refused(f"`after`: item with id '{after}' not found.", "after")
        found = found[places[0] + 1 :]
    page = found[:limit]
    ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
    return {"object": "list", "data": page, **ends, "has_more": len(found) > limit}


def _refused(message: str, param: str) -> BadRequest:
    return BadRequest(message, status=400, type="invalid_request_error", param=param)
