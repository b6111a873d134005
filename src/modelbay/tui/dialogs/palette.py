"""The command palette: searches the commands of the `/` menu by name and description."""

from modelbay.tui.commands import COMMANDS, Command, described, row
from modelbay.tui.dialogs.menu import Menu


class CommandPalette(Menu[Command]):
    def __init__(self) -> None:
        super().__init__("Commands", COMMANDS, row, find=described)
        self.keys = "type to search · ↑↓ choose · Enter run · Esc cancel"
