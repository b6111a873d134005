"""Compaction of Responses for providers without it: a request that ends with `compaction_trigger` gets one `compaction` item,
which replaces the conversation in later requests. Codex shortens long sessions in this way if it believes that the gateway is
OpenAI. `/responses/compact`, which its older versions use, gets the same item.

The model is asked for a summary. The item contains it in modelbay's envelope, which later requests bring back.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from modelbay.calling.target import Target
from modelbay.conversation import Conversation, Provenance, Text, Thinking, ToolChoice, Turn, UnknownPart, user
from modelbay.errors import IncompleteReply, Unsupported
from modelbay.events import Event, Failed, Finished, PartAnnotated, PartDelta, PartEnded, PartStarted
from modelbay.gateway.client_request import ClientRequest
from modelbay.gateway.passing import ClientBody
from modelbay.gateway.revision import Revision
from modelbay.json_text import decode, encode
from modelbay.protocols.empty_requests import without_messages
from modelbay.protocols.opaque import seal, unseal

if TYPE_CHECKING:
    from modelbay.calling.opened import Opened

_TRIGGER = "compaction_trigger"
_ITEMS = ("compaction", "compaction_summary")
"""The type of the item, and the name that it had before."""
_ORIGIN = Provenance("compaction")
_PROMPT = """\
Summarize the conversation so far. Another model continues the work and sees only your summary. State the goals of the user and \
all instructions that still hold; what was decided and done, with the names of files, commands and their results; what is left \
to do, and the next step. Keep names, paths, numbers and error messages exact. Do not call tools. Write only the summary."""
_LEAD = "Summary of the conversation so far, whose messages are not repeated:\n\n"


async def as_reply(revision: Revision, request: ClientRequest) -> ClientRequest | None:
    """A request to `/responses/compact` as one for a reply that is the compaction; None if the provider has that path.

    Raises:
        BadRequest: the body is not a JSON object.
        UnknownModel: no model has the name.
    """
    if _compacts(await revision.target(ClientBody(request.body, request.codec.PASS).model)):
        return None
    fields = request.fields()
    given = fields.get("input") or []
    items = given if isinstance(given, list) else [{"role": "user", "content": given}]
    body = {**fields, "input": [*items, {"type": _TRIGGER}], "stream": False, "store": False}
    return replace(request, body=encode(body))


def compacted(response: bytes) -> bytes:
    """The response of `/responses/compact`, from a reply that is the compaction."""
    fields = decode(response)
    kept = {name: fields.get(name) for name in ("id", "created_at", "output", "usage")}
    return encode({"object": "response.compaction", **kept})


def with_summaries(conversation: Conversation, target: Target) -> Conversation:
    """The conversation with our own compaction items as messages.

    Raises:
        Unsupported: an item is one of another provider, which alone can read it.
    """
    turns = [_opened(turn, target) for turn in conversation.turns]
    return replace(conversation, turns=turns)


def _opened(turn: Turn, target: Target) -> Turn:
    part = turn.parts[0] if len(turn.parts) == 1 else None
    if type(part) is not UnknownPart or part.native not in _ITEMS:
        return turn
    found = unseal(part.raw.get("encrypted_content")) if isinstance(part.raw, dict) else None
    if found is not None and found[0] == _ORIGIN:
        return user(_LEAD + "".join(found[1].texts or ()))
    if _compacts(target):
        return turn
    raise Unsupported(
        f"`{part.native}`: only the provider that made this item can read the conversation in it",
        setting=part.native,
        hint="continue with a model of that provider, or begin a new conversation",
    )


def may_compact(conversation: Conversation) -> bool:
    """Whether a conversation has an item of a compaction, or asks for one."""
    for turn in conversation.turns:
        for part in turn.parts:
            if type(part) is UnknownPart and part.native in (_TRIGGER, *_ITEMS):
                return True
    return False


def _compacts(target: Target) -> bool:
    return target.upstream.protocol == "openai_responses" and target.upstream.dialect.compaction


class Compaction:
    """The compaction of one conversation: the model's answer becomes the item."""

    def __init__(self, conversation: Conversation) -> None:
        settings = conversation.settings
        # the tools stay: with them, the beginning of the request is in the provider's prompt cache
        choice = ToolChoice("none") if settings.tools else None
        self.conversation = replace(
            conversation,
            turns=[*conversation.turns[:-1], user(_PROMPT)],
            settings=replace(settings, tool_choice=choice, output_format=None),
        )
        self._texts: list[str] = []

    def of(self, consume: "Callable[[Opened, list[Event]], None]") -> "Callable[[Opened, list[Event]], None]":
        """A consumer of the model's reply that gives the compaction to `consume`."""
        return lambda opened, events: consume(opened, self.feed(events))

    def feed(self, events: list[Event]) -> list[Event]:
        return [one for event in events for one in self._compacted(event)]

    def _compacted(self, event: Event) -> list[Event]:
        if isinstance(event, PartStarted | PartDelta | PartAnnotated):
            return []
        if isinstance(event, PartEnded):
            self._texts += [event.part.text] if type(event.part) is Text else []
            return []
        if not isinstance(event, Finished):
            return [event]
        summary = "\n\n".join(text for text in self._texts if text.strip())
        if not summary:
            return [Failed(IncompleteReply("the model wrote no summary of the conversation"))]
        content = seal(Thinking(texts=[summary], origin=_ORIGIN), with_text=True)
        item = UnknownPart(native=_ITEMS[0], raw={"type": _ITEMS[0], "encrypted_content": content})
        return [PartStarted(0, item), PartEnded(0, item), replace(event, reason="stop")]


def compaction(conversation: Conversation, target: Target) -> Compaction | None:
    """The compaction that a conversation asks for; None if it asks for none, or its provider has it.

    Raises:
        BadRequest: there is nothing to summarize.
    """
    *turns, last = conversation.turns or [Turn("user")]
    if _compacts(target) or not any(type(part) is UnknownPart and part.native == _TRIGGER for part in last.parts):
        return None
    if all(type(part) is UnknownPart for turn in turns for part in turn.parts):
        raise without_messages("openai_responses")
    return Compaction(conversation)
