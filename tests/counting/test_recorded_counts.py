"""Estimates of recorded requests, beside the counts that providers reported: at first, and after earlier requests."""

from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from statistics import median
from typing import Any, NamedTuple
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
HIDDEN = (
    "mcp_servers", "context_management", "container", "plugins", "web_search_options", "search_parameters", "preset", "prompt",
    "models",
)  # fmt: skip
"""Fields of requests for which providers add content that is not in the request, or choose another model."""


class Recorded(NamedTuple):
    family: str
    kind: str
    """The kind of its content: see `_kind`."""
    tokens: int
    """The provider's count."""
    first: int
    """The estimate by the family's factors."""
    learned: int | None
    """The estimate after earlier requests to the same model of the same provider; None if there are none."""


OF_CLIENTS = ("computer", "memory", "bash", "text_editor")
"""Beginnings of the types of a provider's tools that the client runs: the request contains their results."""
DETERMINED = ("text", "files")
"""Kinds of requests that contain all that is counted. Contents of other kinds are added or read by the provider, which alone
knows their size: results of a search or of code that it runs, stored conversations, files at a URL or uploaded before."""


def _kind(body: dict[str, Any], conversation: Conversation) -> str:
    parts = [part for turn in conversation.turns for part in turn.parts]
    parts += [inner for part in parts if type(part) is ToolResult for inner in part.parts]
    files = [part for part in parts if type(part) is Media]
    tools = conversation.settings.tools or ()
    if any(tool.kind == "vendor" and not str(tool.native).startswith(OF_CLIENTS) for tool in tools) or any(
        type(part) in (ServerToolCall, ServerToolResult) for part in parts
    ):
        return "the provider's tools"
    if conversation.settings.state or any(field in body for field in HIDDEN):
        return "stored by the provider"
    if any(file.url or file.file_id for file in files if not (file.data or file.text or file.parts)):
        return "files elsewhere"
    return "files" if files else "text"


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
        if usage is None or not usage.input_total:
            continue
        model, provider = exchange["model"] or "", exchange["provider"] or ""
        family = known(model, "", reply.protocol).facts.family or ""
        bare = reply.dialect.bare_counts
        target = target_of(reply.protocol, model, family=family, bare_counts=bare)
        first = LearnedCounts(None).expect(target, conversation)
        where = f"{provider} {model} {reply.protocol}"
        expected = learned[where].expect(target, conversation).tokens if where in learned else None
        learned.setdefault(where, LearnedCounts(None)).learn(target, first, usage.input_total)
        yield Recorded(family, _kind(body, conversation), usage.input_total, first.tokens, expected)


@cache
def recorded() -> list[Recorded]:
    return list(_read())


def _errors(*, learned: bool, family: str = "", kinds: tuple[str, ...] = ("text",)) -> list[Fraction]:
    """Relative errors of the estimates for a family, or for all, and for kinds of requests, or for all: exact, as 11 tokens are
    more than a tenth from 10 with `float`."""
    found = [one for one in recorded() if family in ("", one.family) and (not kinds or one.kind in kinds)]
    estimates = [(one.learned if learned else one.first, one.tokens) for one in found]
    return [abs(Fraction(estimated, tokens) - 1) for estimated, tokens in estimates if estimated is not None]


def _near(family: str = "", kinds: tuple[str, ...] = ("text",)) -> tuple[float, float]:
    """The parts of the estimates, those of short requests included, that are wrong by a tenth at most: first and learned."""
    first, learned = (
        [error <= Fraction(1, 10) for error in _errors(learned=after, family=family, kinds=kinds)]
        for after in (False, True)
    )
    return sum(first) / len(first), sum(learned) / len(learned)


@pytest.mark.parametrize(
    ("family", "first", "learned"),
    [
        ("claude", 0.95, 0.94),
        ("gpt", 0.95, 0.94),
        ("gemini", 0.92, 0.92),
        ("mistral", 0.97, 0.95),
        ("deepseek", 0.98, 0.93),
        ("grok", 0.85, 0.82),
        ("gpt-oss", 0.94, 0.93),
        ("kimi", 0.92, 0.95),
        ("llama", 0.97, 1),
        ("", 0.93, 0.93),
    ],
)
def test_estimates_of_texts_are_near_the_counts_that_providers_reported(
    family: str, first: float, learned: float
) -> None:
    shares = _near(family)
    assert (shares[0] >= first, shares[1] >= learned) == (True, True), shares


@pytest.mark.parametrize(
    ("kinds", "first", "learned"),
    [
        (DETERMINED, 0.93, 0.93),
        (("files",), 0.94, 0.94),
        (("files elsewhere",), 0.04, 0.09),
        (("the provider's tools",), 0.18, 0.3),
        (("stored by the provider",), 0.2, 0.4),
        ((), 0.84, 0.85),
    ],
    ids=["all that is determined", "files", "files elsewhere", "the provider's tools", "stored by the provider", "all"],
)
def test_estimates_are_as_near_as_the_request_determines_them(
    kinds: tuple[str, ...], first: float, learned: float
) -> None:
    shares = _near(kinds=kinds)
    assert (shares[0] >= first, shares[1] >= learned) == (True, True), shares


def test_half_of_the_estimates_of_texts_are_nearly_exact() -> None:
    assert median(_errors(learned=False)) < 0.01
    assert median(_errors(learned=True)) < 0.008
