"""A user's own vendors: found beside the built-in ones, never instead of them, and from files that only the user can change."""

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from modelbay.config.load import load, parse
from modelbay.config.schema import Problem
from modelbay.errors import ConfigError
from modelbay.hub import Hub
from modelbay.onboarding.config_check import config_problems
from modelbay.origin import Origin, origin
from modelbay.providers import logins, presets
from modelbay.providers.own_vendors import MOST_BYTES, overlap
from modelbay.providers.presets import by_name as vendor
from modelbay.providers.upstream import upstream
from modelbay.providers.vendor import built_in
from modelbay.recognition import recognize

ACME = """\
name = "Acme Gateway"
hosts = ["llm.acme.example", "*.llm.acme.example"]
base_url = "https://llm.acme.example/v1"
protocols = ["openai_chat", "anthropic"]
key_url = "https://wiki.acme.example/keys?space=llm"
models_dev = ["openai"]

[base_urls]
anthropic = "https://llm.acme.example/anthropic"

[auth]
anthropic = "bearer"

[dialect]
unsupported = ["seed"]

[dialect.openai_chat]
max_tokens_parameter = "max_tokens"
"""
LOGIN = """
[[logins]]
id = "acme-eu"
title = "Acme Europe"
by = "key"
base_url = "https://eu.llm.acme.example/v1"

[[logins]]
id = "acme"
title = "Acme"
by = "device"
base_url = "https://llm.acme.example/v1/"
host = "https://login.llm.acme.example"
device_path = "/oauth/device"
token_path = "/oauth/token"
client_id = "modelbay"
"""
Write = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    made = tmp_path / "presets"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def write(folder: Path) -> Write:
    def write(text: str | bytes = ACME, name: str = "acme.toml") -> Path:
        path = folder / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        path.chmod(0o600)
        return path

    return write


def the_problem() -> Problem:
    (problem,) = presets.problems()
    assert presets.own() == ()
    assert problem.hint
    return problem


def at(url: str) -> str | None:
    where = origin(url)
    found = presets.by_host(f"localhost:{where.port}" if where.loopback else where.host)
    return found.id if found else None


# --- what a file gives ---


def test_a_vendor_is_found_by_id_name_host_and_in_the_list_of_all(write: Write) -> None:
    path = write()
    preset = presets.by_id("acme")
    assert preset is not None and preset.file == str(path) and preset.models_dev == ["openai"]
    assert presets.problems() == []
    assert vendor("Acme gateway") == vendor("ACME") == preset
    assert preset in presets.all() and preset not in built_in()
    assert at("https://LLM.Acme.example.:8443/v1") == at("https://eu.llm.acme.example") == "acme"
    assert at("https://acme.example") is at("https://llm.acme.example.evil.example") is None
    assert preset.dialect_of("openai_chat").max_tokens_parameter == "max_tokens"
    assert preset.dialect_of("anthropic").unsupported == ["seed"]
    assert recognize("https://llm.acme.example/anthropic").protocol == "anthropic"


def test_its_logins_have_entries_and_tokens_of_their_own(write: Write) -> None:
    write(ACME + LOGIN)
    assert presets.problems() == []
    login = logins.by_id("acme")
    assert login is not None
    assert (login.provider, login.prefix, login.type, login.key) == ("acme", "acme", "openai", "oauth/acme")
    assert logins.by_key("oauth/acme") == login
    assert logins.oauth_table(login) == {"storage": "file", "key": "oauth/acme"}
    other = logins.by_id("acme-eu")
    assert other is not None and other.key_url == "https://wiki.acme.example/keys?space=llm"


def test_a_host_in_another_script_is_found_in_both_spellings(write: Write) -> None:
    write(ACME.replace("llm.acme.example", "llm.bücher.example"))
    assert at("https://llm.bücher.example/v1") == at("https://llm.xn--bcher-kva.example") == "acme"


def test_a_server_on_this_machine_is_found_by_its_port(write: Write) -> None:
    write('name = "Ours"\nhosts = ["127.0.0.1:4711"]\nbase_url = "http://localhost:4711"\nprotocols = ["openai_chat"]')
    assert at("http://[::1]:4711/v1") == "acme"
    assert at("http://localhost:4712/v1") is None


def test_an_exact_host_wins_over_the_domain_of_another_own_vendor(write: Write) -> None:
    write()
    other = write('name = "Lab"\nhosts = ["lab.llm.acme.example"]\nprotocols = ["google"]', "lab.toml")
    assert presets.problems() == []
    assert at("https://lab.llm.acme.example") == "lab"
    other.unlink()
    assert at("https://lab.llm.acme.example") == "acme"


def test_a_changed_file_is_read_again(write: Write, folder: Path) -> None:
    path = write()
    assert presets.by_id("acme") is not None
    write(ACME.replace("Acme Gateway", "Other"))
    assert [preset.name for preset in presets.own()] == ["Other"]
    path.chmod(0o666)
    assert presets.own() == ()
    path.unlink()
    assert presets.problems() == []
    folder.rmdir()
    assert presets.by_id("acme") is None


def test_other_files_in_the_folder_are_ignored(write: Write, folder: Path) -> None:
    write()
    for name in ("README.md", ".acme.toml.swp", "acme.toml~", ".toml", ".other.toml"):
        write("not TOML {{{", name)
    assert presets.problems() == []
    assert [preset.id for preset in presets.own()] == ["acme"]


# --- reports ---


def test_a_bad_file_is_reported_and_the_others_work(write: Write, tmp_path: Path) -> None:
    bad = write(ACME.replace("protocols", "protocolls"), "bad.toml")
    write()
    file = tmp_path / "config.toml"
    file.write_text('[providers.p]\ntype = "openai"\nbase_url = "https://llm.acme.example/v1"\nauth = "none"\n')
    config = load(file)
    (problem,) = Hub(config).problems
    assert str(problem) == f"{bad}:4: protocolls: unknown key"
    assert problem.hint == 'rename it to "protocols"'
    assert config_problems(config) == [problem]
    assert upstream(config, config.provider("p")).vendor == "acme"
    with pytest.raises(ConfigError) as caught:
        recognize("bad")
    assert caught.value.hint == f"correct {problem}"


@pytest.mark.parametrize(
    ("change", "line", "where"),
    [
        (('name = "Acme Gateway"\n', ""), None, "vendor"),
        (('name = "Acme Gateway"', 'name = "…"'), 1, "name"),
        (('name = "Acme Gateway"', "name = 7"), 1, "name"),
        (('name = "Acme Gateway"', 'name = "A\\u001b[31mB"'), 1, "name"),
        (("name =", 'id = "acme"\nname ='), 1, "id"),
        (("name =", 'file = "x"\nname ='), 1, "file"),
        (("name =", 'types = ["openai"]\nname ='), 1, "types"),
        (("name =", 'addressing = "vertexai"\nname ='), 1, "addressing"),
        (('"openai_chat", "anthropic"', '"openai"'), 4, "protocols"),
        (("https://llm.acme.example/v1", "ftp://llm.acme.example/v1"), 3, "base_url"),
        (("https://llm.acme.example/v1", "https://{account}.llm.acme.example/v1"), 3, "base_url"),
        (("https://llm.acme.example/v1", "https://llm.other.example/v1"), 3, "base_url"),
        (("https://llm.acme.example/anthropic", "https://api.anthropic.com"), 9, "base_urls.anthropic"),
        (("[base_urls]\nanthropic", "[base_urls]\ngoogle"), 9, "base_urls.google"),
        (('anthropic = "bearer"', 'anthropic = "basic"'), 12, "auth.anthropic"),
        (("unsupported", "unsuported"), 15, "dialect.unsuported"),
        (('["seed"]', '"seed"'), 15, "dialect.unsupported"),
        (('unsupported = ["seed"]', 'tool_name = "["'), 15, "dialect.tool_name"),
        (('"max_tokens"', '"tokens"'), 18, "dialect.openai_chat.max_tokens_parameter"),
        (("dialect.openai_chat", "dialect.google"), 17, "dialect.google"),
        (("https://wiki", "javascript://wiki"), 5, "key_url"),
        (("protocols =", 'lists = ["//evil.example/models"]\nprotocols ='), 4, "lists"),
        (("protocols =", 'describes = "https://evil.example"\nprotocols ='), 4, "describes"),
        (("protocols =", "protocols"), 4, "vendor"),
    ],
)
def test_a_mistake_is_reported_with_its_line(
    write: Write, change: tuple[str, str], line: int | None, where: str
) -> None:
    assert change[0] in ACME
    write(ACME.replace(*change))
    problem = the_problem()
    assert (problem.line, problem.where) == (line, where), problem


@pytest.mark.parametrize(
    ("change", "line", "where"),
    [
        (('id = "acme"', 'id = "other"'), 27, "logins.id"),
        (('id = "acme"', 'id = "acme-eu"'), 27, "logins.id"),
        (('id = "acme"', 'id = "acme-env-x"'), 27, "logins.id"),
        (('by = "device"', 'by = "adc"'), 29, "logins.by"),
        (('client_id = "modelbay"', ""), 26, "logins"),
        (('client_id = "modelbay"', 'client = "modelbay"'), 34, "logins.client"),
        (('client_id = "modelbay"', 'client_id = "m"\nkey = "oauth/acme"'), 35, "logins.key"),
        (('client_id = "modelbay"', 'client_id = "m"\nprovider = "managed:other"'), 35, "logins.provider"),
        (('client_id = "modelbay"', 'client_id = "m"\nservices = { search = "/s" }'), 35, "logins.services"),
        (("https://login.llm.acme.example", "https://login.evil.example"), 31, "logins.host"),
        (("https://login.llm.acme.example", "http://login.llm.acme.example"), 31, "logins.host"),
        (("https://llm.acme.example/v1/", "https://api.openai.com/v1"), 30, "logins.base_url"),
        (("/oauth/token", "https://evil.example/token"), 33, "logins.token_path"),
        (("/oauth/token", "//evil.example/token"), 33, "logins.token_path"),
        (("/oauth/device", "/\\\\evil.example"), 32, "logins.device_path"),
    ],
)
def test_a_login_sends_tokens_to_the_vendors_own_hosts_only(
    write: Write, change: tuple[str, str], line: int, where: str
) -> None:
    assert change[0] in LOGIN
    write(ACME + LOGIN.replace(*change))
    problem = the_problem()
    assert (problem.line, problem.where) == (line, where), problem


VALUES = [
    "7",
    "1.5",
    "true",
    '"x"',
    '""',
    "[]",
    "{}",
    "[7]",
    "[[7]]",
    "[{ a = 7 }]",
    "{ a = 7 }",
    "2026-01-01",
    '["x"]',
    "nan",
]


@pytest.mark.parametrize("value", VALUES)
def test_a_value_of_any_type_is_used_or_reported(write: Write, value: str) -> None:
    lines = (ACME + LOGIN).splitlines()
    for number, line in enumerate(lines):
        if "=" in line:
            changed = [*lines[:number], f"{line.partition('=')[0]}= {value}", *lines[number + 1 :]]
            write("\n".join(changed))
            assert len(presets.own()) + len(presets.problems()) == 1
    for table in ("base_urls", "auth", "dialect", "logins", "dialect.openai_chat"):
        write(f'name = "A"\nhosts = ["a.example"]\nprotocols = ["openai_chat"]\n{table} = {value}')
        assert len(presets.own()) + len(presets.problems()) == 1


# --- built-in vendors ---


@pytest.mark.parametrize(
    "name", ["openai", "open-ai", "moonshot-cn", "kimi-code", "vertexai", "local", "zhipuai", "google-genai"]
)
def test_a_name_of_a_built_in_vendor_cannot_be_used(write: Write, name: str) -> None:
    before = vendor(name)
    write(name=f"{name}.toml")
    assert "name of the file" in the_problem().message
    assert vendor(name) == before


@pytest.mark.parametrize(
    "name", ["OpenAI", "open ai", "\uff2f\uff50\uff45\uff4e\uff21\uff29", "Z.ai (GLM)", "kimi", "OLLAMA"]
)
def test_a_display_name_of_a_built_in_vendor_cannot_be_used(write: Write, name: str) -> None:
    write(ACME.replace("Acme Gateway", name))
    assert the_problem().where == "name"


@pytest.mark.parametrize(
    "name",
    ["OpenAI.toml", "ACME.toml", "ac me.toml", "acme.TOML", "a.b.toml", "-.toml", "é.toml", "a" * 65 + ".toml"],
)
def test_the_name_of_a_file_must_be_an_id(write: Write, name: str) -> None:
    write(name=name)
    assert "name of the file" in the_problem().message


@pytest.mark.parametrize(
    "host",
    [
        "api.openai.com", "API.OPENAI.COM", "api.openai.com.", "\uff41\uff50\uff49.openai.com", "api\u3002openai\u3002com",
        "api.openai.com:443",
        "*.openai.com", "*.com", "*", "*.*", "a*.openai.com", "x.openai.azure.com", "*.azure.com", "*.x.openai.azure.com",
        "auth.kimi.com", "*.kimi.com", "eu-aiplatform.googleapis.com", "bedrock-mantle.x.api.aws", "*.eu.api.aws",
        "localhost:11434", "127.0.0.1:11434", "127.0.0.2:11434", "[::1]:11434", "LOCALHOST:11434", "a.localhost:11434",
        "localhost.:11434", "localhost", "*.localhost:11434", "127.1", "0x7f000001", "2130706433",
        "https://api.openai.com", "user@api.openai.com", "api.openai.com/v1", "api.openai.com#", "", "a..b", "a b",
        "api.openai.com\\\\.acme.example",
    ],
)  # fmt: skip
def test_a_host_of_a_built_in_vendor_cannot_be_listed(write: Write, host: str) -> None:
    before = {
        url: at(url) for url in ("https://api.openai.com", "https://x.openai.azure.com", "http://localhost:11434")
    }
    write(f'name = "Acme"\nhosts = ["llm.acme.example", "{host}"]\nprotocols = ["openai_chat"]')
    problem = the_problem()
    assert (problem.line, problem.where) == (2, "hosts")
    assert {url: at(url) for url in before} == before


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("*.a", "x.a", True),
        ("*.a", "a", False),
        ("*.a", ".a", False),
        ("*.b.a", "*.a", True),
        ("x*", "*y", True),
        ("*-a.b", "*.b", True),
        ("a.*.c", "a.c", False),
        ("a.*.c", "*.d.c", True),
        ("*.c", "a.*.d", False),
        ("*", "*", True),
    ],
)
def test_two_patterns_overlap_if_a_host_matches_both(one: str, other: str, both: bool) -> None:
    assert overlap(one, other) is overlap(other, one) is both


def test_of_two_files_for_one_vendor_the_first_is_used(write: Write) -> None:
    write()
    for name, text in (
        ("a-c-me.toml", ACME.replace("Acme Gateway", "First").replace("llm.acme", "first.acme")),
        ("b.toml", ACME.replace("Acme Gateway", "B")),
        ("c.toml", ACME.replace("Acme Gateway", "b").replace("llm.acme", "c.acme")),
        ("d.toml", ACME.replace("Acme Gateway", "D").replace("*.llm.acme", "x.acme")),
    ):
        write(text, name)
    assert [preset.id for preset in presets.own()] == ["a-c-me", "b"]
    refused = {Path(one.file).name: one.where for one in presets.problems()}
    assert refused == {"acme.toml": "vendor", "c.toml": "name", "d.toml": "hosts"}


# --- secrets ---


@pytest.mark.parametrize(
    "line",
    [
        'api_key = "abc"',
        'key_url = "https://acme.example/{command:cat /etc/passwd}"',
        'key_url = "https://acme.example/{env:HOME}"',
        'key_url = "https://user:pass@acme.example/"',
        'key_url = "https://acme.example/?api_key=abc"',
        'models_dev = ["sk-planted-0123456789abcdef"]',
        'models_dev = ["{command:id}"]',
        'dialect.body = { api_key = "abc" }',
        'dialect.body.header.authorization = "abc"',
        'dialect.body.list = [{ token = "abc" }]',
        'custom_headers = { Authorization = "Bearer planted-0123456789" }',
    ],
)
def test_a_file_contains_neither_secrets_nor_references(write: Write, line: str) -> None:
    write(f'{line}\nname = "Acme"\nhosts = ["llm.acme.example"]\nprotocols = ["openai_chat"]')
    problem = the_problem()
    assert problem.line == 1
    assert "abc" not in f"{problem} {problem.hint}" and "planted" not in f"{problem} {problem.hint}"


# --- files of other users ---


def test_a_file_that_others_can_change_is_not_used(write: Write) -> None:
    path = write()
    for mode in (0o620, 0o602, 0o666):
        path.chmod(mode)
        problem = the_problem()
        assert (f"{mode:04o}" in problem.message, problem.hint) == (True, f"chmod go-w {path}")
    path.chmod(0o644)
    assert presets.by_id("acme") is not None


def test_a_folder_that_others_can_change_is_not_used(write: Write, folder: Path) -> None:
    write()
    folder.chmod(0o777)
    assert (the_problem().file, the_problem().hint) == (str(folder), f"chmod go-w {folder}")
    folder.chmod(0o755)
    assert presets.by_id("acme") is not None


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_not_used_even_through_a_link(write: Write, folder: Path, tmp_path: Path) -> None:
    path = write()
    os.chown(path, 12345, -1)
    assert "UID 12345" in the_problem().message
    path.rename(tmp_path / "theirs.toml")
    path.symlink_to(tmp_path / "theirs.toml")
    assert "UID 12345" in the_problem().message
    path.unlink()
    write()
    os.chown(folder, 12345, -1)
    assert the_problem().file == str(folder)


def test_a_link_to_ones_own_file_is_followed(write: Write, tmp_path: Path) -> None:
    path = write()
    path.rename(tmp_path / "ours.toml")
    path.symlink_to(tmp_path / "ours.toml")
    assert presets.by_id("acme") is not None
    (tmp_path / "ours.toml").chmod(0o666)
    assert "0666" in the_problem().message


@pytest.mark.parametrize("target", ["nowhere", "acme.toml", "/dev/zero", "/proc/self/environ", "."])
def test_a_link_to_something_else_is_reported(write: Write, folder: Path, target: str) -> None:
    (folder / "acme.toml").symlink_to(target)
    assert the_problem().file.endswith("acme.toml")


def test_a_preset_that_is_not_a_file_is_reported_at_once(folder: Path) -> None:
    os.mkfifo(folder / "pipe.toml")
    (folder / "dir.toml").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "s.toml"))
        assert len(presets.problems()) == 3
    assert presets.own() == ()


def test_a_folder_that_is_a_file_is_reported(folder: Path) -> None:
    folder.rmdir()
    folder.write_text("")
    assert "not a folder" in the_problem().message


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b'name = "a"\nhosts = ["\xff"]', 2),
        (b"\xff\xfen\x00a\x00m\x00e\x00", 1),
        *((b"dialect.body.a = " + b"[" * depth + b"]" * depth, None) for depth in (200, 320, 400, 480, 800, 5000)),
        (b'name = "a"\nname = "b"', 2),
        (b"#" * (MOST_BYTES + 1), None),
        (b"", None),
        (b"\0", 1),
    ],
)
def test_bytes_that_are_not_a_vendor_are_reported(write: Write, data: bytes, line: int | None) -> None:
    write(data)
    assert the_problem().line == line


def test_windows_editors_may_write_a_byte_order_mark(write: Write) -> None:
    write(b"\xef\xbb\xbf" + ACME.replace("\n", "\r\n").encode())
    assert presets.problems() == []


# --- keys ---


def test_a_changed_file_does_not_move_an_entry_to_another_host(write: Write, tmp_path: Path) -> None:
    write()
    text = '[providers.p]\ntype = "openai"\nbase_url = "https://llm.acme.example/v1"\napi_key = "k"\ndialect = "acme"\n'
    config = parse(text, tmp_path / "config.toml")
    write(ACME.replace("llm.acme.example", "evil.example"))
    assert upstream(config, config.provider("p")).origin == Origin("https", "llm.acme.example", 443)


def test_an_entry_of_an_own_vendor_needs_a_base_url(write: Write, tmp_path: Path) -> None:
    """Otherwise its key would go wherever the file says next."""
    write()
    config = parse('[providers.p]\napi_key = "k"\ndialect = "acme"\n', tmp_path / "config.toml")
    with pytest.raises(ConfigError, match="has no base_url") as caught:
        upstream(config, config.provider("p"))
    assert caught.value.hint == 'add base_url = "https://llm.acme.example/v1"'


def test_an_entry_whose_vendor_file_is_bad_says_what_to_correct(write: Write, tmp_path: Path) -> None:
    path = write(ACME.replace("name =", "nam ="))
    config = parse('[providers.p]\nbase_url = "https://x.example"\ndialect = "acme"\n', tmp_path / "config.toml")
    with pytest.raises(ConfigError, match='unknown dialect "acme"') as caught:
        upstream(config, config.provider("p"))
    assert caught.value.hint == f"correct {path}:1: nam: unknown key"
