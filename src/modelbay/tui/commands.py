"""The slash commands: one table for the `/` menu, the command palette and the help."""

from typing import NamedTuple

from modelbay.tui.widgets.virtual_list import ListRow


class Command(NamedTuple):
    """The app has a method `command_NAME` for each command. It gets the text after the command as its argument."""

    name: str
    about: str
    argument: str = ""
    idle: bool = False
    """Cannot run during an answer, because it changes the conversation or its model."""

    @property
    def needs_argument(self) -> bool:
        return bool(self.argument) and not self.argument.startswith("[")


COMMANDS = (
    Command("model", "Choose a model", "[ALIAS]", idle=True),
    Command("effort", "Set the reasoning effort", "[LEVEL]", idle=True),
    Command("provider", "Manage providers", idle=True),
    Command("login", "Log in to a platform", "[PLATFORM]", idle=True),
    Command("logout", "Log out of a platform", idle=True),
    Command("file", "Attach a file to the next message", "PATH|URL"),
    Command("retry", "Send the last message again", idle=True),
    Command("edit", "Edit an earlier message and continue from there", idle=True),
    Command("copy", "Copy the last answer, or one of its code blocks"),
    Command("export", "Export this conversation as Markdown", "[FILE]"),
    Command("new", "Start a new conversation", idle=True),
    Command("save", "Save this conversation under a title", "[TITLE]"),
    Command("private", "Turn private mode on or off: nothing is stored", idle=True),
    Command("resume", "Resume a conversation", idle=True),
    Command("theme", "Choose a color theme", "[NAME]"),
    Command("help", "Show keys and commands"),
    Command("quit", "Quit"),
)


def named(name: str) -> Command | None:
    """The command with this name; None if there is none."""
    return next((one for one in COMMANDS if one.name == name), None)


def matching(typed: str) -> list[Command]:
    """The commands whose name contains the text after the slash; commands whose name begins with it come first."""
    typed = typed.lower()
    return [one for one in COMMANDS if one.name.startswith(typed)] + [
        one for one in COMMANDS if typed in one.name and not one.name.startswith(typed)
    ]


def described(query: str) -> list[Command]:
    """The commands whose name or description has all words of a query; commands whose name begins with it come first."""
    words = query.casefold().removeprefix("/").split()
    found = [one for one in COMMANDS if all(word in f"{one.name} {one.about}".casefold() for word in words)]
    return sorted(found, key=lambda one: not one.name.startswith(words[0] if words else ""))


def row(command: Command) -> ListRow:
    """The row of a command in every list."""
    return ListRow(f"/{command.name} {command.argument}".rstrip(), command.about)
