"""Input with bytes that are not UTF-8: prompts are still sent, other text is a usage error."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import MODELBAY, Command
from tests.cli.inside import Inside

LATIN = "caf\udce9"
"""The argument b"caf\\xe9" as Python decodes it."""


def run(
    modelbay: Command, *arguments: str, stdin: bytes = b"", environment: dict[str, str] | None = None
) -> tuple[int, str, str]:
    done = subprocess.run(
        [MODELBAY, *map(os.fsencode, arguments)],
        input=stdin,
        capture_output=True,
        env=modelbay.environment | (environment or {}),
        cwd=modelbay.home,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize("environment", [{}, {"PYTHONUTF8": "0", "LC_ALL": "C"}], ids=["utf8", "c"])
@pytest.mark.parametrize(
    ("arguments", "stdin", "name"),
    [
        ([LATIN], b"", "PROMPT"),
        ([], b"caf\xe9", "standard input"),
        (["-s", LATIN, "Hi"], b"", "--system"),
        (["Hi"], b"\xff\xfe", "standard input"),
    ],
)
def test_a_prompt_that_is_not_utf8_is_sent_and_reported(
    modelbay: Command, arguments: list[str], stdin: bytes, name: str, environment: dict[str, str]
) -> None:
    code, out, err = run(modelbay, "ask", "-m", "sim/sim-1", "--json", *arguments, stdin=stdin, environment=environment)
    assert code == 0, err
    assert "You asked" in out
    assert f"{name} is not UTF-8 text: each invalid byte is sent as" in err
    assert "\ufffd" in str(modelbay.simulator.journal.last.json["messages"])


def test_a_line_of_a_chat_is_sent_too(modelbay: Command) -> None:
    code, out, err = run(modelbay, "chat", "--plain", "-m", "sim/sim-1", stdin=b"caf\xe9\n")
    assert (code, "caf\ufffd" in out, "is not UTF-8 text" in err) == (0, True, True)


def test_a_real_replacement_character_in_an_argument_is_accepted(modelbay: Command) -> None:
    code, _, err = run(modelbay, "ask", "-m", "sim/sim-1", "\ufffd")
    assert (code, "UTF-8" in err) == (0, False)


@pytest.mark.parametrize(
    "arguments",
    [
        ["ask", "-m", LATIN, "Hi"],
        ["provider", "add", LATIN],
        ["provider", "show", LATIN],
        ["provider", "add", "https://x.example", "--api-key", LATIN],
        ["model", "search", LATIN],
        ["key", "set", LATIN],
        ["manifest", "check", LATIN],
        ["login", LATIN],
        ["export", "codex", LATIN],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_a_name_that_is_not_utf8_is_a_usage_error(modelbay: Command, arguments: list[str]) -> None:
    code, _, err = run(modelbay, *arguments)
    assert code == 2
    assert "is not UTF-8 text" in err
    assert "internal" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["ask", "-m", "", "Hi"],
        ["ask", "-m", " ", "Hi"],
        ["ask", "--base-url", "http://127.0.0.1:9/v1", "-m", "", "Hi"],
        ["chat", "--plain", "-m", ""],
        ["embed", "-m", "", "Hi"],
        ["launch", "claude", "-m", ""],
        ["launch", "claude", "--small", ""],
        ["provider", "test", "sim", "--model", ""],
        ["manifest", "check", "https://x.example", "--model", ""],
    ],
    ids=" ".join,
)
def test_an_empty_model_is_a_usage_error_and_not_the_default_model(modelbay: Command, arguments: list[str]) -> None:
    code, out, err = run(modelbay, *arguments)
    assert (code, out) == (2, "")
    assert "the name of the model is empty" in err
    assert not list(modelbay.simulator.journal)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--config", "", "provider", "list"],
        ["ask", "--file", "", "Hi"],
        ["ask", "--schema", "", "Hi"],
        ["ask", "--tool", "", "Hi"],
        ["ask", "--record", "", "Hi"],
        ["embed", "-m", "sim/sim-1", "--file", ""],
        ["import", "claude", ""],
        ["provider", "manifest", "--embedded", ""],
        ["replay", ""],
        ["trust", ""],
    ],
    ids=" ".join,
)
def test_an_empty_path_is_a_usage_error_and_not_the_working_directory(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Inside(tmp_path, monkeypatch)(*arguments)
    assert run.code == 2
    assert run.out == ""
    assert "the path is empty" in run.err
    assert "hint: leave it out" in run.err


def test_an_unknown_command_with_any_bytes_is_a_usage_error(modelbay: Command) -> None:
    code, _, err = run(modelbay, LATIN)
    assert (code, "internal error" in err) == (2, False)


@pytest.mark.parametrize(
    "arguments", [["key", "set", "sim", "--file"], ["provider", "add", "openai", "--api-key", "-"]]
)
def test_a_key_that_is_not_utf8_is_a_usage_error(modelbay: Command, arguments: list[str]) -> None:
    code, _, err = run(modelbay, *arguments, stdin=b"sk-caf\xe9")
    assert code == 2
    assert "the API key on standard input is not UTF-8 text" in err


def test_a_file_with_any_name_is_sent(modelbay: Command) -> None:
    (modelbay.home / f"{LATIN}.txt").write_text("a note")
    code, _, err = run(modelbay, "ask", "-m", "claude/sim-1", "-f", f"{LATIN}.txt", "Hi")
    assert code == 0, err
    assert "caf\ufffd.txt" in str(modelbay.simulator.journal.last.json)


@pytest.mark.parametrize(
    ("path", "words"),
    [(f"{LATIN}.png", "No such file"), (".", "is not a file"), ("~nobody-here/x.png", "unknown home folder")],
)
def test_a_file_that_cannot_be_read_is_named(modelbay: Command, path: str, words: str) -> None:
    code, _, err = run(modelbay, "ask", "-f", path, "Hi")
    assert (code, words in err, "internal error" in err) == (2, True, False)


@pytest.mark.parametrize(
    ("name", "content"),
    [(f"{LATIN}.json", b"{}"), ("cut.gz", b"\x1f\x8b\x08\x00\x00"), ("wrong.gz", b"\x1f\x8b\x08" + b"\x00" * 40)],
)
def test_replay_takes_any_file(modelbay: Command, name: str, content: bytes) -> None:
    (modelbay.home / name).write_bytes(content)
    code, out, err = run(modelbay, "replay", name)
    assert "internal" not in err
    assert (code, bool(out)) in ((0, True), (2, False))


@pytest.mark.parametrize("backend", ["nowhere.Keyring", "keyring.backends.Nothing", "os.path", "x"])
def test_an_unknown_keyring_backend_is_said(modelbay: Command, backend: str) -> None:
    environment = {"PYTHON_KEYRING_BACKEND": backend}
    code, _, err = run(modelbay, "key", "set", "sim", stdin=b"sk-new-0123456789", environment=environment)
    assert (code, "no keyring found" in err, "internal error" in err) == (1, True, False)
    modelbay.configure(
        '[providers.sim]\ntype = "openai"\nbase_url = "SIM/v1"\napi_key = "{keyring:modelbay/sim}"\n'
        '[models.chat]\nprovider = "sim"\nmodel = "sim-1"\n'
    )
    for command in (["ask", "-m", "chat", "Hi"], ["provider", "show", "sim"], ["key", "delete", "sim"]):
        _, _, err = run(modelbay, *command, environment=environment)
        assert "internal" not in err
    assert "the keyring is not available" in err


def test_a_saved_chat_has_a_number_of_any_length(modelbay: Command) -> None:
    code, _, err = run(
        modelbay, "chat", "--plain", "-m", "sim/sim-1", stdin=f"/resume {'9' * 30}\n/resume ²\n".encode()
    )
    assert (code, "conversation 999" in err, "internal error" in err) == (0, True, False)
