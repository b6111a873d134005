"""`modelbay export` as a person runs it."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from modelbay.agents import NAMES, jsonc
from modelbay.config.load import load
from tests.agents.desk import Desk

CONFIG = """\
default_model = "acme/large"

[providers.acme]
type = "openai_responses"
name = "Acme"
base_url = "https://acme.example/v1"
api_key = "sk-acme-0123456789"
custom_headers = { X-Team = "blue", X-Api-Key = "hk-acme-0123456789" }

[providers.claude]
type = "anthropic"
base_url = "https://claude.example"
api_key = "{env:CLAUDE_KEY}"

[providers.plain]
type = "anthropic"
base_url = "https://plain.example"
api_key = "sk-plain-0123456789"

[providers.file]
type = "anthropic"
base_url = "https://file.example/v1"
api_key = "{file:keys/file}"

[providers.chat]
type = "openai"
base_url = "https://chat.example/v1"
api_key = "{command:print-key --for chat}"

[providers.whole]
type = "openai"
base_url = "https://whole.example/api/v2/models/chat"
full_url = true
api_key = "k"

[providers.query]
type = "anthropic"
base_url = "https://query.example?team=7"
api_key = "k"

[providers.azure]
type = "azure"
base_url = "https://acme-east.openai.azure.com"
api_version = "2024-10-21"
api_key = "k"

[models."acme/large"]
provider = "acme"
model = "acme-large"
max_context_size = 200000
cost = { input = 1, output = 2 }

[models."acme/gpt"]
provider = "acme"
model = "gpt-5"

[models."claude/opus"]
provider = "claude"
model = "claude-opus-4-7"
aliases = ["opus"]
"""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk(tmp_path, monkeypatch)
    desk.file.write_text(CONFIG)
    return desk


def test_codex(desk: Desk):
    run = desk("export", "codex", "acme")
    assert run.out == snapshot("""\
model_provider = "acme"
model = "acme-large"
model_context_window = 200000

[model_providers.acme]
name = "Acme"
base_url = "https://acme.example/v1"
wire_api = "responses"
env_key = "ACME_API_KEY"
""")
    assert run.err == snapshot("""\
for DESK/user/.codex/config.toml; to write it: modelbay configure codex acme
set ACME_API_KEY to the key of acme before you start Codex, or pass --keys
warning: acme: header X-Team not exported: secret; pass --keys to export it
warning: acme: header X-Api-Key not exported: secret; pass --keys to export it
warning: acme: models gpt-5 not exported: Codex has no list; choose one with `codex -m MODEL`
try it: codex -c model_provider=acme -m acme-large
""")


def test_claude_code(desk: Desk):
    assert desk.done("export", "claude", "claude") == snapshot("""\
{
  "env": {
    "ANTHROPIC_BASE_URL": "https://claude.example",
    "ANTHROPIC_MODEL": "claude-opus-4-7",
    "ANTHROPIC_DEFAULT_OPUS_MODEL": "claude-opus-4-7"
  },
  "apiKeyHelper": "printenv CLAUDE_KEY"
}
""")
    assert '"apiKeyHelper": "cat HOME/keys/file"' in desk.done("export", "claude", "file")


def test_kilo(desk: Desk):
    run = desk("export", "kilo", "acme", "claude")
    assert run.out == snapshot("""\
{
  "$schema": "https://app.kilo.ai/config.json",
  "model": "acme/large",
  "provider": {
    "acme": {
      "npm": "@ai-sdk/openai",
      "name": "Acme",
      "options": {
        "baseURL": "https://acme.example/v1",
        "apiKey": "{env:ACME_API_KEY}"
      },
      "models": {
        "large": {
          "name": "large",
          "id": "acme-large",
          "limit": {
            "context": 200000,
            "output": 0
          },
          "cost": {
            "input": 1,
            "output": 2
          }
        },
        "gpt": {
          "name": "gpt",
          "id": "gpt-5",
          "reasoning": true,
          "tool_call": true,
          "temperature": false,
          "modalities": {
            "input": [
              "text",
              "image"
            ],
            "output": [
              "text"
            ]
          },
          "attachment": true,
          "limit": {
            "context": 400000,
            "output": 128000
          }
        }
      }
    },
    "claude": {
      "npm": "@ai-sdk/anthropic",
      "name": "claude",
      "options": {
        "baseURL": "https://claude.example/v1",
        "apiKey": "{env:CLAUDE_KEY}"
      },
      "models": {
        "opus": {
          "name": "opus",
          "id": "claude-opus-4-7",
          "reasoning": true,
          "tool_call": true,
          "temperature": false,
          "modalities": {
            "input": [
              "text",
              "image",
              "pdf"
            ],
            "output": [
              "text"
            ]
          },
          "attachment": true,
          "limit": {
            "context": 1000000,
            "output": 128000
          }
        }
      }
    }
  }
}
""")
    assert run.err == snapshot("""\
for DESK/user/.config/kilo/kilo.json; to write it: modelbay configure kilo acme claude
set ACME_API_KEY to the key of acme before you start Kilo Code, or pass --keys
warning: acme: header X-Team not exported: secret; pass --keys to export it
warning: acme: header X-Api-Key not exported: secret; pass --keys to export it
try it: kilo run -m acme/large Hello
""")


def test_kimi_code(desk: Desk):
    run = desk("export", "kimi", "acme", "--keys")
    assert run.out == snapshot("""\
default_model = "acme/large"

[providers.acme]
type = "openai_responses"
base_url = "https://acme.example/v1"
api_key = "sk-acme-0123456789"
custom_headers = { X-Team = "blue", X-Api-Key = "hk-acme-0123456789" }

[models."acme/large"]
provider = "acme"
model = "acme-large"
max_context_size = 200000

[models."acme/gpt"]
provider = "acme"
model = "gpt-5"
max_context_size = 400000
max_output_size = 128000
capabilities = ["thinking", "always_thinking", "image_in", "tool_use"]
""")
    assert run.err == snapshot("""\
for DESK/user/.kimi-code/config.toml; to write it: modelbay configure kimi acme
warning: acme: cost of model acme/large not exported: the agent has no such setting
try it: kimi -m acme/large
""")


def test_kimi_code_reads_a_variable_itself(desk: Desk):
    assert 'api_key_env = "CLAUDE_KEY"' in desk.done("export", "kimi", "claude")
    assert 'api_key_env = "CLAUDE_KEY"' in desk.done("export", "kimi", "claude", "--keys")
    assert "api_key" not in desk.done("export", "kimi", "chat")


def test_references_that_the_agent_has_stay_and_others_become_variables(desk: Desk):
    assert '"apiKey": "{env:CLAUDE_KEY}"' in desk.done("export", "opencode", "claude", "--keys")
    assert '"apiKey": "{file:HOME/keys/file}"' in desk.done("export", "opencode", "file")
    run = desk("export", "opencode", "chat")
    assert '"apiKey": "{env:CHAT_API_KEY}"' in run.out
    assert "set CHAT_API_KEY to the key of chat before you start opencode" in run.err


@pytest.mark.parametrize("name", NAMES)
def test_no_key_leaves_without_keys(name: str, desk: Desk):
    for id in ("acme", "claude", "chat"):
        run = desk("export", name, id)
        assert "0123456789" not in run.out + run.err


@pytest.mark.parametrize(
    ("name", "id", "said"),
    [
        ("codex", "chat", "Codex supports only OpenAI Responses, and provider chat uses OpenAI Compatible"),
        ("claude", "acme", "Claude Code supports only Anthropic Messages, and provider acme uses OpenAI Responses"),
        ("kilo", "whole", "the URL of provider whole is a full endpoint, but Kilo Code appends the path itself"),
        ("claude", "query", "Claude Code does not support the query"),
        ("kimi", "query", "Kimi Code does not support the query"),
        ("opencode", "azure", "opencode calls Azure without an api-version"),
    ],
)  # fmt: skip
def test_an_unsupported_provider_is_refused_with_the_reason(name: str, id: str, said: str, desk: Desk):
    run = desk("export", name, id)
    assert (run.code, run.out) == (1, "")
    assert said in run.err
    assert "hint: " in run.err


@pytest.mark.parametrize(
    ("type", "url", "name", "there"),
    [
        ("openai", "https://api.deepseek.com", "claude", '"ANTHROPIC_BASE_URL": "https://api.deepseek.com/anthropic"'),
        ("kimi", "https://api.moonshot.ai/v1", "claude", '"ANTHROPIC_BASE_URL": "https://api.moonshot.ai/anthropic"'),
        ("openai", "https://api.openai.com/v1", "codex", 'base_url = "https://api.openai.com/v1"'),
    ],
)
def test_a_vendor_is_asked_in_the_protocol_that_the_agent_speaks(
    type: str, url: str, name: str, there: str, desk: Desk
):
    desk.file.write_text(f'[providers.v]\ntype = "{type}"\nbase_url = "{url}"\napi_key = "{{env:V_KEY}}"\n')
    assert there in desk.done("export", name, "v")


@pytest.mark.parametrize(
    ("type", "name", "there"),
    [
        ("openai", "kimi", 'api_key = "none"'),
        ("anthropic", "claude", '"ANTHROPIC_AUTH_TOKEN": "none"'),
        ("openai_responses", "opencode", '"apiKey": "none"'),
    ],
)
def test_an_agent_that_does_not_start_without_a_key_gets_a_word_for_none(type: str, name: str, there: str, desk: Desk):
    desk.file.write_text(f'[providers.here]\ntype = "{type}"\nbase_url = "http://127.0.0.1:1234/v1"\n')
    assert there in desk.done("export", name, "here")
    assert "none" not in desk.done("export", "kilo", "here") or type != "openai"


def test_a_key_that_claude_code_asks_about_is_reported(desk: Desk):
    asked = "Claude Code asks on its screen whether to use ANTHROPIC_API_KEY, and stores the answer: choose Yes"
    assert f"plain: {asked}" in desk("export", "claude", "plain", "--keys").err
    assert asked not in desk("export", "claude", "claude").err  # the program of `apiKeyHelper` prints its key


def test_claude_code_has_one_provider(desk: Desk):
    run = desk("export", "claude", "claude", "file")
    assert run.code == 1
    assert "supports only one provider" in run.err


def test_an_unknown_provider_is_named(desk: Desk):
    run = desk("export", "kilo", "acne")
    assert run.code == 1
    assert 'did you mean "acme"?' in run.err


def test_the_printed_entry_is_identical_to_the_written_one(desk: Desk):
    for name, id in (("kimi", "acme"), ("codex", "acme"), ("kilo", "acme"), ("claude", "claude")):
        printed = desk.done("export", name, id)
        desk.done("configure", name, id)
        file = next(path for path in desk.user.rglob("*") if path.suffix in (".json", ".toml"))
        read = tomllib.loads if file.suffix == ".toml" else jsonc.decode
        assert read(desk.same(file.read_text())) == read(printed)
        file.unlink()


ELSEWHERE = """\
[providers.acme]
type = "openai"
base_url = "https://acme.example/v1"
api_key = "ak-acme-0123456789"
[models."acme/here"]
provider = "acme"
model = "here"
[models."acme/here".variants.deep]
reasoning_effort = "high"
token = "vk-acme-0123456789"
[models."acme/there"]
provider = "acme"
model = "there"
base_url = "https://elsewhere.example/v1"
api_key = "ek-acme-0123456789"
"""


@pytest.mark.parametrize("agent", ("opencode", "kilo", "kimi"))
def test_a_model_with_an_address_and_a_key_of_its_own_does_not_get_its_providers_key(desk: Desk, agent: str) -> None:
    desk.file.write_text(ELSEWHERE)
    run = desk("export", agent, "acme", "--keys")
    assert run.code == 0
    assert "elsewhere.example" not in run.out
    assert "send the key of acme to https://elsewhere.example" in run.err


OWN_PATH = """\
default_model = "acme/there"
[providers.acme]
type = "{type}"
base_url = "https://acme.example/v1"
api_key = "ak-acme-0123456789"
[models."acme/here"]
provider = "acme"
model = "here"
base_url = "https://acme.example/v1"
[models."acme/there"]
provider = "acme"
model = "there"
base_url = "https://acme.example/eu/v1"
[models."acme/chat"]
provider = "acme"
model = "chat"
protocol = "openai"
"""


@pytest.mark.parametrize(("agent", "type"), (("codex", "openai_responses"), ("claude", "anthropic")))
def test_a_model_whose_own_address_cannot_be_expressed_is_left_out_and_named(desk: Desk, agent: str, type: str) -> None:
    desk.file.write_text(OWN_PATH.format(type=type))
    run = desk("export", agent, "acme")
    assert run.code == 0
    title = {"codex": "Codex", "claude": "Claude Code"}[agent]
    assert (
        "model acme/there not exported: its base URL is https://acme.example/eu/v1, "
        f"but {title} supports one base URL per provider" in run.err
    )
    assert f"model acme/chat not exported: {title} does not support OpenAI Compatible" in run.err
    assert "acme/here not" not in run.err
    assert '"there"' not in run.out and "eu/v1" not in run.out


def test_secrets_in_variants_are_not_exported(desk: Desk) -> None:
    desk.file.write_text(ELSEWHERE)
    run = desk("configure", "opencode", "acme")
    assert run.code == 0
    written = "".join(path.read_text() for path in desk.user.rglob("opencode.json*"))
    assert '"high"' in written and "vk-acme-0123456789" not in written
    assert "token of variant deep not exported: secret" in run.err


@pytest.mark.parametrize(
    ("settings", "efforts", "default"),
    [
        ('support_efforts = ["none", "minimal", "high", "low", "low"]', ["low", "high"], "low"),
        ('support_efforts = ["low", "max"]\ndefault_effort = "max"', ["low", "max"], "max"),
        ('support_efforts = ["low", "high"]\ndefault_effort = "medium"', ["low", "high"], "low"),
        ('support_efforts = ["off", "on"]\ndefault_effort = "on"', ["low", "medium", "high"], "medium"),
        ('default_effort = "minimal"', ["low", "medium", "high"], "medium"),
    ],
)
def test_qwen_code_gets_only_efforts_that_it_knows(desk: Desk, settings: str, efforts: list[str], default: str):
    desk.file.write_text(
        '[providers.acme]\ntype = "anthropic"\nbase_url = "https://acme.example"\napi_key = "k"\n'
        f'[models."acme/a"]\nprovider = "acme"\nmodel = "a"\n{settings}\n'
    )
    data = jsonc.decode(desk.done("export", "qwen", "acme"))
    [models] = data["modelProviders"].values()
    reasoning = models[0]["capabilities"]["reasoning"]
    assert (reasoning["efforts"], reasoning["defaultEffort"]) == (efforts, default)


@pytest.mark.parametrize(
    ("effort", "written", "read"),
    [
        ("max", {"effort": "max"}, "max"),
        ("minimal", {"effort": "low"}, "low"),
        ("none", False, "off"),
        ("off", False, "off"),
        ("on", None, None),
    ],
)
def test_the_effort_of_a_model_is_written_in_the_words_of_qwen_code_and_read_from_them(
    desk: Desk, effort: str, written: Any, read: str | None
):
    desk.file.write_text(
        '[providers.acme]\ntype = "openai"\nbase_url = "https://acme.example/v1"\napi_key = "k"\n'
        f'[models."acme/a"]\nprovider = "acme"\nmodel = "a"\ndefault_effort = "{effort}"\n'
    )
    desk.done("configure", "qwen", "acme")
    data = jsonc.decode((desk.user / ".qwen" / "settings.json").read_text())
    [models] = data["modelProviders"].values()
    assert models[0].get("generationConfig", {}).get("reasoning") == written
    desk.file.write_text("")
    desk.done("import", "qwen", "--yes")
    [model] = load(desk.file).models.values()
    assert model.default_effort == read


@pytest.mark.parametrize(("type", "also"), [("openai", {"reasoning_effort": "low"}), ("openai_responses", {})])
def test_qwen_code_sends_an_effort_beside_a_maximum_output(desk: Desk, type: str, also: dict[str, str]):
    desk.file.write_text(
        f'[providers.acme]\ntype = "{type}"\nbase_url = "https://acme.example/v1"\napi_key = "k"\n'
        '[models."acme/a"]\nprovider = "acme"\nmodel = "a"\ndefault_effort = "low"\nmax_output_size = 9000\n'
    )
    [models] = jsonc.decode(desk.done("export", "qwen", "acme"))["modelProviders"].values()
    assert models[0]["generationConfig"]["samplingParams"] == {"max_tokens": 9000} | also
    assert models[0]["generationConfig"]["reasoning"] == {"effort": "low"}


@pytest.mark.parametrize(
    ("type", "model", "effort", "options"),
    [
        ("openai", "a", "off", {"reasoningEffort": "none"}),
        ("openai_responses", "a", "minimal", {"reasoningEffort": "minimal"}),
        ("openai", "a", "on", {}),
        ("anthropic", "claude-opus-4-8", "minimal", {"effort": "low"}),
        ("anthropic", "a", "low", {}),
        ("anthropic", "a", "off", {"thinking": {"type": "disabled"}}),
        ("google-genai", "gemini-3-pro-preview", "max", {"thinkingConfig": {"thinkingLevel": "high"}}),
        ("google-genai", "a", "off", {}),
    ],
)
@pytest.mark.parametrize("name", ["kilo", "opencode"])
def test_an_effort_is_written_as_the_option_of_the_models_package(
    desk: Desk, name: str, type: str, model: str, effort: str, options: dict[str, Any]
):
    desk.file.write_text(
        f'[providers.acme]\ntype = "{type}"\nbase_url = "https://acme.example"\napi_key = "k"\n'
        f'[models."acme/a"]\nprovider = "acme"\nmodel = "{model}"\ndefault_effort = "{effort}"\n'
    )
    run = desk("export", name, "acme")
    entry = jsonc.decode(run.out)["provider"]["acme"]["models"]["a"]
    assert entry.get("options", {}) == options
    assert ("default_effort of model acme/a not exported" in run.err) == (not options and effort != "on")


@pytest.mark.parametrize("name", ["ccr", "crush", "qwen"])
def test_a_provider_with_googles_credentials_is_refused(name: str, desk: Desk):
    desk.file.write_text('[providers.v]\ntype = "vertexai"\nenv = { GOOGLE_CLOUD_PROJECT = "p" }\n')
    run = desk("export", name, "v")
    assert (run.code, run.out) == (1, "")
    assert "cannot use Google's credentials, which provider v needs" in run.err


@pytest.mark.parametrize("name", ["crush", "qwen", "continue", "droid"])
def test_a_query_that_the_agent_cannot_send_is_refused(name: str, desk: Desk):
    assert "does not support the query in the base URL of provider query" in desk("export", name, "query").err


def test_a_router_with_whole_endpoints_keeps_the_query(desk: Desk):
    assert '"https://query.example/v1/messages?team=7"' in desk.done("export", "ccr", "query", "--keys")


@pytest.mark.parametrize("name", NAMES)
def test_a_provider_without_models_is_reported_with_the_command_that_adds_one(name: str, desk: Desk):
    desk.file.write_text(
        '[providers."my acme"]\ntype = "openai"\nbase_url = "https://acme.example/v1"\napi_key = "k"\n'
    )
    run = desk("export", name, "my acme")
    lists = name in ("kimi", "kilo", "opencode", "ccr", "crush", "qwen", "continue", "droid")
    assert ("add some: `modelbay provider edit 'my acme' --add-model MODEL`" in run.err) == lists, run.err
