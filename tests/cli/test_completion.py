"""Completion of commands, options and names in bash, zsh and fish: in the shells themselves, as a user presses Tab."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import MODELBAY
from tests.cli.inside import Inside, Person

CONFIG = """
[providers.lab]
type = "openai"
base_url = "http://127.0.0.1:9/v1"

[models."ollama/llama3:70b"]
provider = "lab"
model = "llama3:70b"
display_name = "Llama: the large one"

[models."quiet fox"]
provider = "lab"
model = "fox"

[models."$HOME;x"]
provider = "lab"
model = "shell"
"""
SHELLS = {
    "bash": (["--norc", "--noprofile", "-i"], "source <(modelbay completion bash)"),
    "zsh": (["-f", "-i"], "autoload -U compinit; compinit -u -D; source <(modelbay completion zsh)"),
    "fish": (["--no-config", "-i"], "modelbay completion fish | source"),
}
CASES = {
    "a command": ("modelbay repl", "ay", ["replay"]),
    "an option": ("modelbay ask --rec", "ord", ["ask", "--record"]),
    "a name with a colon": ("modelbay ask -m ollama/llama3:", "70b", ["ask", "-m", "ollama/llama3:70b"]),
    "a name with a space": ("modelbay ask -m quiet", "fox", ["ask", "-m", "quiet fox"]),
    "a name that a shell would run": ("modelbay ask -m '$HO", ";x", ["ask", "-m", "$HOME;x"]),
    "a value after =": ("modelbay ask --model=ollama/llama3:", "70b", ["ask", "--model=ollama/llama3:70b"]),
    "a model of a provider": ("modelbay ask -m lab/f", "ox", ["ask", "-m", "lab/fox"]),
    "a provider": ("modelbay provider remove la", "b", ["provider", "remove", "lab"]),
    "an agent": ("modelbay launch clau", "de", ["launch", "claude"]),
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "config.toml").write_text(CONFIG)
    return tmp_path


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shell", SHELLS)
def test_tab_completes_a_word_that_the_shell_then_passes_on_whole(home: Path, shell: str, case: str):
    if (program := shutil.which(shell)) is None:
        pytest.skip(f"no {shell} on this machine")
    options, source = SHELLS[shell]
    typed, shown, arguments = CASES[case]
    with Person(home, *options, program=program) as person:
        person.types(f"{source}; echo rea''dy").sees("ready")
        person.presses(f"{typed}\t").sees(shown, 20)
        # the beginning of the line: its words become arguments of printf
        person.presses("\x01printf '<%s>' ").types("").sees("<modelbay>")
        for argument in arguments:
            person.sees(f"<{argument}>")


def completed(home: Path, line: str, **environment: str) -> list[str]:
    """The words that bash gets."""
    asked = {"COMP_LINE": line, "COMP_BREAKS": " \t\n\"'><=;|&(:", "_MODELBAY_COMPLETE": "bash_complete"}
    done = subprocess.run(
        [MODELBAY],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "MODELBAY_HOME": str(home), **asked, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("modelbay provider ref", ["refresh"]),
        (
            "modelbay ask -m ",
            ["ollama/llama3:70b", r"quiet\ fox", r"\$HOME\;x", "lab/llama3:70b", "lab/fox", "lab/shell"],
        ),
        ("modelbay ask -m ollama/llama3:", ["70b"]),
        ("modelbay ask -m 'quiet", ["quiet fox"]),
        ("modelbay ask --option se", ["seed=", "service_tier="]),
        ("modelbay ask --option extra_b", ["extra_body."]),
        ("modelbay ask --effort lo", ["low"]),
        ("modelbay model set oll", ["ollama/llama3:70b"]),
        ("modelbay launch claude -m quiet", [r"quiet\ fox"]),
        ("modelbay provider add --dialect deepse", ["deepseek"]),
        ("modelbay login kimi-code-g", ["kimi-code-global"]),
        ("modelbay ask --file ", [":file"]),
    ],
)
def test_options_and_names_are_completed(home: Path, line: str, words: list[str]):
    assert completed(home, line) == words


def test_further_names_and_variants_of_a_model_are_completed(home: Path):
    more = 'aliases = ["second"]\nvariants.deep = { reasoning_effort = "high" }\n'
    (home / "config.toml").write_text(CONFIG.replace('model = "fox"\n', f'model = "fox"\n{more}'))
    assert completed(home, "modelbay ask -m sec") == ["second"]
    assert completed(home, r"modelbay ask -m quiet\ fox:") == ["deep"]


def test_a_file_after_config_is_the_one_whose_names_are_completed(home: Path, tmp_path: Path):
    (other := tmp_path / "other.toml").write_text(CONFIG.replace("quiet fox", "loud fox"))
    assert completed(home, f"modelbay --config {other} ask -m lo") == [r"loud\ fox"]
    assert completed(home, f"modelbay ask --config {other} -m lo") == [r"loud\ fox"]


@pytest.mark.parametrize("config", ["not [toml", "", "[models.x]\nprovider = 3"])
def test_a_configuration_that_cannot_be_read_completes_nothing_and_says_nothing(home: Path, config: str):
    (home / "config.toml").write_text(config)
    assert completed(home, "modelbay ask -m ") == [""]


def test_a_key_press_runs_no_command_of_the_configuration(home: Path):
    """A reference may run a program or ask the keyring, which may show a window."""
    ran = home / "ran"
    (home / "config.toml").write_text(CONFIG.replace('/v1"', f'/v1"\napi_key = "{{command:touch {ran}}}"', 1))
    assert "lab/fox" in completed(home, "modelbay ask -m lab/")
    assert not ran.exists()


def test_the_script_of_an_unknown_shell_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch):
    ended = Inside(home, monkeypatch)("completion", "csh")
    assert ended.code == 2
    assert 'unknown shell "csh"\n\nhint: choose one of: bash, zsh, fish' in ended.err
