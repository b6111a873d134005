"""Calls without a hub of one's own: `modelbay.complete("Why is the sky blue?")`. They use the default configuration.

The hub is opened by the first call. It stays open until the program ends, and does not see later changes of config.toml.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Unpack

from modelbay.embedding import Embeddings
from modelbay.events import OutputT, Reply
from modelbay.library.embedding_settings import EmbeddingSettings
from modelbay.library.prompt import Ask, Prompt
from modelbay.sync import Chat, Hub, ReplyStream, ToolRun

if TYPE_CHECKING:
    from modelbay.counting.provider_count import TokenCount


@cache
def default_hub() -> Hub:
    """The hub of the default configuration. Raises what `Hub.open` raises."""
    return Hub.open()


def complete(
    prompt: Prompt, *, model: str | Sequence[str] | None = None, **settings: Unpack[Ask[OutputT]]
) -> Reply[OutputT]:
    """The complete reply of a model of the default configuration. The arguments, and what is
    raised, are those of `modelbay.sync.Hub.complete`."""
    return default_hub().complete(prompt, model=model, **settings)


def stream(
    prompt: Prompt, *, model: str | Sequence[str] | None = None, **settings: Unpack[Ask[OutputT]]
) -> ReplyStream[OutputT]:
    """A reply that is read while it arrives, of a model of the default configuration. The arguments, and what is
    raised, are those of `modelbay.sync.Hub.stream`."""
    return default_hub().stream(prompt, model=model, **settings)


def count(
    prompt: Prompt, *, model: str | Sequence[str] | None = None, estimate: bool = False, **settings: Unpack[Ask]
) -> "TokenCount":
    """The input tokens of a call to a model of the default configuration. The arguments, and what is
    raised, are those of `modelbay.sync.Hub.count`."""
    return default_hub().count(prompt, model=model, estimate=estimate, **settings)


def run(
    prompt: Prompt,
    *,
    model: str | Sequence[str] | None = None,
    max_steps: int = 10,
    **settings: Unpack[Ask[OutputT]],
) -> ToolRun[OutputT]:
    """A conversation in which a model of the default configuration calls functions. The arguments, and what is
    raised, are those of `modelbay.sync.Hub.run`."""
    return default_hub().run(prompt, model=model, max_steps=max_steps, **settings)


def chat(*, model: str | Sequence[str] | None = None, **settings: Unpack[Ask]) -> Chat:
    """A conversation with a model of the default configuration, turn by turn. The arguments, and what is
    raised, are those of `modelbay.sync.Hub.chat`."""
    return default_hub().chat(model=model, **settings)


def load_chat(text: str, *, model: str | Sequence[str] | None = None, **settings: Unpack[Ask]) -> Chat:
    """The chat of a text that `Chat.dumps` made, with a model of the default configuration. The arguments, and what is
    raised, are those of `modelbay.sync.Hub.load_chat`."""
    return default_hub().load_chat(text, model=model, **settings)


def embed(texts: str | Iterable[str], *, model: str | None = None, **settings: Unpack[EmbeddingSettings]) -> Embeddings:
    """The vectors of one text or of many, by an embedding model of the default configuration. The arguments, and what is
    raised, are those of `modelbay.sync.Hub.embed`."""
    return default_hub().embed(texts, model=model, **settings)
