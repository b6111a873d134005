"""Counts of input tokens by providers that count a request without answering it."""

from asyncio import sleep
from time import monotonic
from weakref import WeakKeyDictionary

from msgspec import Struct

from modelbay.calling.next_attempt import next_attempt
from modelbay.calling.opened import Sending
from modelbay.calling.provider_client import ProviderClient
from modelbay.calling.target import Target
from modelbay.errors import BadRequest, MalformedReply, ModelbayError, PermissionDenied, ProviderError
from modelbay.json_text import decode
from modelbay.protocols.codec import Call
from modelbay.providers.endpoint import Endpoint
from modelbay.routing.retry import Attempts, Policy

_ABSENT = (404, 405, 501)
"""Statuses of servers that do not have the endpoint. Most servers that are compatible with a protocol lack it."""
_TOTALS = ("input_tokens", "totalTokens")
"""The members of responses that have the count: Messages and Responses, Gemini."""
_REMEMBERED = 600.0
"""Seconds for which a target without the endpoint is not asked again: its server may be upgraded."""
_uncounted: WeakKeyDictionary[Target, float] = WeakKeyDictionary()
"""Targets that were found not to count, and when."""


class TokenCount(Struct, frozen=True):
    """The input tokens of a request."""

    tokens: int
    """Input tokens, with the system prompt, tools and files."""
    estimated: bool
    """Whether modelbay estimated them: the provider does not count tokens, or did not count this request."""


async def count_endpoint(client: ProviderClient, target: Target, path: str) -> Endpoint | None:
    """The endpoint where a target counts, with its credential; None if it does not count. `path`: of the call that counts.

    A base URL may be a complete endpoint that is used for any method: a call that counts would be answered there.

    Raises:
        ModelbayError: the credential is missing or invalid.
    """
    if (found := _uncounted.get(target)) is not None and monotonic() - found < _REMEMBERED:
        return None
    replies = await client.endpoint(target, target.codec.PASS.path("generate", target.model.id), stream=False)
    counts = await client.endpoint(target, path, stream=False)
    return None if counts.url == replies.url else counts


def count_path(target: Target) -> str | None:
    """The path of calls that count at a target; None if its protocol does not have them."""
    rules = target.codec.PASS
    return rules.path("count", target.model.id) if "count" in rules.paths else None


def count_call(call: Call, target: Target, path: str) -> Call:
    """The call of `path` that counts the input of a call for a reply."""
    rules, id = target.codec.PASS, target.model.id
    body = {name: value for name, value in call.body.items() if name in rules.counted}
    if rules.named is None:
        body["model"] = id  # Vertex AI requires it in this body only
    elif target.upstream.dialect.nested_counts:
        body = {"generateContentRequest": {"model": rules.named(id), **body}}
    return Call(path, body, call.headers, warnings=call.warnings)


async def counted(client: ProviderClient, sending: Sending, policy: Policy | None = None) -> bytes | None:
    """The response to a call that counts; None if the target does not count this request. A failed call is retried.

    Raises:
        ModelbayError: there is no response, the credential was rejected, or a limit is reached.
    """
    policy = policy or client.policy
    sending.attempts = Attempts(policy.attempts)
    while True:
        try:
            async with await client.response(sending) as response:
                body = await response.read()
            return body if tokens_in(body) is not None else None
        except ModelbayError as error:
            if isinstance(error, ProviderError) and error.status in _ABSENT:
                if not _is_about_model(error, sending):
                    _uncounted[sending.target] = monotonic()
                return None
            if isinstance(error, BadRequest | PermissionDenied):
                return None  # its endpoint for counts accepts less than the one for replies
            delay, _ = next_attempt(client, sending, error, sending.attempts.made, policy)
        await sleep(delay)


def _is_about_model(error: ProviderError, sending: Sending) -> bool:
    """Whether the endpoint exists, and the model is missing: the error names the model, but not the path."""
    method = sending.call.path.rpartition("/")[2]
    return sending.target.model.id in error.message and method not in error.message


def tokens_in(body: bytes) -> int | None:
    """The count in a response; None if it has none."""
    try:
        fields = decode(body)
    except MalformedReply:
        return None
    if not isinstance(fields, dict):
        return None
    found = next((fields[name] for name in _TOTALS if type(fields.get(name)) is int), None)
    return found if found is None or found >= 0 else None
