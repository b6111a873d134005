"""README.md and the pages of docs/: their commands, and a shell that types them."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.cli.preloaded import run

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [*DOCS, README]
SHOWN = "http://127.0.0.1:8750"
"""URL of `modelbay simulate` in the examples: a reader can type them as they are."""


def at(url: str, text: str) -> str:
    """An example with the URL of a running simulator."""
    port = url.rpartition(":")[2]
    return text.replace(SHOWN, url).replace("localhost:8750", f"localhost:{port}")


BLOCKS = re.compile(
    r"^```(?P<kind>console simulator|console|sh|toml (?P<file>\S+))\n(?P<block>.*?)^```$|(?<!`)`(?P<code>modelbay [^`]+)`(?!`)",
    re.DOTALL | re.MULTILINE,
)
"""Blocks of commands, files, and commands in the text. In a block for the simulator, the lines after a command are its exact
output, and a line `…` stands for any lines. A TOML block with a path is a file that the reader writes.
"""
PLACEHOLDER = re.compile(r"\b[A-Z]{2,}\b|\bX\b|…|\[")
QUOTED_OR_COMMENT = re.compile(r"""'[^']*'|"[^"$`\\]*"| #.*""")
FOR_A_SHELL = re.compile(r"[|;&<>$~*?`(){}\\\n]")
"""Characters that a shell does not pass on as they are, unless they are quoted."""


class Command(NamedTuple):
    typed: str
    output: str = ""
    """Output that the page shows."""
    exact: bool = False
    """Whether the output is complete."""
    writes: bool = False
    """Whether it writes a file that the page shows."""

    @property
    def fails(self) -> bool:
        """Whether the page shows that the command fails."""
        return self.output.startswith("error: ")


def in_reading_order() -> list[Path]:
    """README.md, docs/README.md and the pages that it links, in the order of their first link."""
    index = ROOT / "docs" / "README.md"
    linked = (index.parent / link for link in re.findall(r"\]\(([^)#\s]+\.md)\)", index.read_text()))
    return list(dict.fromkeys([README, index, *(page for page in linked if page in DOCS)]))


def commands(page: Path) -> Iterator[Command]:
    """The commands of a page, in its order."""
    return commands_in(page.read_text())


def commands_in(text: str) -> Iterator[Command]:
    """The commands of a part of a page; those outside of blocks only if they can be typed as they are."""
    for found in BLOCKS.finditer(text):
        if code := found["code"]:
            line = " ".join(code.replace("\\|", "|").split())
            if not PLACEHOLDER.search(line):
                yield Command(line)
        elif file := found["file"]:
            typed = f"mkdir -p {file.rpartition('/')[0]} && cat > {file} <<'END'\n{found['block']}END"
            yield Command(typed, exact=True, writes=True)
        elif found["kind"] == "sh":
            yield from map(Command, found["block"].replace("\\\n", "").splitlines())
        else:
            for step in re.split(r"^\$ ", found["block"], flags=re.MULTILINE)[1:]:
                typed, _, output = step.replace("\\\n", "").partition("\n")
                yield Command(typed, output, exact=found["kind"] == "console simulator")


class Shell:
    """A shell in a home of its own, without a terminal and without a network except this machine."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "HTTP_PROXY": "http://127.0.0.1:9",
            "NO_PROXY": "127.0.0.1,localhost",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home),
            "MODELBAY_HOME": str(home / ".config/modelbay"),
            "COLUMNS": "100",
            "PYTHONUTF8": "1",
            "MODELBAY_REFRESH": "off",
        }

    def type(self, line: str) -> tuple[int, str]:
        """Exit code and output."""
        if line.startswith("modelbay ") and not FOR_A_SHELL.search(QUOTED_OR_COMMENT.sub("", line)):
            done = run(shlex.split(line, comments=True), self.environment, self.home, together=True)
            return done.returncode, done.stdout.replace(str(self.home), "~")
        with self._started(line) as running:
            output, _ = running.communicate()
        return running.returncode, output.replace(str(self.home), "~")

    @contextmanager
    def running(self, line: str) -> Iterator[str]:
        """The first line of a command that runs until Ctrl-C."""
        with self._started(f"exec {line}") as running:
            assert running.stdout is not None
            try:
                yield running.stdout.readline().strip()
            finally:
                running.terminate()
                running.communicate()

    def _started(self, line: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["sh", "-c", line],
            env=self.environment,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
