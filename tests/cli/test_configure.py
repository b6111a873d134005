"""`modelbay configure` as a person runs it."""

import re
import stat
import tomllib
from pathlib import Path
from threading import Thread

import pytest
from inline_snapshot import snapshot

from modelbay.agents import NAMES, by_name, jsonc, transaction
from modelbay.agents.exporting import exported_provider
from modelbay.agents.journal import journal_path
from modelbay.config.load import load
from modelbay.errors import ConfigError
from tests.agents.desk import Desk
from tests.cli.test_export import CONFIG


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk(tmp_path, monkeypatch)
    desk.file.write_text(CONFIG)
    return desk


def test_it_is_written_in_place_with_comments_kept_(desk: Desk):
    before = (
        "# my Codex\nmodel = \"gpt-5.2\" # the best\n\n[model_providers.other]\nname = 'Other' # old\n\n"
        '[mcp_servers.files] # tools\ncommand = "files"\n'
    )
    file = desk.write(".codex/config.toml", before)
    file.chmod(0o644)
    run = desk("configure", "codex", "acme", "--keys")
    assert run.out == "Written to DESK/user/.codex/config.toml\n"
    assert run.err == snapshot("""\
model stays "gpt-5.2", as set in Codex
warning: acme: models gpt-5 not exported: Codex has no list; choose one with `codex -m MODEL`
try it: codex -c model_provider=acme -m acme-large
to restore the old settings: modelbay configure codex --undo
""")
    assert file.read_text() == snapshot("""\
# my Codex
model = "gpt-5.2" # the best

[model_providers.other]
name = 'Other' # old

[model_providers.acme]
name = "Acme"
base_url = "https://acme.example/v1"
wire_api = "responses"
experimental_bearer_token = "sk-acme-0123456789"
http_headers = { X-Team = "blue", X-Api-Key = "hk-acme-0123456789" }

[mcp_servers.files] # tools
command = "files"
""")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    desk.done("configure", "codex", "--undo")
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == (before, 0o644)


def test_json_with_comments_keeps_them_too(desk: Desk):
    before = (
        '{\n\t// my own\n\t"theme": "dark", // at night\n\t"provider": {\n\t\t"acme": { "name": "Old", },\n\t},\n}\n'
    )
    file = desk.write(".config/opencode/opencode.jsonc", before)
    desk.done("configure", "opencode", "acme")
    after = file.read_text()
    assert after.startswith(
        '{\n\t// my own\n\t"theme": "dark", // at night\n\t"provider": {\n\t\t"acme": { "name": "Acme", '
    )
    assert jsonc.decode(after)["provider"]["acme"]["options"]["baseURL"] == "https://acme.example/v1"
    assert "Already up to date" in desk.done("configure", "opencode", "acme")
    desk.done("configure", "opencode", "--undo")
    assert file.read_text() == before


def test_the_agents_own_model_is_kept(desk: Desk):
    file = desk.write(".config/kilo/kilo.json", '{"model": "other/model"}')
    run = desk("configure", "kilo", "acme")
    assert jsonc.decode(file.read_text())["model"] == "other/model"
    assert 'model stays "other/model", as set in Kilo Code' in run.err


def test_a_link_stays_a_link_and_what_it_leads_to_changes(desk: Desk):
    real = desk.write("dotfiles/settings.json", "{}")
    (desk.user / ".claude").mkdir()
    link = desk.user / ".claude" / "settings.json"
    link.symlink_to(real)
    desk.done("configure", "claude", "claude")
    assert link.is_symlink()
    assert jsonc.decode(real.read_text())["env"]["ANTHROPIC_BASE_URL"] == "https://claude.example"
    desk.done("configure", "claude", "--undo")
    assert (link.is_symlink(), real.read_text()) == (True, "{}")


@pytest.mark.parametrize(
    ("name", "path", "text", "said"),
    [
        ("codex", ".codex/config.toml", "model = ", "is not valid"),
        ("codex", ".codex/config.toml", 'model_providers = "x"', "is not a table"),
        ("claude", ".claude/settings.json", '{"env": ', "is not valid"),
        ("claude", ".claude/settings.json", "[1]", "not a JSON object"),
        ("claude", ".claude/settings.json", '{"env": "x"}', "env is not an object"),
    ],
)
def test_a_broken_file_is_not_changed(name: str, path: str, text: str, said: str, desk: Desk):
    file = desk.write(path, text)
    run = desk("configure", name, "acme" if name == "codex" else "claude")
    assert (run.code, file.read_text()) == (1, text)
    assert said in run.err
    assert not journal_path(name).exists()


@pytest.mark.parametrize(
    ("name", "file", "content", "said"),
    [
        ("kilo", ".config/kilo/kilo.json", b'{\n "a": 1\n "b": 2}', "line 3, column 2"),
        ("kilo", ".config/kilo/kilo.json", b"\xff", "is not UTF-8 text"),
        ("claude", ".claude/settings.json", b"[1]", "is not a JSON object"),
        ("codex", ".codex/config.toml", b"model = \n", "line 1, column 9"),
        ("codex", ".codex/config.toml", b'model_providers = "x"', "is not a table"),
        ("kimi", ".kimi-code/config.toml", None, "Is a directory"),
    ],
)
def test_a_fault_in_an_agents_file_names_the_file_and_how_to_fix_it(
    name: str, file: str, content: bytes | None, said: str, desk: Desk
):
    (desk.user / file).parent.mkdir(parents=True)
    if content is None:
        (desk.user / file).mkdir()
    else:
        (desk.user / file).write_bytes(content)
    run = desk("configure", name, "claude" if name == "claude" else "acme", "--keys")
    assert run.code == 1
    message, hint = run.err.split("hint: ")
    path = f"DESK/user/{file}"
    assert said in message
    assert path in hint
    assert "modelbay" not in hint and "--config" not in hint


def test_several_processes_at_once_lose_nothing(desk: Desk) -> None:
    names, errors = [f"p{number}" for number in range(12)], []
    tables = "".join(
        f'[providers.{name}]\ntype = "openai_responses"\nbase_url = "https://{name}.example/v1"\napi_key = "k"\n'
        f'[models."{name}/m"]\nprovider = "{name}"\nmodel = "m"\nmax_context_size = 200000\n'
        for name in names
    )
    desk.file.write_text(tables)
    config, to, path = load(desk.file), by_name("codex"), desk.user / ".codex" / "config.toml"

    def configure(name: str) -> None:
        try:
            transaction.configure(to, to.write([exported_provider(config, name, to, with_keys=False)]))
        except ConfigError as error:
            errors.append(error)

    threads = [Thread(target=configure, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert set(tomllib.loads(path.read_text())["model_providers"]) == set(names)
    assert list(path.parent.iterdir()) == [path]
    desk.done("configure", "codex", "--undo")
    assert not path.parent.exists()


CLAUDE = ".claude/settings.json"
HAND = """\
{
  // at night
  "theme": "dark",
  "env": {
    "ANTHROPIC_BASE_URL": "https://old.example", // the old one
    "ANTHROPIC_AUTH_TOKEN": "sk-old-0123456789"
  }
}
"""


def test_the_changes_are_printed_without_secrets_and_nothing_is_written(desk: Desk):
    file = desk.write(CLAUDE, HAND)
    run = desk("configure", "claude", "claude", "--dry-run")
    assert run.out == snapshot("""\
--- DESK/user/.claude/settings.json
+++ DESK/user/.claude/settings.json
@@ -2,7 +2,9 @@
   // at night
   "theme": "dark",
   "env": {
-    "ANTHROPIC_BASE_URL": "https://old.example", // the old one
-    "ANTHROPIC_AUTH_TOKEN": "…"
-  }
+    "ANTHROPIC_BASE_URL": "https://claude.example", // the old one
+    "ANTHROPIC_MODEL": "claude-opus-4-7",
+    "ANTHROPIC_DEFAULT_OPUS_MODEL": "claude-opus-4-7"
+  },
+  "apiKeyHelper": "…"
 }
""")
    assert (file.read_text(), journal_path("claude").exists()) == (HAND, False)
    desk.done("configure", "claude", "claude")
    written = file.read_text()
    run = desk("configure", "claude", "--undo", "--dry-run")
    assert run.out == snapshot("""\
--- DESK/user/.claude/settings.json
+++ DESK/user/.claude/settings.json
@@ -2,9 +2,7 @@
   // at night
   "theme": "dark",
   "env": {
-    "ANTHROPIC_BASE_URL": "https://claude.example", // the old one
-    "ANTHROPIC_MODEL": "claude-opus-4-7",
-    "ANTHROPIC_DEFAULT_OPUS_MODEL": "claude-opus-4-7"
-  },
-  "apiKeyHelper": "…"
+    "ANTHROPIC_BASE_URL": "https://old.example", // the old one
+    "ANTHROPIC_AUTH_TOKEN": "…"
+  }
 }
""")
    assert (file.read_text(), journal_path("claude").exists()) == (written, True)


@pytest.mark.parametrize("name", [name for name in NAMES if by_name(name).changes_file])
def test_a_dry_run_for_the_gateway_prints_the_changes_and_writes_nothing(desk: Desk, name: str):
    def content() -> dict[Path, bytes]:
        found = (path for path in desk.user.parent.rglob("*") if path.is_file() and "cache" not in path.parts)
        return {path: path.read_bytes() for path in found}

    before = content()
    run = desk("configure", name, "--gateway", "--dry-run")
    assert run.code == 0, run.err
    assert content() == before
    assert "sk-mb-0" not in run.out + run.err
    desk.done("configure", name, "--gateway")  # which creates the client "local"
    desk.done("configure", name, "--undo")
    again = desk("configure", name, "--gateway", "--dry-run")
    assert masked(again.out) == masked(run.out)


def masked(text: str) -> str:
    return re.sub(r"sk-mb-\w*…\w*", "sk-mb-…", text)


def test_a_comment_with_a_very_long_word_does_not_delay_the_change(desk: Desk):
    text = f"# {'x' * 1_000_000}\n# api_key = 'hidden-0123456789'\n"
    file = desk.write(".codex/config.toml", text)
    assert "hidden-0123456789" not in desk.done("configure", "codex", "acme", "--dry-run")
    desk.done("configure", "codex", "acme")
    desk.done("configure", "codex", "--undo")
    assert file.read_text() == text


def test_an_undo_restores_everything_but_a_change_by_hand(desk: Desk):
    file = desk.write(CLAUDE, HAND)
    desk.done("configure", "claude", "claude")
    assert stat.S_IMODE(journal_path("claude").stat().st_mode) == 0o600
    file.write_text(file.read_text().replace('"dark"', '"light"').replace("// at night", "// by day"))
    run = desk("configure", "claude", "--undo")
    assert run.out == "Restored DESK/user/.claude/settings.json\n"
    assert file.read_text() == HAND.replace('"dark"', '"light"').replace("// at night", "// by day")
    assert not journal_path("claude").exists()
    assert "Nothing to undo" in desk("configure", "claude", "--undo").err


def test_a_model_that_was_changed_since_is_kept_and_named(desk: Desk):
    file = desk.write(CLAUDE, HAND)
    desk.done("configure", "claude", "claude")
    file.write_text(file.read_text().replace('"ANTHROPIC_MODEL": "claude-opus-4-7"', '"ANTHROPIC_MODEL": "my-own"'))
    run = desk("configure", "claude", "--undo")
    assert run.code == 0
    assert "env.ANTHROPIC_MODEL was changed since, and stays so" in run.err
    assert jsonc.decode(file.read_text()) == {
        "theme": "dark",
        "env": {
            "ANTHROPIC_BASE_URL": "https://old.example",
            "ANTHROPIC_AUTH_TOKEN": "sk-old-0123456789",
            "ANTHROPIC_MODEL": "my-own",
        },
    }


def test_a_key_of_the_user_beside_our_url_blocks_both_until_it_is_removed(desk: Desk):
    file = desk.write(CLAUDE, HAND)
    desk.done("configure", "claude", "claude")
    data = jsonc.decode(file.read_text())
    data["env"]["ANTHROPIC_AUTH_TOKEN"] = "sk-mine-0123456789"
    changed = jsonc.set_value(file.read_text(), ("env",), data["env"])
    file.write_text(changed)
    run = desk("configure", "claude", "--undo")
    assert run.code == 1
    assert "env.ANTHROPIC_AUTH_TOKEN in DESK/user/.claude/settings.json: changed next to a URL or key" in run.err
    assert "0123456789" not in run.out + run.err
    assert file.read_text() == changed
    file.write_text(jsonc.remove(changed, ("env", "ANTHROPIC_AUTH_TOKEN")))
    desk.done("configure", "claude", "--undo")
    assert jsonc.decode(file.read_text()) == jsonc.decode(HAND)
    assert not journal_path("claude").exists()


@pytest.mark.parametrize(
    ("agent", "path", "text", "edit"),
    [
        (
            "kimi",
            ".kimi-code/config.toml",
            '[providers.acme]\ntype = "openai_responses"\nbase_url = "https://old.example/v1" # old\n'
            "api_key_env = 'OLD_KEY' # my key\n# end\n",
            ("# old", "# older"),
        ),
        (
            "claude",
            CLAUDE,
            '{\n  "env": {\n    "ANTHROPIC_BASE_URL": "https://old.example", // old\n'
            '    "ANTHROPIC_AUTH_TOKEN": "sk-old-0123456789", // my key\n    "OTHER": "1" /* mine */\n  }\n}\n',
            ('"OTHER": "1"', '"OTHER": "2"'),
        ),
    ],
)
def test_a_setting_gets_its_comment_back_although_lines_beside_it_changed(
    desk: Desk, agent: str, path: str, text: str, edit: tuple[str, str]
):
    file = desk.write(path, text)
    desk.done("configure", agent, "acme" if agent == "kimi" else "claude")
    assert "my key" not in file.read_text()
    file.write_text(file.read_text().replace(*edit))
    desk.done("configure", agent, "--undo")
    restored = file.read_text()
    assert sorted(restored.replace(",", "").splitlines()) == sorted(text.replace(*edit).replace(",", "").splitlines())


def test_a_setting_that_the_user_removed_is_not_restored_because_modelbay_removed_it_before(desk: Desk):
    text = HAND.replace('"env": {', '"env": {"ANTHROPIC_DEFAULT_SONNET_MODEL": "mine",')
    file = desk.write(CLAUDE, text)
    desk.done("configure", "claude", "claude")
    assert "ANTHROPIC_DEFAULT_SONNET_MODEL" not in file.read_text()
    desk.done("configure", "claude", "--gateway")
    file.write_text(jsonc.remove(file.read_text(), ("env", "ANTHROPIC_DEFAULT_SONNET_MODEL")))
    assert "env.ANTHROPIC_DEFAULT_SONNET_MODEL was removed since" in desk("configure", "claude", "--undo").err
    assert "ANTHROPIC_DEFAULT_SONNET_MODEL" not in file.read_text()


KIMI = """\
[providers.acme]
type = "openai_responses"
base_url = "https://old.example/v1"
api_key = "sk-old-0123456789"

[models.plain]
provider = "acme"
model = "m"
"""
OWN = '\n[models.own]\nprovider = "acme"\nmodel = "m"\nbase_url = "https://user.example/v1"\n'


def test_the_old_key_is_not_restored_beside_a_model_with_a_url_of_the_user(desk: Desk):
    file = desk.write(".kimi-code/config.toml", KIMI)
    desk.done("configure", "kimi", "acme", "--keys")
    file.write_text(file.read_text() + OWN)
    run = desk("configure", "kimi", "--undo")
    assert run.code == 1
    assert "models.own.base_url in DESK/user/.kimi-code/config.toml: changed next to a URL or key" in run.err
    entry = tomllib.loads(file.read_text())["providers"]["acme"]
    assert "api_key" not in entry and "old.example" not in str(entry)
    file.write_text(file.read_text().replace(OWN, ""))
    desk.done("configure", "kimi", "--undo")
    assert tomllib.loads(file.read_text()) == tomllib.loads(KIMI)


@pytest.mark.parametrize(
    "added",
    [
        OWN.replace('provider = "acme"', 'provider = "other"'),
        f'{OWN}api_key = "sk-mine-0123456789"\n',
        OWN.replace('base_url = "https://user.example/v1"\n', ""),
    ],
)
def test_a_model_that_does_not_send_the_key_elsewhere_blocks_nothing(desk: Desk, added: str):
    file = desk.write(".kimi-code/config.toml", KIMI)
    desk.done("configure", "kimi", "acme", "--keys")
    file.write_text(file.read_text() + added)
    desk.done("configure", "kimi", "--undo")
    assert tomllib.loads(file.read_text()) == tomllib.loads(KIMI + added)


@pytest.mark.parametrize("url", ["https://old.example/v1", "https://acme.example/v1"])
def test_a_model_that_had_its_url_before_blocks_nothing(desk: Desk, url: str):
    before = KIMI.replace("https://old.example/v1", url) + OWN
    file = desk.write(".kimi-code/config.toml", before)
    desk.done("configure", "kimi", "acme", "--keys")
    file.write_text(file.read_text() + "# mine\n")
    desk.done("configure", "kimi", "--undo")
    assert file.read_text() == f"{before}# mine\n"
    desk.done("configure", "kimi", "acme", "--keys")
    file.write_text(file.read_text().replace("user.example", "elsewhere.example"))
    if url != "https://old.example/v1":  # else the model's URL was removed, as it belongs to the old key
        run = desk("configure", "kimi", "--undo")
        assert run.code == 1 and "models.own.base_url" in run.err


def test_our_key_does_not_stay_beside_a_url_of_the_user(desk: Desk):
    file = desk.write(CLAUDE, HAND)
    desk.done("configure", "claude", "claude")
    file.write_text(file.read_text().replace("https://claude.example", "https://mine.example"))
    run = desk("configure", "claude", "--undo")
    assert run.code == 1
    env = jsonc.decode(file.read_text())
    assert env["env"]["ANTHROPIC_BASE_URL"] == "https://mine.example"
    assert "apiKeyHelper" not in env and "ANTHROPIC_AUTH_TOKEN" not in env["env"]
    file.write_text(jsonc.remove(file.read_text(), ("env", "ANTHROPIC_BASE_URL")))
    desk.done("configure", "claude", "--undo")
    assert jsonc.decode(file.read_text()) == jsonc.decode(HAND)


def test_several_configures_are_undone_to_the_state_before_the_first(desk: Desk):
    before = "# mine\n[model_providers.acme]\nname = 'Old' # the old one\nbase_url = \"https://old.example\"\n"
    file = desk.write(".codex/config.toml", before)
    desk.file.write_text(CONFIG.replace("[providers.claude]", "[providers.claude]", 1))
    desk.done("configure", "codex", "acme")
    file.write_text(file.read_text() + "\n[mcp_servers.files]\ncommand = 'files'\n")
    desk.done("configure", "codex", "--gateway")
    desk.done("configure", "codex", "acme", "--keys")
    assert set(tomllib.loads(file.read_text())["model_providers"]) == {"acme", "modelbay"}
    desk.done("configure", "codex", "--undo")
    assert file.read_text() == before + "\n[mcp_servers.files]\ncommand = 'files'\n"


@pytest.mark.parametrize("name", [name for name in NAMES if by_name(name).changes_file])
def test_a_file_that_was_created_is_removed_if_nothing_was_added(desk: Desk, name: str):
    file = by_name(name).files()[-1]
    for note in ("", "// mine\n" if file.suffix.startswith(".json") else "# mine\n"):
        desk.done("configure", name, "--gateway")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        file.write_text(note + file.read_text())
        desk.done("configure", name, "--undo")
        assert file.exists() == bool(note)
        assert not note or note in file.read_text()
    file.unlink()
    file.parent.rmdir()
    desk.done("configure", name, "--gateway")
    desk.done("configure", name, "--undo")
    assert not file.parent.exists()


@pytest.mark.parametrize("text", ["", "\ufeff", " \n\n", "\r\n\t\r\n"], ids=["empty", "mark", "lines", "crlf"])
@pytest.mark.parametrize("name", [name for name in NAMES if by_name(name).changes_file])
def test_a_file_without_any_settings_is_written_and_restored(desk: Desk, name: str, text: str):
    file = by_name(name).files()[-1]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode())
    desk.done("configure", name, "--gateway")
    assert file.read_bytes() != text.encode()
    desk.done("configure", name, "--gateway")
    desk.done("configure", name, "--undo")
    assert file.read_bytes() == text.encode()


def test_settings_in_a_file_that_the_agent_moved_are_restored(desk: Desk):
    old, new = ".config/opencode/opencode.json", ".config/opencode/opencode.jsonc"
    file = desk.write(old, '{"theme": "dark"}\n')
    desk.done("configure", "opencode", "claude")
    moved = desk.write(new, '// moved\n{"autoupdate": false, ' + file.read_text().strip()[1:])
    file.unlink()
    desk.done("configure", "opencode", "claude", "file")
    desk.done("configure", "opencode", "--undo")
    assert jsonc.decode(moved.read_text()) == {"theme": "dark", "autoupdate": False}
    assert "// moved" in moved.read_text() and not file.exists()
    assert not journal_path("opencode").exists()


def test_a_setting_that_the_agent_renamed_is_named(desk: Desk):
    file = desk.write(CLAUDE, "{}")
    desk.done("configure", "claude", "claude")
    file.write_text(file.read_text().replace('"ANTHROPIC_BASE_URL"', '"CLAUDE_BASE_URL"'))
    run = desk("configure", "claude", "--undo")
    assert "env.CLAUDE_BASE_URL has the value that modelbay wrote to env.ANTHROPIC_BASE_URL" in run.err


def test_a_missing_file_is_not_created_again(desk: Desk):
    file = desk.write(CLAUDE, HAND)
    desk.done("configure", "claude", "claude")
    file.unlink()
    run = desk("configure", "claude", "--undo")
    assert "settings.json no longer exists" in run.err
    assert not file.exists() and not journal_path("claude").exists()


@pytest.mark.parametrize("name", [name for name in NAMES if not by_name(name).changes_file])
def test_an_agent_whose_file_is_not_changed_refers_to_the_export(desk: Desk, name: str):
    run = desk("configure", name, "--gateway")
    assert run.code == 2 and f"copy the output of `modelbay export {name} --gateway` into it" in run.err


@pytest.mark.parametrize("arguments", [[], ["claude", "--gateway"], ["claude", "--undo"], ["--keys", "--undo"]])
def test_arguments_that_do_not_fit_are_a_usage_error(desk: Desk, arguments: list[str]):
    assert desk("configure", "claude", *arguments).code == 2


def test_a_damaged_journal_is_an_error_that_names_it(desk: Desk):
    file = desk.write(CLAUDE, HAND)
    desk.done("configure", "claude", "claude")
    written = file.read_text()
    journal_path("claude").write_text("{")
    for arguments in (["--undo"], ["claude"]):
        run = desk("configure", "claude", *arguments)
        assert run.code == 1 and "HOME/configured/claude.json is damaged" in run.err
    journal_path("claude").write_text('{"version": 99}')
    assert "has version 99" in desk("configure", "claude", "--undo").err
    journal_path("claude").chmod(0o666)
    assert "other users can change it" in desk("configure", "claude", "--undo").err
    assert file.read_text() == written
