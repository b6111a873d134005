"""Integrations for the processes of tests, as they are found after their wheels are installed."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

FOLDER = Path(__file__).parent


def environment(site: Path, name: str) -> dict[str, str]:
    """The variables of a process that finds one integration and its entry points. `site`: a folder for the metadata."""
    project = tomllib.loads((FOLDER / name / "pyproject.toml").read_text())["project"]
    metadata = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir(parents=True, exist_ok=True)
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    groups = [
        "\n".join([f"[{group}]", *(f"{key} = {value}" for key, value in points.items())])
        for group, points in project.get("entry-points", {}).items()
    ]
    (metadata / "entry_points.txt").write_text("\n".join(groups))
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(FOLDER / name / "src"), str(site)])}


def python(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False, encoding="utf-8"
    )
