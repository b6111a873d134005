"""The parts of a conversation that a model responds to: the last prompt, its files, and tool results since then."""

import re

from msgspec import Struct, field

from modelbay.conversation import AnyPart, Conversation, Media, Text, ToolCall, ToolResult, Turn
from modelbay.simulator.colors import color

_CONTEXT = re.compile(r"\s*<([\w-]+)>.*</\1>\s*", re.DOTALL)
_SAY = {"image": "I see", "audio": "I hear", "video": "I watched", "document": "I read"}
_NOUN = {"image": "image", "audio": "sound", "video": "video", "document": "document"}
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


class Reading(Struct):
    prompt: str = ""
    """The last prompt of the user."""
    media: list[Media] = field(default_factory=list)
    """The files in the prompt, or in the results since then."""
    results: list[ToolResult] = field(default_factory=list)
    """The tool results without a response yet."""
    calls: dict[str, str] = field(default_factory=dict)
    """The name of each call, by ID."""
    steps: int = 0
    """The number of turns with calls since the prompt."""
    questions: int = 0
    """The number of prompts."""
    calling: bool = False
    """Whether the last turn belongs to a step. In protocols with items, a step has one turn per call."""


def read(conversation: Conversation) -> Reading:
    reading = Reading()
    for turn in conversation.turns:
        if turn.role == "assistant":
            _hear_ourselves(turn, reading)
        elif turn.role not in ("system", "developer"):
            _hear(turn, reading)
    return reading


def _hear_ourselves(turn: Turn, reading: Reading) -> None:
    calls = [part for part in turn.parts if type(part) is ToolCall]
    reading.calls |= {call.id: call.name for call in calls if call.id}
    reading.results, reading.media = [], []
    if calls and not reading.calling:
        reading.steps += 1
    reading.calling = reading.calling or bool(calls)


def _hear(turn: Turn, reading: Reading) -> None:
    reading.calling = False
    results = [part for part in turn.parts if type(part) is ToolResult]
    reading.results += results
    last = max((place for place, part in enumerate(turn.parts) if type(part) is ToolResult), default=-1)
    if text := _question(turn.parts[last + 1 :], answers=bool(reading.results)):
        reading.prompt = text
        reading.steps = 0
        reading.questions += 1
        reading.results, reading.media = [], []
    reading.media += media_in(turn.parts)


def _question(parts: list[AnyPart], *, answers: bool) -> str:
    """The text of a new prompt. After tool results it is one only if it is more than the context of agents, or the words that
    introduce a file of a result.
    """
    if answers and (media_in(parts) or all(_CONTEXT.fullmatch(part.text) for part in parts if type(part) is Text)):
        return ""
    return text_of(parts)


def text_of(parts: list[AnyPart]) -> str:
    """The text of a prompt, without the context that agents put into parts of their own, in tags."""
    texts = [part.text for part in parts if type(part) is Text and part.text]
    return "\n".join([text for text in texts if not _CONTEXT.fullmatch(text)] or texts)


def media_in(parts: list[AnyPart]) -> list[Media]:
    found: list[Media] = []
    for part in parts:
        if type(part) is Media:
            found.append(part)
        elif type(part) is ToolResult:
            found += media_in(part.parts)
    return found


def acknowledge(media: list[Media]) -> str:
    """One sentence for each kind of file: "I see one image (PNG, 12 KB).\""""
    sentences = []
    for kind, verb in _SAY.items():
        seen = [item for item in media if item.kind == kind]
        if not seen:
            continue
        count = _NUMBERS[len(seen)] if len(seen) < len(_NUMBERS) else str(len(seen))
        noun = _NOUN[kind] + ("s" if len(seen) > 1 else "")
        sentences.append(f"{verb} {count} {noun} ({'; '.join(describe(item) for item in seen)}).")
    return " ".join(sentences)


def describe(media: Media) -> str:
    words = [media.name or ""]
    if media.media_type:
        words.append(re.sub(r"^(x-|vnd\.)", "", media.media_type.partition("/")[2].partition(";")[0]).upper())
    if media.data is not None:
        words.append(size(len(media.data.rstrip("=")) * 3 // 4))
        words.append((color(media.data) if media.kind == "image" else None) or "")
    elif media.text is not None:
        words.append(size(len(media.text.encode("utf-8", "replace"))))
    elif media.parts is not None:
        words.append(f"{len(media.parts)} parts")
    words.append(media.url or media.file_id or "")
    return ", ".join(word for word in words if word)


def size(count: int) -> str:
    for unit in ("bytes", "KB", "MB"):
        if count < 1024 or unit == "MB":
            break
        count = round(count / 1024)
    return f"{count:,} {unit}"
