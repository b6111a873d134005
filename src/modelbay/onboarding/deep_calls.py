"""The calls of a deep test: within the agreed cost, and judged by one rule.

Calls go the same way as the user's, but without facts of earlier tests, and without limits and missing capabilities of lists,
so that they can be observed again.
"""

from collections.abc import Awaitable, Callable
from typing import Unpack

from msgspec import Struct, field

from modelbay.catalog.facts import PROBE, Facts
from modelbay.catalog.lookup import Catalog
from modelbay.config.schema import ModelEntry
from modelbay.dialect import Dialect
from modelbay.errors import (
    AuthenticationFailed,
    ConfigError,
    ContentRefused,
    ContextOverflow,
    ModelbayError,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    TransportError,
    Unsupported,
)
from modelbay.events import Event, Reply, collect
from modelbay.hub import Hub
from modelbay.library.prompt import Ask, Prompt
from modelbay.onboarding.deep_plan import CostEstimate
from modelbay.onboarding.model_checks import LONGEST, WORD, Check, ModelChecks, refused
from modelbay.providers.upstream import Upstream
from modelbay.storage.probes import ProbeRecord
from modelbay.usage import Usage

ASKED = 10_000_000
"""Maximum output tokens that no model has: a provider that checks them names its limit."""
COUNTS = ("input", "cache_read", "cache_write", "cache_write_1h", "output", "reasoning")
"""The counts of a usage."""
_RUNAWAY = 4
"""A reply may have this many times the requested output tokens: some providers do not count thinking."""
_ENDING = (AuthenticationFailed, ConfigError, QuotaExhausted, RateLimited, Overloaded, TransportError)
"""Errors that all further calls would have, too."""


class Unbiased(Catalog):
    """Facts for a test: without those of earlier tests, and as if the model had what is tested."""

    def record(self, entry: ModelEntry, found: Upstream) -> ProbeRecord | None:
        return None

    def facts(self, entry: ModelEntry, found: Upstream) -> list[tuple[Facts, str]]:
        assumed = Facts(
            max_context_tokens=2 * ASKED,
            max_input_tokens=2 * ASKED,
            max_output_tokens=2 * ASKED,
            capabilities={"image_in": True, "tool_use": True, "call_signatures": False},
        )
        return [(assumed, PROBE), *super().facts(entry, found)]


class Stopped(Exception):
    """The test of a model ends before its last check."""

    def __init__(self, reason: str, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


class Spent(Struct):
    """The calls and tokens of a test so far."""

    calls: int = 0
    usage: Usage = field(default_factory=Usage)

    def add(self, usage: Usage | None) -> None:
        self.calls += 1
        if usage is not None:
            for name in COUNTS:
                if (count := getattr(usage, name)) is not None:
                    setattr(self.usage, name, (getattr(self.usage, name) or 0) + count)


class DeepCalls(ModelChecks):
    """Calls of one model, within the calls and tokens of `most`."""

    def __init__(self, hub: Hub, provider: str, name: str, to: Upstream, most: CostEstimate) -> None:
        super().__init__(hub, provider, name)
        self.spent = Spent()
        self.dialect: Dialect = to.dialect
        self.to = to
        self.streams = False
        """Whether the provider only answers with streams."""
        self.counts = False
        """Whether token counts grow with the prompt, so that they show what was ignored."""
        self.window: int | None = None
        """The context window that an error named."""
        self._most = most
        self._rejected = False
        """Whether the last call got an error."""

    async def twice(self, attempt: Callable[[], Awaitable[Check]], *, control: bool = True) -> Check:
        """A check that is "no" only if two attempts show it. With `control`, a plain prompt must be accepted after two
        rejections: otherwise the provider rejects everything by now."""
        first = await attempt()
        if first.result != "no":
            return first
        second = await attempt()
        if second.result == "unknown":
            return Check(second.name, "unknown", f"rejected once; then: {second.detail}", second.hint)
        if second.result == "no" and control and self._rejected:
            plain = await self.ask(WORD)
            if isinstance(plain, ModelbayError):
                return Check(second.name, "unknown", f"a plain prompt was rejected too: {plain.message}", plain.hint)
        return second

    async def ask(self, prompt: Prompt, **settings: Unpack[Ask]) -> Reply | ModelbayError:
        if self.streams:
            events = await self.stream(prompt, **settings)
            return events if isinstance(events, ModelbayError) else collect(events)
        self.check_budget()
        reply = await super().ask(prompt, **settings)
        self.spend(reply, reply.usage if isinstance(reply, Reply) else None)
        return reply

    async def stream(self, prompt: Prompt, **settings: Unpack[Ask]) -> list[Event] | ModelbayError:
        self.check_budget()
        events = await super().stream(prompt, **settings)
        self.spend(events, None if isinstance(events, ModelbayError) else collect(events).usage)
        return events

    def check_budget(self) -> None:
        most, used = self._most, self.spent.usage.total
        dollars = self.hub.cost(self.hub.model(self.name), self.spent.usage) if most.dollars is not None else None
        dear = dollars is not None and most.dollars is not None and dollars > most.dollars
        if self.spent.calls >= most.calls or used > most.input + most.output or dear:
            cost = f", ${dollars:.2f}" if dollars is not None else ""
            raise Stopped(f"the agreed maximum is used up: {self.spent.calls} calls, {used:,} tokens{cost}")

    def spend(self, found: object, usage: Usage | None) -> None:
        self.spent.add(usage)
        self._rejected = isinstance(found, ModelbayError)
        if isinstance(found, ContextOverflow) and found.limit:
            self.window = found.limit
        if isinstance(found, _ENDING):
            raise Stopped(found.message, found.hint)
        if usage is not None and usage.output_total > _RUNAWAY * LONGEST:
            raise Stopped(
                f"a reply has {usage.output_total:,} output tokens, although at most {LONGEST:,} were requested: "
                "the cost of further calls is unknown"
            )

    def judged(self, name: str, reply: Reply | ModelbayError, setting: str) -> Check | None:
        """The check for an error, or for a reply to a call without the setting; None if the reply shows something."""
        if isinstance(reply, Unsupported):  # modelbay's own: nothing was sent
            return Check(name, "unknown", f"not tested: {reply.message}")
        if isinstance(reply, ContextOverflow | ContentRefused):
            return Check(name, "unknown", reply.message)
        if isinstance(reply, ModelbayError):
            return refused(name, reply)
        lost = next((one for one in reply.warnings if one.setting == setting and one.dropped), None)
        if lost is not None:
            return Check(name, "unknown", f"not tested: {lost.message}")
        if reply.finish is not None and reply.finish.reason == "length":
            return Check(name, "unknown", f"the reply was cut off at {LONGEST:,} tokens")
        return None

    def lacks(self, name: str, value: object) -> Check:
        vendor = self.dialect.vendor or "the provider"
        return Check(name, "unknown", f"not tested: the dialect of {vendor} does not have it ({value})")

    def is_ignored(self, reply: Reply | ModelbayError, plain: Reply | ModelbayError | None) -> bool:
        """Whether a reply has no more input tokens than one to the same prompt without what is tested."""
        if (
            isinstance(reply, ModelbayError)
            or not isinstance(plain, Reply)
            or plain.usage is None
            or reply.usage is None
            or self.dialect.bare_counts
        ):
            return False
        return 0 < reply.usage.input_total <= plain.usage.input_total
