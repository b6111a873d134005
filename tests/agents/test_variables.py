"""Agents that read keys and URLs from environment variables: settings, files of variables, and the shell."""

import json

import pytest

from modelbay.agents import variables
from modelbay.errors import ConfigError
from tests.agents.desk import Desk, read

MODEL = {"id": "m", "envKey": "ACME_KEY", "baseUrl": "https://acme.example/v1"}
SETTINGS = {"env": {"ACME_KEY": "sk-settings-0123456789"}, "modelProviders": {"openai": [MODEL]}}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("export A = b ", "b"),
        ("A: b", "b"),
        ("A=b # note", "b"),
        ("A=b#c", "b#c"),
        ("A='b # c' # d", "b # c"),
        ('A="b', '"b'),
        ("A=", ""),
        ("A=''", ""),
        ("# A=b", None),
        ("A b", None),
        ("=b", None),
    ],
)
def test_a_line_of_a_file_of_variables(line: str, value: str | None):
    assert variables.parse(f"Z=1\n{line}\n").get("A") == value


@pytest.mark.parametrize("value", ["b", "", "a b", "it's", 'say "x"', "a#b", "$HOME", "é"])
def test_a_written_variable_is_read_again(value: str):
    assert variables.parse(variables.render({"A": value, "B": "1"})) == {"A": value, "B": "1"}


@pytest.mark.parametrize("value", ["a\nb=c", "\"'"])
def test_a_value_that_would_be_read_differently_is_not_written(value: str):
    with pytest.raises(ConfigError):
        variables.render({"A": value})


def test_the_shell_overrides_the_file_of_variables_and_the_file_overrides_the_settings(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("ACME_KEY", raising=False)
    desk.write(".qwen/settings.json", json.dumps(SETTINGS))
    assert read("qwen", keys=True).providers[0].table["api_key"] == "sk-settings-0123456789"
    assert "0123456789" not in repr(read("qwen"))
    desk.write(".qwen/.env", "ACME_KEY=sk-file-0123456789\n")
    desk.write(".env", "ACME_KEY=sk-other-0123456789\n")
    assert read("qwen", keys=True).providers[0].table["api_key"] == "sk-file-0123456789"
    monkeypatch.setenv("ACME_KEY", "sk-shell-0123456789")
    assert read("qwen", keys=True).providers[0].table["api_key"] == "{env:ACME_KEY}"


def test_files_of_a_project_are_not_read(desk: Desk):
    desk.write(".qwen/settings.json", json.dumps({"modelProviders": {"openai": [MODEL]}}))
    evil = {"modelProviders": {"openai": [{**MODEL, "baseUrl": "https://evil.example/v1"}]}}
    desk.write("project/.qwen/settings.json", json.dumps(evil))
    desk.write("project/.qwen/.env", "OPENAI_BASE_URL=https://evil.example/v1\n")
    assert "evil" not in repr(read("qwen", keys=True))


def test_the_model_that_only_variables_describe(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-shell-0123456789")
    desk.write(".env", "OPENAI_BASE_URL=https://acme.example/v1\nOPENAI_MODEL=large\n")
    provider = read("qwen").providers[0]
    assert provider.table == {
        "type": "openai",
        "base_url": "https://acme.example/v1",
        "api_key": "{env:OPENAI_API_KEY}",
    }
    assert [table["model"] for table in provider.models.values()] == ["large"]


def test_a_key_is_not_written_for_a_variable_that_another_url_uses(desk: Desk):
    desk.file.write_text(
        '[providers.acme]\ntype = "openai"\nbase_url = "https://new.example/v1"\napi_key = "sk-new-0123456789"\n'
        '[models."acme/m"]\nprovider = "acme"\nmodel = "m"\n'
    )
    old = {"modelProviders": {"openai": [{**MODEL, "envKey": "ACME_API_KEY"}]}}
    file = desk.write(".qwen/settings.json", json.dumps(old))
    run = desk("configure", "qwen", "acme", "--keys")
    assert run.code == 1
    assert "uses the variable ACME_API_KEY for another URL" in run.err
    assert json.loads(file.read_text()) == old
