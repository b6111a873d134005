"""The package as a user installs it: a built wheel in a fresh environment, and the commands of the README in order."""

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from modelbay.simulator import Simulator

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="scripts are elsewhere in an environment")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of an environment with the wheel, which finds the packages it depends on here."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    built = subprocess.run(
        [*pip, "wheel", str(ROOT), "--no-deps", "--wheel-dir", str(folder)], capture_output=True, text=True, check=False
    )
    if "hatchling" in built.stderr and built.returncode:
        pytest.skip("the build system cannot be fetched here")
    assert built.returncode == 0, built.stderr
    [wheel] = folder.glob("*.whl")
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    python = venv / "bin" / "python"
    subprocess.run(
        [*pip, "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)],
        check=True,
        capture_output=True,
    )
    [own] = venv.glob("lib/python*/site-packages")
    (own / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return venv / "bin" / "modelbay"


def typed(program: Path, home: Path, line: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(home), "PYTHONUTF8": "1"}
    return subprocess.run(
        ["sh", "-c", line],
        env=environment,
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_is_what_runs(installed: Path, tmp_path: Path):
    where = typed(installed, tmp_path, "python -c 'import modelbay; print(modelbay.__file__)'")
    assert str(installed.parents[1]) in where.stdout, where
    assert typed(installed, tmp_path, "modelbay version").stdout.startswith("modelbay ")


def test_the_steps_of_the_readme_work_in_order(installed: Path, tmp_path: Path):
    text = (ROOT / "README.md").read_text()
    assert text.index("## Get started") < text.index("## Python")
    [block] = re.findall(r"## Get started.*?```sh\n(.*?)```", text, re.DOTALL)
    install, *steps, app = block.splitlines()
    assert (install.split()[0], app.split()[0], len(steps)) == ("uv", "modelbay", 2)
    with Simulator() as simulator:
        here = f"provider add {simulator.url}/v1 --api-key sk-acme-1 --yes"
        for line in steps:
            done = typed(installed, tmp_path, line.replace("provider add anthropic", here))
            assert done.returncode == 0, done.stderr
        assert typed(installed, tmp_path, 'modelbay ask "Why is the sky blue?"').stdout.startswith("You asked: Why")


def test_the_demo_ends_with_commands_that_are_there(installed: Path, tmp_path: Path):
    done = typed(installed, tmp_path, "modelbay demo")
    assert done.returncode == 0, done.stderr
    assert "\n  modelbay provider add anthropic " in done.stdout
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONUTF8": "1"}
    there = installed.parents[2]
    done = subprocess.run([installed, "demo"], env=environment, cwd=there, capture_output=True, text=True, check=True)
    [program] = re.findall(r"^  (\S+) provider add", done.stdout, re.MULTILINE)
    assert (there / program).exists() and not Path(program).is_absolute()


def test_completion_of_every_shell_of_the_guide(installed: Path, tmp_path: Path):
    guide = (ROOT / "docs/guides/install.md").read_text()
    shells = re.findall(r"_MODELBAY_COMPLETE=(\w+)_source modelbay", guide)
    assert sorted(shells) == ["bash", "fish", "zsh"]
    for shell in shells:
        assert (
            "_MODELBAY_COMPLETE" in typed(installed, tmp_path, f"_MODELBAY_COMPLETE={shell}_source modelbay").stdout
        ), shell
    words = 'COMP_WORDS="modelbay prov" COMP_CWORD=1 _MODELBAY_COMPLETE=bash_complete modelbay'
    assert "provider" in typed(installed, tmp_path, words).stdout


def test_the_runtime_set_up_leaves_the_tools_out():
    makefile = (ROOT / "Makefile").read_text()
    assert "tools/setup.py --runtime .venv-demo" in makefile
    assert "/.venv-demo/" in (ROOT / ".gitignore").read_text().splitlines()
