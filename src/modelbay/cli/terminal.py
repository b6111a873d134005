"""Output of the command line: data on stdout, everything else on stderr, colors only on terminals, and no tracebacks."""

import errno
import sys
from codecs import lookup
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from modelbay.credentials.approval import Approval, allowing
from modelbay.errors import (
    ConfigError,
    FileError,
    InvalidValue,
    ModelbayError,
    SourceError,
    UnknownEffort,
    UnreadableFile,
)
from modelbay.secrecy import redact, shown
from modelbay.storage.files import HINTS
from modelbay.storage.paths import STDIN, config_file, environment
from modelbay.stored_chats.plain import STEERING, plain

if TYPE_CHECKING:
    from rich.status import Status

FAILED, USAGE, INTERRUPTED = 1, 2, 130
KINDS = {
    "UsageError": "Wrong Usage",
    "InputError": "Unusable File",
    "CommandFailed": "Command Failed",
    "InternalError": "Internal Error",
}
"""Errors that are not of the library, and their titles, for `--json`."""


class GlobalOptions:
    """The global options and the name of the command."""

    def __init__(self) -> None:
        self.config: Path | None = None
        self.verbose = False
        self.approvals: list[Approval] = []
        """The references that `--allow-reference` allows for this command."""
        self.command: str | None = None
        """Name of the command, such as "ask"."""
        self.as_json = False
        """Whether the line has `--json`: standard output gets one JSON value, which may be an error."""
        self.answered = False
        """Whether a JSON value was written."""


pass_settings = click.make_pass_decorator(GlobalOptions, ensure=True)


class InputError(click.ClickException):
    """A file of the command line that cannot be read or written."""

    exit_code = USAGE

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class CommandFailed(click.ClickException):
    """A command that failed for a reason other than a provider, such as a port that is in use."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class ReaderGone(Exception):
    """The reader of an answer on stdout has closed it, as in `modelbay ask … | head -1`."""


def write(text: str) -> None:
    """Write text to stdout without secrets, and on a terminal without control characters.

    If its reader is gone, as in `modelbay model list | head -1`, the command goes on without output: its exit code must not depend
    on when the reader ends.
    """
    with suppress(ReaderGone):
        write_whole(shown(text))


def write_whole(text: str) -> None:
    """Write text in which secrets are not removed, such as a piece of an answer.

    Raises:
        ReaderGone: the reader has closed the pipe.
    """
    _out(lambda: sys.stdout.write(plain(text) if is_terminal(sys.stdout) else text))


def write_file(text: str) -> None:
    """Write the content of a file, which is UTF-8 unless a terminal shows it, even if the console has another encoding."""
    with suppress(ReaderGone):
        if is_terminal(sys.stdout):
            write_whole(text)
        else:
            _out(lambda: sys.stdout.buffer.write(text.encode()))


def write_marked(mark: str, text: str) -> None:
    """Write a line that begins with a mark, which may be `styled`."""
    text = shown(plain(text) if is_terminal(sys.stdout) else text)
    with suppress(ReaderGone):
        _out(lambda: sys.stdout.write(f"{mark} {text}\n"))


def announce(url: str) -> None:
    """Write the URL of a server, which runs even if the URL cannot be written, for example because a log file is full."""
    with suppress(CommandFailed):
        write(f"{url}\n")


def write_json(value: Any) -> None:
    """Write a value as indented JSON, without secrets."""
    import msgspec

    text = msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode()
    write_line(shown(text).encode())


def write_line(data: bytes) -> None:
    """Write a line of JSON in UTF-8, even if the console has another encoding. Control characters are escaped."""
    text = STEERING.sub(lambda match: f"\\u{ord(match[0]):04x}", data.decode())
    context = click.get_current_context(silent=True)
    if context is not None:
        context.ensure_object(GlobalOptions).answered = True
    with suppress(ReaderGone):
        _out(lambda: sys.stdout.buffer.write(text.encode() + b"\n"))


def _out(put: Callable[[], object]) -> None:
    try:
        put()
        sys.stdout.flush()
    except BrokenPipeError:
        _discard(sys.stdout)
        raise ReaderGone from None
    except OSError as failed:
        _discard(sys.stdout)
        why = "it is closed" if failed.errno == errno.EBADF else failed.strerror
        raise CommandFailed(f"cannot write to standard output: {why}", HINTS.get(failed.errno or 0)) from None


def _lost_output() -> CommandFailed | None:
    """The error for output that was not written with `_out`, such as click's help: what could not be written is written again."""
    try:
        _out(lambda: None)
    except CommandFailed as lost:
        return lost
    return None


def _discard(stream: TextIO) -> None:
    """Discard the rest of a stream: Python flushes it again when it ends, which would fail too."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def is_terminal(stream: TextIO | None) -> bool:
    # the app replaces stderr by an object without `closed`
    return stream is not None and not getattr(stream, "closed", False) and stream.isatty()


def styled(text: str, stream: TextIO, **style: str | bool) -> str:
    """The text in color, if the stream is a terminal and NO_COLOR is not set."""
    if is_terminal(stream) and environment("NO_COLOR") is None and environment("TERM") != "dumb":
        return click.style(text, **style)  # type: ignore[arg-type]
    return text


def note(text: str, *, end: str = "\n", urls: bool = False) -> None:
    """Write a dimmed line to stderr. `urls`: its URLs are for the user to open, so they are not shortened."""
    _say(styled(plain(redact(text) if urls else shown(text)), sys.stderr, dim=True) + end)


def warning(text: str) -> None:
    _say(f"{styled('warning:', sys.stderr, fg='yellow', bold=True)} {plain(shown(text))}\n")


def error(message: str, hint: str | None = None) -> None:
    # further lines of a server's message are indented, so that they do not look like a hint of modelbay
    said = "\n  ".join(plain(shown(message)).splitlines())
    _say(f"{styled('error:', sys.stderr, fg='red', bold=True)} {said}\n")
    if hint:
        _say(f"\n{styled('hint:', sys.stderr, fg='cyan', bold=True)} {plain(shown(hint))}\n")


def _say(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:  # a full disk, or a terminal that is gone: the command goes on without its notes
        _discard(sys.stderr)


def show_logs(settings: GlobalOptions) -> None:
    """Write modelbay's log to stderr: warnings, and with `--verbose` requests, responses and times."""
    import logging

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = self.format(record)
            if record.levelno >= logging.WARNING:
                warning(text)
            else:
                note(text)

    logger = logging.getLogger("modelbay")
    logger.handlers = [Handler()]
    logger.setLevel(logging.DEBUG if settings.verbose else logging.WARNING)
    logger.propagate = False


def _spinner(text: str) -> "Status":
    """A spinner on stderr. It does not hide the cursor, which would stay hidden if a signal stops or ends the program."""
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    console.show_cursor = lambda show=True: False  # type: ignore[method-assign]
    return console.status(Text(plain(text)))  # not markup: a name may have brackets


@contextmanager
def waiting(text: str, *, hidden: bool = False) -> Iterator[Callable[[], None]]:
    """Show a spinner on a terminal until the block ends or the yielded function is called."""
    if hidden or not is_terminal(sys.stderr):
        yield lambda: None
        return
    with _spinner(text) as status:
        yield status.stop


@contextmanager
def progress() -> Iterator[Callable[[str], object]]:
    """Show a spinner on a terminal. The yielded function sets its text."""
    if not is_terminal(sys.stderr):
        yield lambda text: None
        return
    from rich.text import Text

    status = _spinner("")

    def show(text: str) -> None:
        status.update(Text(plain(text)))  # not markup: a name may have brackets
        status.start()

    try:
        yield show
    finally:
        status.stop()


def guarded(run: Callable[[], object], settings: GlobalOptions) -> int:
    """Run a command and return its exit code. Errors become messages."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # the locale C does not say which encoding it is. A console without a character shows `?`; for input see `texts`
            in_ascii = lookup(stream.encoding).name == "ascii"
            stream.reconfigure(encoding="utf-8" if in_ascii else None, errors="replace")
    show_logs(settings)
    output = sys.stdout
    try:
        with allowing():
            code = run()
    except ReaderGone:
        return 0
    except SystemExit:
        if sys.stdout is output:
            raise
        return 0  # click replaces it if the reader of its help is gone
    except (KeyboardInterrupt, click.Abort) as left:
        if _leaves_a_line_open(left):
            _say("\n")
        return INTERRUPTED
    except ModelbayError as failure:
        report(explained(failure, settings))
        _answer(settings, error_row(failure))
        wrong_use = isinstance(failure, UnknownEffort | UnreadableFile | InvalidValue) or _is_for_a_file(
            failure, settings.config
        )
        return USAGE if wrong_use else FAILED
    except click.ClickException as wrong:
        return _misused(wrong, settings)
    except Exception as unexpected:  # noqa: BLE001 the edge of the program
        lost = _lost_output() if isinstance(unexpected, OSError) else None
        return _misused(lost, settings) if lost else internal(unexpected, settings)
    return code if isinstance(code, int) else 0


def _leaves_a_line_open(left: BaseException) -> bool:
    """Whether Ctrl-C or Ctrl-D ended a question, behind which the shell would write its prompt.

    click ends the line of a hidden prompt, which `key_input` raises again, and the line at a Ctrl-C elsewhere, which is the cause.
    An answer such as "n" has ended its own line.
    """
    by_key = isinstance(left.__context__, KeyboardInterrupt | EOFError)
    return by_key and left.__cause__ is None and is_terminal(sys.stderr)


def _is_for_a_file(failure: ModelbayError, file: Path | None) -> bool:
    """Whether a command failed because the file of --config is missing or cannot be read."""
    if file is None or file == STDIN or not isinstance(failure, ConfigError) or failure.file != str(file):
        return False
    try:
        file.open("rb").close()
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return True
    return False


def report(failure: ModelbayError) -> None:
    """Write an error with its title, request ID, attempts and hint."""
    from modelbay.hints import title

    message = failure.message
    facts = [f"request {failure.request_id}"] if failure.request_id else []
    facts += [f"{failure.attempts} attempts"] if failure.attempts > 1 else []
    if facts:
        message = f"{message.removesuffix('.')} ({', '.join(facts)})"
    error(f"{title(failure)}: {message}" if _has_title(failure) else message, failure.hint)


def error_row(failure: ModelbayError) -> dict[str, Any]:
    """An explained error for `--json`."""
    from modelbay.hints import title
    from modelbay.replay import error_words

    return {
        **error_words(failure),
        "title": title(failure),
        "provider": failure.provider,
        "request_id": failure.request_id,
        "attempts": failure.attempts,
        "hint": failure.hint,
    }


def explained(failure: ModelbayError, settings: GlobalOptions) -> ModelbayError:
    """The error with the hint for the command line, which names only configured providers."""
    from modelbay.config.load import load
    from modelbay.hints import About, explain

    try:
        file = settings.config or config_file()
        config_file()  # hints compare the two
    except ConfigError:
        return failure  # this, and its hint says how to set the folder
    known: Collection[str] = ()
    with suppress(ModelbayError, OSError, ValueError):  # a name that is too long, or has a NUL
        known = load(file).providers if file.is_file() else ()
    return explain(failure, About(file=file, face="command", known=known))


def _has_title(failure: ModelbayError) -> bool:
    """Whether the title of an error is shown: not for wrong arguments and files, which the message already names."""
    typed = isinstance(failure, UnknownEffort | InvalidValue) or (type(failure) is ConfigError and failure.file is None)
    return type(failure) not in (SourceError, FileError, UnreadableFile) and not typed


def _answer(settings: GlobalOptions, row: dict[str, Any]) -> None:
    """Write the error of a command with `--json` that failed before it wrote its own JSON. Standard error has it as text too."""
    if settings.as_json and not settings.answered:
        with suppress(CommandFailed):
            write_json({"error": row})


def _row(kind: str, message: str, hint: str | None) -> dict[str, Any]:
    """An error that is not of the library, with the fields of `error_row`."""
    nothing = dict.fromkeys(("status", "provider", "request_id"))
    return {"type": kind, "message": message, "title": KINDS[kind], "attempts": 0, "hint": hint} | nothing


def _kind(wrong: click.ClickException) -> str:
    if isinstance(wrong, InputError):
        return "InputError"
    return "UsageError" if wrong.exit_code == USAGE else "CommandFailed"


def _misused(wrong: click.ClickException, settings: GlobalOptions) -> int:
    if isinstance(wrong, click.exceptions.NoArgsIsHelpError):
        _say(f"{wrong.format_message()}\n")
        return wrong.exit_code
    if isinstance(wrong, click.UsageError):
        from modelbay.cli import wrong_usage

        message, hint = wrong_usage.explained(wrong)
    else:
        message, hint = wrong.format_message(), getattr(wrong, "hint", None)
    error(message, hint)
    _answer(settings, _row(_kind(wrong), message, hint))
    return wrong.exit_code


def internal(unexpected: Exception, settings: GlobalOptions, about: str = "") -> int:
    """Report a bug in modelbay, with a traceback only if the user asked for it."""
    if settings.verbose or environment("MODELBAY_DEBUG"):
        import traceback

        _say(plain(shown("".join(traceback.format_exception(unexpected)))))
    place = f"{about}: " if about else ""
    words = " ".join(str(unexpected).split())[:300]
    message = f"{place}internal error: {type(unexpected).__name__}: {words}"
    hint = "report this bug in modelbay; --verbose or MODELBAY_DEBUG=1 shows the traceback"
    error(message, hint)
    _answer(settings, _row("InternalError", message, hint))
    return FAILED
