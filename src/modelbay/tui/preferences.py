"""Preferences of the app: the theme, recent and hidden models.

They are in `app.json` next to the stored conversations, not in `config.toml`, which agents and the command line read too.
"""

from pathlib import Path
from typing import Any

from msgspec import Struct, field, structs

from modelbay.errors import ConfigError, MalformedReply
from modelbay.json_text import decode_as, encode
from modelbay.storage.files import content_of, locked, replace, undamaged_content
from modelbay.storage.paths import data_dir

WAIT = 2.0
"""Seconds to wait for the lock of another program."""
RECENT = 10
"""Maximum recent models."""


class Preferences(Struct):
    theme: str = "auto"
    recent: list[str] = field(default_factory=list)
    """Model aliases, the last used first."""
    hidden: list[str] = field(default_factory=list)
    """Aliases of models that `/model` lists only after Ctrl-A."""

    def used(self, alias: str) -> list[str]:
        """The recent models after `alias` was used."""
        return [alias, *(one for one in self.recent if one != alias)][:RECENT]

    def toggled(self, alias: str) -> list[str]:
        """The hidden models after `alias` was hidden or shown again."""
        others = [one for one in self.hidden if one != alias]
        return others if alias in self.hidden else [*others, alias]


class PreferenceFile:
    """The file `app.json`. If it is missing or damaged, the defaults apply; the app still starts. The next change sets a damaged
    one aside."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or data_dir() / "app.json"

    def read(self) -> Preferences:
        try:
            return decode_as(content_of(self.path) or b"{}", Preferences)
        except (ConfigError, MalformedReply):
            return Preferences()

    def write(self, preferences: Preferences) -> None:
        """Write preferences. Unknown keys, such as those of a newer version, stay in the file.

        Raises:
            ConfigError: the file cannot be written.
        """
        with locked(self.path, WAIT):
            old = undamaged_content(self.path, "file of preferences", _members)
            replace(self.path, old, encode({**_members(old), **structs.asdict(preferences)}))


def _members(content: bytes | None) -> dict[str, Any]:
    return decode_as(content or b"{}", dict[str, Any])
