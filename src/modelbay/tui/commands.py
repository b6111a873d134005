"""The commands: one table for what is typed behind a slash, the palette, and the help."""

from typing import NamedTuple

from modelbay.tui.widgets.virtual_list import ListRow


class Command(NamedTuple):
    """`name` is what is typed; the app has a method `command_NAME`, which gets what is typed behind it."""

    name: str
    about: str
    argument: str = ""
    idle: bool = False
    """It changes the conversation or its model, so it cannot run while an answer arrives."""

    @property
    def needs_argument(self) -> bool:
        return bool(self.argument) and not self.argument.startswith("[")


COMMANDS = (
    Command("model", "Choose a model", "[ALIAS]", idle=True),
    Command("effort", "Choose how much it thinks", "[LEVEL]", idle=True),
    Command("provider", "Connect, look at and remove providers", idle=True),
    Command("login", "Log in to a platform", "[PLATFORM]", idle=True),
    Command("logout", "Forget a login", idle=True),
    Command("file", "Attach a file to the next question", "PATH|URL"),
    Command("retry", "Send the last message again", idle=True),
    Command("edit", "Edit an earlier message and continue from there", idle=True),
    Command("copy", "Copy the last answer, or one of its code blocks"),
    Command("export", "Export this conversation as Markdown", "[FILE]"),
    Command("new", "Begin a new conversation", idle=True),
    Command("save", "Save this conversation under a title", "[TITLE]"),
    Command("private", "Keep this conversation off the disk", idle=True),
    Command("resume", "Resume a conversation", idle=True),
    Command("theme", "Choose the colors", "[NAME]"),
    Command("help", "Keys and commands"),
    Command("quit", "Leave"),
)


def named(name: str) -> Command | None:
    """The command of that name."""
    return next((one for one in COMMANDS if one.name == name), None)


def matching(typed: str) -> list[Command]:
    """The commands that what stands behind the slash may become; those whose name begins so come first."""
    typed = typed.lower()
    return [one for one in COMMANDS if one.name.startswith(typed)] + [
        one for one in COMMANDS if typed in one.name and not one.name.startswith(typed)
    ]


def described(query: str) -> list[Command]:
    """The commands whose name or description has all words of a query; those whose name begins with it come first."""
    words = query.casefold().removeprefix("/").split()
    found = [one for one in COMMANDS if all(word in f"{one.name} {one.about}".casefold() for word in words)]
    return sorted(found, key=lambda one: not one.name.startswith(words[0] if words else ""))


def row(command: Command) -> ListRow:
    """A command as every list shows it."""
    return ListRow(f"/{command.name} {command.argument}".rstrip(), command.about)
