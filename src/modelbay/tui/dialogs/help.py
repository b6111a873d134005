"""The help: all keys and commands."""

from textual.content import Content

from modelbay.tui.commands import COMMANDS
from modelbay.tui.dialogs.dialog import TextDialog

KEYS = (
    ("Enter", "send; during an answer: queue"),
    ("Ctrl-J, Alt-Enter", "new line"),
    ("↑ ↓", "edit the queued message; earlier messages"),
    ("Ctrl-R", "search earlier messages"),
    ("Esc", "interrupt the answer"),
    ("Esc Esc", "edit an earlier message"),
    ("Ctrl-T", "show or hide the last thinking"),
    ("PgUp PgDn", "scroll the conversation"),
    ("Ctrl-P", "command palette"),
    ("Ctrl-C", "copy selection; interrupt; twice: quit"),
    ("Ctrl-Q", "quit"),
    ("Ctrl-Z", "suspend"),
    ("Ctrl-_", "undo typing"),
    ("F2", "edit an API key that was rejected"),
    ("@", "attach a file (completes its path)"),
    ("paste a path", "attach the file"),
    ("Ctrl-O", "expand a folded paste"),
    ("Ctrl-G", "open in $VISUAL or $EDITOR"),
)


class HelpDialog(TextDialog[None]):
    heading = "Keys and commands"
    keys = "↑↓ scroll · Esc close"

    def text(self) -> Content:
        commands = [(f"/{one.name} {one.argument}".rstrip(), one.about) for one in COMMANDS]
        rows = [*KEYS, ("", ""), *commands]
        width = max(len(name) for name, _ in rows) + 2
        lines = [Content.assemble((name.ljust(width), "bold"), about, "\n") for name, about in rows]
        return Content.assemble(*lines).rstrip()
