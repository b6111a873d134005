"""Sends a call until a provider begins to reply.

A call is retried if its error is retryable and no part of the reply was shown yet: after an error status, a broken
connection, or a failure inside a reply. A parameter that an endpoint rejects by name is adapted once; the adaptation is
stored if the adapted call succeeds, and kept in memory if it fails for another reason. Attempts are limited by
`Policy.attempts`, and adaptations by `MOST_CHANGES`.
"""

from asyncio import sleep
from collections.abc import Callable
from functools import partial
from time import time
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from modelbay.calling.next_attempt import next_attempt
from modelbay.calling.opened import Consume, Opened, Sending
from modelbay.calling.provider_client import ProviderClient, adapted
from modelbay.calling.unmatched_calls import match_results
from modelbay.errors import BadRequest, MalformedReply, ModelbayError
from modelbay.events import Warned
from modelbay.protocols.defaults import changes_nothing
from modelbay.providers.adaptation import Adaptation, adapt, adaptation, preview_lessons, stop_thinking, stops_to_cut
from modelbay.providers.refused_reasoning import PLACEHOLDERS, with_placeholders, without_reasoning
from modelbay.providers.unknown_fields import HEADER, previews, previews_of, without_previews
from modelbay.routing.retry import Policy, heed
from modelbay.secrecy import without_frames

if TYPE_CHECKING:
    from modelbay.transport.direct import DirectResponse

MOST_CHANGES = 8
"""Maximum number of changes of one call that do not count as attempts."""


class Opening:
    """A call that is sent until one attempt begins to reply."""

    _delay = 0.0
    """Seconds to wait before the next attempt."""

    def __init__(
        self,
        client: ProviderClient,
        sending: Sending,
        policy: Policy | None = None,
        consume: Consume | None = None,
        begun: "DirectResponse | None" = None,
    ) -> None:
        """With `consume`, the reply is relayed: see `Opened.relay`. `begun`: the first attempt, if it was sent already."""
        self._begun = begun
        self.sending = sending
        self._client = client
        self._policy = policy or client.policy
        self._consume = consume
        self._lessons: list[Adaptation] = []
        self._refusal = ""
        """The message of the error that taught the last of them."""
        self._warnings: list[Warned] = []
        """Warnings about the next attempt that were not returned yet."""
        sending.attempts = self._policy.count()

    async def opened(self, warned: Callable[[Warned], object] | None = None) -> Opened:
        """The opened call. `warned` gets the warnings until then: what was adapted, and each failed attempt. Raises what `step`
        raises."""
        while isinstance(step := await self.step(), Warned):
            if warned is not None:
                warned(step)
        return step

    async def step(self) -> Warned | Opened:
        """The result of the next attempt: a warning if there will be another one, or the opened call, which the caller must close.
        If it was relayed, it is closed.

        Raises:
            ModelbayError: the reply did not start; the error has the number of attempts.
        """
        if self._warnings:
            return self._warnings.pop(0)
        if self._delay:
            await sleep(self._delay)
        try:
            opened = await self._attempt()
        except ModelbayError as error:
            return self._failed(error)
        self._learn(confirmed=True)
        self._client.confirm(self.sending.target, self.sending.call.warnings)
        return opened

    def _learn(self, *, confirmed: bool) -> None:
        for lesson in self._lessons:
            self._client.learn(self.sending.target, lesson, confirmed=confirmed)

    async def _attempt(self) -> Opened:
        """One attempt. If the reply is relayed, to its end.

        Raises:
            ModelbayError: it failed before its reply showed anything.
        """
        sending = self.sending
        begun, self._begun = self._begun, None
        response = await self._client.attempt(sending, begun)
        opened = Opened(sending, response, self._explained)
        try:
            if self._consume is None:
                await opened.hold()
            else:
                await opened.relay(self._consume)
                await opened.aclose()
        except BaseException as error:
            await opened.aclose()
            if isinstance(error, ModelbayError):
                heed(error, response.headers, b"", time())
            raise
        return opened

    def _failed(self, error: ModelbayError) -> Warned:
        """The warning about the next attempt, and about changes for it. Raises the error if there is none."""
        attempts = self.sending.attempts
        without_frames(error)  # they refer to the attempt, whose memory would wait for the garbage collector
        if error.message != self._refusal:
            self._learn(confirmed=False)
        if isinstance(error, BadRequest) and attempts.left and (change := _change(error, self.sending)):
            # nothing was generated, and an agent's request may need several changes: unknown fields, repairs of its history
            attempts.limit += attempts.limit < self._policy.attempts + MOST_CHANGES
            self._lessons += change.lessons
            self._refusal = error.message
            self._delay = 0.0
            first, *self._warnings = change.warnings
            return first
        self._delay, warning = next_attempt(self._client, self.sending, error, attempts.made, self._policy)
        return warning

    def _explained(self, error: ModelbayError) -> ModelbayError:
        return self._client.explained(error, self.sending.endpoint, model=self.sending.target.model.id)


class _Change(Struct):
    """A change of a call after an error that names the reason."""

    warnings: list[Warned]
    """At least one."""
    lessons: list[Adaptation] = []
    """Set if the change is needed for every call to the endpoint."""


def _about(lesson: Adaptation, fields: dict[str, Any]) -> Warned:
    """The warning about a lesson. Without a default value, or with stop sequences that are applied here, the request means the
    same, so only its next attempt is reported."""
    warning = adapted(lesson)
    default = lesson.parameter in fields and changes_nothing(lesson.parameter, fields[lesson.parameter])
    if lesson.cuts or (lesson.drops and default):
        warning.retry, warning.dropped = True, False
    return warning


def _change(error: BadRequest, sending: Sending) -> _Change | None:
    """Change a rejected call so that this error does not occur again, if the error says how."""
    call, rules = sending.call, sending.target.codec.PASS
    try:
        fields = call.fields
        lessons = preview_lessons(error, call.headers, fields, rules)
        if not lessons and (lesson := adaptation(error, fields, rules)):
            lessons = [lesson]
        if lessons:
            names = previews(call.headers.get(HEADER, ""))
            gone = previews_of(names, [lesson.parameter for lesson in lessons], rules.betas)
            without_previews(call.headers, gone.union(lesson.preview for lesson in lessons))
            warnings = [_about(lesson, fields) for lesson in lessons]
            call.stops = [*call.stops, *stops_to_cut(fields, lessons)]
            call.edit(partial(adapt, lessons=lessons, rules=rules))
            return _Change(warnings, lessons)
        if call.edit(partial(without_reasoning, error)):
            call.reasoning_refused = True
            message = "`reasoning` of earlier replies is not sent: the provider does not accept its signatures"
            return _Change([Warned(message, "reasoning_state", dropped=True)])
        if call.edit(partial(with_placeholders, error)):
            return _Change([Warned(PLACEHOLDERS)])
        if call.edit(partial(stop_thinking, error)):
            message = "`reasoning` is not sent: the thinking before the last tool calls is missing"
            return _Change([Warned(message, "reasoning", dropped=True)])
        if match_results(error, sending):
            return _Change([Warned("tool calls and results that did not match are repaired")])
    except MalformedReply:
        pass  # a client's text that is nested too deeply to be changed
    return None
