"""Models that the service of a login lists, as entries of the configuration."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from modelbay.config.edit import apply
from modelbay.errors import MalformedReply
from modelbay.onboarding.sources.login_models import models_of, remove, table_of, write
from modelbay.providers.logins import by_id, oauth_table
from modelbay.providers.vendor import LoginMethod

LOGIN = LoginMethod(
    described=True,
    id="acme", title="Acme", by="device", provider="managed:acme", prefix="acme", key="oauth/acme",
    services={"search": "/search"},
)  # fmt: skip


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, ["tool_use"]),
        ({"supports_reasoning": True}, ["thinking", "tool_use"]),
        ({"supports_thinking_type": "only", "supports_tool_use": False}, ["thinking", "always_thinking"]),
        ({"supports_thinking_type": "no", "supports_reasoning": True}, ["tool_use"]),
        ({"supports_thinking_type": "both", "supports_image_in": True, "supports_video_in": True},
         ["thinking", "image_in", "video_in", "tool_use"]),
    ],
)  # fmt: skip
def test_capabilities(said: dict[str, object], expected: list[str]) -> None:
    table = table_of({"id": "m", "context_length": 1000, **said}, LOGIN)
    assert table == {"provider": LOGIN.provider, "model": "m", "max_context_size": 1000, "capabilities": expected}


def test_a_thinking_model_may_use_the_anthropic_protocol() -> None:
    item = {
        "id": "m", "context_length": 1000, "display_name": "M", "supports_thinking_type": "only", "protocol": "anthropic",
        "think_efforts": {"support": True, "valid_efforts": ["low", "max"], "default_effort": "max"},
    }  # fmt: skip
    table = table_of(item, LOGIN)
    assert table["protocol"] == "anthropic" and table["beta_api"] is table["adaptive_thinking"] is True
    assert (table["support_efforts"], table["default_effort"], table["display_name"]) == (["low", "max"], "max", "M")


@pytest.mark.parametrize("context", [None, 0, -1, "1000", 1.5, True])
def test_a_model_without_a_size_is_refused(context: object) -> None:
    with pytest.raises(MalformedReply, match="context_length"):
        models_of(json.dumps({"data": [{"id": "m", "context_length": context}]}).encode(), LOGIN)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data":{}}', b'{"data":[]}', b'{"data":[{"id":7}]}'])
def test_a_reply_that_is_not_a_list_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedReply):
        models_of(body, LOGIN)


def test_another_region_has_its_own_login() -> None:
    usual, elsewhere = by_id("kimi-code"), by_id("kimi-code-global")
    assert usual and elsewhere
    assert oauth_table(usual) == {"storage": "file", "key": "oauth/kimi-code"}
    table = oauth_table(elsewhere)
    assert table["oauth_host"] == "https://auth.kimi.ai" and table["key"].startswith("oauth/kimi-code-env-")


def written(path: Path, models: dict[str, list[str]], *, new: bool = True) -> dict[str, Any]:
    """The file after a login whose service lists models with these capabilities."""
    tables = {
        f"acme/{id}": {"provider": "managed:acme", "model": id, "max_context_size": 1000, "capabilities": can}
        for id, can in models.items()
    }
    table = {"type": "openai", "base_url": "https://api.acme.test", "oauth": {"storage": "file", "key": "oauth/acme"}}
    apply(lambda edit: write(edit, LOGIN, table, tables, new=new), path)
    return tomllib.loads(path.read_text())


@pytest.mark.parametrize(
    ("can", "before", "after"),
    [
        (["thinking", "always_thinking"], False, True),
        (["thinking", "always_thinking"], None, True),
        (["tool_use"], True, False),
        (["thinking"], True, True),
        (["thinking"], False, False),
        (["thinking"], None, None),
    ],
)
def test_thinking_is_set_if_the_model_has_no_choice(
    can: list[str], before: bool | None, after: bool | None, tmp_path: Path
) -> None:
    path = tmp_path / "config.toml"
    path.write_text("" if before is None else f'[thinking]\neffort = "low"\nenabled = {str(before).lower()}\n')
    assert written(path, {"m": can}).get("thinking", {}).get("enabled") is after


def test_thinking_is_not_set_for_other_models_nor_by_a_refresh(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        'default_model = "p/mine"\n[providers.p]\ntype = "openai"\nbase_url = "https://p.test"\napi_key = "k"\n'
    )
    assert "thinking" not in written(path, {"m": []})
    path.write_text(path.read_text().replace("p/mine", "acme/m") + "[thinking]\nenabled = true\n")
    assert written(path, {"m": []}, new=False)["thinking"] == {"enabled": True}
    after = written(path, {"other": []}, new=False)
    assert (after["default_model"], after["thinking"]) == ("acme/other", {"enabled": False}), "its default is gone"


def test_a_service_s_table_follows_the_login_and_keeps_other_keys(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        '[services.search]\nbase_url = "https://old.test"\ncustom_headers = { X-Team = "7" }\n'
        'oauth = { storage = "file", key = "oauth/acme-env-0123" }\n[services.other]\nx = 1\n'
    )
    services = written(path, {"m": []})["services"]
    assert services["search"] == {
        "base_url": "https://api.acme.test/search",
        "custom_headers": {"X-Team": "7"},
        "oauth": {"storage": "file", "key": "oauth/acme"},
        "api_key": "",
    }
    apply(lambda edit: remove(edit, LOGIN), path)
    assert tomllib.loads(path.read_text()) == {"services": {"other": {"x": 1}}}
