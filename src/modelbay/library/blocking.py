"""The blocking counterparts of the objects that a Hub returns."""

from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Protocol, Self, TypeVar, Unpack

from modelbay.conversation import Conversation, Turn
from modelbay.errors import HubClosed
from modelbay.events import Event, OutputT, Reply
from modelbay.library import chat as library_chat
from modelbay.library import reply_stream, tool_run
from modelbay.library.chat import Question
from modelbay.library.one_reader import SecondReader
from modelbay.library.prompt import Ask
from modelbay.other_names import CHAT, RUN, STREAM, unknown
from modelbay.usage import Usage

T = TypeVar("T")


class Runner(Protocol):
    """An event loop in another thread."""

    def run(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Make and run a coroutine, and return its result."""

    def release(self, make: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Make and run a coroutine that releases something."""


class ReplyStream(Generic[OutputT]):
    """The blocking counterpart of the stream of `modelbay.Hub`: an iterator of events and a context manager.

    It can be read once, in one of these ways: the stream itself gives all events, `text` only the answer, `thinking` only the
    thinking. `reply` waits for the rest. The request is sent by `begin`, or when reading begins. The connection to the provider
    is closed at once if the context is left, or if any thread calls `close`, such as that of a window with a stop button. The
    stream then ends for its reader. A second reader at the same time is a RuntimeError.
    """

    def __init__(self, stream: reply_stream.ReplyStream[OutputT], runner: Callable[[], Runner]) -> None:
        self._stream = stream
        self._runner = runner
        self._events: Generator[Event, None, None] | None = None
        """The iterator of `next`."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            raise unknown(self, name, {**STREAM, "aclose": "close"})

    def __repr__(self) -> str:
        return repr(self._stream)

    def __iter__(self) -> Generator[Event, None, None]:
        return _read(aiter(self._stream), self._stream, self._runner)

    def __next__(self) -> Event:
        if self._events is None:
            self._events = iter(self)
        return next(self._events)

    def begin(self) -> Self:
        """Send the request, and wait for the first part of the reply, which is kept for the reader. Returns the stream. Errors
        that occur before the reply are raised here, so that a web server can still choose the status of its response.

        Raises:
            ModelbayError: the reply did not start.
        """
        self._runner().run(self._stream.begin)
        return self

    @property
    def text(self) -> Generator[str, None, None]:
        """The text of the answer in pieces, without thinking, refusals and calls.

        Raises:
            ModelbayError: the reply did not start, or failed.
        """
        return _read(self._stream.text, self._stream, self._runner)

    @property
    def thinking(self) -> Generator[str, None, None]:
        """The thinking in pieces. Raises what `text` raises."""
        return _read(self._stream.thinking, self._stream, self._runner)

    @property
    def partial(self) -> Generator[Any, None, None]:
        """The JSON answer so far, as Python values, each time it has grown by one percent. Objects and lists may lack members,
        and texts may be incomplete. For a value of the type `output`, use `stream.reply().value`. Raises what `text`
        raises."""
        return _read(self._stream.partial, self._stream, self._runner)

    def reply(self) -> Reply[OutputT]:
        """The whole reply. Waits for the rest of it.

        Raises:
            ModelbayError: it did not start, or failed. `reply` of the error has its complete parts.
            IncompleteReply: the stream was closed before the end of the reply.
        """
        return self._runner().run(self._stream.reply)

    def close(self) -> None:
        """Close the connection to the provider, unless the reply has ended."""
        with suppress(HubClosed):  # the closed hub has closed the connection, too
            self._runner().run(self._stream.aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ToolRun(Generic[OutputT]):
    """The blocking counterpart of the run of `modelbay.Hub`: an iterator of the events of all replies, with a `ToolRan` for each
    call between them, and a context manager. `reply` gives the last reply.

    It can be read once, by one thread. It ends at once if its context is left, or if any thread calls `close`.
    """

    def __init__(self, run: tool_run.ToolRun[OutputT], runner: Callable[[], Runner]) -> None:
        self._run = run
        self._runner = runner
        self._events: Generator[tool_run.RunEvent, None, None] | None = None
        """The iterator of `next`."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            raise unknown(self, name, {**RUN, "aclose": "close"})

    def __repr__(self) -> str:
        return repr(self._run)

    @property
    def turns(self) -> list[Turn]:
        """The conversation so far: the prompt, and the replies and results after it. If the run ended early, function calls
        without a result have one that says so."""
        return self._run.turns

    @property
    def steps(self) -> list[Reply]:
        """The replies so far."""
        return self._run.steps

    @property
    def usage(self) -> Usage:
        """The tokens of all replies together."""
        return self._run.usage

    @property
    def cost(self) -> float | None:
        """The cost of all replies in US dollars; None if that of one is unknown."""
        return self._run.cost

    def begin(self) -> Self:
        """Send the first request, and wait for the first part of its reply, which is kept for the reader. Returns the run.

        Raises:
            ModelbayError: the first reply did not start.
        """
        self._runner().run(self._run.begin)
        return self

    def reply(self) -> Reply[OutputT]:
        """The last reply. Waits for the rest of the run. A reply that calls a tool without a function also ends the run.

        Raises:
            ModelbayError: a reply did not start, or failed.
            TooManySteps: the model still calls tools after `max_steps` replies.
            IncompleteReply: the run was closed before its last reply.
        """
        return self._runner().run(self._run.reply)

    def __iter__(self) -> Generator[tool_run.RunEvent, None, None]:
        return _read(aiter(self._run), self._run, self._runner)

    def __next__(self) -> tool_run.RunEvent:
        if self._events is None:
            self._events = iter(self)
        return next(self._events)

    def close(self) -> None:
        """End the run: functions with `async` are cancelled, and the connection to the provider is closed."""
        with suppress(HubClosed):  # the closed hub has ended the run, too
            self._runner().run(self._run.aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Chat:
    """The blocking counterpart of the chat of `modelbay.Hub`: a conversation with a model, turn by turn. Each question is sent with
    all turns before it.

    A question and its reply become part of the chat when the reply has ended. If a stream is left early or fails, the text that
    was read becomes the answer. If there is none, the chat does not change. If `complete` fails, the chat does not change,
    except for an answer that is not a value of `output`.

    One question at a time: `ChatBusy` is raised by a second one. `copy` makes a chat for another question.
    """

    def __init__(self, chat: library_chat.Chat, runner: Callable[[], Runner]) -> None:
        self._chat = chat
        self._runner = runner

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            raise unknown(self, name, CHAT)

    def __repr__(self) -> str:
        return repr(self._chat)

    def __reduce__(self) -> Any:
        return self._chat.__reduce__()

    @property
    def model(self) -> str | Sequence[str] | None:
        return self._chat.model

    @model.setter
    def model(self, model: str | Sequence[str] | None) -> None:
        self._chat.model = model

    @property
    def settings(self) -> Ask:
        return self._chat.settings

    @settings.setter
    def settings(self, settings: Ask) -> None:
        self._chat.settings = settings

    @property
    def turns(self) -> list[Turn]:
        """The turns so far, without the system prompt. The list can be changed: `del chat.turns[-2:]` removes the last
        question and its answer."""
        return self._chat.turns

    @turns.setter
    def turns(self, turns: list[Turn]) -> None:
        self._chat.turns = turns

    @property
    def conversation(self) -> Conversation:
        """The chat as a prompt for any call: its turns, system prompt and other settings that a conversation has."""
        return self._chat.conversation

    @property
    def usage(self) -> Usage:
        """The tokens of all replies together, including those that were removed or interrupted."""
        return self._chat.usage

    @property
    def cost(self) -> float | None:
        """The cost of all replies in US dollars; None if the cost of one is unknown, for example of an interrupted reply."""
        return self._chat.cost

    @property
    def context(self) -> int:
        """Tokens of the last request and its reply."""
        return self._chat.context

    def complete(
        self, prompt: Question, *, model: str | Sequence[str] | None = None, **settings: Unpack[Ask[OutputT]]
    ) -> Reply[OutputT]:
        """The complete reply to the next question. `prompt` is a text or a list of turns, such as the results of tool calls. The
        other arguments are those of `Hub.complete`; they replace those of the chat for this question.

        Raises:
            TypeError, ValueError: an unknown setting or an invalid value; nothing was sent.
            ChatBusy: the reply to another question has not ended.
            ModelbayError: there is no complete reply.
        """
        return self._runner().run(lambda: self._chat.complete(prompt, model=model, **settings))

    def stream(
        self, prompt: Question, *, model: str | Sequence[str] | None = None, **settings: Unpack[Ask[OutputT]]
    ) -> ReplyStream[OutputT]:
        """The reply to the next question, which is read while it arrives. The arguments are those of `complete`.

        The question is sent, and becomes part of the chat, when reading begins. Use `with`, so that leaving it early ends
        the question at once.

        Raises:
            TypeError, ValueError: immediately, for an unknown setting or an invalid value.
            ChatBusy: when it is read, if the reply to another question has not ended.
            ModelbayError: when it is read, if the reply did not start.
        """
        return ReplyStream(self._chat.stream(prompt, model=model, **settings), self._runner)

    def run(
        self,
        prompt: Question,
        *,
        model: str | Sequence[str] | None = None,
        max_steps: int = 10,
        **settings: Unpack[Ask[OutputT]],
    ) -> ToolRun[OutputT]:
        """The next question, which the model answers with the help of functions: see `Hub.run`. All replies and results become
        part of the chat when the run ends, even if it ends early.

        Raises:
            TypeError, ValueError: immediately, for an unknown setting or an invalid value.
            ChatBusy: when it is read, if the reply to another question has not ended.
            ModelbayError: when it is read, if a reply did not start, or failed.
            TooManySteps: if the model still calls tools after `max_steps` replies.
        """
        return ToolRun(self._chat.run(prompt, model=model, max_steps=max_steps, **settings), self._runner)

    def copy(self) -> "Chat":
        """A chat with the same turns, totals, model and settings. Later questions of one do not change the other."""
        return Chat(self._chat.copy(), self._runner)

    def dumps(self) -> str:
        """The chat as a text for `Hub.load_chat`: its turns, totals, model and system prompt. API keys of the
        configuration are masked. Other settings, such as tools and headers, are not included.

        Raises:
            UnreadableChat: it would have more than 256 MB.
        """
        return self._chat.dumps()


async def _next(pieces: AsyncIterator[T]) -> T | None:
    return await anext(pieces, None)


def _read(
    pieces: AsyncIterator[T],
    stream: reply_stream.ReplyStream | tool_run.ToolRun,
    runner: Callable[[], Runner],
) -> Generator[T, None, None]:
    """The pieces of a stream, which is closed when the iteration is left. The generator is not kept by the stream: a loop that is
    left drops it at once."""
    running, next_step, closes = runner(), partial(_next, pieces), True
    try:
        while (piece := running.run(next_step)) is not None:
            yield piece
    except SecondReader:
        closes = False
        raise
    finally:
        if closes:
            running.release(stream.aclose)  # an interrupt may leave a step running
