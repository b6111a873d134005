"""`modelbay ask`: the answer on stdout as it comes, everything else on stderr."""

# ruff: noqa: E501 what is printed is as wide as it is

import os
import re
import signal
import subprocess
import sys
from base64 import b64decode
from pathlib import Path

import msgspec
import pytest
from inline_snapshot import snapshot

from modelbay.simulator import Simulator
from tests.cli.command import KEY, MODELBAY, Command, Run

PNG = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")


def test_the_answer_is_on_stdout_and_the_rest_on_stderr(modelbay: Command):
    assert modelbay("ask", "Why is the sky blue?") == snapshot(
        Run(
            code=0,
            out="You asked: Why is the sky blue? I am sim-thinker, a simulated model, and this is all I know about it.\n",
            err="""\
The user said: Why is the sky blue? I should answer in a few plain sentences. I know little, so I will say what I was asked.
chat · 6 tokens in, 57 out (31 thinking) · 0.0 s · $0.000873
""",
        )
    )


@pytest.mark.parametrize("prompt", [[], [""], ["  \n"], [" ", " "]])
def test_a_blank_prompt_is_a_missing_one(modelbay: Command, prompt: list[str]):
    run = modelbay("ask", *prompt)
    assert (run.code, run.out) == (2, "")
    assert "error: missing prompt\n" in run.err


@pytest.mark.parametrize("line", [["ask", "Hello"], ["ask", "--no-stream", "Hello"], ["chat", "--plain"]])
def test_an_empty_answer_is_said_on_stderr(modelbay: Command, line: list[str]):
    modelbay.simulator.provider.script.add().say("").always()
    run = modelbay(*line, stdin="Hello\n" if "--plain" in line else "")
    assert run.code == 0
    assert "the answer is empty: ask again, or try a different model" in run.err


@pytest.mark.parametrize("provider", ["sim", "claude", "responses", "gemini"])
def test_every_protocol_answers(modelbay: Command, provider: str):
    ended = modelbay("ask", "-m", f"{provider}/sim-1", "Why", "is", "the", "sky", "blue?")
    assert ended.code == 0
    assert ended.out.startswith("You asked: Why is the sky blue?")
    assert re.search(rf"^{provider}/sim-1 · \d+ tokens in.*, \d+ out · 0\.0 s$", ended.err, re.MULTILINE)


def test_standard_input_stands_before_the_words_of_the_prompt(modelbay: Command):
    assert modelbay("ask", "-m", "sim/sim-1", "What", "is", "this?", stdin="a diff\n").code == 0
    assert modelbay.simulator.journal.last.json["messages"] == snapshot(
        [
            {
                "role": "user",
                "content": """\
a diff

What is this?\
""",
            }
        ]
    )


def test_standard_input_alone_is_a_prompt(modelbay: Command):
    assert modelbay("ask", stdin="Hello\n").out.startswith("You asked: Hello")


def test_an_answer_in_one_piece_is_shown_the_same(modelbay: Command):
    streamed, whole = modelbay("ask", "Why?"), modelbay("ask", "--no-stream", "Why?")
    assert (whole.code, whole.out) == (streamed.code, streamed.out)
    assert whole.err.splitlines()[0] == streamed.err.splitlines()[0]
    assert modelbay.simulator.journal.last.json["stream"] is False


def test_settings_of_the_command_are_sent(modelbay: Command):
    options = ["--system", "Be brief.", "--effort", "high", "--max-tokens", "500", "--temperature", "0.5"]
    assert modelbay("ask", "-m", "sim/sim-1", *options, "Why?").code == 0
    body = modelbay.simulator.journal.last.json
    assert {key: body[key] for key in body if key not in ("messages", "model", "stream", "stream_options")} == snapshot(
        {"temperature": 0.5, "max_tokens": 500, "reasoning_effort": "high"}
    )
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}


def test_an_unknown_effort_is_a_usage_error(modelbay: Command):
    ended = modelbay("ask", "-m", "sim/sim-1", "--effort", "banana", "Why?")
    assert (ended.code, ended.out, len(modelbay.simulator.journal)) == (2, "", 0)
    assert ended.err == snapshot("""\
error: unknown effort "banana"

hint: use one of: off, minimal, low, medium, high, xhigh, max
""")


def test_an_effort_that_the_model_does_not_have_is_the_nearest_with_a_warning(modelbay: Command):
    with (modelbay.home / "config.toml").open("a") as file:
        file.write('[models.few]\nprovider = "sim"\nmodel = "sim-1"\nsupport_efforts = ["low", "high"]\n')
    ended = modelbay("ask", "-m", "few", "--effort", "medium", "Why?")
    assert (ended.code, modelbay.simulator.journal.last.json["reasoning_effort"]) == (0, "low")
    assert "the effort `medium` is sent as `low`: few has low, high" in ended.err


@pytest.mark.parametrize("place", ["thinking", "model"])
def test_the_efforts_of_the_configuration_follow_the_same_rule(modelbay: Command, place: str):
    text = (modelbay.home / "config.toml").read_text()
    model = '[models.few]\nprovider = "sim"\nmodel = "sim-1"\ncapabilities = ["thinking"]\n'
    own = '[thinking]\neffort = "banana"\n' if place == "thinking" else 'default_effort = "banana"\n'
    (modelbay.home / "config.toml").write_text(text + model + own)
    ended = modelbay("ask", "-m", "few", "Why?")
    assert (ended.code, len(modelbay.simulator.journal)) == (2, 0)
    assert (
        f'unknown effort "banana" in {"[thinking]" if place == "thinking" else "models.few.default_effort"}'
        in ended.err
    )


def test_files_are_sent_by_their_type(modelbay: Command):
    (modelbay.home / "dot.png").write_bytes(PNG)
    (modelbay.home / "notes.md").write_text("# Notes", encoding="utf-8")
    ended = modelbay("ask", "-m", "claude/sim-1", "--image", "dot.png", "--file", "notes.md", "What is this?")
    assert ended.code == 0
    assert modelbay.simulator.journal.last.json["messages"] == snapshot(
        [
            {
                "role": "user",
                "content": [
                    {
                        "type": "image",
                        "source": {
                            "type": "base64",
                            "media_type": "image/png",
                            "data": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
                        },
                    },
                    {
                        "type": "document",
                        "source": {"type": "text", "media_type": "text/plain", "data": "# Notes"},
                        "title": "notes.md",
                    },
                    {"type": "text", "text": "What is this?"},
                ],
            }
        ]
    )


def test_json_is_one_object_when_all_has_come(modelbay: Command):
    ended = modelbay("ask", "--json", "Why?")
    assert (ended.code, ended.err) == (0, "")
    assert msgspec.json.decode(ended.out) == snapshot(
        {
            "text": "You asked: Why? I am sim-thinker, a simulated model, and this is all I know about it.",
            "thinking": "The user said: Why? I should answer in a few plain sentences. I know little, so I will say what I was asked.",
            "refusal": "",
            "tool_calls": [],
            "finish": "stop",
            "usage": {"input": 2, "cache_read": 0, "cache_write": None, "output": 22, "reasoning": 27},
            "error": None,
            "model": "chat",
            "provider": "sim",
            "cost": 0.000741,
        }
    )


def test_json_has_an_object_for_an_error_too_and_never_a_key(modelbay: Command):
    ended = modelbay("ask", "--json", "-m", "sim/sim-1!401", "Why?")
    assert ended.code == 1
    assert msgspec.json.decode(ended.out) == snapshot(
        {
            "text": "",
            "thinking": "",
            "refusal": "",
            "tool_calls": [],
            "finish": "error",
            "usage": None,
            "error": {
                "type": "invalid_request_error",
                "message": "POST SIM/v1/chat/completions returned 401: Incorrect API key provided: sk-***-key. You can find your API key at https://platform.openai.com/account/api-keys.",
                "status": 401,
                "title": "Invalid API Key",
                "provider": "sim",
                "request_id": "req_1",
                "attempts": 1,
                "hint": "enter the API key again, and make sure that it is complete (`modelbay key set sim`)",
            },
            "model": "sim/sim-1!401",
            "provider": "sim",
            "cost": None,
        }
    )
    assert ended.err.startswith("error: Invalid API Key: POST ")
    assert KEY not in ended.out + ended.err


def test_an_answer_that_is_cut_off_says_why(modelbay: Command):
    assert modelbay("ask", "-m", "sim/sim-1", "--max-tokens", "5", "Why?") == snapshot(
        Run(
            code=0,
            out="You asked: Why? I am\n",
            err="""\
stopped: length: maximum output tokens reached; allow more with --max-tokens N
sim/sim-1 · 2 tokens in, 5 out · 0.0 s
""",
        )
    )


def test_a_stream_that_breaks_keeps_what_came_and_fails(modelbay: Command):
    ended = modelbay("ask", "-m", "sim/sim-1!cut-after-first", "Why?")
    assert (ended.code, ended.out) == (1, "You\n")
    assert re.sub(r"\d+ bytes", "N bytes", ended.err) == snapshot("""\
sim/sim-1!cut-after-first · 0.0 s
error: Unexpected Results: POST SIM/v1/chat/completions: connection closed by SIM in the middle of its reply, after N bytes

hint: try again; if it keeps failing, a proxy or firewall may be cutting connections (`modelbay provider test sim`)
""")


def test_ctrl_c_ends_it_with_130_and_closes_the_connection(modelbay: Command):
    running = modelbay.start("ask", "-m", "sim/sim-1!stall", "Why?")
    assert running.stdout is not None
    assert running.stdout.read(3) == "You"
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=120)
    assert running.returncode == 130
    assert "Traceback" not in err
    assert modelbay.simulator.journal.last.wait_over_sync().disconnected


def test_a_reader_that_has_seen_enough_ends_it_quietly(tmp_path: Path, modelbay: Command):
    with Simulator(key=KEY, pace=0.005) as slow:
        modelbay.simulator = slow
        modelbay.configure(f'[providers.sim]\ntype = "openai"\nbase_url = "SIM/v1"\napi_key = "{KEY}"\n')
        running = modelbay.start("ask", "-m", "sim/sim-1", "write 5000 words")
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.read(3) == "The"
        running.stdout.close()
        assert (running.wait(timeout=120), running.stderr.read()) == (0, "")
        running.stderr.close()


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_a_person_sees_thinking_dimmed_and_no_colour_is_respected(modelbay: Command):
    dim = "\x1b[2m"
    assert f"{dim}The{RESET}{dim} user{RESET}" in _on_a_terminal(modelbay)
    assert "\x1b[2m" not in _on_a_terminal(modelbay, NO_COLOR="1")


RESET = "\x1b[0m"


def _on_a_terminal(modelbay: Command, **environment: str) -> str:
    """The output of `modelbay ask` on a terminal."""
    ours, theirs = os.openpty()
    environment = modelbay.environment | {"TERM": "xterm"} | environment
    with subprocess.Popen([MODELBAY, "ask", "Why?"], stdin=theirs, stdout=theirs, stderr=theirs, env=environment):
        os.close(theirs)
        shown = b""
        try:
            while data := os.read(ours, 65536):
                shown += data
        except OSError:
            pass  # on Linux: the other side is closed
    os.close(ours)
    return shown.decode()


@pytest.mark.parametrize(("provider", "estimated"), [("claude", False), ("sim", True)])
def test_the_input_tokens_are_counted_without_asking(modelbay: Command, provider: str, estimated: bool):
    question = ("-m", f"{provider}/sim-1", "--system", "Be brief.", "Why is the sky blue?")
    ended = modelbay("ask", "--count", *question)
    assert ended.code == 0
    assert int(ended.out) > 5
    assert ("estimated" in ended.err) == estimated
    counted = msgspec.json.decode(modelbay("ask", "--count", "--json", *question).out)
    assert counted == {"tokens": int(ended.out), "estimated": estimated}
    assert not modelbay.simulator.journal.calls()


def test_a_count_that_fails_is_an_error(modelbay: Command):
    ended = modelbay("ask", "--count", "-m", "nothing/x", "Hello")
    assert (ended.code, ended.out) == (1, "")
    assert "nothing" in ended.err
