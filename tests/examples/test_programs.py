"""The programs in examples/, of modelbay and of its peers, run against the simulator."""

import json
import os
import runpy
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

import pytest

from modelbay.serving.server import HttpServer, listen
from modelbay.testing import ReceivedRequest, Simulator
from tests.pages import ROOT

EXAMPLES = ROOT / "examples"
RUNNER = Path(__file__).with_name("runner.py")
LIBRARIES = sorted(folder.name for folder in EXAMPLES.iterdir() if folder.is_dir())
PROGRAMS = sorted(program.stem for program in (EXAMPLES / "modelbay").glob("*.py"))
KEY, WRONG = "sk-0123456789", "sk-9876543210"
CONFIG = """
default_model = "gpt"

[providers.openai]
type = "openai_responses"
base_url = "{url}/v1"
api_key = "{key}"

[providers.anthropic]
type = "anthropic"
base_url = "{url}"
api_key = "{claude}"

[models.gpt]
provider = "openai"
model = "gpt-5-mini"

[models.claude]
provider = "anthropic"
model = "claude-haiku-4-5"

[models.embeddings]
provider = "openai"
model = "text-embedding-3-small"
"""
PICTURE = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
DOCUMENT = b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"
REVIEWS = [f"Review {number}" for number in range(60)]
"""Three times the number of requests that the programs send at once."""
SKY = "You asked: Why is the sky blue? I am gpt-5-mini"
SAID = {
    "streaming": [SKY, "25"],
    "tool_loop": ["sunny in Hamburg", "14:30 in Hamburg"],
    "typed_output": ["Hamburg 1 ['Hamburg', 'Hamburg']"],
    "files": ["I see one image (PNG, 70 bytes)", "I read one document"],
    "history": ["(question 2 of our conversation): What is it famous for? I am claude-haiku-4-5"],
    "web_stream": [SKY],
    "notebook": ["You asked: Name a city in Germany.", "(question 2 of our conversation): What is it famous for?"],
    "fallback": [f"gpt-5-mini {SKY}"],
    "embeddings": ["How do I reset my password?"],
}
"""The text that each program prints."""


class Runs(NamedTuple):
    """Runs of the programs of a library."""

    outputs: dict[str, str]
    requests: list[ReceivedRequest]


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(key=KEY, pace=0.02) as running:
        yield running


def run(library: str, simulator: Simulator, folder: Path, programs: list[str]) -> Runs:
    """Run programs of a library in a folder. In `fallback`, the key of the first provider is wrong."""
    (folder / "report.pdf").write_bytes(DOCUMENT)
    (folder / "chart.png").write_bytes(PICTURE)
    (folder / "reviews.txt").write_text("\n".join(REVIEWS))
    runs: list[tuple[str, dict[str, str]]] = []
    for program in programs:
        claude = WRONG if program == "fallback" else KEY
        home = folder / program
        home.mkdir()
        (home / "config.toml").write_text(CONFIG.format(url=simulator.url, key=KEY, claude=claude))
        environment = {"ANTHROPIC_API_KEY": claude, "MODELBAY_HOME": str(home)}
        runs.append((str(EXAMPLES / library / f"{program}.py"), environment))
    simulator.reset()
    ran = subprocess.run(
        [sys.executable, RUNNER, library, folder],
        env={
            "HOME": str(folder),
            "PATH": os.environ["PATH"],
            **simulator.environment,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # otherwise it waits for a list from the network
        },
        cwd=folder,
        input=json.dumps(runs),
        capture_output=True,
        check=False,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return Runs(json.loads(ran.stdout), list(simulator.journal))


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_programs_of_a_library_do_the_same(library: str, simulator: Simulator, tmp_path: Path) -> None:
    outputs, requests = run(library, simulator, tmp_path, PROGRAMS)
    missing = {
        program: outputs[program]
        for program, texts in SAID.items()
        if any(text not in outputs[program] for text in texts)
    }
    assert missing == {}
    assert int(outputs["web_stream"].strip().splitlines()[-1].removesuffix(" chunks")) > 1, "the answer is streamed"
    lines = [line.split("\t") for line in outputs["classification"].splitlines()]
    assert [review for _, review in lines] == REVIEWS
    assert {opinion for opinion, _ in lines} <= {"good", "bad", "mixed"}
    assert len([one for one in requests if b"Review " in one.body]) == len(REVIEWS)


def test_a_browser_that_disconnects_ends_the_call_of_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Simulator(pace=0.02) as simulator:
        (tmp_path / "config.toml").write_text(CONFIG.format(url=simulator.url, key=KEY, claude=KEY))
        monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
        listener = listen("127.0.0.1", 0)
        server = HttpServer(runpy.run_path(str(EXAMPLES / "modelbay" / "web_stream.py"))["app"], listener)
        server.start()
        browser = HTTPConnection("127.0.0.1", listener.getsockname()[1])
        browser.request("GET", "/answer?question=write+500+words")
        answer = browser.getresponse()
        assert answer.read1()
        answer.close()
        browser.close()
        assert simulator.requests[0].wait_over_sync().disconnected
        server.stop()
