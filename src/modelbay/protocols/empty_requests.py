"""Requests without messages: a request that is translated is refused in the words of the client's vendor.

The provider would refuse it in its own words, which are about a body that the client did not write, or would answer nothing.
"""

from collections.abc import Sized

from modelbay.conversation import Conversation, Text
from modelbay.errors import BadRequest

_WORDS: dict[str, tuple[str, str | None, str]] = {
    "openai_chat": (
        "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
        "empty_array",
        "messages",
    ),
    "openai_responses": ("Missing required parameter: 'input'.", "missing_required_parameter", "input"),
    "anthropic": ("messages: at least one message is required", None, "messages"),
    "google": ("* GenerateContentRequest.contents: contents is not specified", None, "contents"),
}
"""Message, code and parameter, by the client's protocol."""


_SYSTEM_FIELDS = ("system", "instructions", "systemInstruction")


def refuse_empty(messages: Sized, conversation: Conversation, protocol: str) -> None:
    """Refuse a request of which no message is left to send in another protocol.

    Raises:
        BadRequest: in the words of the client's vendor.
    """
    client = conversation.protocol
    if client is None or client == protocol:
        return
    if not has_messages(conversation):
        raise without_messages(client)
    if messages:
        return
    param = _WORDS[client][2]
    texts = all(type(part) is Text for turn in conversation.turns for part in turn.parts)
    why = "has no text" if texts else f"has no part that can be sent in {protocol}"
    raise BadRequest(f"`{param}` {why}", status=400, param=param)


def has_messages(conversation: Conversation) -> bool:
    """Whether it has more than a system prompt in a field of its own."""
    return any(turn.native not in _SYSTEM_FIELDS for turn in reversed(conversation.turns))


def without_messages(client: str) -> BadRequest:
    words, code, param = _WORDS[client]
    return BadRequest(words, status=400, code=code, param=param)
