"""Estimates of recorded requests, beside the counts that providers reported: at first, and after earlier requests."""

from collections.abc import Iterator
from functools import cache
from statistics import median
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from modelbay import replay
from modelbay.catalog.knowledge import known
from modelbay.conversation import Conversation, Media, ServerToolCall, ServerToolResult, ToolResult
from modelbay.counting.learned_counts import LearnedCounts
from modelbay.events import collect
from modelbay.protocols.codec import Call, codec
from tests.corpus import exchanges
from tests.gateway.targets import target_of

FILES = (
    "anthropic_messages", "bedrock_anthropic", "vertex_anthropic", "google_genai", "vertex_genai", "openai_chat",
    "openai_responses", "moonshot_kimi",
)  # fmt: skip
HIDDEN = ("mcp_servers", "context_management", "container", "plugins", "web_search_options", "search_parameters")
"""Fields of requests for which providers add content that is not in the request."""


class Recorded(NamedTuple):
    family: str
    tokens: int
    """The provider's count."""
    first: int
    """The estimate by the family's factors."""
    learned: int | None
    """The estimate after earlier requests to the same model of the same provider; None if there are none."""


def _is_in_the_request(body: object, conversation: Conversation) -> bool:
    """Whether all that is counted is in the request, as text."""
    parts = [part for turn in conversation.turns for part in turn.parts]
    parts += [inner for part in parts if type(part) is ToolResult for inner in part.parts]
    return (
        isinstance(body, dict)
        and not any(field in body for field in HIDDEN)
        and not any(tool.kind == "vendor" for tool in conversation.settings.tools or ())
        and not conversation.settings.state
        and not any(isinstance(part, Media | ServerToolCall | ServerToolResult) for part in parts)
    )


def _read() -> Iterator[Recorded]:
    learned: dict[str, LearnedCounts] = {}
    for exchange in (one for name in FILES for one in exchanges(name)):
        body = (exchange.get("request") or {}).get("json")
        reply = replay.read(exchange)
        if reply.status != 200 or reply.skipped or not isinstance(body, dict):
            continue
        url = urlsplit(exchange["request"]["url"])
        conversation = codec(reply.protocol).parse_request(Call(f"{url.path}?{url.query}", body))
        usage = collect(replay.events(reply)).usage
        if usage is None or not usage.input_total or not _is_in_the_request(body, conversation):
            continue
        model, provider = exchange["model"] or "", exchange["provider"] or ""
        family = known(model, "", reply.protocol).facts.family or ""
        bare = reply.dialect.bare_counts
        target = target_of(reply.protocol, model, family=family, bare_counts=bare)
        first = LearnedCounts(None).expect(target, conversation)
        where = f"{provider} {model} {reply.protocol}"
        expected = learned[where].expect(target, conversation).tokens if where in learned else None
        learned.setdefault(where, LearnedCounts(None)).learn(target, first, usage.input_total)
        yield Recorded(family, usage.input_total, first.tokens, expected)


@cache
def recorded() -> list[Recorded]:
    return list(_read())


def errors(family: str, *, learned: bool) -> list[float]:
    """Relative errors of the estimates for a family; "" for all."""
    found = [one for one in recorded() if family in ("", one.family)]
    if learned:
        return [abs(one.learned / one.tokens - 1) for one in found if one.learned is not None]
    return [abs(one.first / one.tokens - 1) for one in found]


@pytest.mark.parametrize(
    ("family", "first", "learned"),
    [
        ("claude", 0.89, 0.91),
        ("gpt", 0.89, 0.9),
        ("gemini", 0.77, 0.81),
        ("mistral", 0.96, 0.94),
        ("deepseek", 0.87, 0.89),
        ("grok", 0.71, 0.77),
        ("gpt-oss", 0.94, 0.91),
        ("", 0.84, 0.88),
    ],
)
def test_estimates_are_near_the_counts_that_providers_reported(family: str, first: float, learned: float) -> None:
    """The parts of the requests, short ones included, whose estimate is wrong by a tenth at most."""
    near = [sum(error <= 0.1 for error in errors(family, learned=after)) for after in (False, True)]
    shares = [count / len(errors(family, learned=after)) for count, after in zip(near, (False, True), strict=True)]
    assert (shares[0] >= first, shares[1] >= learned) == (True, True), shares


def test_half_of_the_estimates_are_nearly_exact_after_earlier_requests() -> None:
    assert median(errors("", learned=False)) < 0.018
    assert median(errors("", learned=True)) < 0.01
