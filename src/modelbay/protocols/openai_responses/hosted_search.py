"""Hosted web search of Responses clients: `web_search_call` items.

These have no field for what was found. A reasoning item after them, as real replies have it, carries it in
`encrypted_content` for the next request.
"""

import re
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from modelbay.conversation import AnyPart, ServerToolCall, Settings, Text, Thinking, Tool, ToolCall, ToolChoice, Turn
from modelbay.events import Finished
from modelbay.json_text import encode
from modelbay.protocols.hosted_search import (
    FinishedSearch,
    HostedSearch,
    SearchOutcome,
    SearchRecord,
    domains_of,
    in_steps,
    location_of,
    seal_search,
    size_of,
    unseal_search,
)
from modelbay.protocols.openai_responses.items import CALL_OF_SEARCH
from modelbay.protocols.openai_responses.references import is_own
from modelbay.protocols.shapes import mapping, objects

EXTRACTS = False
_TYPE = re.compile(r"web_search(?:_preview)?(?:_\d{4}_\d{2}_\d{2})?")
_SOURCES = "web_search_call.action.sources"
# `external_web_access: false` asks for results from an index: search engines have one, and no page is fetched here
_KNOWN = ("type", "filters", "search_context_size", "user_location", "external_web_access")


class SearchStep(Struct):
    """The content of an envelope: the searches of one step."""

    searches: list[SearchRecord]


def declared(settings: Settings) -> tuple[HostedSearch, Settings] | None:
    tools = settings.tools or []
    tool = next((tool for tool in tools if _is_search(tool)), None)
    if tool is None:
        return None
    raw = tool.raw or {}
    filters = mapping(raw.get("filters"))
    kept = [other for other in tools if not _is_search(other)]
    include = settings.extra.get("include")
    hosted = HostedSearch(
        str(raw["type"]),
        str(raw["type"]),
        allowed_domains=domains_of(filters.get("allowed_domains")),
        blocked_domains=domains_of(filters.get("blocked_domains")),
        location=location_of(raw.get("user_location")),
        size=size_of(raw.get("search_context_size")),
        sources=isinstance(include, list) and _SOURCES in include,
        ignored=[name for name, value in raw.items() if name not in _KNOWN and value is not None],
    )
    choice = _choice(settings.tool_choice, hosted)
    hosted.alone = not kept or (choice is not None and choice.mode == "tool" and choice.names == [hosted.name])
    extra = {name: value for name, value in settings.extra.items() if name != "include"}
    if isinstance(include, list) and (rest := [item for item in include if item != _SOURCES]):
        extra["include"] = rest
    return hosted, replace(settings, tools=kept or None, tool_choice=choice, extra=extra)


def _is_search(tool: Tool) -> bool:
    return tool.kind == "vendor" and _TYPE.fullmatch(tool.native or "") is not None


def _choice(choice: ToolChoice | None, hosted: HostedSearch) -> ToolChoice | None:
    """The choice with a name for the tool, which this protocol chooses by its type."""
    own = (choice.extra or {}).get("tool_choice") if choice is not None else None
    if choice is None or not isinstance(own, dict):
        return choice
    if choice.mode == "allowed":
        names = [hosted.name if _is_type(tool) else str(tool.get("name") or "") for tool in objects(own.get("tools"))]
        return replace(choice, names=names, extra=None)
    return ToolChoice("tool", names=[hosted.name], parallel=choice.parallel) if _is_type(own) else choice


def _is_type(tool: dict[str, Any]) -> bool:
    return _TYPE.fullmatch(str(tool.get("type"))) is not None


def search_id(call: ToolCall, number: int) -> str:
    return ""  # the renderer makes the IDs of items


def before(call: ToolCall) -> list[AnyPart]:
    return []


def called(search: FinishedSearch, hosted: HostedSearch, *, ended: bool) -> AnyPart:
    if not ended:
        return ServerToolCall(name="web_search", native=CALL_OF_SEARCH, extra={"type": CALL_OF_SEARCH})
    action: dict[str, Any] = {"type": "search", "queries": [search.query], "query": search.query}
    if hosted.sources:
        action["sources"] = [{"type": "url", "url": page.url} for page in search.outcome.pages]
    status = "failed" if search.outcome.error else "completed"
    item = {"type": CALL_OF_SEARCH, "status": status, "action": action}
    return ServerToolCall(name="web_search", native=CALL_OF_SEARCH, extra=item)


def found(searches: list[FinishedSearch]) -> list[AnyPart]:
    step = SearchStep([SearchRecord.of(search.call, search.outcome) for search in searches])
    return [Thinking(summary=True, opaque=seal_search(step))]


def finished(end: Finished, searches: list[FinishedSearch], texts: list[Text]) -> Finished:
    return end


def restored(turns: list[Turn], name: str) -> list[Turn]:
    if not any(_is_ours(part) for turn in turns for part in turn.parts):
        return turns
    changed: list[Turn] = []
    waiting: list[Turn] = []
    """Items of the current step: they become calls when their envelope is read."""
    for turn in turns:
        part = turn.parts[0] if len(turn.parts) == 1 else None
        step = unseal_search(part.opaque, SearchStep) if isinstance(part, Thinking) else None
        if step is not None:
            changed += _step(waiting, step.searches, name)
            waiting = []
        elif turn.role == "assistant":
            waiting.append(turn)
        else:
            changed += [*_without_envelope(waiting, name), turn]
            waiting = []
    return [*changed, *_without_envelope(waiting, name)]


def _is_ours(part: AnyPart) -> bool:
    if isinstance(part, Thinking):
        return unseal_search(part.opaque, SearchStep) is not None
    return _is_call(part) and is_own(part.item_id)


def _is_call(part: AnyPart) -> bool:
    return isinstance(part, ServerToolCall) and part.native == CALL_OF_SEARCH


def _step(turns: list[Turn], records: list[SearchRecord], name: str) -> list[Turn]:
    """The turns of a step, and its results. The last items are those of the envelope: a client may have removed the IDs, and
    the envelopes of earlier items."""
    pairs = [record.parts(name) for record in records]
    places = [index for index, turn in enumerate(turns) if turn.parts and _is_call(turn.parts[0])][-len(pairs) :]
    made = [Turn("assistant", [call]) for call, _ in pairs]
    changed: list[Turn] = []
    for index, turn in enumerate(turns):
        changed.append(made[places.index(index)] if index in places else turn)
    changed += made[len(places) :]  # their items were removed
    head = changed[: places[0]] if places else []
    return [*_without_envelope(head, name), *changed[len(head) :], Turn("tool", [result for _, result in pairs])]


def _without_envelope(turns: list[Turn], name: str) -> list[Turn]:
    """The turns with searches whose results were not sent back: only what their items say is known."""
    changed: list[Turn] = []
    for turn in turns:
        part = turn.parts[0] if turn.parts else None
        if part is None or not _is_call(part) or not is_own(part.item_id):
            changed.append(turn)
            continue
        action = mapping((part.extra or {}).get("action"))
        call = ToolCall(name=name, id=part.item_id, arguments=_arguments(action))
        record = SearchRecord.of(call, SearchOutcome(error="unavailable"))
        changed += in_steps(turn, record.parts(name))
    return changed


def _arguments(action: dict[str, Any]) -> str:
    return encode({"query": str(action.get("query") or "")}).decode()
