"""Signatures: reasoning state that only the simulator can create and verify.

A signature depends on the signed text or the called tool, its position and the conversation before it. It does not depend on parts
that clients may change: IDs, the arguments of calls (to which agents add defaults), cache marks, white space, system prompts, the
division of texts into parts, and older thinking. Providers accept even more: Gemini does not compare the conversation.
"""

import hmac
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from hashlib import sha256

from modelbay.conversation import AnyPart, Conversation, Media, Refusal, Text, Thinking, ToolCall, ToolResult, Turn

SECRET = b"the simulator keeps no secrets"
_MAGIC = b"sim1"


class Prefix:
    """A running digest of the conversation."""

    def __init__(self, protocol: str, secret: bytes = SECRET) -> None:
        self._secret = secret
        self._digest = sha256(protocol.encode())
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
                self._update(voice, part.text)
            case Media():
                self._update(f"{voice} {part.kind}", part.data or part.url or part.file_id or part.text or "")
            case ToolCall():
                self._update("call", part.name)
            case ToolResult():
                self._update("result", "")
                for inner in part.parts:
                    self.add("result", inner)
            case _:
                pass

    def _update(self, voice: str, text: str) -> None:
        if voice != self._voice:
            self._voice = voice
            self._digest.update(b"\0" + voice.encode() + b"\0")
        # without white space: renderers trim it, and may split texts anywhere
        self._digest.update("".join(text.split()).encode("utf-8", "replace"))

    def digest(self) -> str:
        return self._digest.hexdigest()

    def sign(self, kind: str, text: str) -> str:
        message = b"\0".join([kind.encode(), self._digest.digest(), text.encode("utf-8", "replace")])
        return b64encode(_MAGIC + hmac.digest(self._secret, message, "sha256")).decode()

    def holds(self, kind: str, text: str, signature: str | None) -> bool:
        return signature is not None and hmac.compare_digest(_canonical(signature), _canonical(self.sign(kind, text)))


def _canonical(signature: str) -> bytes:
    """The bytes of a signature. Clients use both alphabets of Base64, with or without padding."""
    try:
        return b64decode(
            signature.replace("-", "+").replace("_", "/").rstrip("=") + "=" * (-len(signature.rstrip("=")) % 4)
        )
    except (Base64Error, ValueError):
        return b""


def signed_text(part: AnyPart) -> tuple[str, str]:
    """The kind and text that a part's signature signs."""
    match part:
        case Thinking():
            return "thinking", part.text
        case ToolCall():
            return "call", part.name
        case _:
            return "text", ""
