"""Cline: one entry for each protocol, keys only as themselves, and files of older versions."""

import json

import pytest

from modelbay.errors import ConfigError
from tests.agents.desk import Desk, read

OWN = ".cline/data/settings/providers.json"
CONFIG = """\
[providers.acme]
type = "openai"
base_url = "https://new.example/v1"
api_key = "sk-new-0123456789"
[providers.other]
type = "openai"
base_url = "https://other.example/v1"
api_key = "{env:OTHER_KEY}"
[providers.claude]
type = "anthropic"
base_url = "https://claude.example"
auth = "none"
[models."acme/m"]
provider = "acme"
model = "m"
[models."acme/n"]
provider = "acme"
model = "n"
[models."other/m"]
provider = "other"
model = "m"
[models."claude/m"]
provider = "claude"
model = "m"
"""


def entry(**settings: object) -> str:
    return json.dumps({"version": 1, "modes": {}, "providers": {"openai-compatible": {"settings": settings}}})


def test_a_login_is_not_imported(desk: Desk):
    token = {"accessToken": "at-0123456789", "refreshToken": "rt-0123456789"}
    desk.write(OWN, entry(baseUrl="https://acme.example/v1", model="m", auth=token))
    found = read("cline", keys=True)
    assert found.providers[0].missing_key == "its login is not imported"
    assert "0123456789" not in repr(found)


def test_files_of_an_older_version_are_named(desk: Desk):
    desk.write(".cline/data/globalState.json", "{}")
    with pytest.raises(ConfigError) as raised:
        read("cline")
    assert raised.value.hint == "start a newer Cline once: it converts its old files"


def test_a_text_that_is_a_reference_only_in_modelbay_is_not_imported(desk: Desk):
    desk.write(OWN, entry(baseUrl="https://acme.example/v1", model="m", apiKey="{command:id}", headers={"X-A": "${B}"}))
    assert "{" not in repr(read("cline", keys=True).providers[0].table.get("api_key", ""))
    assert "custom_headers" not in read("cline", keys=True).providers[0].table


def test_a_key_is_exported_only_itself(desk: Desk):
    desk.file.write_text(CONFIG)
    run = desk("export", "cline", "other")
    assert "apiKey" not in run.out
    assert "key not exported: Cline has no references; pass --keys" in run.err
    run = desk("export", "cline", "acme", "--keys")
    assert json.loads(run.out)["providers"]["openai-compatible"]["settings"]["apiKey"] == "sk-new-0123456789"
    assert "models n not exported: Cline has one model for each entry" in run.err


def test_providers_of_one_protocol_are_not_exported_together(desk: Desk):
    desk.file.write_text(CONFIG)
    run = desk("export", "cline", "acme", "other")
    assert (run.code, run.out) == (1, "")
    assert "Cline supports one provider for each protocol: acme and other have the same" in run.err
    assert set(json.loads(desk.done("export", "cline", "acme", "claude"))["providers"]) == {
        "openai-compatible",
        "anthropic",
    }


def test_settings_of_another_url_are_removed(desk: Desk):
    desk.file.write_text(CONFIG)
    old = entry(baseUrl="https://old.example/v1", apiKey="sk-old", headers={"X-A": "sk-old"}, timeout=1)
    file = desk.write(OWN, old)
    desk.done("configure", "cline", "other")
    text = file.read_text()
    assert "sk-old" not in text
    assert json.loads(text)["providers"]["openai-compatible"]["settings"]["timeout"] == 1
