"""Gemini's citations: groundingMetadata and citationMetadata, next to the text at the end of a reply.

Their offsets count UTF-8 bytes of the text.
"""

from typing import Any

from modelbay.conversation import Annotation, AnyPart, Json, Text
from modelbay.protocols.google.parts import NAME, string

_SOURCES = ("web", "retrievedContext", "maps", "image")


def parse_citations(grounding: Json, citations: Json) -> list[Annotation]:
    return [*_parse_grounding(grounding), *_parse_recited(citations)]


def _objects(value: Json, name: str) -> list[dict[str, Any]]:
    items = value.get(name) if isinstance(value, dict) else None
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _parse_grounding(grounding: Json) -> list[Annotation]:
    """One citation for each source of each supported segment; sources alone if there are no segments."""
    chunks = _objects(grounding, "groundingChunks")
    sources = [_parse_source(chunk) for chunk in chunks]
    found: list[Annotation] = []
    for support in _objects(grounding, "groundingSupports"):
        segment = support.get("segment")
        segment = segment if isinstance(segment, dict) else {}
        indices = support.get("groundingChunkIndices")
        for index in indices if isinstance(indices, list) else ():
            if type(index) is not int or not 0 <= index < len(chunks):
                continue
            kind, url, title = sources[index]
            found.append(
                Annotation(
                    kind,
                    url=url,
                    title=title,
                    text=string(segment.get("text")),
                    start=_offset(segment.get("startIndex", 0)),  # proto JSON omits zeros
                    end=_offset(segment.get("endIndex")),
                    unit="bytes",
                    protocol=NAME,
                    raw={"groundingSupport": support, "groundingChunk": chunks[index]},
                )
            )
    if found:
        return found
    return [
        Annotation(kind, url=url, title=title, unit="bytes", protocol=NAME, raw={"groundingChunk": chunk})
        for (kind, url, title), chunk in zip(sources, chunks, strict=True)
    ]


def _parse_source(chunk: dict[str, Any]) -> tuple[str, str | None, str | None]:
    name = next((name for name in _SOURCES if isinstance(chunk.get(name), dict)), None)
    if name is None:
        return "unknown", None, None
    source = chunk[name]
    url = string(source.get("uri")) or string(source.get("sourceUri"))
    return "url" if url else "document", url, string(source.get("title"))


def _offset(value: Json) -> int | None:
    return value if type(value) is int else None


def _parse_recited(citations: Json) -> list[Annotation]:
    found = _objects(citations, "citations") or _objects(citations, "citationSources")
    return [
        Annotation(
            "url" if string(item.get("uri")) else "citation",
            url=string(item.get("uri")),
            title=string(item.get("title")),
            start=_offset(item.get("startIndex")),
            end=_offset(item.get("endIndex")),
            unit="bytes",
            protocol=NAME,
            raw={"citation": item},
        )
        for item in found
    ]


def render_grounding(parts: list[AnyPart]) -> dict[str, Any] | None:
    """groundingMetadata for citations of other providers; those without a URL cannot be expressed."""
    chunks: list[dict[str, Any]] = []
    indexes: dict[str, int] = {}
    supports: list[dict[str, Any]] = []
    for part in parts:
        if type(part) is not Text:
            continue
        for annotation in part.annotations or ():
            if annotation.url is None:
                continue
            web = {"uri": annotation.url, "title": annotation.title or annotation.url}
            if annotation.url not in indexes:
                indexes[annotation.url] = len(chunks)
                chunks.append({"web": web})
            supports.append(
                {
                    "segment": _segment(annotation, part.text),
                    "groundingChunkIndices": [indexes[annotation.url]],
                }
            )
    return {"groundingChunks": chunks, "groundingSupports": supports} if chunks else None


def _segment(annotation: Annotation, text: str) -> dict[str, Any]:
    """The cited part of the text, in bytes; the whole text if the citation has no position."""
    start, end = annotation.start or 0, annotation.end
    if annotation.unit == "chars" and end is not None:
        start, end = len(text[:start].encode()), len(text[:end].encode())
        cited = text[annotation.start or 0 : annotation.end]
    else:
        end = len(text.encode()) if end is None or annotation.unit == "block" else end
        cited = text.encode()[start:end].decode("utf-8", "replace")
    return ({"startIndex": start} if start else {}) | {"endIndex": end, "text": cited}
