"""A chat: a conversation with a model, turn by turn."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, NoReturn, Protocol, TypeAlias, Unpack, cast

from modelbay.conversation import Conversation, Text, Turn
from modelbay.errors import ChatBusy, ModelbayError
from modelbay.events import Event, Finished, OutputT, PartDelta, PartEnded, Reply
from modelbay.library import prompt as prompts
from modelbay.library.history import History, StoredHistory, unfinished
from modelbay.library.prompt import Ask, Prompt, check_type, checked
from modelbay.library.reply_stream import ReplyStream
from modelbay.library.tool_run import RunEvent, ToolRan, ToolRun
from modelbay.other_names import CHAT, unknown
from modelbay.usage import Usage

Question: TypeAlias = str | Sequence[Turn]
"""The text of a question, or turns, such as the results of tool calls."""
ROUNDS = 20
"""Rounds of the event loop in which a cancelled call ends, and a stream closes that was left without `async with`. It takes two."""


class Caller(Protocol):
    """The calls of a Hub."""

    async def complete(
        self, prompt: Prompt, *, model: str | Sequence[str] | None = None, **settings: Unpack[Ask[OutputT]]
    ) -> Reply[OutputT]: ...

    def stream(
        self, prompt: Prompt, *, model: str | Sequence[str] | None = None, **settings: Unpack[Ask[OutputT]]
    ) -> ReplyStream[OutputT]: ...

    def run(
        self,
        prompt: Prompt,
        *,
        model: str | Sequence[str] | None = None,
        max_steps: int = 10,
        **settings: Unpack[Ask[OutputT]],
    ) -> ToolRun[OutputT]: ...


class Chat:
    """A conversation with a model, turn by turn. Each question is sent with all turns before it.

    A question and its reply become part of the chat when the reply has ended. If a stream is left early, fails or is cancelled,
    the text that was read becomes the answer. If there is none, the chat does not change. If `complete` fails, the chat does
    not change, except for an answer that is not a value of `output`.

    One question at a time: `ChatBusy` is raised by a second one. `copy` makes a chat for another question.
    """

    def __init__(self, hub: Caller, history: History, model: str | Sequence[str] | None, settings: Ask) -> None:
        self._hub = hub
        self._history = history
        self._answering = Lock()
        self._paused = False
        """Whether a stream waits for its reader, who may have left it."""
        self._task: asyncio.Task[object] | None = None
        """The task that asked the question in progress."""
        self.model = model
        """The model of the next question, unless the call names another one. None: the default model."""
        self.settings = settings
        """The settings of all questions. A setting of a call replaces one of these."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            raise unknown(self, name, CHAT)

    def __repr__(self) -> str:
        return f"<Chat: {len(self.turns)} turns>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a chat belongs to a hub, so it cannot be pickled: pickle chat.dumps(); for a copy, call chat.copy()"
        )

    @property
    def turns(self) -> list[Turn]:
        """The turns so far, without the system prompt. The list can be changed: `del chat.turns[-2:]` removes the last
        question and its answer."""
        return self._history.turns

    @turns.setter
    def turns(self, turns: list[Turn]) -> None:
        self._history.turns = turns

    @property
    def conversation(self) -> Conversation:
        """The chat as a prompt for any call: its turns, system prompt and other settings that a conversation has."""
        return prompts.conversation(self.turns, self.settings)

    @property
    def usage(self) -> Usage:
        """The tokens of all replies together, including those that were removed or interrupted."""
        return self._history.usage

    @property
    def cost(self) -> float | None:
        """The cost of all replies in US dollars; None if the cost of one is unknown, for example of an interrupted reply."""
        return None if self._history.unpriced else self._history.known_cost or 0.0

    @property
    def context(self) -> int:
        """Tokens of the last request and its reply."""
        return self._history.context

    async def complete(
        self, prompt: Question, *, model: str | Sequence[str] | None = None, **settings: Unpack[Ask[OutputT]]
    ) -> Reply[OutputT]:
        """The complete reply to the next question. `prompt` is a text or a list of turns, such as the results of tool calls. The
        other arguments are those of `Hub.complete`; they replace those of the chat for this question.

        Raises:
            TypeError, ValueError: an unknown setting or an invalid value; nothing was sent.
            ChatBusy: the reply to another question has not ended.
            ModelbayError: there is no complete reply.
        """
        asked, model, settings = self._asked(prompt, model, settings)
        async with self._question(asked, settings) as question:
            try:
                reply = await self._hub.complete([*self.turns, *question], model=model, **_without_files(settings))
            except ModelbayError as error:
                if error.reply is not None:
                    self._history.count(error.reply)
                    self._history.add(question, _answer(error.reply))
                raise
            self._history.count(reply)
            self._history.add(question, reply.turn())
        return reply

    def stream(
        self, prompt: Question, *, model: str | Sequence[str] | None = None, **settings: Unpack[Ask[OutputT]]
    ) -> ReplyStream[OutputT]:
        """The reply to the next question, which is read while it arrives. The arguments are those of `complete`.

        The question is sent, and becomes part of the chat, when reading begins. Use `async with`, so that leaving it early ends
        the question at once.

        Raises:
            TypeError, ValueError: immediately, for an unknown setting or an invalid value.
            ChatBusy: when it is read, if the reply to another question has not ended.
            ModelbayError: when it is read, if the reply did not start.
        """
        asked, model, settings = self._asked(prompt, model, settings)
        sent: list[Turn] = []  # known when reading begins
        stream = self._hub.stream(sent, model=model, **_without_files(settings))
        return ReplyStream(self._streamed(stream, sent, asked, settings), partial(_reply, stream))

    async def _streamed(
        self, stream: ReplyStream, sent: list[Turn], asked: list[Turn], settings: Ask
    ) -> AsyncGenerator[Event, None]:
        async with self._question(asked, settings) as question:
            sent += [*self.turns, *question]
            read = _Read()
            try:
                async with stream:
                    async for event in stream:
                        read.add(event)
                        self._paused = True
                        yield event
                        self._paused = False
            finally:
                reply = await _reply_so_far(stream)
                if reply is not None:
                    self._history.count(reply)
                self._history.add(question, _answer(reply) if read.whole else unfinished(read.text))

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
            ModelbayError: when it is read or awaited, if a reply did not start, or failed.
            TooManySteps: if the model still calls tools after `max_steps` replies.
        """
        asked, model, settings = self._asked(prompt, model, settings)
        run = self._hub.run([], model=model, max_steps=max_steps, **_without_files(settings))
        return ToolRun(run.work, self._ran(run, asked, settings))

    async def _ran(self, run: ToolRun, asked: list[Turn], settings: Ask) -> AsyncGenerator[RunEvent, None]:
        async with self._question(asked, settings) as question:
            run.turns.extend([*self.turns, *question])
            start, read = len(run.turns), _Read()
            try:
                async with run:
                    async for event in run:
                        read.add(event)
                        self._paused = True
                        yield event
                        self._paused = False
            finally:
                self._ended(run, question, run.turns[start:], read)

    def _ended(self, run: ToolRun, question: list[Turn], added: list[Turn], read: "_Read") -> None:
        """Add a question, the turns that followed it, and the answer of a last reply that is not one of them."""
        for reply in run.steps:
            self._history.count(reply)
        if added:
            self.turns.extend([*question, *added])
            question = []
        error = run.work.error
        last: Reply | None = error.reply if error is not None else None
        if last is not None and any(last is reply for reply in run.steps):
            return  # the run ended after too many steps
        if last is not None:
            self._history.count(last)
        if not run.work.whole:
            answer = _answer(last) if read.whole else None
            self._history.add(question, answer or unfinished(read.text))

    def copy(self) -> "Chat":
        """A chat with the same turns, totals, model and settings. Later questions of one do not change the other."""
        return Chat(self._hub, self._history.copied(), self.model, self.settings.copy())

    def dumps(self) -> str:
        """The chat as a text for `Hub.load_chat`: its turns, totals, model and system prompt. API keys of the
        configuration are masked. Other settings, such as tools and headers, are not included.

        Raises:
            UnreadableChat: it would have more than 256 MB.
        """
        model = self.model if self.model is None or isinstance(self.model, str) else list(self.model)
        return StoredHistory.of(self._history, model, self.settings.get("system")).text()

    def _asked(
        self, prompt: Question, model: str | Sequence[str] | None, settings: Ask
    ) -> tuple[list[Turn], str | Sequence[str] | None, Ask]:
        """The turns of a question, and the model and settings of its call. Raises TypeError or ValueError."""
        if isinstance(prompt, Conversation):
            raise TypeError("prompt must be a string or a list of turns: a chat has its own settings")
        model = self.model if model is None else model
        check_type(self.turns, list[Turn], "turns")
        merged = checked(prompt, model, cast(Ask, {**self.settings, **settings}), empty=prompt == [])
        return prompts.conversation(prompt, {}).turns, model, merged

    @asynccontextmanager
    async def _question(self, asked: list[Turn], settings: Ask) -> AsyncIterator[list[Turn]]:
        """The question with its files, while no other one is asked.

        Raises:
            ChatBusy: another one is being answered.
            UnreadableFile: a file cannot be opened.
        """
        rounds = ROUNDS
        while not self._answering.acquire(blocking=False):
            if not (rounds and (self._paused or self._is_cancelled())):
                raise ChatBusy(
                    "the chat has not finished its last reply",
                    hint="read its stream to the end or close it, or use chat.copy() for several questions at a time",
                )
            rounds -= 1
            await asyncio.sleep(0)
        self._paused, self._task = False, asyncio.current_task()
        try:
            if prompts.has_paths(settings):
                settings = await asyncio.to_thread(prompts.with_open_files, settings)
            yield prompts.conversation(asked, {"files": settings.get("files")}).turns
        finally:
            self._task = None
            self._answering.release()

    def _is_cancelled(self) -> bool:
        return self._task is not None and self._task.cancelling() > 0


def new_chat(hub: Caller, model: str | Sequence[str] | None, settings: Ask) -> Chat:
    """A chat without turns. Raises TypeError or ValueError."""
    return Chat(hub, History(), model, _of_chat(model, settings))


def loaded_chat(hub: Caller, text: str, model: str | Sequence[str] | None, settings: Ask) -> Chat:
    """The chat of a text that `Chat.dumps` made. Raises TypeError, ValueError or UnreadableChat."""
    settings = _of_chat(model, settings)
    stored = StoredHistory.read(text)
    if stored.system is not None:
        settings = {"system": stored.system, **settings}
    return Chat(hub, stored.history(), stored.model if model is None else model, settings)


def _of_chat(model: str | Sequence[str] | None, settings: Ask) -> Ask:
    """The settings of a chat, validated."""
    if "files" in settings:
        raise TypeError("files are not a setting of a chat: pass them with a question")
    return checked([], model, settings, empty=True)


def _without_files(settings: Ask) -> Ask:
    """The settings of the call: the files are part of the question, and so of the history."""
    return cast(Ask, {name: value for name, value in settings.items() if name != "files"})


async def _reply(stream: ReplyStream) -> Reply:
    """The reply of a stream, which is not sent if it was not read. Raises the error of a reply that failed."""
    await stream.aclose()
    return await stream.reply()


async def _reply_so_far(stream: ReplyStream) -> Reply | None:
    """The reply of a stream that was read or closed, or its parts; None if it did not start."""
    try:
        return await _reply(stream)
    except ModelbayError as error:
        reply: Reply | None = error.reply
        return reply


def _answer(reply: Reply | None) -> Turn | None:
    """The turn of a reply that has ended."""
    return reply.turn() if reply is not None and reply.finish is not None else None


class _Read:
    """The events of a reply that were read."""

    def __init__(self) -> None:
        self.whole = False
        """Whether they are all."""
        self._pieces: dict[int, list[str]] = {}

    def add(self, event: RunEvent) -> None:
        if type(event) is PartDelta:
            if event.kind == "text":
                self._pieces.setdefault(event.key, []).append(event.text)
        elif type(event) is PartEnded:
            if type(event.part) is Text:
                self._pieces[event.key] = [event.part.text]
            else:  # a text may turn out to be thinking
                self._pieces.pop(event.key, None)
        elif type(event) is Finished:
            self.whole = True
        elif type(event) is ToolRan:  # the next reply follows
            self.whole = False
            self._pieces.clear()

    @property
    def text(self) -> str:
        return "".join(piece for pieces in self._pieces.values() for piece in pieces)
