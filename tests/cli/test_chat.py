"""`modelbay chat --plain`: a conversation in lines, as a pipe or a screen reader has it."""

import signal
import subprocess
import time

import pytest
from inline_snapshot import snapshot

from modelbay.stored_chats.store import Store
from modelbay.stored_chats.stored_chat import NOT_RUN
from tests.cli.command import MODELBAY, Command


def test_each_line_is_a_question_of_one_conversation(modelbay: Command):
    run = modelbay("chat", "--plain", stdin="Why is the sky blue?\nAnd the sea?\n")
    assert run.code == 0
    assert "You asked: Why is the sky blue?" in run.out
    assert "(question 2 of our conversation): And the sea?" in run.out
    assert "\x1b" not in run.out + run.err


def test_a_line_that_ends_in_a_backslash_goes_on(modelbay: Command):
    run = modelbay("chat", "--plain", stdin="one\\\ntwo\n")
    assert "You asked: one two" in run.out


def test_commands_change_what_comes_next(modelbay: Command):
    run = modelbay(
        "chat", "--plain", stdin="/model sim/sim-text\nHello\n/effort lots\n/model nobody\n/quit\nnot sent\n"
    )
    assert run.code == 0
    assert "I am sim-text" in run.out
    assert "not sent" not in run.out
    assert "model: sim/sim-text" in run.err
    assert 'unknown effort "lots"' in run.err
    assert 'error: Model Not Found: no model "nobody"' in run.err


def test_an_unknown_command_is_an_error_and_is_not_sent(modelbay: Command):
    run = modelbay("chat", "--plain", stdin="/hepl me\n/help\n")
    assert (run.code, run.out) == (0, "")
    assert run.err.count("error: unknown command: /hepl\n\nhint: list the commands with /help\n") == 1
    assert run.err.count("/resume [NUMBER]") == 1


@pytest.mark.parametrize("name", ["new", "private", "help", "quit", "exit"])
def test_a_command_without_an_argument_refuses_one(modelbay: Command, name: str):
    run = modelbay("chat", "--plain", stdin=f"Hello\n/{name} and more\nAnd now?\n")
    assert f"error: /{name} takes no argument" in run.err
    assert "(question 2 of our conversation): And now?" in run.out


def test_a_conversation_is_kept_and_goes_on(modelbay: Command):
    kept = modelbay("chat", "--plain", stdin="Remember me\n/save Sky\n")
    assert 'saved as "Sky", number 1' in kept.err
    again = modelbay("chat", "--plain", stdin="/resume\n/resume 1\nStill there?\n")
    assert "1  Sky" in again.err
    assert "(question 2 of our conversation): Still there?" in again.out


def test_conversations_are_stored_unless_their_user_says_otherwise(modelbay: Command):
    first = modelbay("chat", "--plain", stdin="Remember me\n")
    assert "conversations are stored in HOME/conversations.sqlite; exclude this one with /private" in first.err
    assert "Remember me" in modelbay("chat", "--plain", stdin="/resume\n").err
    private = modelbay("chat", "--plain", stdin="/private\nForget me\n/resume\n")
    assert "conversations are stored" not in private.err and "1  Remember me" in private.err
    assert "2  Forget me" not in private.err
    config = modelbay.home / "config.toml"
    config.write_text(config.read_text() + '\n[chat]\nkeep = "never"\n')
    assert 'not saved: keep = "never" in [chat]' in modelbay("chat", "--plain", stdin="Hello\n/save\n").err


def test_a_wrong_word_for_keep_is_reported(modelbay: Command):
    config = modelbay.home / "config.toml"
    config.write_text(config.read_text() + '\n[chat]\nkeep = "sometimes"\nkeeps = 3\n')
    run = modelbay("config", "check")
    assert run.code == 1 and "chat" in run.out + run.err and "keep" in run.out + run.err


def test_when_no_question_was_answered_the_exit_code_says_so(modelbay: Command):
    assert modelbay("chat", "--plain", stdin="/model sim/sim-text!401\nHello\nHello?\n").code == 1
    assert modelbay("chat", "--plain", stdin="/help\n").code == 0


def test_a_terminal_that_cannot_draw_gets_plain_lines(modelbay: Command):
    run = modelbay("chat", stdin="Hello\n", TERM="dumb")
    assert run.code == 0 and "You asked: Hello" in run.out


@pytest.mark.parametrize("provider", ["sim", "claude", "responses", "gemini"])
def test_a_chat_goes_on_after_a_tool_call_without_a_warning(modelbay: Command, provider: str):
    modelbay.simulator.provider.script.add().call("weather", {"city": "Paris"})
    run = modelbay("chat", "--plain", "-m", f"{provider}/sim-1", stdin="Weather?\nAnd now?\n")
    assert run.code == 0
    assert "tool call: weather" in run.err
    assert "warning" not in run.err
    assert "(question 2 of our conversation): And now?" in run.out
    assert NOT_RUN.encode() in modelbay.simulator.journal.last.body


def test_ctrl_c_interrupts_an_answer_and_not_the_conversation(modelbay: Command):
    chat = subprocess.Popen(
        [MODELBAY, "chat", "--plain", "-m", "sim/sim-text!pace=0.05"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        encoding="utf-8", env=modelbay.environment, cwd=modelbay.home,
    )  # fmt: skip
    assert chat.stdin is not None and chat.stdout is not None
    chat.stdin.write("write 900 words\n")
    chat.stdin.flush()
    assert chat.stdout.read(20)
    chat.send_signal(signal.SIGINT)
    out, err = chat.communicate("/model sim/sim-text\nAnd now?\n", timeout=60)
    assert chat.returncode == 0, err
    assert "interrupted" in err and "(question 2 of our conversation): And now?" in out


@pytest.mark.parametrize("typed", ["", "unfinished", "Hello\n"])
def test_ctrl_c_at_the_prompt_ends_the_conversation(modelbay: Command, typed: str):
    chat = subprocess.Popen(
        [MODELBAY, "chat", "--plain"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        encoding="utf-8", env=modelbay.environment, cwd=modelbay.home,
    )  # fmt: skip
    assert chat.stdin is not None and chat.stdout is not None and chat.stderr is not None
    while "Ctrl-D quits" not in chat.stderr.readline():
        pass
    chat.stdin.write(typed)
    chat.stdin.flush()
    if typed == "Hello\n":
        chat.stdout.readline()
        while not (stored := Store(modelbay.home / "conversations.sqlite").list()) or stored[0].turns < 2:
            time.sleep(0.02)
    time.sleep(0.3)  # so that it most likely waits at the prompt
    chat.send_signal(signal.SIGINT)
    try:
        assert chat.wait(60) == 130
        assert "Traceback" not in (err := chat.stderr.read()) and "Fatal" not in err
    finally:
        chat.kill()
        chat.communicate()


def test_lines_may_be_long_or_without_an_end(modelbay: Command):
    run = modelbay("chat", "--plain", stdin=f"{'w' * 200_000}\nand ü again")
    assert run.code == 0
    assert "and ü again" in run.out


def test_a_file_goes_with_the_next_question(modelbay: Command):
    (modelbay.home / "notes.txt").write_text("42")
    run = modelbay("chat", "--plain", stdin="/file notes.txt\nWhat is in it?\n/file nowhere\n")
    assert "attached to the next message: notes.txt" in run.err
    assert "42 </document> What is in it?" in run.out
    assert "error: nowhere cannot be read" in run.err


def test_an_error_does_not_end_the_conversation(modelbay: Command):
    run = modelbay("chat", "--plain", stdin="/model sim/sim-text!401\nHello\n/model chat\nHello again\n")
    assert run.code == 0
    assert "error: " in run.err
    assert "You asked: Hello again" in run.out


def test_without_a_terminal_the_app_says_what_to_do_instead(modelbay: Command):
    run = modelbay("chat")
    assert (run.code, run.out) == (2, "")
    assert run.err == snapshot("""\
error: the app requires a terminal; without one, use `modelbay chat --plain`

hint: see `modelbay chat --help`
""")


def test_without_a_configuration_it_says_how_to_get_one(modelbay: Command):
    (modelbay.home / "config.toml").unlink()
    run = modelbay("chat", "--plain", stdin="Hello\n")
    assert run.code == 1
    assert "modelbay provider add" in run.err


def test_the_files_of_a_question_that_failed_go_with_the_next_one(modelbay: Command):
    (modelbay.home / "notes.txt").write_text("42")
    run = modelbay(
        "chat", "--plain", stdin="/file notes.txt\n/model sim/sim-text!401\nWhat?\n/model chat\nWhat is in it?\n"
    )
    assert run.err.count("attached to the next message: notes.txt") == 2
    assert "42 </document> What is in it?" in run.out


def test_a_question_whose_file_cannot_be_read_is_not_answered(modelbay: Command):
    (modelbay.home / "empty.txt").write_text("")
    run = modelbay("chat", "--plain", stdin="What is in @empty.txt\n")
    assert run.code == 1
    assert "error: empty.txt is empty" in run.err


def test_old_conversations_that_cannot_be_deleted_do_not_end_the_conversation(modelbay: Command):
    (modelbay.home / "conversations.sqlite").mkdir()
    config = modelbay.home / "config.toml"
    config.write_text(config.read_text() + "\n[chat]\nkeep_days = 1\n")
    run = modelbay("chat", "--plain", stdin="Are you there?\n")
    assert run.code == 0 and "Are you there?" in run.out
    assert "unable to open database file" in run.err


def test_a_damaged_store_is_set_aside_with_a_warning(modelbay: Command):
    (modelbay.home / "conversations.sqlite").write_bytes(b"not a database" * 100)
    run = modelbay("chat", "--plain", stdin="Are you there?\n")
    assert run.code == 0 and "Are you there?" in run.out
    [aside] = modelbay.home.glob("conversations.sqlite.damaged-*")
    [line] = (line for line in run.err.splitlines() if line.startswith("warning:"))
    assert aside.name in line and "was damaged" in line
    assert "Are you there?" in modelbay("chat", "--plain", "-c", stdin="Still?\n").err


@pytest.mark.parametrize("command", ["chat", "bare"])
def test_the_last_conversation_is_continued(modelbay: Command, command: str):
    modelbay("chat", "--plain", stdin="Remember the sky\n")
    modelbay("chat", "--plain", stdin="Remember the sea\n")
    if command == "chat":
        run = modelbay("chat", "--plain", "-c", stdin="Still there?\n")
        assert 'resumed "Remember the sea"' in run.err
        assert "(question 2 of our conversation): Still there?" in run.out
    else:
        run = modelbay("-c")  # needs a terminal, which is checked first
        assert run.code == 2 and "terminal" in run.err


def test_a_continued_conversation_is_answered_by_the_model_that_is_named(modelbay: Command):
    modelbay("chat", "--plain", stdin="Hello\n")
    run = modelbay("chat", "--plain", "--continue", "-m", "sim/sim-text", stdin="Who are you?\n")
    assert "I am sim-text" in run.out


def test_without_a_stored_conversation_there_is_none_to_continue(modelbay: Command):
    run = modelbay("chat", "--plain", "-c", stdin="Hello\n")
    assert run.code == 1
    assert "no conversation is stored" in run.err
    assert "modelbay chat" in run.err


def test_continuing_goes_with_no_other_command(modelbay: Command):
    run = modelbay("-c", "provider", "list")
    assert run.code == 2 and "modelbay chat -c" in run.err


def test_a_conversation_is_exported_once(modelbay: Command):
    path = modelbay.home / "sky.md"
    run = modelbay("chat", "--plain", stdin=f"/export {path}\nWhy?\n/export {path}\n/export {path}\n")
    assert "nothing to export: the conversation is empty" in run.err
    assert "already exists" in run.err
    assert "You asked: Why?" in path.read_text()
