"""A call to the first of some models that begins to reply."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from msgspec.structs import replace

from modelbay.calling.opened import Opened, Sending
from modelbay.calling.opening import Opening
from modelbay.calling.provider_client import ProviderClient
from modelbay.calling.target import Target
from modelbay.errors import ModelbayError
from modelbay.events import Warned
from modelbay.routing.retry import Policy, moves_on
from modelbay.secrecy import redact

T = TypeVar("T")


class ModelCall:
    """A call to one model, or to the first of several that begins to reply. All requests together are limited by
    `Policy.attempts`, but each model is asked once at least."""

    def __init__(
        self,
        client: ProviderClient,
        models: Sequence[str | None],
        prepare: Callable[[str | None], Awaitable[Sending]],
        policy: Policy | None = None,
    ) -> None:
        """`prepare` makes the call to a model. None is the default model."""
        self.target: Target | None = None
        """The model that is asked."""
        self._client = client
        self._models = list(models)
        self._prepare = prepare
        self._policy = policy or client.policy
        self._made = 0
        """Requests to the models before this one."""
        self._opening: Opening | None = None
        self._warnings: list[Warned] = []

    async def step(self) -> Warned | Opened:
        """The next warning, or the opened call, which the caller must close.

        Raises:
            ModelbayError: no model began to reply. It is the error of the last one.
        """
        try:
            opening = self._opening or await self._begin()
            return self._warnings.pop(0) if self._warnings else await opening.step()
        except ModelbayError as error:
            self._made += error.attempts if self._opening is not None else 0
            error.attempts = max(self._made, 1)
            if len(self._models) < 2 or not moves_on(error):
                raise
            failed = self._models.pop(0)
            self._opening = None
            why = redact(error.message.removesuffix("."))
            return Warned(f"{failed or 'the default model'}: {why}; asking {self._models[0]}", retry=True)

    async def _begin(self) -> Opening:
        sending = await self._prepare(self._models[0])
        self.target = sending.target
        self._warnings = list(sending.call.warnings)
        left = self._policy.attempts - self._made - (len(self._models) - 1)
        self._opening = Opening(self._client, sending, replace(self._policy, attempts=max(left, 1)))
        return self._opening


async def first_answer(
    models: Sequence[str | None], ask: Callable[[str | None], Awaitable[T]], failed: Callable[[ModelbayError], object]
) -> T:
    """The answer of the first available model. `failed` is called with the error of each model before it.

    Raises:
        ModelbayError: no model is available. It is the error of the last one.
    """
    for model in models[:-1]:
        try:
            return await ask(model)
        except ModelbayError as error:
            if not moves_on(error):
                raise
            failed(error)
    return await ask(models[-1])
