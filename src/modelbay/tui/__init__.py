"""The terminal app: a face like the command line, over the same functions. `open_app` runs it."""

from pathlib import Path


def open_app(config: Path | None = None, model: str | None = None) -> None:
    """Runs the app until its user leaves.

    Raises:
        ConfigError: the configuration cannot be read.
    """
    from modelbay.tui.app import ModelbayApp

    ModelbayApp(config, model).run()
