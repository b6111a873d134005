"""Hosted web search of Gemini's clients: the tool `googleSearch`, and `groundingMetadata` with queries, pages and citations."""

from typing import Any

from msgspec.structs import replace

from modelbay.conversation import AnyPart, Settings, Text, Tool, ToolCall, Turn
from modelbay.events import Finished
from modelbay.protocols.google.case import camel
from modelbay.protocols.google.citations import render_grounding
from modelbay.protocols.hosted_search import FinishedSearch, HostedSearch, domains_of
from modelbay.protocols.shapes import mapping

EXTRACTS = False
_TOOLS = ("googleSearch", "googleSearchRetrieval")
_KNOWN = ("excludeDomains",)


def declared(settings: Settings) -> tuple[HostedSearch, Settings] | None:
    tools = settings.tools or []
    declaring = [tool for tool in tools if _options(tool) is not None]
    if not declaring:
        return None
    name, options = _options(declaring[0]) or ("", {})
    kept = [tool for tool in tools if tool not in declaring]
    hosted = HostedSearch(
        name,
        blocked_domains=domains_of(options.get("excludeDomains")),
        alone=not kept,
        ignored=[field for field, value in options.items() if field not in _KNOWN and value],
    )
    # other tools of the same entry stay
    kept += [replace(tool, raw=rest) for tool in declaring if (rest := _others(tool))]
    return hosted, replace(settings, tools=kept or None)


def _options(tool: Tool) -> tuple[str, dict[str, Any]] | None:
    fields = camel(tool.raw or {})[0] if tool.kind == "vendor" else {}
    name = next((name for name in _TOOLS if name in fields), None)
    return None if name is None else (name, camel(mapping(fields[name]))[0])


def _others(tool: Tool) -> dict[str, Any]:
    raw = tool.raw or {}
    return {name: value for name, value in raw.items() if not camel({name: value})[0].keys() & set(_TOOLS)}


def search_id(call: ToolCall, number: int) -> str:
    return ""


def before(call: ToolCall) -> list[AnyPart]:
    return []


def called(search: FinishedSearch, hosted: HostedSearch, *, ended: bool) -> AnyPart | None:
    return None


def found(searches: list[FinishedSearch]) -> list[AnyPart]:
    return []


def finished(end: Finished, searches: list[FinishedSearch], texts: list[Text]) -> Finished:
    if not searches:
        return end
    urls: dict[str, str] = {}
    for search in searches:
        for page in search.outcome.pages:
            urls.setdefault(page.url, page.title or page.url)
    chunks = [{"web": {"uri": url, "title": title}} for url, title in urls.items()]
    grounding: dict[str, Any] = {"webSearchQueries": list(dict.fromkeys(search.query for search in searches))}
    if chunks:
        grounding["groundingChunks"] = chunks
    if (cited := render_grounding([*texts])) is not None:
        places = {url: index for index, url in enumerate(urls)}
        order = [places[chunk["web"]["uri"]] for chunk in cited["groundingChunks"]]
        grounding["groundingSupports"] = [
            {**support, "groundingChunkIndices": [order[index] for index in support["groundingChunkIndices"]]}
            for support in cited["groundingSupports"]
        ]
    return replace(end, extra={**(end.extra or {}), "groundingMetadata": grounding})


def restored(turns: list[Turn], name: str) -> list[Turn]:
    return turns
