"""Writes a reply while it is received: the answer to stdout, thinking and everything else to stderr."""

import sys

from modelbay.cli import terminal
from modelbay.conversation import AnyPart, Media, Refusal, ServerToolCall, Text, Thinking, ToolCall
from modelbay.events import Event, Failed, Finished, PartDelta, PartEnded, PartStarted, Reply, Warned, silent
from modelbay.json_text import encode
from modelbay.replay import call_words

STOPPED = {
    "length": "maximum output tokens reached; allow more with --max-tokens N",
    "content_filter": "the provider's content filter cut the answer off",
    "refusal": "the model refused to answer",
    "pause": "the model paused; the answer is not finished",
    "other": "unknown reason; the answer may be incomplete",
    "tool_calls": "the model is waiting for the results of its tool calls",
}

EMPTY = "the answer is empty: ask again, or try a different model"


class Display:
    """`quiet`: only warnings are written; the caller prints the answer. `hold`: the caller prints its text. `calls`: tool calls
    are lines of JSON on stdout."""

    def __init__(self, *, quiet: bool = False, hold: bool = False, calls: bool = False) -> None:
        self._quiet = quiet
        self._hold = hold
        self._calls = calls
        self._parts: dict[int, AnyPart] = {}
        self._line = ""
        """The output with an unfinished line: "out", "thinking" or ""."""

    def feed(self, event: Event) -> None:
        match event:
            case PartStarted(key=key, part=part):
                self._parts[key] = part
            case PartDelta(key=key, text=text):
                self._add(self._parts.get(key), text)
            case PartEnded(part=part):
                self._end_of(part)
            case Warned(message=message):
                self.end_line()
                terminal.warning(message)
            case Finished() | Failed():
                self.end_line()  # with --verbose, a log line follows
            case _:
                pass

    def whole(self, reply: Reply) -> None:
        """Write a reply that was not streamed."""
        for warned in reply.warnings:
            self.feed(warned)
        for part in reply.parts:
            if isinstance(part, Text | Thinking | Refusal):
                self._add(part, part.text)
            self._end_of(part)

    def stopped(self, reply: Reply) -> None:
        """Write the reason why the answer ended, or that it is empty, unless it is complete."""
        if reply.finish is not None and reply.finish.reason in STOPPED:
            self.note(f"stopped: {reply.finish.reason}: {STOPPED[reply.finish.reason]}")
        elif reply.finish is not None and silent(reply.parts):
            self.note(EMPTY)

    def note(self, text: str) -> None:
        """Write a line to stderr. If stdout is the same terminal, it ends the line of the answer first."""
        if self._quiet:
            return
        if self._line == "thinking" or terminal.is_terminal(sys.stdout):
            self.end_line()
        terminal.note(text)

    def end_line(self) -> None:
        """End the unfinished line."""
        if self._line == "out":
            terminal.write_whole("\n")
        elif self._line == "thinking":
            terminal.note("")
        self._line = ""

    def _add(self, part: AnyPart | None, text: str) -> None:
        if not text or self._quiet:
            return
        match part:
            case Thinking():
                self._turn_to("thinking")
                terminal.note(text, end="")
            case Text() | Refusal():
                if self._hold:
                    return
                self._turn_to("out")
                terminal.write_whole(text)
            case _:
                return
        if text.endswith("\n"):
            self._line = ""

    def _turn_to(self, line: str) -> None:
        if self._line != line:
            self.end_line()
            self._line = line

    def _end_of(self, part: AnyPart) -> None:
        match part:
            case ToolCall() if self._calls and not self._quiet:
                self.end_line()
                terminal.write_line(encode(call_words(part)))
            case ToolCall():
                self.note(f"tool call: {part.name} {part.arguments}".rstrip())
            case ServerToolCall():
                self.note(f"run by the provider: {part.name} {part.arguments}".rstrip())
            case Media():
                self.note(f"created: {part.kind} {part.media_type or ''} {part.url or ''}".rstrip())
            case _:
                pass
