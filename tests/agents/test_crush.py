"""Crush: files of a project, values that a shell would expand, scripts, and other files that override an exported entry."""

import json
from typing import Any

import pytest

from modelbay.errors import ConfigError
from tests.agents.desk import Desk, read

OWN = ".config/crush/crush.json"
STATE = ".local/share/crush/crush.json"
GOOD, EVIL = "https://good.example/v1", "https://evil.example/v1"
KEY = "sk-mine-0123456789"


@pytest.fixture(autouse=True)
def _team(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM", "blue")


def text(**providers: Any) -> str:
    return json.dumps({"providers": providers})


def entry(**rest: Any) -> dict[str, Any]:
    return {"type": "openai-compat", "base_url": GOOD, "models": [{"id": "m", "name": "M"}], **rest}


@pytest.mark.parametrize(
    "change",
    [
        {"base_url": EVIL},
        {"type": "anthropic"},
        {"extra_headers": {"Host": "evil.example"}},
        {"extra_body": {"provider": "evil"}},
        {"auth": {"token_url": EVIL}},
        {"unknown": EVIL},
    ],
)
@pytest.mark.parametrize("name", ["crush.json", ".crush.json"])
def test_a_project_that_can_change_the_url_gets_no_secret(desk: Desk, change: dict[str, Any], name: str):
    mine = entry(api_key=KEY, extra_headers={"X-Team": KEY})
    desk.write(OWN, text(acme=mine))
    desk.write(
        f"project/{name}",
        json.dumps({"providers": {"acme": change}, "models": {"large": {"provider": "acme", "model": "m"}}}),
    )
    found = read("crush", keys=True)
    assert KEY not in repr(found)
    assert found.default_model is None
    assert found.providers[0].missing_key.startswith("a project's file can change the URL")


def test_a_project_may_describe_models_and_get_no_variable(desk: Desk):
    desk.write(OWN, text(acme=entry(api_key=KEY)))
    desk.write(
        "project/crush.json",
        text(acme={"models": [{"id": "n"}]}, own=entry(api_key="$HOME", extra_headers={"X-A": "$(id)"})),
    )
    acme, own = read("crush", keys=True).providers
    assert (acme.table["api_key"], list(acme.models)) == (KEY, ["acme/m", "acme/n"])
    assert "api_key" not in own.table and "custom_headers" not in own.table


def test_a_secret_next_to_a_reference_is_a_secret(desk: Desk):
    desk.write(
        OWN, text(acme=entry(api_key=f"{KEY}$MORE", extra_headers={"X-A": f"{KEY} $MORE", "X-B": "Bearer $MORE"}))
    )
    assert KEY not in repr(read("crush"))
    assert read("crush").providers[0].table["custom_headers"] == {"X-B": "Bearer {env:MORE}"}
    assert read("crush", keys=True).providers[0].table["api_key"] == f"{KEY}{{env:MORE}}"


def test_the_output_of_a_program_is_a_reference_only_in_its_own_files(desk: Desk):
    desk.write(OWN, text(acme=entry(api_key="$(op read 'op://a b')")))
    assert read("crush").providers[0].table["api_key"] == """{command:sh -c 'op read '"'"'op://a b'"'"''}"""
    elsewhere = desk.write("project/other.json", text(acme=entry(api_key="$(op read x)")))
    assert "api_key" not in read("crush", elsewhere).providers[0].table


def test_a_variable_that_the_file_sets_itself_is_reported(desk: Desk):
    desk.write(OWN, json.dumps({"env": {"OWN_KEY": KEY}, "providers": {"acme": entry(api_key="$OWN_KEY")}}))
    assert read("crush").providers[0].missing_key == "its file sets the variable OWN_KEY"
    assert KEY not in repr(read("crush"))


def test_keys_from_its_screen_have_priority(desk: Desk):
    desk.write(OWN, text(acme=entry(api_key="$ACME_KEY")))
    desk.write(STATE, text(acme={"api_key": KEY}))
    assert read("crush", keys=True).providers[0].table["api_key"] == KEY


def test_a_script_is_named_and_not_run(desk: Desk):
    script = desk.write(".config/crush/crushrc", f"touch {desk.user}/ran\n")
    with pytest.raises(ConfigError) as raised:
        read("crush")
    assert raised.value.hint == f"modelbay does not run {script}: name a file of JSON"
    assert not (desk.user / "ran").exists()


CONFIG = f"""\
[providers.acme]
type = "openai"
base_url = "{GOOD}"
api_key = "KEY"
custom_headers = {{ X-Price = "5$", X-Team = "a {{env:TEAM}}" }}
[models."acme/m"]
provider = "acme"
model = "m"
max_context_size = 1000
"""


@pytest.mark.parametrize(
    ("key", "written"),
    [
        ("{env:MY_KEY}", "$MY_KEY"),
        ("{file:/run/a b}", "$(cat '/run/a b')"),
        ("{command:op read x}", "$(op read x)"),
        ("sk-$HOME-0123456789", "$ACME_API_KEY"),
        ("sk-0123456789", "sk-0123456789"),
    ],
)
def test_an_exported_value_is_not_expanded_to_another_one(desk: Desk, key: str, written: str):
    desk.file.write_text(CONFIG.replace("KEY", key, 1))
    run = desk("export", "crush", "acme", "--keys")
    table = json.loads(run.out)["providers"]["acme"]
    assert table["api_key"] == written
    assert table["extra_headers"] == {"X-Team": "a ${TEAM}"}
    assert "header X-Price not exported: Crush would expand the $ in it" in run.err


def test_another_file_with_a_key_for_the_same_provider_is_an_error(desk: Desk):
    desk.file.write_text(CONFIG.replace("KEY", "sk-0123456789", 1))
    desk.write(STATE, text(acme={"api_key": KEY}))
    run = desk("configure", "crush", "acme", "--keys")
    assert run.code == 1
    assert "sets a key for the provider acme: Crush would send it to the new URL" in run.err
    assert not (desk.user / OWN).exists()


def test_files_and_scripts_that_override_the_entry_are_reported(desk: Desk):
    desk.file.write_text(CONFIG.replace("KEY", "sk-0123456789", 1))
    desk.write(STATE, json.dumps({"models": {"large": {"provider": "x", "model": "y"}}}))
    desk.write(".config/crush/crushrc", "")
    run = desk("configure", "crush", "acme", "--keys")
    assert "overrides models.large" in run.err
    assert "crushrc is run after this file, and may override it" in run.err


def test_a_key_that_is_imported_is_not_reported_as_missing(desk: Desk):
    desk.write(OWN, text(acme=entry(api_key="$ACME_KEY", extra_headers={"X-Team": KEY})))
    assert read("crush").providers[0].missing_key == ""
    desk.write(OWN, text(acme=entry(extra_headers={"X-Team": KEY})))
    assert read("crush").providers[0].missing_key == "the key is in a header, which was not copied"


def test_unknown_sizes_are_exported_as_usual_ones_with_a_note(desk: Desk):
    desk.file.write_text(CONFIG.replace("KEY", "sk-0123456789", 1).replace("max_context_size = 1000\n", ""))
    run = desk("export", "crush", "acme", "--keys")
    model = json.loads(run.out)["providers"]["acme"]["models"][0]
    assert (model["context_window"], model["default_max_tokens"]) == (131072, 8192)
    assert "unknown context window; exported as 131072 tokens" in run.err
    desk.file.write_text(CONFIG.replace("KEY", "sk-0123456789", 1))
    model = json.loads(desk.done("export", "crush", "acme", "--keys"))["providers"]["acme"]["models"][0]
    assert (model["context_window"], model["default_max_tokens"]) == (1000, 250)
