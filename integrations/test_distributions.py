"""The integrations as distributions: their versions, their licence, and the names of modelbay that they use."""

import ast
import tomllib
from pathlib import Path

import pytest

import modelbay
from integrations.installed import FOLDER

PROJECTS = sorted(path.parent for path in FOLDER.glob("*/pyproject.toml"))


@pytest.fixture(params=PROJECTS, ids=lambda path: path.name)
def project(request: pytest.FixtureRequest) -> Path:
    assert isinstance(request.param, Path)
    return request.param


def test_it_has_the_version_and_the_licence_of_modelbay(project: Path):
    described = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    assert described["version"] == modelbay.__version__
    assert f"modelbay=={modelbay.__version__}" in described["dependencies"]
    assert described["license"] == "Apache-2.0"
    assert (project / "LICENSE").read_text() == (FOLDER.parent / "LICENSE").read_text()


def test_it_imports_public_names_of_modelbay_only(project: Path):
    for path in (project / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "modelbay":
                names = {alias.name for alias in node.names}
                assert node.module == "modelbay.errors" or names <= {*modelbay.__all__, "errors", "sync"}, (path, names)


def test_its_types_are_declared_for_type_checkers(project: Path):
    assert [*(project / "src").glob("*/py.typed")]
