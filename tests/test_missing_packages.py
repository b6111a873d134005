"""The library without the packages of the command line, the app, the gateway, keyrings and Google's credentials."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelbay.simulator import Simulator

MISSING = "click rich textual uvicorn uvloop keyring google cryptography yaml aiohttp_socks"
BLOCKED = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {MISSING.split()!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


def run(home: Path, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BLOCKED + code],
        env={"PATH": os.environ["PATH"], "MODELBAY_HOME": str(home)},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("protocol", ["openai_chat", "openai_responses", "anthropic", "google"])
def test_calls_work_without_them(tmp_path: Path, simulator: Simulator, protocol: str) -> None:
    base = simulator.url if protocol in ("anthropic", "google") else f"{simulator.url}/v1"
    ran = run(
        tmp_path,
        f"""
from modelbay.sync import Hub

def add(a: int, b: int) -> int:
    return a + b

with Hub.of(base_url={base!r}, protocol={protocol!r}, model="sim-1") as hub:
    print(hub.complete("Hi").text)
    print(len(list(hub.stream("Hi").text)) > 1, hub.run("Hi", tools=[add]).reply().finish.reason)
    print([reply.cost for reply in hub.map(["a", "b"])])
    if {protocol!r} != "anthropic":
        print(hub.embed(["a"]).dimensions)
print([name for name in {MISSING.split()!r} if name in sys.modules])
""",
    )
    assert ran.returncode == 0, ran.stderr
    first, *_, last = ran.stdout.splitlines()
    assert first.startswith("You asked: Hi.")
    assert last == "[]"


def test_a_key_in_the_keyring_needs_a_package_that_is_named(tmp_path: Path) -> None:
    code = 'from modelbay.sync import Hub; Hub.of("openai", api_key="{keyring:a/b}").complete("Hi", model="m")'
    ran = run(tmp_path, code)
    assert "the package keyring is not installed" in ran.stderr


def test_google_s_credentials_need_a_package_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[providers.v]\ntype = "vertexai"\nenv = { GOOGLE_CLOUD_PROJECT = "p", GOOGLE_CLOUD_LOCATION = "us-central1" }\n'
    )
    code = 'from modelbay.sync import Hub; Hub.open().complete("Hi", model="v/gemini-2.5-pro")'
    ran = run(tmp_path, code)
    assert "need the package google-auth, which is not installed" in ran.stderr
    assert "pip install google-auth" in ran.stderr.splitlines()[-1]
