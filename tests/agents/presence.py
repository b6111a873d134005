"""Whether a real agent can run here."""

import shutil
import subprocess
from functools import cache

import pytest


def needs(command: str) -> None:
    """Skips a test if an agent is not installed. Crush's npm package is only a program that fetches the agent from elsewhere."""
    if shutil.which(command) is None or not _runs(command):
        pytest.skip(f"{command} is not installed; `make agents` installs it and runs this test")


@cache
def _runs(command: str) -> bool:
    for version in ("--version", "version"):
        try:
            done = subprocess.run([command, version], check=False, capture_output=True, timeout=120)
        except subprocess.TimeoutExpired:
            return False
        if done.returncode == 0:
            return True
    return False
