"""The app in a project that pins its model."""

from pathlib import Path

import pytest

from modelbay.project_pins import NAME, digest
from modelbay.storage.trusted_files import TrustedFiles
from tests.tui.sitting import sitting


@pytest.fixture
def project(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's file, which pins the model `plain`."""
    monkeypatch.chdir(home)
    path = home.resolve() / NAME
    path.write_text('model = "plain"\n')
    return path


def trust(path: Path) -> None:
    TrustedFiles().add(path, digest(path.read_bytes()))


async def test_the_app_uses_the_model_of_a_trusted_project(home: Path, project: Path, configured: str):
    trust(project)
    async with sitting(configured, home=home, size=(160, 24)) as person:
        await person.sees("plain is the default model here", f"{NAME}, line 1")
        assert person.app.state.model is not None and person.app.state.model.alias == "plain"


async def test_the_app_ignores_a_project_without_trust(home: Path, project: Path, configured: str):
    async with sitting(configured, home=home, size=(200, 24)) as person:
        await person.sees("not trusted; show its models and trust it: `modelbay trust`")
        assert person.app.state.model is not None and person.app.state.model.alias == "thinker"
        trust(project)
        (home / "config.toml").write_text(configured + "\n")
        await person.sees("Reloaded config.toml")
        assert person.app.state.model.alias == "plain"
        project.write_text('model = "thinker"\n')
        (home / "config.toml").write_text(configured + "\n\n")
        await person.sees("changed since you trusted it")


async def test_the_app_starts_although_the_pinned_model_is_not_configured(home: Path, project: Path, configured: str):
    project.write_text('model = "nope"\n')
    trust(project)
    async with sitting(configured, home=home, size=(160, 24)) as person:
        await person.sees(f'{NAME}, line 1: no model "nope"')
        await person.says("/model plain")
        await person.says("Hello")
        await person.sees("Hello")
        assert person.app.state.model is not None and person.app.state.model.alias == "plain"
