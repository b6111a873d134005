"""`modelbay provider refresh` of a manifest that changes its provider, or that is incomplete."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelbay.config.load import load
from modelbay.onboarding.sources import merge as merging
from tests.catalog.manifests import manifest
from tests.cli.inside import Inside
from tests.servers.site import Site, site

HOSTED = "/v1/models?provider=true"
LISTED = "/v1/models?extended=true"


def models(*named: dict[str, Any]) -> dict[str, Any]:
    return {"models": {one["id"]: one for one in named}}


@pytest.fixture
def acme() -> Iterator[Site]:
    with site() as made:
        made.pages = {
            HOSTED: manifest(name="Acme", website=None, baseUrl="SITE/v1"),
            LISTED: models(*({"id": id, "name": id.title()} for id in ("large", "small", "old"))),
        }
        yield made


@pytest.fixture
def bay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, acme: Site) -> Inside:
    made = Inside(tmp_path, monkeypatch, {acme.url: "SITE"})
    made.done("provider", "manifest", f"{acme.url}{HOSTED}", "--yes")
    return made


def test_a_provider_is_renamed_with_its_manifest_unless_the_user_named_it(bay: Inside, acme: Site) -> None:
    url = f"{acme.url}{HOSTED}"
    for again in (("refresh", "acme"), ("manifest", url, "--yes", "--id", "acme")):
        name = f"Acme by {again[0]}"
        acme.pages[HOSTED] = manifest(name=name, website="https://new.example", baseUrl="SITE/v1")
        bay.done("provider", *again)
        entry = load(bay.file).provider("acme")
        assert (entry.name, (entry.source or {})["website"]) == (name, "https://new.example")
    bay.done("provider", "edit", "acme", "--name", "Mine")
    acme.pages[HOSTED] = manifest(name="Acme Inc", website=None, baseUrl="SITE/v1")
    bay.done("provider", "refresh", "acme")
    bay.done("provider", "manifest", url, "--yes", "--id", "acme")
    assert load(bay.file).provider("acme").name == "Mine"


def test_a_new_name_is_reported(bay: Inside, acme: Site) -> None:
    acme.pages[HOSTED] = manifest(name="Acme Inc", website=None, baseUrl="SITE/v1")
    assert bay.done("provider", "refresh", "acme") == "acme: provider changed\n  ~ name Acme → Acme Inc\n"
    acme.pages[HOSTED] = manifest(name="Acme Ltd", website=None, baseUrl="SITE/v1")
    acme.pages[LISTED] = models(*({"id": id, "name": id} for id in ("large", "small", "old")))
    assert bay.done("provider", "refresh", "acme").startswith("acme: 3 changed, provider changed\n")
    acme.pages[HOSTED] = manifest(name="Acme & Co", website=None, baseUrl="SITE/v1")
    found = json.loads(bay.done("provider", "refresh", "acme", "--json"))["refreshed"][0]
    assert found["provider_changed"] == ["name Acme Ltd → Acme & Co"]


@pytest.mark.parametrize(
    ("around", "said"),
    [
        ({"error": {"message": "one region did not answer"}}, "contains an error: one region did not answer"),
        ({"total": 3}, "announces 3 models and contains 1"),
        ({"has_more": True}, "says that it is incomplete"),
        ({"meta": {"next_cursor": "more"}}, "says that it is incomplete"),
        ({"next_page_token": "more"}, "has more pages"),
    ],
)
@pytest.mark.parametrize("listed", [{"small": {"id": "small", "name": "Small"}}, [{"id": "small", "name": "Small"}]])
def test_incomplete_extended_models_remove_nothing(
    bay: Inside, acme: Site, listed: Any, around: dict[str, Any], said: str
) -> None:
    acme.pages[LISTED] = {"models": listed, **around}
    run = bay("provider", "refresh", "acme")
    assert "  - " not in run.out
    assert len(re.findall(f"incomplete: models: .*{said}", run.err)) == run.err.count(said) == 1
    assert {"acme/large", "acme/small", "acme/old"} <= load(bay.file).models.keys()
    acme.pages[LISTED] = models({"id": "small", "name": "Small"})
    assert "  - acme/old\n" in bay.done("provider", "refresh", "acme")


def test_a_price_per_token_is_ignored_and_reported(bay: Inside, acme: Site) -> None:
    large = {"id": "large", "name": "Large"}
    acme.pages[LISTED] = models({**large, "cost": {"input": 0.5, "output": 1.5}})
    bay.done("provider", "refresh", "acme")
    assert "$0.5" in bay.done("model", "show", "acme/large")
    acme.pages[LISTED] = models({**large, "cost": {"input": 5e-7, "output": 1.5e-6}})
    run = bay("provider", "refresh", "acme")
    assert "models.large.cost: $0.0000015 per million tokens is less than any model costs; it is ignored" in run.err
    assert "$0" not in bay.done("model", "show", "acme/large")


def test_a_provider_without_models_that_discovers_them_gets_its_whole_list(bay: Inside, acme: Site) -> None:
    acme.pages["/v1/models"] = {"data": [{"id": "a"}, {"id": "b"}]}
    table = f'[providers.own]\ntype = "openai"\nbase_url = "{acme.url}/v1"\nauth = "none"\n'
    bay.file.write_text(table)
    assert bay.done("provider", "refresh", "own") == "own: up to date\n"
    shutil.rmtree(merging.path_of("own").parent)
    bay.file.write_text(f'{table}model_source = "discover"\n')
    assert bay.done("provider", "refresh", "own") == "own: 2 new\n  + own/a\n  + own/b\n"
    bay.done("provider", "edit", "own", "--remove-model", "b")
    acme.pages["/v1/models"] = {"data": [{"id": "a"}, {"id": "b"}, {"id": "c"}]}
    bay.done("provider", "refresh", "own")
    assert list(load(bay.file).models) == ["own/a"]


def test_a_registry_without_its_url_is_reported(bay: Inside, acme: Site) -> None:
    own = f'type = "openai"\nbase_url = "{acme.url}/v1"\nauth = "none"\n'
    bay.file.write_text(f'[providers.lost]\n{own}source = {{ kind = "apiJson" }}\n')
    for line in (["lost"], []):
        run = bay("provider", "refresh", *line)
        assert (run.code, run.out) == (1, "")
        assert run.err.startswith("not changed: lost\nerror: its source has no `url`")
