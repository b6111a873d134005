"""The rows of stored responses and conversations, and their items: each is kept once, however often a client sends it."""

from collections.abc import Iterable
from hashlib import blake2b

from msgspec import Struct, field

from modelbay.conversation import Extra, Json
from modelbay.json_text import decode, decode_as
from modelbay.serving.value_errors import missing, refused
from modelbay.storage.state_table import ClientStates, Found, State

RESPONSE, CONVERSATION = "response", "conversation"
"""The kinds of rows: a response and a conversation, by their IDs."""
_ITEM, _ID = "item", "item_id"
"""An item by its digest, and the digest of an item by the ID that clients know."""
REFERENCE = "item_reference"
_SEPARATOR = " "
"""Between the digest of an item and its keeper."""
_WITHOUT_ID = frozenset((
    "message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output", "reasoning",
    "shell_call", "shell_call_output", "apply_patch_call", "apply_patch_call_output", "computer_call_output",
))  # fmt: skip
"""Types of items that are sent without their ID: it is valid only where their provider keeps them."""


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
    ids: list[str] = field(default_factory=list)
    """The IDs of the items of `input` in their conversation; empty if the response is in none."""
    asked: str = ""
    """The name of the model that the client asked."""

    @property
    def runs(self) -> bool:
        """Whether the response still runs in the background."""
        return self.response.get("status") in ("queued", "in_progress")

    @property
    def in_background(self) -> bool:
        return self.response.get("background") is True


class ConversationItem(Struct, array_like=True):
    id: str
    digest: str
    keeper: str = ""
    """The provider's account that keeps the item, too; "" if none does."""


class KeptConversation(Struct, omit_defaults=True):
    created_at: int
    metadata: Extra
    items: list[ConversationItem]
    last: str | None = None
    """ID of the response whose history and output are the first items; None if there is none."""
    chained: int = 0
    """Number of these items."""

    def shown(self, id: str) -> Extra:
        return {"id": id, "object": "conversation", "created_at": self.created_at, "metadata": self.metadata}


class KeptItems:
    """Reads and writes the items of one request, in one transaction."""

    def __init__(self, rows: ClientStates, max_bytes: int, keeper: str = "") -> None:
        """`max_bytes`: the maximum size of all items that are read. `keeper`: see `ResponseStore.resolve`."""
        self.rows = rows
        self.keeper = keeper
        self._left = max_bytes
        self.read: list[Found] = []
        """The rows that were read: all of them must be marked as used, so that a history expires as a whole."""

    def items(self, digests: Iterable[str]) -> list[Extra] | None:
        """Items; None if one is missing."""
        wanted = list(digests)
        found = {row.key: row for row in self.rows.find(_ITEM, wanted)}
        if any(digest not in found for digest in wanted):
            return None
        contents = self.rows.contents(row.id for row in found.values())
        self._left -= sum(len(contents[found[digest].id]) for digest in wanted)
        if self._left < 0:
            raise refused("The conversation is too long. Send a shorter one in `input`.", "input")
        self.read += found.values()
        return [decode(contents[found[digest].id]) for digest in wanted]

    def named(self, ids: Iterable[str]) -> dict[str, ConversationItem]:
        """The known items of these IDs."""
        rows = self.rows.find(_ID, ids)
        contents = self.rows.contents(row.id for row in rows)
        self.read += rows
        found: dict[str, ConversationItem] = {}
        for row in rows:
            digest, _, keeper = contents[row.id].decode().partition(_SEPARATOR)
            found[row.key] = ConversationItem(row.key, digest, keeper)
        return found

    def put(self, items: Iterable[bytes], names: Iterable[ConversationItem]) -> None:
        """Keep items, and their IDs."""
        self.rows.put(_ITEM, [State(digest_of(item), item) for item in items], replace=False)
        named = [State(name.id, f"{name.digest}{_SEPARATOR}{name.keeper}".encode()) for name in names]
        self.rows.put(_ID, named, replace=True)

    def conversation(self, id: str) -> KeptConversation:
        """A conversation.

        Raises:
            NotFound: the client has no such conversation.
        """
        if not (found := self.rows.find(CONVERSATION, [id])):
            raise missing(f"Conversation with id '{id}' not found.")
        self.read.append(found[0])
        return decode_as(self.rows.contents([found[0].id])[found[0].id], KeptConversation)

    def of_conversation(self, id: str, kept: KeptConversation) -> list[Extra]:
        """All items of a conversation, without the IDs that only the conversation gives them. Raises what `conversation` raises."""
        items = self.items(item.digest for item in kept.items)
        if items is None:
            raise missing(f"Conversation with id '{id}' not found.")
        return items

    def sendable(self, items: list[Extra], keeper: str) -> list[Extra]:
        """Kept items as input. Reasoning that only its provider can read is left out; the encrypted reasoning of an account
        is refused by another one."""
        foreign = bool(self.keeper and keeper and keeper != self.keeper)
        known = [
            item
            for item in items
            if item.get("type") != "reasoning" or item.get("content") or (item.get("encrypted_content") and not foreign)
        ]
        return [
            {name: value for name, value in item.items() if name != "id"}
            if item.get("type", "message") in _WITHOUT_ID
            else item
            for item in known
        ]

    def drop_unused(self, digests: Iterable[str]) -> None:
        """Delete the items that no response and no conversation of the client contains."""
        gone = set(digests)
        for content in self.rows.all(RESPONSE):
            response = decode_as(content, KeptResponse)
            gone.difference_update(response.input, response.output)
        for content in self.rows.all(CONVERSATION):
            gone.difference_update(item.digest for item in decode_as(content, KeptConversation).items)
        made = [decode(found) for digest in gone if (found := self.rows.get(_ITEM, digest))]
        self.rows.delete(_ID, [item["id"] for item in made if has_id(item)])
        self.rows.delete(_ITEM, gone)


def items_of(given: Json) -> list[Extra] | None:
    """The items of an `input`; None if it is not valid."""
    if given is None:
        return []
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    return given if isinstance(given, list) and all(isinstance(item, dict) for item in given) else None


def is_reference(item: Extra) -> bool:
    return item.get("type", REFERENCE) == REFERENCE and "role" not in item and has_id(item)


def has_id(item: Extra) -> bool:
    return isinstance(item.get("id"), str)


def digest_of(item: bytes) -> str:
    return blake2b(item, digest_size=16).hexdigest()
