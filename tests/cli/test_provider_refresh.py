"""`modelbay provider refresh`: updated and kept values."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelbay import sync
from modelbay.config.load import load
from modelbay.onboarding.sources import documents
from modelbay.onboarding.sources import merge as merging
from modelbay.simulator import Simulator
from modelbay.simulator.login_server import LoginBehavior
from tests.catalog.manifests import embedded, manifest, model
from tests.cli.command import KEY, Command
from tests.cli.inside import Inside, Person
from tests.servers.site import Page, Site, site

HOSTED = "/v1/models?provider=true"
LISTED = "/v1/models?extended=true"


def models(*named: dict[str, Any]) -> dict[str, Any]:
    return {"models": {one["id"]: one for one in named}}


@pytest.fixture
def acme(simulator: Simulator) -> Iterator[Site]:
    simulator.reset()
    with site(simulator) as made:
        made.calls, made.model = {"/v1/chat/completions": "/v1/chat/completions"}, "sim-thinker"
        made.pages = {
            HOSTED: manifest(name="Acme", website=None, baseUrl="SITE/v1"),
            LISTED: models(model(id="large"), model(id="small", name="Small"), {"id": "old", "name": "Old"}),
        }
        yield made


@pytest.fixture
def bay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, acme: Site) -> Inside:
    made = Inside(tmp_path, monkeypatch, {acme.url: "SITE"})
    made.done("provider", "manifest", f"{acme.url}{HOSTED}", "--api-key", KEY, "--yes")
    return made


BEFORE = """\
# my providers
default_model = "acme/large"  # the good one

[providers.acme]  # at work
type = "openai"
name = "Acme"
base_url = "SITE/v1"
api_key = "sk-planted-0123456789"
source = { kind = "manifest", url = "SITE/v1/models?provider=true" }
custom_headers = { X-Team = "7" }  # mine
timeout = { idle = 60 }

[models."acme/large"]
provider = "acme"
model = "large"
aliases = ["l"]

[models."acme/large".overrides]
max_output_size = 1000  # enough

# what the manifest says
[models."acme/large".listed]
name = "Model Name V1"
reasoning = true
tool_call = true
temperature = true
attachment = false
open_weights = false
release_date = "2025-08-21"
last_updated = "2025-08-21"
modalities = { input = ["text", "image"], output = ["text"] }
cost = { input = 0.1, output = 1.5 }  # I have a discount
limit = { context = 128000, output = 4096 }

[models."acme/small"]
provider = "acme"
model = "small"

[models."acme/small".listed]
name = "Small"
reasoning = true
tool_call = true
temperature = true
attachment = false
open_weights = false
release_date = "2025-08-21"
last_updated = "2025-08-21"
modalities = { input = ["text", "image"], output = ["text"] }
cost = { input = 0.5, output = 1.5 }
limit = { context = 128000, output = 4096 }

[models."acme/old"]
provider = "acme"
model = "old"
listed = { name = "Old" }

[models.mine]  # not in its list
provider = "acme"
model = "secret-model"
"""
AFTER = """\
# my providers
default_model = "acme/large"  # the good one

[providers.acme]  # at work
type = "openai"
name = "Acme"
base_url = "SITE/v1"
api_key = "sk-planted-0123456789"
source = { kind = "manifest", url = "SITE/v1/models?provider=true" }
custom_headers = { X-Team = "7" }  # mine
timeout = { idle = 60 }

[models."acme/large"]
provider = "acme"
model = "large"
aliases = ["l"]

[models."acme/large".overrides]
max_output_size = 1000  # enough

# what the manifest says
[models."acme/large".listed]
name = "Large"
reasoning = true
tool_call = true
temperature = true
attachment = false
open_weights = false
release_date = "2025-08-21"
last_updated = "2025-11-01"
modalities = { input = ["text", "image"], output = ["text"] }
cost = { input = 0.1, output = 2.0, cache_read = 0.05 }  # I have a discount
limit = { context = 200000, output = 4096 }

[models."acme/small"]
provider = "acme"
model = "small"

[models."acme/small".listed]
name = "Small"
reasoning = true
tool_call = true
temperature = true
attachment = false
open_weights = false
release_date = "2025-08-21"
last_updated = "2025-08-21"
modalities = { input = ["text", "image"], output = ["text"] }
cost = { input = 0.5, output = 1.5 }
limit = { context = 128000, output = 4096 }

[models.mine]  # not in its list
provider = "acme"
model = "secret-model"

[models."acme/new"]
provider = "acme"
model = "new"
listed = { name = "New" }
"""


def larger(**changed: Any) -> dict[str, Any]:
    return model(
        id="large", name="Large", last_updated="2025-11-01", limit={"context": 200000, "output": 4096}, **changed
    )


def test_a_refresh_updates_the_sources_values_and_keeps_the_users(bay: Inside, acme: Site) -> None:
    bay.file.write_text(BEFORE.replace("SITE", acme.url))
    acme.pages[LISTED] = models(
        larger(cost={"input": 0.6, "output": 2.0, "cache_read": 0.05}),
        model(id="small", name="Small"),
        {"id": "new", "name": "New"},
    )
    shown = bay.done("provider", "refresh", "acme", "--dry-run")
    assert "+limit = { context = 200000, output = 4096 }" in shown
    assert bay.same(bay.text) == BEFORE
    run = bay("provider", "refresh", "acme")
    assert run.code == 0, run.err
    assert bay.same(bay.text) == AFTER
    assert run.out.splitlines() == [
        "acme: 1 new, 1 removed, 1 changed",
        "  + acme/new",
        "  - acme/old",
        '  ~ acme/large: name "Model Name V1" → "Large"; last_updated "2025-08-21" → "2025-11-01"; '
        "cost.output 1.5 → 2.0; cost.cache_read (not set) → 0.05; limit.context 128000 → 200000",
    ]
    assert "acme/large.listed.cost.input: kept your value; the source has 0.6" in run.err
    assert bay.done("provider", "refresh", "acme") == "acme: up to date\n"
    assert bay.same(bay.text) == AFTER
    assert load(bay.file).model("l").max_output_size == 1000


def test_a_removed_model_is_kept_if_the_user_changed_it(bay: Inside, acme: Site) -> None:
    bay.done("model", "set", "acme/small", "max_output_size=99")
    acme.pages[LISTED] = models({"id": "new"})
    run = bay("provider", "refresh", "acme")
    assert "acme/large: no longer listed, but kept: it is your default model" in run.err
    assert "acme/small: no longer listed, but kept: you set max_output_size" in run.err
    assert "  - acme/old\n" in run.out
    assert set(load(bay.file).models) == {"acme/large", "acme/small", "acme/new"}


def test_a_model_that_the_user_removed_returns_only_if_it_is_added_again(bay: Inside, acme: Site) -> None:
    text = bay.text
    start = text.index('[models."acme/old"]')
    bay.file.write_text(text[:start])
    assert bay.done("provider", "refresh", "acme") == "acme: up to date\n"
    assert "acme/old" not in bay.text
    bay.done("provider", "manifest", f"{acme.url}{HOSTED}", "--yes")
    assert "acme/old" in bay.text


def test_a_deleted_cache_loses_no_change_of_the_user(bay: Inside, acme: Site) -> None:
    text = bay.text.replace("128000", "1")
    bay.file.write_text(text[: text.index('[models."acme/old"]')])
    shutil.rmtree(bay.home / "cache", ignore_errors=True)
    assert bay.done("provider", "refresh", "acme") == "acme: up to date\n"
    assert "acme/old" not in bay.text
    assert load(bay.file).models["acme/large"].listed["limit"]["context"] == 1


def test_a_deleted_cache_does_not_hide_changes_of_a_providers_own_list(bay: Inside, acme: Site) -> None:
    acme.pages["/v1/models"] = {"data": [{"id": "a"}, {"id": "b"}]}
    bay.done("provider", "add", f"{acme.url}/v1", "--id", "plain", "--api-key", KEY, "--all-models")
    acme.pages["/v1/models"] = {"data": [{"id": "a"}, {"id": "c"}]}
    shutil.rmtree(bay.home / "cache", ignore_errors=True)
    assert bay.done("provider", "refresh", "plain").splitlines() == [
        "plain: 1 new, 1 removed",
        "  + plain/c",
        "  - plain/b",
    ]


def test_a_list_that_was_only_shown_does_not_count_as_refreshed(bay: Inside, acme: Site) -> None:
    acme.pages["/v1/models"] = {"data": [{"id": "a"}]}
    bay.done("provider", "add", f"{acme.url}/v1", "--id", "plain", "--api-key", KEY, "--all-models")
    acme.pages["/v1/models"] = {"data": [{"id": "a"}, {"id": "c"}]}
    with sync.Hub(load(bay.file)) as hub:
        hub.discover("plain")
    assert "  + plain/c" in bay.done("provider", "refresh", "plain").splitlines()


def test_a_state_that_cannot_be_read_stops_the_refresh(bay: Inside, acme: Site) -> None:
    bay.file.write_text(bay.text.replace("128000", "1"))
    state = merging.path_of("acme")
    state.unlink()
    state.mkdir()
    run = bay("provider", "refresh", "acme")
    assert (run.code, "sources/acme.json cannot be read: Is a directory" in run.err) == (1, True)
    assert load(bay.file).models["acme/large"].listed["limit"]["context"] == 1


def test_a_state_that_cannot_be_written_is_a_warning(bay: Inside, acme: Site) -> None:
    merging.path_of("more").with_suffix(".json.lock").mkdir()
    run = bay("provider", "manifest", f"{acme.url}{HOSTED}", "--id", "more", "--api-key", KEY, "--yes")
    assert run.code == 0
    assert "warning: could not store the state of provider more for its next refresh: HOME/sources" in run.err


def test_without_the_last_state_the_source_overwrites_values(bay: Inside, acme: Site) -> None:
    bay.file.write_text(bay.text.replace("128000", "1"))
    merging.forget("acme")
    run = bay("provider", "refresh", "acme")
    assert "acme/large: limit.context 1 → 128000" in run.out
    assert load(bay.file).models["acme/large"].listed["limit"]["context"] == 128000


def test_json_output_has_the_changes_but_no_key(bay: Inside, acme: Site) -> None:
    acme.pages[LISTED] = models(larger(), {"id": "new"})
    found = json.loads(bay.done("provider", "refresh", "--json"))
    assert found["refreshed"][0]["added"] == ["acme/new"]
    assert found["refreshed"][0]["removed"] == ["acme/small", "acme/old"]
    assert "limit.context 128000 → 200000" in found["refreshed"][0]["changed"]["acme/large"]
    assert KEY not in json.dumps(found)


def test_json_output_without_providers_is_json(bay: Inside) -> None:
    bay.file.unlink()
    assert json.loads(bay.done("provider", "refresh", "--json")) == {"refreshed": []}


# Incomplete sources


def test_a_manifest_with_many_notes_is_read_completely(bay: Inside, acme: Site) -> None:
    many = {"models": {f"m{number}": {"id": f"m{number}"} for number in range(250)}}
    acme.pages[LISTED] = {"models": {id: {"id": id, "name": id} for id in many["models"]}}
    bay.done("provider", "refresh", "acme")
    acme.pages[LISTED] = many  # no model has a name now
    run = bay("provider", "refresh", "acme")
    assert "  - " not in run.out
    assert len(load(bay.file).models) == 251  # and the default model
    assert "more notes" in run.err


def test_a_problem_after_many_notes_is_found(bay: Inside, acme: Site) -> None:
    before = bay.text
    acme.pages[LISTED] = {"models": {**{f"m{number}": {"id": f"m{number}"} for number in range(250)}, "last": "oops"}}
    run = bay("provider", "refresh", "acme")
    assert run.code == 1
    assert 'models.last: a model must be an object, not "oops"' in run.err
    assert bay.text == before


@pytest.mark.parametrize(
    "part",
    [
        {"data": [{"id": "a"}, None]},
        {"data": [{"id": "a"}, {"id": 7}]},
        {"data": [{"id": "a"}, {"error": "the backend of b did not answer"}]},
        {"data": [{"id": "a"}], "error": {"message": "one region did not answer"}},
        {"data": [{"id": "a"}], "total": 3},
        {"data": [{"id": "a"}], "has_more": True},
        {"data": [{"id": "a"}], "truncated": True},
        {"result": {"data": [{"id": "a"}], "has_more": True}},
        {"data": [{"id": "a"}], "page": 1, "total_pages": 2},
        {"data": [{"id": "a"}], "next_cursor": "more"},  # every page is the first
        {"data": [{"id": "a"}, {"id": "b", "type": "embedding"}, {"id": "c", "type": "embedding"}]},
        {"data": []},
        {"data": None},
    ],
)  # fmt: skip
def test_an_incomplete_list_removes_nothing(bay: Inside, acme: Site, part: Any) -> None:
    acme.pages["/v1/models"] = {"data": [{"id": "a"}, {"id": "b"}, {"id": "c"}]}
    bay.done("provider", "add", f"{acme.url}/v1", "--id", "plain", "--api-key", KEY, "--all-models")
    for _ in range(2):
        acme.pages["/v1/models"] = part
        assert "  - " not in bay.done("provider", "refresh", "plain")
    assert {"plain/a", "plain/b", "plain/c"} <= load(bay.file).models.keys()
    acme.pages["/v1/models"] = {"data": [{"id": "a"}, {"id": "c"}]}
    assert "  - plain/b\n" in bay.done("provider", "refresh", "plain")


@pytest.mark.parametrize(
    ("status", "headers"),
    [(206, {}), (206, {"Content-Range": "bytes 0-18/40"}), (200, {"Content-Range": "bytes 0-18/40"})],
)
def test_an_unread_part_of_a_list_removes_nothing(
    bay: Inside, acme: Site, status: int, headers: dict[str, str]
) -> None:
    acme.pages["/v1/models"] = {"data": [{"id": "a"}, {"id": "b"}]}
    bay.done("provider", "add", f"{acme.url}/v1", "--id", "plain", "--api-key", KEY, "--all-models")
    acme.pages["/v1/models"] = Page(b'{"data":[{"id":"a"}]}', status, headers)
    run = bay("provider", "refresh", "plain")
    assert run.code == 1 and "sent only part of its reply" in run.err
    assert {"plain/a", "plain/b"} <= load(bay.file).models.keys()


def test_an_id_in_another_case_is_the_same_model(bay: Inside, acme: Site) -> None:
    acme.pages["/v1/models"] = {"data": [{"id": "GPT-Large"}, {"id": "b"}]}
    bay.done("provider", "add", f"{acme.url}/v1", "--id", "plain", "--api-key", KEY, "--all-models")
    bay.done("model", "set", "plain/GPT-Large", "max_output_size=1000")
    bay.done("model", "default", "plain/GPT-Large")
    acme.pages["/v1/models"] = {"data": [{"id": "gpt-large"}, {"id": "b"}]}
    run = bay("provider", "refresh", "plain")
    assert run.out.splitlines() == ["plain: 1 changed", "  ~ plain/GPT-Large: model GPT-Large → gpt-large"]
    assert not run.err
    entry = load(bay.file).models["plain/GPT-Large"]
    assert (entry.model, entry.max_output_size) == ("gpt-large", 1000)
    assert load(bay.file).default_model == "plain/GPT-Large"
    assert bay.done("provider", "refresh", "plain") == "plain: up to date\n"


def test_an_id_of_a_manifest_in_another_case_is_the_same_model(bay: Inside, acme: Site) -> None:
    bay.done("model", "set", "acme/small", "max_output_size=1000")
    acme.pages[LISTED] = models(model(id="large"), model(id="SMALL", name="Small"), {"id": "old", "name": "Old"})
    assert bay.done("provider", "refresh", "acme").splitlines() == [
        "acme: 1 changed",
        "  ~ acme/small: model small → SMALL",
    ]
    entry = load(bay.file).models["acme/small"]
    assert (entry.model, entry.max_output_size) == ("SMALL", 1000)
    acme.pages[LISTED] = models(model(id="large"), {"id": "old", "name": "Old"})
    run = bay("provider", "refresh", "acme")
    assert "acme/small" in load(bay.file).models and "max_output_size" in run.out + run.err, "the user wrote that"


def test_a_removed_model_is_not_added_again_in_another_case(bay: Inside, acme: Site) -> None:
    bay.file.write_text(re.sub(r'\n\[models."acme/small"\]\n(?:[^\[\n].*\n)*', "\n", bay.text))
    assert "acme/small" not in load(bay.file).models
    acme.pages[LISTED] = models(model(id="large"), model(id="Small", name="Small"), {"id": "old", "name": "Old"})
    assert bay.done("provider", "refresh", "acme") == "acme: up to date\n"


def test_pages_that_fail_remove_nothing(bay: Inside, acme: Site) -> None:
    first = {"data": [{"id": "a"}], "has_more": True, "last_id": "a"}
    acme.pages |= {"/v1/models": first, "/v1/models?after_id=a": {"data": [{"id": "b"}]}}
    bay.done("provider", "add", f"{acme.url}/v1", "--id", "plain", "--api-key", KEY, "--all-models")
    acme.pages["/v1/models?after_id=a"] = 503
    run = bay("provider", "refresh", "plain")
    assert run.out == "plain: up to date\n"
    assert "no model was removed, because the list is incomplete: could not fetch page 2 of the list" in run.err


# Errors


def test_a_source_that_fails_does_not_affect_the_others(bay: Inside, acme: Site) -> None:
    with site() as broken:
        broken.pages = {HOSTED: manifest(name="Broken", baseUrl="SITE/v1"), LISTED: models({"id": "a"})}
        bay.done("provider", "manifest", f"{broken.url}{HOSTED}", "--yes")
        broken.pages = {}
        acme.pages[LISTED] = models(model(id="large"), model(id="small", name="Small"), {"id": "old"}, {"id": "new"})
        run = bay("provider", "refresh")
    assert run.code == 1
    assert "  + acme/new\n" in run.out
    assert "not changed: broken" in run.err
    assert "Failed to process provider data" in run.err
    assert "broken/a" in bay.text


@pytest.mark.parametrize("listed", [{"models": {}}, {"models": "no"}, {"models": {"a": {"id": "x"}, "b": {"id": "x"}}}])
def test_an_unusable_source_removes_nothing(bay: Inside, acme: Site, listed: Any) -> None:
    before = bay.text
    acme.pages[LISTED] = listed
    assert bay("provider", "refresh", "acme").code == 1
    assert bay.text == before


def test_an_invalid_source_url_is_reported(bay: Inside, acme: Site) -> None:
    bay.file.write_text(bay.text.replace(f'url = "{acme.url}{HOSTED}"', 'url = "nowhere"'))
    run = bay("provider", "refresh", "acme")
    assert run.code == 1
    assert "Failed to process provider data: nowhere: the URL must start with http" in run.err


def test_static_and_embedded_providers_are_not_refreshed(bay: Inside, acme: Site) -> None:
    bay.done("provider", "manifest", "--embedded", "-", "--yes", stdin=json.dumps(embedded()))
    bay.file.write_text(bay.text.replace("[providers.acme]\n", '[providers.acme]\nmodel_source = "static"\n'))
    asked = len(acme.asked)
    run = bay("provider", "refresh")
    assert run.code == 0
    assert "No provider has a source to refresh from" in run.err
    assert 'it has model_source = "static"' in bay("provider", "refresh", "acme").err
    assert "it was added from embedded JSON" in bay("provider", "refresh", "synthetic").err
    assert "did you mean" in bay("provider", "refresh", "acm").err
    assert len(acme.asked) == asked


# Moved providers


@pytest.fixture
def everything_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback represents the internet: two sites are two providers."""
    monkeypatch.setattr("modelbay.transport.pool.is_public", lambda address: True)
    monkeypatch.setattr(documents, "is_open", lambda where: True)


@pytest.mark.usefixtures("everything_is_public")
def test_a_provider_moves_only_after_consent(bay: Inside, acme: Site) -> None:
    with site() as elsewhere:
        bay.names[elsewhere.url] = "ELSEWHERE"
        acme.pages[HOSTED] = manifest(name="Acme", website=None, baseUrl=f"{elsewhere.url}/v1")
        elsewhere.pages[LISTED] = models(model(id="large"), {"id": "new"})
        for _ in range(2):  # it is reported each time
            run = bay("provider", "refresh", "acme")
            assert run.code == 0, run.err
            assert "the source has a new base URL, ELSEWHERE/v1. It is not used" in run.err
        assert load(bay.file).providers["acme"].base_url == f"{acme.url}/v1"
        assert "acme/new" in bay.text
        assert not elsewhere.keys()
        elsewhere.pages[LISTED] = Page(b"{}", key=KEY)
        assert bay("provider", "refresh", "acme").code == 1
        assert not elsewhere.keys(), "not even where it is asked for"


@pytest.mark.usefixtures("everything_is_public")
def test_a_refresh_does_not_undo_the_users_own_base_url(bay: Inside, acme: Site) -> None:
    bay.file.write_text(bay.text.replace(f'base_url = "{acme.url}/v1"', f'base_url = "{acme.url}/proxy/v1"'))
    run = bay("provider", "refresh", "acme")
    assert run.code == 0
    assert "stays at" not in run.err
    assert "/proxy/v1" in bay.text


def test_a_provider_cannot_move_to_a_local_url(bay: Inside, acme: Site) -> None:
    before = bay.text
    with site() as elsewhere:
        acme.pages[HOSTED] = manifest(name="Acme", baseUrl=f"{elsewhere.url}/v1")
        run = bay("provider", "refresh", "acme")
        assert run.code == 1
        assert "is local or in a private network" in run.err
        assert not elsewhere.asked
    assert bay.text == before


def test_a_terminal_asks_for_consent_to_a_move(bay: Inside, acme: Site) -> None:
    acme.pages[HOSTED] = manifest(name="Acme", website=None, baseUrl="SITE/v2")
    acme.pages["/v2/models?extended=true"] = acme.pages[LISTED]
    with Person(bay.home, "provider", "refresh", "acme") as person:
        person.sees(f"The source has a new base URL for acme: {acme.url}/v1 → {acme.url}/v2")
        person.sees("The API key will be sent there.").types("n")
        person.sees("is not used")
        assert person.ends() == 0
    assert load(bay.file).providers["acme"].base_url == f"{acme.url}/v1"
    with Person(bay.home, "provider", "refresh", "acme") as person:
        person.sees("Use the new base URL?").types("y")
        person.sees("acme: base URL changed")
        assert person.ends() == 0
    assert load(bay.file).providers["acme"].base_url == f"{acme.url}/v2"
    assert bay.done("provider", "refresh", "acme") == "acme: up to date\n"


def test_the_key_is_sent_if_the_models_require_it(bay: Inside, acme: Site) -> None:
    acme.pages[LISTED] = Page(json.dumps(models({"id": "new"})).encode(), key=KEY)
    assert "  + acme/new\n" in bay.done("provider", "refresh", "acme")
    assert {one.target for one in acme.asked if "authorization" in one.headers} == {f"GET {LISTED}"}


# Other sources


def test_a_providers_own_list_is_read_again(bay: Inside, acme: Site) -> None:
    acme.pages["/v1/models"] = {"data": [{"id": "a", "context_length": 1000}, {"id": "b"}]}
    bay.done("provider", "add", f"{acme.url}/v1", "--id", "plain", "--api-key", KEY, "--all-models")
    acme.pages["/v1/models"] = {"data": [{"id": "a", "context_length": 2000}, {"id": "c"}]}
    run = bay("provider", "refresh", "plain")
    assert run.code == 0, run.err
    assert run.out.splitlines() == [
        "plain: 1 new, 1 removed, 1 changed",
        "  + plain/c",
        "  - plain/b",
        "  ~ plain/a: max_context_tokens 1000 → 2000",
    ]
    assert bay.done("provider", "refresh", "plain") == "plain: up to date\n"


def test_an_unlisted_default_model_is_kept_and_reported(bay: Inside, acme: Site) -> None:
    acme.pages["/v1/models"] = {"data": [{"id": "a"}]}
    bay.done("provider", "add", f"{acme.url}/v1", "--id", "plain", "--api-key", KEY, "--model", "a", "--model", "own")
    run = bay("model", "default", "plain/own")
    assert (run.out, "plain does not list own" in run.err) == (
        "Default model set to plain/own (was acme/large)\n",
        True,
    )
    assert "kept the default model plain/own, which is not in the list" in bay("provider", "refresh", "plain").err
    assert load(bay.file).default_model == "plain/own"


def test_new_models_are_only_reported_if_the_user_chose_some(bay: Inside, acme: Site) -> None:
    acme.pages["/v1/models"] = {"data": [{"id": "a"}, {"id": "b"}]}
    bay.done("provider", "add", f"{acme.url}/v1", "--id", "plain", "--api-key", KEY, "--model", "a", "--model", "own")
    acme.pages["/v1/models"] = {"data": [{"id": "a"}, {"id": "c"}]}
    run = bay("provider", "refresh", "plain")
    assert run.out == "plain: up to date\n"
    assert "new in the list: c" in run.err
    assert {alias for alias in load(bay.file).models if alias.startswith("plain/")} == {"plain/a", "plain/own"}


def test_a_vendor_without_a_list_is_not_requested(bay: Inside) -> None:
    bay.file.write_text('[providers.answers]\ntype = "openai"\nbase_url = "https://api.perplexity.ai"\n')
    assert "No provider has a source to refresh from" in bay("provider", "refresh").err


def test_the_state_of_a_removed_provider_is_deleted(bay: Inside, acme: Site) -> None:
    assert merging.recall("acme") is not None
    bay.done("provider", "remove", "acme", "--yes")
    assert merging.recall("acme") is None


def test_the_models_of_a_login_are_refreshed(tmp_path: Path) -> None:
    with Simulator() as service:
        service.provider.logins.behave(LoginBehavior(approve_after=1, interval=1))
        command = Command(tmp_path, service)
        run = command("login", "kimi-code", "--oauth-host", service.url, "--base-url", f"{service.url}/coding/v1")
        assert run.code == 0, run.err
        file = tmp_path / "config.toml"
        gone = '[models."kimi-code/gone"]\nprovider = "managed:kimi-code"\nmodel = "gone"\n'
        file.write_text(file.read_text() + gone + '[models."kimi-code/sim-1".overrides]\nmax_context_size = 9\n')
        found = command("provider", "refresh", "managed:kimi-code")
        assert found.code == 0, found.err
        assert found.out == "managed:kimi-code: 1 removed\n  - kimi-code/gone\n"
        assert load(file).models["kimi-code/sim-1"].max_context_size == 9
