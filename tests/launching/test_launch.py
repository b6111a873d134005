"""`modelbay launch` with a fake agent: its environment, arguments and files, and what is left afterwards."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from modelbay.simulator import Simulator
from tests.cli.command import KEY
from tests.launching.conftest import CONFIG
from tests.launching.desk import LaunchDesk

LOCAL = "sk-mb-"


def local_key(desk: LaunchDesk) -> str:
    return (desk.home / "gateway" / "local-key").read_text().strip()


def test_an_agent_uses_a_model_of_another_protocol_through_the_gateway(desk: LaunchDesk) -> None:
    run = desk("launch", "claude", "--", "show", desk.file("seen"), "ask", desk.file("answer"))
    assert run.code == 0, run.err
    assert (desk.room / "answer").read_text().startswith("You asked: Hello")
    seen = desk.seen("seen")
    assert seen["environment"]["ANTHROPIC_MODEL"] == "chat"
    assert seen["environment"]["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == "64000"
    assert seen["environment"]["ANTHROPIC_AUTH_TOKEN"] == local_key(desk)
    assert seen["environment"]["ANTHROPIC_BASE_URL"].startswith("http://127.0.0.1:")
    assert "Claude Code with chat, through the gateway" in run.err


def test_the_files_of_a_launch_are_private_and_removed_at_its_end(desk: LaunchDesk) -> None:
    desk("launch", "claude", "--", "show", desk.file("seen"))
    seen = desk.seen("seen")
    assert seen["modes"] == ["0o700", "0o600"]
    assert seen["settings"]["env"]["ANTHROPIC_MODEL"] == "chat"
    assert seen["folder"].startswith(str(desk.launches))
    assert not Path(seen["folder"]).exists()
    assert not list(desk.launches.glob("*.launch"))


def test_an_agent_of_the_providers_protocol_calls_it_directly(desk: LaunchDesk) -> None:
    run = desk("launch", "claude", "-m", "direct", "--", "show", desk.file("seen"), "ask", desk.file("answer"))
    assert run.code == 0, run.err
    environment = desk.seen("seen")["environment"]
    assert environment["ANTHROPIC_BASE_URL"] == desk.simulator.url
    assert environment["ANTHROPIC_MODEL"] == "sim-1"
    assert environment["ANTHROPIC_CUSTOM_HEADERS"] == f"x-api-key: {KEY}"
    assert (desk.room / "answer").read_text().startswith("You asked: Hello")
    assert "directly at messages" in run.err
    assert not desk.gateways()


def test_results_of_a_deep_test_decide_the_way_and_the_limits(desk: LaunchDesk) -> None:
    with Simulator(key=KEY, without=["tool-choice"]) as odd:
        entry = f'[providers.odd]\ntype = "anthropic"\nbase_url = "{odd.url}"\napi_key = "{KEY}"\n'
        desk.configure(f'{entry}\n[models.odd]\nprovider = "odd"\nmodel = "sim-small"\nmax_output_size = 1_000\n')
        before = desk("launch", "claude", "-m", "odd", "--", "show", desk.file("before"))
        assert "directly at odd" in before.err
        assert desk("provider", "test", "odd", "--deep", "--yes").code == 0
        after = desk("launch", "claude", "-m", "odd", "--", "show", desk.file("after"))
    assert "through the gateway" in after.err
    environments = [desk.seen(name)["environment"] for name in ("before", "after")]
    windows = [environment.get("CLAUDE_CODE_MAX_CONTEXT_TOKENS") for environment in environments]
    assert windows[1] == "2000" != windows[0]


def test_the_gateway_can_be_forced(desk: LaunchDesk) -> None:
    desk("launch", "claude", "-m", "direct", "--gateway", "--", "show", desk.file("seen"))
    environment = desk.seen("seen")["environment"]
    assert environment["ANTHROPIC_BASE_URL"] != desk.simulator.url
    assert environment["ANTHROPIC_MODEL"] == "direct"
    assert "ANTHROPIC_CUSTOM_HEADERS" not in environment


def test_a_direct_call_that_is_impossible_is_an_error_with_its_reason(desk: LaunchDesk) -> None:
    run = desk("launch", "claude", "--direct")
    assert run.code == 1
    assert "Claude Code cannot call sim directly: Claude Code speaks Anthropic Messages" in run.err
    assert "omit --direct" in run.err


def test_a_small_model_is_for_small_tasks(desk: LaunchDesk) -> None:
    desk("launch", "claude", "--small", "direct", "--", "show", desk.file("seen"))
    environment = desk.seen("seen")["environment"]
    assert environment["ANTHROPIC_DEFAULT_HAIKU_MODEL"] == "direct"
    assert environment["ANTHROPIC_DEFAULT_SONNET_MODEL"] == "chat"


def test_an_agent_without_a_small_model_says_that_it_is_ignored(desk: LaunchDesk) -> None:
    responses = CONFIG.replace('type = "anthropic"', 'type = "openai_responses"').replace(
        '"SIM"', '"https://api.openai.com/v1"'
    )
    desk.configure(responses)
    run = desk("launch", "codex", "-m", "direct", "--small", "chat", "--", "show", desk.file("seen"))
    assert run.code == 0
    assert "directly at messages" in run.err  # the ignored model does not need the gateway
    assert "Codex has no setting for a model for small tasks; --small is ignored" in run.err


def test_variables_of_the_user_that_would_override_the_model_are_removed(desk: LaunchDesk) -> None:
    own = {"ANTHROPIC_API_KEY": "sk-ant-own", "CLAUDE_CODE_USE_BEDROCK": "1", "EDITOR": "vi"}
    desk("launch", "claude", "--", "show", desk.file("seen"), **own)
    seen = desk.seen("seen")
    assert not {"ANTHROPIC_API_KEY", "CLAUDE_CODE_USE_BEDROCK"} & seen["environment"].keys()
    assert seen["settings"]["env"]["ANTHROPIC_API_KEY"] == ""
    assert seen["environment"]["EDITOR"] == "vi"


def test_calls_of_the_gateway_do_not_go_through_the_proxy_of_the_user(desk: LaunchDesk) -> None:
    own = {"HTTPS_PROXY": "http://proxy.example:3128", "no_proxy": "intranet"}
    desk("launch", "claude", "--", "show", desk.file("seen"), **own)
    environment = desk.seen("seen")["environment"]
    assert environment["no_proxy"] == "intranet,127.0.0.1,localhost,::1"
    assert environment["NO_PROXY"] == "127.0.0.1,localhost,::1"


def test_no_process_has_a_key_in_its_arguments(desk: LaunchDesk) -> None:
    for number, options in enumerate((("-m", "chat"), ("-m", "direct"))):
        running = desk.agent(f"seen{number}", *options)
        seen = desk.seen(f"seen{number}")
        lines = [_read(one / "cmdline") for one in Path("/proc").glob("[0-9]*") if _is_of(desk, one)]
        desk.ended(f"seen{number}", running)
        assert len(lines) >= 2
        for key in (KEY, local_key(desk)):
            assert not any(key.encode() in line for line in lines)
            assert key not in " ".join(seen["arguments"])


def _is_of(desk: LaunchDesk, process: Path) -> bool:
    """Whether a process runs in the home of a desk: others on the machine have arguments of their own."""
    return str(desk.home).encode() in _read(process / "environ")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended, or is another user's
        return b""


def test_no_file_in_the_home_of_the_user_is_changed(desk: LaunchDesk) -> None:
    for name in (".claude/settings.json", ".claude.json", ".codex/config.toml", ".codex/auth.json", "notes.txt"):
        (desk.user / name).parent.mkdir(exist_ok=True)
        (desk.user / name).write_text('{"env": {"ANTHROPIC_BASE_URL": "https://other.example"}}')
    before = desk.hashes()
    for agent in ("claude", "codex"):
        for options in ((), ("-m", "direct")):
            assert desk("launch", agent, *options, "--", "show", desk.file("seen")).code == 0
    assert desk.hashes() == before


@pytest.mark.parametrize(("action", "code"), [(("exit", "7"), 7), (("die", "15"), 143), (("die", "9"), 137)])
def test_the_exit_code_of_the_agent_is_passed_on(desk: LaunchDesk, action: tuple[str, str], code: int) -> None:
    assert desk("launch", "claude", "-m", "direct", "--", *action).code == code


def test_arguments_of_the_user_come_after_those_of_the_launch(desk: LaunchDesk) -> None:
    desk("launch", "claude", "--", "show", desk.file("seen"), "-p", "a b", "--model=x", "")
    assert desk.seen("seen")["arguments"][2:] == ["show", desk.file("seen"), "-p", "a b", "--model=x", ""]


def test_an_option_of_the_agent_in_the_wrong_place_is_an_error_that_says_where_it_belongs(desk: LaunchDesk) -> None:
    run = desk("launch", "claude", "-p", "Hello")
    assert run.code == 2
    assert "unknown option -p" in run.err
    assert "put the agent's options after `--`" in run.err
    assert "did you mean `--model`?" in desk("launch", "claude", "--modle", "chat").err


def test_an_agent_that_is_not_installed_is_an_error_that_names_its_package(desk: LaunchDesk) -> None:
    (desk.bin / "claude").unlink()
    run = desk("launch", "claude", PATH=str(desk.bin))
    assert run.code == 1
    assert "Claude Code is not installed: no program claude on the PATH" in run.err
    assert "install the package @anthropic-ai/claude-code: `npm install --global @anthropic-ai/claude-code`" in run.err


def test_an_unknown_agent_is_an_error_that_names_a_similar_one(desk: LaunchDesk) -> None:
    run = desk("launch", "cluade")
    assert run.code == 2
    assert 'unknown agent "cluade"' in run.err
    assert "did you mean claude?" in run.err
    assert "must be one of: claude, codex" in desk("launch", "zzz").err


def test_an_unknown_model_is_an_error_that_names_a_similar_one(desk: LaunchDesk) -> None:
    run = desk("launch", "claude", "-m", "chta")
    assert run.code == 1
    assert "chta" in run.err
    assert "chat" in run.err


def test_a_program_that_cannot_be_started_is_an_error(desk: LaunchDesk) -> None:
    (desk.bin / "claude").write_text("#!/no/such/interpreter\n")
    run = desk("launch", "claude", "-m", "direct")
    assert run.code == 1
    assert f"could not start {desk.bin / 'claude'}: No such file" in run.err
    assert "check that Claude Code is installed correctly: `npm install" in run.err
    assert not list(desk.launches.glob("*.launch"))


def test_an_agent_does_not_write_into_files_of_modelbay_if_the_standard_streams_are_closed(desk: LaunchDesk) -> None:
    look = f"import os; open({desk.file('seen')!r}, 'w').write(repr([os.readlink(f'/proc/self/fd/{{n}}') for n in range(3)]))"
    (desk.bin / "claude").write_text(f"#!{sys.executable}\n{look}\n")
    command = f"exec {shlex.quote(sys.executable)} -m modelbay launch claude -m chat <&- >&- 2>&-"
    done = subprocess.run(["sh", "-c", command], env=desk.environment, cwd=desk.room, check=False)
    assert done.returncode == 0
    assert (desk.room / "seen").read_text() == repr(["/dev/null"] * 3)


def test_an_agent_is_also_known_by_its_command(desk: LaunchDesk) -> None:
    assert "did you mean continue?" in desk("launch", "cn").err


def test_a_missing_key_is_an_error_before_the_agent_starts(desk: LaunchDesk) -> None:
    desk.configure((desk.home / "config.toml").read_text().replace(f'"{KEY}"', '"{env:NO_KEY_HERE}"', 1))
    run = desk("launch", "claude", "-m", "chat", "--", "show", desk.file("seen"))
    assert run.code == 1
    assert "the environment variable NO_KEY_HERE is not set" in run.err
    assert not (desk.room / "seen").exists()


def test_an_unknown_context_window_is_a_warning_that_says_where_to_set_it(desk: LaunchDesk) -> None:
    unknown = "the context window of direct is unknown, so Claude Code assumes its own: set `max_context_size`"
    assert unknown in desk("launch", "claude", "-m", "direct", "--", "exit", "0").err
    assert "context window" not in desk("launch", "claude", "-m", "chat", "--", "exit", "0").err


def test_a_gateway_that_cannot_start_is_an_error_with_its_message(desk: LaunchDesk) -> None:
    desk.configure((desk.home / "config.toml").read_text() + "[gateway]\nport = 99999999\n")
    run = desk("launch", "claude")
    assert run.code == 1
    assert "gateway" in run.err
    assert "port" in run.err


def test_another_user_must_not_be_able_to_read_the_folder_of_launches(desk: LaunchDesk) -> None:
    desk.launches.mkdir(mode=0o755)
    desk.launches.chmod(0o755)
    run = desk("launch", "claude")
    assert run.code == 1
    assert "open to other users (mode 0755)" in run.err
    assert "chmod 700 HOME/launches" in run.err


def test_the_configuration_cannot_come_from_standard_input(desk: LaunchDesk) -> None:
    run = desk("--config", "-", "launch", "claude", stdin="")
    assert run.code == 2
    assert "the agent reads standard input" in run.err


@pytest.mark.parametrize(
    ("agent", "effort", "warning"),
    [
        ("cline", "max", "Cline does not have the reasoning effort max; it uses xhigh"),
        ("cline", "off", None),
        ("claude", "off", "Claude Code has no setting that turns thinking off; it uses its own reasoning effort"),
        ("gemini", "max", None),  # it is told none
    ],
)
def test_an_effort_that_the_agent_does_not_have_is_reported(
    desk: LaunchDesk, agent: str, effort: str, warning: str | None
) -> None:
    text = (desk.home / "config.toml").read_text()
    entry = f'\n[models.thinks]\nprovider = "sim"\nmodel = "sim-1"\ndefault_effort = "{effort}"\n'
    (desk.home / "config.toml").write_text(text + entry)
    run = desk("launch", agent, "-m", "thinks")
    assert run.code == 0, run.err
    assert [line for line in run.err.splitlines() if "warning" in line and "window" not in line] == (
        [f"warning: {warning}"] if warning else []
    )


def test_an_agent_that_creates_its_folders_is_asked_in_an_empty_home(desk: LaunchDesk) -> None:
    before = desk.hashes()
    writes = 'mkdir -p "$HOME/.qwen" "${QWEN_HOME:-$HOME/.qwen}" "${XDG_CACHE_HOME:-$HOME/.cache}"'
    (desk.bin / "qwen").write_text(f"#!/bin/sh\n{writes}\necho 4.5.6\n")
    folders = {name: str(desk.user / name) for name in ("QWEN_HOME", "XDG_CACHE_HOME")}
    found = json.loads(desk("launch", "--list", "--json", **folders).out)
    assert {one["agent"]: one["version"] for one in found}["qwen"] == "4.5.6"
    assert (desk.hashes(), [path.name for path in desk.user.iterdir()]) == (before, [])


def test_a_program_that_starts_only_in_its_users_home_is_asked_there(desk: LaunchDesk) -> None:
    (desk.user / ".tools").write_text("4.5.6")
    (desk.bin / "qwen").write_text('#!/bin/sh\ncat "$HOME/.tools"\n')
    found = json.loads(desk("launch", "--list", "--json").out)
    assert {one["agent"]: one["version"] for one in found}["qwen"] == "4.5.6"


def test_the_list_has_the_version_of_each_installed_agent_and_the_tested_one(desk: LaunchDesk) -> None:
    (desk.bin / "codex").unlink()
    path = {"PATH": f"{desk.bin}:/usr/bin:/bin"}
    rows = {row["agent"]: row for row in json.loads(desk("launch", "--list", "--json", **path).out)}
    assert rows["claude"]["version"] == "2.3.4"
    assert rows["claude"]["installed"] is True
    assert rows["claude"]["protocols"] == ["anthropic"]
    assert rows["codex"]["installed"] is False
    assert rows["codex"]["path"] is None
    text = desk("launch", "--list", **path).out
    assert f"claude 2.3.4 tested with {rows['claude']['verified_version']} " in " ".join(text.split())
    assert "not installed" in text
    assert "npm install --global @openai/codex" in text


def test_a_crashed_launch_is_removed_by_the_next_one(desk: LaunchDesk) -> None:
    running = desk.agent("seen")
    seen = desk.seen("seen")
    running.kill()
    running.wait()
    assert Path(seen["folder"]).exists()  # its agent is still running
    desk("launch", "claude", "-m", "direct", "--", "exit", "0")
    assert Path(seen["folder"]).exists()
    desk.ended("seen", running)
    desk("launch", "claude", "-m", "direct", "--", "exit", "0")
    assert not Path(seen["folder"]).exists()


def test_an_old_codex_reads_the_models_of_the_gateway_from_a_private_file(desk: LaunchDesk) -> None:
    copy = desk.file("models.json")
    (desk.bin / "codex").write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo "codex-cli 0.144.5" && exit\n'
        f'for word; do case "$word" in model_catalog_json=*) cp "$(echo "${{word#*=}}" | tr -d \\")" {copy};; esac; done\n'
    )
    run = desk("launch", "codex", "--", "exec", "Hello")
    assert run.code == 0, run.err
    models = json.loads(Path(copy).read_text())["models"]
    assert [(model["slug"], model["context_window"]) for model in models] == [("chat", 64_000), ("direct", 131_072)]
    assert not list(desk.launches.glob("*.launch")) and not list(desk.launches.rglob("models.json"))


@pytest.mark.parametrize(("agent", "file"), [("claude", ".claude/settings.json"), ("codex", ".codex/config.toml")])
def test_a_model_that_the_agent_stored_in_the_files_of_the_user_is_reported(
    desk: LaunchDesk, agent: str, file: str
) -> None:
    run = desk("launch", agent, "--", "store", f"{file}=direct")
    assert f'in {desk.user / file}: model = "direct" (before: not set)' in run.err
    again = desk("launch", agent)
    assert "warning" not in again.err


def test_a_stored_model_of_the_agents_own_is_not_reported(desk: LaunchDesk) -> None:
    run = desk("launch", "claude", "--", "store", ".claude/settings.json=opus")
    assert "stored" not in run.err
