"""Whether a real agent can run here."""

import os
import shutil
import subprocess
from functools import cache
from tempfile import TemporaryDirectory

import pytest

HOMES = ("HOME", "USERPROFILE", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
"""Variables that name folders of a user. Most agents write to them, even if they are asked for their version only."""
SECONDS = 120


def needs(command: str) -> None:
    """Skip a test if an agent is not installed. Crush's npm package is only a program that fetches the agent from elsewhere."""
    if not _runs(command):
        pytest.skip(f"{command} is not installed; `make agents` installs it and runs this test")


@cache
def _runs(command: str) -> bool:
    return any(printed(command, version) is not None for version in ("--version", "version"))


def printed(command: str, *arguments: str, path: str | None = None) -> str | None:
    """The output of a program of `path`, by default of the PATH, in a home of its own; None if it is missing, or fails."""
    program = shutil.which(command, path=path)
    if program is None:
        return None
    with TemporaryDirectory(ignore_cleanup_errors=True) as home:
        own = dict.fromkeys(HOMES, home) | ({"PATH": path} if path else {})
        try:
            done = subprocess.run(
                [program, *arguments],
                env=os.environ | own,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
    return done.stdout if done.returncode == 0 else None
