"""Each search back end: the request that it gets, and the pages of its reply."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from modelbay.config.load import parse
from modelbay.gateway.search.engine import SearchEngine
from modelbay.protocols.hosted_search import FoundPage, HostedSearch, Location, SearchOutcome
from modelbay.transport import Transport
from tests.servers.loopback import Handler, served

KEY = "key-0123456789"
PAGE = FoundPage("https://a.example/x", "A page", "Some text", "2 days ago")
FILTERED = HostedSearch(
    "web_search",
    allowed_domains=["a.example", "b.example/docs"],
    blocked_domains=["c.a.example"],
    location=Location(country="NL"),
)
BRAVE = {"url": PAGE.url, "title": PAGE.title, "description": "Some", "extra_snippets": ["text"], "age": PAGE.age}
REPLIES: dict[str, Any] = {
    "searxng": {"results": [{"url": PAGE.url, "title": PAGE.title, "content": PAGE.text, "publishedDate": PAGE.age}]},
    "brave": {"web": {"results": [BRAVE]}},
    "tavily": {"results": [{"url": PAGE.url, "title": PAGE.title, "content": PAGE.text, "published_date": PAGE.age}]},
    "exa": {"results": [{"url": PAGE.url, "title": PAGE.title, "text": PAGE.text, "publishedDate": PAGE.age}]},
}


class BackEnd:
    """A back end that records what it gets."""

    def __init__(self) -> None:
        self.reply: Any = {}
        self.status = 200
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []

    @asynccontextmanager
    async def engine(self, name: str, more: str = "") -> AsyncIterator[SearchEngine]:
        outer = self

        class Server(Handler):
            def do_GET(self) -> None:
                self._answered(dict(parse_qsl(urlsplit(self.path).query)))

            def do_POST(self) -> None:
                self._answered(json.loads(self.body()))

            def _answered(self, fields: dict[str, Any]) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.requests.append((f"{self.command} {urlsplit(self.path).path}", headers, fields))
                body = outer.reply if isinstance(outer.reply, bytes) else json.dumps(outer.reply).encode()
                self.answer(outer.status, body)

        with served(Server) as url:
            text = f'[gateway.search]\nbackend = "{name}"\nurl = "{url}"\napi_key = "{KEY}"\n{more}\n'
            config = parse(text, Path("config.toml"))
            config.trusted = True
            assert config.gateway is not None
            assert config.gateway.search is not None
            async with Transport() as transport:
                yield SearchEngine(config, config.gateway.search, transport)


@pytest.mark.parametrize(
    ("name", "request_line", "fields"),
    [
        (
            "searxng",
            "GET /search",
            {"format": "json", "q": "tides site:a.example OR site:b.example/docs -site:c.a.example"},
        ),
        (
            "brave",
            "GET /res/v1/web/search",
            {
                "text_decorations": "false",
                "q": "tides site:a.example OR site:b.example/docs -site:c.a.example",
                "count": "10",
                "country": "NL",
            },
        ),
        (
            "tavily",
            "POST /search",
            {
                "query": "tides",
                "max_results": 10,
                "include_domains": ["a.example", "b.example"],
            },
        ),
        (
            "exa",
            "POST /search",
            {
                "query": "tides",
                "numResults": 10,
                "includeDomains": ["a.example", "b.example"],
                "userLocation": "NL",
                "contents": {"text": {"maxCharacters": 1500}},
            },
        ),
    ],
)
async def test_a_back_end_gets_the_query_and_the_filters(name: str, request_line: str, fields: dict[str, Any]) -> None:
    server = BackEnd()
    server.reply = REPLIES[name]
    async with server.engine(name) as engine:
        outcome = await engine.search("tides", FILTERED)
    ((line, headers, sent),) = server.requests
    assert (line, sent) == (request_line, fields)
    assert KEY in str(headers)
    assert outcome.error is None
    (page,) = outcome.pages
    assert (page.url, page.title, page.text.replace("\n", " "), page.age) == (PAGE.url, PAGE.title, PAGE.text, PAGE.age)


@pytest.mark.parametrize(
    ("status", "reply", "code"),
    [
        (500, {}, "unavailable"),
        (401, {}, "unavailable"),
        (429, {}, "too_many_requests"),
        (200, b"<html>", "unavailable"),
        (200, b"[" * 5000, "unavailable"),
    ],
)
async def test_a_reply_that_cannot_be_used_is_a_failed_search(
    status: int, reply: Any, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = BackEnd()
    server.status, server.reply = status, reply
    async with server.engine("exa") as engine:
        outcome = await engine.search("tides", HostedSearch("web_search"))
    assert outcome == SearchOutcome(error=code)  # type: ignore[arg-type]
    assert "search with exa failed: POST http://127.0.0.1:" in caplog.text
    assert KEY not in caplog.text


async def test_blocked_domains_are_sent_if_none_are_allowed() -> None:
    server = BackEnd()
    async with server.engine("exa") as engine:
        await engine.search("tides", HostedSearch("web_search", blocked_domains=["c.example", "d.example/x"]))
    assert server.requests[0][2]["excludeDomains"] == ["c.example"]


@pytest.mark.parametrize(("country", "sent"), [("nl", "NL"), ("NG", None), (None, None)])
async def test_a_country_that_the_back_end_rejects_is_not_sent(country: str | None, sent: str | None) -> None:
    server = BackEnd()
    async with server.engine("brave") as engine:
        await engine.search("tides", HostedSearch("web_search", location=Location(city="X", country=country)))
    assert server.requests[0][2].get("country") == sent


async def test_nothing_found_is_not_an_error() -> None:
    server = BackEnd()
    server.reply = {"query": {}, "web": None}
    async with server.engine("brave") as engine:
        assert await engine.search("tides", HostedSearch("web_search")) == SearchOutcome()


async def test_a_query_that_is_too_long_is_not_sent() -> None:
    server = BackEnd()
    async with server.engine("brave") as engine:
        outcome = await engine.search("x" * 401, HostedSearch("web_search"))
    assert outcome == SearchOutcome(error="query_too_long")
    assert server.requests == []


async def test_domains_that_do_not_fit_in_the_query_still_filter_the_results() -> None:
    server = BackEnd()
    server.reply = {"web": {"results": [{"url": "https://a.example"}, {"url": "https://b.example"}]}}
    async with server.engine("brave") as engine:
        outcome = await engine.search("x" * 390, HostedSearch("web_search", blocked_domains=["a.example"]))
    assert server.requests[0][2]["q"] == "x" * 390
    assert [page.url for page in outcome.pages] == ["https://b.example"]


async def test_the_number_of_results_is_limited_by_the_client_and_the_configuration() -> None:
    server = BackEnd()
    server.reply = {"results": [{"url": f"https://a.example/{number}"} for number in range(30)]}
    async with server.engine("tavily") as engine:
        outcome = await engine.search("tides", HostedSearch("web_search", size="low"))
        assert len(outcome.pages) == server.requests[0][2]["max_results"] == 5
    async with server.engine("tavily", "results = 3") as engine:
        assert len((await engine.search("tides", HostedSearch("web_search"))).pages) == 3


async def test_a_redirect_is_not_followed() -> None:
    """The key would go with it."""
    asked: list[str] = []

    class Elsewhere(Handler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if self.path.startswith("/other"):
                self.answer(200, b"{}")
            else:
                self.answer(302, b"", {"location": "/other"})

    with served(Elsewhere) as url:
        config = parse(f'[gateway.search]\nbackend = "searxng"\nurl = "{url}"\n', Path("config.toml"))
        assert config.gateway is not None
        assert config.gateway.search is not None
        async with Transport() as transport:
            outcome = await SearchEngine(config, config.gateway.search, transport).search(
                "x", HostedSearch("web_search")
            )
    assert outcome.error == "unavailable"
    assert len(asked) == 1


async def test_nothing_is_searched_offline(caplog: pytest.LogCaptureFixture) -> None:
    config = parse('[gateway.search]\nbackend = "searxng"\nurl = "http://127.0.0.1:9"\n', Path("config.toml"))
    assert config.gateway is not None
    assert config.gateway.search is not None
    async with Transport(offline=True) as transport:
        outcome = await SearchEngine(config, config.gateway.search, transport).search("x", HostedSearch("web_search"))
    assert outcome.error == "unavailable"
    assert "offline is set in [network]" in caplog.text
