"""Small response bodies of each protocol that are not a model's reply, which the codecs render."""

from hashlib import blake2b

from modelbay.conversation import Extra
from modelbay.json_text import encode
from modelbay.serving.value_errors import missing, one_of, whole_number_between

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


def item_prefix(item: Extra) -> str:
    """The beginning of the ID of an item of Responses."""
    return _PREFIXES.get(item.get("type") or "message", "item")


def listed_item(item: Extra) -> Extra:
    """An input item of Responses as lists contain it: with an ID and a type, and a message with a list of contents."""
    kind = item.get("type") or "message"
    digest = blake2b(encode(item), digest_size=16).hexdigest()
    listed = {"id": f"{item_prefix(item)}_{digest}", "type": kind, **item}
    if kind == "message":
        listed.setdefault("status", "completed")
        if isinstance(item.get("content"), str):
            text = "output_text" if item.get("role") == "assistant" else "input_text"
            listed["content"] = [{"type": text, "text": item["content"]}]
    return listed


def item_page(items: list[Extra], query: dict[str, str]) -> Extra:
    """One page of listed items of Responses, the newest first. `query`: `limit`, `order` and `after` of the request.

    Raises:
        BadRequest, NotFound: an argument is not valid.
    """
    limit = whole_number_between("limit", query.get("limit"), 1, 100, default=20)
    found = items if one_of("order", query.get("order"), "desc", "asc") == "asc" else items[::-1]
    if (after := query.get("after")) is not None:
        place = next((index for index, item in enumerate(found) if item["id"] == after), None)
        if place is None:
            raise missing(f"No item found with id '{after}'", "after")
        found = found[place + 1 :]
    return item_list(found[:limit], more=len(found) > limit)


def item_list(items: list[Extra], *, more: bool = False) -> Extra:
    """`more`: whether other items follow."""
    ends = {"first_id": items[0]["id"], "last_id": items[-1]["id"]} if items else {"first_id": None, "last_id": None}
    return {"object": "list", "data": items, **ends, "has_more": more}
