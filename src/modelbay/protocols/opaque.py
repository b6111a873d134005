"""Opaque reasoning state: signatures, encrypted reasoning, thought signatures.

State is sent back verbatim, and only to the protocol, vendor and model family that created it. A client of another
protocol stores it in an envelope, in a field that its protocol has for opaque bytes:

    modelbay1.<protocol>.<vendor>.<family>.<base64url of JSON>

The mark can be found by a byte search, and the next request restores the part from the envelope.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec

from modelbay.conversation import AnyPart, Extra, Json, Provenance, Text, Thinking, ToolCall
from modelbay.errors import MalformedReply
from modelbay.json_text import decode_as

MARK = "modelbay1."


class Sealed(msgspec.Struct, omit_defaults=True):
    """Fields of a part in an envelope, in addition to those that its carrier shows."""

    kind: str
    """Tag of the part that the state belongs to: "thinking", or the part after the carrier."""
    opaque: str | None = None
    native: str | None = None
    item_id: str | None = None
    extra: Extra | None = None
    texts: list[str] | None = None
    """The texts of a thinking part, if there is not exactly one: the carrier shows them joined. Of a text: [] if it is empty,
    because the client gets no part for it."""
    summary: bool = False
    name: str | None = None
    """Name of the call that the state belongs to, as clients replace IDs."""


def belongs(part: AnyPart, protocol: str, vendor: str, family: str) -> bool:
    """Whether a part's state is valid for a target. Unknown vendor or family matches any."""
    origin = part.origin
    if origin is None:
        return True
    return (
        origin.protocol == protocol
        and (not origin.vendor or not vendor or origin.vendor == vendor)
        and (not origin.family or not family or origin.family == family)
    )


def seal(part: AnyPart, *, with_text: bool = False, with_name: bool = False) -> str:
    """The envelope for a part's state.

    `with_text` includes a thinking part's text, for a carrier that does not show it. `with_name` includes a call's
    name, for a carrier that is not next to its call.
    """
    origin = part.origin or Provenance("")
    sealed = Sealed(str(type(part).__struct_config__.tag), part.opaque, part.native, part.item_id, part.extra)
    if type(part) is Thinking:
        sealed.summary = part.summary
        if with_text or len(part.texts) != 1:
            sealed.texts = part.texts
    elif type(part) is ToolCall and with_name:
        sealed.name = part.name
    elif type(part) is Text and not part.text:
        sealed.texts = []
    payload = urlsafe_b64encode(msgspec.json.encode(sealed)).decode().rstrip("=")
    return f"{MARK}{origin.protocol}.{_word(origin.vendor)}.{_word(origin.family)}.{payload}"


def unseal(text: Json) -> tuple[Provenance, Sealed] | None:
    """The content of an envelope, or None if `text`, which a client may have written, is not one or is damaged."""
    if not isinstance(text, str) or not text.startswith(MARK):
        return None
    words = text.split(".")
    if len(words) != 5:
        return None
    _, protocol, vendor, family, payload = words
    try:
        sealed = decode_as(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), Sealed)
    except (MalformedReply, binascii.Error, ValueError):
        return None
    return Provenance(protocol, vendor.replace("~", "."), family.replace("~", ".")), sealed


def restore(part: AnyPart, origin: Provenance, sealed: Sealed) -> None:
    """Restore a part's state from an envelope."""
    part.origin = origin
    part.opaque, part.native, part.item_id = sealed.opaque, sealed.native, sealed.item_id
    part.extra = sealed.extra
    if type(part) is Thinking:
        part.summary = sealed.summary
        if sealed.texts is not None:
            part.texts = sealed.texts


def empty_text(origin: Provenance, sealed: Sealed) -> Text | None:
    """The empty text that an envelope is for, or None: Gemini sends the signature of a streamed text on an empty one after
    it."""
    if sealed.kind != "text" or sealed.texts is None:
        return None
    part = Text()
    restore(part, origin, sealed)
    return part


def _word(text: str) -> str:
    """A vendor or family without dots ("gpt-4.1"), which separate the fields of an envelope."""
    return text.replace(".", "~")
