"""Thousands of models and hundreds of providers: the work grows linearly. Work is counted, because time depends on the
machine.
"""

import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from modelbay.config import changes, load
from modelbay.config.edit import apply
from tests.catalog.manifests import manifest
from tests.cli.command import KEY
from tests.cli.inside import Inside
from tests.processor_time import check_growth
from tests.servers.site import Site, site

FEW = 24
GROWTH = 2.3
"""The factor by which the work may grow with twice as many models."""


@pytest.fixture
def fresh_site() -> Iterator[Site]:
    with site() as made:
        yield made


@pytest.fixture
def bay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_site: Site) -> Inside:
    return Inside(tmp_path, monkeypatch, {fresh_site.url: "SITE"})


def listed(count: int, name: str = "m") -> dict[str, Any]:
    return {"data": [{"id": f"{name}{number}", "context_length": 1000 + number} for number in range(count)]}


def extended(count: int, context: int = 1000) -> dict[str, Any]:
    limit = {"context": context, "output": 100}
    models = {f"m{number}": {"id": f"m{number}", "name": f"M {number}", "limit": limit} for number in range(count)}
    return {"models": models}


def registry(count: int, context: int = 1000) -> dict[str, Any]:
    models = {f"m{number}": {"id": f"m{number}", "limit": {"context": context}} for number in range(5)}
    return {
        f"p{number}": {"id": f"p{number}", "api": f"https://p{number}.example/v1", "type": "openai", "models": models}
        for number in range(count)
    }


def pages(count: int, site: Site, *, later: bool = False) -> None:
    context = 2000 if later else 1000
    site.pages = {
        "/v1/models": listed(count // 2 if later else count),
        "/v2/models": listed(count, "other"),
        "/v3/models?provider=true": manifest(name="Acme", baseUrl="SITE/v3"),
        "/v3/models?extended=true": extended(count, context),
        "/api.json": registry(count // 4, context),
    }


LIST = ("provider", "add", "SITE/v1", "--id", "list", "--api-key", KEY, "--all-models")
MANIFEST = ("provider", "manifest", "SITE/v3/models?provider=true", "--api-key", KEY, "--yes")
REGISTRY = ("provider", "add", "SITE/api.json", "--as", "registry")
COMMANDS: dict[str, list[tuple[str, ...]]] = {
    "adding a list": [LIST],
    "adding another": [LIST, ("provider", "add", "SITE/v2", "--id", "second", "--api-key", KEY, "--all-models")],
    "refreshing a list": [LIST, ("provider", "refresh", "list")],
    "setting a model": [LIST, ("model", "set", "list/m3", "thinking=yes")],
    "choosing a default": [LIST, ("model", "default", "list/m3")],
    "showing a model": [LIST, ("model", "show", "list/m3")],
    "adding a model": [LIST, ("provider", "edit", "list", "--add-model", "mine")],
    "removing a provider": [LIST, ("provider", "remove", "list", "--yes")],
    "a dry run": [LIST, ("model", "set", "list/m3", "thinking=yes", "--dry-run")],
    "adding by manifest": [MANIFEST],
    "refreshing a manifest": [MANIFEST, ("provider", "refresh", "acme")],
    "adding a registry": [REGISTRY],
    "refreshing a registry": [REGISTRY, ("provider", "refresh")],
}


def calls(run: Callable[[], object]) -> int:
    """The number of function calls, including those of libraries."""
    count = 0

    def see(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += 1

    threading.setprofile(see)
    sys.setprofile(see)
    try:
        run()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return count


def work(bay: Inside, site: Site, commands: list[tuple[str, ...]], count: int) -> int:
    """The calls that the last command makes with `count` models."""
    bay.file.unlink(missing_ok=True)
    *before, last = [[word.replace("SITE", site.url) for word in command] for command in commands]
    pages(count, site)
    for command in before:
        bay.done(*command)
    pages(count, site, later=bool(before))
    return calls(lambda: bay.done(*last))


@pytest.mark.parametrize("what", COMMANDS)
def test_twice_as_many_models_take_twice_the_work(bay: Inside, fresh_site: Site, what: str) -> None:
    work(bay, fresh_site, COMMANDS[what], 8)  # modules are imported by now
    few, some, many = (work(bay, fresh_site, COMMANDS[what], FEW * times) for times in (1, 2, 4))
    assert many - some < GROWTH * max(some - few, few / 10)


@pytest.mark.parametrize("count", [4, 40])
def test_a_registry_is_written_in_one_transaction(
    bay: Inside, fresh_site: Site, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages(count * 4, fresh_site)
    parsed, read = [], []
    loads, reading = tomllib.loads, load._Reading

    def seen(text: str) -> dict[str, Any]:
        if "[providers" in text:
            parsed.append(text)
        return loads(text)

    def seen_too(*arguments: Any) -> Any:
        read.append(arguments)
        return reading(*arguments)

    monkeypatch.setattr(tomllib, "loads", seen)
    monkeypatch.setattr(load, "_Reading", seen_too)
    bay.done(*(word.replace("SITE", fresh_site.url) for word in REGISTRY))
    assert bay.text.count("[providers.p") == count
    assert len(parsed) <= 3
    assert len(read) <= 6


def test_thousands_of_models_are_inserted_in_linear_time(tmp_path: Path) -> None:
    """A loop within a function is not visible in the number of calls, but in processor time. Eight times as many models take
    eight times as long, or 64 times as long if each one is compared with all others.
    """

    def adding(count: int) -> Callable[[], object]:
        tables = {f"p/m{number}": {"model": f"m{number}", "max_context_size": 1000} for number in range(count)}
        provider = {"type": "openai", "base_url": "https://p.example/v1"}
        add = partial(changes.add_provider, id="p", provider=provider, models=tables)
        return lambda: apply(add, tmp_path / "config.toml", dry_run=True)

    check_growth(adding(500), adding(4_000), below=24, tries=3)
