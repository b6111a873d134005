"""Calls with many prompts, some at a time."""

from asyncio import TaskGroup
from collections.abc import Awaitable, Callable, Iterable

from msgspec import Struct

from modelbay.conversation import Conversation
from modelbay.errors import ModelbayError
from modelbay.events import Reply
from modelbay.library.prompt import Ask, Count, Prompt, check_type, checked
from modelbay.usage import changed


class ManyPrompts(Struct):
    """Checked prompts with the settings of their calls."""

    asked: list[tuple[Prompt, Ask]]
    limit: int
    """Maximum number of calls at a time."""
    progress: Callable[[int, Reply], object] | None


def many_prompts(
    prompts: Iterable[Prompt],
    model: object,
    limit: int,
    progress: Callable[[int, Reply], object] | None,
    settings: Ask,
) -> ManyPrompts:
    """The prompts of `Hub.map`, before anything is sent.

    Raises:
        TypeError, ValueError: an unknown setting or an invalid value.
    """
    check_type(limit, Count, "limit")
    if isinstance(prompts, str | Conversation) or not isinstance(prompts, Iterable):
        raise TypeError(f"prompts must be a list of prompts, not {type(prompts).__qualname__}")
    if progress is not None and not callable(progress):
        raise TypeError(f"progress must be a function, not {type(progress).__qualname__}")
    asked = [
        (prompt, checked(prompt, model, settings, where=f"prompts[{place}]")) for place, prompt in enumerate(prompts)
    ]
    return ManyPrompts(asked, limit, progress)


async def replies(many: ManyPrompts, complete: Callable[[Prompt, Ask], Awaitable[Reply]]) -> list[Reply]:
    """The replies in the order of the prompts. That of a call that failed has its error."""
    waiting = iter(enumerate(many.asked))
    found = [Reply() for _ in many.asked]

    async def work() -> None:
        for place, (prompt, ask) in waiting:
            try:
                found[place] = await complete(prompt, ask)
            except ModelbayError as error:
                found[place] = changed(error.reply or Reply(), error=error)
            if many.progress is not None:
                many.progress(place, found[place])

    failed: BaseException | None = None
    try:
        async with TaskGroup() as group:
            for _ in range(min(many.limit, len(many.asked))):
                group.create_task(work())
    except BaseExceptionGroup as errors:
        failed = errors.exceptions[0]
    if failed is not None:  # raised out here, so that the group is not its context
        raise failed
    return found
