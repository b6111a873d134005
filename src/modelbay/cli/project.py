"""The configuration of a command in the user's project."""

from modelbay.cli import terminal
from modelbay.config.schema import Config
from modelbay.project_pins import PinnedConfig, pinned


def project_config(config: Config) -> PinnedConfig:
    """The configuration with the models that the project pins. Says why a project's file is ignored, so a command calls it once.

    Raises:
        ConfigError: the project's file is trusted, and not valid.
    """
    made = pinned(config)
    if made.ignored:
        terminal.note(made.ignored)
    return made


def note_pin(made: PinnedConfig) -> None:
    """Say which file pins the default model, if one does."""
    if made.reason:
        terminal.note(made.reason)
