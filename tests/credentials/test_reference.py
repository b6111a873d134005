import sys
from pathlib import Path

import keyring
import keyring.errors
import pytest

from modelbay.config.load import parse
from modelbay.config.schema import Config
from modelbay.credentials import reference
from modelbay.credentials.reference import resolve_reference
from modelbay.errors import ConfigError, MissingCredential


@pytest.fixture
def config(tmp_path, monkeypatch) -> Config:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    monkeypatch.setattr(reference, "_command_outputs", {})
    return parse("", tmp_path / "config.toml")


@pytest.mark.parametrize("value", ["sk-1", "{}", '{"a": "b"}', "a$HOME", "{a b}"])
def test_a_text_without_a_reference_is_itself(config, value):
    assert resolve_reference(value, config, ()) == value


@pytest.mark.parametrize("wrong", ["{env:HOME}}", "{{env:HOME}", "{{env:HOME}}}"])
def test_a_brace_too_many_is_an_error_and_not_sent_beside_the_secret(config, wrong):
    with pytest.raises(ConfigError, match="is not a valid reference"):
        resolve_reference(wrong, config, ())


def test_a_value_may_have_several_references_and_text_around_them(config, monkeypatch):
    monkeypatch.setenv("A", "one")
    monkeypatch.setenv("B", "{env:A}")
    (config.path.parent / "c").write_text(" three\n")
    assert resolve_reference("Bearer {env:A}", config, ()) == "Bearer one"
    assert resolve_reference("{env:A}:{file:c}", config, ()) == "one:three"
    assert resolve_reference("x{env:B}", config, ()) == "x{env:A}", (
        "what a reference gives is not searched for references"
    )


@pytest.mark.parametrize(
    "wrong",
    ["{env}", "{env:}", "{env: }", "{ENV:HOME}", "{environment:HOME}", "{vault:secret/key}", "{{env.HOME}}", "${HOME}",
     "$HOME", "${env:HOME}", "{HOME}", "{ env : HOME }"],
)  # fmt: skip
@pytest.mark.parametrize("around", ["{}", "Bearer {}"])
def test_an_invalid_reference_is_an_error_and_not_a_key(config, wrong, around):
    with pytest.raises(ConfigError, match="is not a valid reference") as caught:
        resolve_reference(around.replace("{}", wrong), config, ())
    assert "{keyring:SERVICE/USER}" in str(caught.value.hint)
    assert not isinstance(caught.value, MissingCredential)


# {env:…}


def test_a_variable_of_the_environment(config, monkeypatch):
    monkeypatch.setenv("SOME_KEY", " sk-2\n")
    assert resolve_reference("{env:SOME_KEY}", config, ()) == "sk-2"


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_variable_that_is_not_set_or_blank_is_missing(config, monkeypatch, value):
    monkeypatch.delenv("SOME_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("SOME_KEY", value)
    with pytest.raises(MissingCredential, match="SOME_KEY is not set"):
        resolve_reference("{env:SOME_KEY}", config, ())


# {file:…}


def test_a_relative_file_is_next_to_the_configuration_and_is_trimmed(config):
    (config.path.parent / "key").write_text("\ufeffsk-3\r\n")
    assert resolve_reference("{file:key}", config, ()) == "sk-3"
    assert resolve_reference(f"{{file:{config.path.parent}/key}}", config, ()) == "sk-3"


def test_a_file_may_be_written_with_a_tilde(config, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "key").write_text("sk-4")
    assert resolve_reference("{file:~/key}", config, ()) == "sk-4"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "No such file"),
        (b" \n", "is blank"),
        (b"\xff\xfe", "not UTF-8"),
        (b"x" * 70_000, "too large for an API key"),
    ],
)
def test_a_file_that_holds_no_key(config, content, complaint):
    if content is not None:
        (config.path.parent / "key").write_bytes(content)
    with pytest.raises(MissingCredential, match=complaint):
        resolve_reference("{file:key}", config, ())


def test_a_folder_is_refused_as_a_file(config):
    with pytest.raises(MissingCredential, match="is not a file"):
        resolve_reference("{file:.}", config, ())


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="this system has no /proc")
@pytest.mark.parametrize("way", ["straight", "through a link"])
def test_the_environment_of_a_process_is_refused_as_a_file(config, way):
    path = Path("/proc/self/environ")
    if way == "through a link":
        path = config.path.parent / "key"
        path.symlink_to("/proc/self/environ")
    with pytest.raises(ConfigError, match="is not allowed"):
        resolve_reference(f"{{file:{path}}}", config, ())


# {keyring:…}


def test_a_keyring_is_asked_for_service_and_user(config, monkeypatch):
    monkeypatch.setattr(keyring, "get_password", lambda service, user: f"{service}|{user}")
    assert resolve_reference("{keyring:modelbay/openai/work}", config, ()) == "modelbay|openai/work"


def test_a_keyring_that_has_no_such_entry_says_how_to_make_one(config, monkeypatch):
    monkeypatch.setattr(keyring, "get_password", lambda service, user: None)
    with pytest.raises(MissingCredential, match="not in the keyring") as caught:
        resolve_reference("{keyring:modelbay/openai}", config, ())
    assert caught.value.hint == "store it with: keyring set modelbay openai"


def test_without_a_keyring_the_hint_names_other_ways(config, monkeypatch):
    def fail(service, user):
        raise keyring.errors.NoKeyringError("no backend")

    monkeypatch.setattr(keyring, "get_password", fail)
    with pytest.raises(MissingCredential, match="no backend") as caught:
        resolve_reference("{keyring:modelbay/openai}", config, ())
    assert "{file:PATH}" in str(caught.value.hint)


def test_a_keyring_reference_without_a_user_is_an_error(config):
    with pytest.raises(ConfigError, match=r"\{keyring:modelbay\} is not a valid reference"):
        resolve_reference("{keyring:modelbay}", config, ())


# {command:…}


def command(code: str) -> str:
    return f"{{command:{sys.executable} -c '{code}'}}"


def test_a_command_prints_the_key_and_runs_once(config, tmp_path):
    value = command(f'open("{tmp_path}/runs", "a").write("x"); print("sk-5")')
    assert resolve_reference(value, config, ()) == "sk-5"
    assert resolve_reference(value, config, ()) == "sk-5"
    assert (tmp_path / "runs").read_text() == "x"


def test_no_shell_runs(config):
    assert resolve_reference("{command:echo $HOME; ls}", config, ()) == "$HOME; ls"


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (command('import sys; sys.exit("not signed in")'), "failed with exit status 1: not signed in"),
        (command("pass"), "is blank"),
        ("{command:no-such-program-here --key}", r"no-such-program-here …} could not run"),
        ("{command:echo 'open}", "could not run: No closing quotation"),
    ],
)
def test_a_command_that_gives_no_key(config, value, complaint):
    with pytest.raises(MissingCredential, match=complaint):
        resolve_reference(value, config, ())


def test_a_command_has_a_limit(config, monkeypatch):
    monkeypatch.setattr(reference, "COMMAND_SECONDS", 0.05)
    with pytest.raises(MissingCredential, match=r"took more than 0\.05 seconds"):
        resolve_reference(command("import time; time.sleep(30)"), config, ())


def test_only_the_file_in_the_home_may_run_commands(config, tmp_path):
    elsewhere = parse("", tmp_path / "project" / "config.toml")
    elsewhere.trusted = True
    with pytest.raises(ConfigError, match="may run programs"):
        resolve_reference("{command:echo sk-6}", elsewhere, ())
