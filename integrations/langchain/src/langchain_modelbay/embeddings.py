"""Embeddings of LangChain by a Hub of modelbay."""

from typing import Any

from langchain_core.embeddings import Embeddings

from langchain_modelbay.hubs import Hubs, default_hubs, errors_as_theirs
from modelbay import Hub, sync


class ModelbayEmbeddings(Embeddings):
    """Vectors of texts, by an embedding model of a configuration of modelbay."""

    def __init__(self, model: str | None = None, *, hub: Hub | sync.Hub | None = None, **settings: Any) -> None:
        """`model`: alias or `provider/model-id`. `settings`: those of `Hub.embed`, such as `dimensions` and `timeout`."""
        self.model = model
        self.settings = settings
        self._hubs = Hubs(hub) if hub is not None else default_hubs()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self._embedded(texts, "document")

    def embed_query(self, text: str) -> list[float]:
        return self._embedded([text], "query")[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return await self._embedded_async(texts, "document")

    async def aembed_query(self, text: str) -> list[float]:
        return (await self._embedded_async([text], "query"))[0]

    def _embedded(self, texts: list[str], purpose: str) -> list[list[float]]:
        with errors_as_theirs():
            settings = {"input_type": purpose, **self.settings}
            return self._hubs.blocking.embed(texts, model=self.model, **settings).vectors

    async def _embedded_async(self, texts: list[str], purpose: str) -> list[list[float]]:
        with errors_as_theirs():
            settings = {"input_type": purpose, **self.settings}
            return (await self._hubs.asynchronous.embed(texts, model=self.model, **settings)).vectors
