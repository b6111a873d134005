"""Droid: models with a URL and a key each, a file that overrides its settings, and headers without references."""

import json
from typing import Any

import pytest

from modelbay.agents import jsonc
from modelbay.errors import ConfigError
from tests.agents.desk import Desk, read

OWN = ".factory/settings.json"
LOCAL = ".factory/settings.local.json"
CONFIG = """\
[providers.acme]
type = "openai"
base_url = "https://acme.example/v1"
api_key = "{env:ACME_KEY}"
[providers.claude]
type = "anthropic"
base_url = "https://claude.example/v1"
api_key = "sk-claude-0123456789"
custom_headers = { X-Team = "blue", X-Env = "{env:TEAM}" }
[providers.here]
type = "openai_responses"
base_url = "http://127.0.0.1:1234/v1"
[models."acme/m"]
provider = "acme"
model = "m"
default_effort = "high"
max_context_size = 128000
max_output_size = 8000
image_in = false
[models.sonnet]
provider = "claude"
model = "acme-7f3"
display_name = "Sonnet"
default_effort = "off"
[models."here/m"]
provider = "here"
model = "m"
"""


def settings(*models: dict[str, Any], **others: Any) -> str:
    return json.dumps({"customModels": models, **others})


def model(id: str = "m", **settings: Any) -> dict[str, Any]:
    return {"model": id, "provider": "openai", "baseUrl": "https://acme.example/v1", **settings}


def exported(desk: Desk, *arguments: str) -> dict[str, dict[str, Any]]:
    """The models that are exported, by their IDs."""
    return {item["id"]: item for item in jsonc.decode(desk.done("export", "droid", *arguments))["customModels"]}


def test_a_model_has_the_url_the_key_and_the_facts(desk: Desk):
    desk.file.write_text(CONFIG)
    assert exported(desk, "acme", "claude", "here") == {
        "custom:acme/m": {
            "id": "custom:acme/m",
            "model": "m",
            "displayName": "m",
            "provider": "generic-chat-completion-api",
            "baseUrl": "https://acme.example/v1",
            "apiKey": "${ACME_KEY}",
            "maxContextLimit": 128000,
            "maxOutputTokens": 8000,
            "reasoningEffort": "high",
            "noImageSupport": True,
        },
        "custom:sonnet": {
            "id": "custom:sonnet",
            "model": "acme-7f3",
            "displayName": "Sonnet",
            "provider": "anthropic",
            "baseUrl": "https://claude.example",
            "apiKey": "${CLAUDE_API_KEY}",
            "reasoningEffort": "none",
        },
        "custom:here/m": {
            "id": "custom:here/m",
            "model": "m",
            "displayName": "m",
            "provider": "openai",
            "baseUrl": "http://127.0.0.1:1234/v1",
        },
    }


def test_the_default_model_of_a_new_file_has_its_effort(desk: Desk):
    desk.file.write_text(CONFIG)
    run = desk("configure", "droid", "acme")
    data = json.loads((desk.user / OWN).read_text())
    assert data["sessionDefaultSettings"] == {"model": "custom:acme/m", "reasoningEffort": "high"}
    assert "try it: droid exec -m custom:acme/m Hello" in run.out + run.err


def test_a_header_is_exported_only_as_a_text(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TEAM", "green")
    desk.file.write_text(CONFIG)
    run = desk("export", "droid", "claude")
    assert "extraHeaders" not in run.out
    assert "header X-Env not exported: secret" in run.err
    headers = exported(desk, "claude", "--keys")["custom:sonnet"]["extraHeaders"]
    assert headers == {"X-Team": "blue", "X-Env": "green"}


def test_a_key_that_droid_would_expand_becomes_a_variable(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TEAM", "green")
    desk.file.write_text(CONFIG.replace("sk-claude-0123456789", "{file:key}"))
    (desk.file.parent / "key").write_text("sk-${HOME}-0123456789")
    assert exported(desk, "claude", "--keys")["custom:sonnet"]["apiKey"] == "${CLAUDE_API_KEY}"
    (desk.file.parent / "key").write_text("sk-$HOME-0123456789")
    assert exported(desk, "claude", "--keys")["custom:sonnet"]["apiKey"] == "sk-$HOME-0123456789"


def test_a_vendor_that_expects_a_bearer_token_gets_one(desk: Desk):
    desk.file.write_text(
        '[providers.copilot]\ntype = "anthropic"\nbase_url = "https://api.githubcopilot.com"\n'
        'api_key = "{env:COPILOT}"\n[models."copilot/m"]\nprovider = "copilot"\nmodel = "m"\n'
    )
    assert exported(desk, "copilot")["custom:copilot/m"]["authMode"] == "bearer"


def test_droid_repeats_failed_requests_instead_of_the_gateway(desk: Desk):
    desk.file.write_text(CONFIG)
    items = exported(desk, "--gateway")
    assert {item["extraHeaders"]["x-modelbay-retries"] for item in items.values()} == {"0"}
    assert items["custom:modelbay/acme/m"]["model"] == "acme/m"


def test_the_models_of_the_local_file_replace_those_of_the_settings(desk: Desk):
    desk.write(OWN, settings(model("old"), sessionDefaultSettings={"model": "custom:old"}, theme="dark"))
    desk.write(LOCAL, settings(model("new"), model("new-2")))
    found = read("droid")
    assert [alias for provider in found.providers for alias in provider.models] == [
        "acme-example/new",
        "acme-example/new-2",
    ]
    (overridden,) = (
        finding for finding in found.findings if finding.file.endswith(OWN) and finding.where == "customModels"
    )
    assert overridden.why.endswith("settings.local.json overrides it")


def test_a_local_file_that_hides_the_export_is_named(desk: Desk):
    desk.file.write_text(CONFIG)
    desk.write(LOCAL, settings(model("new")))
    run = desk("configure", "droid", "acme")
    assert "settings.local.json overrides customModels" in run.err
    assert "overrides sessionDefaultSettings" not in run.err


def test_models_come_back_under_the_provider_that_exported_them(desk: Desk):
    desk.file.write_text(CONFIG)
    desk.done("configure", "droid", "acme", "here")
    assert [provider.id for provider in read("droid").providers] == ["acme", "here"]
    assert "already exists" in desk.done("import", "droid", "--yes")


def test_models_with_different_keys_belong_to_different_providers(desk: Desk):
    desk.write(OWN, settings(model("a", apiKey="${A}"), model("b", apiKey="${B}"), model("c", apiKey="${A}")))
    assert [(one.id, one.table["api_key"], list(one.models)) for one in read("droid").providers] == [
        ("acme-example", "{env:A}", ["acme-example/a", "acme-example/c"]),
        ("acme-example-2", "{env:B}", ["acme-example-2/b"]),
    ]


def test_a_text_that_is_a_reference_only_in_modelbay_is_not_imported(desk: Desk):
    desk.write(OWN, settings(model(apiKey="{command:id}", extraHeaders={"X-A": "{env:B}"})))
    assert "{" not in repr(read("droid", keys=True).providers[0].table.get("api_key", ""))
    assert "custom_headers" not in read("droid", keys=True).providers[0].table


def test_models_of_an_older_version_are_named(desk: Desk):
    desk.write(".factory/config.json", "{}")
    with pytest.raises(ConfigError) as raised:
        read("droid")
    assert "modelbay does not read them" in str(raised.value.hint)
