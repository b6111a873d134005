"""Misspelled keys are reported once, on stderr, and never in what a program reads."""

import json
from pathlib import Path

import pytest

from modelbay.config import load as loading
from tests.cli.inside import Inside

CONFIG = """\
default_modle = "a/m"
[providers.a]
type = "openai"
base_url = "https://a.example/v1"
api_keyy = "sk-planted-key-0123"
[models."a/m"]
provider = "a"
model = "m"
"""
SAID = """\
warning: HOME/config.toml:1: default_modle: unknown key, which is ignored (rename it to "default_model")
warning: HOME/config.toml:5: providers.a.api_keyy: unknown key, which is ignored (rename it to "api_key")
"""


@pytest.fixture
def bay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    monkeypatch.setattr(loading, "_reported", set())
    made = Inside(tmp_path, monkeypatch)
    made.file.write_text(CONFIG)
    return made


@pytest.mark.parametrize("command", [("provider", "list"), ("provider", "show", "a"), ("model", "list")])
def test_every_command_warns_on_stderr_and_its_json_stays_json(bay: Inside, command: tuple[str, ...]):
    run = bay(*command, "--json")
    assert run.code == 0
    json.loads(run.out)
    assert run.err == SAID


def test_config_check_prints_them_with_a_fix_and_does_not_fail_for_them(bay: Inside):
    bay.file.write_text(CONFIG.replace("api_keyy", "api_key"))
    bay.file.chmod(0o600)
    run = bay("config", "check")
    assert (run.code, run.err) == (0, "")
    assert run.out == (
        "warning: HOME/config.toml:1: default_modle: unknown key, which is ignored\n"
        '  hint: rename it to "default_model"\n'
    )


def test_config_check_fails_for_a_key_in_a_table_that_is_modelbays_alone(bay: Inside):
    bay.file.write_text('[providers.a]\ntype = "openai"\ntls = { caa = "x" }\n')
    run = bay("config", "check")
    assert run.code == 1
    assert run.out == 'HOME/config.toml:3: providers.a.tls.caa: unknown key\n  hint: rename it to "ca"\n'
