"""Responses content: parsing and rendering, for requests, replies and streams."""

from typing import Any, Final

from modelbay.conversation import Annotation, AnyPart, Json, Media, Refusal, Text, UnknownPart
from modelbay.protocols.citations import span
from modelbay.protocols.media_types import data_url, format_of, of_format, take_url
from modelbay.protocols.shapes import count, items, objects, shown, unknown, without, word

NAME: Final = "openai_responses"
INPUT, OUTPUT = "input_text", "output_text"
"""Default text types: of input and of output."""
STRING = "string"
"""The `native` of a text that was the whole content, written as a string instead of a list of parts."""
_TEXT = frozenset(("type", "text", "annotations", "logprobs"))
OF_ITEM = "item."
"""Key in `extra` of a reply's part for fields of its item besides the content: `status`, `phase`."""


def parse_content(content: Json, usual: str) -> list[AnyPart]:
    """Parse content. `usual` is the text type that is not recorded: `input_text` or, for an assistant, `output_text`."""
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(text=content, native=STRING)]
    if not isinstance(content, list):
        return [UnknownPart(native="content", raw=content)]
    return [parse_part(item, usual) for item in content]


def reply_content(content: Json) -> list[AnyPart]:
    """The parts of a message in a reply. Nothing is lost: anything that is not a part becomes text."""
    return [
        parse_part(item, OUTPUT) if isinstance(item, dict) and "type" in item else Text(text=shown(item))
        for item in items(content)
    ]


def parse_part(item: Json, usual: str) -> AnyPart:
    if not isinstance(item, dict):
        return UnknownPart(raw=item)
    kind = word(item.get("type"))
    part: AnyPart | None = None
    if kind in (INPUT, OUTPUT, "text") and item.get("text") is not None:
        part = Text(
            text=shown(item["text"]),
            native=kind if kind != usual else None,
            logprobs=objects(item.get("logprobs")) or None,
            extra=unknown(item, _TEXT),
        )
        part.annotations = [parse_annotation(found) for found in objects(item.get("annotations"))] or None
    elif kind == "refusal" and item.get("refusal") is not None:
        part = Refusal(text=shown(item["refusal"]), extra=without(item, "type", "refusal"))
    elif kind == "input_image":
        part = _parse_image(item)
    elif kind == "input_file":
        part = _parse_file(item)
    elif kind == "input_audio" and isinstance(sound := item.get("input_audio"), dict):
        form = word(sound.get("format"))
        part = Media(kind="audio", data=word(sound.get("data")), extra=without(item, "type", "input_audio"))
        part.media_type = of_format(form)
    return part or UnknownPart(native=kind, raw=item)


def _parse_image(item: dict[str, Any]) -> Media | None:
    image = Media(kind="image", file_id=word(item.get("file_id")), detail=word(item.get("detail")))
    if isinstance(url := item.get("image_url"), str):
        take_url(image, url)
    elif url is not None or image.file_id is None:
        return None
    image.extra = without(item, "type", "image_url", "file_id", "detail")
    return image


def _parse_file(item: dict[str, Any]) -> Media | None:
    file = Media(
        kind="document",
        file_id=word(item.get("file_id")),
        url=word(item.get("file_url")),
        name=word(item.get("filename")),
        detail=word(item.get("detail")),
    )
    if isinstance(data := item.get("file_data"), str):
        found = data_url(data)
        file.media_type, file.data = found or (None, data)
        file.native = None if found else "file_data"  # bare base64, which some gateways accept
    elif file.file_id is None and file.url is None:
        return None
    file.extra = without(item, "type", "file_id", "file_url", "filename", "file_data", "detail")
    return file


def _data_uri(media: Media, usual: str) -> str:
    return f"data:{media.media_type or usual};base64,{media.data}"


def render_part(part: AnyPart, usual: str) -> dict[str, Any] | None:
    """A content part in the form it was parsed from, or None if Responses has none for it."""
    item: dict[str, Any]
    match part:
        case Text():
            item = {"type": part.native if part.native in (INPUT, OUTPUT, "text") else usual, "text": part.text}
            if annotations := render_annotations(part):
                item["annotations"] = annotations
            if part.logprobs:
                item["logprobs"] = part.logprobs
        case Refusal():
            item = {"type": "refusal", "refusal": part.text}
        case Media():
            item = render_media(part)
        case UnknownPart() if isinstance(part.raw, dict):
            return part.raw
        case _:
            return None
    return item | {name: value for name, value in (part.extra or {}).items() if name != OF_ITEM}


def render_media(media: Media) -> dict[str, Any]:
    item: dict[str, Any]
    match media.kind:
        case "image":
            item = {"type": "input_image"}
            if media.url is not None or media.data is not None:
                item["image_url"] = media.url if media.data is None else _data_uri(media, "image/png")
        case "audio":
            form = format_of(media.media_type)
            return {"type": "input_audio", "input_audio": {"data": media.data, **({"format": form} if form else {})}}
        case _:
            item = {"type": "input_file"}
            if media.name is not None:
                item["filename"] = media.name
            if media.data is not None:
                bare = media.native == "file_data"
                item["file_data"] = media.data if bare else _data_uri(media, "application/pdf")
            elif media.url is not None:
                item["file_url"] = media.url
    if media.file_id is not None:
        item["file_id"] = media.file_id
    if media.detail is not None:
        item["detail"] = media.detail
    return item


# --- citations ---------------------------------------------------------------------------------------------------------


def parse_annotation(item: dict[str, Any]) -> Annotation:
    kind = str(item.get("type", "unknown"))
    return Annotation(
        {"url_citation": "url", "file_citation": "file"}.get(kind, kind),
        url=word(item.get("url")),
        title=word(item.get("title")) or word(item.get("filename")),
        start=count(item.get("start_index")),
        end=count(item.get("end_index")),
        protocol=NAME,
        raw=item,
    )


def render_annotation(annotation: Annotation, text: str) -> dict[str, Any] | None:
    """The object of an annotation: its own, or a `url_citation` into `text`. Citations without a URL cannot be expressed."""
    if annotation.protocol == NAME and annotation.raw is not None:
        return annotation.raw
    if annotation.url is None:
        return None
    start, end = span(annotation, text)
    return {
        "type": "url_citation",
        "url": annotation.url,
        "title": annotation.title or annotation.url,
        "start_index": start,
        "end_index": end,
    }


def render_annotations(text: Text) -> list[dict[str, Any]]:
    rendered = [render_annotation(annotation, text.text) for annotation in text.annotations or ()]
    return [item for item in rendered if item is not None]
