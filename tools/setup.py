"""Make a virtual environment as uv.lock says: with uv where it is installed, else with venv and pip. Run by the Makefile.

python tools/setup.py                        .venv, for working on modelbay
python tools/setup.py --runtime FOLDER       FOLDER, with the packages that modelbay needs to run and no others
"""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(*command: str | Path, **environment: str) -> None:
    subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=True)


def has_uv() -> bool:
    try:
        return subprocess.run(["uv", "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def with_uv(venv: Path, *, runtime: bool) -> None:
    more = ["--no-dev"] if runtime else []
    run("uv", "sync", "--locked", "--python", sys.executable, *more, UV_PROJECT_ENVIRONMENT=str(venv))


def with_pip(venv: Path, *, runtime: bool) -> None:
    python = venv / "bin" / "python"
    run(sys.executable, "-m", "venv", venv)
    if not runtime:
        run(python, "-m", "pip", "install", "--quiet", "--upgrade", "pip")  # --group requires pip 25.1
    constraints = venv / "constraints.txt"
    constraints.write_text("\n".join(locked()) + "\n")
    group = [] if runtime else ["--group", "dev"]
    shown(
        python,
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-compile",  # as uv: Python compiles the modules that are imported, a small part of all
        "--editable",
        ".",
        *group,
        "--constraint",
        constraints,
    )


def shown(*command: str | Path) -> None:
    """Run pip and name each package as pip gets to it: a silent minute looks like a hang."""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            words = line.split()
            if words[:1] == ["Collecting"]:
                print(f"  {re.split('[^A-Za-z0-9._-]', words[1])[0]}", flush=True)
            elif words[:2] == ["Installing", "collected"]:
                print("Installing them", flush=True)
    if running.returncode:
        raise subprocess.CalledProcessError(running.returncode, command)


def locked() -> list[str]:
    """The versions in uv.lock as constraints for pip. A package with several versions has a marker for each."""
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    return [
        f"{package['name']}=={package['version']}"
        + (f" ; {' or '.join(markers)}" if (markers := package.get("resolution-markers")) else "")
        for package in packages
        if "registry" in package["source"]
    ]


def main(arguments: list[str]) -> None:
    runtime = arguments[:1] == ["--runtime"]
    venv = ROOT / (arguments[1] if runtime else ".venv")
    what = "the packages that modelbay needs to run" if runtime else "all packages for working on modelbay"
    size = "140 MB" if runtime else "1.3 GB"
    with_it = "uv" if has_uv() else "pip"
    print(f"Making {venv.name} with {with_it}: {what} (about {size}; once, in this folder only)", flush=True)
    (with_uv if with_it == "uv" else with_pip)(venv, runtime=runtime)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: set-up stopped at `{' '.join(map(str, error.cmd))}`")
