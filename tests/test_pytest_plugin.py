"""The pytest fixture, in runs of pytest as users have them."""

import re
import subprocess
import sys
from pathlib import Path

from tests.pages import DOCS, ROOT

GUIDE = ROOT / "docs" / "guides" / "testing.md"
TESTS = """
import pytest


def asked(simulator, prompt="Hi"):
    with simulator.sync_hub() as hub:
        return hub.complete(prompt).text


def test_used(modelbay_simulator):
    modelbay_simulator.say("Hello!")
    assert asked(modelbay_simulator) == "Hello!"


def test_unused(modelbay_simulator):
    modelbay_simulator.say("Hello!")


def test_next(modelbay_simulator):
    assert asked(modelbay_simulator).startswith("You asked: Hi.")


def test_shown(modelbay_simulator):
    assert asked(modelbay_simulator, "Where is it?") == "here"


def test_failed(modelbay_simulator):
    modelbay_simulator.say("unused")
    pytest.fail("as planned")


def test_skipped(modelbay_simulator):
    modelbay_simulator.say("unused")
    pytest.skip("not today")


@pytest.mark.xfail
def test_expected(modelbay_simulator):
    modelbay_simulator.say("unused")
    assert False


@pytest.mark.xfail(strict=True)
def test_expected_unused(modelbay_simulator):
    modelbay_simulator.say("unused")
"""
PARALLEL = """
import pytest


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def weather(modelbay_simulator):
    modelbay_simulator.when("weather").say("sunny")
    return modelbay_simulator


@pytest.mark.parametrize("number", range(8))
async def test_async(weather, number):
    async with weather.hub() as hub:
        assert (await hub.complete("weather?")).text == "sunny"


@pytest.mark.parametrize("number", range(8))
def test_blocking(request, number):
    simulator = request.getfixturevalue("modelbay_simulator")
    simulator.say(str(number))
    with simulator.sync_hub() as hub:
        assert hub.complete("Hi").text == str(number)
"""
OTHERS = """
import sys


def test_it(request):
    plugins = request.config.pluginmanager
    assert plugins.has_plugin("modelbay")
    assert [name for name in sys.modules if name.startswith("modelbay")] == ["modelbay", "modelbay.pytest_plugin"]
    assert not plugins.get_hookcallers(plugins.get_plugin("modelbay"))
"""


def ran(folder: Path, code: str, *options: str) -> tuple[list[str], str]:
    """The outcomes of tests in the order of their names, and the output of pytest."""
    folder.joinpath("test_it.py").write_text(code)
    folder.joinpath("pytest.ini").write_text("[pytest]\nfilterwarnings = error\nanyio_mode = auto\n")
    without = ["-p", "no:cacheprovider", "-p", "no:asyncio"]
    command = [sys.executable, "-X", "dev", "-m", "pytest", *without, "-v", "--color=no", *options]
    done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=300)
    output = done.stdout + done.stderr
    lines = re.findall(r"test_it\.py::(\S+) ([A-Z]+)\b", output)
    lines += [(name, outcome) for outcome, name in re.findall(r"\] ([A-Z]+) test_it\.py::(\S+)", output)]
    return [f"{name} {outcome}" for name, outcome in sorted(set(lines))], output


def test_a_test_with_the_fixture_has_one_outcome(tmp_path: Path) -> None:
    found, output = ran(tmp_path, TESTS)
    assert found == [
        "test_expected XFAIL",
        "test_expected_unused XFAIL",
        "test_failed FAILED",
        "test_next PASSED",
        "test_shown FAILED",
        "test_skipped SKIPPED",
        "test_unused FAILED",
        "test_used PASSED",
    ], output
    assert "3 failed, 2 passed, 1 skipped, 2 xfailed" in output
    assert "1 of 1 scripted replies not used:" in output
    assert 'POST /v1/chat/completions sim-1 "Where is it?": 200' in output
    assert "conclude" not in output


UNUSED = """
import asyncio

from modelbay.testing import Simulator


def test_with():
    with Simulator() as simulator:
        simulator.say("never")


def test_async_with():
    async def main():
        async with Simulator() as simulator:
            simulator.say("never")

    asyncio.run(main())
"""


def test_an_unused_reply_is_shown_at_the_line_of_the_test(tmp_path: Path) -> None:
    found, output = ran(tmp_path, UNUSED)
    assert found == ["test_async_with FAILED", "test_with FAILED"], output
    assert output.count("1 of 1 scripted replies not used:") >= 2
    assert ">       with Simulator() as simulator:" in output
    assert "conclude" not in output
    assert "__exit__" not in output


def test_it_works_in_parallel_and_in_async_tests(tmp_path: Path) -> None:
    found, output = ran(tmp_path, PARALLEL, "-n", "2")
    assert len(found) == 16, output
    assert {outcome.rpartition(" ")[2] for outcome in found} == {"PASSED"}, output


def test_other_tests_cost_no_import_and_no_hook(tmp_path: Path) -> None:
    found, output = ran(tmp_path, OTHERS)
    assert found == ["test_it PASSED"], output


def test_the_tests_of_the_guide_pass(tmp_path: Path) -> None:
    assert GUIDE in DOCS
    code = "\n\n".join(re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL))
    found, output = ran(tmp_path, code)
    assert found == [f"{name} PASSED" for name in sorted(re.findall(r"^def (test_\w+)", code, re.MULTILINE))], output
