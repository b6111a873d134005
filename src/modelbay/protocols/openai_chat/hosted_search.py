"""Hosted web search of Chat Completions clients: `web_search_options`. They see citations, and no items of a search."""

from msgspec.structs import replace

from modelbay.conversation import AnyPart, Settings, Text, ToolCall, Turn
from modelbay.events import Finished
from modelbay.protocols.hosted_search import FinishedSearch, HostedSearch, domains_of, location_of, size_of
from modelbay.protocols.shapes import mapping

EXTRACTS = False
_OPTIONS = "web_search_options"
_KNOWN = ("user_location", "search_context_size", "filters")


def declared(settings: Settings) -> tuple[HostedSearch, Settings] | None:
    options = settings.extra.get(_OPTIONS)
    if not isinstance(options, dict):
        return None
    filters = mapping(options.get("filters"))
    hosted = HostedSearch(
        _OPTIONS,
        allowed_domains=domains_of(filters.get("allowed_domains")),
        blocked_domains=domains_of(filters.get("blocked_domains")),
        location=location_of(options.get("user_location")),
        size=size_of(options.get("search_context_size")),
        alone=True,
        ignored=[name for name, value in options.items() if name not in _KNOWN and value is not None],
    )
    extra = {name: value for name, value in settings.extra.items() if name != _OPTIONS}
    return hosted, replace(settings, extra=extra)


def search_id(call: ToolCall, number: int) -> str:
    return ""


def before(call: ToolCall) -> list[AnyPart]:
    return []


def called(search: FinishedSearch, hosted: HostedSearch, *, ended: bool) -> AnyPart | None:
    return None


def found(searches: list[FinishedSearch]) -> list[AnyPart]:
    return []


def finished(end: Finished, searches: list[FinishedSearch], texts: list[Text]) -> Finished:
    return end


def restored(turns: list[Turn], name: str) -> list[Turn]:
    return turns
