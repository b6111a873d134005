"""Gemini CLI: its variables, its settings, and an export that is only printed."""

import json

import pytest

from tests.agents.desk import Desk, read

ACME = """\
[providers.acme]
type = "google-genai"
base_url = "URL"
api_key = "{env:ACME_KEY}"
[models."acme/m"]
provider = "acme"
model = "m"
"""


def settings(login: str, model: str = "m") -> str:
    return json.dumps({"security": {"auth": {"selectedType": login}}, "model": {"name": model}})


def test_the_settings_name_the_model_unless_a_variable_does(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    desk.write(".gemini/settings.json", settings("gemini-api-key"))
    desk.write(".gemini/.env", "GEMINI_API_KEY=gem-0123456789\n")
    found = read("gemini")
    assert found.default_model == "google/m"
    assert found.providers[0].missing_key == "the key was not copied"
    monkeypatch.setenv("GEMINI_MODEL", "n")
    monkeypatch.setenv("GEMINI_API_KEY", "gem-shell-0123456789")
    found = read("gemini")
    assert found.default_model == "google/n"
    assert found.providers[0].table["api_key"] == "{env:GEMINI_API_KEY}"


def test_vertex_has_a_project_and_a_region(desk: Desk):
    desk.write(".gemini/settings.json", settings("vertex-ai", "gemini-3-pro"))
    desk.write(".gemini/.env", "GOOGLE_CLOUD_PROJECT=p\nGOOGLE_CLOUD_LOCATION=global\n")
    provider = read("gemini").providers[0]
    assert provider.table == {
        "type": "vertexai",
        "env": {"GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_CLOUD_LOCATION": "global"},
    }


def test_a_login_and_names_of_its_own_are_reported(desk: Desk):
    desk.write(".gemini/settings.json", settings("oauth-personal"))
    found = read("gemini")
    assert (found.providers, found.skipped) == ([], {"gemini-login": "the login of Gemini CLI is not imported"})
    desk.write(".gemini/settings.json", settings("gemini-api-key", "auto"))
    found = read("gemini")
    assert found.default_model is None
    assert 'only Gemini CLI knows the model ID of "auto"' in [finding.why for finding in found.findings]


def test_variables_of_a_project_are_not_read(desk: Desk):
    desk.write(".gemini/.env", "GEMINI_API_KEY=gem-0123456789\n")
    for name in (".env", ".gemini/.env"):
        desk.write(f"project/{name}", "GOOGLE_GEMINI_BASE_URL=https://evil.example\n")
    assert "evil" not in repr(read("gemini", keys=True))


def test_an_export_is_printed_and_never_written(desk: Desk):
    desk.file.write_text(ACME.replace("URL", "https://acme.example/v1beta"))
    run = desk("export", "gemini", "acme")
    assert run.out == "GOOGLE_GEMINI_BASE_URL=https://acme.example\nGEMINI_MODEL=m\n"
    assert "copy these lines into it" in run.err
    assert "set GEMINI_API_KEY to the key of acme" in run.err
    assert 'set security.auth.selectedType to "gemini-api-key" in DESK/user/.gemini/settings.json' in run.err
    run = desk("configure", "gemini", "acme")
    assert (run.code, list(desk.user.iterdir())) == (2, [])


def test_names_of_its_own_are_mapped_by_the_gateway(desk: Desk):
    desk.file.write_text(ACME.replace("URL", "https://acme.example/v1beta"))
    assert 'add "gemini-*" = "acme/m" under [gateway.names]' in desk("export", "gemini", "--gateway").err
    assert "gateway.names" not in desk("export", "gemini", "acme").err


def test_a_url_that_it_refuses_is_not_exported(desk: Desk):
    desk.file.write_text(ACME.replace("URL", "http://acme.example"))
    assert "Gemini CLI supports only https, except for this machine" in desk("export", "gemini", "acme").err
    desk.file.write_text(ACME.replace("URL", "http://127.0.0.1:8080"))
    assert desk("export", "gemini", "acme").code == 0
