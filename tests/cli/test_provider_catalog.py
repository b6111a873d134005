"""`modelbay provider catalog`, registries through `provider add`, and every verb of `kimi provider` with its exit code."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from modelbay.catalog.models_dev import live as modelsdev
from modelbay.simulator import Simulator
from tests.cli.command import KEY, Run
from tests.cli.inside import Inside, Person
from tests.servers.site import Site, site

TOKEN, NEXT = "tok-planted-first-1", "tok-planted-second-2"
MODELS = {
    "acme-1": {
        "id": "acme-1", "name": "Acme One", "limit": {"context": 200_000, "output": 8000}, "tool_call": True,
        "reasoning": True, "modalities": {"input": ["text", "image"], "output": ["text"]},
    },
    "acme-0": {"id": "acme-0", "limit": {"context": 8000}, "status": "deprecated"},
}  # fmt: skip
CATALOG = {
    "acme": {
        "id": "acme", "name": "Acme", "npm": "@ai-sdk/openai-compatible", "api": "https://acme.example/v1",
        "env": ["ACME_API_KEY"], "doc": "https://acme.example/docs", "models": MODELS,
    },
    "guess": {"id": "guess", "name": "Guessed", "npm": "@guess/ai", "api": "https://guess.example", "models": MODELS},
    "lost": {"id": "lost", "name": "Lost", "npm": "@ai-sdk/openai-compatible", "models": MODELS},
    "odd": {"id": "odd", "name": "Odd", "npm": "@odd/cohere", "models": MODELS},
}  # fmt: skip
REGISTRY = {
    "one": {"id": "one", "name": "One", "api": "https://one.example/v1", "type": "openai", "models": {"a": {"id": "a"}}},
    "two": {
        "id": "two", "name": "Two", "api": "https://two.example", "type": "anthropic",
        "models": {"b": {"id": "b"}, "c": {"id": "c"}},
    },
    "broken": {"id": "broken", "name": "B", "api": "https://b.example", "type": "smoke", "models": {"d": {"id": "d"}}},
}  # fmt: skip


@pytest.fixture(scope="module")
def _site() -> Iterator[Site]:
    with site() as running:
        yield running


@pytest.fixture
def shelf(_site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """models.dev, which a test may change, a list of somebody's, and a registry."""
    _site.reset()
    monkeypatch.setattr(modelsdev, "URL", f"{_site.url}/models.dev")
    _site.pages = {"/models.dev": CATALOG, "/mine.json": CATALOG, "/api.json": REGISTRY}
    return _site


@pytest.fixture
def bay(tmp_path: Path, shelf: Site, monkeypatch: pytest.MonkeyPatch) -> Inside:
    monkeypatch.delenv("KIMI_REGISTRY_API_KEY", raising=False)
    return Inside(tmp_path, monkeypatch, {shelf.url: "SHELF", modelsdev.ModelsDev().date: "SNAPSHOT-DAY"})


def undated(run: Run) -> Run:
    """Without the day of a list that has just come."""
    import re

    return Run(run.code, re.sub(r"models\.dev of [\d-]+", "models.dev of TODAY", run.out), run.err)


# Every verb of `kimi provider`, with its output and its exit code


def test_every_verb_of_kimi_provider(bay: Inside, shelf: Site):
    shelf.tokens = {TOKEN, ""}  # catalogs are open
    verbs = f"""\
list
catalog list
catalog list --filter gue
catalog list --filter nobody
catalog list acme
catalog list odd
catalog list nobody
catalog list --url SHELF/missing.json
catalog add acme
catalog add nobody --api-key {KEY}
catalog add odd --api-key {KEY}
catalog add lost --api-key {KEY}
catalog add lost --api-key {KEY} --base-url=
catalog add lost --api-key {KEY} --base-url https://${{X}}
catalog add acme --api-key {KEY} --default-model acme-0
catalog add acme --api-key {KEY} --default-model acme-1
catalog add acme
catalog add guess --api-key {KEY} --url SHELF/mine.json
add SHELF/api.json --api-key tok-wrong-000
add SHELF/api.json --api-key {TOKEN}
list
remove guess
remove guess --yes
remove guess --yes
"""
    runs = [
        (verb.split(" --api-key")[0], *undated(bay("provider", *verb.replace("SHELF", shelf.url).split())))
        for verb in verbs.splitlines()
    ]
    assert runs == snapshot(
        [
            ("list", 0, "", "No providers configured; add one with `modelbay provider add`\n"),
            (
                "catalog list",
                0,
                """\
acme   wire=openai            models=1  Acme
guess  wire=openai (guessed)  models=1  Guessed
lost   wire=openai            models=1  Lost     needs base_url
odd    wire=?                 models=0  Odd      cannot be added
""",
                "",
            ),
            ("catalog list --filter gue", 0, "guess  wire=openai (guessed)  models=1  Guessed\n", ""),
            ("catalog list --filter nobody", 0, 'No provider in the catalog matches "nobody"\n', ""),
            (
                "catalog list acme",
                0,
                """\
Acme (acme)
wire=openai  https://acme.example/v1
  acme-1  ctx=200000  [image_in,thinking,tool_use]
""",
                "Skipped 1 model; --json shows the reasons\n",
            ),
            (
                "catalog list odd",
                0,
                """\
Odd (odd)
wire=?  cannot be added: it speaks a protocol of its own
""",
                "",
            ),
            (
                "catalog list nobody",
                1,
                "",
                """\
error: provider "nobody" is not in the catalog SHELF/models.dev

hint: run `modelbay provider catalog list` to list all providers
""",
            ),
            (
                "catalog list --url SHELF/missing.json",
                1,
                "",
                """\
error: Not Found: GET SHELF/missing.json returned 404: an HTML page: Welcome

hint: check the URL
""",
            ),
            (
                "catalog add acme",
                2,
                "",
                """\
error: --api-key: Acme requires an API key

hint: pass --api-key KEY, --api-key - to read it from standard input, or --api-key '{env:ACME_API_KEY}' to read $ACME_API_KEY
""",
            ),
            (
                "catalog add nobody",
                1,
                "",
                """\
error: provider "nobody" is not in the catalog SHELF/models.dev

hint: run `modelbay provider catalog list` to list all providers
""",
            ),
            (
                "catalog add odd",
                1,
                "",
                """\
error: provider "odd" cannot be added: it speaks a protocol of its own

hint: add it by URL if it has an endpoint for the OpenAI protocol: modelbay provider add URL
""",
            ),
            ("catalog add lost", 2, "", "error: --base-url: Lost requires a base URL\n"),
            (
                "catalog add lost",
                1,
                "",
                """\
error: provider "lost" cannot be added: the base URL is blank

hint: pass a base URL with --base-url URL
""",
            ),
            (
                "catalog add lost",
                1,
                "",
                """\
error: provider "lost" cannot be added: the base URL contains a placeholder: ['X']

hint: pass the base URL without placeholders such as ${…}
""",
            ),
            (
                "catalog add acme",
                1,
                "",
                """\
error: provider "acme" has no model "acme-0" that can be added: it is deprecated

hint: run `modelbay provider catalog list acme` to list its models
""",
            ),
            (
                "catalog add acme",
                0,
                """\
Imported Acme (acme) with 1 model from models.dev of TODAY
The default model is acme/acme-1
""",
                """\
Skipped 1 model: `modelbay provider catalog list acme --json` shows the reasons
try it: modelbay ask -m acme/acme-1 "Hello"
""",
            ),
            (
                "catalog add acme",
                0,
                """\
Imported Acme (acme) with 1 model from models.dev of TODAY
  nothing changed
""",
                """\
Skipped 1 model: `modelbay provider catalog list acme --json` shows the reasons
try it: modelbay ask -m acme/acme-1 "Hello"
""",
            ),
            (
                "catalog add guess",
                0,
                "Imported Guessed (guess) with 1 model from SHELF/mine.json\n",
                """\
Skipped 1 model: `modelbay provider catalog list guess --json` shows the reasons
Protocol guessed as "openai" for guess: edit "type" in config.toml if requests fail
try it: modelbay ask -m guess/acme-1 "Hello"
""",
            ),
            (
                "add SHELF/api.json",
                1,
                "",
                """\
error: Access Denied: GET SHELF/api.json returned 401: who are you?

hint: pass a new token with --api-key TOKEN
""",
            ),
            (
                "add SHELF/api.json",
                0,
                """\
Imported 2 providers (3 models) from SHELF/api.json:
  - one  openai at https://one.example/v1  1 model; no key yet
  - two  anthropic at https://two.example  2 models; no key yet
""",
                """\
SHELF/api.json is a provider registry
warning: one has no API key yet: modelbay key set one
warning: two has no API key yet: modelbay key set two
warning: skipped: broken: unknown type "smoke"
""",
            ),
            (
                "list",
                0,
                """\
acme   type=openai     models=1  https://acme.example/v1  API key in config.toml  source=models_dev(SHELF/models.dev)
guess  type=openai     models=1  https://guess.example    API key in config.toml  source=models_dev(SHELF/mine.json)
one    type=openai     models=1  https://one.example/v1   no API key              source=apiJson(SHELF/api.json)
two    type=anthropic  models=2  https://two.example      no API key              source=apiJson(SHELF/api.json)

Default model: acme/acme-1
""",
                "",
            ),
            (
                "remove guess",
                2,
                "",
                """\
error: not a terminal: pass --yes to confirm

hint: see `modelbay provider remove --help`
""",
            ),
            (
                "remove guess --yes",
                0,
                """\
Removed provider guess
Removed 1 model: guess/acme-1
""",
                "",
            ),
            (
                "remove guess --yes",
                1,
                "",
                """\
error: Provider Not Found: no provider "guess" in HOME/config.toml

hint: use a provider ID in HOME/config.toml (`modelbay provider list`)
""",
            ),
        ]
    )


def test_a_registry_wants_its_token_and_does_not_take_it_from_the_shell(
    bay: Inside, shelf: Site, monkeypatch: pytest.MonkeyPatch
):
    shelf.tokens = {TOKEN}
    monkeypatch.setenv("KIMI_REGISTRY_API_KEY", TOKEN)
    for more in ([], ["--as", "registry"]):
        run = bay("provider", "add", f"{shelf.url}/api.json", *more)
        assert (run.code, bay.text) == (1, "")
        assert "--api-key '{env:KIMI_REGISTRY_API_KEY}'" in run.err
    bay.done("provider", "add", f"{shelf.url}/api.json", "--as", "registry", "--api-key", "{env:KIMI_REGISTRY_API_KEY}")
    assert TOKEN not in bay.text


@pytest.mark.parametrize(
    ("document", "code", "words"),
    [
        (503, 1, "503"),
        ({}, 1, "no usable providers"),
        ({"data": [{"id": "m"}]}, 1, "no usable providers"),
        (b"<html>", 1, "not a registry"),
    ],
)
def test_a_registry_that_is_none_says_so(document: Any, code: int, words: str, bay: Inside, shelf: Site):
    shelf.pages["/api.json"] = document
    run = bay("provider", "add", f"{shelf.url}/api.json", "--as", "registry", "--api-key", TOKEN)
    assert (run.code, bay.text) == (code, "")
    assert words in run.err


def test_no_verb_shows_a_key_or_a_token(bay: Inside, shelf: Site):
    bay.done("provider", "add", f"{shelf.url}/api.json", "--api-key", TOKEN, "--provider-key", f"one={KEY}")
    bay.done("provider", "catalog", "add", "acme", "--api-key", "sk-third-4455667788")
    for arguments in (
        ["list"], ["list", "--json"], ["show", "one"], ["show", "one", "--json"], ["show", "acme", "--json"],
        ["add", f"{shelf.url}/api.json", "--api-key", NEXT, "--dry-run"],
        ["catalog", "add", "acme", "--api-key", NEXT, "--dry-run"], ["refresh", "--json"],
    ):  # fmt: skip
        run = bay("provider", *arguments)
        for secret in (TOKEN, NEXT, KEY, "sk-third"):
            assert secret not in run.out + run.err, arguments


# A registry, from adding it to an answer


def test_what_a_registry_writes_is_kimi_codes(bay: Inside, shelf: Site):
    bay.done("provider", "add", f"{shelf.url}/api.json", "--api-key", TOKEN, "--provider-key", "one={env:ONE_KEY}")
    assert bay.same(bay.text) == snapshot("""\
default_model = "one/a"

[providers.one]
type = "openai"
name = "One"
base_url = "https://one.example/v1"
api_key = "{env:ONE_KEY}"

[providers.one.source]
kind = "apiJson"
url = "SHELF/api.json"
apiKey = "tok-planted-first-1"

[providers.two]
type = "anthropic"
name = "Two"
base_url = "https://two.example"

[providers.two.source]
kind = "apiJson"
url = "SHELF/api.json"
apiKey = "tok-planted-first-1"

[models."one/a"]
provider = "one"
model = "a"
max_context_size = 131072
capabilities = ["tool_use"]

[models."two/b"]
provider = "two"
model = "b"
max_context_size = 131072
capabilities = ["tool_use"]

[models."two/c"]
provider = "two"
model = "c"
max_context_size = 131072
capabilities = ["tool_use"]
""")


def test_a_new_token_is_given_by_adding_it_again(bay: Inside, shelf: Site):
    url = f"{shelf.url}/api.json"
    bay.done("provider", "add", url, "--as", "registry", "--api-key", TOKEN)
    shelf.tokens = {NEXT}
    failed = bay("provider", "refresh")
    assert failed.code == 1
    assert "provider add SHELF/api.json --api-key TOKEN" in failed.err
    before = bay.text
    assert bay("provider", "add", url, "--api-key", "tok-wrong-000").code == 1
    assert bay.text == before
    bay.done("provider", "add", url, "--api-key", NEXT)
    assert TOKEN not in bay.text
    assert bay("provider", "refresh").code == 0


def test_adding_it_again_needs_no_token(bay: Inside, shelf: Site):
    shelf.tokens = {TOKEN}
    bay.done("provider", "add", f"{shelf.url}/api.json", "--api-key", TOKEN)
    assert "2 providers" in bay.done("provider", "add", f"{shelf.url}/api.json")


def test_the_default_model_is_kept_while_it_is_there(bay: Inside, shelf: Site):
    url = f"{shelf.url}/api.json"
    bay.done("provider", "add", url, "--default-model", "two/c")
    bay.done("provider", "add", url)
    assert bay.text.startswith('default_model = "two/c"')
    shelf.pages["/api.json"] = {"one": REGISTRY["one"]}
    run = bay("provider", "add", url)
    assert "the default model was two/c; none is set now" in run.err
    assert "default_model" not in bay.text


def test_a_registry_may_be_a_file(bay: Inside, shelf: Site):
    (bay.home / "api.json").write_text(json.dumps(REGISTRY))
    out = bay.done("provider", "add", str(bay.home / "api.json"), "--provider-key", f"one={KEY}")
    assert "Imported 2 providers (3 models) from a registry" in out
    assert "source" not in bay.text
    run = bay("provider", "add", str(bay.home / "api.json"), "--api-key", TOKEN)
    assert (run.code, "--provider-key ID=KEY" in run.err) == (2, True)


@pytest.mark.parametrize("pair", ["one", "=key", "one=", "nobody=sk-123456"])
def test_a_providers_key_must_be_one_of_its(pair: str, bay: Inside, shelf: Site):
    assert bay("provider", "add", f"{shelf.url}/api.json", "--provider-key", pair).code != 0
    assert bay.text == ""


def test_its_provider_answers_and_is_refreshed(bay: Inside, simulator: Simulator, shelf: Site):
    shelf.pages["/api.json"] = {
        "sim": {"id": "sim", "name": "Sim", "api": f"{simulator.url}/v1", "type": "openai", "models": {"fast": {"id": "sim-1"}}}
    }  # fmt: skip
    bay.done("provider", "add", f"{shelf.url}/api.json", "--api-key", TOKEN, "--provider-key", f"sim={KEY}")
    assert bay.done("ask", "-m", "sim/fast", "Hello").startswith("You asked: Hello.")
    shelf.pages["/api.json"]["sim"]["models"]["slow"] = {"id": "sim-thinker"}
    assert bay.done("provider", "refresh", "sim") == "sim: 1 new\n  + sim/slow\n"


# A catalog


def test_what_a_catalog_writes(bay: Inside, shelf: Site):
    bay.done("provider", "catalog", "add", "acme", "--api-key", "{env:ACME_API_KEY}", "--default-model", "acme-1")
    assert bay.same(bay.text) == snapshot("""\
default_model = "acme/acme-1"

[providers.acme]
type = "openai"
base_url = "https://acme.example/v1"
api_key = "{env:ACME_API_KEY}"

[providers.acme.source]
kind = "models_dev"
url = "SHELF/models.dev"
models_dev_provider_id = "acme"

[models."acme/acme-1"]
provider = "acme"
model = "acme-1"
max_context_size = 200000
max_output_size = 8000
capabilities = ["image_in", "thinking", "tool_use"]
display_name = "Acme One"
""")


def test_a_dry_run_writes_nothing(bay: Inside, shelf: Site):
    out = bay.done("provider", "catalog", "add", "acme", "--api-key", KEY, "--dry-run")
    assert '+[models."acme/acme-1"]' in out
    assert bay.text == ""


def test_the_lists_are_json_too(bay: Inside, shelf: Site):
    all_of_it = json.loads(bay.done("provider", "catalog", "list", "--json"))
    assert [one["id"] for one in all_of_it["providers"]] == ["acme", "guess", "lost", "odd"]
    assert all_of_it["catalog"]["built_in"] is False
    acme = json.loads(bay.done("provider", "catalog", "list", "acme", "--json"))
    assert acme["models"] == [
        {"id": "acme-1", "max_context_size": 200_000, "max_output_size": 8000, "display_name": "Acme One",
         "capabilities": ["image_in", "thinking", "tool_use"]}
    ]  # fmt: skip
    assert acme["left_out"] == {"acme-0": "it is deprecated"}


def test_without_the_net_the_built_in_list_is_used_with_its_date(bay: Inside, shelf: Site):
    shelf.pages["/models.dev"] = 502
    run = bay("provider", "catalog", "list", "--filter", "openrouter")
    assert (run.code, run.out.split()[:2]) == (0, ["openrouter", "wire=openai"])
    assert "using the bundled list of SNAPSHOT-DAY" in run.err


def test_a_list_of_ones_own_has_nobody_elses_prices(bay: Inside, shelf: Site):
    bay.done("provider", "catalog", "add", "acme", "--api-key", KEY, "--url", f"{shelf.url}/mine.json")
    assert "models_dev_provider_id" not in bay.text


def test_the_users_word_goes_beside_the_lists(bay: Inside, shelf: Site):
    bay.done("provider", "catalog", "add", "acme", "--api-key", KEY)
    bay.done("model", "set", "acme/acme-1", "max_output_size=5", "image_in=no")
    assert "overrides = { max_output_size = 5" in bay.text
    bay.done("provider", "refresh", "acme")
    shown = bay.done("model", "show", "acme/acme-1")
    assert "max output      5 " in shown
    bay.done("model", "set", "acme/acme-1", "max_output_size=")
    assert "max_output_size = 8000" in bay.text
    assert "max_output_size = 5" not in bay.text


# With a person


def test_a_person_is_asked_for_the_key(tmp_path: Path, shelf: Site):
    arguments = ["provider", "catalog", "add", "lost", "--url", f"{shelf.url}/mine.json"]
    with Person(tmp_path, *arguments) as person:
        person.sees("has no base URL").sees("Base URL").types("https://lost.example/v1")
        person.sees("API key for Lost").types(KEY)
        assert person.ends() == 0
        assert KEY not in person.seen
    text = (tmp_path / "config.toml").read_text()
    assert 'base_url = "https://lost.example/v1"' in text
    assert KEY in text


def test_a_person_is_asked_for_the_token_and_for_each_key(tmp_path: Path, shelf: Site):
    shelf.tokens = {TOKEN}
    with Person(tmp_path, "provider", "add", f"{shelf.url}/api.json", "--as", "registry") as person:
        person.sees("Token of the registry").types(TOKEN)
        person.sees("One is at https://one.example/v1").sees("API key for One").types(KEY)
        person.sees("Two is at https://two.example").sees("API key for Two").types("")
        person.sees("Imported 2 providers").sees("two has no API key yet")
        assert person.ends() == 0
        assert TOKEN not in person.seen
