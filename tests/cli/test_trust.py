"""`modelbay trust`, and the commands that use the models that a project pins."""

import json
from pathlib import Path

import pytest

from modelbay.project_pins import NAME
from tests.cli.command import Command
from tests.cli.inside import Inside, Person

CONFIG = """\
default_model = "usual"

[providers.acme]
type = "openai"
base_url = "https://acme.example/v1"
api_key = "k"

[models.usual]
provider = "acme"
model = "acme-1"

[models.large]
provider = "acme"
model = "acme-2"
"""
NOT_TRUSTED = "ignored HOME/.modelbay.toml: not trusted; show its models and trust it: `modelbay trust`\n"


@pytest.fixture
def bay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    """The command in a project that pins the model `large`."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    made = Inside(tmp_path, monkeypatch)
    made.file.write_text(CONFIG)
    made.file.chmod(0o600)
    pins(made, 'model = "large"\n')
    return made


def pins(bay: Inside, text: str) -> None:
    (bay.home / NAME).write_text(text)


def test_trust_shows_the_models_and_asks(bay: Inside):
    pins(bay, 'model = "large"\nsmall_model = "acme/acme-1"\n[agents.claude]\nmodel = "usual"\n')
    with Person(bay.home, "trust") as person:
        person.sees(f"{NAME} pins these models")
        person.sees("model            large        acme-2 at acme")
        person.sees("small_model      acme/acme-1  acme-1 at acme")
        person.sees("model of claude  usual        acme-1 at acme")
        person.sees("Use these models until the file changes? [y/N]").types("n")
        assert person.ends() == 130
    assert bay("model", "default").out == "usual\n"
    with Person(bay.home, "trust") as person:
        person.sees("[y/N]").types("y").sees("Trusted until it changes")
        assert person.ends() == 0
    assert bay("model", "default").out == "large\n"


def test_without_a_terminal_trust_requires_yes(bay: Inside):
    run = bay("trust")
    assert run.code == 2 and "pass --yes" in run.err
    assert bay("model", "default").out == "usual\n"
    bay.done("trust", "--yes")
    assert bay("trust").err == "Already trusted\n"


def test_a_file_that_changes_while_trust_asks_is_not_trusted(bay: Inside):
    with Person(bay.home, "trust") as person:
        person.sees("large").sees("[y/N]")
        pins(bay, 'model = "acme/acme-2"\n')
        person.types("y")
        assert person.ends() == 0
    run = bay("model", "default")
    assert run.out == "usual\n" and "changed since you trusted it" in run.err


def test_a_pin_that_is_not_configured_is_shown(bay: Inside):
    pins(bay, 'model = "larg"\n')
    run = bay("trust", "--yes")
    assert run.code == 0 and "not configured" in run.out
    assert 'warning: HOME/.modelbay.toml, line 1: no model "larg"' in run.err


def test_a_file_with_another_key_cannot_be_trusted(bay: Inside):
    pins(bay, 'model = "large"\nbase_url = "https://evil.example"\n')
    run = bay("trust", "--yes")
    assert run.code == 1 and ".modelbay.toml, line 2: base_url: unknown key" in run.err
    assert bay("trust", "--list").err == "No file is trusted\n"


def test_a_link_cannot_be_trusted(bay: Inside):
    (bay.home / "other").write_text('model = "large"\n')
    (bay.home / NAME).unlink()
    (bay.home / NAME).symlink_to("other")
    for arguments in ((), (NAME,), (".",)):
        run = bay("trust", *arguments, "--yes")
        assert run.code == 1 and "cannot be trusted: a symbolic link" in run.err


def test_trust_accepts_a_file_or_its_folder(bay: Inside, tmp_path: Path):
    for name, argument in (("a", f"a/{NAME}"), ("b", "b")):
        (tmp_path / name).mkdir()
        (tmp_path / name / NAME).write_text('model = "large"\n')
        bay.done("trust", argument, "--yes")
    assert [row["file"] for row in json.loads(bay.done("trust", "--list", "--json"))] == [
        f"HOME/a/{NAME}",
        f"HOME/b/{NAME}",
    ]
    assert "is not named .modelbay.toml" in bay("trust", "config.toml").err


def test_a_link_to_the_folder_trusts_the_real_path(bay: Inside, tmp_path: Path):
    (tmp_path / "link").symlink_to(".")
    bay.done("trust", f"link/{NAME}", "--yes")
    assert bay("model", "default").out == "large\n"


def test_the_list_has_the_state_of_each_file(bay: Inside, tmp_path: Path):
    for name in ("changed", "gone", "kept", "linked"):
        (tmp_path / name).mkdir()
        (tmp_path / name / NAME).write_text('model = "large"\n')
        bay.done("trust", name, "--yes")
    (tmp_path / "changed" / NAME).write_text('model = "usual"\n')
    (tmp_path / "gone" / NAME).unlink()
    (tmp_path / "linked" / NAME).unlink()
    (tmp_path / "linked" / NAME).symlink_to(f"../kept/{NAME}")
    rows = json.loads(bay.done("trust", "--list", "--json"))
    assert [row["state"] for row in rows] == ["changed", "missing", "trusted", "changed"]
    assert len(bay.done("trust", "--list").splitlines()) == 4


def test_a_removed_file_is_ignored_again(bay: Inside):
    bay.done("trust", "--yes")
    (bay.home / NAME).rename(bay.home / "away")
    assert bay("trust", "--remove", NAME).err == f"No longer trusted: HOME/{NAME}\n"  # also while it is missing
    (bay.home / "away").rename(bay.home / NAME)
    assert bay("model", "default").out == "usual\n"
    run = bay("trust", "--remove", NAME)
    assert run.code == 1 and "is not trusted" in run.err


def test_without_a_file_trust_says_where_it_was_searched(bay: Inside):
    (bay.home / NAME).unlink()
    run = bay("trust")
    assert run.code == 1 and "no .modelbay.toml in this folder or above it" in run.err


@pytest.mark.parametrize("options", [("--list", "x"), ("--list", "--yes"), ("--remove", "x", "y"), ("--json",)])
def test_options_that_exclude_each_other_are_refused(bay: Inside, options: tuple[str, ...]):
    assert bay("trust", *options).code == 2


# the commands that use the pins


def test_the_default_model_and_its_reason_are_shown(bay: Inside):
    assert bay("model", "default").err == NOT_TRUSTED
    bay.done("trust", "--yes")
    reason = "large is the default model here: HOME/.modelbay.toml, line 1\n"
    assert bay("model", "default")[1:] == ("large\n", reason)
    shown = bay("model", "show")
    assert "acme-2" in shown.out and shown.err == reason
    assert bay("model", "show", "usual").err == ""
    listed = bay("model", "list")
    assert "* large" in listed.out and "* usual" not in listed.out and listed.err == reason
    assert json.loads(bay.done("model", "list", "--json"))["default_model_pinned_by"] == "HOME/.modelbay.toml"
    assert reason in bay("model", "default", "usual").err  # the file of the user changes, not the model here


def test_the_check_of_the_configuration_names_the_project(bay: Inside):
    assert NOT_TRUSTED in bay("config", "check").err
    bay.done("trust", "--yes")
    assert bay("config", "check").err.endswith("HOME/.modelbay.toml is valid, and pins 1 model\n")
    pins(bay, '[agents.claude]\nmodel = "acme/other"\n')
    bay.done("trust", "--yes")
    run = bay("config", "check")
    assert run.code == 1 and '.modelbay.toml, line 2: the model "acme/other" is not in' in run.err


def test_a_pin_of_an_unknown_model_is_an_error_and_not_the_usual_model(bay: Inside):
    pins(bay, 'model = "larg"\n')
    bay.done("trust", "--yes")
    run = bay("ask", "Hello")
    assert run.code == 1 and '.modelbay.toml, line 1: no model "larg"' in run.err and "large" in run.err


def test_an_export_has_the_users_own_default(bay: Inside):
    bay.done("trust", "--yes")
    assert '"ANTHROPIC_MODEL": "usual"' in bay.done("export", "claude", "--gateway")


PROJECT = 'model = "thinker"\n'
ANSWERS = """\
default_model = "text"

[providers.sim]
type = "openai"
base_url = "SIM/v1"
api_key = "sk-planted-0123456789"

[models.text]
provider = "sim"
model = "sim-text"

[models.thinker]
provider = "sim"
model = "sim-thinker"
"""


def answered_by(modelbay: Command, *arguments: str, stdin: str = "") -> str:
    """The model ID that the command's request named."""
    modelbay.simulator.reset()
    run = modelbay(*arguments, stdin=stdin)
    assert run.code == 0, run.err
    [asked] = modelbay.simulator.journal
    return str(asked.json["model"])


@pytest.mark.parametrize("arguments", [("ask", "Hello"), ("chat", "--plain")])
def test_a_question_goes_to_the_pinned_model_only_with_trust(modelbay: Command, arguments: tuple[str, ...]):
    modelbay.configure(ANSWERS)
    (modelbay.home / NAME).write_text(PROJECT)
    stdin = "Hello\n" if arguments[0] == "chat" else ""
    assert answered_by(modelbay, *arguments, stdin=stdin) == "sim-text"
    run = modelbay(*arguments, stdin=stdin)
    assert run.err.count("not trusted") == 1 and "trusted" not in run.out
    assert modelbay("trust", "--yes").code == 0
    assert answered_by(modelbay, *arguments, stdin=stdin) == "sim-thinker"
    assert answered_by(modelbay, *arguments, "-m", "text", stdin=stdin) == "sim-text"


def test_a_question_with_a_named_model_does_not_mention_the_project(modelbay: Command):
    modelbay.configure(ANSWERS)
    (modelbay.home / NAME).write_text(PROJECT)
    assert "trusted" not in modelbay("ask", "-m", "text", "Hello").err
    url = modelbay.simulator.url
    options = ("--base-url", f"{url}/v1", "--api-key", "{env:K}", "-m", "sim-text")
    assert "trusted" not in modelbay("ask", *options, "Hello", K="sk-planted-0123456789").err
