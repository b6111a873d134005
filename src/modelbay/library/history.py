"""The history of a chat: its turns and their usage, and the text that stores them."""

from collections.abc import Callable
from functools import cache
from typing import Any, Self

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from modelbay.conversation import Text, Turn
from modelbay.conversion import convert, exact
from modelbay.errors import MalformedReply, UnreadableChat
from modelbay.events import Reply
from modelbay.json_text import decode, decode_as, encode
from modelbay.secrecy import stored
from modelbay.usage import Usage, changed, sum_of

VERSION = 1
"""Version of the format of stored chats. A new field of a part needs a new version: older programs would lose the field."""
LARGEST = 256 * 2**20
"""Maximum characters of a stored chat."""


class History(Struct, kw_only=True):
    """The turns of a chat, and the usage of all its replies."""

    turns: list[Turn] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    """The tokens of all replies together."""
    context: int = 0
    """Tokens of the last request and its reply."""
    costs: list[Callable[[], float | None]] = field(default_factory=list)
    """The costs of the replies since the chat was made or loaded. They are looked up when they are needed: the first price takes a
    quarter of a second."""
    earlier_cost: float | None = None
    """US dollars of the replies before those, as far as their prices are known; None without one."""
    earlier_unpriced: int = 0
    """Number of the replies before those whose price or usage is unknown."""

    @property
    def known_cost(self) -> float | None:
        """US dollars of all replies whose price is known; None without one."""
        costs = [self.earlier_cost, *(cost() for cost in self.costs)]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if known else None

    @property
    def unpriced(self) -> int:
        """Number of replies whose price or usage is unknown."""
        return self.earlier_unpriced + sum(cost() is None for cost in self.costs)

    def add(self, question: list[Turn], answer: Turn | None) -> None:
        """Add a question with its answer. Without an answer, the turns do not change: a chat that ends with a question would have
        two in a row."""
        if answer is not None and answer.parts:
            self.turns += [*question, answer]

    def count(self, reply: Reply) -> None:
        """Add the usage and the cost of a reply."""
        priced = changed(reply, parts=[], warnings=[], extra=None)
        self.costs.append(cache(lambda: priced.cost))
        if reply.usage is not None:
            self.usage = sum_of([self.usage, reply.usage])
            self.context = reply.usage.total

    def copied(self) -> "History":
        """A history with the same turns and totals."""
        return History(
            turns=list(self.turns),
            usage=replace(self.usage),
            context=self.context,
            costs=list(self.costs),
            earlier_cost=self.earlier_cost,
            earlier_unpriced=self.earlier_unpriced,
        )


def unfinished(text: str) -> Turn:
    """The answer that remains of a reply that did not end: providers accept thinking, calls and citations only if they are
    complete."""
    return Turn("assistant", [Text(text=text)] if text else [])


class StoredHistory(Struct, omit_defaults=True):
    """A chat as it is stored."""

    modelbay_chat: int
    """The version of the format."""
    turns: list[Turn]
    model: str | list[str] | None = None
    system: str | None = None
    usage: Usage = field(default_factory=Usage)
    context: int = 0
    known_cost: float | None = None
    unpriced: int = 0

    @classmethod
    def of(cls, history: History, model: str | list[str] | None, system: str | None) -> Self:
        return cls(
            VERSION,
            [_storable(turn) for turn in history.turns],
            model,
            system,
            history.usage,
            history.context,
            history.known_cost,
            history.unpriced,
        )

    def history(self) -> History:
        return History(
            turns=self.turns,
            usage=self.usage,
            context=self.context,
            earlier_cost=self.known_cost,
            earlier_unpriced=self.unpriced,
        )

    def text(self) -> str:
        """The chat as JSON in one line, without the API keys of the configuration.

        Raises:
            UnreadableChat: it is larger than what `read` accepts.
        """
        text = _masked(self)
        if len(text) > LARGEST:
            raise UnreadableChat(
                f"the chat cannot be stored: it has {_size(len(text))}, more than {_size(LARGEST)}",
                hint="remove large files from `turns`",
            )
        return text

    @classmethod
    def read(cls, text: str) -> Self:
        """The chat in a text.

        Raises:
            UnreadableChat: it is not a chat, or a newer version of modelbay wrote it.
        """
        if not isinstance(text, str):
            raise TypeError(f"text must be a string, not {type(text).__qualname__}")
        if len(text) > LARGEST:
            raise UnreadableChat(f"the text is not a chat: it has {_size(len(text))}, more than {_size(LARGEST)}")
        try:
            found = decode(exact(text))
            _check_version(found)
            return convert(found, cls)
        except (MalformedReply, msgspec.ValidationError) as error:
            raise UnreadableChat(f"the text is not a chat: {error}") from None


def stored_turn(turn: Turn) -> bytes:
    """A turn as JSON, without the API keys of the configuration: a server may have repeated one."""
    return _masked(_storable(turn)).encode()


def turn_of(data: bytes | str) -> Turn:
    """The turn that `stored_turn` wrote.

    Raises:
        MalformedReply: it is not a turn; the message contains only the reason.
    """
    return decode_as(data, Turn)


def _storable(turn: Turn) -> Turn:
    """The turn without the functions of its tools, which exist in this process only."""
    if turn.tools is None:
        return turn
    return replace(turn, tools=[replace(tool, function=None) for tool in turn.tools])


def _masked(value: Struct) -> str:
    return stored(encode(value).decode())


def _check_version(found: Any) -> None:
    version = found.get("modelbay_chat") if isinstance(found, dict) else None
    if type(version) is not int or version < 1:
        raise UnreadableChat("the text is not a chat: it has no `modelbay_chat` with a version")
    if version > VERSION:
        raise UnreadableChat(
            f"a newer version of modelbay wrote the chat: its format is {version}, this version reads {VERSION}",
            hint="upgrade modelbay",
        )


def _size(characters: int) -> str:
    return f"{characters / 2**20:.0f} MB"
