"""Searches with the tool of an MCP server, over streamable HTTP."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from modelbay.config.load import parse
from modelbay.gateway.search.engine import SearchEngine
from modelbay.protocols.hosted_search import FoundPage, HostedSearch, Location, SearchOutcome
from modelbay.transport import Transport
from tests.servers.loopback import Handler, served

HOSTED = HostedSearch("web_search")
PAGES = [{"url": "https://a.example", "title": "A", "content": "one"}]
FOUND = SearchOutcome([FoundPage("https://a.example", "A", "one")])
TOOL: dict[str, Any] = {"name": "search", "inputSchema": {"properties": {"query": {"type": "string"}}}}


class McpServer:
    """An MCP server with sessions. `streams`: it answers with server-sent events."""

    def __init__(self, *tools: dict[str, Any], streams: bool = False, sessions: bool = True) -> None:
        self.tools = list(tools) or [TOOL]
        self.streams = streams
        self.sessions = sessions
        self.result: dict[str, Any] = {"content": [{"type": "text", "text": json.dumps({"results": PAGES})}]}
        self.error: dict[str, Any] | None = None
        self.methods: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.arguments: list[dict[str, Any]] = []
        self.session = 0
        self.forgets = 0
        """How many calls of tools are answered with `lost`."""
        self.lost = 404

    def answer_to(self, message: dict[str, Any]) -> dict[str, Any]:
        match message["method"]:
            case "initialize":
                return {"protocolVersion": "2025-03-26", "capabilities": {"tools": {}}, "serverInfo": {"name": "s"}}
            case "tools/list":
                at = int(message["params"].get("cursor", "0"))
                more = {"nextCursor": str(at + 1)} if at + 1 < len(self.tools) else {}
                return {"tools": [self.tools[at]], **more}
        self.arguments.append(message["params"])
        return self.result

    @asynccontextmanager
    async def engine(self, more: str = "") -> AsyncIterator[SearchEngine]:
        outer = self

        class Server(Handler):
            def do_POST(self) -> None:
                message = json.loads(self.body())
                outer.methods.append(message["method"])
                outer.headers.append({name.lower(): value for name, value in self.headers.items()})
                if message["method"] == "tools/call" and outer.forgets:
                    outer.forgets -= 1
                    self.answer(outer.lost, b"")
                    return
                extra = {}
                if message["method"] == "initialize" and outer.sessions:
                    outer.session += 1
                    extra = {"mcp-session-id": f"session-{outer.session}"}
                if "id" not in message:
                    self.answer(202, b"")
                    return
                body: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
                body |= {"error": outer.error} if outer.error else {"result": outer.answer_to(message)}
                if not outer.streams:
                    self.answer(200, json.dumps(body).encode(), {"content-type": "application/json", **extra})
                    return
                ping = {"jsonrpc": "2.0", "id": message["id"], "method": "ping"}
                note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}
                events = "".join(f"event: message\ndata: {json.dumps(one)}\n\n" for one in (ping, note, body))
                self.answer(200, events.encode(), {"content-type": "text/event-stream", **extra})

            def do_DELETE(self) -> None:
                outer.methods.append("DELETE")
                outer.headers.append({name.lower(): value for name, value in self.headers.items()})
                self.answer(204, b"")

        with served(Server) as url:
            text = f'[gateway.search]\nbackend = "mcp"\nurl = "{url}/mcp"\napi_key = "key-0123456789"\n{more}\n'
            config = parse(text, Path("config.toml"))
            config.trusted = True
            assert config.gateway is not None
            assert config.gateway.search is not None
            async with Transport() as transport:
                engine = SearchEngine(config, config.gateway.search, transport)
                yield engine
                await engine.aclose()


@pytest.mark.parametrize("streams", [False, True])
async def test_a_session_is_opened_once_and_ended(streams: bool) -> None:
    server = McpServer(streams=streams)
    async with server.engine() as engine:
        assert await engine.search("tides", HOSTED) == FOUND
        assert await engine.search("winds", HOSTED) == FOUND
    assert server.methods == [
        "initialize",
        "notifications/initialized",
        "tools/list",
        "tools/call",
        "tools/call",
        "DELETE",
    ]
    assert [headers.get("mcp-session-id") for headers in server.headers] == [None, *["session-1"] * 5]
    assert [headers.get("mcp-protocol-version") for headers in server.headers] == [None, *["2025-03-26"] * 5]
    assert {headers["authorization"] for headers in server.headers} == {"Bearer key-0123456789"}
    assert server.arguments == [{"name": "search", "arguments": {"query": query}} for query in ("tides", "winds")]


async def test_a_server_without_sessions_is_used_too() -> None:
    server = McpServer(sessions=False)
    async with server.engine() as engine:
        assert await engine.search("tides", HOSTED) == FOUND
    assert "DELETE" not in server.methods


@pytest.mark.parametrize("status", [400, 404])
async def test_a_lost_session_is_opened_again_once(status: int) -> None:
    server = McpServer()
    server.lost = status
    async with server.engine() as engine:
        await engine.search("tides", HOSTED)
        server.forgets = 1
        assert await engine.search("tides", HOSTED) == FOUND
        assert server.session == 2
        server.forgets = 2
        assert await engine.search("tides", HOSTED) == SearchOutcome(error="unavailable")


async def test_the_search_tool_is_found_by_its_name(caplog: pytest.LogCaptureFixture) -> None:
    other, news = {"name": "fetch"}, {"name": "news_search"}
    async with McpServer(other, TOOL).engine() as engine:
        assert await engine.search("tides", HOSTED) == FOUND
    web = McpServer(news, {**TOOL, "name": "brave_web_search"})
    async with web.engine() as engine:
        await engine.search("tides", HOSTED)
    assert web.arguments[0]["name"] == "brave_web_search"
    async with McpServer(TOOL, news).engine() as engine:
        assert (await engine.search("tides", HOSTED)).error == "unavailable"
    assert "set `tool` in [gateway.search]" in caplog.text
    assert "its tools are search, news_search" in caplog.text
    named = McpServer(TOOL, news)
    async with named.engine('tool = "news_search"') as engine:
        await engine.search("tides", HOSTED)
    assert named.arguments[0]["name"] == "news_search"


async def test_arguments_have_the_names_of_the_tools_schema() -> None:
    kinds = {
        "q": {"type": "string"},
        "num_results": {"type": "integer"},
        "include_domains": {"type": "array"},
        "exclude_domains": {"type": "string"},
        "country": {"type": ["string", "null"]},
    }
    server = McpServer({"name": "search", "inputSchema": {"properties": kinds, "required": ["q"]}})
    hosted = HostedSearch(
        "web_search", allowed_domains=["a.example"], blocked_domains=["b.example"], location=Location(country="NL")
    )
    async with server.engine('arguments = { depth = "deep" }') as engine:
        await engine.search("tides", hosted)
    assert server.arguments[0]["arguments"] == {
        "q": "tides", "num_results": 10, "include_domains": ["a.example"], "country": "NL", "depth": "deep",
    }  # fmt: skip


@pytest.mark.parametrize(
    "result",
    [
        {"structuredContent": {"results": PAGES}, "content": []},
        {"content": [{"type": "text", "text": "Title: A\nURL: https://a.example\nText: one"}]},
        {"content": [{"type": "text", "text": json.dumps(PAGES[0])}]},
        {"content": [{"type": "resource_link", "uri": "https://a.example", "name": "A", "description": "one"}]},
    ],
)
async def test_a_result_may_have_any_form(result: dict[str, Any]) -> None:
    server = McpServer()
    server.result = result
    async with server.engine() as engine:
        assert await engine.search("tides", HOSTED) == FOUND


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        ({"content": []}, SearchOutcome()),
        ({"content": [{"type": "text", "text": "No results."}]}, SearchOutcome()),
        ({"content": [{"type": "text", "text": "ftp://a"}]}, SearchOutcome(error="unavailable")),
        (
            {"isError": True, "content": [{"type": "text", "text": "key-0123456789"}]},
            SearchOutcome(error="unavailable"),
        ),
        ({}, SearchOutcome()),
    ],
)
async def test_a_result_without_pages(
    result: dict[str, Any], outcome: SearchOutcome, caplog: pytest.LogCaptureFixture
) -> None:
    server = McpServer()
    server.result = result
    async with server.engine() as engine:
        assert await engine.search("tides", HOSTED) == outcome
    assert "key-0123456789" not in caplog.text


async def test_an_error_of_the_server_is_a_failed_search(caplog: pytest.LogCaptureFixture) -> None:
    server = McpServer()
    server.error = {"code": -32601, "message": "no"}
    async with server.engine() as engine:
        assert (await engine.search("tides", HOSTED)).error == "unavailable"
    assert "refused initialize (error -32601)" in caplog.text
