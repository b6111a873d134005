"""`--model` where a registry, a manifest or a catalog lists the models: a name that it does not have is an error."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.inside import Inside
from tests.servers.site import site

NPM = "@ai-sdk/openai-compatible"
A = {"limit": {"context": 8000, "output": 1000}}
REGISTRY = {
    "one": {"name": "One", "api": "https://one.example/v1", "npm": NPM, "models": {"a": A, "b": A}},
    "two": {"name": "Two", "api": "https://two.example/v1", "npm": NPM, "models": {"c": A}},
}
MANIFEST = {"name": "X", "baseUrl": "https://x.example/v1", "models_data_source": "embedded"}


@pytest.fixture
def bay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    return Inside(tmp_path, monkeypatch)


@pytest.fixture
def registry() -> Iterator[str]:
    with site() as running:
        running.pages = {"/api.json": REGISTRY}
        yield f"{running.url}/api.json"


@pytest.mark.parametrize(
    ("chosen", "unknown"),
    [
        (["--model", "nope"], "nope"),
        (["--model", "a", "--model", "nope"], "nope"),
        (["--id", "two", "--model", "c", "--model", "a"], "a"),
    ],
)
def test_a_model_that_a_registry_does_not_have_is_refused(
    bay: Inside, registry: str, chosen: list[str], unknown: str
) -> None:
    run = bay("provider", "add", registry, "--yes", *chosen)
    assert (run.code, bay.text) == (1, "")
    assert f"api.json has no model {unknown}\n" in run.err
    assert "hint: choose from: " in run.err and "two/c" in run.err


def test_the_models_of_a_registry_are_named_with_or_without_their_provider(bay: Inside, registry: str) -> None:
    bay.done("provider", "add", registry, "--yes", "--model", "a", "--model", "two/c")
    assert sorted(tomllib.loads(bay.text)["models"]) == ["one/a", "two/c"]


def test_a_model_that_a_manifest_does_not_have_is_refused(bay: Inside, tmp_path: Path) -> None:
    models = [{"id": id, "name": id, "api_format": "openai"} for id in ("a", "b")]
    (tmp_path / "manifest.json").write_text(json.dumps([MANIFEST, models]))
    add = ("provider", "manifest", "--embedded", str(tmp_path / "manifest.json"), "--id", "acme", "--yes")
    run = bay(*add, "--model", "a", "--model", "nope")
    assert (run.code, bay.text) == (1, "")
    assert "--model: nope is not in the manifest\n" in run.err


@pytest.mark.parametrize("chosen", ["a", "one/a"])
def test_the_models_of_a_catalog_are_named_with_or_without_their_provider(
    bay: Inside, registry: str, chosen: str
) -> None:
    add = ("provider", "catalog", "add", "one", "--url", registry, "--api-key", "k", "--yes")
    run = bay(*add, "--model", chosen, "--model", "nope")
    assert (run.code, bay.text) == (1, "") and 'has no model "nope"' in run.err
    bay.done(*add, "--model", chosen)
    assert list(tomllib.loads(bay.text)["models"]) == ["one/a"]
