"""Input tokens as providers count them, learned from the usage in their replies.

An estimate begins at the most similar request whose count is known, and only the difference is estimated: an earlier one
of the same conversation, or one of the same agent. So prompts that a provider adds are included.

Processes that use one file learn from each other's requests: each adds those of the others when it stores its own.

The factors of a model are learned, too. Each reply corrects them by recursive least squares: the factors that are least
certain are changed most, and a single surprising count changes little.
"""

import threading
from collections.abc import Iterable
from functools import cache
from hashlib import blake2b
from time import monotonic

from msgspec import Struct, field

from modelbay.calling.target import Target
from modelbay.conversation import Conversation, Media, Text
from modelbay.counting import text_tokens
from modelbay.counting.token_estimates import Estimate, estimate
from modelbay.counting.token_factors import FACTORS, TABLE
from modelbay.errors import MalformedReply, StoreError
from modelbay.json_text import decode_as, encode
from modelbay.storage.state_table import ClientStates, State, StateTable

_UNCERTAIN = {
    "base": 20.0, "system": 2.0, "turn": 2.0, "tools": 70.0, "tool": 7.0, "property": 4.0,
    "text": 0.1, "schema": 0.2, "document": 14.0, "call": 10.0, "result": 4.0, "thinking": 0.2, "opaque": 70.0, "format": 0.3,
    "has_format": 28.0, "forced": 28.0, "named": 28.0, "added": 40.0, "cited": 70.0, "reasons": 10.0, "media": 0.2,
    "argument": 3.0, "parallel": 2.0, "provided": 0.1, "has_json": 10.0, "unreasoned": 2.0, "no_system": 4.0,
}  # fmt: skip
"""Standard deviations of a family's factors for one model of it."""
_NOISE = 0.06
"""Standard deviation of an estimate with the right factors, as a share of the tokens."""
_SURPRISE = 2.0
"""Standard deviations up to which a count is used unchanged."""
_FORGOTTEN = 1.005
"""Growth of uncertainty with each reply: providers change their prompts."""
_KNOWN = 64
"""Maximum number of counted requests that are kept for a model."""
_SIMILAR = 1.25
"""A count replaces one of the same agent if it is at most this many times larger. Small ones are more useful."""
_TARGETS = 128
"""Maximum number of models whose counts are in memory."""
_SAVE = 30.0
"""Seconds between two times at which the counts of a model are stored."""
_AGENT = "agent "
"""The beginning of the key of an agent."""
_COMPARED = 65_536
"""Characters of each part of a first message by which conversations are distinguished."""
_SEEN = 512
"""Maximum number of requests of other processes that are remembered for a model, so that each is learned from once."""


@cache
def _kind() -> str:
    """The kind of the stored counts. Those of another version, which has other factors, are not read."""
    weights = sorted(text_tokens.TABLES.iterdir(), key=lambda table: table.name)
    tables = b"".join(table.read_bytes() for table in (TABLE, *weights))
    return f"counts {blake2b(' '.join(FACTORS).encode() + tables, digest_size=4).hexdigest()}"


class Counted(Struct):
    """A request that a provider counted."""

    amounts: list[float]
    tokens: int
    complete: bool = False
    """Whether the factors are learned from it."""


class ModelCounts(Struct):
    """The counts of one model: its factors, and the last requests that it counted."""

    factors: list[float]
    covariance: list[list[float]]
    requests: dict[str, Counted] = field(default_factory=dict)
    """By key, the last used one last."""

    @classmethod
    def new(cls, factors: list[float]) -> "ModelCounts":
        size = len(FACTORS)
        rows = [[0.0] * size for _ in FACTORS]
        for index, name in enumerate(FACTORS):
            rows[index][index] = _UNCERTAIN[name] ** 2
        return cls(list(factors), rows)

    def tokens(self, amounts: list[float], keys: Iterable[str]) -> int:
        """The tokens of a request, from the most similar one."""
        nothing = Counted([0.0] * len(FACTORS), 0)
        near = [nothing, *(self.requests[key] for key in keys if key in self.requests)]
        factors = [max(0.0, each) for each in self.factors]  # an estimate cannot be negative
        changes = [[f * (new - old) for f, new, old in zip(factors, amounts, one.amounts, strict=True)] for one in near]
        differences = [sum(map(abs, change)) for change in changes]
        best = differences.index(min(differences))
        return max(1, round(near[best].tokens + sum(changes[best])))

    def learn(self, expected: "Expected", tokens: int) -> None:
        if expected.estimate.complete:
            self._correct(expected.estimate.amounts, tokens)
        agent, conversation = expected.keys
        known = self.requests.pop(agent, None)
        counted = Counted(expected.estimate.amounts, tokens, expected.estimate.complete)
        self.requests[agent] = counted if known is None or tokens <= known.tokens * _SIMILAR else known
        self.requests.pop(conversation, None)
        self.requests[conversation] = counted
        self._drop()

    def adopt(self, others: dict[str, Counted]) -> None:
        """Learn from requests that other processes counted. Of two for one key, the later one of a conversation is kept, and
        the smaller one of an agent."""
        for key, counted in others.items():
            known = self.requests.get(key)
            of_agent = key.startswith(_AGENT)
            if known is None or (counted.tokens < known.tokens if of_agent else counted.tokens > known.tokens):
                self.requests[key] = counted
            if counted.complete and not of_agent:  # each is there for its agent, too
                self._correct(counted.amounts, counted.tokens)
        self._drop()

    def _drop(self) -> None:
        while len(self.requests) > _KNOWN:
            del self.requests[next(iter(self.requests))]

    def _correct(self, amounts: list[float], tokens: int) -> None:
        used = [(index, amount) for index, amount in enumerate(amounts) if amount]
        error = tokens - sum(self.factors[index] * amount for index, amount in used)
        gain = [sum(row[index] * amount for index, amount in used) for row in self.covariance]
        uncertain = sum(gain[index] * amount for index, amount in used)
        # a count far from all expectations has the weight of one that is just possible
        variance = max(uncertain + (_NOISE * tokens) ** 2 + 1, (error / _SURPRISE) ** 2)
        for index, each in enumerate(gain):
            self.factors[index] += each * error / variance
            row = self.covariance[index]
            row[:] = [value - each * other / variance for value, other in zip(row, gain, strict=True)]
        self._forget()

    def _forget(self) -> None:
        for index, name in enumerate(FACTORS):
            row = self.covariance[index]
            row[index] = min(row[index] * _FORGOTTEN, _UNCERTAIN[name] ** 2)


class Expected(Struct):
    """The expected count of a request, to be compared with the provider's."""

    tokens: int
    estimate: Estimate
    keys: tuple[str, str]


class LearnedCounts:
    """Counts of all models. Methods take time for long conversations and may read and write a file: call them in a thread.
    No method raises an error if the file cannot be used."""

    def __init__(self, table: StateTable | None) -> None:
        self._table = table
        self._models: dict[str, ModelCounts] = {}
        self._asked: set[str] = set()
        """Models for which a client asked for a count."""
        self._saved: dict[str, float] = {}
        self._seen: dict[str, dict[tuple[str, int], None]] = {}
        """For each model, keys and tokens of the requests that this process learned from."""
        self._lock = threading.Lock()

    def expect(self, target: Target, conversation: Conversation) -> Expected:
        """The count that is expected of a target for a conversation."""
        upstream = target.upstream
        found = estimate(conversation, target.model, upstream.protocol, upstream.dialect)
        keys = _keys(conversation)
        with self._lock:
            tokens = self._of(target, found).tokens(found.amounts, keys)
        return Expected(tokens, found, keys)

    def learn(self, target: Target, expected: Expected, tokens: int) -> None:
        """Compare an expectation with the count in the reply."""
        with self._lock:
            known = self._of(target, expected.estimate)
            known.learn(expected, tokens)
            self._see(_name(target), ((key, tokens) for key in expected.keys))
            self._save(_name(target), known)

    def ask(self, target: Target) -> None:
        """Note that clients need counts of a target, so that it is worth the time to learn from all its replies."""
        if len(self._asked) >= _TARGETS:
            self._asked.clear()
        self._asked.add(_name(target))

    def is_asked(self, target: Target) -> bool:
        return bool(self._asked) and _name(target) in self._asked

    def _of(self, target: Target, found: Estimate) -> ModelCounts:
        name = _name(target)
        known = self._models.pop(name, None) or self._read(name) or ModelCounts.new(found.factors)
        self._models[name] = known
        while len(self._models) > _TARGETS:
            dropped = next(iter(self._models))
            del self._models[dropped]
            self._saved.pop(dropped, None)
            self._seen.pop(dropped, None)
        return known

    def _read(self, name: str) -> ModelCounts | None:
        if self._table is None or self._table.is_missing():
            return None
        try:
            with self._table.reading("") as rows:
                known = _stored(rows, name)
        except StoreError as error:
            self._table.report(error)
            return None
        if known is not None:
            self._see(name, ((key, one.tokens) for key, one in known.requests.items()))
        return known

    def _see(self, name: str, requests: Iterable[tuple[str, int]]) -> None:
        seen = self._seen.setdefault(name, {})
        for request in requests:
            seen.pop(request, None)
            seen[request] = None
        while len(seen) > _SEEN:
            del seen[next(iter(seen))]

    def _save(self, name: str, known: ModelCounts) -> None:
        now = monotonic()
        if self._table is None or now - self._saved.get(name, -_SAVE) < _SAVE:
            return
        self._saved[name] = now
        try:
            with self._table.writing("") as rows:
                if (stored := _stored(rows, name)) is not None:
                    seen = self._seen.setdefault(name, {})
                    new = {key: one for key, one in stored.requests.items() if (key, one.tokens) not in seen}
                    known.adopt(new)
                    self._see(name, ((key, one.tokens) for key, one in new.items()))
                rows.put(_kind(), [State(name, encode(known))], replace=True)
        except StoreError as error:
            self._table.report(error)


def _stored(rows: ClientStates, name: str) -> ModelCounts | None:
    content = rows.get(_kind(), name)
    try:
        return None if content is None else decode_as(content, ModelCounts)
    except MalformedReply:
        return None


def _name(target: Target) -> str:
    return f"{target.origin} {target.upstream.protocol} {target.model.id}"


def _keys(conversation: Conversation) -> tuple[str, str]:
    """Keys of the agent and of the conversation. An agent is known by its tools, or else by its system prompt, a conversation
    by its first message. Some agents write a new number into their system prompt for each request."""
    agent, first = blake2b(digest_size=12), blake2b(digest_size=12)
    for tool in conversation.settings.tools or ():
        agent.update(encode([tool.name, tool.description, tool.schema]))
    asked = False
    for turn in conversation.turns:
        if turn.role in ("system", "developer") and not conversation.settings.tools:
            agent.update(turn.text.encode("utf-8", "surrogatepass"))
        elif turn.role == "user" and not asked:
            asked = True
            for part in turn.parts:
                text = part.text if type(part) is Text else part.data or part.url if type(part) is Media else None
                first.update((text or "")[:_COMPARED].encode("utf-8", "surrogatepass"))
    return f"{_AGENT}{agent.hexdigest()}", f"conversation {first.hexdigest()}"
