"""Opaque reasoning state: signatures, encrypted reasoning, thought signatures.

State goes back verbatim to the protocol, vendor and model family that made it, and to nobody else. A client whose
protocol is another one keeps it for us in an envelope, put where its protocol has room for opaque bytes:

    modelbay1.<protocol>.<vendor>.<family>.<base64url of JSON>

so that it can be found by a byte search, and so that the next request restores the part as it was.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec

from modelbay.conversation import AnyPart, Extra, Origin, Thinking, ToolCall
from modelbay.errors import MalformedReply
from modelbay.json_text import decode_as

MARK = "modelbay1."


class Sealed(msgspec.Struct, omit_defaults=True):
    """What an envelope holds of a part, beside what its carrier shows."""

    kind: str
    """The tag of the part that the state belongs to: "thinking", or the part that follows the carrier."""
    opaque: str | None = None
    native: str | None = None
    item_id: str | None = None
    extra: Extra | None = None
    texts: list[str] | None = None
    """A thinking part's texts, where they are not exactly one: the carrier shows them joined."""
    summary: bool = False
    name: str | None = None
    """The name of the call that the state belongs to: clients replace ids."""


def belongs(part: AnyPart, protocol: str, vendor: str, family: str) -> bool:
    """Whether the part's own state means something to this target. What is not known of an origin does not tell it apart."""
    origin = part.origin
    if origin is None:
        return True
    return (
        origin.protocol == protocol
        and (not origin.vendor or not vendor or origin.vendor == vendor)
        and (not origin.family or not family or origin.family == family)
    )


def seal(part: AnyPart, *, with_text: bool = False, with_name: bool = False) -> str:
    """The envelope for a part's state. `with_text`: a thinking part's text too, for a carrier that does not show it.
    `with_name`: a call's name too, for a carrier that does not stand beside its call."""
    origin = part.origin or Origin("")
    sealed = Sealed(str(type(part).__struct_config__.tag), part.opaque, part.native, part.item_id, part.extra)
    if type(part) is Thinking:
        sealed.summary = part.summary
        if with_text or len(part.texts) != 1:
            sealed.texts = part.texts
    elif type(part) is ToolCall and with_name:
        sealed.name = part.name
    payload = urlsafe_b64encode(msgspec.json.encode(sealed)).decode().rstrip("=")
    return f"{MARK}{origin.protocol}.{_word(origin.vendor)}.{_word(origin.family)}.{payload}"


def unseal(text: str | None) -> tuple[Origin, Sealed] | None:
    """What an envelope holds, or None where `text` is not one (or was damaged on its way)."""
    if not text or not text.startswith(MARK):
        return None
    words = text.split(".")
    if len(words) != 5:
        return None
    _, protocol, vendor, family, payload = words
    try:
        sealed = decode_as(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), Sealed)
    except (MalformedReply, binascii.Error, ValueError):
        return None
    return Origin(protocol, vendor.replace("~", "."), family.replace("~", ".")), sealed


def restore(part: AnyPart, origin: Origin, sealed: Sealed) -> None:
    """Puts an envelope's state on the part it belongs to."""
    part.origin = origin
    part.opaque, part.native, part.item_id = sealed.opaque, sealed.native, sealed.item_id
    part.extra = sealed.extra
    if type(part) is Thinking:
        part.summary = sealed.summary
        if sealed.texts is not None:
            part.texts = sealed.texts


def _word(text: str) -> str:
    """A vendor or family may hold a dot ("gpt-4.1"), which parts the envelope."""
    return text.replace(".", "~")
