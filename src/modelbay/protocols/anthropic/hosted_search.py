"""Hosted web search of Anthropic's clients: `server_tool_use` and `web_search_tool_result` blocks.

The ID of a block contains that of the model's call, and `encrypted_content` the extract of a page, so that the next request
has everything that the model got.
"""

import re
from operator import is_
from secrets import token_hex
from typing import Any

from msgspec.structs import replace

from modelbay.conversation import AnyPart, ServerToolCall, ServerToolResult, Settings, Text, Thinking, ToolCall, Turn
from modelbay.events import Finished
from modelbay.protocols.anthropic.parts import REDACTED
from modelbay.protocols.hosted_search import (
    FinishedSearch,
    FoundPage,
    HostedSearch,
    SearchOutcome,
    SearchRecord,
    domains_of,
    in_steps,
    location_of,
    seal_search,
    unseal_search,
    uses_of,
)
from modelbay.protocols.opaque import seal
from modelbay.protocols.shapes import objects

EXTRACTS = True
_TYPE = re.compile(r"web_search_\d{8}")
_RESULT = "web_search_tool_result"
_ERROR = "web_search_tool_result_error"
_ID = re.compile(r"srvtoolu_modelbay[0-9a-f]{8}(?:_(.+))?")
_IN_ID = re.compile(r"[A-Za-z0-9_]{1,64}")
_KNOWN = ("type", "name", "max_uses", "allowed_domains", "blocked_domains", "user_location", "cache_control")
_ERRORS = ("invalid_tool_input", "query_too_long", "max_uses_exceeded", "too_many_requests", "unavailable")


def declared(settings: Settings) -> tuple[HostedSearch, Settings] | None:
    tools = settings.tools or []
    raw: dict[str, Any] | None = next(
        (tool.raw for tool in tools if tool.kind == "vendor" and _TYPE.fullmatch(tool.native or "")), None
    )
    if raw is None:
        return None
    kept = [tool for tool in tools if tool.raw is not raw]
    choice = settings.tool_choice
    hosted = HostedSearch(
        str(raw["type"]),
        str(raw.get("name") or "web_search"),
        max_uses=uses_of(raw.get("max_uses")),
        allowed_domains=domains_of(raw.get("allowed_domains")),
        blocked_domains=domains_of(raw.get("blocked_domains")),
        location=location_of(raw.get("user_location")),
        ignored=[name for name, value in raw.items() if name not in _KNOWN and value is not None],
    )
    forced = choice is not None and choice.mode == "tool" and choice.names == [hosted.name]
    hosted.alone = not kept or forced
    return hosted, replace(settings, tools=kept or None)


def search_id(call: ToolCall, number: int) -> str:
    own = f"_{call.id}" if call.id and _IN_ID.fullmatch(call.id) else ""
    return f"srvtoolu_modelbay{token_hex(4)}{own}"


def before(call: ToolCall) -> list[AnyPart]:
    return [] if call.opaque is None else [Thinking(native=REDACTED, opaque=seal(call))]


def called(search: FinishedSearch, hosted: HostedSearch, *, ended: bool) -> AnyPart:
    return ServerToolCall(name="web_search", id=search.id, arguments=search.call.arguments, native="server_tool_use")


def found(searches: list[FinishedSearch]) -> list[AnyPart]:
    return [
        ServerToolResult(call_id=search.id, content=_content(search.outcome), native=_RESULT) for search in searches
    ]


def _content(outcome: SearchOutcome) -> list[dict[str, Any]] | dict[str, Any]:
    if outcome.error:
        return {"type": _ERROR, "error_code": outcome.error}
    return [
        {
            "type": "web_search_result",
            "title": page.title or page.url,
            "url": page.url,
            "encrypted_content": seal_search(page),
            "page_age": page.age,
        }
        for page in outcome.pages
    ]


def finished(end: Finished, searches: list[FinishedSearch], texts: list[Text]) -> Finished:
    return end


def restored(turns: list[Turn], name: str) -> list[Turn]:
    if not any(type(part) is ServerToolResult for turn in turns for part in turn.parts):
        return turns
    changed: list[Turn] = []
    for turn in turns:
        outcomes = {
            part.call_id: _outcome(part.content)
            for part in turn.parts
            if isinstance(part, ServerToolResult) and part.native == _RESULT and _ID.fullmatch(part.call_id or "")
        }
        changed += [turn] if not outcomes else in_steps(turn, _parts(turn, outcomes, name))
    return turns if len(changed) == len(turns) and all(map(is_, changed, turns)) else changed


def _parts(turn: Turn, outcomes: dict[str | None, SearchOutcome], name: str) -> list[AnyPart]:
    records: dict[str | None, SearchRecord] = {}
    for part in turn.parts:
        if isinstance(part, ServerToolCall) and part.id in outcomes:
            made = ToolCall(
                arguments=part.arguments, id=_own_id(part.id or ""), origin=part.origin, opaque=part.opaque,
                item_id=part.item_id, extra=part.extra if part.opaque is not None else None,
            )  # fmt: skip
            records[part.id] = SearchRecord.of(made, outcomes[part.id])
    pairs = {id: record.parts(name) for id, record in records.items()}
    parts: list[AnyPart] = []
    for part in turn.parts:
        if isinstance(part, ServerToolCall) and part.id in pairs:
            parts.append(pairs[part.id][0])
        elif isinstance(part, ServerToolResult) and part.call_id in outcomes:
            # a result whose call was removed says nothing
            parts += [pairs[part.call_id][1]] if part.call_id in pairs else []
        else:
            parts.append(replace(part, annotations=None) if isinstance(part, Text) and part.annotations else part)
    return parts


def _own_id(id: str) -> str:
    """The ID of the model's call; the whole one if the provider sent none."""
    match = _ID.fullmatch(id)
    return (match[1] if match else None) or id


def _outcome(content: Any) -> SearchOutcome:
    if isinstance(content, dict):
        code = content.get("error_code")
        return SearchOutcome(error=code if code in _ERRORS else "unavailable")
    pages = []
    for item in objects(content):
        page = unseal_search(item.get("encrypted_content"), FoundPage)
        pages.append(page or FoundPage(str(item.get("url") or ""), str(item.get("title") or "")))
    return SearchOutcome(pages)
