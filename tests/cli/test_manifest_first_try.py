"""`modelbay manifest` for an author who names the wrong file or URL, and who edits the files while they are served."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import Command
from tests.cli.hosting import got, serving
from tests.cli.inside import Inside
from tests.publishing.host import Host, host


@pytest.fixture
def acme() -> Iterator[Host]:
    with host() as made:
        yield made


@pytest.fixture
def bay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, acme: Host) -> Inside:
    return Inside(tmp_path, monkeypatch, {acme.url: "ACME"})


def test_edited_files_are_served_at_once(modelbay: Command, acme: Host):
    manifest, models = modelbay.home / "manifest.json", modelbay.home / "models.json"
    manifest.write_text(json.dumps(acme.manifest))
    models.write_text(json.dumps({"models": acme.models}))
    with serving(modelbay, ".") as address:
        base = address.removesuffix("/models?provider=true")
        more = {**acme.models, "new": {"id": "new", "name": "New"}}
        models.write_text(json.dumps({"models": more}))
        assert got(f"{base}/models?extended=true") == (200, {"models": more})
        manifest.write_text(json.dumps({**acme.manifest, "name": "Renamed"}))
        assert got(address)[1]["name"] == "Renamed"
        manifest.write_text(json.dumps(acme.manifest)[:-1])
        status, answer = got(address)
        assert status == 502 and "not JSON at line 1" in answer["error"]["message"]
        manifest.unlink()
        status, answer = got(f"{base}/models")
        assert status == 502 and "manifest.json cannot be read: No such file" in answer["error"]["message"]
        manifest.write_text(json.dumps(acme.manifest))
        assert got(address)[0] == 200


@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_folder_without_a_manifest_names_the_missing_file(bay: Inside, command: str):
    run = bay("manifest", command, str(bay.home))
    assert run.code == 2
    assert "HOME/manifest.json cannot be read: No such file or directory" in run.err


def test_models_instead_of_a_manifest_are_named(bay: Inside, acme: Host):
    (bay.home / "models.json").write_text(json.dumps({"models": acme.models}))
    run = bay("manifest", "check", str(bay.home / "models.json"), "--offline")
    assert run.code == 1
    assert "these are the extended models, not the manifest (shape)" in run.out
    assert "?provider=true" not in run.out, "a file has no query"


def test_the_url_of_the_list_is_not_called_a_server_that_ignores_the_query(bay: Inside, acme: Host):
    run = bay("manifest", "check", f"{acme.url}/v1/models")
    assert run.code == 1
    assert "this is the plain list of models, not the manifest (manifest-address)" in run.out
    assert "query-ignored" not in run.out
