"""State of Responses for providers that do not keep it: `previous_response_id`, `conversation`, `item_reference`, `store`.

A response is kept with the items of its own request and the ID of the response before it. Each item is kept once, however
often a client sends it. A request that refers to kept responses or items is sent with the whole history instead.

Everything here has the wire form of Responses, so that it does not depend on the provider's protocol.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct, field

from modelbay.conversation import Extra, Json, Settings
from modelbay.errors import BadRequest, StoreError
from modelbay.gateway import conversation_store
from modelbay.gateway.conversation_store import CONVERSATION_ID
from modelbay.gateway.kept_items import (
    RESPONSE,
    ConversationItem,
    KeptItems,
    KeptResponse,
    digest_of,
    has_id,
    is_reference,
    items_of,
)
from modelbay.json_text import decode_as, encode
from modelbay.protocols.openai_responses.references import is_own, is_own_reasoning
from modelbay.serving.replies import item_page, listed_item
from modelbay.serving.value_errors import missing, refused
from modelbay.storage.state_table import ClientStates, Found, State, StateTable

_PREVIOUS = "previous_response_id"
RESPONSE_ID = "resp_modelbay"
"""The beginning of the IDs of responses that are created here."""
_REFERENCES = (b'"previous_response_id"', b'"conversation"', b'"item_reference"')
"""One of these is in every body that refers to something stored."""
MAX_BYTES = 64 * 2**20
"""Default maximum size of the history of a request."""
MAX_RESPONSES = 5_000
"""Maximum number of responses in a history."""
_ENCRYPTED = "reasoning.encrypted_content"
"""The value of `include` that asks for encrypted reasoning."""


class ResolvedRequest(Struct):
    """A client's request that no longer refers to kept state."""

    body: Extra
    """The body to send; the client's own object if nothing changed."""
    items: list[Extra] = field(default_factory=list)
    """The items of the request itself."""
    previous: str | None = None
    """ID of the response before it."""
    conversation: str | None = None
    """ID of the conversation that it continues."""
    keeper: str = ""
    """The account that keeps the response: see `ResponseStore.resolve`."""
    read: list[int] = field(default_factory=list)
    """The rows that it refers to, which the response continues."""


class ResponseStore:
    """Methods read and write a file: call them in a thread.

    All methods but `remember` raise `StoreError` if they need the file and it cannot be read, or must be written and cannot.
    """

    def __init__(self, table: StateTable, *, max_bytes: int = MAX_BYTES) -> None:
        self._table = table
        self._max_bytes = max_bytes

    def resolve(self, client: str, body: Extra, keeper: str = "") -> ResolvedRequest:
        """The request, in which references to state that its receiver does not keep are replaced by the state.

        `keeper`: the account of a provider that keeps responses and will receive the request; "" if the receiver keeps none.
        Its own responses and items stay references, and so do unknown ones, which may have been created without the gateway.

        Raises:
            BadRequest, NotFound: the client has no such response, conversation or item, or the history is too large. The
                errors have OpenAI's codes.
        """
        given = body.get("input")
        previous, conversation = body.get(_PREVIOUS), _conversation_id(body.get("conversation"))
        items = items_of(given)
        if items is None or not isinstance(previous, str | None):
            return ResolvedRequest(body)  # its parser reports what is wrong
        if previous is not None and conversation is not None:
            raise refused("`previous_response_id` and `conversation` cannot be used together.", _PREVIOUS)
        if not refers(body):
            return ResolvedRequest(body, items, keeper=keeper)
        with self._history(client) as rows:
            reader = _Reader(rows, self._max_bytes, keeper)
            history: list[Extra] | None = None
            if conversation is not None and (not keeper or conversation.startswith(CONVERSATION_ID)):
                history = conversation_store.history(reader, conversation)
            elif previous is not None and not reader.is_kept(previous):
                history = reader.history(previous)
            resolved = reader.resolved(items)
        self._touch(client, reader.read)
        sent = body
        if history is not None:
            sent = {name: value for name, value in body.items() if name not in (_PREVIOUS, "conversation")}
        if history or resolved != items:
            sent = {**sent, "input": [*(history or ()), *resolved]}
        return ResolvedRequest(sent, resolved, previous, conversation, keeper, [row.id for row in reader.read])

    @contextmanager
    def _history(self, client: str) -> Iterator[ClientStates]:
        """The rows for a request that refers to them. The error says what else the client can send."""
        try:
            with self._table.reading(client) as rows:
                yield rows
        except StoreError as error:
            whole = "send the whole conversation in `input`, without `previous_response_id` and `conversation`"
            raise StoreError(error.message, hint=f"{whole}, or {error.hint}", file=error.file) from None

    def _touch(self, client: str, read: list[Found]) -> None:
        """Mark rows that were read as used, even for a response that is not stored."""
        if old := self._table.aging(read):
            try:
                with self._table.writing(client) as rows:
                    rows.touch(old)
            except StoreError as error:  # they were read
                self._table.report(error)

    def remember(self, client: str, request: ResolvedRequest, response: Extra) -> None:
        """Keep a response that a client received, unless the client asked not to store it. `response` is its body in
        Responses; its ID must be unique."""
        id, stored = response.get("id"), request.body.get("store") is not False
        if not isinstance(id, str) or not (stored or request.conversation):
            return
        items = [encode(item) for item in request.items]
        output = [item for item in response.get("output") or () if isinstance(item, dict)]
        made = [encode(item) for item in output]
        if not all(map(self._table.fits, (*items, *made))):
            return
        row = KeptResponse(
            {name: value for name, value in response.items() if name != "output"} | _repeated_of(request.body),
            [digest_of(item) for item in items],
            [digest_of(item) for item in made],
            request.previous,
            "" if id.startswith(RESPONSE_ID) else request.keeper,
            asked=str(request.body.get("model") or ""),
        )
        row.response[_PREVIOUS] = request.previous
        try:
            with self._table.writing(client) as rows:
                rows.touch(request.read)
                kept = KeptItems(rows, self._max_bytes)
                names = zip(output, row.output, strict=True)
                named = [ConversationItem(item["id"], digest, row.keeper) for item, digest in names if has_id(item)]
                kept.put((*items, *made), named)
                if request.conversation is not None:
                    own = id if stored else None
                    conversation_store.append(kept, request.conversation, own, row, request.items, output)
                if stored:
                    rows.put(RESPONSE, [State(id, encode(row))], replace=True)
        except StoreError as error:
            self._table.report(error)

    def update(self, client: str, id: str, response: Extra) -> None:
        """Keep what its provider says about a response that ran in the background."""
        if response.get("id") != id:
            return
        output = [item for item in response.get("output") or () if isinstance(item, dict)]
        made = [encode(item) for item in output]
        with self._table.writing(client) as rows:
            reader = _Reader(rows, self._max_bytes)
            row = reader.response(id)
            if row is None or not row.runs or not all(map(self._table.fits, made)):
                return
            conversation = row.response.get("conversation")
            row.response = {name: value for name, value in response.items() if name != "output"}
            row.response |= {"conversation": conversation} if conversation is not None else {}
            if not row.runs:
                row.output = [digest_of(item) for item in made]
                named = zip(output, row.output, strict=True)
                reader.put(
                    made, [ConversationItem(item["id"], digest, row.keeper) for item, digest in named if has_id(item)]
                )
                if (known := _conversation_id(conversation)) is not None:
                    conversation_store.complete(reader, known, row, output)
            rows.put(RESPONSE, [State(id, encode(row))], replace=True)

    def kept(self, client: str, id: str) -> KeptResponse | None:
        """The row of a response; None if the client has no such response."""
        with self._table.reading(client) as rows:
            return _Reader(rows, self._max_bytes).response(id)

    def get(self, client: str, id: str) -> Extra:
        """A kept response.

        Raises:
            NotFound: the client has no such response.
        """
        with self._table.reading(client) as rows:
            reader = _Reader(rows, self._max_bytes)
            found = reader.response(id)
            output = reader.items(found.output) if found is not None else None
        if found is None or output is None:
            raise missing(f"Response with id '{id}' not found.", "response_id")
        return {**found.response, "output": output}

    def delete(self, client: str, id: str) -> Extra:
        """Delete a response, and the items that no other response of the client contains.

        A later response remains, but can no longer be continued: a part of its history is missing.

        Raises:
            NotFound: the client has no such response.
        """
        with self._table.writing(client) as rows:
            reader = _Reader(rows, self._max_bytes)
            found = reader.response(id)
            if found is None:
                raise missing(f"Response with id '{id}' not found.", "response_id")
            rows.delete(RESPONSE, [id])
            reader.drop_unused((*found.input, *found.output))
        return {"id": id, "object": "response", "deleted": True}

    def input_items(self, client: str, id: str, query: dict[str, str]) -> Extra:
        """One page of the items that a response was generated from, with the history. `query`: see `item_page`.

        Raises:
            NotFound: the client has no such response, or not the item of `after`.
            BadRequest: a part of its history is missing, or an argument is not valid.
        """
        with self._table.reading(client) as rows:
            reader = _Reader(rows, self._max_bytes)
            found = reader.response(id)
            own = None if found is None else reader.given(found, whole=True)
            if found is None or own is None:
                raise missing(f"Response with id '{id}' not found.", "response_id")
            items = [*reader.history(found.previous, whole=True), *own]
        return item_page([listed_item(item) for item in items], query)

    def cancel(self, client: str, id: str) -> Extra:
        """Refuse to cancel a response: those that run in the background are cancelled at their provider.

        Raises:
            NotFound: the client has no such response.
            BadRequest: it is complete.
        """
        self.get(client, id)
        raise refused("Cannot cancel a synchronous response.", "response_id")


def may_refer(body: bytes) -> bool:
    """Whether a request can refer to stored responses, conversations or items."""
    return any(word in body for word in _REFERENCES)


def refers(body: Extra) -> bool:
    """Whether a request refers to stored responses, conversations or items."""
    return (
        body.get(_PREVIOUS) is not None
        or _conversation_id(body.get("conversation")) is not None
        or any(map(is_reference, items_of(body.get("input")) or ()))
    )


def repeated(settings: Settings, resolution: ResolvedRequest | None) -> Extra:
    """The fields of a request that its response repeats. The long ones are left out: the client has its instructions and tools.
    `resolution`: None if the response is not stored here."""
    stored = resolution is not None and resolution.body.get("store") is not False
    return {
        "previous_response_id": None if resolution is None else resolution.previous,
        "store": stored,
        "metadata": settings.metadata or {},
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "max_output_tokens": settings.max_output_tokens,
    }


_SHORT = (
    "metadata", "temperature", "top_p", "max_output_tokens", "background", "reasoning", "tool_choice", "parallel_tool_calls",
    "truncation", "user", "service_tier", "top_logprobs", "safety_identifier", "prompt_cache_key", "max_tool_calls",
)  # fmt: skip
"""The fields of a request that a stored response repeats. Instructions and tools are long, and the client has them."""


def _repeated_of(body: Extra) -> Extra:
    return {"store": True, **{name: body[name] for name in _SHORT if body.get(name) is not None}}


def with_reasoning(body: Extra) -> Extra:
    """The request, which also asks for the encrypted reasoning: without it, the kept response could not be continued with the
    model's reasoning. The same object if it asks already, or if its response is not kept."""
    include, reasoning = body.get("include"), body.get("reasoning")
    asked = include if isinstance(include, list) else []
    off = isinstance(reasoning, dict) and reasoning.get("effort") == "none"
    if body.get("store") is False or off or _ENCRYPTED in asked:
        return body
    return {**body, "include": [*asked, _ENCRYPTED]}


class _Reader(KeptItems):
    """Reads the history of one request."""

    def response(self, id: str) -> KeptResponse | None:
        found = self.rows.find(RESPONSE, [id])
        if not found:
            return None
        self.read.append(found[0])
        return decode_as(self.rows.contents([found[0].id])[found[0].id], KeptResponse)

    def is_kept(self, id: str) -> bool:
        """Whether the receiver keeps a response, or may know it although it is unknown here."""
        if not self.keeper or id.startswith(RESPONSE_ID):
            return False
        found = self.response(id)
        return found is None or found.keeper == self.keeper

    def given(self, found: KeptResponse, *, whole: bool = False) -> list[Extra] | None:
        """The items of a response's own request: as they can be sent, or the `whole` ones; None if one is missing."""
        items = self.items(found.input)
        if items is None or not found.ids:
            return items
        if whole:
            return [{**item, "id": id} for item, id in zip(items, found.ids, strict=True)]
        return self.sendable(items, "")

    def history(self, id: str | None, *, whole: bool = False) -> list[Extra]:
        """The items up to a response, with its own output: as they can be sent, or the `whole` ones."""
        steps: list[list[Extra]] = []
        seen: set[str] = set()
        while id is not None:
            found = self.response(id) if id not in seen else None
            given = self.given(found, whole=whole) if found is not None else None
            made = self.items(found.output) if found is not None else None
            if found is None or given is None or made is None:
                raise _previous_missing(id)
            seen.add(id)
            if len(seen) > MAX_RESPONSES:
                raise refused("The conversation has too many responses. Send it in `input`.", _PREVIOUS)
            if found.detached and not whole:
                raise _detached(id)
            steps.append([*given, *(made if whole else self.sendable(made, found.keeper))])
            id = found.previous
        return [item for step in reversed(steps) for item in step]

    def resolved(self, items: list[Extra]) -> list[Extra]:
        """The items with the referenced ones in place of references. References to items that the receiver may have
        remain."""
        known = self.named(item["id"] for item in items if is_reference(item))
        found: list[Extra] = []
        for item in items:
            if not is_reference(item):
                found.append(item)
                continue
            id = item["id"]
            name = known.get(id) or ConversationItem(id, id.rpartition("_")[2])
            kept = None if self.keeper and name.keeper == self.keeper else self.items([name.digest])
            if kept is not None:
                found += self.sendable(kept, name.keeper)
            elif is_own(id) and not is_own_reasoning(id):
                raise missing(f"Item with id '{id}' not found. Send the item itself.", "input")
            else:
                found.append(item)
        return found


def _conversation_id(given: Json) -> str | None:
    id = given.get("id") if isinstance(given, dict) else given
    return id if isinstance(id, str) else None


# --- errors ------------------------------------------------------------------------------------------------------------


def _previous_missing(id: str) -> BadRequest:
    return refused(
        f"Previous response with id '{id}' not found. It expired, was deleted, was created with `store: false` or belongs to "
        "another API key. Send the whole conversation in `input`, without `previous_response_id`.",
        _PREVIOUS,
        "previous_response_not_found",
    )


def _detached(id: str) -> BadRequest:
    return refused(
        f"Response with id '{id}' cannot be continued here: its conversation is stored by another provider, or was deleted. "
        "Send the whole conversation in `input`, without `previous_response_id`.",
        _PREVIOUS,
        "previous_response_not_found",
    )
