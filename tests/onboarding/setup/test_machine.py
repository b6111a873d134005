"""Adding and editing providers without a face: what is given and answered, the steps that come, the file at the end."""

import asyncio
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from modelbay.catalog.models_dev import live as modelsdev
from modelbay.config.load import load
from modelbay.errors import ConfigError, ModelbayError
from modelbay.onboarding import local_servers
from modelbay.onboarding.fields import HeaderRow, ModelRow
from modelbay.onboarding.setup.machine import Setup
from modelbay.onboarding.setup.steps import Given, Preview, Result, SetupQuestion, Step
from modelbay.providers import presets
from tests.servers.site import Page, Site, site

KEY, WRONG = "sk-right-0123456789", "sk-wrong-0123456789"
LIST = {"data": [{"id": "small"}, {"id": "large"}, {"id": "text-embedding-3-small"}]}
BACK = "<back>"


@pytest.fixture(scope="module")
def _site() -> Iterator[Site]:
    with site() as running:
        yield running


@pytest.fixture
def here(_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site with something of every kind, and a home for the configuration."""
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    monkeypatch.setattr(modelsdev, "URL", f"{_site.url}/models.dev")
    ollama = presets.by_id("ollama")
    assert ollama is not None
    monkeypatch.setattr(
        local_servers, "usual", lambda: [msgspec.structs.replace(ollama, base_url=f"{_site.url}/near", hosts=[])]
    )
    _site.reset()
    opened, page = json.dumps(LIST).encode(), {"id": "m", "limit": {"context": 8000}}
    _site.pages = {
        "/team/v1/models": Page(opened, key=KEY),
        "/open/models": LIST,
        "/near/models": {"data": [{"id": "near-1"}]},
        "/openai/v1/models": LIST,
        "/m/models?provider=true": {
            "name": "Hosted", "website": "SITE", "baseUrl": "SITE/m", "models_data_source": "endpoint",
        },
        "/m/models?extended=true": {"models": {"one": {"id": "one", "name": "One"}, "two": {"id": "two", "name": "Two"}}},
        "/api.json": Page(
            json.dumps(
                {
                    "first": {
                        "id": "first", "name": "First", "api": "https://first.example/v1", "type": "openai",
                        "models": {"a": {**page, "id": "a"}},
                    },
                    "second": {
                        "id": "second", "name": "Second", "api": "https://second.example", "type": "anthropic",
                        "models": {"b": {**page, "id": "b"}, "c": {**page, "id": "c"}},
                    },
                }
            ).encode(),
            key=KEY,
        ),
        "/models.dev": {
            "fund": {
                "id": "fund", "name": "Fund", "npm": "@ai-sdk/openai-compatible", "api": "https://${FUND}.example/v1",
                "env": ["FUND_API_KEY", "FUND"], "models": {"m": page, "n": {**page, "id": "n"}},
            }
        },
    }  # fmt: skip
    return _site


def shown(step: Step | None) -> str:
    """A step in one line."""
    match step:
        case SetupQuestion():
            return f"{step.field}?" + (f" {step.problem}" if step.problem else "")
        case Preview():
            connection = (
                {True: "answers", False: "fails", None: "untested"}[step.connection.ok] if step.connection else "-"
            )
            return f"preview {step.id}: {connection}, {len(step.chosen)} of {len(step.models)}"
        case Result():
            return f"wrote {', '.join(step.providers)}"
    return "left"


async def gone_through(setup: Setup, step: Step, answers: list[Any]) -> list[str]:
    """The steps up to the result; a list of answers chooses models in a preview."""
    steps = [shown(step)]
    for answer in answers:
        if answer is BACK:
            steps.append(shown(await setup.back()))
        elif isinstance(answer, list):
            steps.append(shown(await setup.choose(answer)))
        else:
            steps.append(shown(await setup.answer(answer)))
    return steps


ROWS: dict[str, tuple[str, Given, list[Any], list[str], dict[str, Any]]] = {
    "a base URL whose key is rejected once": (
        "SITE/team/v1",
        Given(id="acme"),
        [WRONG, KEY, ["large"], None],
        [
            "api_key? acme requires an API key",
            "api_key? The API key was rejected",
            "preview acme: answers, 2 of 2",
            "preview acme: answers, 1 of 2",
            "wrote acme",
        ],
        {"acme": {"type": "openai", "base_url": "SITE/team/v1", "api_key": KEY, "models": ["large"]}},
    ),
    "back from a preview to the key": (
        "SITE/team/v1",
        Given(id="acme"),
        [KEY, BACK, WRONG, BACK, KEY, None],
        [
            "api_key? acme requires an API key",
            "preview acme: answers, 2 of 2",
            "api_key? acme requires an API key",
            "api_key? The API key was rejected",
            "left",
            "preview acme: answers, 2 of 2",
            "wrote acme",
        ],
        {"acme": {"type": "openai", "base_url": "SITE/team/v1", "api_key": KEY, "models": ["small", "large"]}},
    ),
    "an ID that is taken, and one that is none": (
        "SITE/open",
        Given(id="taken"),
        ["Not An ID", "mine", None],
        [
            "id? That provider ID already exists",
            "id? Use lowercase letters, numbers, hyphens, or underscores",
            "preview mine: answers, 2 of 2",
            "wrote mine",
        ],
        {"mine": {"type": "openai", "base_url": "SITE/open", "models": ["small", "large"]}},
    ),
    "a full endpoint without a list": (
        "SITE/call/chat/completions",
        Given(id="acme", full_url=True, headers=[HeaderRow("X-Team", "7")], proxy="none"),
        ["", "a b", None],
        ["models?", "models? Required", "preview acme: untested, 2 of 0", "wrote acme"],
        {
            "acme": {
                "type": "openai", "base_url": "SITE/call/chat/completions", "full_url": True, "proxy": "none",
                "custom_headers": {"X-Team": "7"}, "models": ["a", "b"],
            }
        },
    ),
    "a vendor somewhere else": (
        "deepseek",
        Given(base_url="SITE/team/v1"),
        ["", KEY, None],
        ["api_key? DeepSeek requires an API key"] * 2 + ["preview deepseek: answers, 2 of 2", "wrote deepseek"],
        {
            "deepseek": {
                "type": "openai", "base_url": "SITE/team/v1", "dialect": "deepseek", "api_key": KEY, "models": ["small", "large"],
            }
        },
    ),
    "Azure": (
        "azure",
        Given(api_key=KEY),
        ["no name!", "acme-east", "blue", BACK, "red"],
        [
            "resource?",
            'resource? "no name!" is not an Azure resource name',
            "deployment?",
            "preview azure: fails, 1 of 0",
            "deployment?",
            "preview azure: fails, 1 of 0",
        ],
        {},
    ),
    "Vertex AI": (
        "vertexai",
        Given(project="proj", location="global", models=[ModelRow("gemini-2.5-pro", "Gemini")], id="google"),
        [None],
        ["preview google: untested, 1 of N", "wrote google"],
        {
            "google": {
                "type": "vertexai", "env": {"GOOGLE_CLOUD_PROJECT": "proj", "GOOGLE_CLOUD_LOCATION": "global"},
                "models": ["gemini-2.5-pro"],
            }
        },
    ),
    "a list of models as text": (
        '{"data": [{"id": "x"}]}',
        Given(),
        ["ftp://", "SITE/team/v1", "listed", None],
        ["base_url?", "base_url? Must start with http:// or https://", "id? That provider ID already exists",
         "preview listed: answers, 1 of 1", "wrote listed"],
        {"listed": {"type": "openai", "base_url": "SITE/team/v1", "models": ["x"]}},
    ),
    "a manifest, found at a URL": (
        "SITE/m/models?provider=true",
        Given(models=[ModelRow("two", "two")]),
        ["taken", "hosted", None],
        [],
        {},
    ),
    "a registry that requires a token": (
        "SITE/api.json",
        Given(kind="registry"),
        [WRONG, KEY, "", KEY, None],
        [
            "api_key? A token is required",
            "api_key? The token was rejected",
            "provider_keys.first?",
            "provider_keys.second?",
            "preview first: -, 0 of 3",
            "wrote first, second",
        ],
        {
            "first": {"type": "openai", "name": "First", "base_url": "https://first.example/v1", "models": ["a"]},
            "second": {
                "type": "anthropic", "name": "Second", "base_url": "https://second.example", "api_key": KEY,
                "models": ["b", "c"],
            },
        },
    ),
    "back to the keys of a registry, which change": (
        "SITE/api.json",
        Given(api_key=KEY, kind="registry"),
        ["sk-first-0123456789", KEY, BACK, BACK, "", KEY, None],
        [
            "provider_keys.first?",
            "provider_keys.second?",
            "preview first: -, 0 of 3",
            "provider_keys.second?",
            "provider_keys.first?",
            "provider_keys.second?",
            "preview first: -, 0 of 3",
            "wrote first, second",
        ],
        {
            "first": {"type": "openai", "name": "First", "base_url": "https://first.example/v1", "models": ["a"]},
            "second": {
                "type": "anthropic", "name": "Second", "base_url": "https://second.example", "api_key": KEY,
                "models": ["b", "c"],
            },
        },
    ),
    "one provider of a registry, with one of its models": (
        "SITE/api.json",
        Given(api_key=KEY, id="second", models=[ModelRow("c", "c")], yes=True, kind="registry"),
        [None],
        ["preview second: -, 0 of 2", "wrote second"],
        {"second": {"type": "anthropic", "name": "Second", "base_url": "https://second.example", "models": ["c"]}},
    ),
    "an entry of the catalog under another ID": (
        "fund",
        Given(kind="catalog", id="money", models=[ModelRow("n", "n")]),
        ["", "north", "{env:no way}", "{env:FUND_KEY}", None],
        [
            "values.FUND?",
            "values.FUND? Required",
            "api_key?",
            "api_key? Invalid environment variable name",
            "preview money: untested, 2 of 2",
            "wrote money",
        ],
        {
            "money": {
                "type": "openai", "base_url": "https://north.example/v1", "api_key": "{env:FUND_KEY}", "models": ["n"],
            }
        },
    ),
    "an entry of the catalog whose key is rejected once": (
        "fund",
        Given(kind="catalog", base_url="SITE/team/v1", api_key=WRONG),
        [WRONG, KEY, ["n"], None],
        [
            "api_key? The API key was rejected",
            "api_key? The API key was rejected",
            "preview fund: answers, 2 of 2",
            "preview fund: answers, 2 of 2",
            "wrote fund",
        ],
        {"fund": {"type": "openai", "base_url": "SITE/team/v1", "api_key": KEY, "models": ["n"]}},
    ),
    "a server on this machine": (
        "local",
        Given(id="near"),
        [None],
        ["preview near: answers, 1 of 1", "wrote near"],
        {"near": {"type": "openai", "base_url": "SITE/near", "models": ["near-1"]}},
    ),
}  # fmt: skip
ROWS["a manifest, found at a URL"] = (
    "SITE/m/models?provider=true",
    Given(models=[ModelRow("two", "two")], id="taken"),
    ["hosted", None],
    ['id? provider "taken" already exists and has another source', "preview hosted: -, 2 of 2", "wrote hosted"],
    {"hosted": {"type": "openai", "name": "Hosted", "base_url": "SITE/m", "models": ["two"]}},
)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_given_values_and_answers_determine_the_steps_and_the_file(
    here: Site, tmp_path: Path, row: tuple[str, Given, list[Any], list[str], dict[str, Any]]
) -> None:
    what, given, answers, steps, written = row
    before = (
        f'[providers.localhost-{here.url.rpartition(":")[2]}]\ntype = "openai"\n[providers.taken]\ntype = "anthropic"\n'
    )
    file = tmp_path / "config.toml"
    file.write_text(before)
    if given.base_url:
        given = msgspec.structs.replace(given, base_url=given.base_url.replace("SITE", here.url))

    async def run() -> list[str]:
        setup = Setup(load(file))
        answered = [
            one.replace("SITE", here.url) if isinstance(one, str) and one is not BACK else one for one in answers
        ]
        found = await gone_through(setup, await setup.start(what.replace("SITE", here.url), given), answered)
        if not found[-1].startswith("wrote"):
            assert file.read_text() == before
        return found

    seen = asyncio.run(run())
    assert [one.rpartition(" of ")[0] + " of N" if "google:" in one else one for one in seen] == steps
    after = tomllib.loads(file.read_text())
    found = {
        id: dict(table) for id, table in after["providers"].items() if id not in tomllib.loads(before)["providers"]
    }
    for id, table in found.items():
        table.pop("source", None)
        table.pop("auth", None)
        table["models"] = [one["model"] for one in after["models"].values() if one["provider"] == id]
    assert json.loads(json.dumps(found).replace(here.url, "SITE")) == written


ACME = """\
[providers.acme]
type = "openai"
base_url = "SITE/team/v1"
api_key = "sk-right-0123456789"
custom_headers = { X-Token = "secret-0123456789" }

[models.small]
provider = "acme"
model = "small"
"""
EDITS: dict[str, tuple[Given, list[Any], list[str], dict[str, Any]]] = {
    "a key that is rejected, and one that is not": (
        Given(api_key=WRONG),
        [WRONG, KEY, None],
        [
            "api_key.again? The API key was rejected",
            "api_key.again? The API key was rejected",
            "preview acme: answers, 1 of 2",
            "wrote acme",
        ],
        {},
    ),
    "a rejected key that is kept": (
        Given(api_key=WRONG),
        ["", None],
        ["api_key.again? The API key was rejected", "preview acme: fails, 1 of 0", "wrote acme"],
        {"api_key": WRONG},
    ),
    "another origin takes neither key nor header along": (
        Given(base_url="http://127.0.0.1:9/v1"),
        [KEY, "", None],
        ["api_key?", "headers.X-Token?", "preview acme: fails, 1 of 0", "wrote acme"],
        {"base_url": "http://127.0.0.1:9/v1", "custom_headers": {}},
    ),
    "another path of the same origin takes them along": (
        Given(base_url="SITE/open", proxy="none", name="Acme"),
        [None],
        ["preview acme: answers, 1 of 2", "wrote acme"],
        {"base_url": "SITE/open", "proxy": "none", "name": "Acme"},
    ),
    "nothing given: its models are chosen": (
        Given(),
        [["large"], None],
        ["preview acme: answers, 1 of 2", "preview acme: answers, 1 of 2", "wrote acme"],
        {"models": ["large"]},
    ),
    "a name alone is not tested": (
        Given(name="Acme AI"),
        [None],
        ["preview acme: untested, 1 of 0", "wrote acme"],
        {"name": "Acme AI"},
    ),
}


@pytest.mark.parametrize("row", EDITS.values(), ids=EDITS)
def test_edits_determine_the_steps_and_the_file(
    here: Site, tmp_path: Path, row: tuple[Given, list[Any], list[str], dict[str, Any]]
) -> None:
    given, answers, steps, changed = row
    file = tmp_path / "config.toml"
    file.write_text(ACME.replace("SITE", here.url))
    if given.base_url:
        given = msgspec.structs.replace(given, base_url=given.base_url.replace("SITE", here.url))

    async def run() -> list[str]:
        setup = Setup(load(file))
        return await gone_through(setup, await setup.edit("acme", given), answers)

    assert asyncio.run(run()) == steps
    after = tomllib.loads(file.read_text())
    table = after["providers"]["acme"]
    found = {**table, "models": [one["model"] for one in after.get("models", {}).values()]}
    before = tomllib.loads(ACME)["providers"]["acme"] | {"models": ["small"]}
    assert json.loads(json.dumps(found).replace(here.url, "SITE")) == before | changed


async def test_no_key_is_sent_to_a_new_origin_before_it_is_answered(here: Site, tmp_path: Path) -> None:
    with site() as other:
        other.pages["/v1/models"] = LIST
        file = tmp_path / "config.toml"
        file.write_text(ACME.replace("SITE", here.url))
        setup = Setup(load(file))
        step = await setup.edit("acme", Given(base_url=f"{other.url}/v1"))
        assert isinstance(step, SetupQuestion) and other.asked == []
        assert f"The credentials of acme were given for {here.url}" in step.missing
        await setup.answer("sk-new-0123456789")
        await setup.answer("")
        assert other.keys() == {"Bearer sk-new-0123456789"}
        assert all("x-token" not in one.headers for one in other.asked)


async def test_a_step_that_is_cancelled_can_be_answered_again(here: Site, tmp_path: Path) -> None:
    here.pages["/late/models"] = Page(late=True)
    setup = Setup(load(tmp_path / "config.toml"))
    step = await setup.custom(Given(id="acme", name="Acme", api_key=KEY))
    assert shown(step) == "base_url?"
    waiting = asyncio.ensure_future(setup.answer(f"{here.url}/late"))
    await asyncio.to_thread(here.waits_for, "GET /late/models")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    here.over.set()
    assert shown(await setup.answer(f"{here.url}/open")) == "preview acme: answers, 2 of 2"
    assert not (tmp_path / "config.toml").exists()


async def test_a_step_that_fails_keeps_its_question(here: Site, tmp_path: Path) -> None:
    here.pages["/broken/models"] = b"<html>"
    setup = Setup(load(tmp_path / "config.toml"))
    assert shown(await setup.start("azure", Given(api_key=KEY, base_url=f"{here.url}"))) == "deployment?"
    with pytest.raises(ModelbayError, match="no-such"):
        await Setup(load(tmp_path / "config.toml")).edit("no-such")
    with pytest.raises(ConfigError, match="no question to answer"):
        await Setup(load(tmp_path / "config.toml")).answer("x")


async def test_a_preview_shows_the_change_without_secrets(here: Site, tmp_path: Path) -> None:
    setup = Setup(load(tmp_path / "config.toml"))
    step = await setup.start(
        f"{here.url}/team/v1", Given(id="acme", api_key=KEY, headers=[HeaderRow("X-Token", "hidden-0123")])
    )
    assert isinstance(step, Preview)
    assert "+[providers.acme]" in step.diff and '+[models."acme/large"]' in step.diff
    for text in (step.diff, repr(step.facts), repr(setup), repr(step)):
        assert KEY not in text and "hidden-0123" not in text
    assert ("API key", f"…, sent to {here.url} only") in step.facts
    assert step.connection is not None and "2 chat models listed" in step.connection.text
    assert not (tmp_path / "config.toml").exists()


async def test_models_of_anything_can_be_looked_at_before_it_is_added(here: Site, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(ACME.replace("SITE", here.url))
    before = file.read_text()
    for what in ("acme", f"{here.url}/open", "fund"):
        given = Given(
            values={},
            kind="catalog" if what == "fund" else None,
            base_url="https://x.example" if what == "fund" else None,
        )
        step = await Setup(load(file)).list_models(what, msgspec.structs.replace(given, api_key=KEY))
        assert isinstance(step, Preview), what
        assert {model.id for model in step.models} in ({"small", "large"}, {"m", "n"})
    assert file.read_text() == before
