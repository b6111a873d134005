"""The description of the service: its text, where it is, and what the system makes of it."""

import plistlib
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from modelbay.config.load import parse
from modelbay.errors import ConfigError
from modelbay.gateway.service import described, gateway_service, install
from modelbay.gateway.variables import shell_variables

COMMAND = ("/opt/my tools/python", "-m", "modelbay", "serve", "--config", '/home/me/$a/50%/"b"\\c.toml')


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path / "bay"))
    return tmp_path


def test_a_systemd_unit(home: Path) -> None:
    made = described("systemd", COMMAND, {"MODELBAY_HOME": '/home/me/$x "y"'})
    assert made.path == home / ".config" / "systemd" / "user" / "modelbay.service"
    assert made.text == snapshot("""\
# Written by modelbay, which replaces this file when the service is installed again.
# To change the service, run: systemctl --user edit modelbay
[Unit]
Description=modelbay gateway

[Service]
Type=exec
ExecStart="/opt/my tools/python" "-m" "modelbay" "serve" "--config" "/home/me/$$a/50%%/\\"b\\"\\\\c.toml"
ExecReload=/bin/kill -HUP $MAINPID
Environment="MODELBAY_HOME=/home/me/$x \\"y\\""
Restart=on-failure
RestartSec=10
# wrong options: another start would fail too
RestartPreventExitStatus=2
TimeoutStopSec=70
UMask=0077
NoNewPrivileges=true

[Install]
WantedBy=default.target
""")
    assert (made.start, made.stop, made.log) == snapshot(
        (
            ("systemctl --user daemon-reload", "systemctl --user enable --now modelbay.service"),
            ("systemctl --user disable --now modelbay.service",),
            "journalctl --user -u modelbay.service -f",
        )
    )


def test_a_launchd_agent(home: Path) -> None:
    made = described("launchd", COMMAND, {"MODELBAY_HOME": "/home/me/<b>"})
    assert made.path == home / "Library" / "LaunchAgents" / "modelbay.gateway.plist"
    assert made.text.replace(str(home), "HOME") == snapshot("""\
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>Label</key>
	<string>modelbay.gateway</string>
	<key>ProgramArguments</key>
	<array>
		<string>/opt/my tools/python</string>
		<string>-m</string>
		<string>modelbay</string>
		<string>serve</string>
		<string>--config</string>
		<string>/home/me/$a/50%/"b"\\c.toml</string>
	</array>
	<key>EnvironmentVariables</key>
	<dict>
		<key>MODELBAY_HOME</key>
		<string>/home/me/&lt;b&gt;</string>
	</dict>
	<key>RunAtLoad</key>
	<true/>
	<key>KeepAlive</key>
	<dict>
		<key>SuccessfulExit</key>
		<false/>
	</dict>
	<key>ThrottleInterval</key>
	<integer>10</integer>
	<key>ExitTimeOut</key>
	<integer>70</integer>
	<key>Umask</key>
	<integer>63</integer>
	<key>StandardErrorPath</key>
	<string>HOME/Library/Logs/modelbay.log</string>
</dict>
</plist>
""")
    read = plistlib.loads(made.text.encode())
    assert read["ProgramArguments"] == list(COMMAND)
    assert read["EnvironmentVariables"] == {"MODELBAY_HOME": "/home/me/<b>"}
    assert tuple(text.replace(str(home), "HOME") for text in (*made.start, *made.stop, made.log)) == snapshot(
        (
            "launchctl bootstrap gui/$(id -u) HOME/Library/LaunchAgents/modelbay.gateway.plist",
            "launchctl bootout gui/$(id -u)/modelbay.gateway",
            "tail -f HOME/Library/Logs/modelbay.log",
        )
    )


def test_without_variables_the_description_has_none(home: Path) -> None:
    assert "Environment" not in described("systemd", COMMAND, {}).text
    assert "EnvironmentVariables" not in described("launchd", COMMAND, {}).text


def test_systemd_accepts_the_unit(home: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd is not installed")
    made = described("systemd", (sys.executable, *COMMAND[1:]), {"MODELBAY_HOME": str(home)})
    install(made)
    done = subprocess.run(
        [program, "--user", "verify", str(made.path)],
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": str(home), "XDG_RUNTIME_DIR": str(home), "PATH": "/usr/bin:/bin"},
    )
    assert [line for line in (done.stdout + done.stderr).splitlines() if made.path.name in line] == []


def test_the_service_runs_this_program_with_this_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = gateway_service(("--port", "9"), "linux").text
    assert f'ExecStart="{sys.executable}" "-P" "-m" "modelbay" "serve" "--port" "9"\n' in text
    assert f'Environment="MODELBAY_HOME={home / "bay"}"\n' in text
    assert plistlib.loads(gateway_service((), "darwin").text.encode())["Label"] == "modelbay.gateway"
    monkeypatch.delenv("MODELBAY_HOME")
    assert "Environment" not in gateway_service((), "linux").text


def test_another_platform_is_refused(home: Path) -> None:
    with pytest.raises(ConfigError, match="services are not supported on win32"):
        gateway_service((), "win32")


@pytest.mark.parametrize("system", ["systemd", "launchd"])
def test_a_line_break_cannot_add_a_setting(home: Path, system: str) -> None:
    with pytest.raises(ConfigError, match="contains control characters"):
        described(system, ("/bin/true", "--config", "a\nExecStart=/bin/false"), {})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="contains control characters"):
        described(system, ("/bin/true",), {"MODELBAY_HOME": "a\nb"})  # type: ignore[arg-type]


def test_it_is_written_once_and_replaced_when_it_changes(home: Path) -> None:
    made = described("systemd", COMMAND, {})
    assert install(made)
    assert not install(made)
    assert made.path.read_text() == made.text
    assert install(described("systemd", COMMAND[:4], {}))
    assert [path.name for path in made.path.parent.iterdir()] == ["modelbay.service"]
    if sys.platform != "win32":
        assert stat.S_IMODE(made.path.stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_written_is_named(home: Path) -> None:
    (home / ".config").write_text("not a folder")
    with pytest.raises(ConfigError, match=r"modelbay\.service cannot be written"):
        install(described("systemd", COMMAND, {}))


def test_variables_that_the_service_does_not_have_are_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    text = """
[network]
proxy = "{env:PROXY}"
[providers.a]
type = "openai"
api_key = "{env:A_KEY}"
custom_headers = { X-Team = "blue {env: TEAM }", X-Other = "{file:team}" }
[providers.b]
type = "openai"
api_key_env = "A_KEY"
[models.m]
base_url = "https://m.example/v1"
protocol = "openai"
model = "m"
api_key = "{env:M_KEY}"
"""
    config = parse(text, home / "config.toml")
    assert shell_variables(config) == ["A_KEY", "TEAM", "M_KEY", "PROXY"]
    monkeypatch.setenv("https_proxy", "http://p:1")
    assert shell_variables(config)[-1] == "https_proxy"
    assert shell_variables(parse("", home / "config.toml")) == ["https_proxy"]
