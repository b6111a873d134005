"""The items of emulated searches have the fields and types of those in recorded replies of real hosted searches."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelbay.conversation import Text
from tests.corpus import exchanges
from tests.gateway.running import RunningGateway
from tests.gateway.search.scripted import ANSWER, ScriptedModel, search, searching
from tests.gateway.search.test_search_loop import asked
from tests.gateway.test_app import call

Shape = dict[str, set[str]]
"""The types of the values of each field."""


def objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(inner)


def of_replies(file: str) -> Iterator[dict[str, Any]]:
    """The objects in all recorded replies of a protocol."""
    for exchange in exchanges(file):
        response = exchange["response"]
        yield from objects(response.get("json"))
        for line in (response.get("sse") or "").splitlines():
            if line.startswith("data: {"):
                yield from objects(json.loads(line[6:]))


def shape(found: list[dict[str, Any]]) -> Shape:
    fields: Shape = {}
    for one in found:
        for name, value in one.items():
            fields.setdefault(name, set()).add(type(value).__name__)
    return fields


def required(found: list[dict[str, Any]]) -> set[str]:
    return set.intersection(*({*one} for one in found))


def typed(kind: str, values: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in values if one.get("type") == kind]


def check(ours: list[dict[str, Any]], recorded: list[dict[str, Any]]) -> None:
    """Each of our objects has the fields that all recorded ones have, and no others, with values of their types."""
    assert ours
    assert recorded
    known = shape(recorded)
    for one in ours:
        assert required(recorded) <= {*one}, one
        for name, value in one.items():
            assert type(value).__name__ in known.get(name, ()), (name, value, known)


async def body_of(gateway: RunningGateway, path: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    _, _, data = await call(gateway.url, path, body)
    if not data.startswith((b"event:", b"data:")):
        return objects(json.loads(data))
    lines = [line for line in data.decode().splitlines() if line.startswith("data: {")]
    return objects([json.loads(line[6:]) for line in lines])


def model() -> ScriptedModel:
    return ScriptedModel("google", [search()], [Text(text=ANSWER)])


@pytest.mark.parametrize("streamed", [False, True])
async def test_anthropic_blocks(tmp_path: Path, streamed: bool) -> None:
    with searching(tmp_path, model()) as (gateway, _):
        ours = list(await body_of(gateway, "/v1/messages", asked(stream=streamed)))
    recorded = list(of_replies("anthropic_messages"))
    for kind in ("server_tool_use", "web_search_tool_result", "web_search_result", "web_search_result_location"):
        check(typed(kind, iter(ours)), typed(kind, iter(recorded)))
    usages = [one for one in ours if "web_search_requests" in one]
    check(usages, [one for one in recorded if "web_search_requests" in one])


@pytest.mark.parametrize("streamed", [False, True])
async def test_responses_items(tmp_path: Path, streamed: bool) -> None:
    body = {"model": "m", "input": "x", "stream": streamed, "tools": [{"type": "web_search"}]}
    body["include"] = ["web_search_call.action.sources"]
    with searching(tmp_path, model()) as (gateway, _):
        ours = list(await body_of(gateway, "/v1/responses", body))
    recorded = [one for one in of_replies("openai_responses") if "call_id" not in one]
    kinds = ["web_search_call", "url_citation", "search", "url"]
    kinds += [f"response.web_search_call.{step}" for step in ("in_progress", "searching", "completed") if streamed]
    for kind in kinds:
        check(typed(kind, iter(ours)), typed(kind, iter(recorded)))


async def test_chat_annotations(tmp_path: Path) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "web_search_options": {}}
    with searching(tmp_path, model()) as (gateway, _):
        ours = list(await body_of(gateway, "/v1/chat/completions", body))
    recorded = list(of_replies("openai_chat"))
    check(typed("url_citation", iter(ours)), typed("url_citation", iter(recorded)))
    cited = [one["url_citation"] for one in recorded if isinstance(one.get("url_citation"), dict)]
    # aggregators add the text of the page
    own = [one for one in cited if "content" not in one]
    check([one["url_citation"] for one in ours if "url_citation" in one], own)


@pytest.mark.parametrize("method", ["generateContent", "streamGenerateContent?alt=sse"])
async def test_gemini_grounding(tmp_path: Path, method: str) -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": "x"}]}], "tools": [{"googleSearch": {}}]}
    upstream = ScriptedModel("anthropic", [search()], [Text(text=ANSWER)])
    with searching(tmp_path, upstream) as (gateway, _):
        ours = list(await body_of(gateway, f"/v1beta/models/m:{method}", body))
    recorded = list(of_replies("google_genai"))
    for name in ("groundingMetadata", "segment", "web"):
        given = [one[name] for one in recorded if isinstance(one.get(name), dict) and one[name]]
        check([one[name] for one in ours if isinstance(one.get(name), dict)], [*given, {}])
