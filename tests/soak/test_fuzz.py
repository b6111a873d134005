"""Every parser before a fuzzer that is guided by coverage: no exception but ours, no hang, bounded memory."""

import os
import random
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.fuzzing import TARGETS

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is not there: uv pip install atheris"),
]
SECONDS = int(os.environ.get("MODELBAY_FUZZ_SECONDS", "120"))


@pytest.mark.parametrize("name", TARGETS)
def test_the_fuzzer_finds_nothing(name: str, tmp_path: Path) -> None:
    for number in range(20):  # it mutates what it is given, and nothing is hard to grow from
        (tmp_path / f"seed{number}").write_bytes(random.Random(number).randbytes(700))
    limits = [
        f"-max_total_time={SECONDS}",
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-max_len=8192",
        "-print_final_stats=1",
    ]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("fuzz.py")), name, *limits, str(tmp_path)],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4_000:]
    inputs = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    print(f"{name}: {inputs[1] if inputs else '?'} inputs in {SECONDS} s")
