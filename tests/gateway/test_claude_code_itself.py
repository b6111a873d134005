"""Claude Code itself through the gateway: what it does when its key is wrong, and with its own login.

Skipped if it is not on the PATH. `make agents` installs it.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelbay.simulator import Simulator
from tests.agents.test_accepted import ALONE
from tests.gateway.running import KEY, RunningGateway, running
from tests.gateway.test_agents import SECONDS

LOGIN = "sk-ant-oat01-PLANTED0123456789abcdefghijklmnopqrstuvwxyz"
Running = tuple[RunningGateway, Simulator]

pytestmark = pytest.mark.skipif(
    shutil.which("claude") is None, reason="Claude Code is not installed: `make agents` installs it"
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    names = 'names = { "claude-*" = "*" }'
    with running(tmp_path_factory.mktemp("gateway"), settings=names, key="sk-provider") as found:
        yield found


def asked(gateway: RunningGateway, folder: Path, question: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Claude Code's answer to a question, in a home of its own."""
    (folder / ".claude.json").write_text(json.dumps({"hasCompletedOnboarding": True}))
    place = {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "dumb", "NO_PROXY": "127.0.0.1"}
    return subprocess.run(
        ["claude", "-p", question, "--model", "claude-openai_chat"],
        cwd=folder,
        env=ALONE | place | {"ANTHROPIC_BASE_URL": gateway.url} | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )


def test_a_wrong_key_is_reported_without_retries(gateway: Running, tmp_path: Path) -> None:
    done = asked(gateway[0], tmp_path, "Hello there", ANTHROPIC_AUTH_TOKEN="sk-mb-wrong")
    assert done.returncode != 0
    assert "The API key is not the key of a client of this server" in done.stdout
    assert "attempt" not in done.stdout


def test_its_own_login_stays_here_if_the_model_is_another_vendor_s(gateway: Running, tmp_path: Path) -> None:
    done = asked(
        gateway[0],
        tmp_path,
        "Hello there",
        CLAUDE_CODE_OAUTH_TOKEN=LOGIN,
        ANTHROPIC_CUSTOM_HEADERS=f"x-modelbay-key: {KEY}",
    )
    assert done.returncode == 0, done.stdout
    assert "Hello there" in done.stdout
    sent = [f"{entry.target} {entry.headers} {entry.body!r}" for entry in gateway[1].journal.calls()]
    assert sent
    assert LOGIN not in str(sent)
    assert KEY not in str(sent)


def test_a_wrong_key_beside_its_login_is_not_taken_for_a_rejected_login(gateway: Running, tmp_path: Path) -> None:
    done = asked(
        gateway[0],
        tmp_path,
        "Hello there",
        CLAUDE_CODE_OAUTH_TOKEN=LOGIN,
        ANTHROPIC_CUSTOM_HEADERS="x-modelbay-key: sk-mb-wrong",
    )
    assert done.returncode != 0
    assert "The key in x-modelbay-key is not the key of a client of this server" in done.stdout
