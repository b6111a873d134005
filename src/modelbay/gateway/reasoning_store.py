"""Reasoning state that clients do not send back: signatures, encrypted reasoning, thought signatures, thinking.

Claude Code removes thinking from its histories, and other clients drop fields that they do not know. Providers refuse a
tool loop without the state, or their models think worse. So the state of each reply is kept here, and is put back into
later requests at the same place, for the same provider.

A place is found by the conversation before a reply and by the tool of the reply's first call, or by its text if it has no
calls. Of several replies at a place, the one whose first call has the same ID or the same arguments is meant: clients change
either one, as Claude Code adds defaults to arguments. Cache control, system prompts and the white space of the model's texts are
not compared, because clients change them, and later places do not depend on IDs and arguments. An edited history matches from its
beginning up to the edit.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import dropwhile
from operator import is_
from time import sleep
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from modelbay.calling.target import Target
from modelbay.conversation import (
    AnyPart,
    Conversation,
    Provenance,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    Turn,
)
from modelbay.errors import MalformedReply, StoreError
from modelbay.events import Reply
from modelbay.gateway.reasoning_places import Maker, Run, digest, likeness, runs_of, text_of
from modelbay.json_text import decode, decode_as, encode
from modelbay.protocols import opaque
from modelbay.protocols.openai_responses.items import has_phase
from modelbay.providers.refused_reasoning import UNSIGNED
from modelbay.storage.files import FRESH
from modelbay.storage.state_table import ClientStates, Found, State, StateTable

_REASONING, _SIGNATURE, _MAKER = "reasoning", "signature", "maker"
"""The kinds of rows: state of a reply by its place, makers of signatures by their digest, and the makers of both. A row about a
signature or a maker has a variant if this maker refused it, or has refused one."""
_VISIBLE = Text | Refusal | ToolCall
"""Parts that every client sends back."""
_THINKING = "thinking"
"""The tag of a thinking part in envelopes."""
_SIGNED = rb"signature|redacted_thinking|encrypted_content|thoughtSignature|thought_signature|reasoning_details|reasoning_opaque"
_STATE = re.compile(rb'"(?:' + _SIGNED + rb')"|"thinking"\s*:\s*"')
"""Is in every body that contains a signature or thinking without one. One pattern, as a search for each field reads a large body
many times."""
_STATE_OR_THINKING = re.compile(rb'"(?:' + _SIGNED + rb'|reasoning_content)"')
"""Is in every body that contains reasoning that its provider accepts. Gemini's thoughts without a signature are ignored."""
_CALLS = re.compile(rb'"(?:tool_use|tool_calls|function_call|custom_tool_call|functionCall|function_call_output)"')
"""Is in every body that contains a tool call of the model."""
_STRING = rb'("[^"\\]*(?:\\.[^"\\]*)*")'
_SIGNATURES = re.compile(
    rb'"(?:signature|data|encrypted_content|thoughtSignature|thought_signature|reasoning_opaque)"'
    rb"\s*:\s*" + _STRING
)
_THOUGHTS = re.compile(rb'"thinking"\s*:\s*' + _STRING)


class Note(Struct):
    """A note that a client has state of a maker."""

    maker: Maker
    refused: bool
    """Whether this maker refused the state."""


class KeptState(Struct, omit_defaults=True):
    """The state of one part of a reply."""

    envelope: str
    part: str = ""
    """Digest of the part that the state belongs to; "" if the part itself is kept."""
    calls: int = 0
    """Number of tool calls before it."""
    text: int = 0
    """Length of the text before it, without white space."""


class ReasoningStore:
    """Methods read and write a file: call them in a thread. No method raises an error if the file cannot be used."""

    def __init__(self, table: StateTable) -> None:
        self._table = table
        self.is_empty = table.is_missing
        """Whether nothing is stored."""
        self.close = table.close

    def keep(self, client: str, target: Target, conversation: Conversation, reply: Reply) -> None:
        """Keep the state of a reply to a client's conversation."""
        maker = Maker.of(target)
        own = [part if part.origin is not None else _from(part, target.provenance) for part in reply.parts]
        signatures = [part.opaque for part in own if part.opaque]
        # a provider that stores the conversation has its state as well, and only the end of the history is known here
        states = {} if conversation.settings.state else _states(conversation, own, maker)
        if not signatures and not states:
            return
        try:
            with self._writing(client, maker) as rows:
                content = encode(maker)
                known = [State(digest(signature), content) for signature in signatures]
                rows.put(_SIGNATURE, known, replace=True)
                # the first state at a place stays, so that later requests begin with the same bytes
                rows.put(_REASONING, [state for state in states if self._table.fits(state.content)], replace=False)
        except StoreError as error:
            self._table.report(error)

    def restore(self, client: str, target: Target, conversation: Conversation) -> Conversation:
        """The conversation with the state that the target gave and the client did not send back, and without state of
        other providers that the client sent as its own, or that the target refused. The same object if nothing changes."""
        maker = Maker.of(target)
        runs = list(runs_of(conversation.turns))
        if not runs or self._table.is_missing():
            return conversation
        turns = conversation.turns
        try:
            turns = self._without_foreign(client, maker, conversation)
            runs = runs if turns is conversation.turns else list(runs_of(turns))
            if not conversation.settings.state:
                if conversation.protocol == maker.protocol:
                    # until then, the conversation was passed on as it is, and prompt caches have it in this form
                    runs = list(dropwhile(lambda run: not any(type(part) is ToolCall for part in run.parts), runs))
                turns = self._with_kept(client, maker, turns, runs, conversation.protocol)
        except StoreError as error:
            self._table.report(error)
        return conversation if turns is conversation.turns else replace(conversation, turns=turns)

    def refuse(self, client: str, target: Target, conversation: Conversation, accepted: bytes) -> None:
        """Note that the target refused the state in a conversation, so that later requests do not contain it. `accepted`: the
        body without it, which may still have state."""
        maker = Maker.of(target)
        content = encode(maker)
        states = [part for turn in conversation.turns for part in turn.parts if _is_state(part)]
        lost = {_known_by(part) for part in states if not all(encode(one) in accepted for one in _proofs(part))}
        valid = {part.opaque for part in states if part.opaque and _known_by(part) not in lost}
        places = [
            place
            for run in runs_of(conversation.turns)
            if valid.isdisjoint(part.opaque for part in run.parts) and (place := run.place(maker)) is not None
        ]
        refused = [State(known, content, maker.refusal) for known in lost]
        try:
            with self._writing(client, maker, refused=True) as rows:
                rows.put(_SIGNATURE, refused, replace=False)
                rows.delete(_REASONING, places)
        except StoreError as error:
            self._table.report(error)

    @contextmanager
    def _writing(self, client: str, maker: Maker, *, refused: bool = False) -> Iterator[ClientStates]:
        """The rows of a client, with a note that it has some of a maker. `concerns` looks only for the note, so it must not expire
        before the rows. Raises StoreError."""
        variant = "refused" * refused
        with self._table.writing(client) as rows:
            yield rows
            known = any(note.variant == variant for note in rows.find(_MAKER, [maker.digest]))
            rows.put(_MAKER, [State(maker.digest, encode(Note(maker, refused)), variant)], replace=True)
        if not known:
            sleep(FRESH)  # until all processes know it

    def concerns(self, client: str, target: Target, body: bytes, *, passes: bool) -> bool:
        """Whether what is stored may change a request. It is not waited for, so the answer may be a false yes. `passes`: the body
        is in the target's own protocol, and is passed on otherwise."""
        if self.is_empty():
            return False
        rows = self._table.at_once(client, _MAKER)
        if rows is None:
            return True
        maker, notes = Maker.of(target), [_note(row) for row in rows]
        own = any(note.maker == maker for note in notes)
        if not passes:  # another provider's state is translated from its envelope, or left out
            return own
        foreign = any(note.maker == maker if note.refused else not maker.accepts(note.maker) for note in notes)
        return (foreign and self.may_contain_state(body)) or (own and self.may_lack_state(body))

    def may_contain_state(self, body: bytes) -> bool:
        """Whether a body can contain a signature, or thinking without one."""
        return _STATE.search(body) is not None

    def may_lack_state(self, body: bytes) -> bool:
        """Whether a body contains tool calls of the model and no reasoning."""
        return _CALLS.search(body) is not None and _STATE_OR_THINKING.search(body) is None

    def is_foreign(self, client: str, target: Target, body: bytes) -> bool:
        """Whether a request in the target's own protocol contains a signature that is known to be another provider's, or that the
        target refused. Such a request cannot be passed on unchanged."""
        if self.is_empty() or not self.may_contain_state(body):
            return False
        found = {digest(_unescaped(signature)) for signature in _SIGNATURES.findall(body)}
        found |= {_unsigned(_unescaped(thought)) for thought in _THOUGHTS.findall(body)}
        try:
            return bool(self._foreign(client, Maker.of(target), found))
        except StoreError as error:
            self._table.report(error)
            return False

    def _foreign(self, client: str, maker: Maker, digests: Iterable[str]) -> dict[str, bool]:
        """The digests of signatures that are known to be another provider's, or that this maker refused, and whether it did."""
        with self._table.reading(client) as rows:
            found = rows.find(_SIGNATURE, digests)
            makers = rows.contents(row.id for row in found if not row.variant)
        foreign = (row for row in found if row.id in makers and not maker.accepts(decode_as(makers[row.id], Maker)))
        refused = (row for row in found if row.variant == maker.refusal)
        return dict.fromkeys((row.key for row in foreign), False) | dict.fromkeys((row.key for row in refused), True)

    def _without_foreign(self, client: str, maker: Maker, conversation: Conversation) -> list[Turn]:
        turns, same = conversation.turns, conversation.protocol == maker.protocol
        # of the state of other providers in envelopes, renderers write none
        own = {
            _known_by(part)
            for turn in turns
            for part in turn.parts
            if _is_state(part) and (same if part.origin is None else _is_of(part, maker))
        }
        if not own or not (foreign := self._foreign(client, maker, own)):
            return turns
        changed = []
        for turn in turns:
            parts = [_without_state(part, foreign) for part in turn.parts]
            kept = [part for part in parts if part is not None]
            if kept or not turn.parts:
                # the ID of an item of Responses refers to the reasoning before it
                item = replace(turn.item, id=None) if turn.item is not None and turn.role == "assistant" else turn.item
                changed.append(replace(turn, parts=kept, item=item))
        return changed

    def _with_kept(
        self, client: str, maker: Maker, turns: list[Turn], runs: list[Run], protocol: str | None
    ) -> list[Turn]:
        places = [(place, run) for run in runs if (place := run.place(maker)) is not None]
        found: dict[str, list[Found]] = {}
        with self._table.reading(client) as rows:
            for row in rows.find(_REASONING, (place for place, _ in places)):
                found.setdefault(row.key, []).append(row)
            rows_of = {run.start: _chosen(found[place], run) for place, run in places if place in found}
            chosen = {start: row for start, row in rows_of.items() if row is not None}
            contents = rows.contents(row.id for row in chosen.values())
        self._touch(client, maker, chosen.values())
        changed = list(turns)
        for run in reversed(runs):
            if run.start in chosen and (content := contents.get(chosen[run.start].id)):
                states = decode_as(content, list[KeptState])
                changed[run.start : run.end] = _restored(turns[run.start : run.end], run, states, protocol)
        same = len(changed) == len(turns) and all(map(is_, changed, turns))
        return turns if same else changed

    def _touch(self, client: str, maker: Maker, read: Iterable[Found]) -> None:
        """Mark rows that were read as used."""
        if old := self._table.aging(read):
            try:
                with self._writing(client, maker) as rows:
                    rows.touch(old)
            except StoreError as error:  # they were read
                self._table.report(error)


@lru_cache(maxsize=256)
def _note(content: bytes) -> Note:
    return decode_as(content, Note)


def may_have_state(reply: Reply) -> bool:
    """Whether a reply has reasoning or another state that its provider needs again."""
    return any(part.opaque or type(part) is Thinking or has_phase(part) for part in reply.parts)


# --- state of a reply --------------------------------------------------------------------------------------------------


def _states(conversation: Conversation, own: list[AnyPart], maker: Maker) -> list[State]:
    """The state of a reply at its place; empty if it has none or no place."""
    turns = [*conversation.turns, Turn("assistant", own)]
    run = deque(runs_of(turns), maxlen=1).pop()
    place = run.place(maker)
    called = any(type(part) is ToolCall for part in own)
    kept: list[KeptState] = []
    calls = text = 0
    for part in run.parts:
        # before a tool call, some providers require even thinking without a signature; no provider accepts a summary alone
        whole = type(part) is Thinking and bool(part.text) and not part.summary
        thought = type(part) is Thinking and (part.opaque is not None or (called and whole))
        if _is_of(part, maker) and (thought or part.opaque is not None or has_phase(part)):
            apart = thought or (type(part) is Text and not part.text)
            kept.append(
                KeptState(opaque.seal(part, with_text=True), "" if apart else likeness(part), calls=calls, text=text)
            )
        calls += type(part) is ToolCall
        text += len(text_of([part]))
    return [State(place, encode(kept), run.variant)] if kept and place is not None else []


def _is_of(part: AnyPart, maker: Maker) -> bool:
    return part.origin is not None and opaque.belongs(part, maker.protocol, maker.vendor, maker.family)


def _from(part: AnyPart, origin: Provenance) -> AnyPart:
    return replace(part, origin=origin)


def _chosen(rows: list[Found], run: Run) -> Found | None:
    """The state that was given with the run's own call: the one with its ID, otherwise the first one with its arguments. None if
    there is only state of other calls."""
    arguments, _, id = run.variant.partition(" ")
    by_id = (row for row in rows if id and row.variant.partition(" ")[2] == id)
    return next(by_id, None) or next((row for row in rows if row.variant.partition(" ")[0] == arguments), None)


class _Missing(NamedTuple):
    """A part of a reply that the client did not send back."""

    state: KeptState
    part: AnyPart


def _restored(turns: list[Turn], run: Run, states: list[KeptState], protocol: str | None) -> list[Turn]:
    """The turns of a run with its state. `protocol` is that of the client."""
    apart = protocol == "openai_responses"  # whose turns are items
    parts = [*run.parts]
    for state in states:
        if state.part:
            _restore_part(parts, state)
    missing = deque(_missing(parts, states, protocol))
    rewritten = any(type(one.part) is Thinking for one in missing)
    last = max(index for index, part in enumerate(parts) if isinstance(part, _VISIBLE))
    out: list[Turn] = []
    index = calls = text = 0
    for turn in turns:
        own: list[AnyPart] = []
        for part in parts[index : index + len(turn.parts)]:
            if isinstance(part, _VISIBLE):
                while missing and _goes_before(missing[0], part, calls, text, last=index == last):
                    _insert(missing.popleft().part, own, out, apart=apart)
                calls += type(part) is ToolCall
                text += len(text_of([part]))
            if not (rewritten and type(part) is Thinking):
                own.append(part)
            index += 1
        if len(own) == len(turn.parts) and all(map(is_, own, turn.parts)):
            out.append(turn)
        elif own:
            out.append(replace(turn, parts=own))
    for one in missing:
        if apart:
            out.append(Turn("assistant", [one.part]))
        else:
            out[-1] = replace(out[-1], parts=[*out[-1].parts, one.part])
    return out


def _goes_before(one: _Missing, part: AnyPart, calls: int, text: int, *, last: bool) -> bool:
    """Whether a missing part belongs before a text or call. Clients may have joined texts, and moved them before calls.

    Thinking is never the last part: providers refuse that.
    """
    if last and type(one.part) is Thinking:
        return True
    return one.state.calls <= calls and (type(part) is ToolCall or one.state.text <= text)


def _insert(part: AnyPart, own: list[AnyPart], out: list[Turn], *, apart: bool) -> None:
    if apart:
        out.append(Turn("assistant", [part]))
    else:
        own.append(part)


def _restore_part(parts: list[AnyPart], state: KeptState) -> None:
    """Restore the state of one of the parts, unless the client sent it: another call of the same tool has none then."""
    found = opaque.unseal(state.envelope)
    if found is None or (found[1].opaque and any(part.opaque == found[1].opaque for part in parts)):
        return
    alike: int | None = None
    calls = 0
    for index, part in enumerate(parts):
        if part.opaque is None and type(part) is not Thinking and likeness(part) == state.part:
            if type(part) is not ToolCall or calls == state.calls:  # of calls of one tool, the one at the same place
                alike = index
                break
            alike = index if alike is None else alike
        calls += type(part) is ToolCall
    if alike is not None:
        parts[alike] = restored = replace(parts[alike])
        opaque.restore(restored, *found)


def _missing(parts: list[AnyPart], states: list[KeptState], protocol: str | None) -> list[_Missing]:
    """The parts of their own that a run does not contain. If thinking is missing, all thinking is, as the client may have
    changed the rest."""
    own = [_Missing(state, part) for state in states if not state.part and (part := _opened(state)) is not None]
    missing = [one for one in own if not any(_same(one.part, part, protocol) for part in parts)]
    if any(type(one.part) is Thinking for one in missing):
        return [one for one in own if type(one.part) is Thinking or one in missing]
    return missing


def _opened(state: KeptState) -> AnyPart | None:
    found = opaque.unseal(state.envelope)
    if found is None:
        return None
    part: AnyPart = Thinking() if found[1].kind == _THINKING else Text()
    opaque.restore(part, *found)
    return part


def _same(one: AnyPart, part: AnyPart, protocol: str | None) -> bool:
    """Whether a part of the client's history is one that was kept, with its origin."""
    if type(one) is not type(part) or one.opaque != part.opaque or one.origin is None:
        return False
    if part.origin != one.origin and not (part.origin is None and one.origin.protocol == protocol):
        return False
    return one.opaque is not None or _thought(one) == _thought(part)


def _thought(part: AnyPart) -> str:
    return "".join(part.text.split()) if isinstance(part, Thinking | Text) else ""


def _without_state(part: AnyPart, foreign: dict[str, bool]) -> AnyPart | None:
    """The part without a signature that the provider does not accept; None if it is nothing without it. A provider that refused the
    signature of a call requires one, and has accepted the placeholder."""
    if not _is_state(part) or (refused := foreign.get(_known_by(part))) is None:
        return part
    if type(part) is Thinking:
        return None
    return replace(part, opaque=UNSIGNED if refused and type(part) is ToolCall else None)


def _is_state(part: AnyPart) -> bool:
    """Whether a provider may refuse a part of its own: for its signature, or thinking because it has none."""
    return bool(part.opaque) or type(part) is Thinking


def _known_by(part: AnyPart) -> str:
    """The key of a refusal of a part: the digest of its signature, or of thinking without one."""
    return digest(part.opaque) if part.opaque else _unsigned("".join(_proofs(part)))


def _proofs(part: AnyPart) -> list[str]:
    """The values in a body that show that a part is sent."""
    return [part.opaque] if part.opaque else part.texts if type(part) is Thinking else []


def _unsigned(text: str) -> str:
    return digest("", text)


def _unescaped(text: bytes) -> str:
    """The value of a JSON string."""
    try:
        return str(decode(text))
    except MalformedReply:
        return ""
