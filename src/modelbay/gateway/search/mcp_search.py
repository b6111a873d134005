"""Searches with a tool of an MCP server: a small client of its streamable HTTP transport.

A session is opened for the first search and is used by all later ones. If the server does not know it any more (404), a new
one is opened. Replies are JSON or server-sent events, in which requests and notifications of the server are ignored.
"""

from asyncio import Lock, timeout
from contextlib import suppress
from typing import Any

from modelbay.config.schema import SearchSettings
from modelbay.conversation import Json
from modelbay.errors import MalformedReply, ModelbayError
from modelbay.gateway.search.found_pages import EXTRACT, page_of, pages_in, pages_in_text
from modelbay.gateway.search.http_search import SearchFailed, failure, limits_of
from modelbay.json_text import decode, encode
from modelbay.protocols.hosted_search import FoundPage, HostedSearch
from modelbay.protocols.shapes import mapping, objects, word
from modelbay.protocols.sse import Decoder
from modelbay.providers.search_backends import SearchEndpoint
from modelbay.transport import Request, Response, Transport

VERSION = "2025-06-18"
"""The version of MCP that is offered; the server's answer counts."""
_END_SECONDS = 2.0
"""Time limit of the end of a session: a gateway that stops does not wait longer."""
_PAGES = 20
"""Maximum pages of a server's list of tools."""
_QUERY = ("query", "q", "search_query", "searchQuery", "search_term", "keywords", "text", "input")
_COUNT = ("max_results", "maxResults", "num_results", "numResults", "count", "limit", "top_k", "topK")
_ALLOWED = ("include_domains", "includeDomains", "allowed_domains", "allowedDomains")
_BLOCKED = ("exclude_domains", "excludeDomains", "blocked_domains", "blockedDomains")
_COUNTRY = ("country", "userLocation", "user_location")
_LENGTH = ("contextMaxCharacters", "maxCharacters", "max_characters")
"""Names that servers give the arguments of a search tool."""


class _SessionLost(Exception):
    """The server does not know the session any more."""


class McpSearch:
    """The search tool of one MCP server."""

    def __init__(self, transport: Transport, settings: SearchSettings) -> None:
        self._transport = transport
        self._settings = settings
        self._limits = limits_of(settings.timeout)
        self._headers: dict[str, str] = {}
        """The headers of the session; empty if there is none."""
        self._tool: dict[str, Any] = {}
        self._number = 0
        self._opening = Lock()

    async def search(self, endpoint: SearchEndpoint, query: str, hosted: HostedSearch, most: int) -> list[FoundPage]:
        """The pages that the server's tool finds.

        Raises:
            SearchFailed: there is no usable reply.
        """
        try:
            try:
                return _pages(await self._call(endpoint, query, hosted, most))
            except _SessionLost:
                return _pages(await self._call(endpoint, query, hosted, most))
        except _SessionLost:
            raise SearchFailed(f"POST {endpoint.origin}: the MCP server refused a request in two sessions") from None
        except ModelbayError as error:
            raise SearchFailed(error.message) from None

    async def aclose(self, endpoint: SearchEndpoint) -> None:
        """End the session. Errors are ignored: the server ends it anyway."""
        headers, self._headers = self._headers, {}
        if "Mcp-Session-Id" in headers:
            request = Request("DELETE", endpoint.url, {**endpoint.headers, **headers}, None, self._limits)
            with suppress(ModelbayError, TimeoutError):
                async with timeout(_END_SECONDS), await self._transport.send(request) as response:
                    await response.read()

    async def _call(self, endpoint: SearchEndpoint, query: str, hosted: HostedSearch, most: int) -> dict[str, Any]:
        async with self._opening:
            if not self._tool:
                await self._open(endpoint)
        arguments = _arguments(self._tool, query, hosted, most) | self._settings.arguments
        result = await self._ask(endpoint, "tools/call", {"name": self._tool["name"], "arguments": arguments})
        if result.get("isError"):
            raise SearchFailed(
                f"the tool {self._tool['name']} of the MCP server at {endpoint.origin} reported an error"
            )
        return result

    async def _open(self, endpoint: SearchEndpoint) -> None:
        """Open a session, and find the search tool."""
        self._headers = {}
        about = {"name": "modelbay", "version": "1"}
        offer = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": about}
        accepted = await self._ask(endpoint, "initialize", offer)
        self._headers["MCP-Protocol-Version"] = word(accepted.get("protocolVersion")) or VERSION
        await self._post(endpoint, {"jsonrpc": "2.0", "method": "notifications/initialized"})
        tools: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        for _ in range(_PAGES):
            page = await self._ask(endpoint, "tools/list", cursor)
            tools += [tool for tool in objects(page.get("tools")) if word(tool.get("name"))]
            if not (following := word(page.get("nextCursor"))):
                break
            cursor = {"cursor": following}
        self._tool = _search_tool(tools, self._settings.tool, endpoint)

    async def _ask(self, endpoint: SearchEndpoint, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """The result of a request."""
        self._number += 1
        number = self._number
        message = await self._post(
            endpoint, {"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}, number
        )
        if "result" not in message:
            code = mapping(message.get("error")).get("code")
            raise SearchFailed(f"POST {endpoint.origin}: the MCP server refused {method} (error {code})")
        return mapping(message["result"])

    async def _post(
        self, endpoint: SearchEndpoint, message: dict[str, Any], number: int | None = None
    ) -> dict[str, Any]:
        """The answer to a message; {} for a notification."""
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            **endpoint.headers,
            **self._headers,
        }
        request = Request("POST", endpoint.url, headers, encode(message), self._limits)
        async with await self._transport.send(request) as response:
            # 404 by the specification; servers made with the TypeScript SDK answer 400
            if response.status in (400, 404) and "Mcp-Session-Id" in self._headers:
                self._headers, self._tool = {}, {}
                raise _SessionLost
            if response.status >= 400:
                raise failure(response.status, f"POST {response.url}")
            if (session := response.headers.get("mcp-session-id")) is not None:
                self._headers["Mcp-Session-Id"] = session
            if number is None:
                return {}
            answer = await _answer(response, number)
        if answer is None:
            raise SearchFailed(f"POST {response.url}: the MCP server sent no answer")
        return answer


async def _answer(response: Response, number: int) -> dict[str, Any] | None:
    """The answer to a request, in a response of either form."""
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        try:
            found = decode(await response.read())
        except MalformedReply as error:
            raise SearchFailed(f"POST {response.url}: the reply is not JSON: {error.message}") from None
        # earlier versions answer in batches
        return next((item for item in (objects(found) or [mapping(found)]) if item.get("id") == number), None)
    decoder = Decoder()
    chunks = response.stream()
    try:
        async for chunk in chunks:
            for _, data in decoder.feed(chunk):
                message = _message(data)
                if message.get("id") == number and "method" not in message:
                    return message
    finally:
        await chunks.aclose()
    return next((found for _, data in decoder.close() if (found := _message(data)).get("id") == number), None)


def _message(data: bytes) -> dict[str, Any]:
    try:
        return mapping(decode(data))
    except MalformedReply:
        return {}


def _search_tool(tools: list[dict[str, Any]], wanted: str | None, endpoint: SearchEndpoint) -> dict[str, Any]:
    """The tool that `tool` names, else the only one, else the only one whose name has "search"."""
    names = ", ".join(str(tool["name"]) for tool in tools) or "none"
    if wanted is not None:
        found = [tool for tool in tools if tool["name"] == wanted]
    else:
        found = tools if len(tools) == 1 else [tool for tool in tools if "search" in str(tool["name"]).lower()]
        if len(found) > 1:
            found = [tool for tool in found if "web" in str(tool["name"]).lower()]
    if len(found) != 1:
        raise SearchFailed(
            f"set `tool` in [gateway.search]: the search tool of the MCP server at {endpoint.origin} is not clear; "
            f"its tools are {names}"
        )
    return found[0]


def _arguments(tool: dict[str, Any], query: str, hosted: HostedSearch, most: int) -> dict[str, Any]:
    """The arguments of a search, by the names in the tool's schema."""
    schema = mapping(tool.get("inputSchema"))
    properties = mapping(schema.get("properties"))
    required = [name for name in schema.get("required") or () if isinstance(name, str)]
    name = next((name for name in _QUERY if name in properties), required[0] if required else "query")
    found: dict[str, Any] = {name: query}
    country = hosted.location.country if hosted.location is not None else None
    for names, value in (
        (_COUNT, most),
        (_ALLOWED, hosted.allowed_domains),
        (_BLOCKED, hosted.blocked_domains),
        (_COUNTRY, country),
        (_LENGTH, EXTRACT[hosted.size] * most),
    ):
        fitting = next((other for other in names if other in properties), None)
        if fitting is not None and value and _takes(properties[fitting], value):
            found[fitting] = value
    return found


def _takes(schema: Json, value: Json) -> bool:
    """Whether an argument accepts a value of this type, as far as its schema says."""
    kinds = mapping(schema).get("type")
    kind = "array" if isinstance(value, list) else "string" if isinstance(value, str) else "integer"
    return kinds is None or kind in kinds or (kind == "integer" and "number" in kinds)


def _pages(result: dict[str, Any]) -> list[FoundPage]:
    """The pages in the result of a tool: structured, linked, as JSON in a text, or as text."""
    if pages := pages_in(result.get("structuredContent")):
        return pages
    content = objects(result.get("content"))
    linked = [page for item in content if item.get("type") == "resource_link" and (page := page_of(item)) is not None]
    texts = [text for item in content if item.get("type") == "text" and (text := word(item.get("text")))]
    found = [page for text in texts for page in _pages_of_text(text)]
    if texts and not found and not linked and any(_URL_MARK in text for text in texts):
        raise SearchFailed("the result of the MCP server's tool has no valid URL")
    return linked or found


_URL_MARK = "://"


def _pages_of_text(text: str) -> list[FoundPage]:
    try:
        return pages_in(decode(text))
    except MalformedReply:
        return pages_in_text(text)
