"""`modelbay import` as a person runs it."""

import re
import stat
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from modelbay.agents import NAMES, by_name
from modelbay.config.load import load
from tests.agents.desk import CONFIGS, FILES, Desk
from tests.cli.inside import Person

KIMI = """\
default_model = "fast"

[providers.acme]
type = "openai_legacy"
base_url = "https://acme.example/v1"
api_key = "sk-acme-0123456789"

[models.fast]
provider = "acme"
model = "acme-fast"
max_context_size = 1000

[loop_control]
max_steps_per_turn = 5
"""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


@pytest.fixture
def kimi(desk: Desk) -> Path:
    return desk.write(".kimi-code/config.toml", KIMI)


def test_the_result_for_each_setting_is_shown_before_anything_is_written(desk: Desk, kimi: Path):
    assert desk.done("import", "kimi", "--dry-run") == snapshot("""\
DESK/user/.kimi-code/config.toml
  exact        default_model
  exact        providers.acme.type           renamed to "openai"
  exact        providers.acme.base_url
  approximate  providers.acme.api_key        the secret is not copied; pass --keys to copy it
  exact        models.fast.provider
  exact        models.fast.model
  exact        models.fast.max_context_size
  unsupported  loop_control                  not about providers or models

--- HOME/config.toml
+++ HOME/config.toml
@@ -0,0 +1,10 @@
+default_model = "fast"
+
+[providers.acme]
+type = "openai"
+base_url = "https://acme.example/v1"
+
+[models.fast]
+provider = "acme"
+model = "acme-fast"
+max_context_size = 1000
""")
    assert desk.text == ""


def test_with_yes_it_is_written(desk: Desk, kimi: Path):
    run = desk("import", "kimi", "--yes")
    assert run.code == 0
    assert run.out.rpartition("\n\n")[2] == snapshot("""\
added: acme with 1 model
The default model is fast
""")
    assert run.err == snapshot("acme: the key was not copied; set an API key: `modelbay key set acme`\n")
    assert desk.text == snapshot("""\
default_model = "fast"

[providers.acme]
type = "openai"
base_url = "https://acme.example/v1"

[models.fast]
provider = "acme"
model = "acme-fast"
max_context_size = 1000
""")


def test_with_keys_the_key_comes_and_is_not_shown(desk: Desk, kimi: Path):
    run = desk("import", "kimi", "--keys", "--yes")
    assert 'api_key = "sk-acme-0123456789"' in desk.text
    assert 'api_key = "…"' in run.out
    assert "0123456789" not in run.out + run.err
    assert stat.S_IMODE(desk.file.stat().st_mode) == 0o600


def test_nothing_is_written_without_a_terminal_or_yes(desk: Desk, kimi: Path):
    run = desk("import", "kimi")
    assert (run.code, desk.text) == (2, "")
    assert "not a terminal: pass --yes to confirm" in run.err


def test_again_it_is_there_already(desk: Desk, kimi: Path):
    desk.done("import", "kimi", "--yes")
    before = desk.text
    run = desk("import", "kimi", "--yes")
    assert (run.code, desk.text) == (0, before)
    assert "No changes to write" in run.err


OTHER = """\
default_model = "mine"
# mine
[providers.acme]
type = "anthropic"
base_url = "https://other.example"
api_key = "sk-other-0123456789"

[models.mine]
provider = "acme"
model = "m"

[models.fast]
provider = "acme"
model = "other-fast"
"""


def test_a_login_that_is_not_copied_leads_to_a_login(desk: Desk, kimi: Path):
    kimi.write_text("""
        [providers."managed:kimi-code"]
        type = "kimi"
        base_url = "https://api.kimi.com/coding/v1"
        oauth = { storage = "file", key = "oauth/kimi-code" }
    """)
    run = desk("import", "kimi", "--yes")
    assert run.err == "managed:kimi-code: its login was not imported; log in: `modelbay login managed:kimi-code`\n"


OPENCODE = """{"provider": {
    "openai": {"options": {"baseURL": "THERE", "apiKey": "sk-planted-012345"}, "models": {"m": {}}},
    "groq": {"options": {"apiKey": "sk-groq"}, "models": {"m": {"provider": {"api": "THERE"}}}}
}}"""
UNUSABLE = {
    "kimi": """
        providers.openai = { type = "openai", base_url = "THERE", api_key = "sk-planted-012345" }
        providers.other.type = "openai"
        providers.other.env = { OPENAI_BASE_URL = "THERE", OPENAI_API_KEY = "sk-planted-012345" }
        providers.groq = { type = "openai", base_url = "https://api.groq.com/openai/v1", api_key = "sk-groq" }
        models.m = { provider = "groq", model = "m", base_url = "THERE", max_context_size = 1 }
    """,
    "kilo": OPENCODE,
    "opencode": OPENCODE,
    "codex": """
        openai_base_url = "THERE"
        model = "m"
        [model_providers.planted]
        base_url = "THERE"
        http_headers = { Authorization = "Bearer sk-planted-012345" }
    """,
    "claude": '{"env": {"ANTHROPIC_BASE_URL": "THERE", "ANTHROPIC_API_KEY": "sk-planted-012345"}}',
    "ccr": '{"Providers": [{"name": "openai", "api_base_url": "THERE", "api_key": "sk-planted-012345", "models": ["m"]}]}',
    "crush": '{"providers": {"openai": {"base_url": "THERE", "api_key": "sk-planted-012345", "models": [{"id": "m"}]}}}',
    "qwen": '{"modelProviders": {"openai": [{"id": "m", "baseUrl": "THERE", "envKey": "K"}]}, "env": {"K": "sk-planted-012345"}}',
    "gemini": "GOOGLE_GEMINI_BASE_URL=THERE\nGEMINI_API_KEY=sk-planted-012345\n",
    "droid": '{"customModels": [{"model": "m", "provider": "openai", "baseUrl": "THERE", "apiKey": "sk-planted-012345"}]}',
    "continue": "models: [{name: m, provider: openai, model: m, apiBase: 'THERE', apiKey: sk-planted-012345}]",
    "cline": '{"providers": {"openai": {"settings": {"provider": "openai", "baseUrl": "THERE", "apiKey": "sk-planted-012345"}}}}',
}
"""A provider of each agent with the key of a gateway."""


@pytest.mark.parametrize(
    "url", ["https://${GATEWAY}/v1", "{env:GATEWAY}/v1", "https://{env:GATEWAY}/v1", "gateway", "ftp://a.example"]
)
@pytest.mark.parametrize("name", NAMES)
def test_the_key_of_a_url_that_cannot_be_imported_is_imported_for_no_other(name: str, url: str, desk: Desk):
    file = desk.write(f"agent{Path(FILES[name]).suffix}", UNUSABLE[name].replace("THERE", url))
    run = desk("import", name, str(file), "--keys", "--yes")
    assert run.code == 0, run.err
    assert "planted" not in desk.text or url in desk.text, "Kimi Code's env table is imported as it is"
    assert not [one for one in load().models.values() if one.model == "m"]


KILO = """{"provider": {
    "acme": {
        "npm": "@ai-sdk/openai-compatible", "options": {"baseURL": "https://acme.example/v1", "discoverModels": true},
        "whitelist": ["a", "b", "c"], "blacklist": ["b"],
        "models": {
            "a": {"reasoning_options": [{"type": "effort", "values": ["none", "low", "max"]}]},
            "b": {"name": "Hidden"}, "c": {"provider": {"api": "https://${GATEWAY}/v1"}}, "d": {}
        }
    }
}}"""


def test_settings_of_an_older_kilo_code_are_not_called_unrelated_to_providers(desk: Desk):
    (desk.home / "kilo.json").write_text('{"providerProfiles": {"apiConfigs": {"default": {"apiProvider": "openai"}}}}')
    out = desk.done("import", "kilo", str(desk.home / "kilo.json"), "--yes")
    assert re.search(r"unsupported +providerProfiles +written by an older version .*`modelbay provider custom`", out)


def test_models_that_kilo_code_hides_or_sends_elsewhere_are_not_imported(desk: Desk):
    (desk.home / "kilo.json").write_text(KILO)
    out = desk.done("import", "kilo", str(desk.home / "kilo.json"), "--yes")
    config = load()
    assert list(config.models) == ["acme/a"]
    assert (config.models["acme/a"].support_efforts, config.models["acme/a"].off_effort) == (["low", "max"], "none")
    assert config.provider("acme").model_source == "discover"
    for setting, why in (
        ("b", "whitelist or blacklist"),
        ("d", "whitelist or blacklist"),
        ("c", "contains a variable"),
    ):
        assert re.search(rf"unsupported +provider.acme.models.{setting} .*{why}", out)
    assert '"discoverModels": true' in desk.done("export", "kilo", "acme")
    assert "discoverModels" not in desk.done("export", "opencode", "acme")


def test_an_id_in_use_gets_the_agents_name_behind_it(desk: Desk, kimi: Path):
    desk.file.write_text(OTHER)
    run = desk("import", "kimi", "--yes")
    assert "added: acme-kimi (in the agent: acme) with 1 model" in run.out
    assert "The default model stays mine" in run.err
    assert desk.text.startswith(OTHER.partition("[models.mine]")[0])
    config = load()
    assert (config.models["fast"].provider, config.models["acme-kimi/acme-fast"].provider) == ("acme", "acme-kimi")
    assert desk.done("import", "kimi", "--yes").count("acme") > 0
    assert list(load().providers) == ["acme", "acme-kimi"]


def test_replace_takes_the_id_and_keeps_no_key_for_another_place(desk: Desk, kimi: Path):
    desk.file.write_text(OTHER.replace("[models.fast]", "[models.fast2]"))
    desk.done("import", "kimi", "--replace", "--yes")
    entry = load().provider("acme")
    assert (entry.type, entry.base_url, entry.api_key) == ("openai", "https://acme.example/v1", None)
    assert "# mine" in desk.text


def test_replace_keeps_the_key_for_the_same_place(desk: Desk, kimi: Path):
    desk.file.write_text('[providers.acme]\ntype = "openai"\nbase_url = "https://acme.example/v2"\napi_key = "k"\n')
    desk.done("import", "kimi", "--replace", "--yes")
    assert load().provider("acme").api_key == "k"


def test_a_person_is_asked_what_to_do_and_whether_to_write(desk: Desk, kimi: Path):
    desk.file.write_text(OTHER)
    asked = ("--config", str(desk.file), "import", "kimi", str(kimi))
    with Person(desk.user, *asked) as person:
        person.sees("Provider acme already exists").types("replace")
        person.sees("Write these changes?").types("n")
        assert person.ends() == 130
    assert desk.text == OTHER
    with Person(desk.user, *asked) as person:
        person.sees("Provider acme already exists").types("skip")
        person.sees("No changes to write")
        assert person.ends() == 0
    with Person(desk.user, *asked) as person:
        person.sees("Provider acme already exists").types("")
        person.sees("Write these changes?").types("y")
        person.sees("added: acme-kimi")
        assert person.ends() == 0


def test_a_dry_run_of_another_file_shows_what_would_be_written_without_an_approval(desk: Desk):
    desk.write(
        "config.yaml",
        "model_list:\n- model_name: fast\n  litellm_params: {model: openai/m, api_base: 'https://acme.example/v1',"
        " api_key: os.environ/ACME_KEY}\n"
        "general_settings: {master_key: sk-1234}\nrouter_settings: {num_retries: 2, timeout: 30}\n",
    )
    shown = desk("import", "litellm", str(desk.user / "config.yaml"), "--dry-run")
    assert (shown.code, shown.err) == (0, "")
    assert '+api_key = "{env:ACME_KEY}"' in shown.out
    assert "modelbay client add NAME" in shown.out and "--timeout SECONDS" in shown.out
    assert "no such setting" not in shown.out
    refused = desk("import", "litellm", str(desk.user / "config.yaml"), "--yes")
    assert (refused.code, "need your approval" in refused.err) == (1, True)


def own(desk: Desk, name: str) -> None:
    """Make the rich configuration of an agent its own."""
    file = by_name(name).files()[-1]
    desk.write(str(file.relative_to(desk.user)), (CONFIGS / FILES[name]).read_text())


@pytest.mark.parametrize("name", NAMES)
def test_the_rich_configuration_of_each_agent_comes_in_order(name: str, desk: Desk):
    own(desk, name)
    desk.done("import", name, "--yes")
    config = load()
    assert not config.problems and config.default_model
    config.model()
    assert "0123456789" not in desk.text


def test_a_kimi_config_works_unchanged(desk: Desk):
    rich = (CONFIGS / "kimi.toml").read_text()
    desk.file.write_text(rich)
    copied = load()
    assert [problem.where for problem in copied.problems] == snapshot(
        ["providers.later.type", "models.lost.provider", "models.future.provider"]
    )
    desk.file.unlink()
    own(desk, "kimi")
    desk.done("import", "kimi", "--yes", "--keys")
    imported = load()
    assert imported.default_model == copied.default_model
    assert imported.models == copied.models
    for id, entry in copied.providers.items():
        assert imported.providers[id] == entry or id == "old"  # its key would be a reference here
    assert imported.providers.keys() == copied.providers.keys()


def test_an_unreadable_file_is_reported_with_its_path(desk: Desk):
    run = desk("import", "codex")
    assert (run.code, run.out) == (1, "")
    assert "Codex has no configuration at DESK/user/.codex/config.toml" in run.err


@pytest.mark.parametrize(
    ("name", "file", "content", "said"),
    [
        ("kilo", ".config/kilo/kilo.json", b'{\n  "provider": {\n', "line 2, column 15"),
        ("kilo", ".config/kilo/kilo.json", b"[]", "is not a JSON object"),
        ("opencode", ".config/opencode/opencode.json", b"\xff", "not UTF-8 text"),
        ("opencode", ".local/share/opencode/auth.json", b'{"a": }', "line 1, column 7"),
        ("claude", ".claude/settings.json", b'{"env": {"A": 1 "B": 2}}', "line 1, column 17"),
        ("claude", ".claude/.credentials.json", b"{", "line 1, column 1"),
        ("codex", ".codex/config.toml", b"model = \n", "line 1, column 9"),
        ("codex", ".codex/auth.json", b'{"a": 1,,}', "line 1, column 9"),
        ("kimi", ".kimi-code/config.toml", b"[providers\n", "line 1, column 11"),
        ("kimi", ".kimi-code/config.toml", None, "cannot be read: Is a directory"),
    ],
)
def test_a_fault_in_an_agents_file_names_the_file_and_how_to_fix_it(
    name: str, file: str, content: bytes | None, said: str, desk: Desk
):
    (desk.user / file).parent.mkdir(parents=True)
    if name == "claude" and "credentials" in file:
        desk.write(".claude/settings.json", "{}")
    if name == "codex" and "auth" in file:
        desk.write(".codex/config.toml", "")
    if name == "opencode" and "auth" in file:
        desk.write(".config/opencode/opencode.json", "{}")
    if content is None:
        (desk.user / file).mkdir()
    else:
        (desk.user / file).write_bytes(content)
    run = desk("import", name, "--dry-run")
    assert run.code == 1
    message, hint = run.err.split("hint: ")
    path = f"DESK/user/{file}"
    assert path in message and said in message
    assert path in hint
    assert "config.toml" not in hint.replace(path, "") and "modelbay" not in hint and "--config" not in hint
