"""Cost of starting: `import modelbay` and `modelbay --help`, each in a separate process."""

import resource
import subprocess
import sys

from bench.table import ratio, table

TRIES = 15
COMMANDS = {
    "python -c ''": [""],
    "import asyncio, msgspec": ["import asyncio, msgspec"],
    "import click": ["import click"],
    "import modelbay": ["import modelbay"],
    "from modelbay import Hub": ["from modelbay import Hub"],
    "modelbay --help": ["import sys; from modelbay.cli import main; sys.exit(main())", "--help"],
}


def _children() -> float:
    """Seconds of processor time that ended child processes took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def milliseconds() -> dict[str, float]:
    """Of each whole process, the least of several; they take turns, so that a slow moment slows them all."""
    least = dict.fromkeys(COMMANDS, float("inf"))
    for _ in range(TRIES):
        for name, command in COMMANDS.items():
            before = _children()
            subprocess.run([sys.executable, "-c", *command], check=True, stdout=subprocess.DEVNULL)
            least[name] = min(least[name], (_children() - before) * 1e3)
    return least


def report() -> str:
    took = milliseconds()
    base, click = took["import asyncio, msgspec"], took["import click"]
    rows = [[name, f"{ms:.0f}", ratio(ms, base), ratio(ms, click)] for name, ms in took.items()]
    return table("Start (processor time of a whole process)", ["", "ms", "to asyncio, msgspec", "to click"], rows)
