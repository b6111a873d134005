"""Converts the position of a citation to characters, as OpenAI's protocols count."""

from modelbay.conversation import Annotation


def span(annotation: Annotation, text: str) -> tuple[int, int]:
    """Start and end of a citation. Gemini counts UTF-8 bytes, Anthropic cites the whole block."""
    start, end = annotation.start or 0, annotation.end or 0
    if annotation.unit == "block":
        return 0, len(text)
    if annotation.unit == "bytes":
        data = text.encode()
        return len(data[:start].decode("utf-8", "ignore")), len(data[:end].decode("utf-8", "ignore"))
    return start, end
