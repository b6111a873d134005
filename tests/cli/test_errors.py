"""An error is a message and a hint with an exit code, never a traceback."""

# ruff: noqa: E501 what is printed is as wide as it is

import socket
import subprocess
import sys

import pytest
from inline_snapshot import snapshot

from modelbay.agents import NAMES
from tests.cli.command import MODELBAY, Command, Run


def test_a_question_without_a_configuration_names_the_command_that_adds_a_provider(modelbay: Command):
    (modelbay.home / "config.toml").unlink()
    assert modelbay("ask", "Hi") == snapshot(
        Run(
            code=1,
            out="",
            err="""\
error: no configuration at HOME/config.toml

hint: connect a provider with `modelbay provider add`, or use another file with --config FILE
""",
        )
    )


def test_an_unknown_model_offers_the_nearest_names(modelbay: Command):
    assert modelbay("ask", "-m", "chta", "Hi") == snapshot(
        Run(
            code=1,
            out="",
            err="""\
error: Model Not Found: no model "chta" in HOME/config.toml

hint: did you mean "chat"? (`modelbay model list`)
""",
        )
    )


def test_no_model_named_and_no_default(modelbay: Command):
    modelbay.configure('[providers.sim]\ntype = "openai"\n')
    assert modelbay("ask", "Hi") == snapshot(
        Run(
            code=1,
            out="",
            err="""\
error: Model Not Found: no model given, and no default model is set

hint: pass one, such as sim/MODEL_ID (`modelbay model list`)
""",
        )
    )


def test_a_file_that_is_not_toml(modelbay: Command):
    modelbay.configure('[providers.sim]\ntype = "openai\n')
    assert modelbay("ask", "Hi") == snapshot(
        Run(
            code=1,
            out="",
            err="""\
error: Broken Configuration: HOME/config.toml, line 2, column 15: illegal character '\\n'

hint: fix that line in an editor
""",
        )
    )


def test_a_missing_key(modelbay: Command):
    modelbay.configure('[providers.acme]\ntype = "openai"\n')
    assert modelbay("ask", "-m", "acme/gpt-5", "Hi") == snapshot(
        Run(
            code=1,
            out="",
            err="""\
error: Missing API Key: no API key set for provider "acme" in HOME/config.toml

hint: `modelbay key set acme`, or write api_key under [providers.acme], or OPENAI_API_KEY under [providers.acme.env]; if the server requires no key, set auth = "none"; get an API key at https://platform.openai.com/api-keys
""",
        )
    )


def test_a_refused_connection(modelbay: Command):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        modelbay.configure(f'[providers.acme]\ntype = "openai"\nbase_url = "http://127.0.0.1:{port}/v1"\n')
        code, out, err = modelbay("ask", "-m", "acme/gpt-5", "Hi")
    last = err.replace(str(port), "PORT").rpartition("error: ")[2]
    assert (code, out, last) == snapshot(
        (
            1,
            "",
            """\
Connection Errors: POST http://127.0.0.1:PORT/v1/chat/completions: could not connect to http://127.0.0.1:PORT: connection refused (4 attempts)

hint: start the server, or fix base_url: nothing is listening at that address (`modelbay provider edit acme --base-url URL`)
""",
        )
    )


def test_a_web_page_instead_of_an_answer(modelbay: Command):
    code, out, err = modelbay("ask", "-m", "sim/sim-1!html", "Hi")
    assert (code, out, err.rpartition("error: ")[2]) == snapshot(
        (
            1,
            "",
            """\
Unexpected Results: POST SIM/v1/chat/completions: the provider answered with an HTML page: 502 Bad Gateway (4 attempts)

hint: try again later: a proxy reports that the provider is down or slow (`modelbay provider test sim`)
""",
        )
    )


def test_a_rejected_key_is_an_error_with_the_command_that_sets_it(modelbay: Command):
    modelbay.configure('[providers.acme]\ntype = "anthropic"\nbase_url = "SIM"\napi_key = "sk-wrong"\n')
    assert modelbay("ask", "-m", "acme/sim-1", "Hi") == snapshot(
        Run(
            code=1,
            out="",
            err="""\
error: Invalid API Key: POST SIM/v1/messages returned 401: invalid x-api-key (request req_1)

hint: enter the API key again, and make sure that it is complete (`modelbay key set acme`)
""",
        )
    )


def test_a_model_that_the_provider_does_not_have(modelbay: Command):
    assert modelbay("ask", "-m", "sim/gpt-0", "Hi") == snapshot(
        Run(
            code=1,
            out="",
            err="""\
error: Model Not Found: POST SIM/v1/chat/completions returned 404: The model `gpt-0` does not exist or you do not have access to it (request req_1)

hint: check the model ID and base_url (`modelbay model search gpt-0`)
""",
        )
    )


def test_a_provider_that_cannot_be_used_is_told_and_the_others_work(modelbay: Command):
    text = (modelbay.home / "config.toml").read_text()
    modelbay.configure(text + '\n[providers.broken]\ntype = "opneai"\n')
    code, out, err = modelbay("ask", "-m", "sim/sim-1", "Hi")
    assert (code, err) == snapshot(
        (
            0,
            """\
warning: HOME/config.toml:29: providers.broken.type: unknown type "opneai" (the types are kimi, anthropic, openai, openai_responses, google-genai, vertexai, azure)
sim/sim-1 · 2 tokens in, 20 out · 0.0 s
""",
        )
    )
    assert out.startswith("You asked: Hi.")


@pytest.mark.parametrize("line", [["ask"], ["ask", "--fiel", "x"], ["aks"], ["ask", "--max-tokens", "0", "Hi"]])
def test_wrong_usage_is_told_with_exit_code_2(modelbay: Command, line: list[str]):
    ended = modelbay(*line)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ")
    assert ended.err.splitlines()[-1].startswith(("hint: see `modelbay", "hint: did you mean `"))


def test_a_file_that_cannot_be_read(modelbay: Command):
    assert modelbay("ask", "--file", "nothing.png", "Hi") == snapshot(
        Run(code=2, out="", err="error: nothing.png cannot be read: No such file or directory\n")
    )


def test_an_internal_error_is_one_line_and_verbose_adds_the_traceback(modelbay: Command):
    def broken(**environment: str) -> Run:
        (modelbay.home / "sitecustomize.py").write_text(
            "import modelbay.hub\n"
            "def fail(*_): raise RuntimeError('the roof\\nfell in')\n"
            "modelbay.hub.Hub.model = fail\n"
        )
        return modelbay("ask", "Hi", PYTHONPATH=str(modelbay.home), **environment)

    assert broken() == snapshot(
        Run(
            code=1,
            out="",
            err="""\
error: internal error: RuntimeError: the roof fell in

hint: report this bug in modelbay; --verbose or MODELBAY_DEBUG=1 shows the traceback
""",
        )
    )
    assert 'File "HOME/sitecustomize.py", line 2, in fail' in broken(MODELBAY_DEBUG="1").err


def test_only_a_configuration_that_cannot_be_read_offers_another_configuration(modelbay: Command):
    (modelbay.home / "config.toml").unlink()
    (modelbay.home / "config.toml").mkdir()
    assert modelbay("model", "list").err == snapshot("""\
error: HOME/config.toml cannot be read: Is a directory

hint: check that the file exists and that you may read it, or use another file with --config or MODELBAY_HOME
""")
    (modelbay.home / "target").mkdir()
    (modelbay.home / "link").symlink_to("target")
    assert modelbay("--config", "link", "model", "default", "chat").err == snapshot("""\
error: link cannot be read: Is a directory

hint: check that the file exists and that you may read it, or use another file with --config or MODELBAY_HOME
""")


def test_a_conversation_store_that_cannot_be_used_has_a_title_of_its_own(modelbay: Command):
    (modelbay.home / "conversations.sqlite").mkdir()
    assert modelbay("chat", "--plain", stdin="/resume 7").err.partition("error: ")[2] == snapshot("""\
Storage Error: the conversation store HOME/conversations.sqlite cannot be used: unable to open database file

hint: check that its folder is writable and has free space, or set keep = "never" in [chat]
""")
    (modelbay.home / "conversations.sqlite").rmdir()
    assert modelbay("chat", "--plain", stdin="/resume 7").err.partition("error: ")[2] == snapshot("""\
Conversation Not Found: conversation 7 does not exist

hint: list the stored conversations with /resume
""")


@pytest.mark.skipif(sys.platform == "win32", reason="a working directory cannot be removed")
@pytest.mark.parametrize(
    "line", [*(f"import {name}" for name in NAMES), "demo --help", "ask Hi", "trust", "config check"]
)
def test_a_removed_working_directory_is_not_a_bug(modelbay: Command, line: str):
    shell = f"mkdir gone; cd gone; rmdir ../gone; exec '{MODELBAY}' {line}"
    done = subprocess.run(
        ["sh", "-c", shell],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=modelbay.environment | {"OPENCODE_CONFIG_CONTENT": "{}"},
        cwd=modelbay.home,
    )
    assert done.returncode in (0, 1, 2)
    assert "internal error" not in done.stderr
