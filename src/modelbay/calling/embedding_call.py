"""Sends the texts of a call for embeddings in batches, several at a time.

Each batch is sent `Policy.attempts` times at most. While one of them waits, nothing else is sent: a rate limit is that of all.
"""

from asyncio import TaskGroup, get_running_loop, sleep
from collections import deque
from collections.abc import Callable
from weakref import WeakKeyDictionary

from msgspec import Struct
from msgspec.structs import replace

from modelbay.calling.next_attempt import next_attempt
from modelbay.calling.opened import Sending
from modelbay.calling.provider_client import ProviderClient
from modelbay.calling.target import Target
from modelbay.embedding import EmbeddingRequest, Embeddings
from modelbay.errors import (
    BadRequest,
    ContentRefused,
    ContextOverflow,
    MalformedReply,
    ModelbayError,
    RequestTooLarge,
    Unsupported,
)
from modelbay.events import Warned
from modelbay.protocols.form import form_of, is_json, web_page
from modelbay.routing.retry import Policy
from modelbay.usage import Usage, sum_of

CONCURRENT = 8
"""Maximum number of batches at a time."""
_TOKEN_BYTES = 2
"""Bytes of UTF-8 in a token, at least on average: four in English, three in Chinese."""
_most_texts: WeakKeyDictionary[Target, int] = WeakKeyDictionary()
"""The maximum number of texts in a request that targets were found to accept."""


class _Batch(Struct):
    """Texts that are sent together, by their places."""

    places: list[int]
    divided: bool = False
    """Whether it is the first text of a rejected batch."""
    failures: int = 0


class EmbeddingCall:
    def __init__(
        self,
        client: ProviderClient,
        target: Target,
        asked: EmbeddingRequest,
        policy: Policy | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """`headers` are added to each request.

        Raises:
            Unsupported: the target's protocol does not have embeddings.
        """
        dialect, codec = target.upstream.dialect, target.codec.EMBEDDINGS
        if codec is None:
            name, protocol = target.model.alias or target.model.id, target.upstream.protocol
            raise Unsupported(
                f"{name} does not make embeddings: the protocol {protocol} has none",
                setting="model",
                hint="use an embedding model of a provider with another protocol",
            )
        self.attempts = 0
        """Requests that were sent."""
        self._client = client
        self._target = target
        self._codec = codec
        self._asked = asked
        self._policy = policy or client.policy
        self._headers = headers or {}
        self._bytes = dialect.embedding_tokens * _TOKEN_BYTES
        self._most = _most_texts.get(target, dialect.embedding_texts)
        self._waiting = deque(range(len(asked.texts)))
        self._pause_end = 0.0
        """Time of the event loop until which nothing is sent, as a batch failed."""
        self._vectors: list[list[float]] = [[]] * len(asked.texts)
        self._replies: list[Embeddings] = []
        self._warnings: dict[str, Warned] = {}
        self._warned: Callable[[Warned], object] | None = None

    async def run(self, warned: Callable[[Warned], object] | None = None) -> Embeddings:
        """The vectors of all texts. `warned` is called for each failed attempt that is followed by another.

        Raises:
            ModelbayError: a request failed for good.
        """
        self._warned = warned
        failed: list[ModelbayError] = []
        try:
            async with TaskGroup() as self._group:
                for _ in range(min(CONCURRENT, len(self._waiting))):
                    self._group.create_task(self._work())
        except* ModelbayError as errors:
            failed += [error for error in errors.exceptions if isinstance(error, ModelbayError)]
        if failed:
            raise failed[0]
        if self._most < self._target.upstream.dialect.embedding_texts:
            _most_texts[self._target] = self._most
        usages = [reply.usage for reply in self._replies]
        counted = [usage for usage in usages if usage is not None]
        usage = sum_of(counted) if len(counted) == len(usages) else None
        if len(usages) == 1 and usage is not None:
            usage.raw = counted[0].raw
        named = next((reply.model for reply in self._replies if reply.model), None)
        return Embeddings(
            self._vectors,
            named or self._target.model.id,
            usage if usages else Usage(input=0, output=0),
            list(self._warnings.values()),
            self._target.upstream.provider.id,
        )

    async def _work(self) -> None:
        while (batch := self._next()) is not None:
            await self._embed(batch)

    def _next(self) -> _Batch | None:
        """The next texts to send together, or None."""
        places: list[int] = []
        size = 0
        while self._waiting and len(places) < self._most:
            size += len(self._asked.texts[self._waiting[0]].encode("utf-8", "replace"))
            if places and size > self._bytes:
                break
            places.append(self._waiting.popleft())
        return _Batch(places) if places else None

    async def _embed(self, batch: _Batch) -> None:
        """Send a batch until it succeeds. One that a provider rejects may be too large, so it is divided: its first text is
        sent alone, and if that is rejected, too, the size is not the reason."""
        while True:
            try:
                reply = await self._sent(batch)
            except (BadRequest, RequestTooLarge) as error:
                if len(batch.places) == 1:
                    self._name_text(error, batch.places[0])
                    raise
                self._most = max(1, min(self._most, len(batch.places) // 2))
                first, *rest = batch.places
                self._waiting.extendleft(reversed(rest))
                batch = _Batch([first], divided=True)
                continue
            if reply is None:
                continue
            for place, vector in zip(batch.places, reply.vectors, strict=True):
                self._vectors[place] = vector
            self._replies.append(reply)
            if batch.divided:
                self._group.create_task(self._work())  # others may have ended, as nothing was waiting
            return

    def _name_text(self, error: ModelbayError, place: int) -> None:
        """Name the text that an error is about, unless it is the only one."""
        if isinstance(error, ContextOverflow | ContentRefused) and len(self._vectors) > 1:
            error.message = f"texts[{place}]: {error.message}"
            error.args = (error.message,)

    async def _sent(self, batch: _Batch) -> Embeddings | None:
        """The reply to a batch; None if it failed and shall be sent again now.

        Raises:
            ModelbayError: it failed for good.
        """
        texts = [self._asked.texts[place] for place in batch.places]
        to, model = self._target.upstream, self._target.model
        call = self._codec.render_request(replace(self._asked, texts=texts), model, to.dialect)
        call.headers |= self._headers
        for warning in call.warnings:
            self._warnings[warning.message] = warning
        sending = Sending(self._target, call, await self._client.endpoint(self._target, call.path, stream=False))
        sending.attempts = self._policy.count()
        if (pause := self._pause_end - get_running_loop().time()) > 0:
            await sleep(pause)
        try:
            return await self._received(sending, len(texts))
        except ModelbayError as error:
            batch.failures += 1
            delay, warning = next_attempt(self._client, sending, error, batch.failures, self._policy, "embed")
            self._warnings[warning.message] = warning
            if self._warned is not None:
                self._warned(warning)
            self._pause_end = get_running_loop().time() + delay
            return None
        finally:
            self.attempts += sending.attempts.made

    async def _received(self, sending: Sending, count: int) -> Embeddings:
        response = await self._client.attempt(sending)
        async with response:
            body = await response.read()
        if form_of(response.headers, sending.endpoint.protocol, stream=False) == "page" and not is_json(body):
            raise web_page(body)
        reply = self._codec.parse_reply(body, count)
        self._check_lengths(reply.vectors)
        return reply

    def _check_lengths(self, vectors: list[list[float]]) -> None:
        """Raise Unsupported if the vectors do not have the requested length, and MalformedReply if not that of other batches."""
        wanted = self._asked.dimensions or next((reply.dimensions for reply in self._replies), None)
        for vector in vectors:
            wanted = wanted or len(vector)
            if len(vector) == wanted:
                continue
            message = f"the provider returned a vector of {len(vector)} dimensions instead of {wanted}"
            if self._asked.dimensions is not None:
                hint = "remove `dimensions`, or use a model that can shorten its vectors"
                raise Unsupported(message, setting="dimensions", hint=hint)
            error = MalformedReply(message)
            error.retryable = False
            raise error
