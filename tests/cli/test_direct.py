"""Calls without a configuration file: the provider on the command line, or the configuration on standard input."""

import json
import sys

import pytest

from tests.cli.command import KEY, Command
from tests.cli.inside import Person

SAID = "You asked: Hello."
CONFIG = f"""\
default_model = "mine"
[providers.acme]
type = "openai"
base_url = "SIM/v1"
api_key = "{KEY}"
[models.mine]
provider = "acme"
model = "sim-1"
"""
URLS = ["SIM/v1", "SIM/v1/chat/completions", "SIM/v1/responses", "SIM/v1/messages", "SIM/v1/models"]
GOOGLE = "SIM/v1beta/models/sim-1:generateContent"


@pytest.fixture
def bare(modelbay: Command) -> Command:
    """A home without a configuration."""
    (modelbay.home / "config.toml").unlink()
    return modelbay


def at(bay: Command, text: str) -> str:
    return text.replace("SIM", bay.simulator.url)


@pytest.mark.parametrize("url", [*URLS, GOOGLE])
def test_a_provider_on_the_command_line_answers_and_nothing_is_configured(bare: Command, url: str):
    run = bare("ask", "--base-url", at(bare, url), "--api-key", "-", "-m", "sim-1", "Hello", stdin=f"{KEY}\n")
    assert (run.code, run.out.startswith(SAID)) == (0, True), run.err
    assert KEY not in run.out + run.err
    assert not (bare.home / "config.toml").exists()


def test_the_protocol_may_be_named(bare: Command):
    line = ["ask", "--base-url", bare.simulator.url, "--api", "anthropic", "--api-key", KEY, "-m", "sim-1", "Hello"]
    assert bare(*line).out.startswith(SAID)


def test_a_reference_that_was_typed_is_followed(bare: Command):
    line = ["ask", "--base-url", at(bare, "SIM/v1"), "--api-key", "{env:JOB_KEY}", "-m", "sim-1", "Hello"]
    assert bare(*line, JOB_KEY=KEY).out.startswith(SAID)
    run = bare(*line)
    assert (run.code, "JOB_KEY" in run.err) == (1, True)


def test_a_direct_call_ignores_configured_providers(modelbay: Command):
    run = modelbay("ask", "--base-url", at(modelbay, "SIM/v1"), "--api-key", KEY, "-m", "chat", "Hello")
    assert (run.code, "Model Not Found" in run.err) == (1, True)  # `chat` is an alias in the file only


def test_plain_chat_takes_the_same_options(bare: Command):
    line = ["chat", "--plain", "--base-url", at(bare, "SIM/v1"), "--api-key", KEY, "-m", "sim-1"]
    assert bare(*line, stdin="Hello\n").out.startswith(SAID)


@pytest.mark.parametrize("command", [["ask", "Hello"], ["chat", "--plain"]], ids=" ".join)
@pytest.mark.parametrize("key", [[], ["--api-key", "sk-wrong-0123456789"]], ids=["no key", "a wrong key"])
def test_a_refused_key_is_given_again_on_the_command_line(bare: Command, command: list[str], key: list[str]):
    run = bare(*command, "--base-url", at(bare, "SIM/v1"), *key, "-m", "sim-1", stdin="Hello\n")
    assert run.code == 1
    assert "pass the provider's API key with --api-key" in run.err
    assert "modelbay key set" not in run.err and "modelbay provider" not in run.err
    assert "sk-wrong-0123456789" not in run.err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["ask", "--api-key", "k", "Hi"], "--api-key requires --base-url"),
        (["ask", "--api", "google", "Hi"], "--api requires --base-url"),
        (["ask", "--base-url", "SIM/v1", "Hi"], "--base-url requires a model ID: -m MODEL"),
        (["ask", "--base-url", "acme.example", "-m", "m", "Hi"], "--base-url: Must start with http:// or https://"),
        (["chat", "--base-url", "SIM/v1"], "--base-url requires --plain"),
        (["chat", "--plain", "--config", "-"], "standard input cannot be both the configuration and the messages"),
        (
            ["ask", "--config", "-", "--base-url", "SIM/v1", "--api-key", "-", "-m", "m", "Hi"],
            "standard input cannot be",
        ),
    ],
)
def test_half_a_provider_is_wrong_usage(bare: Command, line: list[str], said: str):
    run = bare(*(at(bare, word) for word in line))
    assert (run.code, said in run.err) == (2, True), run.err


@pytest.mark.parametrize("line", [["--config", "-", "ask", "Hello"], ["ask", "--config", "-", "Hello"]], ids=" ".join)
def test_the_configuration_may_come_from_standard_input(bare: Command, line: list[str]):
    run = bare(*line, stdin=at(bare, CONFIG))
    assert (run.code, run.out.startswith(SAID)) == (0, True), run.err


def test_every_command_that_only_reads_takes_it(bare: Command):
    for line in (["provider", "list"], ["model", "list"], ["provider", "show", "acme"], ["config", "check"]):
        run = bare(*line, "--config", "-", stdin=at(bare, CONFIG))
        assert (run.code, "internal" in run.err) == (0, False), run
    assert list(bare.home.glob("*.toml")) == []


def test_it_cannot_be_changed(bare: Command):
    run = bare("provider", "remove", "acme", "--yes", "--config", "-", stdin=at(bare, CONFIG))
    assert (run.code, "cannot change a configuration that was read from standard input" in run.err) == (1, True)
    assert not (bare.home / "<stdin>").exists()


def test_its_references_want_an_approval_even_in_the_home(bare: Command):
    text = at(bare, CONFIG).replace(KEY, "{env:JOB_KEY}")
    refused = bare("ask", "--config", "-", "Hello", stdin=text, JOB_KEY=KEY)
    assert (refused.code, "--allow-reference" in refused.err, "config approve" in refused.err) == (1, True, False)
    allowed = f"{{env:JOB_KEY}}={bare.simulator.url}"
    assert bare("ask", "--config", "-", "--allow-reference", allowed, "Hello", stdin=text, JOB_KEY=KEY).code == 0


def test_a_broken_one_is_told_with_its_line(bare: Command):
    run = bare("ask", "--config", "-", "--json", "Hello", stdin="a = 1\nb =\n")
    assert run.code == 1
    assert "line 2" in json.loads(run.out)["error"]["message"]


@pytest.mark.skipif(sys.platform == "win32", reason="it has no pseudo-terminals")
def test_on_a_terminal_the_key_is_asked_for(bare: Command):
    line = ["ask", "--base-url", at(bare, "SIM/v1"), "--api-key", "-", "-m", "sim-1", "Hello"]
    with Person(bare.home, *line) as person:
        person.sees("API key: ").types(KEY).sees(SAID)
        assert person.ends() == 0
    assert KEY not in person.seen
