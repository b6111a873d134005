"""Chooses an earlier message of the conversation to edit."""

from collections.abc import Sequence

from msgspec import Struct

from modelbay.catalog.summary import counted
from modelbay.conversation import Media, Turn
from modelbay.tui.dialogs.menu import Menu
from modelbay.tui.widgets.virtual_list import ListRow


class UserMessage(Struct):
    """A message that the user sent."""

    number: int
    """Index of its turn in the conversation."""
    text: str
    files: list[Media]
    later: int
    """Number of user messages after it."""


def messages(turns: Sequence[Turn]) -> list[UserMessage]:
    """The user's messages in order."""
    asked = [(number, turn) for number, turn in enumerate(turns) if turn.role == "user"]
    return [
        UserMessage(number, turn.text, [part for part in turn.parts if isinstance(part, Media)], len(asked) - at)
        for at, (number, turn) in enumerate(asked, 1)
    ]


class MessagePicker(Menu[UserMessage]):
    def __init__(self, sent: Sequence[UserMessage]) -> None:
        super().__init__("Edit an earlier message", sent, _row, find=self._containing, at=sent[-1])
        self.keys = "type to search · ↑↓ choose · Enter edit · Esc cancel"
        self._sent = sent

    def _containing(self, query: str) -> list[UserMessage]:
        words = query.casefold().split()
        return [one for one in self._sent if all(word in one.text.casefold() for word in words)]


def _row(message: UserMessage) -> ListRow:
    files = f"⊕ {len(message.files)} " if message.files else ""
    later = f"{counted(message.later, 'message')} after it" if message.later else "last message"
    return ListRow(" ".join(message.text.split())[:200], right=f"{files}{later}")
