"""The terminal app. It uses the same functions as the command line. `open_app` runs it."""

from pathlib import Path


def open_app(config: Path | None = None, model: str | None = None, conversation: int | None = None) -> int:
    """Run the app until the user quits. Returns the exit code: 128 plus the signal number after a signal.

    `conversation` is the ID of a stored conversation to continue.

    Raises:
        ConfigError: the configuration cannot be read.
    """
    from modelbay import threads
    from modelbay.tui.app import ModelbayApp

    app = ModelbayApp(config, model, conversation)
    threads.run(app.run_async())
    return app.return_code or 0
