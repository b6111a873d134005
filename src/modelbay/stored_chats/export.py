"""A conversation as a Markdown file.

Messages are Markdown already and are not changed. Only a message that would include the text behind it, such as an interrupted
answer with an open code block, is closed first.
"""

import os
import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from modelbay.conversation import AnyPart, Media, Refusal, ServerToolCall, Text, Thinking, ToolCall, ToolResult, Turn
from modelbay.errors import FileError
from modelbay.secrecy import stored
from modelbay.storage.files import content_of, replace, target_of
from modelbay.storage.paths import expanded
from modelbay.stored_chats.stored_chat import StoredChat

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

ROLES = {"user": "User", "assistant": "Assistant", "tool": "Tool results", "system": "System", "developer": "Developer"}
LAST = "the-last-paragraph"
NAME_LENGTH = 50
"""Characters of a title in the name of a file."""


def to_markdown(chat: StoredChat, *, thinking: bool = True, now: datetime | None = None) -> str:
    """The conversation with the model of each answer and the names of attached files. Thinking is folded, or left out."""
    when = (now or datetime.now()).strftime("%Y-%m-%d %H:%M")
    blocks = [f"# {' '.join(chat.name.split()) or 'Conversation'}", f"Exported from modelbay on {when}."]
    for number, turn in enumerate(chat.turns):
        model = chat.models.get(number)
        blocks.append(f"## {ROLES[turn.role]}" + (f" · {code(model)}" if model else ""))
        blocks += _turn(turn, thinking)
        if ending := chat.endings.get(number):
            blocks.append(f"*The answer may be incomplete: {ending.replace('_', ' ')}*")
    return stored("\n\n".join(blocks) + "\n")


def has_thinking(chat: StoredChat) -> bool:
    """Whether the conversation contains thinking with a text."""
    return any(isinstance(part, Thinking) and part.text.strip() for turn in chat.turns for part in turn.parts)


def export_path(chat: StoredChat, argument: str) -> Path:
    """The path of the file to write. `argument` is a file or a folder; default: the current folder. In a folder, the name is made
    from the title and does not exist yet.

    Raises:
        ConfigError: `argument` is not a path.
    """
    named = argument.strip()
    if len(named) > 1 and named[0] == named[-1] and named[0] in "\"'":
        named = named[1:-1]
    path = expanded(named or ".")
    if not os.path.isdir(path):
        return path
    title = re.sub(r"\W+", "-", chat.name.lower())[:NAME_LENGTH].strip("-") or "conversation"
    names = (f"{title}{suffix}.md" for suffix in ("", *(f"-{n}" for n in range(2, 10_000))))
    return next(file for name in names if not os.path.lexists(file := path / name))


def write_export(path: Path, text: str, *, overwrite: bool = False) -> bool:
    """Write a file that only its owner can read. Returns False, and writes nothing, if it already exists.

    Raises:
        FileError: it cannot be written.
    """
    data = text.encode("utf-8", "replace")
    if overwrite:
        path = target_of(path)
        replace(path, content_of(path), data)
        return True
    try:
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(data)
    except FileExistsError:
        return False
    except OSError as error:
        hint = "name a file in an existing folder that you may write to"
        raise FileError(f"{path} cannot be written: {error.strerror}", hint=hint, file=str(path)) from None
    return True


def _turn(turn: Turn, thinking: bool) -> list[str]:
    blocks = [block for part in turn.parts if not isinstance(part, Media) for block in _part(part, thinking)]
    if files := [part for part in turn.parts if isinstance(part, Media)]:
        names = ", ".join(code(file.name or file.url or file.kind) for file in files)
        blocks.append(f"{'Attached' if turn.role == 'user' else 'Created'}: {names}")
    return blocks


def _part(part: AnyPart, thinking: bool) -> list[str]:
    match part:
        case Text() | Refusal():
            return [closed(part.text)] if part.text.strip() else []
        case Thinking() if thinking and part.text.strip():
            text = fenced(part.text) if "</details" in part.text.lower() else closed(part.text)
            return ["<details>\n<summary>Thinking</summary>", text, "</details>"]
        case ToolCall() | ServerToolCall():
            return [f"Tool call {code(part.name)}:", fenced(part.arguments, "json" if part.arguments else "")]
        case ToolResult():
            text = "".join(one.text for one in part.parts if isinstance(one, Text))
            return [f"Result of {code(part.name or part.call_id or 'a call')}:", fenced(text)]
        case _:
            return []


def closed(text: str) -> str:
    """A message without open blocks: an open code block is closed, and a message with another open block becomes a code block."""
    text = text.strip("\n")
    if _ends(text):
        return text
    last = _parser().parse(text)[-1]
    if last.type == "fence" and last.level == 0 and _ends(whole := f"{text}\n{last.markup}"):
        return whole
    return fenced(text)


def fenced(text: str, language: str = "") -> str:
    """The text as a code block, with a fence that is longer than any in the text."""
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 3)
    return f"{fence}{language}\n{text.strip(chr(10))}\n{fence}"


def code(text: str) -> str:
    """The text as inline code."""
    text = " ".join(text.split())
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if text[:1] == "`" or text[-1:] == "`" else ""
    return f"{ticks}{space}{text}{space}{ticks}"


def _ends(text: str) -> bool:
    """Whether all blocks of the text end with it, so that a text behind it is a separate paragraph."""
    tokens = _parser().parse(f"{text}\n\n{LAST}\n")
    return [(one.type, one.level) for one in tokens[-3:]] == [
        ("paragraph_open", 0), ("inline", 1), ("paragraph_close", 0),
    ] and tokens[-2].content == LAST  # fmt: skip


@cache
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark")
