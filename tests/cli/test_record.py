"""`--record`, `--verbose` and tracebacks: everything that happened, and no key."""

import json
import stat
import subprocess

import pytest
from inline_snapshot import snapshot

from tests.cli.command import KEY, MODELBAY, Command


@pytest.mark.parametrize("model", ["claude/sim-thinker", "gemini/sim-1!cut-after-first"])
def test_a_recording_is_replayed_to_the_same_answer(modelbay: Command, model: str):
    asked = modelbay("ask", "-m", model, "--json", "--record", "capsule.json", f"Say {KEY}")
    assert "recorded 1 exchange; read the answer again with: modelbay replay capsule.json" in asked.err
    capsule = modelbay.home / "capsule.json"
    assert stat.S_IMODE(capsule.stat().st_mode) == 0o600
    assert KEY not in asked.out + asked.err + capsule.read_text()
    replayed = modelbay("replay", "capsule.json")
    assert replayed.code == 0
    said, again = json.loads(asked.out), json.loads(replayed.out)
    for field in ("text", "thinking", "tool_calls", "finish", "usage"):
        assert again[field] == said[field]
    assert (again["error"] or {}).get("message") == (said["error"] or {}).get("message")


def test_a_file_that_cannot_be_written_is_reported_without_the_configuration(modelbay: Command):
    ended = modelbay("ask", "--record", "no/such/file", "Hi")
    assert (ended.code, ended.out) == (1, "")  # it is checked before the answer costs money
    assert ended.err.partition("error: ")[2] == snapshot("""\
HOME/no/such/file cannot be written: No such file or directory

hint: check whether HOME/no/such exists
""")


def test_verbose_prints_requests_responses_and_retries(modelbay: Command):
    ended = modelbay("ask", "--verbose", "-m", "sim/sim-1!429=0*1", f"Say {KEY}")
    assert ended.code == 0
    for line in (
        "→ POST SIM/v1/chat/completions (sim, ",
        "    Authorization: …",
        "← 429 after ",
        "(attempt 2 of 4)",
        "← 200 after",
        "the reply ended after ",
    ):
        assert line in ended.err
    assert KEY not in ended.err


def test_verbose_prints_the_end_of_the_reply_on_a_line_of_its_own_after_the_answer(modelbay: Command):
    done = subprocess.run(
        [MODELBAY, "ask", "--verbose", "-m", "sim/sim-1", "Hi"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=modelbay.environment,
        cwd=modelbay.home,
        check=True,
    )
    answer, end = done.stdout.splitlines()[-3:-1]
    assert answer.startswith("You asked: Hi.")
    assert end.startswith("the reply ended after ")


def test_a_retry_is_warned_of_in_one_sentence(modelbay: Command):
    err = modelbay("ask", "-m", "claude/sim-1!529*1", "Hi").err
    assert "warning: Overloaded: retrying in 0.0 s (attempt 2 of 4)\n" in err


def test_insecure_tls_prints_a_warning(modelbay: Command):
    path = modelbay.home / "config.toml"
    path.write_text(path.read_text() + "\n[providers.far]\ntype = 'openai'\ntls = { insecure = true }\n")
    for _ in range(2):
        assert "warning: providers.far has tls.insecure = true" in modelbay("ask", "Hi").err


def test_a_traceback_has_no_key(modelbay: Command):
    (modelbay.home / "sitecustomize.py").write_text(
        "import modelbay.calling.provider_client\n"
        "def fail(endpoint, *_): raise RuntimeError(str(endpoint.sent_headers()))\n"
        "modelbay.calling.provider_client._request = fail\n"
    )
    ended = modelbay("ask", "--verbose", "Hi", PYTHONPATH=str(modelbay.home))
    assert "Traceback" in ended.err
    assert "RuntimeError: {'Authorization': '…'}" in ended.err
    assert KEY not in ended.err


def test_nothing_is_recorded_if_nothing_was_sent(modelbay: Command) -> None:
    (modelbay.home / "config.toml").write_text('[providers.a]\ntype = "anthropic"\n')
    asked = modelbay("ask", "--record", "capsule.json", "-m", "a/b", "Hi")
    assert asked.code == 1 and "nothing was sent: capsule.json is not written" in asked.err
    assert not (modelbay.home / "capsule.json").exists()
