"""The rows of agents: which are valid, and what they must not contain."""

from typing import Any

import pytest

from modelbay.launching.program import programs, read
from tests.pages import ROOT

ROW: dict[str, Any] = {
    "title": "Agent",
    "command": "agent",
    "package": "@acme/agent",
    "registry": "npm",
    "protocols": ["openai_chat"],
}


def test_every_row_is_valid_and_has_a_command_that_installs_the_package() -> None:
    for program in programs().values():
        assert program.package in program.install, program.id


def test_an_agent_is_installed_by_the_command_of_its_registry_or_by_its_own() -> None:
    rows = {
        "one": ROW,
        "two": {**ROW, "registry": "pypi"},
        "three": {**ROW, "install_command": "brew install acme/tap/agent"},
    }
    assert [row.install for row in read(rows).values()] == [
        "npm install --global @acme/agent",
        "uv tool install @acme/agent",
        "brew install acme/tap/agent",
    ]


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"arguments": [["--key", "{key}"]]}, "a key in an argument is visible to other users of the machine"),
        (
            {"by_protocol": {"openai_chat": {"arguments": [["{key}"]]}}},
            "a key in an argument is visible to other users of the machine",
        ),
        (
            {"by_protocol": {"openai_chat": {"values": {"own": "{key}"}}}},
            "a value may contain facts other than the key",
        ),
        ({"by_protocol": {"openai_chat": {"values": {"a": "x", "b": "{a}"}}}}, "a value may contain facts other than"),
        ({"environment": {"MODEL": "{modle}"}}, "unknown placeholder {modle}"),
        ({"files": [{"path": "a.json", "content": {"a": {"b": ["{c}"]}}}]}, "unknown placeholder {c}"),
        ({"by_protocol": {"openai_chat": {"values": {"model": "x"}}}}, "the value model has the name of a fact"),
        ({"files": [{"content": {"a": 1}}]}, "a file needs a path or a variable, and not both"),
        ({"files": [{"path": "a.json", "exported": True}]}, "a file can be exported only for an agent"),
        ({"registry": None}, "no command installs it"),
        ({"long_suffix": "[1m]"}, "long_context and long_suffix need each other"),
        ({"by_protocol": {"google": {}}}, "by_protocol has a protocol that the agent does not speak"),
        ({"protocols": ["smtp"]}, "protocols"),
        ({"comand": "agent"}, "comand"),
    ],
)
def test_a_row_that_cannot_work_is_refused(fields: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault.replace("{", r"\{")):
        read({"agent": {**ROW, **fields}})


def test_a_row_says_whether_a_small_model_can_be_chosen() -> None:
    rows = {"yes": {**ROW, "environment": {"SMALL": "{small}"}}, "no": {**ROW, "environment": {"MODEL": "{model}"}}}
    assert [row.names_small for row in read(rows).values()] == [True, False]


def test_the_guide_lists_the_settings_that_each_agent_gets() -> None:
    lines = (ROOT / "docs/guides/agents.md").read_text().splitlines()
    table = lines[next(place for place, line in enumerate(lines) if line.startswith("| agent | `--small` |")) + 2 :]
    shown = {
        cells[0].strip("| `"): [cell == "yes" for cell in cells[1:5]] for cells in map(_cells, table[: table.index("")])
    }
    assert {id: [small, context, effort] for id, (small, context, _, effort) in shown.items()} == {
        id: [row.names_small, row.names_context, row.names_effort or bool(row.exporter)]
        for id, row in programs().items()
    }


def _cells(line: str) -> list[str]:
    return line.split(" | ")
