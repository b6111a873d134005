"""State that the gateway stores for its clients: reasoning that they drop, responses that their provider does not keep, and
counts of tokens."""

from asyncio import to_thread
from urllib.parse import parse_qsl

from msgspec.structs import replace

from modelbay.calling.target import Target
from modelbay.config.schema import GatewaySettings
from modelbay.conversation import Conversation, Extra
from modelbay.counting.learned_counts import Expected, LearnedCounts
from modelbay.errors import NotFound
from modelbay.events import Reply
from modelbay.gateway.client_request import ClientRequest
from modelbay.gateway.conversation_store import ConversationStore
from modelbay.gateway.kept_items import KeptResponse
from modelbay.gateway.passing import ClientBody, changed_text
from modelbay.gateway.reasoning_store import ReasoningStore
from modelbay.gateway.response_store import MAX_BYTES, ResolvedRequest, ResponseStore, may_refer, refers
from modelbay.gateway.search.search_loop import with_earlier_searches
from modelbay.serving.value_errors import check_included
from modelbay.storage.paths import data_dir
from modelbay.storage.state_table import StateTable

COUNTS = "token-counts.sqlite"
"""The file of learned token counts, in the data folder."""


class Stores:
    """The methods read and write files in threads."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._reasoning: ReasoningStore | None = None
        self._responses: ResponseStore | None = None
        self._conversations: ConversationStore | None = None
        counts: StateTable | None = None
        if settings.store:
            days, most = settings.store_days, settings.store_bytes
            table = StateTable(days=days, max_bytes=most)
            self._reasoning, self._responses = ReasoningStore(table), ResponseStore(table)
            self._conversations = ConversationStore(table, MAX_BYTES)
            # in a file of their own: requests are searched for reasoning state as soon as the file of state exists
            counts = StateTable(data_dir() / COUNTS, days=days, max_bytes=most)
        self._counts = LearnedCounts(counts)

    def close(self) -> None:
        """Close the files that are kept open."""
        if self._reasoning is not None:
            self._reasoning.close()

    # --- reasoning ---

    def may_change(self, client: str, target: Target, body: bytes, *, passes: bool) -> bool:
        """Whether stored reasoning state may change a request: see `ReasoningStore.concerns`."""
        return self._reasoning is not None and self._reasoning.concerns(client, target, body, passes=passes)

    async def is_foreign(self, client: str, target: Target, body: bytes) -> bool:
        """Whether a request in the target's protocol contains reasoning state that is known to be another provider's, or that the
        target refused."""
        if self._reasoning is None or not self._reasoning.may_contain_state(body):
            return False
        return await to_thread(self._reasoning.is_foreign, client, target, body)

    async def lacks_state(self, client: str, target: Target, request: ClientRequest) -> bool:
        """Whether a request in the target's protocol lacks reasoning state that the target gave and that is stored. A client
        that sends some state back counts as one that sends all of it: other clients remove it everywhere."""
        if self._reasoning is None or not self._reasoning.may_lack_state(request.body):
            return False
        conversation = request.conversation(request.fields())
        restored = await to_thread(self._reasoning.restore, client, target, conversation)
        return restored is not conversation

    async def restored(self, client: str, target: Target, conversation: Conversation) -> Conversation:
        """The conversation with the reasoning state that the client did not send back."""
        if self._reasoning is None or all(turn.role != "assistant" for turn in conversation.turns):
            return conversation
        return await to_thread(self._reasoning.restore, client, target, conversation)

    async def keep_reasoning(self, client: str, target: Target, conversation: Conversation, reply: Reply) -> None:
        """Store the reasoning state of a reply."""
        if self._reasoning is not None:
            await to_thread(self._reasoning.keep, client, target, conversation, reply)

    async def refuse_reasoning(self, client: str, target: Target, conversation: Conversation, accepted: bytes) -> None:
        """Note that a target refused the reasoning state in a conversation, except that in the body that it accepted."""
        if self._reasoning is not None:
            whole = await self.restored(client, target, conversation)
            await to_thread(self._reasoning.refuse, client, target, whole, accepted)

    # --- counts of tokens ---

    async def expected_count(self, target: Target, conversation: Conversation, *, asked: bool = False) -> Expected:
        """The input tokens that a target is expected to count. `asked`: a client asked for a count without a reply."""
        if asked:
            self._counts.ask(target)
        return await to_thread(self._counts.expect, target, with_earlier_searches(conversation))

    async def learn_count(self, target: Target, expected: Expected, tokens: int) -> None:
        """Compare an expected count with the one in the reply."""
        await to_thread(self._counts.learn, target, expected, tokens)

    def needs_counts(self, target: Target) -> bool:
        """Whether a client asked for counts of a target."""
        return self._counts.is_asked(target)

    # --- responses ---

    def must_resolve(self, protocol: str, body: ClientBody, text: bytes) -> bool:
        """Whether a request must be `resolved`: it may refer to something stored, or its response is stored."""
        if self._responses is None or protocol != "openai_responses":
            return False
        return not body.unstored or may_refer(text)

    async def resolved(self, client: str, body: Extra, keeper: str) -> ResolvedRequest:
        """A request of Responses with the history that its receiver does not keep. `keeper`, and what it raises: see
        `ResponseStore.resolve`."""
        if self._responses is None:
            return ResolvedRequest(body)
        if not refers(body):  # nothing is read
            return self._responses.resolve(client, body, keeper)
        return await to_thread(self._responses.resolve, client, body, keeper)

    async def whole(self, request: ClientRequest, keeper: str) -> ClientRequest:
        """A request whose response is not stored, with the history that its receiver does not keep. `keeper`, and what it
        raises: see `ResponseStore.resolve`."""
        if self._responses is None or request.protocol != "openai_responses" or not may_refer(request.body):
            return request
        fields = request.fields()
        sent = (await self.resolved(request.client, fields, keeper)).body
        return request if sent is fields else replace(request, body=changed_text(request.body, sent))

    async def keep_response(self, client: str, request: ResolvedRequest, response: Extra) -> None:
        """Store a response."""
        if self._responses is not None:
            await to_thread(self._responses.remember, client, request, response)

    async def kept_response(self, client: str, id: str) -> KeptResponse | None:
        """How a response is stored; None if it is not."""
        return None if self._responses is None else await to_thread(self._responses.kept, client, id)

    async def update_response(self, client: str, id: str, response: Extra) -> None:
        """Store what its provider says about a response that ran in the background."""
        if self._responses is not None:
            await to_thread(self._responses.update, client, id, response)

    async def response(self, action: str, client: str, id: str, query: dict[str, str]) -> Extra:
        """The result of an action on a stored response. Raises what the method of `ResponseStore` raises."""
        if self._responses is None:
            raise _stores_nothing()
        match action:
            case "retrieve":
                return await to_thread(self._responses.get, client, id)
            case "delete":
                return await to_thread(self._responses.delete, client, id)
            case "cancel":
                return await to_thread(self._responses.cancel, client, id)
        return await to_thread(self._responses.input_items, client, id, query)

    async def conversation(self, request: ClientRequest) -> Extra:
        """The result of an action on a stored conversation. Raises what the method of `ConversationStore` raises."""
        if self._conversations is None:
            raise _stores_nothing()
        check_included(request.query)
        return await to_thread(_acted, self._conversations, request)


def _acted(store: ConversationStore, request: ClientRequest) -> Extra:
    client, id, item = request.client, request.route.id or "", request.route.item or ""
    match request.route.action:
        case "create_conversation":
            return store.create(client, request.fields() if request.body else {})
        case "update_conversation":
            return store.update(client, id, request.fields())
        case "delete_conversation":
            return store.delete(client, id)
        case "list_items":
            return store.list_items(client, id, dict(parse_qsl(request.query)))
        case "add_items":
            return store.add_items(client, id, request.fields())
        case "get_item":
            return store.get_item(client, id, item)
        case "delete_item":
            return store.delete_item(client, id, item)
    return store.get(client, id)


def _stores_nothing() -> NotFound:
    return NotFound("the gateway stores no responses: `store = false` is set in [gateway]", status=404)
