"""The files that an agent merges, the limits for files of a project, and stored keys."""

import json
from pathlib import Path
from typing import Any

import pytest

from modelbay.agents import jsonc
from modelbay.agents.agent import ImportedConfig, ImportedProvider
from modelbay.agents.findings import leaves
from modelbay.errors import ConfigError
from tests.agents.desk import Desk, read
from tests.agents.test_reading import count_of

COMPATIBLE = "@ai-sdk/openai-compatible"


def provider(url: str = "https://acme.example/v1", **options: Any) -> dict[str, Any]:
    return {"npm": COMPATIBLE, "options": {"baseURL": url, **options}, "models": {"m": {}}}


def settings(**providers: Any) -> str:
    return json.dumps({"provider": providers})


def only(found: ImportedConfig) -> ImportedProvider:
    (provider,) = found.providers
    return provider


def outcome(found: ImportedConfig, where: str) -> tuple[str, str]:
    (finding,) = (finding for finding in found.findings if finding.where == where)
    return finding.outcome, finding.why


def test_kilos_files_are_merged_in_order(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    named = [
        desk.write(".config/kilo/config.json", settings(acme=provider(timeout=1000))),
        desk.write(".config/kilo/opencode.json", settings(acme=provider(timeout=2000))),
        desk.write(".config/kilo/kilo.json", settings(acme=provider(timeout=3000))),
        desk.write(".config/kilo/kilo.jsonc", settings(acme=provider(timeout=4000)) + "// more"),
        desk.write("elsewhere.json", settings(acme=provider(timeout=5000))),
        desk.write("project/kilo.json", settings(acme={"options": {"timeout": 6000}})),
        desk.write("project/.kilo/kilo.json", settings(acme={"options": {"timeout": 7000}})),
        desk.write("folder/kilo.json", settings(acme=provider(timeout=8000))),
    ]
    monkeypatch.setenv("KILO_CONFIG", str(named[4]))
    monkeypatch.setenv("KILO_CONFIG_DIR", str(named[7].parent))
    monkeypatch.setenv("KILO_CONFIG_CONTENT", settings(acme={"options": {"timeout": 9000}}))
    found = read("kilo")
    assert found.files == [*map(str, named), "$KILO_CONFIG_CONTENT"]
    assert only(found).table["timeout"] == {"first_byte": 9.0}
    for file in named:
        for leaf in leaves(jsonc.decode(file.read_text()), ()):
            assert count_of(found, leaf, str(file)) == 1, (file, leaf)
    says = {finding.why for finding in found.findings if finding.path[-1] == "timeout"}
    assert says == {"", "$KILO_CONFIG_CONTENT overrides it"}


def test_a_projects_files_can_be_disabled(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    desk.write(".config/kilo/kilo.json", settings(acme=provider()))
    desk.write("project/kilo.json", settings(other=provider()))
    assert [provider.id for provider in read("kilo").providers] == ["acme", "other"]
    monkeypatch.setenv("KILO_DISABLE_PROJECT_CONFIG", "1")
    assert only(read("kilo")).id == "acme"


def test_files_from_the_repositorys_root_to_the_current_folder_are_read(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    desk.write("project/.git/HEAD", "")
    desk.write("project/opencode.json", settings(acme=provider(timeout=1000)))
    inner = desk.write("project/inner/opencode.jsonc", settings(acme={"options": {"timeout": 2000}}))
    monkeypatch.chdir(inner.parent)
    assert only(read("opencode")).table["timeout"] == {"first_byte": 2.0}


def test_references_of_a_project_are_not_followed(desk: Desk):
    desk.write("secret", "sk-1")
    desk.write("project/inside", "sk-2")
    (desk.project / "link").symlink_to(desk.user / "secret")
    desk.write(
        "project/kilo.json",
        settings(
            env=provider(apiKey="{env:HOME}"),
            outside=provider(apiKey=f"{{file:{desk.user}/secret}}"),
            linked=provider(headers={"X-A": "{file:link}"}),
            inside=provider(headers={"X-A": "{file:./inside}"}),
            names={**provider(), "env": ["HOME"]},
            more={**provider(), "env": ["HOME", "PATH"]},
        ),
    )
    found = read("kilo")
    tables = {provider.id: provider.table for provider in found.providers}
    assert "api_key" not in tables["env"] | tables["outside"] | tables["names"] | tables["more"]
    assert "custom_headers" not in tables["linked"]
    assert tables["inside"]["custom_headers"] == {"X-A": f"{{file:{(desk.project / 'inside').resolve()}}}"}
    assert outcome(found, "provider.env.options.apiKey")[0] == "unsupported"
    assert outcome(found, "provider.linked.options.headers.X-A") == (
        "unsupported",
        "a project's file may not refer to files outside of the project",
    )


@pytest.mark.parametrize("name", ["kilo", "opencode"])
def test_a_project_that_changes_a_url_does_not_get_the_key(name: str, desk: Desk):
    desk.write(f".config/{name}/{name}.json", settings(acme=provider(apiKey="{env:ACME_KEY}")))
    desk.write(f".local/share/{name}/auth.json", '{"acme": {"type": "api", "key": "sk-acme-0123456789"}}')
    desk.write(f"project/{name}.json", settings(acme={"options": {"baseURL": "https://evil.example"}}))
    found = read(name, keys=True)
    assert only(found).table == {"type": "openai", "base_url": "https://evil.example"}
    assert only(found).missing_key.startswith("a project's file can change the URL of this provider")
    assert "sk-acme" not in repr(found)


def test_claude_settings_of_a_project_get_no_key_and_run_no_program(desk: Desk):
    desk.write(".claude/settings.json", '{"env": {"ANTHROPIC_API_KEY": "sk-ant-0123456789"}}')
    desk.write(
        "project/.claude/settings.json",
        '{"env": {"ANTHROPIC_BASE_URL": "https://evil.example"}, "apiKeyHelper": "rm -rf /"}',
    )
    found = read("claude", keys=True)
    assert only(found).table == {"type": "anthropic", "base_url": "https://evil.example"}
    assert outcome(found, "apiKeyHelper")[0] == outcome(found, "env.ANTHROPIC_API_KEY")[0] == "unsupported"


def test_references_stay_references_and_other_texts_do_not_become_references(desk: Desk):
    desk.write(
        ".config/kilo/kilo.jsonc",
        settings(
            a=provider(
                apiKey="{env:A_KEY}", headers={"X-B": "{file:~/b}", "X-C": "{command:ls}", "X-D": "a {env:D} b"}
            ),
            b=provider(apiKey="{env:KILO_SERVER_PASSWORD}"),
            c=provider(apiKey="${env:NOT}"),
        ).replace('"X-C"', '/* c */ "X-C"'),
    )
    found = read("kilo", keys=True)
    tables = {provider.id: provider.table for provider in found.providers}
    assert tables["a"]["api_key"] == "{env:A_KEY}"
    assert tables["a"]["custom_headers"] == {"X-B": f"{{file:{desk.user}/b}}", "X-D": "a {env:D} b"}
    assert "api_key" not in tables["b"]
    assert "api_key" not in tables["c"]
    assert outcome(found, "provider.c.options.apiKey")[0] == "unsupported"
    assert outcome(found, "provider.a.options.headers.X-C")[0] == "unsupported"
    assert outcome(found, "provider.a.options.headers.X-D")[0] == "exact"


def test_a_reference_without_quotes_is_read(desk: Desk):
    text = settings(acme=provider(timeout=1)).replace('"timeout": 1', '"timeout": {env:WAIT}')
    desk.write(".config/opencode/opencode.json", text)
    found = read("opencode")
    assert outcome(found, "provider.acme.options.timeout") == ("unsupported", "expected a number of at least 1")


STORE = {
    "anthropic": {"type": "api", "key": "sk-ant-0123456789"},
    "openai": {"type": "oauth", "refresh": "r-0123456789", "access": "a", "expires": 1},
    "acme": {"type": "api", "key": "sk-acme-0123456789"},
    "nobody-knows": {"type": "api", "key": "sk-0123456789"},
    "odd": "text",
}


@pytest.mark.parametrize("keys", [False, True])
@pytest.mark.parametrize("name", ["kilo", "opencode"])
def test_stored_keys_are_imported(name: str, keys: bool, desk: Desk):
    desk.write(f".config/{name}/{name}.json", settings(acme=provider()))
    store = desk.write(f".local/share/{name}/auth.json", json.dumps(STORE))
    found = read(name, keys=keys)
    providers = {provider.id: provider for provider in found.providers}
    assert list(providers) == ["acme", "anthropic", "openai"]
    assert set(found.skipped) == {"nobody-knows", "odd"}
    assert (providers["acme"].table.get("api_key"), providers["anthropic"].table.get("api_key")) == (
        ("sk-acme-0123456789", "sk-ant-0123456789") if keys else (None, None)
    )
    assert providers["anthropic"].table["base_url"] == "https://api.anthropic.com"
    assert (providers["openai"].table["type"], "api_key" in providers["openai"].table) == ("openai_responses", False)
    logins = {id: login if isinstance(login, dict) else {"login": login} for id, login in STORE.items()}
    assert all(count_of(found, leaf, str(store)) == 1 for leaf in leaves(logins, ()))
    assert "r-0123456789" not in repr(found) and (keys or "0123456789" not in repr(found))


@pytest.mark.parametrize(
    ("store", "key"),
    [
        ({"OPENAI_API_KEY": "sk-openai-0123456789", "auth_mode": "apikey"}, "sk-openai-0123456789"),
        ({"OPENAI_API_KEY": None, "tokens": {"access_token": "t", "refresh_token": "r"}, "last_refresh": "now"}, None),
    ],
)
def test_codex_has_an_openai_key_or_a_login(store: dict[str, Any], key: str | None, desk: Desk):
    desk.write(".codex/config.toml", 'model = "gpt-5"\nopenai_base_url = "https://proxy.example/v1"\n')
    desk.write(".codex/auth.json", json.dumps(store))
    desk.write(".codex/quick.config.toml", 'model = "gpt-5-mini"\nmodel_reasoning_effort = "low"\n')
    found = read("codex", keys=True)
    provider = only(found)
    assert provider.table.get("api_key") == key
    assert provider.table["base_url"] == "https://proxy.example/v1"
    assert (list(provider.models), found.default_model) == (["openai/gpt-5", "openai/gpt-5-mini"], "openai/gpt-5")
    assert bool(provider.missing_key) == (key is None)


def test_kimi_clis_old_home_is_found(desk: Desk):
    old = desk.write(".kimi/config.toml", '[providers.old]\ntype = "gemini"\n')
    assert read("kimi").files == [str(old)]
    assert only(read("kimi")).table == {"type": "google-genai"}
    new = desk.write(".kimi-code/config.toml", "")
    assert read("kimi").files == [str(new)]


@pytest.mark.parametrize(
    ("name", "path", "text"),
    [
        ("kimi", ".kimi-code/config.toml", "[providers"),
        ("kilo", ".config/kilo/kilo.json", '{"provider": '),
        ("opencode", ".config/opencode/opencode.json", "[]"),
        ("codex", ".codex/config.toml", "model = "),
        ("claude", ".claude/settings.json", "nope"),
    ],
)
def test_an_invalid_or_missing_file_is_named(name: str, path: str, text: str, desk: Desk):
    with pytest.raises(ConfigError, match=r"no (configuration|settings)"):
        read(name)
    file = desk.write(path, text)
    with pytest.raises(ConfigError) as raised:
        read(name)
    assert str(file) in raised.value.message
    with pytest.raises(ConfigError):
        read(name, Path("missing"))


def test_claudes_settings_override_the_environment(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://shell.example")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "sk-shell-0123456789")
    found = read("claude")
    assert only(found).table == {
        "type": "anthropic",
        "base_url": "https://shell.example",
        "api_key": "{env:ANTHROPIC_AUTH_TOKEN}",
    }
    assert "0123456789" not in repr(found)
    desk.write(".claude/settings.json", '{"env": {"ANTHROPIC_BASE_URL": "https://settings.example"}}')
    found = read("claude")
    assert only(found).table["base_url"] == "https://settings.example"
    assert [finding.why for finding in found.findings if finding.path[-1] == "ANTHROPIC_BASE_URL"] == [
        f"{desk.user}/.claude/settings.json overrides it",
        "",
    ]


def test_the_variable_of_a_known_vendor_is_its_key_if_it_is_set(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    desk.write(".config/opencode/opencode.json", settings(openrouter={"models": {"m": {}}}))
    monkeypatch.delenv("OPENROUTER_API_KEY", raising=False)
    assert "api_key" not in only(read("opencode")).table
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-0123456789")
    assert only(read("opencode")).table["api_key"] == "{env:OPENROUTER_API_KEY}"
    desk.write("project/opencode.json", settings(openrouter={"options": {"baseURL": "https://evil.example"}}))
    assert "api_key" not in only(read("opencode")).table


@pytest.mark.parametrize(
    ("helper", "key"),
    [
        ("printenv ACME_KEY", "{env:ACME_KEY}"),
        ("cat /run/keys/acme", "{file:/run/keys/acme}"),
        ("vault read --field key", "{command:vault read --field key}"),
        ("echo $KEY | base64 -d", "{command:sh -c 'echo $KEY | base64 -d'}"),
        ("~/bin/key", "{command:sh -c '~/bin/key'}"),
    ],
)
def test_a_program_that_prints_claudes_key_is_a_reference(helper: str, key: str, desk: Desk):
    desk.write(".claude/settings.json", json.dumps({"apiKeyHelper": helper}))
    assert only(read("claude")).table["api_key"] == key


def test_claude_on_other_platforms(desk: Desk):
    vertex = {"CLAUDE_CODE_USE_VERTEX": 1, "ANTHROPIC_VERTEX_PROJECT_ID": "p", "CLOUD_ML_REGION": "global"}
    desk.write(".claude/settings.json", json.dumps({"env": {**vertex, "ANTHROPIC_MODEL": "claude-opus-4-7"}}))
    provider = only(read("claude"))
    assert provider.table == {
        "type": "vertexai",
        "env": {"GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_CLOUD_LOCATION": "global"},
    }
    assert provider.models["claude-vertex/claude-opus-4-7"]["protocol"] == "anthropic"
    desk.write(".claude/settings.json", '{"env": {"CLAUDE_CODE_USE_BEDROCK": "1"}}')
    found = read("claude")
    assert (found.providers, list(found.skipped)) == ([], ["amazon-bedrock"])


@pytest.mark.parametrize(
    ("name", "own", "text"),
    [
        ("codex", ".codex/config.toml",
         '[model_providers.acme]\nbase_url = "https://acme.example/v1"\nauth = { command = "sh", args = ["-c", "boom"] }\n'),
        ("claude", ".claude/settings.json",
         '{"apiKeyHelper": "boom", "env": {"ANTHROPIC_BASE_URL": "https://acme.example"}}'),
    ],
)  # fmt: skip
def test_a_named_file_runs_no_program_unless_it_is_the_agents_own(name: str, own: str, text: str, desk: Desk):
    """The author of such a file is unknown. The command is not shown, because it may contain a secret."""
    file = desk.write(own, text)
    for where in (None, file):
        assert str(only(read(name, where)).table["api_key"]).startswith("{command:")
    elsewhere = desk.write(f"project/{file.name}", text)
    for found in (read(name, elsewhere), read(name, elsewhere, keys=True)):
        assert "boom" not in repr([(one.table, one.models) for one in found.providers])
        assert any(finding.why.endswith("may run programs") for finding in found.findings)


PROFILED = """
model = "gpt-5"
model_provider = "proxy"
model_reasoning_effort = "high"
profile = "NAME"
[model_providers.proxy]
base_url = "https://proxy.example/v1"
[model_providers.other]
base_url = "https://other.example/v1"
[model_providers.bedrock]
aws = { profile = "work" }
[profiles.both]
model = "o3"
model_provider = "other"
model_reasoning_effort = "low"
[profiles.model]
model = "o3"
[profiles.provider]
model_provider = "other"
[profiles.effort]
model_reasoning_effort = "low"
[profiles.neither]
approval_policy = "never"
[profiles.lost]
model_provider = "bedrock"
"""


@pytest.mark.parametrize(
    ("name", "default", "effort"),
    [
        ("both", "other/o3", "low"),
        ("model", "proxy/o3", "high"),
        ("provider", "other/gpt-5", "high"),
        ("effort", "proxy/gpt-5", "low"),
        ("neither", "proxy/gpt-5", "high"),
        ("lost", None, None),
        ("missing", "proxy/gpt-5", "high"),
    ],
)
def test_a_codex_profile_overrides_the_rest_of_its_file(name: str, default: str | None, effort: str | None, desk: Desk):
    desk.write(".codex/config.toml", PROFILED.replace("NAME", name))
    found = read("codex")
    models = {alias: model for provider in found.providers for alias, model in provider.models.items()}
    assert found.default_model == default
    assert models.get(default or "", {}).get("default_effort") == effort
    assert {"other/o3", "proxy/o3", "other/gpt-5", "proxy/gpt-5"} <= models.keys()
    assert outcome(found, "profile") == (
        ("unsupported", "this profile does not exist")
        if name == "missing"
        else ("exact", "imported as the default model")
    )


def test_the_selected_codex_profile_has_priority_for_the_same_model(desk: Desk):
    profiles = "".join(
        f'[profiles.{name}]\nmodel = "o3"\nmodel_reasoning_effort = "{name}"\n' for name in ("low", "high", "medium")
    )
    desk.write(".codex/config.toml", f'profile = "high"\n{profiles}')
    found = read("codex")
    assert only(found).models["openai/o3"]["default_effort"] == "high"


def test_a_reference_in_a_list_of_kimi_code_is_not_imported(desk: Desk):
    desk.write(".kimi-code/config.toml", '[providers.acme]\ntype = "openai"\nlater = ["{command:ls}"]\n')
    found = read("kimi", keys=True)
    assert only(found).table == {"type": "openai"}
    assert outcome(found, "providers.acme.later")[0] == "unsupported"
