"""`modelbay serve --install`: the gateway as a service of the user."""

import sys
from pathlib import Path

import pytest

from modelbay.gateway.variables import PROXIES
from tests.cli.inside import Inside

CONFIG = """
[providers.acme]
type = "openai"
base_url = "https://acme.example/v1"
api_key = "{env:ACME_KEY}"
"""


@pytest.fixture
def bay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    for name in ("XDG_CONFIG_HOME", *PROXIES, *map(str.lower, PROXIES)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.chdir(tmp_path)
    return Inside(tmp_path, monkeypatch)


def test_it_writes_the_unit_and_prints_the_commands(bay: Inside) -> None:
    bay.file.write_text(CONFIG)
    run = bay("serve", "--install", "--port", "9", "--log-format", "json", "--config", "config.toml")
    unit = bay.home / "user" / ".config" / "systemd" / "user" / "modelbay.service"
    assert (run.code, run.out) == (0, f"Written to {bay.same(str(unit))}\n")
    assert run.err == (
        "Start it: systemctl --user daemon-reload && systemctl --user enable --now modelbay.service\n"
        "Stop it: systemctl --user disable --now modelbay.service\n"
        "Show its log: journalctl --user -u modelbay.service -f\n"
        "warning: the service does not have these variables of your shell: ACME_KEY\n"
        "Store a key where the service can read it: `modelbay key set PROVIDER`\n"
    )
    words = f'"serve" "--port" "9" "--log-format" "json" "--config" "{bay.file}"'
    text = unit.read_text()
    assert words in text
    assert f'Environment="MODELBAY_HOME={bay.home}"' in text
    again = bay("serve", "--install", "--port", "9", "--log-format", "json", "--config", str(bay.file))
    assert again.out == f"Already up to date: {bay.same(str(unit))}\n"
    bay.done("serve", "--install")
    assert '"modelbay" "serve"\n' in unit.read_text()  # only options that were given
    bay.done("serve", "--install", "--verbose")
    assert '"modelbay" "serve" "--verbose"\n' in unit.read_text()


@pytest.mark.parametrize(
    ("text", "arguments", "code", "said"),
    [
        ('[gateway]\nauth = "none"', ("--host", "0.0.0.0"), 1, "is allowed only with a loopback host"),
        ("[gateway]\nprot = 1", (), 1, "unknown key"),
        ("", ("--port", "0"), 2, "--install requires a port other than 0"),
        ("", ("--config", "-"), 2, "--install cannot be combined with --config -"),
    ],
)
def test_a_service_that_could_not_start_is_not_written(
    bay: Inside, text: str, arguments: tuple[str, ...], code: int, said: str
) -> None:
    bay.file.write_text(text)
    run = bay("serve", "--install", *arguments)
    assert (run.code, run.out) == (code, "")
    assert said in run.err
    assert not (bay.home / "user").exists()
