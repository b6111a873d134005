"""The gateway as a service of the user: a systemd user unit, or a launchd agent (untested).

A service does not have the variables of a shell, and not its PATH: the description has absolute paths, and the folder of modelbay
if the user chose one. References to other variables do not work in it.
"""

import plistlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Literal, TypeAlias

from msgspec import Struct

from modelbay.errors import ConfigError
from modelbay.gateway.workers import DRAIN
from modelbay.storage import files
from modelbay.storage.cache import Cache
from modelbay.storage.paths import environment, expanded, user_config_dir

System: TypeAlias = Literal["systemd", "launchd"]
UNIT = "modelbay.service"
LABEL = "modelbay.gateway"
STOP = int(DRAIN) + 10
"""Seconds after SIGTERM when the system ends the gateway."""
HOME = "MODELBAY_HOME"
LOCKS = "services"
"""The cache folder of the locks."""
WAIT = 10.0
"""Seconds to wait for another process that installs the service."""


class Service(Struct, frozen=True):
    """The description of a service, and the shell commands for it."""

    path: Path
    """The file in which the system expects the description."""
    text: str
    start: tuple[str, ...]
    """Start it now and at each login."""
    stop: tuple[str, ...]
    """Stop it, now and at each login."""
    log: str
    """Show its log."""


def gateway_service(arguments: Sequence[str], platform: str) -> Service:
    """The service that runs this program's `serve` with the arguments. `platform`: as `sys.platform`.

    Raises:
        ConfigError: the platform has neither systemd nor launchd, or a path cannot be written into the description.
    """
    chosen = environment(HOME)
    variables = {HOME: str(expanded(chosen).absolute())} if chosen else {}
    # -P: a folder `modelbay` in the service's working directory is not the program
    return described(_system(platform), (sys.executable, "-P", "-m", "modelbay", "serve", *arguments), variables)


def described(system: System, command: Sequence[str], variables: Mapping[str, str]) -> Service:
    """The service that runs a command, with these variables besides those of the user's session.

    Raises:
        ConfigError: a text cannot be written into the description.
    """
    for text in (*command, *variables.values()):
        if not text.isprintable():
            raise ConfigError(f"a service cannot run {text!r}: it contains control characters", hint="rename the file")
    return _systemd(command, variables) if system == "systemd" else _launchd(command, variables)


def install(service: Service) -> bool:
    """Write the description, readable by its owner only. Returns whether it changed.

    Raises:
        ConfigError: the file cannot be written.
    """
    with files.locked(Cache().path(LOCKS, str(service.path)), WAIT):
        new = service.text.encode()
        files.check_room(service.path, len(new))
        old = files.content_of(service.path)
        if old != new:
            files.replace(service.path, old, new)
    return old != new


def _system(platform: str) -> System:
    if platform == "darwin":
        return "launchd"
    if platform.startswith("linux"):
        return "systemd"
    raise ConfigError(
        f"services are not supported on {platform}", hint="start the gateway at login with the system's task scheduler"
    )


def _systemd(command: Sequence[str], variables: Mapping[str, str]) -> Service:
    program, *arguments = (_quoted(word) for word in command)
    # a variable is replaced in arguments, but not in the program
    line = " ".join([program, *(word.replace("$", "$$") for word in arguments)])
    lines = "".join(f"Environment={_quoted(f'{name}={value}')}\n" for name, value in variables.items())
    text = f"""\
# Written by modelbay, which replaces this file when the service is installed again.
# To change the service, run: systemctl --user edit modelbay
[Unit]
Description=modelbay gateway

[Service]
Type=exec
ExecStart={line}
ExecReload=/bin/kill -HUP $MAINPID
{lines}Restart=on-failure
RestartSec=10
# wrong options: another start would fail too
RestartPreventExitStatus=2
TimeoutStopSec={STOP}
UMask=0077
NoNewPrivileges=true

[Install]
WantedBy=default.target
"""
    return Service(
        path=user_config_dir() / "systemd" / "user" / UNIT,
        text=text,
        start=("systemctl --user daemon-reload", f"systemctl --user enable --now {UNIT}"),
        stop=(f"systemctl --user disable --now {UNIT}",),
        log=f"journalctl --user -u {UNIT} -f",
    )


def _quoted(text: str) -> str:
    """A word of a unit file."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _launchd(command: Sequence[str], variables: Mapping[str, str]) -> Service:
    path = expanded("~/Library/LaunchAgents") / f"{LABEL}.plist"
    log = expanded("~/Library/Logs/modelbay.log")
    description = {
        "Label": LABEL,
        "ProgramArguments": list(command),
        **({"EnvironmentVariables": dict(variables)} if variables else {}),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "ExitTimeOut": STOP,
        "Umask": 0o077,
        "StandardErrorPath": str(log),
    }
    return Service(
        path=path,
        text=plistlib.dumps(description, sort_keys=False).decode(),
        start=(f"launchctl bootstrap gui/$(id -u) {quote(str(path))}",),
        stop=(f"launchctl bootout gui/$(id -u)/{LABEL}",),
        log=f"tail -f {quote(str(log))}",
    )
