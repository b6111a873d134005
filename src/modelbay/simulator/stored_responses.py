"""The responses of the Responses API that the provider stores: `previous_response_id`, item references, and their own paths."""

from collections import OrderedDict
from collections.abc import Iterator
from hashlib import blake2b
from urllib.parse import parse_qsl

from msgspec import Struct

from modelbay.conversation import Extra, Json
from modelbay.errors import ProviderError
from modelbay.json_text import decode, encode
from modelbay.protocols.shapes import whole_number
from modelbay.serving.replies import item_page, listed_item
from modelbay.simulator.error_messages import bad_request
from modelbay.simulator.responses import Step
from modelbay.simulator.simulated_exchange import SimulatedExchange

PROTOCOL = "openai_responses"
_STORED = 1_024
"""Maximum number of stored responses."""
_SUMMARY = 16
"""Tokens of a compaction item."""


class StoredResponse(Struct):
    exchange: SimulatedExchange
    input: list[Extra]
    """All items that the response was generated from, with those of earlier responses."""
    status: str | None = None
    """The status of a response that runs in the background, or was cancelled; None if it is complete."""

    @property
    def body(self) -> Extra:
        body: Extra = decode(self.exchange.body())
        return body if self.status is None else {**body, "status": self.status, "output": [], "usage": None}

    def polled(self) -> Extra:
        """The response as a client sees it that asks for it. One that is queued runs when it is asked for, and is then complete."""
        body = self.body
        self.status = {"queued": "in_progress", "in_progress": None}.get(self.status or "", self.status)
        return body


class StoredResponses:
    """The most recent responses, by ID."""

    def __init__(self) -> None:
        self._by_id: OrderedDict[str, StoredResponse] = OrderedDict()

    def resolved(self, body: Extra) -> Extra:
        """A request body with the stored items that it refers to.

        Raises:
            ProviderError: the previous response is not stored.
        """
        previous, items = body.get("previous_response_id"), _items(body.get("input"))
        if previous is None and not any(_is_reference(item) for item in items):
            return body
        items = [self._item(item["id"]) or item if _is_reference(item) else item for item in items]
        return {**body, "input": [*self._history(previous), *items]}

    def _item(self, id: Json) -> Extra | None:
        for stored in reversed(self._by_id.values()):
            for item in stored.body["output"]:
                if item["id"] == id:
                    return item  # type: ignore[no-any-return]
            for item in stored.input:
                if listed_item(item)["id"] == id:
                    return item
        return None

    def _history(self, id: Json) -> list[Extra]:
        if id is None:
            return []
        stored = self._by_id.get(str(id))
        if stored is None:
            raise bad_request(
                PROTOCOL,
                f"Previous response with id '{id}' not found.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        return [*stored.input, *stored.body["output"]]

    def echo(self, body: Extra) -> Extra:
        """Fields of a request that its response repeats."""
        return {
            "store": body.get("store") is not False,
            "previous_response_id": body.get("previous_response_id"),
            "background": body.get("background") is True,
        }

    def keep(self, exchange: SimulatedExchange, body: Extra) -> StoredResponse:
        """Store a response. `body`: the resolved request."""
        status = "queued" if exchange.echo.get("background") else None
        self._by_id[exchange.id] = kept = StoredResponse(exchange, _items(body.get("input")), status)
        while len(self._by_id) > _STORED:
            self._by_id.popitem(last=False)
        return kept

    def has_reasoning(self, id: str) -> bool:
        """Whether an item with the model's reasoning is stored. A request may contain it without its content."""
        return any(part.item_id == id for stored in self._by_id.values() for part in stored.exchange.reply.parts)

    def find(self, id: str | None) -> StoredResponse:
        stored = self._by_id.get(id or "")
        if stored is None:
            raise _missing(id)
        return stored

    def delete(self, id: str | None) -> Extra:
        if self._by_id.pop(id or "", None) is None:
            raise _missing(id)
        return {"id": id, "object": "response", "deleted": True}

    def input_items(self, id: str | None, query: str) -> Extra:
        """One page of the items that a response was generated from."""
        return item_page([listed_item(item) for item in self.find(id).input], dict(parse_qsl(query)))

    def cancel(self, id: str | None) -> Extra:
        stored = self.find(id)
        if not stored.exchange.echo.get("background"):
            raise bad_request(PROTOCOL, "Cannot cancel a synchronous response.")
        if stored.status is not None:
            stored.status = "cancelled"
        return stored.body


def resumed(steps: Iterator[Step], after: str | None) -> Iterator[Step]:
    """The steps of a stream with the events after the one with this number."""
    last = -1 if after is None else whole_number(after)
    for step in steps:
        if not isinstance(step, bytes) or last is None:
            yield step
            continue
        events = [event for event in step.split(b"\n\n") if event]
        if kept := [event for event in events if decode(event.partition(b"data: ")[2])["sequence_number"] > last]:
            yield b"\n\n".join(kept) + b"\n\n"


def compacted(body: Extra, tokens: int, created: int) -> Extra:
    """A compacted conversation: the messages of the user, and one item that replaces the others. `body`: the resolved request."""
    items = _items(body.get("input"))
    kept = [listed_item(item) for item in items if item.get("role") == "user"]
    digest = blake2b(encode(items), digest_size=16).hexdigest()
    summary = {"id": f"cmp_{digest}", "type": "compaction", "encrypted_content": f"compacted-{digest}"}
    return {
        "id": f"resp_{digest}",
        "object": "response.compaction",
        "created_at": created,
        "output": [*kept, summary],
        "usage": {
            "input_tokens": tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": _SUMMARY,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": tokens + _SUMMARY,
        },
    }


def _missing(id: str | None) -> ProviderError:
    return bad_request(PROTOCOL, f"Response with id '{id}' not found.", status=404)


def _is_reference(item: Extra) -> bool:
    return item.get("type") == "item_reference" and "id" in item


def _items(given: Json) -> list[Extra]:
    """The items of an input, which may be a text."""
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    return [item for item in given if isinstance(item, dict)] if isinstance(given, list) else []
