"""The terminal app: a face like the command line, over the same functions. `open_app` runs it."""

from pathlib import Path


def open_app(config: Path | None = None, model: str | None = None, conversation: int | None = None) -> int:
    """Runs the app until its user leaves, and returns the exit code: 128 and its number after a signal.

    `conversation` is the number of a stored one to continue.

    Raises:
        ConfigError: the configuration cannot be read.
    """
    from modelbay import threads
    from modelbay.tui.app import ModelbayApp

    app = ModelbayApp(config, model, conversation)
    threads.run(app.run_async())
    return app.return_code or 0
