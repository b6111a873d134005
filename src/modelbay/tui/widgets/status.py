"""The status line of dialogs: progress, notices, and errors with a hint."""

from collections.abc import Collection

from textual.content import Content
from textual.widgets import Static

from modelbay.errors import ConfigError, InvalidValue, ModelbayError
from modelbay.hints import About, explain, title
from modelbay.secrecy import shown
from modelbay.storage.paths import environment
from modelbay.tui.error_boundary import trace

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
TICK = 0.1
"""Seconds per frame of the spinner."""


class StatusLine(Static):
    """Shows one message of a dialog: progress, a notice, a warning or an error."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("", id=id)
        self._words = ""
        self._frame = 0
        self.waiting = False

    def on_mount(self) -> None:
        self._timer = self.set_interval(TICK, self._turn, pause=True)
        self.clear()

    def clear(self) -> None:
        self._set("", "")

    def info(self, words: str) -> None:
        self._set(words, "")

    def warn(self, words: str) -> None:
        self._set(words, "warning")

    def busy(self, words: str) -> None:
        self._words = words
        self._set(f"{FRAMES[0]} {words} …", "", waiting=True)

    def fail(self, error: Exception, provider: str | None = None) -> None:
        self._set(failure(error, provider, known_to(self.app)), "error")

    def _turn(self) -> None:
        if not self.waiting:  # the timer was stopped after it had sent this message
            return
        self._frame = (self._frame + 1) % len(FRAMES)
        self.update(Content(f"{FRAMES[self._frame]} {self._words} …"))

    def _set(self, words: str | Content, kind: str, *, waiting: bool = False) -> None:
        self.waiting = waiting
        if waiting:
            self._timer.resume()
        else:
            self._timer.pause()
        for name in ("warning", "error"):
            self.set_class(name == kind, name)
        self.display = bool(words)
        self.update(Content(shown(words)) if isinstance(words, str) else words)


def known_to(app: object) -> Collection[str] | None:
    """The providers in the app's configuration."""
    state = getattr(app, "state", None)
    return None if state is None else state.config.providers


def failure(error: Exception, provider: str | None = None, known: Collection[str] | None = None) -> Content:
    """An error as text: title, message and hint.

    An internal error is included. With MODELBAY_DEBUG=1 it has its traceback, without values of variables.
    """
    if not isinstance(error, ModelbayError):
        words = shown(" ".join(str(error).split()))[:300]
        where = f"\n{shown(trace(error))}" if environment("MODELBAY_DEBUG") else ""
        message = f"internal error: {type(error).__name__}: {words}{where}"
        return _error_text("Error", message, "report this bug in modelbay; set MODELBAY_DEBUG=1 to add a traceback")
    explain(error, About(provider, face="app", known=known))
    facts = [f"request {error.request_id}"] if error.request_id else []
    facts += [f"{error.attempts} attempts"] if error.attempts > 1 else []
    message = f"{error.message} ({', '.join(facts)})" if facts else error.message
    # a value that the user entered, not the configuration
    typed = isinstance(error, InvalidValue) or (type(error) is ConfigError and error.file is None)
    return _error_text("Not accepted" if typed else title(error), message, error.hint)


def _error_text(heading: str, message: str, hint: str | None) -> Content:
    lines = [Content.styled(heading, "bold"), Content(f"\n{message}")]
    if hint:
        lines.append(Content.styled(f"\n{hint}", "dim"))
    return Content.assemble(*lines)
