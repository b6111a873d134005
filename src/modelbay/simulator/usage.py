"""What a request and its answer cost: tokens counted, and a prompt cache that remembers prefixes."""

from collections import OrderedDict
from collections.abc import Iterator
from hashlib import sha256

import msgspec

from modelbay.conversation import AnyPart, Conversation, Media, Refusal, Text, Thinking, ToolCall, ToolResult
from modelbay.simulator.manners import Manners
from modelbay.usage import Usage

_MEDIA_TOKENS = {"image": 258, "audio": 320, "video": 1_290, "document": 512}
_REMEMBERED = 4_096


def tokens(text: str) -> int:
    """About four characters a token."""
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
    """A piece of the prompt: how long it is, what it says, and whether a cache mark ends it."""

    tokens: int
    said: bytes
    marked: bool


def _segments(conversation: Conversation) -> Iterator[_Segment]:
    """The prompt in the order providers keep it: tools, system, messages."""
    for tool in conversation.settings.tools or ():
        said = msgspec.json.encode([tool.name, tool.description, tool.schema, tool.raw])
        yield _Segment(tokens(said.decode()), said, tool.cache is not None)
    system = [turn for turn in conversation.turns if turn.role in ("system", "developer")]
    others = [turn for turn in conversation.turns if turn.role not in ("system", "developer")]
    for turn in (*system, *others):
        for part in turn.parts:
            plain = msgspec.structs.replace(part, cache=None, origin=None)
            said = msgspec.json.encode([turn.role, plain])
            yield _Segment(part_tokens(part) + 1, said, part.cache is not None)


def prompt_tokens(conversation: Conversation) -> int:
    return sum(segment.tokens for segment in _segments(conversation))


class PromptCache:
    """The prefixes of prompts seen so far, the most recent ones."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def count(self, conversation: Conversation, model: str, manners: Manners) -> Usage:
        """The input's usage; what this prompt writes, the next one reads."""
        whole = manners.cache == "automatic" or conversation.settings.cache is not None
        digest = sha256(model.encode())
        total = read = marked = 0
        new: list[bytes] = []
        for segment in _segments(conversation):
            digest.update(segment.said)
            total += segment.tokens
            key = digest.digest()
            if key in self._seen:
                read = total
            if whole or segment.marked:
                marked = total
                new.append(key)
        self._remember(new)
        read = min(read, marked)
        if manners.cache == "automatic":
            # one token is always read anew, as providers have it
            read = min(read, total - 1)
            return Usage(input=total - read, cache_read=read)
        return Usage(input=total - marked, cache_read=read, cache_write=marked - read)

    def _remember(self, keys: list[bytes]) -> None:
        for key in keys:
            self._seen[key] = None
            self._seen.move_to_end(key)
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)


def with_output(usage: Usage, parts: list[AnyPart], unseen: int) -> Usage:
    """The usage of the whole exchange; thinking counts, shown or not."""
    thought = unseen + sum(part_tokens(part) for part in parts if type(part) is Thinking)
    said = sum(part_tokens(part) for part in parts if type(part) is not Thinking)
    return msgspec.structs.replace(usage, output=said, reasoning=thought or None)
