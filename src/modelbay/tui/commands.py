"""The commands: one table for what is typed behind a slash, the palette, and the help."""

from collections.abc import Callable
from typing import NamedTuple

from textual.command import DiscoveryHit, Hit, Hits, Provider


class Command(NamedTuple):
    """`name` is what is typed; the app has a method `command_NAME`, which gets what is typed behind it."""

    name: str
    about: str
    argument: str = ""
    idle: bool = False
    """It changes the conversation or its model, so it cannot run while an answer arrives."""


COMMANDS = (
    Command("model", "Choose a model", "[ALIAS]", idle=True),
    Command("effort", "Choose how much it thinks", "[LEVEL]", idle=True),
    Command("provider", "Connect, look at and remove providers", idle=True),
    Command("login", "Log in to a platform", "[PLATFORM]", idle=True),
    Command("logout", "Forget a login", idle=True),
    Command("file", "Attach a file to the next question", "PATH|URL"),
    Command("copy", "Copy the last answer"),
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


class Palette(Provider):
    """The same commands in the palette."""

    async def discover(self) -> Hits:
        for command in COMMANDS:
            yield DiscoveryHit(command.about, self._run(command), help=f"/{command.name}")

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for command in COMMANDS:
            score = matcher.match(f"{command.name} {command.about}")
            if score > 0:
                yield Hit(score, command.about, self._run(command), help=f"/{command.name}")

    def _run(self, command: Command) -> Callable[[], object]:
        return lambda: self.app.run_action(f"command('{command.name}')")
