"""`modelbay configure` of a file with an existing entry: settings for another URL are removed."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from modelbay.agents import by_name, jsonc
from modelbay.agents.findings import leaves
from modelbay.simulator import Simulator
from tests.agents.desk import Desk
from tests.servers.site import site

OLD, NEW = "https://old.example", "https://new.example"
WAS = "sk-was-0123456789"

CONFIG = f"""\
[providers.chat]
type = "openai"
base_url = "{NEW}/v1"
api_key = "sk-new-0123456789"
[providers.responses]
type = "openai_responses"
base_url = "{NEW}/v1"
api_key = "sk-new-0123456789"
[providers.claude]
type = "anthropic"
base_url = "{NEW}"
api_key = "sk-new-0123456789"
[providers.bare]
type = "openai"
base_url = "{NEW}/v1"
auth = "none"
[models."chat/m"]
provider = "chat"
model = "m"
[models."responses/m"]
provider = "responses"
model = "m"
[models."claude/m"]
provider = "claude"
model = "m"
[models."bare/m"]
provider = "bare"
model = "m"
"""
ID = {"kimi": "chat", "kilo": "chat", "opencode": "chat", "codex": "responses", "claude": "claude"}


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    for name in ("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "KIMI_MODEL_NAME"):
        monkeypatch.delenv(name, raising=False)
    made = Desk(tmp_path, monkeypatch)
    made.file.write_text(CONFIG)
    return made


def kilo(url: str, **options: Any) -> str:
    entry = {"npm": "@ai-sdk/openai-compatible", "options": {"baseURL": f"{url}/v1", **options}, "models": {"m": {}}}
    return json.dumps({"provider": {"chat": entry}}, indent=2)


def claude(url: str, env: dict[str, str], **rest: Any) -> str:
    return json.dumps({"theme": "dark", "env": {"ANTHROPIC_BASE_URL": url, **env}, **rest}, indent=2)


def codex(url: str, text: str) -> str:
    return f'[model_providers.responses]\nname = "Mine" # my own\nbase_url = "{url}/v1"\n{text}\n'


def kimi(url: str, text: str) -> str:
    return f'[providers.chat]\ntype = "openai"\nbase_url = "{url}/v1"\n{text}\n'


BEARER = {"Authorization": f"Bearer {WAS}"}
FILES: list[tuple[str, Any]] = [
    ("kilo", lambda url: kilo(url, apiKey=WAS)),
    ("kilo", lambda url: kilo(url, headers={**BEARER, "X-Team": WAS})),
    ("kilo", lambda url: kilo(url, queryParams={"key": WAS})),
    ("kilo", lambda url: kilo(url, secretAccessKey=WAS)),
    ("opencode", lambda url: kilo(url, apiKey=WAS, headers=BEARER)),
    ("codex", lambda url: codex(url, f'experimental_bearer_token = "{WAS}"')),
    ("codex", lambda url: codex(url, f'http_headers = {{ Authorization = "Bearer {WAS}", X-Team = "{WAS}" }}')),
    ("codex", lambda url: codex(url, f'query_params = {{ key = "{WAS}" }}')),
    ("codex", lambda url: codex(url, f'auth = {{ command = "echo", args = ["{WAS}"] }}')),
    ("kimi", lambda url: kimi(url, f'api_key = "{WAS}"')),
    ("kimi", lambda url: kimi(url, f'custom_headers = {{ X-Team = "{WAS}" }}')),
    ("kimi", lambda url: kimi(url, f'[providers.chat.env]\nOPENAI_API_KEY = "{WAS}"')),
    ("kimi", lambda url: kimi(url, f'[models."chat/m"]\nprovider = "chat"\nmodel = "m"\napi_key = "{WAS}"')),
    ("kimi", lambda url: kimi(url, f'[models.own]\nprovider = "chat"\nmodel = "m"\napi_key = "{WAS}"')),
    ("claude", lambda url: claude(url, {"ANTHROPIC_AUTH_TOKEN": WAS})),
    ("claude", lambda url: claude(url, {"ANTHROPIC_API_KEY": WAS})),
    ("claude", lambda url: claude(url, {"ANTHROPIC_CUSTOM_HEADERS": f"X-Team: {WAS}"})),
    ("claude", lambda url: claude(url, {}, apiKeyHelper=f"echo {WAS}")),
]


def file_of(desk: Desk, agent: str) -> Path:
    return by_name(agent).files()[-1]


def write(desk: Desk, agent: str, text: str) -> Path:
    file = file_of(desk, agent)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def read(file: Path) -> dict[str, Any]:
    said: dict[str, Any] = (tomllib.loads if file.suffix == ".toml" else jsonc.decode)(file.read_text())
    return said


@pytest.mark.parametrize("keys", [False, True])
@pytest.mark.parametrize(("agent", "made"), FILES)
def test_settings_for_another_url_are_removed_and_reported(desk: Desk, agent: str, made: Any, keys: bool):
    file = write(desk, agent, made(OLD))
    before = read(file)
    run = desk("configure", agent, ID[agent], *(["--keys"] if keys else []))
    assert run.code == 0, run.err
    assert WAS not in file.read_text()
    assert WAS not in run.out + run.err
    after = read(file)
    for path in leaves(before, ()):
        old, new = at(before, path), at(after, path)
        dotted = ".".join(path).replace("chat/m", '"chat/m"')
        if new is None:
            assert f"{dotted} was removed" in run.err
        elif old not in (new, {}):
            assert f"{dotted} was replaced" in run.err


@pytest.mark.parametrize(
    ("agent", "made"), [case for case in FILES if case[0] != "kimi" or "models" not in case[1](OLD)]
)
def test_settings_for_the_same_url_are_kept(desk: Desk, agent: str, made: Any):
    """Without --keys, nothing is written that would replace a key."""
    file = write(desk, agent, made(NEW))
    if agent in ("kilo", "opencode") and ("apiKey" in file.read_text() or "Authorization" in file.read_text()):
        return  # a reference is written, of which one counts
    if agent == "codex":
        return  # a variable's name is written
    desk.done("configure", agent, ID[agent])
    assert WAS in file.read_text()


def at(data: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data


@pytest.mark.parametrize(
    ("agent", "text", "gone"),
    [
        ("codex", codex(NEW, 'requires_openai_auth = true\nhttp_headers = { authorization = "x", X-Team = "blue" }'),
         ["requires_openai_auth", "http_headers.authorization"]),
        ("kimi", kimi(NEW, 'oauth = { storage = "file", key = "o" }'), ["oauth.key", "oauth.storage"]),
        ("kimi", kimi(NEW, 'api_key_env = "OLD_KEY"'), ["api_key_env"]),
        ("kilo", kilo(NEW, headers={"x-api-key": WAS, "X-Team": "blue"}), ["options.headers.x-api-key"]),
        ("claude", claude(NEW, {"ANTHROPIC_AUTH_TOKEN": WAS}, apiKeyHelper="echo"), ["AUTH_TOKEN", "apiKeyHelper"]),
    ],
)  # fmt: skip
def test_only_the_new_one_of_exclusive_settings_is_kept(desk: Desk, agent: str, text: str, gone: list[str]):
    file = write(desk, agent, text)
    run = desk("configure", agent, ID[agent], "--keys")
    for name in gone:
        assert f"{name} was removed" in run.err
    assert "X-Team" not in text or "blue" in file.read_text()


def test_an_old_url_that_would_still_apply_is_removed(desk: Desk):
    """The package prefers the base URL to an Azure resource, and a model's own URL to its provider's."""
    desk.file.write_text(
        '[providers.chat]\ntype = "azure"\nbase_url = "https://new.openai.azure.com"\napi_key = "sk-new-0123456789"\n'
        '[models."chat/m"]\nprovider = "chat"\nmodel = "m"\n'
    )
    entry = json.loads(kilo(OLD))
    entry["provider"]["chat"]["models"]["m"]["provider"] = {"api": f"{OLD}/v2"}
    file = write(desk, "kilo", json.dumps(entry))
    desk.done("configure", "kilo", "chat", "--keys")
    assert OLD not in file.read_text()


def test_a_model_of_the_old_url_does_not_get_the_new_key(desk: Desk):
    own = f'[models.own]\nprovider = "chat"\nmodel = "m"\nbase_url = "{OLD}/v2"\n'
    file = write(desk, "kimi", kimi(OLD, own))
    desk.done("configure", "kimi", "chat", "--keys")
    assert OLD not in file.read_text()
    file = write(desk, "kimi", kimi(NEW, own))  # a model's own URL is kept if the user set it
    desk.done("configure", "kimi", "chat", "--keys")
    assert OLD in file.read_text()


def test_a_credential_in_another_file_of_the_agent_is_an_error(desk: Desk):
    other = desk.write(".config/kilo/config.json", kilo(OLD, headers={"X-Team": WAS}))
    file = desk.write(".config/kilo/kilo.json", "{}")
    run = desk("configure", "kilo", "chat", "--keys")
    assert run.code == 1
    assert "config.json sets provider.chat.options.headers.X-Team for another URL" in run.err
    assert (file.read_text(), WAS in run.err) == ("{}", False)
    other.write_text(kilo(NEW, headers={"X-Team": WAS}))
    desk.done("configure", "kilo", "chat", "--keys")


@pytest.mark.parametrize("agent", ["kilo", "opencode"])
def test_the_key_of_a_login_with_the_same_name_is_not_used(desk: Desk, agent: str):
    desk.write(f".local/share/{agent}/auth.json", json.dumps({"bare": {"type": "api", "key": WAS}}))
    run = desk("configure", agent, "bare")
    assert read(file_of(desk, agent))["provider"]["bare"]["options"]["apiKey"] == "none"
    assert "its key is not used" in run.err


HINDRANCES = [
    ("kilo", '{"disabled_providers": ["chat"]}', "chat: it is listed in disabled_providers"),
    ("opencode", '{"enabled_providers": ["other"]}', "chat: it is not listed in enabled_providers"),
    ("kilo", '{"provider": {"chat": {"whitelist": ["other"]}}}', "provider.chat.whitelist hides the model m"),
    ("kilo", '{"provider": {"chat": {"blacklist": ["m"]}}}', "provider.chat.blacklist hides the model m"),
    (
        "codex",
        'profile = "work"\n[profiles.work]\nmodel_provider = "other"\n',
        "with the provider other overrides model_provider",
    ),
    ("claude", '{"env": {"CLAUDE_CODE_USE_BEDROCK": "1"}}', "CLAUDE_CODE_USE_BEDROCK is set"),
    ("claude", '{"env": {"CLAUDE_CODE_USE_VERTEX": 1}}', "CLAUDE_CODE_USE_VERTEX is set"),
    ("claude", '{"apiKeyHelper": "echo"}', "apiKeyHelper was removed"),
]


@pytest.mark.parametrize(("agent", "text", "said"), HINDRANCES)
def test_a_setting_that_prevents_the_agent_from_using_it_is_reported(desk: Desk, agent: str, text: str, said: str):
    write(desk, agent, text)
    assert said in desk("configure", agent, ID[agent], "--keys").err


@pytest.mark.parametrize(
    ("agent", "name", "said"),
    [
        ("claude", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_VERTEX is set in the environment"),
        ("claude", "ANTHROPIC_AUTH_TOKEN", "sends the environment variable ANTHROPIC_AUTH_TOKEN"),
        ("kimi", "KIMI_MODEL_NAME", "the environment variable KIMI_MODEL_NAME overrides"),
    ],
)
def test_environment_variables_are_considered(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, agent: str, name: str, said: str
):
    monkeypatch.setenv(name, "1")
    assert said in desk("configure", agent, ID[agent], "--keys").err


def test_project_settings_are_considered(desk: Desk):
    desk.write("project/.claude/settings.json", '{"env": {"ANTHROPIC_BASE_URL": "https://other.example"}}')
    run = desk("configure", "claude", "claude", "--keys")
    assert ".claude/settings.json overrides env.ANTHROPIC_BASE_URL" in run.err


def test_a_moved_entry_sends_no_old_secret_to_its_new_server(desk: Desk):
    """A server at the new URL records the request that Kimi Code's tables describe after it."""
    with Simulator() as simulator, site(simulator) as server:
        server.calls["/v1/chat/completions"] = "/v1/chat/completions"
        server.model = "sim-echo"
        desk.file.write_text(CONFIG.replace(NEW, server.url))
        headers = f'api_key = "{WAS}"\ncustom_headers = {{ X-Team = "{WAS}" }}'
        file = write(desk, "kimi", kimi(OLD, headers))
        desk.done("configure", "kimi", "chat", "--keys")
        desk.file.write_text(file.read_text())
        desk.done("ask", "-m", "chat/m", "Hello")
        assert WAS not in repr([(one.target, one.headers) for one in server.asked])
        assert server.keys() == {"Bearer sk-new-0123456789"}
