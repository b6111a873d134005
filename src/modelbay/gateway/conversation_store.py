"""Conversations of OpenAI's Conversations API, for clients of any provider.

A conversation is a list of items, each with an ID. Clients add and delete items, and a request that names the conversation adds its
own items and those of its response. Everything here has the wire form of Responses.
"""

from collections.abc import Iterable
from secrets import token_hex

from modelbay.conversation import Extra
from modelbay.errors import ModelbayError
from modelbay.gateway.kept_items import (
    CONVERSATION,
    RESPONSE,
    ConversationItem,
    KeptConversation,
    KeptItems,
    KeptResponse,
    digest_of,
    has_id,
    is_reference,
)
from modelbay.json_text import encode
from modelbay.protocols.openai_responses.references import own_id
from modelbay.serving.replies import item_list, item_page, item_prefix, listed_item
from modelbay.serving.value_errors import (
    checked_metadata,
    missing,
    one_of,
    refused,
    required,
    too_many_items,
    wrong_kind,
)
from modelbay.storage.state_table import State, StateTable

CONVERSATION_ID = "conv_modelbay"
"""The beginning of the IDs of conversations that are created here."""
_MOST_ITEMS = 20
"""Maximum number of items that one request adds."""
_REQUIRED = {
    "message": ("role", "content"),
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
    "custom_tool_call": ("call_id", "name", "input"),
    "custom_tool_call_output": ("call_id", "output"),
    "reasoning": ("summary",),
}
"""The fields that items must have, by type. Other types are stored as they are."""
_TEXT_OR_LIST = ("a string or an array", (str, list))
_KINDS: dict[str, tuple[str, type | tuple[type, ...]]] = {
    "content": _TEXT_OR_LIST, "output": _TEXT_OR_LIST, "summary": ("an array", list)
}  # fmt: skip
"""The types of these fields that are not strings, and how a message names them."""


class ConversationStore:
    """Methods read and write a file: call them in a thread. All of them raise `StoreError` if the file cannot be used.

    Those that get the ID of a conversation raise `NotFound` if the client has no such conversation.
    """

    def __init__(self, table: StateTable, max_bytes: int) -> None:
        """`max_bytes`: maximum size of the items of a conversation."""
        self._table = table
        self._max_bytes = max_bytes

    def create(self, client: str, body: Extra) -> Extra:
        """A new conversation, which requests continue with `conversation`.

        Raises:
            BadRequest: its items or metadata are not valid.
        """
        items = _added(body, optional=True)
        kept = KeptConversation(int(self._table.now()), checked_metadata(body.get("metadata")), [])
        id = f"{CONVERSATION_ID}{token_hex(20)}"
        with self._table.writing(client) as rows:
            self._add(KeptItems(rows, self._max_bytes), id, kept, items)
        return kept.shown(id)

    def get(self, client: str, id: str) -> Extra:
        with self._table.reading(client) as rows:
            return KeptItems(rows, self._max_bytes).conversation(id).shown(id)

    def update(self, client: str, id: str, body: Extra) -> Extra:
        """The conversation with other metadata.

        Raises:
            BadRequest: the metadata is missing or not valid.
        """
        if "metadata" not in body:
            raise required("metadata")
        metadata = checked_metadata(body["metadata"])
        with self._table.writing(client) as rows:
            kept = KeptItems(rows, self._max_bytes).conversation(id)
            kept.metadata = metadata
            rows.put(CONVERSATION, [State(id, encode(kept))], replace=True)
        return kept.shown(id)

    def delete(self, client: str, id: str) -> Extra:
        """Delete a conversation. Its responses remain."""
        with self._table.writing(client) as rows:
            items = KeptItems(rows, self._max_bytes)
            kept = items.conversation(id)
            rows.delete(CONVERSATION, [id])
            items.drop_unused(item.digest for item in kept.items)
        return {"id": id, "object": "conversation.deleted", "deleted": True}

    # --- items ---

    def list_items(self, client: str, id: str, query: dict[str, str]) -> Extra:
        """One page of the items. `query`, and what it raises: see `item_page`."""
        with self._table.reading(client) as rows:
            items = KeptItems(rows, self._max_bytes)
            kept = items.conversation(id)
            found = items.of_conversation(id, kept)
        return item_page([_listed(item, name.id) for item, name in zip(found, kept.items, strict=True)], query)

    def add_items(self, client: str, id: str, body: Extra) -> Extra:
        """The added items, as a list.

        Raises:
            BadRequest, NotFound: the items are not valid, one is in the conversation already, or a referenced one is unknown.
        """
        given = _added(body)
        with self._table.writing(client) as rows:
            items = KeptItems(rows, self._max_bytes)
            kept = items.conversation(id)
            added = self._add(items, id, kept, given)
            rows.touch(row.id for row in items.read)
        return item_list(added)

    def get_item(self, client: str, id: str, item: str) -> Extra:
        """Raises:
        NotFound: the conversation has no such item.
        """
        with self._table.reading(client) as rows:
            items = KeptItems(rows, self._max_bytes)
            name = _named(items.conversation(id), item)
            found = items.items([name.digest])
        if not found:
            raise _item_missing(item)
        return _listed(found[0], item)

    def delete_item(self, client: str, id: str, item: str) -> Extra:
        """The conversation, after an item was removed from it.

        Raises:
            NotFound: the conversation has no such item.
        """
        with self._table.writing(client) as rows:
            items = KeptItems(rows, self._max_bytes)
            kept = items.conversation(id)
            name = _named(kept, item)
            if kept.items.index(name) < kept.chained:  # the next response has another history than the last one
                kept.last, kept.chained = None, 0
            kept.items.remove(name)
            rows.put(CONVERSATION, [State(id, encode(kept))], replace=True)
            items.drop_unused([name.digest])
        return kept.shown(id)

    def _add(self, items: KeptItems, id: str, kept: KeptConversation, given: list[Extra]) -> list[Extra]:
        """Add items to a conversation, and return them as lists contain them."""
        known = items.named(item["id"] for item in given if has_id(item))
        used = {name.id for name in kept.items}
        names: list[ConversationItem] = []
        new: list[bytes] = []
        for item in given:
            name = known.get(item["id"]) if has_id(item) else None
            if name is None:
                if is_reference(item):
                    raise missing(f"Item with id '{item['id']}' not found.", "items")
                new.append(encode(item))
                name = ConversationItem(id_of(item), digest_of(new[-1]))
            if name.id in used:
                raise refused("Item already in conversation", "items", "item_already_in_conversation")
            used.add(name.id)
            names.append(name)
        if not all(map(self._table.fits, new)):
            raise refused("An item is too large to be stored.", "items")
        items.put(new, names)
        kept.items += names
        items.rows.put(CONVERSATION, [State(id, encode(kept))], replace=True)
        found = items.items(name.digest for name in names) or []
        return [_listed(item, name.id) for item, name in zip(found, names, strict=True)]


def history(items: KeptItems, id: str) -> list[Extra]:
    """The items of a conversation as they can be sent.

    Raises:
        NotFound: the client has no such conversation.
    """
    kept = items.conversation(id)
    found = items.of_conversation(id, kept)
    return [one for item, name in zip(found, kept.items, strict=True) for one in items.sendable([item], name.keeper)]


def append(
    items: KeptItems, conversation: str, response: str | None, row: KeptResponse, given: list[Extra], made: list[Extra]
) -> None:
    """Add the items of a request and its response to a conversation, which other requests may have continued in the meantime.

    `response`: the ID of the response; None if it is not stored. `given`, `made`: the items of `row`.
    """
    row.response["conversation"] = {"id": conversation}
    if not items.rows.find(CONVERSATION, [conversation]):  # it is the provider's, or it was deleted in the meantime
        row.detached = True
        return
    kept = items.conversation(conversation)
    used = {name.id for name in kept.items}
    asked = [ConversationItem(id_of(item, used), digest) for item, digest in zip(given, row.input, strict=True)]
    answered = [
        ConversationItem(id_of(item, used), digest, row.keeper) for item, digest in zip(made, row.output, strict=True)
    ]
    items.put((), [*asked, *answered])
    before = kept.items
    kept.items = [*before, *asked, *answered]
    if response is not None:
        if kept.last is None or not items.rows.find(RESPONSE, [kept.last]):
            kept.last, kept.chained = None, 0
        row.previous = kept.last
        own = [*before[kept.chained :], *asked]
        row.input, row.ids = [name.digest for name in own], [name.id for name in own]
        kept.last, kept.chained = response, len(kept.items)
    items.rows.put(CONVERSATION, [State(conversation, encode(kept))], replace=True)


def complete(items: KeptItems, conversation: str, row: KeptResponse, made: list[Extra]) -> None:
    """Add the output of a response that ran in the background to its conversation, after the items of its request."""
    if not row.ids or not items.rows.find(CONVERSATION, [conversation]):
        return
    kept = items.conversation(conversation)
    places = [place for place, name in enumerate(kept.items) if name.id == row.ids[-1]]
    place = places[0] + 1 if places else len(kept.items)
    used = {name.id for name in kept.items}
    answered = [
        ConversationItem(id_of(item, used), digest, row.keeper) for item, digest in zip(made, row.output, strict=True)
    ]
    kept.items[place:place] = answered
    if place <= kept.chained:
        kept.chained += len(answered)
    items.rows.put(CONVERSATION, [State(conversation, encode(kept))], replace=True)


def id_of(item: Extra, used: set[str] | None = None) -> str:
    """The ID of an item; a new one if it has none, or if it is `used`."""
    if has_id(item) and (used is None or item["id"] not in used):
        id = str(item["id"])
    else:
        id = own_id(item_prefix(item), token_hex(12), 0)
    if used is not None:
        used.add(id)
    return id


def _added(body: Extra, *, optional: bool = False) -> list[Extra]:
    """The items of a request.

    Raises:
        BadRequest: they are not valid.
    """
    given = body.get("items")
    if given is None:
        if optional:
            return []
        raise required("items")
    if not isinstance(given, list):
        raise wrong_kind("items", "an array of objects", given)
    if len(given) > _MOST_ITEMS:
        raise too_many_items("items", _MOST_ITEMS, len(given))
    for place, item in enumerate(given):
        if not isinstance(item, dict):
            raise wrong_kind(f"items[{place}]", "an object", item)
        if not is_reference(item):
            _check(item, f"items[{place}]")
    return given


def _check(item: Extra, where: str) -> None:
    """Raises:
    BadRequest: the item cannot be sent to any provider.
    """
    kind = item.get("type", "message" if "role" in item else None)
    if kind is None:
        raise required(f"{where}.type")
    if not isinstance(kind, str):
        raise wrong_kind(f"{where}.type", "a string", kind)
    for name in _REQUIRED.get(kind, ()):
        if item.get(name) is None:
            raise required(f"{where}.{name}")
        wanted = _KINDS.get(name, ("a string", str))
        if not isinstance(item[name], wanted[1]):
            raise wrong_kind(f"{where}.{name}", wanted[0], item[name])
    if kind == "message":
        one_of(f"{where}.role", item["role"], "user", "assistant", "developer", "system")


def _listed(item: Extra, id: str) -> Extra:
    return {**listed_item(item), "id": id}


def _named(kept: KeptConversation, id: str) -> ConversationItem:
    found: Iterable[ConversationItem] = (name for name in kept.items if name.id == id)
    if (name := next(iter(found), None)) is None:
        raise _item_missing(id)
    return name


def _item_missing(id: str) -> ModelbayError:
    return missing(f"Item with id '{id}' not found in conversation.")
