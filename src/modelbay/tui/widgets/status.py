"""What is to be said beside the matter itself: that something is under way, a note, an error with the way to mend it."""

from collections.abc import Collection

from textual.content import Content
from textual.widgets import Static

from modelbay.errors import ModelbayError
from modelbay.hints import About, explain, title
from modelbay.secrecy import shown
from modelbay.storage.paths import environment
from modelbay.tui.error_boundary import trace

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
TICK = 0.1
"""Seconds that a frame is shown."""


class StatusLine(Static):
    """One place for what a dialog has to say: that it waits, what went wrong and how to mend it, or a note."""

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
    """The providers that the app's configuration has."""
    state = getattr(app, "state", None)
    return None if state is None else state.config.providers


def failure(error: Exception, provider: str | None = None, known: Collection[str] | None = None) -> Content:
    """An error as every place shows it: a title, what happened, how to fix it.

    An internal error is shown too; with MODELBAY_DEBUG=1 with its traceback, which has no values in it.
    """
    if not isinstance(error, ModelbayError):
        words = shown(" ".join(str(error).split()))[:300]
        where = f"\n{shown(trace(error))}" if environment("MODELBAY_DEBUG") else ""
        message = f"internal error: {type(error).__name__}: {words}{where}"
        return _told(
            "Error", message, "this is a bug in modelbay: set MODELBAY_DEBUG=1 to see where it happened, and report it"
        )
    explain(error, About(provider, face="app", known=known))
    facts = [f"request {error.request_id}"] if error.request_id else []
    facts += [f"{error.attempts} attempts"] if error.attempts > 1 else []
    message = f"{error.message} ({', '.join(facts)})" if facts else error.message
    return _told(title(error), message, error.hint)


def _told(heading: str, message: str, hint: str | None) -> Content:
    lines = [Content.styled(heading, "bold"), Content(f"\n{message}")]
    if hint:
        lines.append(Content.styled(f"\n{hint}", "dim"))
    return Content.assemble(*lines)
