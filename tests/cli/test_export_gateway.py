"""`modelbay export AGENT --gateway`: an agent uses every configured model through the gateway."""

import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from modelbay.agents import NAMES, by_name
from modelbay.gateway.clients import ClientKeys
from tests.agents.desk import CONFIGS, FILES, Desk, parsed

CONFIG = """\
default_model = "acme/large"

[providers.acme]
type = "openai_responses"
base_url = "https://acme.example/v1"
api_key = "sk-acme-0123456789"

[providers.claude]
type = "anthropic"
base_url = "https://claude.example"
api_key = "{env:CLAUDE_KEY}"

[providers.gem]
type = "google-genai"
api_key = "sk-gem-0123456789"

[models."acme/large"]
provider = "acme"
model = "acme-large"
max_context_size = 200000
max_output_size = 8000

[models."claude/opus"]
provider = "claude"
model = "claude-opus-4-7"
aliases = ["opus"]
max_context_size = 300000

[models.g]
provider = "gem"
model = "g-1"
api_key = "sk-own-0123456789"
max_context_size = 400000
"""
WRITTEN = {
    "kimi": ".kimi-code/config.toml",
    "kilo": ".config/kilo/kilo.json",
    "opencode": ".config/opencode/opencode.json",
    "codex": ".codex/config.toml",
    "claude": ".claude/settings.json",
    "ccr": ".claude-code-router/config.json",
    "crush": ".config/crush/crush.json",
    "qwen": ".qwen/settings.json",
    "gemini": ".gemini/.env",
    "continue": ".continue/config.yaml",
    "cline": ".cline/data/settings/providers.json",
    "droid": ".factory/settings.json",
}


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk(tmp_path, monkeypatch)
    desk.file.write_text(CONFIG)
    return desk


def written(desk: Desk, name: str) -> dict[str, Any]:
    return parsed(name, (desk.user / WRITTEN[name]).read_text())


def test_an_unknown_context_window_is_a_warning_for_claude_code_which_assumes_a_large_one(desk: Desk) -> None:
    warned = "unknown context window of all models; Claude Code assumes up to 1,000,000 tokens"
    assert warned not in desk("export", "claude", "--gateway").err
    desk.file.write_text(
        '[providers.p]\ntype = "openai"\nbase_url = "http://127.0.0.1:9/v1"\n[models.m]\nprovider = "p"\nmodel = "acme-7f3"\n'
    )
    assert warned in desk("export", "claude", "--gateway").err


def test_kimi_code_has_a_protocol_per_model_and_the_key_itself(desk: Desk) -> None:
    desk.done("configure", "kimi", "--gateway")
    text = (desk.user / WRITTEN["kimi"]).read_text()
    key = ClientKeys().local_key()
    assert text.replace(key, "KEY") == snapshot("""\
default_model = "modelbay/acme/large"

[providers.modelbay]
type = "openai_responses"
base_url = "http://127.0.0.1:8484/v1"
api_key = "KEY"

[models."modelbay/acme/large"]
provider = "modelbay"
model = "acme/large"
max_context_size = 200000
max_output_size = 8000

[models."modelbay/claude/opus"]
provider = "modelbay"
model = "claude/opus"
max_context_size = 300000
aliases = ["opus"]
protocol = "anthropic"
max_output_size = 128000
capabilities = ["thinking", "image_in", "tool_use"]

[models."modelbay/g"]
provider = "modelbay"
model = "g"
max_context_size = 400000
protocol = "google-genai"
base_url = "http://127.0.0.1:8484"
""")


@pytest.mark.parametrize("name", ["kilo", "opencode"])
def test_kilo_and_opencode_have_a_package_per_protocol_and_read_the_key_from_its_file(desk: Desk, name: str) -> None:
    run = desk("export", name, "--gateway")
    write = f"to write it: modelbay configure {name} --gateway"
    assert run.err == f"for DESK/user/{WRITTEN[name]}; {write}\ntry it: {name} run -m modelbay/acme/large Hello\n"
    data = parsed(name, run.out)
    assert data["model"] == "modelbay/acme/large"
    entry = data["provider"]["modelbay"]
    assert entry["npm"] == "@ai-sdk/openai"
    assert entry["options"] == {
        "baseURL": "http://127.0.0.1:8484/v1",
        "apiKey": "{file:HOME/gateway/local-key}",
    }
    assert {key: model.get("provider") for key, model in entry["models"].items()} == {
        "acme/large": None,
        "claude/opus": {"npm": "@ai-sdk/anthropic"},
        "g": {"npm": "@ai-sdk/google", "api": "http://127.0.0.1:8484/v1beta"},
    }
    assert entry["models"]["acme/large"]["limit"] == {"context": 200000, "output": 8000}
    assert entry["models"]["claude/opus"]["tool_call"] is True  # a fact about the model behind the alias


def test_codex_reads_the_key_with_a_program(desk: Desk) -> None:
    run = desk("export", "codex", "--gateway")
    assert run.out == snapshot("""\
model_provider = "modelbay"
model = "acme/large"
model_context_window = 200000

[model_providers.modelbay]
name = "modelbay"
base_url = "http://127.0.0.1:8484/v1"
wire_api = "responses"
http_headers = { x-modelbay-retries = "6" }
model_catalog_url = "http://127.0.0.1:8484/v1/models"
request_max_retries = 0

[model_providers.modelbay.auth]
command = "cat"
args = ["HOME/gateway/local-key"]
""")
    assert "not exported" not in run.err, "Codex reads the list of the gateway"


def test_qwen_code_repeats_failed_requests_instead_of_the_gateway(desk: Desk) -> None:
    entries = parsed("qwen", desk.done("export", "qwen", "--gateway"))["modelProviders"]
    told = {
        model["generationConfig"]["customHeaders"]["x-modelbay-retries"]
        for group in entries.values()
        for model in group.values()
    }
    assert told == {"0"}


def test_claude_code_has_a_model_for_each_of_its_names(desk: Desk) -> None:
    assert desk.done("export", "claude", "--gateway") == snapshot("""\
{
  "env": {
    "ANTHROPIC_BASE_URL": "http://127.0.0.1:8484",
    "ANTHROPIC_MODEL": "acme/large",
    "ANTHROPIC_DEFAULT_FABLE_MODEL": "acme/large",
    "ANTHROPIC_DEFAULT_OPUS_MODEL": "claude/opus",
    "ANTHROPIC_DEFAULT_SONNET_MODEL": "acme/large",
    "ANTHROPIC_DEFAULT_HAIKU_MODEL": "acme/large",
    "ANTHROPIC_CUSTOM_MODEL_OPTION": "g",
    "CLAUDE_CODE_MAX_CONTEXT_TOKENS": "200000",
    "CLAUDE_CODE_DISABLE_1M_CONTEXT": "1"
  },
  "apiKeyHelper": "cat HOME/gateway/local-key"
}
""")


@pytest.mark.parametrize("name", NAMES)
def test_the_key_is_never_printed_and_no_provider_is_exported(desk: Desk, name: str) -> None:
    ClientKeys().create_local_once()
    run = desk("export", name, "--gateway")
    assert ClientKeys().local_key() not in run.out + run.err
    for secret in ("sk-acme", "sk-gem", "sk-own", "CLAUDE_KEY", "acme.example", "claude.example"):
        assert secret not in run.out
    if name == "kimi":
        assert "pass --keys" in run.err
        assert ClientKeys().local_key() in desk.done("export", name, "--gateway", "--keys")


@pytest.mark.parametrize("name", [name for name in NAMES if by_name(name).changes_file])
def test_everything_else_in_the_agents_file_stays(desk: Desk, name: str) -> None:
    old = (CONFIGS / FILES[name]).read_text()
    if name == "claude":
        old = '{"env": {"OTHER": "1"}, "permissions": {"allow": ["Read"]}}'
    if name == "cline":  # an entry for each protocol
        old = '{"version": 1, "modes": {}, "providers": {"openrouter": {"settings": {"provider": "openrouter"}}}}'
    path = desk.write(WRITTEN[name], old)
    before = parsed(name, old)
    run = desk("configure", name, "--gateway")
    assert run.code == 0, run.err
    after = written(desk, name)
    for key, value in before.items():
        if isinstance(value, dict):
            assert after[key].items() >= value.items()
        else:
            assert after[key] == value  # the agent's own default model too
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert desk("configure", name, "--gateway").out == f"Already up to date: DESK/user/{WRITTEN[name]}\n"
    desk.done("configure", name, "--undo")
    assert path.read_text() == old


@pytest.mark.parametrize("name", NAMES)
def test_without_keys_the_agent_sends_none(desk: Desk, name: str) -> None:
    desk.file.write_text(
        f'[gateway]\nauth = "none"\nport = 9999\nhost = "localhost"\n{CONFIG.replace("default_model", "#")}'
    )
    text = desk.done("export", name, "--gateway")
    assert "http://localhost:9999" in text
    assert "local-key" not in text


def test_clients_of_google_get_the_base_url_without_a_version(desk: Desk) -> None:
    google = CONFIG.partition("[providers.gem]")[2].partition("[models.g]")
    desk.file.write_text(f"[providers.gem]{google[0].partition('[models')[0]}[models.g]{google[2]}")
    data = parsed("kimi", desk.done("export", "kimi", "--gateway"))
    assert data["providers"]["modelbay"] == {"type": "google-genai", "base_url": "http://127.0.0.1:8484"}
    assert "base_url" not in data["models"]["modelbay/g"]
    entry = parsed("kilo", desk.done("export", "kilo", "--gateway"))["provider"]["modelbay"]
    assert (entry["npm"], entry["options"]["baseURL"]) == ("@ai-sdk/google", "http://127.0.0.1:8484/v1beta")


def test_a_name_with_a_slash_is_a_resource_for_clients_of_google(desk: Desk) -> None:
    desk.file.write_text(CONFIG.replace("[models.g]", '[models."gem/g"]'))
    models = parsed("kilo", desk.done("export", "kilo", "--gateway"))["provider"]["modelbay"]["models"]
    assert models["gem/g"]["id"] == "models/gem/g"
    assert "id" not in models["acme/large"]
    assert (
        parsed("kimi", desk.done("export", "kimi", "--gateway"))["models"]["modelbay/gem/g"]["model"] == "models/gem/g"
    )


def test_a_default_model_without_an_entry_is_exported_too(desk: Desk) -> None:
    desk.file.write_text(CONFIG.replace('default_model = "acme/large"', 'default_model = "acme/new"'))
    data = parsed("kilo", desk.done("export", "kilo", "--gateway"))
    assert data["model"] == "modelbay/acme/new"
    assert set(data["provider"]["modelbay"]["models"]) == {"acme/large", "claude/opus", "g", "acme/new"}


def test_a_model_that_cannot_be_used_is_named_and_the_others_are_exported(desk: Desk) -> None:
    text = '\n[providers.there]\ntype = "azure"\n[models.lost]\nprovider = "there"\nmodel = "m"\n'
    desk.file.write_text(CONFIG + text)
    run = desk("export", "kilo", "--gateway")
    assert set(parsed("kilo", run.out)["provider"]["modelbay"]["models"]) == {"acme/large", "claude/opus", "g"}
    assert "warning: modelbay: model lost not exported: " in run.err


@pytest.mark.parametrize(
    ("text", "arguments", "code", "said"),
    [
        (CONFIG, ("kilo",), 2, "pass either PROVIDER or --gateway"),
        (CONFIG, ("kilo", "acme", "--gateway"), 2, "pass either PROVIDER or --gateway"),
        (
            "[gateway]\nprot = 1",
            ("kilo", "--gateway"),
            1,
            "HOME/config.toml:2: gateway.prot: unknown key\n\nhint: rename it",
        ),
        (
            "",
            ("kilo", "--gateway"),
            1,
            "no model can be used\n\nhint: connect a provider first: `modelbay provider add`",
        ),
    ],
)
def test_wrong_options_are_reported(desk: Desk, text: str, arguments: tuple[str, ...], code: int, said: str) -> None:
    desk.file.write_text(text)
    run = desk("export", *arguments)
    assert (run.code, run.out) == (code, "")
    assert said in run.err


@pytest.mark.parametrize("command", ["export", "configure"])
def test_a_provider_that_an_agent_cannot_use_is_offered_through_the_gateway(desk: Desk, command: str) -> None:
    run = desk(command, "codex", "claude")
    assert run.code == 1
    assert "Codex supports only OpenAI Responses, and provider claude uses Anthropic Messages" in run.err
    assert "hint: use it through the gateway: pass --gateway instead of claude" in run.err
