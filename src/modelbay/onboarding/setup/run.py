"""The state of a setup: given values, answers and fetched documents. The next step is computed from it."""

from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

from modelbay.config.schema import Config
from modelbay.credentials.approval import typed
from modelbay.errors import ModelbayError
from modelbay.onboarding.setup.steps import Given, SetupNote, SetupQuestion
from modelbay.secrecy import register

T = TypeVar("T")


class MissingAnswer(Exception):
    """A flow needs an answer to this question."""

    def __init__(self, question: SetupQuestion) -> None:
        super().__init__(question.field)
        self.question = question


class SetupRun:
    """A flow runs from its beginning after each answer. It reads the answers here, and the first missing answer ends the run.
    Fetched results are kept, so that a new answer repeats only the requests that depend on it.
    """

    def __init__(self, config: Config, given: Given, doing: Callable[[str], object]) -> None:
        self.config = config
        self.given = given
        self.answers: dict[str, str] = {}
        """Answers by field, in the order in which they were given."""
        self.notes: dict[SetupNote, None] = {}
        self._doing = doing
        self.accepted: dict[str, str] = {}
        """Checked answers by field, so that a flow with many questions does not check them again."""
        self._fetched: dict[Hashable, Any] = {}

    def note(self, text: str, *, warns: bool = False) -> None:
        self.notes[SetupNote(text, warns)] = None

    def ask(
        self, question: SetupQuestion, check: Callable[[str], str | None] | None = None, given: str | None = None
    ) -> str:
        """The answer to a question, or else the `given` value. `check` returns the problem with a value, or None.

        Raises:
            MissingAnswer: there is no answer yet, or it is invalid.
        """
        answered = question.field in self.answers
        value = self.answers[question.field] if answered else given
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
        """Ask a question again because its answer was wrong.

        Raises:
            MissingAnswer: always.
        """
        self.answers.pop(question.field, None)
        question.problem = problem
        raise MissingAnswer(question)

    def kept(self, key: Hashable, make: Callable[[], T]) -> T:
        """The result of `make`, which is called only once for each key."""
        if key not in self._fetched:
            self._fetched[key] = make()
        found: T = self._fetched[key]
        return found

    async def once(self, key: Hashable, words: str, make: Callable[[], Awaitable[T]]) -> T:
        """The result of `make`, which is awaited only once for each key. `words`: status message."""
        if key not in self._fetched:
            self._doing(words)
            self._fetched[key] = await make()
        found: T = self._fetched[key]
        return found

    async def tried(self, key: Hashable, words: str, make: Callable[[], Awaitable[T]]) -> T | ModelbayError:
        """Like `once`, but an error is kept and returned."""

        async def attempt() -> T | ModelbayError:
            try:
                return await make()
            except ModelbayError as error:
                return error

        return await self.once(key, words, attempt)
