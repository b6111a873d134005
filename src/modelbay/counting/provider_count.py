"""Counts of input tokens by providers that count a request without answering it."""

from asyncio import sleep
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import NamedTuple
from weakref import WeakKeyDictionary

from msgspec import Struct
from msgspec.structs import replace

from modelbay.calling.input_check import media_of
from modelbay.calling.next_attempt import next_attempt
from modelbay.calling.opened import Sending
from modelbay.calling.provider_client import ProviderClient
from modelbay.calling.target import Target
from modelbay.catalog.knowledge import fitted
from modelbay.conversation import Conversation, Json
from modelbay.errors import BadRequest, MalformedReply, ModelbayError, PermissionDenied, ProviderError, Unsupported
from modelbay.events import Warned
from modelbay.json_text import decode
from modelbay.protocols.codec import Call
from modelbay.providers.endpoint import Endpoint
from modelbay.providers.upstream import upstream
from modelbay.routing.retry import Policy

_ABSENT = (404, 405, 501)
"""Statuses of servers that do not have the endpoint. Most servers that are compatible with a protocol lack it."""
_TOTALS = (
    ("input_tokens",), ("totalTokens",), ("count",), ("data", "total_tokens"),
    ("usage", "total_tokens"), ("usage", "prompt_tokens"),
)  # fmt: skip
"""The places of the count in responses: Messages, Responses and llama.cpp's server, Gemini, vLLM and SGLang, Moonshot, Z.ai."""
_REMEMBERED = 600.0
"""Seconds for which a target without the endpoint is not asked again: its server may be upgraded."""
_COUNTED = ("model", "messages", "tools", "chat_template_kwargs")
"""Members of a Chat Completions request that are sent to `count_path`."""
_uncounted: WeakKeyDictionary[Target, float] = WeakKeyDictionary()
"""Targets that were found not to count, and when."""


class TokenCount(Struct, frozen=True):
    """The input tokens of a request."""

    tokens: int
    """Input tokens, with the system prompt, tools and files."""
    estimated: bool
    """Whether modelbay estimated them: the provider does not count tokens, or did not count this request."""


class CountingTarget(NamedTuple):
    """Kept with a target whose provider counts in another protocol."""

    target: Target


def counting_target(client: ProviderClient, target: Target) -> Target:
    """The target that counts for another: its model, in the protocol in which its provider counts.

    Raises:
        ConfigError: the provider's entry is invalid.
    """
    protocol = target.upstream.dialect.counted_as
    if protocol is None:
        return target
    known: CountingTarget | None = target.derived.get(CountingTarget)
    if known is None:
        entry = replace(target.entry, protocol=protocol)
        found = fitted(upstream(client.config, target.upstream.provider, entry))
        known = target.derived[CountingTarget] = CountingTarget(Target(entry, found, target.model))
    return known.target


def counts_all(target: Target, conversation: Conversation | None = None) -> bool:
    """Whether a count of the target includes all contents of the conversation; without one, those of any."""
    dialect = target.upstream.dialect
    if conversation is None:
        return dialect.counts_tools and dialect.counts_media
    tools, media = bool(conversation.settings.tools), bool(media_of(conversation))
    return (dialect.counts_tools or not tools) and (dialect.counts_media or not media)


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
    """The path of calls that count at a target; None if neither its protocol nor its vendor has them."""
    rules = target.codec.PASS
    return rules.path("count", target.model.id) if "count" in rules.paths else target.upstream.dialect.count_path


def count_call(call: Call, target: Target, path: str) -> Call:
    """The call of `path` that counts the input of a call for a reply."""
    rules, id = target.codec.PASS, target.model.id
    body = {name: value for name, value in call.body.items() if name in (rules.counted or _COUNTED)}
    if rules.named is None:
        body["model"] = id  # Vertex AI requires it in this body only
    elif target.upstream.dialect.nested_counts:
        body = {"generateContentRequest": {"model": rules.named(id), **body}}
    return Call(path, body, call.headers, warnings=call.warnings)


async def provider_count(
    client: ProviderClient,
    target: Target,
    conversation: Conversation,
    ready: Callable[[Target], Awaitable[Sending]],
    policy: Policy | None,
    warned: Callable[[Warned], object] | None = None,
) -> TokenCount | None:
    """The provider's count for a conversation; None if it has none. `ready`: prepares the call for a reply to a target. `warned` is
    called for each failed attempt that is followed by another. Raises what `ready` and `counted` raise."""
    counter = counting_target(client, target)
    path = count_path(counter)
    if path is None or not counts_all(counter, conversation):
        return None
    endpoint = await count_endpoint(client, counter, path)
    if endpoint is None:
        return None
    try:
        sending = await ready(counter)
    except Unsupported:
        if counter is target:
            raise
        return None  # the other protocol lacks a feature that the request needs
    body = await counted(client, Sending(counter, count_call(sending.call, counter, path), endpoint), policy, warned)
    tokens = None if body is None else tokens_in(body)
    return None if tokens is None else TokenCount(tokens, estimated=False)


async def counted(
    client: ProviderClient,
    sending: Sending,
    policy: Policy | None = None,
    warned: Callable[[Warned], object] | None = None,
) -> bytes | None:
    """The response to a call that counts; None if the target does not count this request. A failed call is retried, and
    `warned` is called before.

    Raises:
        ModelbayError: there is no response, the credential was rejected, or a limit is reached.
    """
    policy = policy or client.policy
    sending.attempts = policy.count()
    while True:
        try:
            async with await client.attempt(sending) as response:
                body = await response.read()
            return body if tokens_in(body) is not None else None
        except ModelbayError as error:
            if isinstance(error, ProviderError) and error.status in _ABSENT:
                if not _is_about_model(error, sending):
                    _uncounted[sending.target] = monotonic()
                return None
            if isinstance(error, BadRequest | PermissionDenied):
                return None  # its endpoint for counts accepts less than the one for replies
            delay, warning = next_attempt(client, sending, error, sending.attempts.made, policy)
            if warned is not None:
                warned(warning)
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
    found = next((value for place in _TOTALS if type(value := _member(fields, place)) is int), None)
    return found if found is None or found >= 0 else None


def _member(value: Json, place: tuple[str, ...]) -> Json:
    for name in place:
        value = value.get(name) if isinstance(value, dict) else None
    return value
