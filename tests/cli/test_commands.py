"""The command line as such: help, versions, global options, and what it costs to start."""

import subprocess
import sys
from importlib.metadata import version

import pytest
from click.testing import CliRunner
from inline_snapshot import snapshot

from modelbay.cli import COMMANDS
from modelbay.cli import modelbay as program
from tests.cli.command import Command

HEAVY = ["aiohttp", "asyncio", "google", "keyring", "modelbay.hub", "msgspec", "rich", "textual", "uvicorn"]


def test_help_lists_the_commands_and_the_exit_codes():
    assert CliRunner().invoke(program, ["--help"], prog_name="modelbay").output == snapshot("""\
Usage: modelbay [OPTIONS] [COMMAND] [ARGS]...

  Connect a model provider once; use it from the terminal, from Python, and from
  every coding agent and SDK.

Options:
  --config FILE                 Configuration file; - for standard input.
  --allow-reference REF=ORIGIN  Reference to follow in a file from elsewhere,
                                and the origin that gets its value. Repeatable.
  --verbose                     Verbose output: requests, responses, timings,
                                tracebacks.
  -V, --version                 Show the version and exit.
  -c, --continue                Continue the last conversation in the terminal
                                app.
  -h, --help                    Show this message and exit.

Commands:
  ask         Ask a model one question.
  chat        Chat with a model in the terminal app or in plain lines.
  client      Create, list and remove keys of the gateway's clients.
  completion  Print the completion script of a shell.
  config      Locate and check config.toml; approve references of another file.
  configure   Configure a coding agent to use your providers, or undo it.
  demo        Show modelbay in action, without an account.
  docs        Show a page of the documentation.
  embed       Turn texts into vectors.
  export      Print providers as the configuration of a coding agent.
  import      Import providers from a coding agent.
  key         Store a provider's API key in the system's keyring.
  launch      Start a coding agent with a model, without changes to its files.
  login       Log in to platforms that use an account instead of an API key.
  logout      Log out.
  manifest    For providers: build, check and serve a manifest.
  model       List and search models, set the default model and model settings.
  provider    Add, change, list and test providers.
  replay      Parse recorded exchanges again, without the provider.
  serve       Run the gateway: every configured model, for programs that speak
              any protocol.
  simulate    Run a simulated provider on this machine.
  trust       Use the models that a project's file .modelbay.toml pins.

  Documentation: modelbay docs

  Exit codes:
    0    success
    1    a provider, network, input or configuration error, or an unknown name
    2    wrong usage, an invalid value, or a named file that cannot be read
    130  interrupted, or a question was declined
""")


def test_alone_it_prints_its_help():
    alone, asked = (CliRunner().invoke(program, line, prog_name="modelbay") for line in ([], ["--help"]))
    assert (alone.exit_code, alone.output) == (0, asked.output)


def test_the_version_is_that_of_the_package():
    assert CliRunner().invoke(program, ["--version"]).output == f"modelbay {version('modelbay')}\n"


@pytest.mark.parametrize("name", ["client", "config", "key", "manifest", "model", "provider"])
def test_help_of_a_group_shows_whole_sentences(name: str):
    commands = CliRunner().invoke(program, [name, "--help"]).output.partition("Commands:")[2]
    assert commands.strip() and "..." not in commands


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_the_global_options(name: str):
    asked = CliRunner().invoke(program, [name, "--help"], prog_name="modelbay")
    assert asked.exit_code == 0
    assert asked.output.startswith(f"Usage: modelbay {name} ")
    assert "--config FILE" in asked.output


@pytest.mark.parametrize("line", [["--config", "other.toml", "ask", "Hi"], ["ask", "--config", "other.toml", "Hi"]])
def test_a_global_option_may_stand_before_or_after_the_command(modelbay: Command, line: list[str]):
    (modelbay.home / "config.toml").rename(modelbay.home / "other.toml")
    assert modelbay(*line).code == 0


def test_help_imports_nothing_heavy():
    code = "import sys, modelbay.cli as cli\nsys.argv[1:] = ['--help']\ntry: cli.main()\nfinally: print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(HEAVY) & set(done.stdout.splitlines()[-1].split()) == set()
