"""`modelbay provider catalog`, registries with `provider add`, and all commands of `kimi provider` with their exit codes."""

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

NO_NETWORK = "could not connect to the proxy http://127.0.0.1:9: connection refused"
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
def host(_site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A changeable models.dev, another catalog and a registry."""
    _site.reset()
    monkeypatch.setattr(modelsdev, "URL", f"{_site.url}/models.dev")
    _site.pages = {"/models.dev": CATALOG, "/mine.json": CATALOG, "/api.json": REGISTRY}
    return _site


@pytest.fixture
def bay(tmp_path: Path, host: Site, monkeypatch: pytest.MonkeyPatch) -> Inside:
    """Without a network: every other host is behind a proxy that does not run."""
    monkeypatch.delenv("KIMI_REGISTRY_API_KEY", raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    return Inside(tmp_path, monkeypatch, {host.url: "HOST", modelsdev.ModelsDev().date: "SNAPSHOT-DAY"})


def undated(run: Run) -> Run:
    """The output without the date of a list that was just fetched, and without the words of a missing network."""
    import re

    out = re.sub(r"models\.dev of [\d-]+", "models.dev of TODAY", run.out)
    return Run(run.code, out, run.err.replace(NO_NETWORK, "no network"))


# All commands of `kimi provider`, with output and exit code


def test_every_verb_of_kimi_provider(bay: Inside, host: Site):
    host.tokens = {TOKEN, ""}  # catalogs are open
    verbs = f"""\
list
catalog list
catalog list --filter gue
catalog list --filter nobody
catalog list acme
catalog list odd
catalog list nobody
catalog list --url HOST/missing.json
catalog add acme
catalog add nobody --api-key {KEY}
catalog add odd --api-key {KEY}
catalog add lost --api-key {KEY}
catalog add lost --api-key {KEY} --base-url=
catalog add lost --api-key {KEY} --base-url https://${{X}}
catalog add acme --api-key {KEY} --default-model acme-0
catalog add acme --api-key {KEY} --default-model acme-1
catalog add acme
catalog add guess --api-key {KEY} --url HOST/mine.json
add HOST/api.json --api-key tok-wrong-000
add HOST/api.json --api-key {TOKEN}
list
remove guess
remove guess --yes
remove guess --yes
"""
    runs = [
        (verb.split(" --api-key")[0], *undated(bay("provider", *verb.replace("HOST", host.url).split())))
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
wire=?  cannot be added: it speaks its own protocol
""",
                "",
            ),
            (
                "catalog list nobody",
                1,
                "",
                """\
error: provider "nobody" is not in the catalog HOST/models.dev

hint: run `modelbay provider catalog list` to list all providers
""",
            ),
            (
                "catalog list --url HOST/missing.json",
                1,
                "",
                """\
error: Not Found: GET HOST/missing.json returned 404: an HTML page: Welcome

hint: check the URL
""",
            ),
            (
                "catalog add acme",
                2,
                "",
                """\
error: --api-key: Acme requires an API key

hint: pass --api-key KEY, or --api-key - to read it from standard input, or --api-key '{env:ACME_API_KEY}' to read $ACME_API_KEY
""",
            ),
            (
                "catalog add nobody",
                1,
                "",
                """\
error: provider "nobody" is not in the catalog HOST/models.dev

hint: run `modelbay provider catalog list` to list all providers
""",
            ),
            (
                "catalog add odd",
                1,
                "",
                """\
error: provider "odd" cannot be added: it speaks its own protocol

hint: add it by URL if it has an endpoint for the OpenAI protocol: modelbay provider add URL
""",
            ),
            ("catalog add lost", 2, "", "error: --base-url: Lost requires a base URL\n"),
            (
                "catalog add lost",
                2,
                "",
                """\
error: --base-url: the value is empty

hint: leave it out, or set the variable that it comes from
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
warning: Could not list the models of acme: GET https://acme.example/v1/models: no network
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
warning: Could not list the models of acme: GET https://acme.example/v1/models: no network
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
                "Imported Guessed (guess) with 1 model from HOST/mine.json\n",
                """\
warning: Could not list the models of guess: GET https://guess.example/models: no network
Skipped 1 model: `modelbay provider catalog list guess --json` shows the reasons
Protocol guessed as "openai" for guess: edit "type" in config.toml if requests fail
try it: modelbay ask -m guess/acme-1 "Hello"
""",
            ),
            (
                "add HOST/api.json",
                1,
                "",
                """\
error: Access Denied: GET HOST/api.json returned 401: who are you?

hint: pass a new token with --api-key TOKEN
""",
            ),
            (
                "add HOST/api.json",
                0,
                """\
Imported 2 providers (3 models) from HOST/api.json:
  - one  openai at https://one.example/v1  1 model; no key yet
  - two  anthropic at https://two.example  2 models; no key yet
""",
                """\
HOST/api.json is a provider registry
warning: one has no API key yet: modelbay key set one
warning: two has no API key yet: modelbay key set two
warning: skipped: broken: unknown type "smoke"
""",
            ),
            (
                "list",
                0,
                """\
acme   type=openai     models=1  https://acme.example/v1  API key in config.toml  source=models_dev(HOST/models.dev)
guess  type=openai     models=1  https://guess.example    API key in config.toml  source=models_dev(HOST/mine.json)
one    type=openai     models=1  https://one.example/v1   no API key              source=apiJson(HOST/api.json)
two    type=anthropic  models=2  https://two.example      no API key              source=apiJson(HOST/api.json)

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


def test_a_registry_requires_a_token_and_never_reads_the_environment(
    bay: Inside, host: Site, monkeypatch: pytest.MonkeyPatch
):
    host.tokens = {TOKEN}
    monkeypatch.setenv("KIMI_REGISTRY_API_KEY", TOKEN)
    for more in ([], ["--as", "registry"]):
        run = bay("provider", "add", f"{host.url}/api.json", *more)
        assert (run.code, bay.text) == (1, "")
        assert "--api-key '{env:KIMI_REGISTRY_API_KEY}'" in run.err
    bay.done("provider", "add", f"{host.url}/api.json", "--as", "registry", "--api-key", "{env:KIMI_REGISTRY_API_KEY}")
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
def test_a_document_that_is_not_a_registry_is_refused(document: Any, code: int, words: str, bay: Inside, host: Site):
    host.pages["/api.json"] = document
    run = bay("provider", "add", f"{host.url}/api.json", "--as", "registry", "--api-key", TOKEN)
    assert (run.code, bay.text) == (code, "")
    assert words in run.err


def test_no_verb_shows_a_key_or_a_token(bay: Inside, host: Site):
    bay.done("provider", "add", f"{host.url}/api.json", "--api-key", TOKEN, "--provider-key", f"one={KEY}")
    bay.done("provider", "catalog", "add", "acme", "--api-key", "sk-third-4455667788")
    for arguments in (
        ["list"], ["list", "--json"], ["show", "one"], ["show", "one", "--json"], ["show", "acme", "--json"],
        ["add", f"{host.url}/api.json", "--api-key", NEXT, "--dry-run"],
        ["catalog", "add", "acme", "--api-key", NEXT, "--dry-run"], ["refresh", "--json"],
    ):  # fmt: skip
        run = bay("provider", *arguments)
        for secret in (TOKEN, NEXT, KEY, "sk-third"):
            assert secret not in run.out + run.err, arguments


# A registry, from adding it to an answer


def test_a_registry_is_written_in_kimi_codes_form(bay: Inside, host: Site):
    bay.done("provider", "add", f"{host.url}/api.json", "--api-key", TOKEN, "--provider-key", "one={env:ONE_KEY}")
    assert bay.same(bay.text) == snapshot("""\
default_model = "one/a"

[providers.one]
type = "openai"
name = "One"
base_url = "https://one.example/v1"
api_key = "{env:ONE_KEY}"

[providers.one.source]
kind = "apiJson"
url = "HOST/api.json"
apiKey = "tok-planted-first-1"

[providers.two]
type = "anthropic"
name = "Two"
base_url = "https://two.example"

[providers.two.source]
kind = "apiJson"
url = "HOST/api.json"
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


def test_adding_a_registry_again_replaces_the_token(bay: Inside, host: Site):
    url = f"{host.url}/api.json"
    bay.done("provider", "add", url, "--as", "registry", "--api-key", TOKEN)
    host.tokens = {NEXT}
    failed = bay("provider", "refresh")
    assert failed.code == 1
    assert "provider add HOST/api.json --api-key TOKEN" in failed.err
    before = bay.text
    assert bay("provider", "add", url, "--api-key", "tok-wrong-000").code == 1
    assert bay.text == before
    bay.done("provider", "add", url, "--api-key", NEXT)
    assert TOKEN not in bay.text
    assert bay("provider", "refresh").code == 0


def test_adding_a_registry_again_needs_no_token(bay: Inside, host: Site):
    host.tokens = {TOKEN}
    bay.done("provider", "add", f"{host.url}/api.json", "--api-key", TOKEN)
    assert "2 providers" in bay.done("provider", "add", f"{host.url}/api.json")


def test_the_default_model_is_kept_while_it_exists(bay: Inside, host: Site):
    url = f"{host.url}/api.json"
    bay.done("provider", "add", url, "--default-model", "two/c")
    bay.done("provider", "add", url)
    assert bay.text.startswith('default_model = "two/c"')
    host.pages["/api.json"] = {"one": REGISTRY["one"]}
    run = bay("provider", "add", url)
    assert "the default model was two/c; none is set now" in run.err
    assert "default_model" not in bay.text


def test_a_registry_may_be_a_file(bay: Inside, host: Site):
    (bay.home / "api.json").write_text(json.dumps(REGISTRY))
    out = bay.done("provider", "add", str(bay.home / "api.json"), "--provider-key", f"one={KEY}")
    assert "Imported 2 providers (3 models) from a registry" in out
    assert "source" not in bay.text
    run = bay("provider", "add", str(bay.home / "api.json"), "--api-key", TOKEN)
    assert (run.code, "--provider-key ID=KEY" in run.err) == (2, True)


@pytest.mark.parametrize("pair", ["one", "=key", "one=", "nobody=sk-123456"])
def test_a_provider_key_must_be_for_a_provider_of_the_registry(pair: str, bay: Inside, host: Site):
    assert bay("provider", "add", f"{host.url}/api.json", "--provider-key", pair).code != 0
    assert bay.text == ""


def test_a_provider_of_a_registry_answers_and_is_refreshed(bay: Inside, simulator: Simulator, host: Site):
    host.pages["/api.json"] = {
        "sim": {"id": "sim", "name": "Sim", "api": f"{simulator.url}/v1", "type": "openai", "models": {"fast": {"id": "sim-1"}}}
    }  # fmt: skip
    bay.done("provider", "add", f"{host.url}/api.json", "--api-key", TOKEN, "--provider-key", f"sim={KEY}")
    assert bay.done("ask", "-m", "sim/fast", "Hello").startswith("You asked: Hello.")
    host.pages["/api.json"]["sim"]["models"]["slow"] = {"id": "sim-thinker"}
    assert bay.done("provider", "refresh", "sim") == "sim: 1 new\n  + sim/slow\n"


# A catalog


def test_a_catalog_entry_is_written_in_kimi_codes_form(bay: Inside, host: Site):
    bay.done("provider", "catalog", "add", "acme", "--api-key", "{env:ACME_API_KEY}", "--default-model", "acme-1")
    assert bay.same(bay.text) == snapshot("""\
default_model = "acme/acme-1"

[providers.acme]
type = "openai"
base_url = "https://acme.example/v1"
api_key = "{env:ACME_API_KEY}"

[providers.acme.source]
kind = "models_dev"
url = "HOST/models.dev"
models_dev_provider_id = "acme"

[models."acme/acme-1"]
provider = "acme"
model = "acme-1"
max_context_size = 200000
max_output_size = 8000
capabilities = ["image_in", "thinking", "tool_use"]
display_name = "Acme One"
""")


def test_a_dry_run_writes_nothing(bay: Inside, host: Site):
    out = bay.done("provider", "catalog", "add", "acme", "--api-key", KEY, "--dry-run")
    assert '+[models."acme/acme-1"]' in out
    assert bay.text == ""


def test_the_lists_can_be_printed_as_json(bay: Inside, host: Site):
    all_of_it = json.loads(bay.done("provider", "catalog", "list", "--json"))
    assert [one["id"] for one in all_of_it["providers"]] == ["acme", "guess", "lost", "odd"]
    assert all_of_it["catalog"]["built_in"] is False
    acme = json.loads(bay.done("provider", "catalog", "list", "acme", "--json"))
    assert acme["models"] == [
        {"id": "acme-1", "max_context_size": 200_000, "max_output_size": 8000, "display_name": "Acme One",
         "capabilities": ["image_in", "thinking", "tool_use"]}
    ]  # fmt: skip
    assert acme["skipped"] == {"acme-0": "it is deprecated"}


def test_without_a_network_the_bundled_list_is_used_and_dated(bay: Inside, host: Site):
    host.pages["/models.dev"] = 502
    run = bay("provider", "catalog", "list", "--filter", "openrouter")
    assert (run.code, run.out.split()[:2]) == (0, ["openrouter", "wire=openai"])
    assert "using the bundled list of SNAPSHOT-DAY" in run.err


def test_another_catalog_does_not_get_prices_of_models_dev(bay: Inside, host: Site):
    bay.done("provider", "catalog", "add", "acme", "--api-key", KEY, "--url", f"{host.url}/mine.json")
    assert "models_dev_provider_id" not in bay.text


def test_the_users_settings_are_kept_beside_the_catalogs(bay: Inside, host: Site):
    bay.done("provider", "catalog", "add", "acme", "--api-key", KEY)
    bay.done("model", "set", "acme/acme-1", "max_output_size=5", "image_in=no")
    assert "overrides = { max_output_size = 5" in bay.text
    bay.done("provider", "refresh", "acme")
    shown = bay.done("model", "show", "acme/acme-1")
    assert "max output      5 " in shown
    bay.done("model", "set", "acme/acme-1", "max_output_size=")
    assert "max_output_size = 8000" in bay.text
    assert "max_output_size = 5" not in bay.text


# On a terminal


def test_a_terminal_prompts_for_the_key(tmp_path: Path, host: Site):
    arguments = ["provider", "catalog", "add", "lost", "--url", f"{host.url}/mine.json"]
    with Person(tmp_path, *arguments) as person:
        person.sees("has no base URL").sees("Base URL").types("https://lost.example/v1")
        person.sees("API key for Lost").types(KEY)
        assert person.ends() == 0
        assert KEY not in person.seen
    text = (tmp_path / "config.toml").read_text()
    assert 'base_url = "https://lost.example/v1"' in text
    assert KEY in text


def test_a_terminal_prompts_for_the_token_and_for_each_key(tmp_path: Path, host: Site):
    host.tokens = {TOKEN}
    with Person(tmp_path, "provider", "add", f"{host.url}/api.json", "--as", "registry") as person:
        person.sees("Token of the registry").types(TOKEN)
        person.sees("One is at https://one.example/v1").sees("API key for One").types(KEY)
        person.sees("Two is at https://two.example").sees("API key for Two").types("")
        person.sees("Imported 2 providers").sees("two has no API key yet")
        assert person.ends() == 0
        assert TOKEN not in person.seen
