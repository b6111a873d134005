"""Values of the options of `modelbay ask` that describe a schema, a tool or a setting."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import click
from msgspec import NODEFAULT

from modelbay.cli import terminal
from modelbay.cli.texts import Prose, empty
from modelbay.conversation import OutputFormat, Tool, ToolChoice
from modelbay.errors import MalformedReply, ModelbayError, Unsupported
from modelbay.json_text import decode
from modelbay.library.prompt import Ask, Prompt, checked

OWN_OPTIONS = {
    "system": "--system",
    "files": "--file",
    "tools": "--tool",
    "output_format": "--schema",
    "effort": "--effort",
    "max_tokens": "--max-tokens",
    "temperature": "--temperature",
    "top_p": "--top-p",
    "stop": "--stop",
    "timeout": "--timeout",
}
"""Settings that have their own option. `--option` does not accept them."""
NO_JSON = ("output",)
"""Settings that only a program can give: a type."""
GROUPS = ("extra_body", "extra_headers", "metadata", "cache")
"""Settings with members, which are written as `SETTING.MEMBER`."""
NESTED = ("extra_body", "cache")
"""Groups whose members can have members too: `SETTING.MEMBER.MEMBER`. In the others, the name of a member may contain dots."""
MODES: dict[Any, ToolChoice] = {mode: ToolChoice(mode) for mode in ("auto", "none", "required")}
_SCHEMAS = ("parameters", "input_schema", "inputSchema", "schema")
"""Names of a tool's schema: OpenAI's, Anthropic's, that of MCP, and ours."""
MOST_BYTES = 4 * 1024 * 1024
"""Largest file with a schema or tools."""


class Schema(click.ParamType[OutputFormat]):
    """A JSON Schema: JSON, or the path of a file with it."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> OutputFormat:
        if isinstance(value, OutputFormat):
            return value
        if value == "":
            raise empty("the path", param, ctx)
        found = _json(value) if str(value).lstrip().startswith(("{", "[")) else _json_of_file(value)
        if not isinstance(found, dict):
            self.fail("the schema must be a JSON object.", param, ctx)
        if found.get("type", "object") != "object":
            # no vendor accepts another type
            self.fail(
                f'the schema must describe an object, not {found["type"]!r}. Make it a property: {{"type": "object", '
                '"properties": {"items": …}}',
                param,
                ctx,
            )
        return OutputFormat("json_schema", schema=found, name=_name_of(found))


class Tools(click.ParamType[list[Tool]]):
    """A file with a tool or a list of tools, as OpenAI, Anthropic or MCP write them."""

    name = "filename"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[Tool]:
        if isinstance(value, list):
            return value
        if value == "":
            raise empty("the path", param, ctx)
        found = _json_of_file(value)
        if isinstance(found, dict) and isinstance(found.get("tools"), list):  # the result of MCP's tools/list
            found = found["tools"]
        rows = found if isinstance(found, list) else [found]
        return [self._tool(row, param, ctx) for row in rows]

    def _tool(self, row: Any, param: click.Parameter | None, ctx: click.Context | None) -> Tool:
        row = row.get("function", row) if isinstance(row, dict) else row
        if not isinstance(row, dict) or not isinstance(row.get("name"), str) or not row["name"]:
            self.fail('a tool must be a JSON object with a "name", a "description" and "parameters".', param, ctx)
        schema = next((row[name] for name in _SCHEMAS if name in row), {"type": "object", "properties": {}})
        if not isinstance(schema, dict):
            self.fail(f"the parameters of {row['name']} must be a JSON Schema: a JSON object.", param, ctx)
        description = row.get("description")
        return Tool(name=row["name"], description=None if description is None else str(description), schema=schema)


def joined(given: Iterable[list[Tool]]) -> list[Tool]:
    """The tools of all files. Raises `UsageError` if two have the same name."""
    tools = [tool for tools in given for tool in tools]
    names = [tool.name for tool in tools]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise click.UsageError(f"--tool: {twice[0]} is given twice", click.get_current_context())
    return tools


class Stop(Prose):
    """A stop sequence. Providers reject an empty one, such as that of an unset shell variable."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the stop sequence is empty.", param, ctx)
        return super().convert(value, param, ctx)


class Override(NamedTuple):
    """One `--option KEY=VALUE`."""

    path: list[str]
    """The setting, its member, and so on."""
    value: Any


class KeyValue(click.ParamType[Override]):
    """`KEY=VALUE`. The value is JSON, or else a text."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Override:
        if isinstance(value, Override):
            return value
        key, equals, text = str(value).partition("=")
        key = key.strip()
        if not equals or not key:
            self.fail(f"{value!r} must be KEY=VALUE.", param, ctx)
        if (own := OWN_OPTIONS.get(key)) is not None:
            self.fail(f"{key} has its own option: {own}.", param, ctx)
        if key in NO_JSON:
            self.fail(f"{key} can only be set in Python.", param, ctx)
        setting, dot, member = key.partition(".")
        if dot and setting not in GROUPS:
            self.fail(f"{setting} has no members. Only these have: {', '.join(GROUPS)}.", param, ctx)
        members = member.split(".") if setting in NESTED else [member]
        if dot and not all(members):
            self.fail(
                f"{key} has an empty name next to a dot. Write a name that contains dots as JSON: {setting}={{…}}.",
                param,
                ctx,
            )
        read = text if setting == "extra_headers" and dot else _value(text)
        if setting == "tool_choice":
            read = MODES.get(text)
            if read is None:
                self.fail(f"tool_choice must be one of: {', '.join(MODES)}.", param, ctx)
        return Override([setting, *members] if dot else [setting], read)


def in_options(error: ModelbayError) -> ModelbayError:
    """An error about a setting, with the option that sets it."""
    if isinstance(error, Unsupported) and error.setting in Ask.__annotations__:
        option = OWN_OPTIONS.get(error.setting, f"--option {error.setting}")
        error.message = error.message.replace(f"`{error.setting}`", f"`{option}`")
        error.hint = error.hint and error.hint.replace(f"`{error.setting}`", f"`{option}`")
    return error


def settings_with_option() -> list[str]:
    """The settings that `--option` accepts."""
    return [name for name in Ask.__annotations__ if name not in OWN_OPTIONS and name not in NO_JSON]


def with_options(ask: Ask, prompt: Prompt, options: Iterable[Override]) -> Ask:
    """The settings of a call with those of `--option`.

    Raises:
        UsageError: a setting is unknown, given twice, or has a value that is not allowed.
    """
    found: dict[str, Any] = {**ask}
    for path, value in options:
        *groups, name = path
        holder = found
        for place, group in enumerate(groups, 1):
            holder = holder.setdefault(group, {})
            if not isinstance(holder, dict):
                raise _wrong(f"{'.'.join(path[:place])} must be an object to have a member {path[place]}")
        if holder.get(name, NODEFAULT) is not NODEFAULT:
            raise _wrong(f"{'.'.join(path)} is given twice")
        holder[name] = value
    try:
        return checked(prompt, None, found)  # type: ignore[arg-type]  # unknown settings are what it looks for
    except (TypeError, ValueError) as error:
        raise _wrong(str(error)) from None


def _wrong(message: str) -> click.UsageError:
    return click.UsageError(f"--option: {message}", click.get_current_context())


def _value(text: str) -> Any:
    """JSON, or else the text itself: `seed=7`, `service_tier=flex`."""
    try:
        return decode(text)
    except MalformedReply:
        return text


def _json(text: str) -> Any:
    try:
        return decode(text)
    except MalformedReply as error:
        raise click.BadParameter(f"not valid JSON: {error.message}") from None


def _json_of_file(path: str) -> Any:
    try:
        with Path(path).open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise terminal.InputError(f"{path} cannot be read: {error.strerror or error}") from None
    if len(data) > MOST_BYTES:
        raise terminal.InputError(f"{path} is larger than 4 MiB")
    try:
        return decode(data)
    except MalformedReply as error:
        raise terminal.InputError(f"{path} is not valid JSON: {error.message}") from None


def _name_of(schema: dict[str, Any]) -> str:
    """A name of a schema, which OpenAI requires."""
    title = schema.get("title")
    named = (
        "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in title)
        if isinstance(title, str)
        else ""
    )
    return named.strip("_")[:64] or "answer"
