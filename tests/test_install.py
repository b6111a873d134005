"""The package as a user installs it: a built wheel in a fresh environment, and the commands of the README in order."""

import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from modelbay.simulator import Simulator
from tests.pages import README, ROOT

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


def environment_of(program: Path, home: Path) -> dict[str, str]:
    return {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(home), "PYTHONUTF8": "1"}


def started(program: Path, home: Path, *command: str) -> "subprocess.Popen[str]":
    """A command that runs until it is stopped."""
    environment = environment_of(program, home)
    return subprocess.Popen(
        [program, *command], env=environment, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def typed(program: Path, home: Path, line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", line],
        env=environment_of(program, home),
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_is_what_runs(installed: Path, tmp_path: Path):
    where = typed(installed, tmp_path, "python -c 'import modelbay; print(modelbay.__file__)'")
    assert str(installed.parents[1]) in where.stdout, where
    for line in ("modelbay version", "python -m modelbay version"):
        assert typed(installed, tmp_path, line).stdout.startswith("modelbay "), line


def test_the_wheel_has_the_documentation(installed: Path, tmp_path: Path):
    assert (installed.parents[1] / "share/man/man1/modelbay-ask.1").read_text().startswith(".TH MODELBAY-ASK 1")
    assert typed(installed, tmp_path, "modelbay docs").stdout.startswith("  install  ")
    assert typed(installed, tmp_path, "modelbay docs keys").stdout == (ROOT / "docs/concepts/keys.md").read_text()


def test_a_zip_file_with_the_package_works_like_an_installation(installed: Path, tmp_path: Path):
    """A zipapp: the packages that it depends on are beside it, as those with native code cannot be imported from a zip file."""
    program = tmp_path / "program.pyz"
    with zipfile.ZipFile(program, "w") as archive:
        package = installed.parents[1] / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
        for file in sorted((package / "modelbay").rglob("*")):
            if file.is_file() and file.suffix != ".pyc":
                archive.write(file, file.relative_to(package))
        archive.writestr("__main__.py", "from modelbay.cli import main\nmain()\n")
    packages = f"sys.path[:0] = ['{program}']; sys.path.append('{sysconfig.get_path('purelib')}')"
    calls = """
import modelbay
from modelbay.testing import Simulator
with Simulator() as simulator:
    hub = simulator.sync_hub()
    print(modelbay.__file__, hub.complete("Hi").text, hub.count("Hi", estimate=True).tokens)
"""
    command = [sys.executable, "-S", "-c", f"import sys; {packages}\n{calls}"]
    ran = subprocess.run(command, env={"MODELBAY_HOME": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(f"{program}/modelbay/__init__.py You asked: Hi."), ran
    runs = f"import runpy, sys; {packages}; runpy.run_path('{program}', run_name='__main__')"
    for line, shown in {
        ("version",): "modelbay 0.1.0",
        ("docs", "keys"): "# Keys",
        ("model", "search", "gpt-4o"): "gpt-4o",
        ("launch", "--list"): "claude",
        ("provider", "add", "antropic"): "did you mean anthropic",
    }.items():
        command = [sys.executable, "-S", "-c", runs, *line]
        ran = subprocess.run(command, env={"MODELBAY_HOME": str(tmp_path)}, capture_output=True, text=True, check=False)
        assert shown in ran.stdout + ran.stderr and "internal error" not in ran.stderr, (line, ran)


def test_the_metadata_says_for_whom_and_where_the_package_is(installed: Path, tmp_path: Path):
    asked = "from importlib.metadata import metadata as m; print(*m('modelbay').items())"
    printed = typed(installed, tmp_path, f'python -c "{asked}"').stdout
    assert "('License-Expression', 'Apache-2.0')" in printed
    assert "gateway" in printed and "Typing :: Typed" in printed


def test_the_package_page_names_commands_instead_of_files_that_an_index_does_not_have(installed: Path, tmp_path: Path):
    asked = "from importlib.metadata import metadata as m; print(m('modelbay').get_payload())"
    page = typed(installed, tmp_path, f'python -c "{asked}"').stdout
    assert page.startswith("# modelbay\n") and page.rstrip().endswith("The license is Apache-2.0.")
    assert re.findall(r"\]\((?!https?:)[^)]*\)|<img[^>]*>", page) == []
    topics = set(re.findall(r"`modelbay docs ([\w/-]+)`", page)) - {"TOPIC"}
    assert {"agents", "keys", "reference/dialects"} <= topics
    failed = [topic for topic in topics if typed(installed, tmp_path, f"modelbay docs {topic}").returncode]
    assert failed == []


def test_the_first_steps_of_the_readme_work_in_order(installed: Path, tmp_path: Path):
    [block] = re.findall(r"## Get started.*?```sh\n(.*?)```", README.read_text(), re.DOTALL)
    install, *steps = block.splitlines()
    assert install.startswith("uv tool install .")
    agent = tmp_path / "codex"
    agent.write_text('#!/bin/sh\necho "the agent began"\n')
    agent.chmod(0o755)
    with Simulator() as simulator:
        here = f"provider add {simulator.url}/v1 --api-key sk-acme-1 --yes"
        *steps, serve = steps
        steps[-1] = f'PATH="$PWD:$PATH" {steps[-1]}'
        done = [typed(installed, tmp_path, step.replace("provider add anthropic", here)) for step in steps]
        assert serve.startswith("modelbay serve ")
        with started(installed, tmp_path, "serve", "--port", "0") as running:
            assert running.stdout is not None
            assert running.stdout.readline().startswith("http://127.0.0.1:")
            running.terminate()
    assert [(one.args[-1], one.stderr) for one in done if one.returncode] == []
    assert done[1].stdout.startswith("You asked: Why is the sky blue?")
    assert "the agent began" in done[-1].stdout


def test_an_upgrade_and_an_uninstall_keep_the_configuration(installed: Path, tmp_path: Path):
    """As `pip install --upgrade` and `pip uninstall` do it, but with the wheel that is already built."""
    with Simulator() as simulator:
        assert typed(installed, tmp_path, f"modelbay provider add {simulator.url}/v1 --id acme --yes").returncode == 0
    file = Path(typed(installed, tmp_path, "modelbay config path").stdout.strip())
    before, python = file.read_bytes(), installed.parent / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python)]
    [wheel] = installed.parents[2].glob("*.whl")
    install = [*pip, "install", "--no-deps", "--no-index", "--force-reinstall", str(wheel)]
    subprocess.run([*pip, "uninstall", "--yes", "modelbay"], check=True, capture_output=True)
    assert not installed.exists()
    subprocess.run(install, check=True, capture_output=True)
    subprocess.run(install, check=True, capture_output=True)
    assert "acme" in typed(installed, tmp_path, "python -m modelbay provider list").stdout
    assert file.read_bytes() == before


def test_the_demo_ends_with_commands_that_are_there(installed: Path, tmp_path: Path):
    done = typed(installed, tmp_path, "modelbay demo")
    assert done.returncode == 0, done.stderr
    assert "\n  modelbay provider add anthropic " in done.stdout
    [page] = re.findall(r"`modelbay docs (\S+)`$", done.stdout, re.MULTILINE)
    assert typed(installed, tmp_path, f"modelbay docs {page}").stdout.startswith("# ")
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONUTF8": "1"}
    there = installed.parents[2]
    done = subprocess.run([installed, "demo"], env=environment, cwd=there, capture_output=True, text=True, check=True)
    [program] = re.findall(r"^  (\S+) provider add", done.stdout, re.MULTILINE)
    assert (there / program).exists() and not Path(program).is_absolute()
    assert f": `{program} docs install`" in done.stdout


def test_the_completion_of_each_shell_is_printed(installed: Path, tmp_path: Path):
    for shell in ("bash", "zsh", "fish"):
        assert "_MODELBAY_COMPLETE" in typed(installed, tmp_path, f"modelbay completion {shell}").stdout, shell
    asked = 'COMP_LINE="modelbay prov" _MODELBAY_COMPLETE=bash_complete modelbay'
    assert typed(installed, tmp_path, asked).stdout == "provider\n"
