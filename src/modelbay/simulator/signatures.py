"""Signatures: reasoning state that only its maker can write and check.

A signature is bound to what it signs, to its place and to everything said before it. What clients may change (ids, cache
marks, white space, system prompts, how a text is cut into parts, older thinking) is not bound.
"""

import hmac
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from hashlib import sha256

import msgspec

from modelbay.conversation import AnyPart, Conversation, Media, Refusal, Text, Thinking, ToolCall, ToolResult, Turn
from modelbay.errors import MalformedReply
from modelbay.json_text import decode

SECRET = b"the simulator keeps no secrets"
_MAGIC = b"sim1"


class Prefix:
    """What was said so far, as a digest that grows."""

    def __init__(self, protocol: str, secret: bytes = SECRET) -> None:
        self._secret = secret
        self._said = sha256(protocol.encode())
        self._voice = ""

    @classmethod
    def of(cls, conversation: Conversation, protocol: str, secret: bytes = SECRET) -> "Prefix":
        prefix = cls(protocol, secret)
        for turn in conversation.turns:
            prefix.add_turn(turn)
        return prefix

    def add_turn(self, turn: Turn) -> None:
        if turn.role in ("system", "developer"):
            return
        for part in turn.parts:
            self.add("assistant" if turn.role == "assistant" else "user", part)

    def add(self, voice: str, part: AnyPart) -> None:
        match part:
            case Text() | Refusal():
                self._say(voice, part.text)
            case Media():
                self._say(f"{voice} {part.kind}", part.data or part.url or part.file_id or part.text or "")
            case ToolCall():
                self._say("call", call_text(part))
            case ToolResult():
                self._say("result", "")
                for inner in part.parts:
                    self.add("result", inner)
            case _:
                pass

    def _say(self, voice: str, text: str) -> None:
        if voice != self._voice:
            self._voice = voice
            self._said.update(b"\0" + voice.encode() + b"\0")
        # without white space: renderers trim it, and cut texts where they like
        self._said.update("".join(text.split()).encode("utf-8", "replace"))

    def digest(self) -> str:
        return self._said.hexdigest()

    def sign(self, kind: str, text: str) -> str:
        message = b"\0".join([kind.encode(), self._said.digest(), text.encode("utf-8", "replace")])
        return b64encode(_MAGIC + hmac.digest(self._secret, message, "sha256")).decode()

    def holds(self, kind: str, text: str, signature: str | None) -> bool:
        return signature is not None and hmac.compare_digest(_canonical(signature), _canonical(self.sign(kind, text)))


def _canonical(signature: str) -> bytes:
    """The bytes of a signature: clients write base64 in both alphabets, with padding and without."""
    try:
        return b64decode(
            signature.replace("-", "+").replace("_", "/").rstrip("=") + "=" * (-len(signature.rstrip("=")) % 4)
        )
    except (Base64Error, ValueError):
        return b""


def call_text(call: ToolCall) -> str:
    """A call without what a client may spell another way."""
    try:
        arguments = msgspec.json.encode(decode(call.arguments or "{}"), order="sorted").decode()
    except (MalformedReply, UnicodeEncodeError):
        arguments = call.arguments
    return f"{call.name} {arguments}"


def signed_text(part: AnyPart) -> tuple[str, str]:
    """What a part's signature signs: its kind and its content."""
    match part:
        case Thinking():
            return "thinking", part.text
        case ToolCall():
            return "call", call_text(part)
        case _:
            return "text", ""
