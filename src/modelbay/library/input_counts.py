"""Estimates of the input tokens of a hub's calls, corrected by the counts in its replies."""

import os
from asyncio import to_thread
from typing import TYPE_CHECKING

from modelbay.calling.target import Target
from modelbay.conversation import Conversation, ServerToolCall
from modelbay.events import Reply

if TYPE_CHECKING:
    from modelbay.counting.learned_counts import Expected, LearnedCounts
    from modelbay.counting.provider_count import TokenCount


class InputCounts:
    """The estimates of a hub. It learns from the replies of the targets that were estimated before, and only in memory. A forked
    child begins with nothing."""

    def __init__(self) -> None:
        self._learned: LearnedCounts | None = None
        self._process = 0

    async def estimated(self, target: Target, conversation: Conversation) -> "TokenCount":
        """The estimate for a request to a target. From now on, its replies are learned from."""
        from modelbay.counting.learned_counts import LearnedCounts
        from modelbay.counting.provider_count import TokenCount

        learned = self._of_this_process()
        if learned is None:
            learned, self._process = LearnedCounts(None), os.getpid()
            self._learned = learned
        learned.ask(target)
        expected = await to_thread(learned.expect, target, conversation)
        return TokenCount(expected.tokens, estimated=True)

    async def expected(self, target: Target, conversation: Conversation) -> "list[Expected]":
        """The count that the reply to a request is compared with; none if its target was not estimated before."""
        learned = self._of_this_process()
        if learned is None or not learned.is_asked(target):
            return []
        return [await to_thread(learned.expect, target, conversation)]

    def learn(self, target: Target, expected: "list[Expected]", reply: Reply) -> None:
        """Compare an expected count with the one in the reply, once."""
        learned, usage = self._of_this_process(), reply.usage
        # a provider's own tools count what they found, too
        if reply.error is not None or any(type(part) is ServerToolCall for part in reply.parts):
            return
        if expected and learned is not None and usage is not None and usage.input_total:
            learned.learn(target, expected.pop(), usage.input_total)

    def _of_this_process(self) -> "LearnedCounts | None":
        """None in a forked child, whose parent may have held the lock."""
        return self._learned if self._process == os.getpid() else None
