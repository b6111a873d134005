"""A reply as a person sees it come: the answer on stdout, thinking and everything else on stderr."""

import sys

from modelbay.cli import terminal
from modelbay.conversation import AnyPart, Media, Refusal, ServerToolCall, Text, Thinking, ToolCall
from modelbay.events import Event, PartDelta, PartEnded, PartStarted, Reply, Warned

STOPPED = {
    "length": "the answer was cut off; --max-tokens N allows a longer one",
    "content_filter": "the provider's content filter cut it off",
    "refusal": "the model refused",
    "pause": "the model paused and would go on",
    "other": "the reason is unknown; the answer may not be whole",
    "tool_calls": "the model waits for the results of its calls",
}


class Display:
    """`quiet`: warnings only, for an answer that is printed otherwise."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._parts: dict[int, AnyPart] = {}
        self._line = ""
        """Where a line is begun and not ended: "out", "thinking" or nowhere."""

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
            case _:
                pass

    def whole(self, reply: Reply) -> None:
        """A reply that came in one piece."""
        for warned in reply.warnings:
            self.feed(warned)
        for part in reply.parts:
            if isinstance(part, Text | Thinking | Refusal):
                self._add(part, part.text)
            self._end_of(part)

    def stopped(self, reply: Reply) -> None:
        """Says why the answer ends where it does, unless it is simply done."""
        if reply.finish is not None and reply.finish.reason in STOPPED:
            self.note(f"stopped: {reply.finish.reason}: {STOPPED[reply.finish.reason]}")

    def note(self, text: str) -> None:
        """A line beside the answer. Where both are on one screen, it does not run into the answer's line."""
        if self._quiet:
            return
        if self._line == "thinking" or terminal.is_terminal(sys.stdout):
            self.end_line()
        terminal.note(text)

    def end_line(self) -> None:
        """Ends the line that is begun, so that the next thing starts its own."""
        if self._line == "out":
            terminal.write("\n", whole=True)
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
                self._turn_to("out")
                terminal.write(text, whole=True)
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
            case ToolCall():
                self.note(f"call: {part.name} {part.arguments}".rstrip())
            case ServerToolCall():
                self.note(f"the provider ran: {part.name} {part.arguments}".rstrip())
            case Media():
                self.note(f"made: {part.kind} {part.media_type or ''} {part.url or ''}".rstrip())
            case _:
                pass
