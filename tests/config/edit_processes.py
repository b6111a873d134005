"""Processes that change one file at the same time, and processes that are killed while they write it."""

import os
import random
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

CHANGE = """
import sys
from pathlib import Path
from modelbay.config.changes import change_model
from modelbay.config.edit import apply

path, number = Path(sys.argv[1]), int(sys.argv[2])
alias, key = f"acme/{number % 8}", f"k{number}"
done = apply(lambda edit: change_model(edit, alias, {(key,): number}), path, wait=600)
assert done.result.set == [key], done
"""

REWRITE = """
import sys
from pathlib import Path
from modelbay.config.edit import Edit

path, number = Path(sys.argv[1]), int(sys.argv[2])
while True:
    number += 1
    with Edit.open(path) as edit:
        edit.set("first", value=number)
        edit.set("models", "acme/7", "last", value=number)
    print("written", flush=True)
"""


def start_file(path: Path) -> list[str]:
    """A large file, and its comment lines."""
    text = (
        "# about this file\n\nfirst = 0 # counts\n\n# ---- providers ----\n\n[providers.acme]\ntype = 'openai' # type\n"
    )
    for number in range(8):
        text += f'\n# about {number}\n[models."acme/{number}"] # model {number}\n'
        text += f'provider = "acme"\nmodel = "m{number}" # {"x" * 1000}\nlast = 0 # counts too\n'
    path.write_text(text)
    path.chmod(0o600)
    return [line for line in text.splitlines() if "#" in line]


def many_processes_lose_nothing(folder: Path, count: int) -> float:
    """Each of `count` processes, started at the same time, sets another key. Returns the duration in seconds."""
    path = folder / "config.toml"
    comments = start_file(path)
    began = time.monotonic()
    writers = [
        subprocess.Popen([sys.executable, "-c", CHANGE, str(path), str(number)], stderr=subprocess.PIPE, text=True)
        for number in range(count)
    ]
    complaints = [writer.communicate(timeout=600)[1] for writer in writers]
    seconds = time.monotonic() - began
    assert [text for text in complaints if text] == []
    models = tomllib.loads(path.read_text())["models"]
    kept = [key for alias in models for key in models[alias] if key.startswith("k")]
    assert sorted(kept) == sorted(f"k{number}" for number in range(count))
    assert [line for line in path.read_text().splitlines() if "#" in line] == comments
    assert sorted(os.listdir(folder)) == ["config.toml", "config.toml.lock"]
    return seconds


def kills_leave_the_old_file_or_the_new(folder: Path, count: int, seed: int = 0) -> int:
    """Kills a process `count` times while it writes. Returns the number of times that a temporary file was left."""
    path = folder / "config.toml"
    start_file(path)
    before = path.read_text()
    chance = random.Random(seed)
    number = aside = 0
    for _ in range(count):
        with subprocess.Popen(
            [sys.executable, "-c", REWRITE, str(path), str(number)], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            for _ in range(chance.randint(1, 3)):
                assert writer.stdout.readline() == b"written\n"
            time.sleep(chance.uniform(0, 0.01))
            writer.send_signal(signal.SIGKILL)
            writer.wait(60)
        text = path.read_text()
        data = tomllib.loads(text)
        assert data["first"] == data["models"]["acme/7"]["last"] >= number, "no write is done by half"
        assert re.sub(r"(first|last) = \d+", r"\1 = 0", text) == before
        assert path.stat().st_mode & 0o777 == 0o600
        number = data["first"]
        aside += len(os.listdir(folder)) > 2
    assert number > 0
    return aside
