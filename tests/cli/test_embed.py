"""`modelbay embed`: texts as arguments, in files and on standard input, and vectors as JSON."""

import json
from typing import Any

import pytest

from tests.cli.command import Command


def vectors(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_each_text_has_a_line_with_its_vector(modelbay: Command):
    run = modelbay("embed", "-m", "sim/sim-1", "--dimensions", "8", "red apple", "fast car", stdin="red apple\n")
    apple, car, piped = vectors(run.out)
    assert len(apple) == len(car) == 8
    assert apple == piped != car
    assert "tokens in" in run.err


def test_lines_of_files_and_standard_input_are_texts_of_their_own(modelbay: Command):
    (modelbay.home / "names.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n")
    whole = vectors(modelbay("embed", "-m", "sim/sim-1", "-f", "names.txt").out)
    run = modelbay("embed", "-m", "sim/sim-1", "--lines", "-f", "names.txt", stdin="two\none\n")
    one, two, *rest = vectors(run.out)
    assert rest == [two, one]
    assert len(whole) == 1


def test_json_has_the_usage_and_the_vectors(modelbay: Command):
    found = json.loads(modelbay("embed", "-m", "sim/sim-1", "--json", "a", "b").out)
    assert (found["provider"], found["dimensions"], len(found["vectors"])) == ("sim", 256, 2)
    assert found["usage"]["input"] == 2
    assert found["cost"] is None or found["cost"] > 0


@pytest.mark.parametrize(
    ("line", "stdin", "code", "words"),
    [
        (["-m", "sim/sim-1"], "", 2, "missing text"),
        (["a"], "", 2, "missing --model"),
        (["-m", "sim/sim-1", ""], "", 2, "an argument is empty"),
        (["-m", "sim/sim-1", "--lines"], "a\n\nb\n", 2, "line 2 of standard input is empty"),
        (["-m", "sim/sim-1", "-f", "gone.txt"], "", 2, "gone.txt cannot be read"),
        (["-m", "sim/sim-1", "-f", "latin.txt"], "", 2, "latin.txt is not UTF-8 text"),
        (["-m", "sim/sim-1", "--dimensions", "0", "a"], "", 2, "dimensions"),
        (["-m", "sim/gone", "a"], "", 1, "Model Not Found"),
    ],
)
def test_an_error_says_what_is_wrong(modelbay: Command, line: list[str], stdin: str, code: int, words: str):
    (modelbay.home / "latin.txt").write_bytes(b"\xe4")
    run = modelbay("embed", *line, stdin=stdin)
    assert (run.code, run.out) == (code, "")
    assert words in run.err
    assert "hint:" in run.err or code == 2


def test_a_failure_is_json_too(modelbay: Command):
    run = modelbay("embed", "-m", "sim/gone", "--json", "a")
    error = json.loads(run.out)["error"]
    assert (run.code, error["title"], error["provider"]) == (1, "Model Not Found", "sim")
    assert error["hint"].startswith("use an embedding model")


def test_a_provider_on_the_command_line_needs_no_configuration(modelbay: Command):
    url = f"{modelbay.simulator.url}/v1beta/models/sim-1:generateContent"
    run = modelbay("embed", "--base-url", url, "--api-key", "-", "-m", "sim-1", "a", stdin="sk-planted-0123456789\n")
    assert (run.code, len(vectors(run.out)[0])) == (0, 256), run.err
