"""`modelbay configure` over an entry with another URL, for agents whose entries are in lists: nothing of the old URL stays."""

import json
from typing import Any

import pytest

from modelbay.agents import jsonc
from tests.agents.desk import Desk

WAS = "sk-was-0123456789"
CONFIG = """\
[providers.acme]
type = "openai"
base_url = "https://new.example/v1"
api_key = "{env:NEW_KEY}"
[models."acme/m"]
provider = "acme"
model = "m"
"""
HEADERS = {"Authorization": f"Bearer {WAS}", "X-Key": WAS}
FILES: dict[str, tuple[str, Any]] = {
    "ccr": (
        ".claude-code-router/config.json",
        {"Providers": [{"name": "other"}, {"name": "acme", "api_base_url": "URL/chat/completions", "api_key": WAS,
                                           "transformer": {"use": [["custom", {"key": WAS}]]}}]},
    ),
    "crush": (
        ".config/crush/crush.json",
        {"providers": {"acme": {"base_url": "URL", "api_key": WAS, "extra_headers": HEADERS, "extra_body": {"key": WAS},
                                "provider_options": {"key": WAS}, "models": [{"id": "old"}]}}},
    ),
    "qwen": (
        ".qwen/settings.json",
        {"modelProviders": {"acme": [{"id": "other", "baseUrl": "https://other.example", "envKey": "OTHER"},
                                     {"id": "m", "baseUrl": "URL", "envKey": "OLD_KEY",
                                      "generationConfig": {"customHeaders": HEADERS}}]},
         "providerProtocol": {"acme": "openai"}},
    ),
    "cline": (
        ".cline/data/settings/providers.json",
        {"version": 1, "modes": {}, "providers": {"openai-compatible": {"settings": {
            "provider": "openai-compatible", "baseUrl": "URL", "apiKey": WAS, "headers": HEADERS}}}},
    ),
    "droid": (
        ".factory/settings.json",
        {"customModels": [{"id": "other"}, {"id": "custom:acme/m", "model": "old", "baseUrl": "URL", "apiKey": WAS,
                                            "apiKeyHelper": f"echo {WAS}", "authMode": "bearer", "extraHeaders": HEADERS,
                                            "extraArgs": {"key": WAS}}]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", FILES)
def test_settings_of_the_old_url_are_removed_and_others_stay(desk: Desk, name: str, indent: int | None):
    desk.file.write_text(CONFIG)
    path, data = FILES[name]
    text = json.dumps(data, indent=indent).replace("URL", "https://old.example/v1")
    file = desk.write(path, "// mine\n" + text)
    run = desk("configure", name, "acme")
    assert run.code == 0, run.err
    after = file.read_text()
    assert WAS not in after and "OLD_KEY" not in after and "old.example" not in after
    assert "new.example" in after and after.startswith("// mine\n")
    assert "other" not in text or '"other"' in after
    assert jsonc.decode(after)


@pytest.mark.parametrize("name", ["crush", "qwen", "cline", "droid"])
def test_valid_settings_of_the_same_url_stay(desk: Desk, name: str):
    desk.file.write_text(CONFIG)
    path, data = FILES[name]
    file = desk.write(path, json.dumps(data).replace("URL", "https://new.example/v1"))
    desk.done("configure", name, "acme")
    assert '"X-Key"' in file.read_text()
