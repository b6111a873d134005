"""Continue: secrets in its file of variables, what its hub would add, and an export that is only printed."""

from pathlib import Path

import pytest

from modelbay.agents.yaml_text import decode
from modelbay.errors import ConfigError
from tests.agents.desk import Desk, read

MODEL = "{name: M, provider: openai, model: m, apiBase: 'https://acme.example/v1', apiKey: '${{ secrets.ACME_KEY }}'}"


def write(desk: Desk, *models: str) -> Path:
    return desk.write(".continue/config.yaml", f"models: [{', '.join(models)}]")


def test_a_secret_is_a_variable_or_in_its_file_of_variables(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("ACME_KEY", raising=False)
    write(desk, MODEL)
    assert read("continue").providers[0].table["api_key"] == "{env:ACME_KEY}"
    desk.write(".continue/.env", "ACME_KEY=sk-file-0123456789\n")
    assert read("continue").providers[0].missing_key == "the key was not copied"
    assert read("continue", keys=True).providers[0].table["api_key"] == "sk-file-0123456789"
    monkeypatch.setenv("ACME_KEY", "sk-shell-0123456789")
    assert read("continue").providers[0].table["api_key"] == "{env:ACME_KEY}"


def test_models_with_the_same_id_are_all_imported(desk: Desk):
    write(desk, MODEL, MODEL.replace("name: M", "name: N"))
    provider = read("continue").providers[0]
    assert {alias: table["display_name"] for alias, table in provider.models.items()} == {
        "acme-example/m": "M",
        "acme-example/m-2": "N",
    }


def test_files_of_a_project_are_not_read(desk: Desk):
    write(desk, MODEL)
    desk.write("project/.continue/models/evil.yaml", f"models: [{MODEL.replace('acme', 'evil')}]")
    assert "evil" not in repr(read("continue"))


def test_the_file_of_an_older_version_is_named(desk: Desk):
    old = desk.write(".continue/config.json", "{}")
    with pytest.raises(ConfigError) as raised:
        read("continue")
    assert str(old) in (raised.value.hint or "")


def test_an_export_is_printed_as_a_whole_file(desk: Desk):
    desk.file.write_text(
        '[providers.acme]\ntype = "anthropic"\nbase_url = "https://acme.example"\napi_key = "{env:ACME_KEY}"\n'
        'custom_headers = { X-Team = "{env:TEAM}" }\n[models."acme/m"]\nprovider = "acme"\nmodel = "m"\n'
        "max_context_size = 1000\n"
    )
    run = desk("export", "continue", "acme")
    assert decode(run.out) == {
        "name": "modelbay",
        "version": "1.0.0",
        "schema": "v1",
        "models": [
            {
                "name": "acme/m",
                "provider": "anthropic",
                "model": "m",
                "apiBase": "https://acme.example/v1",
                "apiKey": "${{ secrets.ACME_KEY }}",
                "roles": ["chat", "edit", "apply"],
                "defaultCompletionOptions": {"contextLength": 1000},
                "requestOptions": {"headers": {"X-Team": "${{ secrets.TEAM }}"}},
            }
        ],
    }
    assert "copy these lines into it" in run.err
    assert desk("configure", "continue", "acme").code == 2
