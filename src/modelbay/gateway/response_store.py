"""State of Responses for providers that do not keep it: `previous_response_id`, `conversation`, `item_reference`, `store`.

A response is kept with the items of its own request and the ID of the response before it. Each item is kept once, however
often a client sends it. A request that refers to kept responses or items is sent with the whole history instead.

Everything here has the wire form of Responses, so that it does not depend on the provider's protocol.
"""

from collections.abc import Iterable
from hashlib import blake2b
from secrets import token_hex

from msgspec import Struct, field

from modelbay.conversation import Extra, Json, Settings
from modelbay.errors import BadRequest, NotFound, ProviderError, StoreError
from modelbay.json_text import decode, decode_as, encode
from modelbay.protocols.openai_responses.references import is_own, is_own_reasoning
from modelbay.serving.replies import input_page
from modelbay.storage.state_table import ClientStates, State, StateTable

_RESPONSE, _ITEM, _ID, _CONVERSATION = "response", "item", "item_id", "conversation"
"""The kinds of rows: a response by its ID, an item by its digest, the digest of an output item by the item's ID, and a
conversation by its ID."""
_REFERENCE, _PREVIOUS = "item_reference", "previous_response_id"
RESPONSE_ID, _CONVERSATION_ID = "resp_modelbay", "conv_modelbay"
"""The beginnings of the IDs of responses and conversations that are created here."""
_REFERENCES = (b'"previous_response_id"', b'"conversation"', b'"item_reference"')
"""One of these is in every body that refers to something stored."""
MAX_BYTES = 64 * 2**20
"""Default maximum size of the history of a request."""
MAX_RESPONSES = 5_000
"""Maximum number of responses in a history."""
_ENCRYPTED = "reasoning.encrypted_content"
"""The value of `include` that asks for encrypted reasoning."""
_WITHOUT_ID = ("message", "function_call", "custom_tool_call", "reasoning")
"""Types of output items that are sent without their ID: it is valid only where their provider keeps them."""
_SEPARATOR = " "
"""Between the digest of an item and its keeper."""


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


class KeptResponse(Struct, omit_defaults=True):
    response: Extra
    """The response without its `output`."""
    input: list[str]
    """Digests of the items of its request, without the history."""
    output: list[str]
    previous: str | None = None
    keeper: str = ""
    """The provider's account that keeps the response, too; "" if none does."""
    detached: bool = False
    """Whether earlier turns are missing here: they are in a conversation of the provider, or in one that was deleted."""


class KeptConversation(Struct, omit_defaults=True):
    created_at: int
    metadata: Extra
    items: list[str]
    """Digests of the items that it was created with."""
    last: str | None = None
    """ID of its last response."""


class ResponseStore:
    """Methods read and write a file: call them in a thread.

    All methods but `remember` raise `StoreError` if they need the file and it cannot be used.
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
            raise _refused("`previous_response_id` and `conversation` cannot be used together.", _PREVIOUS)
        if not refers(body):
            return ResolvedRequest(body, items, keeper=keeper)
        with self._table.writing(client) as rows:
            reader = _Reader(rows, self._max_bytes, keeper)
            history: list[Extra] | None = None
            if conversation is not None and (not keeper or conversation.startswith(_CONVERSATION_ID)):
                history = reader.conversation(conversation)
            elif previous is not None and not reader.is_kept(previous):
                history = reader.history(previous)
            resolved = reader.resolved(items)
            reader.touch()
        sent = body
        if history is not None:
            sent = {name: value for name, value in body.items() if name not in (_PREVIOUS, "conversation")}
        if history or resolved != items:
            sent = {**sent, "input": [*(history or ()), *resolved]}
        return ResolvedRequest(sent, resolved, previous, conversation, keeper)

    def remember(self, client: str, request: ResolvedRequest, response: Extra) -> None:
        """Keep a response that a client received, unless the client asked not to store it. `response` is its body in
        Responses; its ID must be unique."""
        id = response.get("id")
        if request.body.get("store") is False or not isinstance(id, str):
            return
        items = [encode(item) for item in request.items]
        output = [item for item in response.get("output") or () if isinstance(item, dict)]
        made = [encode(item) for item in output]
        if not all(map(self._table.fits, (*items, *made))):
            return
        row = KeptResponse(
            {name: value for name, value in response.items() if name != "output"} | {"store": True},
            [_digest(item) for item in items],
            [_digest(item) for item in made],
            request.previous,
            "" if id.startswith(RESPONSE_ID) else request.keeper,
        )
        row.response[_PREVIOUS] = request.previous
        try:
            with self._table.writing(client) as rows:
                if request.conversation is not None:
                    self._append(rows, request.conversation, id, row)
                rows.put(_ITEM, [State(_digest(item), item) for item in (*items, *made)], replace=False)
                ids = [
                    State(item["id"], f"{_digest(data)}{_SEPARATOR}{row.keeper}".encode())
                    for item, data in zip(output, made, strict=True)
                    if _has_id(item)
                ]
                rows.put(_ID, ids, replace=True)
                rows.put(_RESPONSE, [State(id, encode(row))], replace=True)
        except StoreError as error:
            self._table.report(error)

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
            raise _missing(f"Response with id '{id}' not found.", "response_id")
        return {**found.response, "output": output}

    def delete(self, client: str, id: str) -> Extra:
        """Delete a response, and the items that no other response of the client contains.

        A later response remains, but can no longer be continued: a part of its history is missing.

        Raises:
            NotFound: the client has no such response.
        """
        with self._table.writing(client) as rows:
            found = _Reader(rows, self._max_bytes).response(id)
            if found is None:
                raise _missing(f"Response with id '{id}' not found.", "response_id")
            rows.delete(_RESPONSE, [id])
            others = [decode_as(content, KeptResponse) for content in rows.all(_RESPONSE)]
            begun = [decode_as(content, KeptConversation) for content in rows.all(_CONVERSATION)]
            used = {one for other in others for one in (*other.input, *other.output)}
            used.update(one for conversation in begun for one in conversation.items)
            gone = {*found.input, *found.output} - used
            made = [
                decode(content) for digest in found.output if digest in gone and (content := rows.get(_ITEM, digest))
            ]
            rows.delete(_ID, [item["id"] for item in made if _has_id(item)])
            rows.delete(_ITEM, gone)
        return {"id": id, "object": "response", "deleted": True}

    def input_items(
        self, client: str, id: str, *, limit: int = 20, order: str = "desc", after: str | None = None
    ) -> Extra:
        """One page of the items that a response was generated from, with the history.

        Raises:
            NotFound: the client has no such response.
            BadRequest: a part of its history is missing, or an argument is not valid.
        """
        with self._table.reading(client) as rows:
            reader = _Reader(rows, self._max_bytes)
            found = reader.response(id)
            if found is None:
                raise _missing(f"Response with id '{id}' not found.", "response_id")
            own = reader.items(found.input)
            if own is None:
                raise _missing(f"Response with id '{id}' not found.", "response_id")
            items = [*reader.history(found.previous, whole=True), *own]
        return input_page(items, limit=limit, order=order, after=after)

    def cancel(self, client: str, id: str) -> Extra:
        """A response that runs in the background, after it was cancelled. There are none: a kept response is complete.

        Raises:
            NotFound: the client has no such response.
            BadRequest: it is complete.
        """
        self.get(client, id)
        raise _refused("Cannot cancel a synchronous response.", "response_id")

    # --- conversations ---

    def create_conversation(self, client: str, body: Extra) -> Extra:
        """A new conversation, which requests continue with `conversation`.

        Raises:
            BadRequest: its items are not valid.
        """
        items = items_of(body.get("items"))
        if items is None or isinstance(body.get("items"), str):
            raise _refused("`items` must be a list of objects.", "items")
        data = [encode(item) for item in items]
        kept = KeptConversation(int(self._table.now()), body.get("metadata") or {}, [_digest(item) for item in data])
        id = f"{_CONVERSATION_ID}{token_hex(20)}"
        with self._table.writing(client) as rows:
            rows.put(_ITEM, [State(_digest(item), item) for item in data], replace=False)
            rows.put(_CONVERSATION, [State(id, encode(kept))], replace=True)
        return _conversation_object(id, kept)

    def get_conversation(self, client: str, id: str) -> Extra:
        """A conversation.

        Raises:
            NotFound: the client has no such conversation.
        """
        with self._table.reading(client) as rows:
            return _conversation_object(id, _conversation(rows, id))

    def delete_conversation(self, client: str, id: str) -> Extra:
        """Delete a conversation. Its responses remain.

        Raises:
            NotFound: the client has no such conversation.
        """
        with self._table.writing(client) as rows:
            _conversation(rows, id)
            rows.delete(_CONVERSATION, [id])
        return {"id": id, "object": "conversation.deleted", "deleted": True}

    def _append(self, rows: ClientStates, conversation: str, id: str, row: KeptResponse) -> None:
        """Make a response the last one of its conversation, which other requests may have continued in the meantime."""
        row.response["conversation"] = {"id": conversation}
        content = rows.get(_CONVERSATION, conversation)
        if content is None:  # it is the provider's, or it was deleted in the meantime
            row.detached = True
            return
        kept = decode_as(content, KeptConversation)
        row.previous = kept.last
        if kept.last is None:
            row.input = [*kept.items, *row.input]
        kept.last = id
        rows.put(_CONVERSATION, [State(conversation, encode(kept))], replace=True)


def may_refer(body: bytes) -> bool:
    """Whether a request can refer to stored responses, conversations or items."""
    return any(word in body for word in _REFERENCES)


def refers(body: Extra) -> bool:
    """Whether a request refers to stored responses, conversations or items."""
    return (
        body.get(_PREVIOUS) is not None
        or _conversation_id(body.get("conversation")) is not None
        or any(map(_is_reference, items_of(body.get("input")) or ()))
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


def with_reasoning(body: Extra) -> Extra:
    """The request, which also asks for the encrypted reasoning: without it, the kept response could not be continued with the
    model's reasoning. The same object if it asks already, or if its response is not kept."""
    include, reasoning = body.get("include"), body.get("reasoning")
    asked = include if isinstance(include, list) else []
    off = isinstance(reasoning, dict) and reasoning.get("effort") == "none"
    if body.get("store") is False or off or _ENCRYPTED in asked:
        return body
    return {**body, "include": [*asked, _ENCRYPTED]}


class _Reader:
    """Reads the history of one request."""

    def __init__(self, rows: ClientStates, max_bytes: int, keeper: str = "") -> None:
        """`keeper`: see `ResponseStore.resolve`."""
        self._rows = rows
        self._keeper = keeper
        self._left = max_bytes
        self._read: list[int] = []
        """The rows that were read."""

    def response(self, id: str) -> KeptResponse | None:
        found = self._rows.find(_RESPONSE, [id])
        if not found:
            return None
        self._read.append(found[0].id)
        return decode_as(self._rows.contents([found[0].id])[found[0].id], KeptResponse)

    def is_kept(self, id: str) -> bool:
        """Whether the receiver keeps a response, or may know it although it is unknown here."""
        if not self._keeper or id.startswith(RESPONSE_ID):
            return False
        found = self.response(id)
        return found is None or found.keeper == self._keeper

    def items(self, digests: Iterable[str]) -> list[Extra] | None:
        """Items; None if one is missing."""
        wanted = list(digests)
        found = {row.key: row.id for row in self._rows.find(_ITEM, wanted)}
        if any(digest not in found for digest in wanted):
            return None
        contents = self._rows.contents(found.values())
        self._left -= sum(len(contents[found[digest]]) for digest in wanted)
        if self._left < 0:
            raise _refused("The conversation is too long. Send a shorter one in `input`.", "input")
        self._read += found.values()
        return [decode(contents[found[digest]]) for digest in wanted]

    def history(self, id: str | None, *, whole: bool = False) -> list[Extra]:
        """The items up to a response, with its own output: as they can be sent, or the `whole` ones."""
        steps: list[list[Extra]] = []
        seen: set[str] = set()
        while id is not None:
            found = self.response(id) if id not in seen else None
            given = self.items(found.input) if found is not None else None
            made = self.items(found.output) if found is not None else None
            if found is None or given is None or made is None:
                raise _previous_missing(id)
            seen.add(id)
            if len(seen) > MAX_RESPONSES:
                raise _refused("The conversation has too many responses. Send it in `input`.", _PREVIOUS)
            if found.detached and not whole:
                raise _detached(id)
            steps.append([*given, *(made if whole else self._sendable(made, found.keeper))])
            id = found.previous
        return [item for step in reversed(steps) for item in step]

    def conversation(self, id: str) -> list[Extra]:
        """The items of a conversation."""
        kept = _conversation(self._rows, id)
        self._read += [row.id for row in self._rows.find(_CONVERSATION, [id])]
        if kept.last is not None:
            return self.history(kept.last)
        items = self.items(kept.items)
        if items is None:
            raise _missing(f"Conversation with id '{id}' not found.", "conversation")
        return items

    def resolved(self, items: list[Extra]) -> list[Extra]:
        """The items with the referenced ones in place of references. References to items that the receiver may have
        remain."""
        ids = self._rows.find(_ID, [item["id"] for item in items if _is_reference(item)])
        contents = self._rows.contents(row.id for row in ids)
        known = {row.key: contents[row.id].decode().partition(_SEPARATOR) for row in ids}
        self._read += [row.id for row in ids]
        found: list[Extra] = []
        for item in items:
            if not _is_reference(item):
                found.append(item)
                continue
            id = item["id"]
            digest, _, keeper = known.get(id) or (id.rpartition("_")[2], _SEPARATOR, "")
            kept = None if self._keeper and keeper == self._keeper else self.items([digest])
            if kept is not None:
                found += self._sendable(kept, keeper)
            elif is_own(id) and not is_own_reasoning(id):
                raise _missing(f"Item with id '{id}' not found. Send the item itself.", "input")
            else:
                found.append(item)
        return found

    def _sendable(self, items: list[Extra], keeper: str) -> list[Extra]:
        """Output items as input. Reasoning that only its provider can read is left out; the encrypted reasoning of an account
        is refused by another one."""
        foreign = bool(self._keeper and keeper and keeper != self._keeper)
        known = [
            item
            for item in items
            if item.get("type") != "reasoning" or item.get("content") or (item.get("encrypted_content") and not foreign)
        ]
        return [
            {name: value for name, value in item.items() if name != "id"} if item.get("type") in _WITHOUT_ID else item
            for item in known
        ]

    def touch(self) -> None:
        """Mark everything that was read as used, so that a history expires as a whole."""
        self._rows.touch(self._read)


def items_of(given: Json) -> list[Extra] | None:
    """The items of an `input`; None if it is not valid."""
    if given is None:
        return []
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    return given if isinstance(given, list) and all(isinstance(item, dict) for item in given) else None


def _conversation_id(given: Json) -> str | None:
    id = given.get("id") if isinstance(given, dict) else given
    return id if isinstance(id, str) else None


def _is_reference(item: Extra) -> bool:
    return item.get("type", _REFERENCE) == _REFERENCE and "role" not in item and _has_id(item)


def _has_id(item: Extra) -> bool:
    return isinstance(item.get("id"), str)


def _digest(item: bytes) -> str:
    return blake2b(item, digest_size=16).hexdigest()


def _conversation(rows: ClientStates, id: str) -> KeptConversation:
    content = rows.get(_CONVERSATION, id)
    if content is None:
        raise _missing(f"Conversation with id '{id}' not found.", "conversation")
    return decode_as(content, KeptConversation)


def _conversation_object(id: str, kept: KeptConversation) -> Extra:
    return {"id": id, "object": "conversation", "created_at": kept.created_at, "metadata": kept.metadata}


# --- errors ------------------------------------------------------------------------------------------------------------


def _refused(message: str, param: str, code: str | None = None) -> BadRequest:
    return BadRequest(message, status=400, type="invalid_request_error", code=code, param=param)


def _missing(message: str, param: str) -> ProviderError:
    return NotFound(message, status=404, type="invalid_request_error", param=param)


def _previous_missing(id: str) -> BadRequest:
    return _refused(
        f"Previous response with id '{id}' not found. It expired, was deleted, was created with `store: false` or belongs to "
        "another API key. Send the whole conversation in `input`, without `previous_response_id`.",
        _PREVIOUS,
        "previous_response_not_found",
    )


def _detached(id: str) -> BadRequest:
    return _refused(
        f"Response with id '{id}' cannot be continued here: its conversation is stored by another provider, or was deleted. "
        "Send the whole conversation in `input`, without `previous_response_id`.",
        _PREVIOUS,
        "previous_response_not_found",
    )
