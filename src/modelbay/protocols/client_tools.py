"""Tools that Anthropic defines and the client runs: its models know their schemas, so a request has only a type and a name.

Other models get them as functions with the documented schema. Their calls then have the form that Anthropic's models write, so
that clients run them, and calls in histories need no change.

Tools for a computer (`computer_…`) are not translated: they need a model that is trained to find places on a screen, and a
wrong click is made on the user's own desktop. Tools that run at Anthropic cannot run elsewhere.
"""

import re
from typing import Any, NamedTuple

from modelbay.conversation import Extra, Tool
from modelbay.protocols.shapes import mapping


class _Definition(NamedTuple):
    since: str
    """Date of the first version with this schema."""
    description: str
    properties: Extra
    required: list[str]


_RANGE = {
    "type": "array",
    "items": {"type": "integer"},
    "description": "Optional for `view` of a file: the first and the last line, from 1; -1 is the end of the file.",
}
_FILES: Extra = {
    "file_text": {"type": "string", "description": "For `create`: the whole text of the file."},
    "old_str": {
        "type": "string",
        "description": "For `str_replace`: the text to replace, which must occur exactly once.",
    },
    "new_str": {"type": "string", "description": "For `str_replace`: the text in its place."},
    "insert_line": {
        "type": "integer",
        "description": "For `insert`: the line after which the text is inserted; 0 is before all.",
    },
    "insert_text": {"type": "string", "description": "For `insert`: the text."},
    "view_range": _RANGE,
}
_PATH = {"type": "string", "description": "Path of the file or folder."}


def _command(*names: str) -> Extra:
    return {"type": "string", "enum": [*names], "description": "The command to run."}


_EDITOR = "Views, creates and edits text files. `view` of a folder lists it. `str_replace` replaces a text, `insert` inserts one."
_EARLIER = {name: schema for name, schema in _FILES.items() if name != "insert_text"} | {
    "new_str": {
        "type": "string",
        "description": "For `str_replace`: the text in place of the old one. For `insert`: the text.",
    }
}
_DEFINITIONS: dict[str, tuple[_Definition, ...]] = {
    "bash": (
        _Definition(
            "20241022",
            "Runs a command in a bash shell and returns its output. The shell keeps its state, such as the current folder, between "
            "calls. Commands that wait for input do not work.",
            {
                "command": {"type": "string", "description": "The command. Required unless the shell is restarted."},
                "restart": {"type": "boolean", "description": "True to restart the shell."},
            },
            [],
        ),
    ),
    "text_editor": (
        _Definition(
            "20250429",
            _EDITOR,
            {"command": _command("view", "create", "str_replace", "insert"), "path": _PATH, **_FILES},
            ["command", "path"],
        ),
        _Definition(
            "20241022",
            f"{_EDITOR} `undo_edit` takes the last edit of a file back.",
            {"command": _command("view", "create", "str_replace", "insert", "undo_edit"), "path": _PATH, **_EARLIER},
            ["command", "path"],
        ),
    ),
    "memory": (
        _Definition(
            "20250818",
            "Stores notes in files under /memories that outlast this conversation. View the folder before you begin, and store "
            "there what later conversations need.",
            {
                "command": _command("view", "create", "str_replace", "insert", "delete", "rename"),
                "path": {"type": "string", "description": "Path under /memories. Not for `rename`."},
                **_FILES,
                "old_path": {"type": "string", "description": "For `rename`: the path now."},
                "new_path": {"type": "string", "description": "For `rename`: the new path."},
            },
            ["command"],
        ),
    ),
}
"""By the type of the tool without its date, the newest first. From Anthropic's pages on its tools, 2026-11."""
_TYPE = re.compile(r"(.+)_(\d{8})")


def _definition(tool: Tool) -> _Definition | None:
    found = _TYPE.fullmatch(tool.native or "") if tool.kind == "vendor" else None
    if found is None:
        return None
    return next((one for one in _DEFINITIONS.get(found[1], ()) if one.since <= found[2]), None)


def is_for_client(tool: Tool) -> bool:
    """Whether a vendor's tool is one that the client runs, and that can be sent as a function."""
    return _definition(tool) is not None


def as_function(tool: Tool) -> Tool:
    """A tool that the client runs as a function; other tools unchanged."""
    if (found := _definition(tool)) is None:
        return tool
    raw: dict[str, Any] = tool.raw or {}
    schema = {"type": "object", "properties": found.properties, "required": found.required}
    return Tool(
        name=tool.name, description=found.description, schema=schema, cache=mapping(raw.get("cache_control")) or None
    )
