"""Settings of a call for embeddings: types and validation."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from typing import Annotated, Any, TypedDict, get_type_hints

from msgspec import Meta

from modelbay.config.schema import Config
from modelbay.embedding import EmbeddingRequest
from modelbay.errors import ConfigError
from modelbay.protocols.codec import codec
from modelbay.providers.upstream import upstream
from modelbay.typed import Checker, Name


class EmbeddingSettings(TypedDict, total=False):
    """Settings of a call for embeddings. A setting that is missing or None has the default of the model or its provider."""

    dimensions: Annotated[int, Meta(ge=1)] | None
    """Length of the vectors, for models that can shorten them."""
    input_type: str | None
    """Purpose of the vectors: "query" for questions, "document" for texts to be found, "similarity", "classification",
    "clustering", or a value of the provider."""
    user: str | None
    """ID of your user, for the provider's checks of abuse."""
    extra_body: Mapping[str, Any] | None
    """Fields of the provider's own API. They replace those of the same name in each request."""
    extra_headers: Mapping[str, str] | None
    """Headers of each request. Those of the provider's entry take precedence, its API key included."""
    timeout: Annotated[float, Meta(gt=0)] | None
    """Maximum seconds for the whole call, with all requests and attempts."""
    retries: Annotated[int, Meta(ge=0)] | None
    """Maximum number of further attempts of each request after a failed one. Default: 3."""


_TYPES = get_type_hints(EmbeddingSettings, include_extras=True)
_CHECKER = Checker({}, lambda value: False)


def embedding_request(texts: str | Iterable[str], model: object, settings: EmbeddingSettings) -> EmbeddingRequest:
    """The request for some texts, before anything is sent.

    Raises:
        TypeError: an unknown setting, or a value of the wrong type.
        ValueError: an empty text, or a setting whose value is not allowed.
    """
    for name, value in settings.items():
        if name not in _TYPES:
            near = get_close_matches(name, _TYPES, 1)
            told = f'did you mean "{near[0]}"?' if near else f"must be one of {', '.join(_TYPES)}"
            raise TypeError(f'"{name}" is not a setting of embeddings: {told}')
        _CHECKER.check(value, _TYPES[name], name)
    # vectors of different models cannot be compared, so another model cannot be asked instead
    _CHECKER.check(model, Name | None, "model")
    if isinstance(texts, bytes) or not isinstance(texts, Iterable):
        raise TypeError(f"texts must be a string or strings, not {type(texts).__qualname__}")
    found = [texts] if isinstance(texts, str) else list(texts)
    for place, text in enumerate(found):
        if not isinstance(text, str):
            raise TypeError(f"texts[{place}] must be a string, not {type(text).__qualname__}")
        if not text:
            raise ValueError(f"texts[{place}] is empty: there is nothing to embed")
    return EmbeddingRequest(
        texts=found,
        dimensions=settings.get("dimensions"),
        input_type=settings.get("input_type"),
        user=settings.get("user"),
        extra=dict(settings.get("extra_body") or {}),
    )


def embedding_advice(config: Config, models: list[str]) -> str | None:
    """Which of these models, or which providers of the configuration, have embeddings."""
    if models:
        return f"use an embedding model, such as {', '.join(models[:5])}"
    providers: list[str] = []
    for id, provider in config.providers.items():
        with suppress(ConfigError):  # it is invalid, as `Hub.problems` reports
            providers += [id] if codec(upstream(config, provider).protocol).EMBEDDINGS is not None else []
    if not providers:
        return None
    return f"use an embedding model, as PROVIDER/MODEL_ID, of one of these providers: {', '.join(providers[:5])}"
