"""The command as a person runs it: a process of its own, with a home of its own."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from modelbay.simulator import Simulator
from tests import bundled_list
from tests.cli.preloaded import run

MODELBAY = shutil.which("modelbay", path=str(Path(sys.executable).parent)) or "modelbay"
KEY = "sk-planted-0123456789"


class Run(NamedTuple):
    """How a command ended; paths, ports, times and ids are made the same every time."""

    code: int
    out: str
    err: str


class Command:
    def __init__(self, home: Path, simulator: Simulator) -> None:
        self.home = home
        self.simulator = simulator
        bundled_list.store(home)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "MODELBAY_HOME": str(home),
            "COLUMNS": "80",
            "PYTHONUTF8": "1",
        }

    def __call__(self, *arguments: str, stdin: str = "", **environment: str) -> Run:
        done = run([MODELBAY, *arguments], self.environment | environment, self.home, stdin)
        return Run(done.returncode, self.same(done.stdout), self.same(done.stderr))

    def limited(self, bytes: int, *arguments: str) -> Run:
        """The command where no file may be larger than `bytes`, as on a full disk."""
        import resource

        done = subprocess.run(
            [MODELBAY, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            env=self.environment | {"PYTHONDONTWRITEBYTECODE": "1"},
            cwd=self.home,
            timeout=60,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bytes, bytes)),
        )
        return Run(done.returncode, self.same(done.stdout), self.same(done.stderr))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The command, running; its pipes are the test's."""
        return subprocess.Popen(
            [MODELBAY, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env=self.environment,
            cwd=self.home,
        )

    def configure(self, text: str) -> None:
        (self.home / "config.toml").write_text(text.replace("SIM", self.simulator.url), encoding="utf-8")

    def same(self, text: str) -> str:
        text = text.replace(str(self.home), "HOME").replace(self.simulator.url, "SIM")
        text = re.sub(r"\d+\.\d s\b", "0.0 s", text)
        return re.sub(r"\breq_\w+", "req_1", text)
