"""How a reply looks: what goes to stdout, what to stderr, and where lines end."""

import sys
from io import StringIO

import pytest

from modelbay.cli import terminal
from modelbay.cli.display import Display
from modelbay.conversation import AnyPart, Media, Refusal, ServerToolCall, Text, Thinking, ToolCall
from modelbay.events import Event, Finished, FinishReason, PartDelta, PartEnded, PartStarted, Reply, Warned

Shown = tuple[str, str]


def shown(capsys: pytest.CaptureFixture[str], *events: Event) -> Shown:
    display = Display()
    for event in events:
        display.feed(event)
    display.end_line()
    return capsys.readouterr()


def part(key: int, part: AnyPart, *texts: str) -> list[Event]:
    return [PartStarted(key, part), *(PartDelta(key, text) for text in texts), PartEnded(key, part)]


def test_text_goes_out_and_thinking_beside_it_each_on_lines_of_their_own(capsys: pytest.CaptureFixture[str]):
    thinking, text = part(0, Thinking(), "Hm", "."), part(1, Text(), "Yes", ".\n")
    assert shown(capsys, *thinking, *text, *part(2, Text(), "More")) == ("Yes.\nMore\n", "Hm.\n")


def test_a_refusal_is_the_answer(capsys: pytest.CaptureFixture[str]):
    assert shown(capsys, *part(0, Refusal(), "I will not.")) == ("I will not.\n", "")


def test_calls_and_made_media_are_told(capsys: pytest.CaptureFixture[str]):
    events = [
        *part(0, ToolCall(name="add", arguments='{"a":1}'), '{"a":1}'),
        *part(1, ServerToolCall(name="web_search", arguments='{"q":"x"}'), '{"q":"x"}'),
        *part(2, Media(kind="image", data="AAAA", media_type="image/png")),
    ]
    told = 'tool call: add {"a":1}\nrun by the provider: web_search {"q":"x"}\ncreated: image image/png\n'
    assert shown(capsys, *events) == ("", told)


def test_a_warning_starts_a_line(capsys: pytest.CaptureFixture[str]):
    out, err = shown(capsys, PartStarted(0, Thinking()), PartDelta(0, "Hm"), Warned("seed was dropped", "seed"))
    assert (out, err) == ("", "Hm\nwarning: seed was dropped\n")


def test_control_sequences_are_not_written_to_stderr(capsys: pytest.CaptureFixture[str]):
    assert shown(capsys, *part(0, Thinking(), "a\x1b[2Jb\x07\tc\r\n")) == ("", "a[2Jb\tc\n")


def test_data_in_a_pipe_stays_as_it_came(capsys: pytest.CaptureFixture[str]):
    assert shown(capsys, *part(0, Text(), "a\x1b[1mb\r\n")) == ("a\x1b[1mb\r\n", "")


@pytest.mark.parametrize("parts", [[], [Thinking(texts=["Hm"])], [Text(text=" \n")]])
def test_an_empty_answer_is_said(parts: list[AnyPart], capsys: pytest.CaptureFixture[str]):
    Display().stopped(Reply(parts=parts, finish=Finished("stop")))
    assert capsys.readouterr() == ("", "the answer is empty: ask again, or try a different model\n")


@pytest.mark.parametrize("reason", ["length", "content_filter", "refusal", "pause", "tool_calls"])
def test_an_answer_that_is_not_simply_done_says_why(reason: FinishReason, capsys: pytest.CaptureFixture[str]):
    Display().stopped(Reply(finish=Finished(reason)))
    assert capsys.readouterr().err.startswith(f"stopped: {reason}: ")


def test_a_reply_in_one_piece_looks_like_a_stream_of_it(capsys: pytest.CaptureFixture[str]):
    display = Display()
    display.whole(Reply(parts=[Thinking(texts=["Hm.", "Well."]), Text(text="Yes"), ToolCall(name="add")]))
    display.end_line()
    out, err = capsys.readouterr()
    assert (out, err) == ("Yes\n", "Hm.\n\nWell.\ntool call: add\n")


def test_a_spinner_does_not_hide_the_cursor_which_a_signal_would_leave_hidden(monkeypatch: pytest.MonkeyPatch):
    class Screen(StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", screen := Screen())
    with terminal.waiting("testing acme"):
        pass
    with terminal.progress() as show:
        show("writing acme")
    assert "testing acme" in screen.getvalue() and "writing acme" in screen.getvalue()
    assert "\x1b[?25l" not in screen.getvalue()
