"""Runs searches with the configured back end."""

import asyncio

from modelbay.config.schema import Config, SearchSettings
from modelbay.errors import ModelbayError
from modelbay.gateway.search.found_pages import limited
from modelbay.gateway.search.http_search import SearchFailed, search_http
from modelbay.gateway.search.mcp_search import McpSearch
from modelbay.logs import LOG
from modelbay.protocols.hosted_search import ContextSize, FoundPage, HostedSearch, SearchOutcome
from modelbay.providers.search_backends import (
    SearchEndpoint,
    asks_for_key,
    read_key_again,
    search_endpoint,
)
from modelbay.secrecy import redact
from modelbay.transport import Transport

RESULTS: dict[ContextSize, int] = {"low": 5, "medium": 10, "high": 20}
"""Results that a client gets with its `search_context_size`, if the configuration allows as many."""


class SearchEngine:
    """The search back end of a configuration."""

    def __init__(self, config: Config, settings: SearchSettings, transport: Transport) -> None:
        self.settings = settings
        self._config = config
        self._transport = transport
        self._mcp = McpSearch(transport, settings) if settings.backend == "mcp" else None
        self._endpoint: SearchEndpoint | None = None

    async def search(self, query: str, hosted: HostedSearch) -> SearchOutcome:
        """Run a search. A failure is logged, and the outcome has its code."""
        settings = self.settings
        if self._transport.offline:
            return self._failed(SearchFailed("offline is set in [network]"))
        try:
            async with asyncio.timeout(settings.timeout):
                endpoint = await self._ready()
                pages = await self._pages(endpoint, query, hosted)
        except TimeoutError:
            return self._failed(SearchFailed(f"no answer within {settings.timeout:g} s"))
        except SearchFailed as error:
            if error.rejected:
                await asyncio.to_thread(read_key_again, settings)
            return self._failed(error)
        except ModelbayError as error:
            return self._failed(SearchFailed(error.message))
        return SearchOutcome(limited(pages, hosted, self._most(hosted)))

    async def aclose(self) -> None:
        if self._mcp is not None and self._endpoint is not None:
            await self._mcp.aclose(self._endpoint)

    def _most(self, hosted: HostedSearch) -> int:
        return min(self.settings.results, RESULTS[hosted.size])

    async def _ready(self) -> SearchEndpoint:
        if asks_for_key(self.settings):  # a keyring or a command may prompt the user
            endpoint = await asyncio.to_thread(search_endpoint, self._config, self.settings)
        else:
            endpoint = search_endpoint(self._config, self.settings)
        self._endpoint = endpoint
        return endpoint

    async def _pages(self, endpoint: SearchEndpoint, query: str, hosted: HostedSearch) -> list[FoundPage]:
        most = self._most(hosted)
        if self._mcp is not None:
            return await self._mcp.search(endpoint, query, hosted, most)
        return await search_http(self._transport, endpoint, self.settings, query, hosted, most)

    def _failed(self, error: SearchFailed) -> SearchOutcome:
        LOG.warning("search with %s failed: %s", self.settings.backend, redact(str(error)))
        return SearchOutcome(error=error.code)
