"""The models of modelbay in LangChain: `ChatModelbay(model="claude")` and `ModelbayEmbeddings(model="…")`."""

from langchain_modelbay.chat_models import ChatModelbay
from langchain_modelbay.embeddings import ModelbayEmbeddings

__all__ = ["ChatModelbay", "ModelbayEmbeddings"]
