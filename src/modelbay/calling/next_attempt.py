"""The next attempt of a call that failed: the pause before it, or none."""

from random import random

from modelbay import logs
from modelbay.calling.opened import Sending
from modelbay.calling.provider_client import ProviderClient
from modelbay.errors import ModelbayError, Operation
from modelbay.events import Warned
from modelbay.routing.retry import Policy, decide
from modelbay.secrecy import redact


def next_attempt(
    client: ProviderClient,
    sending: Sending,
    error: ModelbayError,
    failures: int,
    policy: Policy,
    operation: Operation = "ask",
) -> tuple[float, Warned]:
    """Seconds until the next attempt of a call that failed `failures` times, and the warning about it.

    Raises:
        ModelbayError: the error, if there is no further attempt. It has the number of attempts.
    """
    decision = decide(error, failures, policy, random)
    error.attempts = failures
    if decision.delay is None:
        raise client.explained(error, sending.endpoint, operation=operation, model=sending.target.model.id) from None
    logs.LOG.debug("%s", decision.why)
    return decision.delay, Warned(redact(f"{error.message.removesuffix('.')}: {decision.why}"), retry=True)
