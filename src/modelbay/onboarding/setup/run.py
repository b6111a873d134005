"""What was given and answered so far, from which the next step is worked out."""

from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

from modelbay.config.schema import Config
from modelbay.credentials.approval import typed
from modelbay.errors import ModelbayError
from modelbay.onboarding.setup.steps import Given, SetupNote, SetupQuestion
from modelbay.secrecy import register

T = TypeVar("T")


class MissingAnswer(Exception):
    """A question whose answer is missing."""

    def __init__(self, question: SetupQuestion) -> None:
        super().__init__(question.field)
        self.question = question


class SetupRun:
    """The flows of adding and editing are run from their beginning after each answer. They read answers here; the first that
    is missing ends the run. What was fetched is kept, so that an answer fetches only what depends on it.
    """

    def __init__(self, config: Config, given: Given, doing: Callable[[str], object]) -> None:
        self.config = config
        self.given = given
        self.said: dict[str, str] = {}
        """The answers by field, in the order they were given."""
        self.notes: dict[SetupNote, None] = {}
        self._doing = doing
        self.accepted: dict[str, str] = {}
        """Answers by field that were checked: a flow with many questions does not check them again."""
        self._fetched: dict[Hashable, Any] = {}

    def note(self, text: str, *, warns: bool = False) -> None:
        self.notes[SetupNote(text, warns)] = None

    def ask(
        self, question: SetupQuestion, check: Callable[[str], str | None] | None = None, given: str | None = None
    ) -> str:
        """The answer to a question, or what was given for it. `check` says what is wrong with an answer.

        Raises:
            MissingAnswer: there is no answer yet, or it is wrong.
        """
        answered = question.field in self.said
        value = self.said[question.field] if answered else given
        if value is None:
            raise MissingAnswer(question)
        value = value.strip()
        problem = check(value) if check and (value or question.required) else None
        if problem is None and question.required and not value:
            problem = "Required"
        if problem is None and question.options and value not in [option.value for option in question.options]:
            problem = f"must be one of: {', '.join(option.value for option in question.options)}"
        if problem is not None:
            self.again(question, problem)
        if question.secret:
            register(value)
            typed(value)
        return value

    def again(self, question: SetupQuestion, problem: str) -> None:
        """Asks a question whose answer turned out to be wrong.

        Raises:
            MissingAnswer: always.
        """
        self.said.pop(question.field, None)
        question.problem = problem
        raise MissingAnswer(question)

    def kept(self, key: Hashable, make: Callable[[], T]) -> T:
        """The result of `make`, which is called the first time only."""
        if key not in self._fetched:
            self._fetched[key] = make()
        found: T = self._fetched[key]
        return found

    async def once(self, key: Hashable, words: str, make: Callable[[], Awaitable[T]]) -> T:
        """What `make` fetches, the first time; `words` say what is being done."""
        if key not in self._fetched:
            self._doing(words)
            self._fetched[key] = await make()
        found: T = self._fetched[key]
        return found

    async def tried(self, key: Hashable, words: str, make: Callable[[], Awaitable[T]]) -> T | ModelbayError:
        """The same; an error is kept and returned."""

        async def attempt() -> T | ModelbayError:
            try:
                return await make()
            except ModelbayError as error:
                return error

        return await self.once(key, words, attempt)
