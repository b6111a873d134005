"""Token counts of a request and its reply, and a prompt cache of prefixes."""

from collections import OrderedDict
from collections.abc import Iterator
from hashlib import sha256

import msgspec

from modelbay.conversation import AnyPart, Conversation, Media, Refusal, Text, Thinking, ToolCall, ToolResult
from modelbay.simulator.traits import ProtocolTraits
from modelbay.usage import Usage

_MEDIA_TOKENS = {"image": 258, "audio": 320, "video": 1_290, "document": 512}
_REMEMBERED = 4_096


def tokens(text: str) -> int:
    """The number of tokens of a text: one per four characters."""
    return -(-len(text) // 4)


def part_tokens(part: AnyPart) -> int:
    match part:
        case Text() | Refusal():
            return tokens(part.text)
        case Thinking():
            return tokens(part.text)
        case ToolCall():
            return tokens(part.name) + tokens(part.arguments)
        case Media():
            inner = tokens(part.text or "") + sum(part_tokens(p) for p in part.parts or ())
            return inner or _MEDIA_TOKENS[part.kind]
        case ToolResult():
            return sum(part_tokens(inner) for inner in part.parts)
        case _:
            return 4


class _Segment(msgspec.Struct):
    """A piece of the prompt: its token count, its content, and whether a cache mark follows it."""

    tokens: int
    content: bytes
    marked: bool


def _segments(conversation: Conversation) -> Iterator[_Segment]:
    """The prompt in the order of providers' caches: tools, system prompt, messages."""
    for tool in conversation.settings.tools or ():
        content = msgspec.json.encode([tool.name, tool.description, tool.schema, tool.raw])
        yield _Segment(tokens(content.decode()), content, tool.cache is not None)
    system = [turn for turn in conversation.turns if turn.role in ("system", "developer")]
    others = [turn for turn in conversation.turns if turn.role not in ("system", "developer")]
    for turn in (*system, *others):
        for part in turn.parts:
            plain = msgspec.structs.replace(part, cache=None, origin=None)
            content = msgspec.json.encode([turn.role, plain])
            yield _Segment(part_tokens(part) + 1, content, part.cache is not None)


def prompt_tokens(conversation: Conversation) -> int:
    return sum(segment.tokens for segment in _segments(conversation))


class PromptCache:
    """The most recent prefixes of prompts."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def count(self, conversation: Conversation, model: str, traits: ProtocolTraits) -> Usage:
        """The usage of the input. The prefixes of this prompt are cached for the next one."""
        whole = traits.cache == "automatic" or conversation.settings.cache is not None
        digest = sha256(model.encode())
        total = read = marked = 0
        new: list[bytes] = []
        for segment in _segments(conversation):
            digest.update(segment.content)
            total += segment.tokens
            key = digest.digest()
            if key in self._seen:
                read = total
            if whole or segment.marked:
                marked = total
                new.append(key)
        self._remember(new)
        read = min(read, marked)
        if traits.cache == "automatic":
            # at least one token is never cached, as at real providers
            read = max(0, min(read, total - 1))
            return Usage(input=total - read, cache_read=read)
        return Usage(input=total - marked, cache_read=read, cache_write=marked - read)

    def _remember(self, keys: list[bytes]) -> None:
        for key in keys:
            self._seen[key] = None
            self._seen.move_to_end(key)
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)


def with_output(usage: Usage, parts: list[AnyPart], unseen: int) -> Usage:
    """The usage of the whole exchange. Thinking is counted even if it is hidden."""
    thought = unseen + sum(part_tokens(part) for part in parts if type(part) is Thinking)
    content = sum(part_tokens(part) for part in parts if type(part) is not Thinking)
    return msgspec.structs.replace(usage, output=content, reasoning=thought or None)
