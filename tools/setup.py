"""Make .venv as uv.lock says: with uv where it is installed, else with venv and pip. Run by the Makefile."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"


def run(*command: str | Path, **environment: str) -> None:
    subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=True)


def has_uv() -> bool:
    try:
        return subprocess.run(["uv", "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def with_uv() -> None:
    run("uv", "sync", "--locked", "--python", sys.executable, UV_PROJECT_ENVIRONMENT=str(VENV))


def with_pip() -> None:
    run(sys.executable, "-m", "venv", VENV)
    run(PYTHON, "-m", "pip", "install", "--quiet", "--upgrade", "pip")  # --group wants pip 25.1
    constraints = VENV / "constraints.txt"
    constraints.write_text("\n".join(locked()) + "\n")
    run(PYTHON, "-m", "pip", "install", "--quiet", "--editable", ".", "--group", "dev", "--constraint", constraints)


def locked() -> list[str]:
    """What uv.lock pins, as constraints for pip; a package locked at several versions has a marker for each."""
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    return [
        f"{package['name']}=={package['version']}"
        + (f" ; {' or '.join(markers)}" if (markers := package.get("resolution-markers")) else "")
        for package in packages
        if "registry" in package["source"]
    ]


if __name__ == "__main__":
    try:
        with_uv() if has_uv() else with_pip()
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: set-up stopped at `{' '.join(map(str, error.cmd))}`")
