"""A secret in every place and under every name that a configuration has for one: no command shows any of them."""

import base64
import html
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from modelbay.conversation import Text, Turn
from modelbay.secrecy import redact, register
from modelbay.stored_chats.store import Store
from modelbay.stored_chats.stored_chat import StoredChat
from tests.cli.inside import Inside

HEADERS = (
    *(
        "Ocp-Apim-Subscription-Key",
        "Cookie",
        "X-Auth",
        "X-PAT",
        "X-Api-Token",
        "Proxy-Authorization",
        "apikey",
        "Private-Token",
    ),
    *("X-Functions-Key", "X-JWT", "X-Session", "X-Signature", "X-Team", "CF-Access-Client-Id", "X-Anything"),
)
PARAMETERS = (
    *(
        "apikey",
        "accessToken",
        "passwd",
        "client_secret",
        "pwd",
        "auth",
        "code",
        "key",
        "sig",
        "subscription-key",
        "session",
    ),
    *("X-Amz-Signature", "pat", "jwt", "team", "KEY", "api%5Fkey"),
)
VARIABLES = ("OPENAI_API_KEY", "OPENAI_PASSWORD", "ACME_PAT", "ACME_SAS", "ACME_ANYTHING")
UNKNOWN = ("api_keyy", "apiToken", "passphrase", "anything")


def planted(name: str) -> str:
    return f"planted-{name.replace('%', '').lower()[:20]}-9f3c7a"


def config() -> str:
    headers = "\n".join(f'{name} = "{planted("h" + name)}"' for name in HEADERS)
    query = "&".join(f"{name}={planted('q' + name)}" for name in PARAMETERS)
    variables = "\n".join(f'{name} = "{planted("v" + name)}"' for name in VARIABLES)
    unknown = "\n".join(f'{name} = "{planted("u" + name)}"' for name in UNKNOWN)
    return f"""\
default_model = "all/m"
[providers.all]
type = "openai"
base_url = "https://me:{planted("user")}@all.example/v1?{query}&api-version=1#{planted("fragment")}"
proxy = "http://me:{planted("proxy")}@proxy.example:3128"
{unknown}
# api_key = "{planted("comment")}"
# the old one was sk-{planted("loose")}
[providers.all.custom_headers]
User-Agent = "harmless/1.0"
Authorization = "Bearer {planted("bearer")}"
{headers}
[providers.all.env]
{variables}
[providers.claude]
type = "anthropic"
base_url = "https://claude.example"
api_key = "{planted("key")}"
custom_headers = {{ X-PAT = "{planted("claude")}", anthropic-beta = "harmless-2025" }}
[providers.listed]
type = "openai"
base_url = "https://listed.example/v1"
[providers.listed.source]
kind = "apiJson"
url = "https://registry.example/api.json?{query}"
apiKey = "{planted("token")}"
[providers.broken]
type = "openai"
api_key = "{planted("broken")}"
base_url = "ftp://me:{planted("ftp")}@host/?passwd={planted("ftpquery")}"
custom_headers = {{ X-A = "{{env}} {planted("wrong")}" }}
[models."all/m"]
provider = "all"
model = "m"
api_key = "{planted("model")}"
base_url = "https://me:{planted("place")}@model.example/v1?passwd={planted("where")}"
[models."claude/m"]
provider = "claude"
model = "m"
apiToken = "{planted("unknown")}"
env = {{ ACME_KEY = "{planted("menv")}" }}
[models."claude/m".overrides]
api_key = "{planted("override")}"
[models."claude/m".variants.deep]
api_key = "{planted("variant")}"
headers = {{ X-PAT = "{planted("vheader")}" }}
metadata = {{ password = "{planted("nested")}" }}
[providers.claude.dialect]
body = {{ token = "{planted("body")}", more = {{ password = "{planted("deep")}" }} }}
[[providers.claude.accounts]]
api_key = "{planted("account")}"
[providers.path]
type = "openai"
base_url = "https://path.example/hook/sk-{planted("path")}9f3c7a11223344/v1"
api_key = "{planted("pathkey")}"
[services.search]
api_key = "{planted("service")}"
custom_headers = {{ X-Anything = "{planted("sheader")}" }}
[mcp.servers.code]
env = {{ CODE_TOKEN = "{planted("mcp")}" }}
headers = {{ Authorization = "Bearer {planted("mheader")}" }}
[models."responses/m"]
provider = "responses"
model = "m"
[providers.responses]
type = "openai_responses"
base_url = "https://responses.example/v1?{query}"
[providers.responses.custom_headers]
{headers}
"""


COMMANDS = (
    "provider list", "provider list --json", "provider show all", "provider show all --json", "provider show claude --json",
    "provider show listed --json", "provider refresh listed --dry-run",
    "model list", "model list --json", "model show all/m", "model show all/m --json", "config check",
    "model show claude/m", "model show claude/m --json", "provider show path", "provider show path --json",
    "provider remove path --dry-run", "export opencode claude",
    "export opencode all", "export kilo all claude", "export kimi claude", "export claude claude", "export codex responses",
    "export kimi all", "export claude all", "export ccr all claude responses", "export crush all claude",
    "export qwen all claude responses", "export continue all claude", "export cline all claude responses",
    "export droid all claude responses",
    "import kimi FILE --dry-run", "import kimi FILE --yes",
    "provider edit claude --base-url https://claude.example/v1 --dry-run", "provider remove claude --dry-run",
    "model default claude/m", "model set all/m max_output_size=10", "provider remove all --yes", "login --status --json",
    "ask -m broken/m Hi", "ask -m nothing/m Hi", "provider test broken",
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_shows_a_secret_however_it_is_named(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "XDG_CONFIG_HOME", "CODEX_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "user"))
    bay = Inside(tmp_path, monkeypatch)
    bay.file.write_text(config())
    bay.file.chmod(0o600)
    (tmp_path / "theirs.toml").write_text(config().replace("providers.all", "providers.theirs"))
    run = bay(*(word.replace("FILE", str(tmp_path / "theirs.toml")) for word in command.split()), "--verbose")
    leaks = [line for line in (run.out + run.err).splitlines() if "9f3c7a" in line]
    assert not leaks, leaks[:5]
    assert "internal:" not in run.err, run.err
    if command.startswith(("import", "provider show all", "provider list")):
        assert run.code == 0, run.err


def test_an_export_keeps_the_headers_that_are_harmless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bay = Inside(tmp_path, monkeypatch)
    bay.file.write_text(config())
    assert "harmless/1.0" in bay.done("export", "opencode", "all")
    assert "harmless-2025" in bay.done("export", "claude", "claude")


def test_an_export_with_keys_has_them_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bay = Inside(tmp_path, monkeypatch)
    bay.file.write_text(config())
    text = bay.done("export", "codex", "responses", "--keys")
    wanted = [planted("h" + name) for name in HEADERS]
    assert [secret for secret in wanted if secret not in text] == []


def in_basic(before: str, after: str, key: str) -> str:
    return base64.b64encode(f"{before}{key}{after}".encode()).decode()


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "a header": "Bearer {}".format,
    "a URL": lambda key: f"?x={quote(key, safe='')}&y",
    "a URL in small hexadecimal": lambda key: re.sub("%..", lambda byte: byte[0].lower(), quote(key, safe="")),
    "a form": quote_plus,
    "a URL in a URL": lambda key: quote(quote(key, safe=""), safe=""),
    "JSON": lambda key: json.dumps({"k": key}),
    "JSON without escapes": lambda key: json.dumps({"k": key}, ensure_ascii=False),
    "JSON in JSON": lambda key: json.dumps(json.dumps({"k": key})),
    "JSON with escaped slashes": lambda key: json.dumps(key).replace("/", "\\/"),
    "HTML": html.escape,
    "a repr": repr,
    "hexadecimal": lambda key: key.encode().hex(),
    **{f"base64 after {before!r}": partial(in_basic, before, "") for before in ("", "u", "us", ":", "user:")},
    **{f"base64 before {after!r}": partial(in_basic, "user:", after) for after in (":", "ab", "abc")},
    "base64 for URLs": lambda key: base64.urlsafe_b64encode(f"user:{key}".encode()).decode(),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("key", ["sk-planted-0123456789abcdef", 'pa55/w0rd="ö&<\\', "planted+key/with=signs=="])
def test_a_quoted_secret_is_found_in_every_spelling(spelling: str, key: str) -> None:
    register(key)
    quoted = SPELLINGS[spelling](key)
    left = redact(f"before {quoted} after")
    assert "…" in left
    core = quoted[len(quoted) // 3 : len(quoted) // 3 + 8]
    assert core not in left, left


def test_a_saved_conversation_has_no_configured_secret(tmp_path: Path) -> None:
    register("sk-planted-in-a-reply-42")
    store = Store(tmp_path / "chats.sqlite")
    said = [
        Turn("user", [Text(text="What is sk-typed-by-a-person?")]),
        Turn("assistant", [Text(text="sk-planted-in-a-reply-42")]),
    ]
    chat = StoredChat(turns=said, title="about sk-planted-in-a-reply-42")
    store.save(chat)
    assert b"sk-planted" not in store.path.read_bytes()
    assert chat.id is not None
    assert [part.text for turn in store.load(chat.id).turns for part in turn.parts if isinstance(part, Text)] == [
        "What is sk-typed-by-a-person?",
        "…",
    ]
