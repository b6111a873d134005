"""Plain-text documents, for protocols that accept only other documents, or no titles."""

from base64 import b64decode

from modelbay.conversation import Media, Text


def plain_text(media: Media) -> str | None:
    """The text of a plain-text document; None for any other media."""
    if media.kind != "document":
        return None
    if media.text is not None:
        return media.text
    if media.parts is not None:
        return "\n".join([part.text for part in media.parts if type(part) is Text])
    kind = media.media_type or ""
    if media.data is None or not (kind.startswith("text/") or kind == "application/json"):
        return None
    try:
        return b64decode(media.data).decode("utf-8", "replace")
    except ValueError:
        return None


def titled(text: str, title: str | None) -> str:
    """A document as text, with tags that show its end and its title."""
    return f'<document title="{title}">\n{text}\n</document>' if title else f"<document>\n{text}\n</document>"
