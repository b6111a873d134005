"""`modelbay launch` in a project that pins models."""

import json
from subprocess import run

import pytest

from modelbay.project_pins import NAME
from tests.cli.command import MODELBAY
from tests.launching.desk import LaunchDesk


class Project:
    """A repository in the user's home, in which launches start."""

    def __init__(self, desk: LaunchDesk) -> None:
        self.desk = desk
        self.folder = desk.user / "project"
        (self.folder / ".git").mkdir(parents=True)

    def pins(self, text: str, *, trusted: bool = True) -> None:
        (self.folder / NAME).write_text(text)
        if trusted:
            assert self.desk("trust", str(self.folder), "--yes").code == 0

    def launch(self, *arguments: str) -> tuple[dict[str, str], str]:
        """The environment of the agent, and what was said."""
        file = self.desk.room / "seen"
        done = run(
            [MODELBAY, "launch", *arguments, "--", "show", str(file)],
            cwd=self.folder,
            env=self.desk.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        seen: dict[str, str] = json.loads(file.read_text())["environment"]
        return seen, done.stderr

    def fails(self, *arguments: str) -> str:
        command = [MODELBAY, "launch", *arguments]
        done = run(command, cwd=self.folder, env=self.desk.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        return done.stderr


@pytest.fixture
def project(desk: LaunchDesk) -> Project:
    return Project(desk)


def models(environment: dict[str, str]) -> tuple[str, str]:
    return environment["ANTHROPIC_MODEL"], environment["ANTHROPIC_DEFAULT_HAIKU_MODEL"]


def test_a_trusted_pin_is_the_model_of_a_launch(project: Project) -> None:
    project.pins('model = "direct"\n', trusted=False)
    seen, said = project.launch("claude")
    assert models(seen) == ("chat", "chat")
    assert said.count("not trusted") == 1
    project.pins('model = "direct"\n')
    seen, said = project.launch("claude")
    assert models(seen) == ("sim-1", "sim-1")
    assert f"model pinned by {project.folder / NAME}" in said


def test_the_pin_of_an_agent_comes_before_the_general_one(project: Project) -> None:
    project.pins('model = "nope"\nsmall_model = "direct"\n[agents.claude]\nmodel = "chat"\n')
    seen, _ = project.launch("claude")
    assert models(seen) == ("chat", "direct")
    assert '.modelbay.toml, line 1: no model "nope"' in project.fails("codex")


def test_the_command_line_comes_before_a_pin(project: Project) -> None:
    project.pins('model = "direct"\nsmall_model = "direct"\n[agents.claude]\nsmall_model = "direct"\n')
    seen, said = project.launch("claude", "-m", "chat")
    assert models(seen) == ("chat", "chat")  # no small task goes to a provider that the user did not name
    assert "pinned" not in said
    seen, said = project.launch("claude", "--small", "chat")
    assert models(seen) == ("direct", "chat")


def test_a_small_model_is_ignored_for_an_agent_without_such_a_setting(project: Project) -> None:
    project.pins('small_model = "nope"\n')
    _, said = project.launch("codex")
    assert "small tasks" not in said and "pinned" not in said
    project.pins('[agents.codex]\nsmall_model = "direct"\n')
    _, said = project.launch("codex")
    assert f"no setting for a model for small tasks; {project.folder / NAME}, line 2 is ignored" in said


def test_the_shared_gateway_does_not_depend_on_the_project(project: Project) -> None:
    desk = project.desk
    first = desk.agent("first")
    desk.seen("first")
    project.pins('model = "chat"\n[agents.claude]\nsmall_model = "direct"\n')
    seen, _ = project.launch("claude")
    assert seen["ANTHROPIC_BASE_URL"] == desk.seen("first")["environment"]["ANTHROPIC_BASE_URL"]
    assert len(desk.gateways()) == 1
    assert desk.ended("first", first) == 0
