"""The connection test of `modelbay provider catalog add`, before anything is saved."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import KEY
from tests.cli.inside import Inside
from tests.servers.site import Page, Site, site

CATALOG = {
    "lost": {
        "id": "lost", "name": "Lost", "npm": "@ai-sdk/openai-compatible",
        "models": {"acme-1": {"id": "acme-1", "limit": {"context": 8000}}},
    }
}  # fmt: skip


@pytest.fixture
def host() -> Iterator[Site]:
    """A catalog, and the provider in it."""
    with site() as running:
        running.pages = {"/mine.json": CATALOG}
        yield running


@pytest.fixture
def bay(tmp_path: Path, host: Site, monkeypatch: pytest.MonkeyPatch) -> Inside:
    return Inside(tmp_path, monkeypatch, {host.url: "HOST"})


def test_a_key_that_the_provider_rejects_is_not_saved(bay: Inside, host: Site) -> None:
    host.pages["/v1/models"] = Page(b'{"data": [{"id": "acme-1"}]}', key=KEY)
    add = ["provider", "catalog", "add", "lost", "--base-url", f"{host.url}/v1", "--url", f"{host.url}/mine.json"]
    run = bay(*add, "--api-key", "sk-wrong-0123456789")
    assert (run.code, bay.text) == (1, "") and "returned 401: who are you?" in run.err
    assert "hint: pass the API key again with --api-key; make sure it is complete" in run.err
    assert bay(*add, "--api-key", "sk-wrong-0123456789", "--dry-run").code == 1
    run = bay(*add, "--api-key", "sk-wrong-0123456789", "--model", "acme-1")
    assert run.code == 0 and "warning: The API key was rejected: GET HOST/v1/models returned 401" in run.err
    run = bay(*add, "--api-key", KEY)
    assert run.code == 0 and "warning" not in run.err
    assert tomllib.loads(bay.text)["providers"]["lost"]["api_key"] == KEY


def test_an_update_without_a_key_is_not_tested(bay: Inside, host: Site) -> None:
    host.pages["/v1/models"] = {"data": [{"id": "acme-1"}]}
    add = ["provider", "catalog", "add", "lost", "--base-url", f"{host.url}/v1", "--url", f"{host.url}/mine.json"]
    bay.done(*add, "--api-key", KEY)
    host.asked.clear()
    assert bay(*add).code == 0
    assert "GET /v1/models" not in host.targets


def test_a_new_key_and_the_number_of_chosen_models_are_reported(bay: Inside, host: Site) -> None:
    host.pages["/v1/models"] = {"data": [{"id": "acme-1"}]}
    more = {**CATALOG["lost"]["models"], "acme-2": {"id": "acme-2", "limit": {"context": 8000}}}  # type: ignore[dict-item]
    host.pages["/mine.json"] = {"lost": {**CATALOG["lost"], "models": more}}
    add = ["provider", "catalog", "add", "lost", "--base-url", f"{host.url}/v1", "--url", f"{host.url}/mine.json"]
    add += ["--model", "acme-2", "--api-key"]
    assert "Imported Lost (lost) with 1 model from" in bay.done(*add, KEY)
    assert "  nothing changed\n" in bay.done(*add, KEY)
    again = bay.done(*add, "sk-another-0123456789")
    assert "  the API key is replaced\n" in again and "nothing changed" not in again
    assert list(tomllib.loads(bay.text)["models"]) == ["lost/acme-2"]


def test_the_base_url_is_that_where_the_provider_answers(bay: Inside, host: Site) -> None:
    host.pages["/v1/models"] = {"data": [{"id": "acme-1"}]}
    add = ["provider", "catalog", "add", "lost", "--base-url", host.url, "--url", f"{host.url}/mine.json"]
    run = bay(*add, "--api-key", KEY)
    assert run.code == 0 and "The base URL is HOST/v1: the provider answers there" in run.err
    assert tomllib.loads(bay.text)["providers"]["lost"]["base_url"] == f"{host.url}/v1"
