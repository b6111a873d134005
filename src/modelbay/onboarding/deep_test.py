"""Deep tests: each result is stored as soon as it is known, so that an interrupted test keeps what it found."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from time import time

from msgspec import Struct, field

from modelbay.calling.target import Targets
from modelbay.config.schema import Config
from modelbay.hub import Hub
from modelbay.onboarding.deep_calls import Spent, Unbiased
from modelbay.onboarding.deep_checks import DeepChecks
from modelbay.onboarding.deep_plan import PlannedModel
from modelbay.onboarding.model_checks import Check
from modelbay.secrecy import redact
from modelbay.storage.probes import Observation, ProbeStore

LONGEST_DETAIL = 500
"""Characters of a detail that are stored: servers put whole pages into errors."""


class DeepResult(Struct):
    """The test of one model so far."""

    model: PlannedModel
    checks: list[Check] = field(default_factory=list)
    spent: Spent = field(default_factory=Spent)
    dollars: float | None = None
    """Cost of the calls; None if the price is unknown."""
    stopped: str | None = None
    """Why the test ended early."""


async def deep_test(config: Config, planned: PlannedModel, result: DeepResult) -> AsyncGenerator[Check, None]:
    """The checks of a model, which are also added to `result`. Call it only after the user agreed to the cost.

    Raises:
        ConfigError: the results cannot be stored; then nothing is sent.
    """
    store = ProbeStore()
    store.add(planned.endpoint, planned.name, {})
    to = Targets(config, Unbiased()).of(planned.entry).upstream
    async with Hub(config) as hub:
        hub.catalog = Unbiased()
        checks = DeepChecks(hub, planned.entry.provider, planned.name, to, planned.most)
        try:
            async with aclosing(checks.run()) as found:
                async for check in found:
                    result.checks.append(check)
                    observed = Observation(
                        check.result, time(), redact(check.detail)[:LONGEST_DETAIL], checks.values.get(check.name)
                    )
                    store.add(planned.endpoint, planned.name, {check.name: observed})
                    yield check
        finally:
            result.spent, result.stopped = checks.spent, checks.stopped
            result.dollars = hub.cost(hub.model(planned.name), checks.spent.usage)
