"""`modelbay provider manifest`, and `provider add` with a manifest."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelbay.catalog.formats.manifest import FIX
from modelbay.catalog.models_dev import live as modelsdev
from modelbay.config.load import load
from modelbay.onboarding.sources import documents
from modelbay.simulator import Simulator
from tests.catalog.manifests import EMBEDDED, EXTENDED, MANIFEST, embedded, manifest, model
from tests.cli.command import KEY
from tests.cli.inside import Inside, Person
from tests.servers.site import Page, Site, site

FIRST = "provider/model-name-v1"
HOSTED = "/v1/models?provider=true"
LISTED = "/v1/models?extended=true"


def here(text: str) -> str:
    """An example of the guide with this site as provider."""
    return text.replace("https://providerwebsite.com", "SITE")


@pytest.fixture
def acme(simulator: Simulator) -> Iterator[Site]:
    """A provider that hosts the guide's examples."""
    simulator.reset()
    with site(simulator) as made:
        made.calls, made.model = {"/v1/chat/completions": "/v1/chat/completions"}, "sim-thinker"
        made.pages = {HOSTED: here(MANIFEST), LISTED: here(EXTENDED)}
        yield made


@pytest.fixture
def bay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, acme: Site) -> Inside:
    return Inside(tmp_path, monkeypatch, {acme.url: "SITE"})


# The examples


def test_the_hosted_example_is_added_and_answers(bay: Inside, acme: Site) -> None:
    added = bay("provider", "manifest", f"{acme.url}{HOSTED}", "--api-key", KEY, "--yes")
    assert added.code == 0, added.err
    assert added.err.splitlines() == [
        "  Provider     Sample Provider (SITE)",
        "  Provider ID  sample-provider",
        "  Base URL     SITE/v1",
        "  API key      sent to SITE only",
        "  Models       2 models",
        "               provider/model-name-v1  128k context · $0.5 in, $1.5 out · thinking, images, tools",
        "               provider/another-model-v2",
        'try it: modelbay ask -m sample-provider/provider/model-name-v1 "Hello"',
    ]
    assert added.out.splitlines() == [
        "Added provider sample-provider: Sample Provider at SITE",
        "  sample-provider/provider/model-name-v1     128k context · $0.5 in, $1.5 out · thinking, images, tools",
        "  sample-provider/provider/another-model-v2",
        "The default model is sample-provider/provider/model-name-v1",
    ]
    assert acme.targets == [f"GET {HOSTED}", f"GET {LISTED}"]
    assert not acme.keys(), "nobody wanted the key"
    assert bay.done("ask", "-m", f"sample-provider/{FIRST}", "Hello")
    assert acme.keys() == {f"Bearer {KEY}"}


def test_the_embedded_example_is_added_from_standard_input_and_answers(bay: Inside, acme: Site) -> None:
    text = here(EMBEDDED).replace("SITE", acme.url)
    bay.done("provider", "manifest", "--embedded", "-", "--api-key", KEY, "--yes", stdin=text)
    assert acme.asked == []
    assert bay.done("ask", "Hello")
    assert acme.targets == ["POST /v1/chat/completions"]
    assert acme.sent[0]["model"] == FIRST


def test_the_embedded_example_is_added_from_a_file_as_it_is(bay: Inside) -> None:
    (bay.home / "synthetic.json").write_text(EMBEDDED)
    bay.done(
        "provider", "manifest", "--embedded", str(bay.home / "synthetic.json"), "--api-key", "{env:ACME_KEY}", "--yes"
    )
    assert bay.text == (
        """default_model = "synthetic/provider/model-name-v1"

[providers.synthetic]
type = "openai"
name = "Synthetic"
base_url = "https://providerwebsite.com/v1"
api_key = "{env:ACME_KEY}"
source = { kind = "manifest", website = "https://providerwebsite.com" }

[models."synthetic/provider/model-name-v1"]
provider = "synthetic"
model = "provider/model-name-v1"

[models."synthetic/provider/model-name-v1".listed]
name = "Model Name V1"
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

[models."synthetic/provider/another-model-v2"]
provider = "synthetic"
model = "provider/another-model-v2"
listed = { name = "Another Model V2" }
"""
    )


def test_facts_of_a_manifest_have_the_manifest_as_source(bay: Inside, acme: Site) -> None:
    bay.done("provider", "manifest", f"{acme.url}{HOSTED}", "--yes")
    shown = [" ".join(line.split()) for line in bay.done("model", "show", f"sample-provider/{FIRST}").splitlines()]
    for fact in ("context window 128k", "max output 4,096", "price $0.5 in, $1.5 out", "image_in yes"):
        assert any(line.startswith(fact) and line.endswith("manifest") for line in shown), fact


def test_a_key_of_a_second_account_is_reported_as_a_replacement(bay: Inside, acme: Site) -> None:
    line = ["provider", "manifest", f"{acme.url}{HOSTED}", "--yes", "--api-key"]
    assert "replaced" not in bay.done(*line, KEY)
    assert "replaced" not in bay.done(*line, KEY)
    run = bay(*line, "sk-another-0123456789")
    assert "  the API key is replaced\n" in run.out
    assert re.search("API key +sent to SITE only; the API key is replaced", bay.same(run.err))
    assert load(bay.file).provider("sample-provider").api_key == "sk-another-0123456789"


def test_the_source_of_a_provider_is_shown_as_text(bay: Inside, acme: Site) -> None:
    bay.done("provider", "manifest", f"{acme.url}{HOSTED}", "--yes")
    shown = bay.same(bay.done("provider", "show", "sample-provider"))
    assert re.search(r"(?m)^source +kind=manifest, url=SITE\S+, website=\S+$", shown)


def test_an_output_limit_of_a_manifest_is_not_sent_as_max_tokens(bay: Inside, acme: Site) -> None:
    bay.done("provider", "manifest", f"{acme.url}{HOSTED}", "--api-key", KEY, "--yes")
    bay.done("ask", "-m", f"sample-provider/{FIRST}", "Hello")
    assert acme.sent
    assert "4096" not in repr(acme.sent)


def test_a_manifest_may_refer_to_models_dev(bay: Inside, acme: Site) -> None:
    acme.pages[HOSTED] = manifest(
        baseUrl="SITE/v1", models_data_source="models_dev", models_dev_provider_id="synthetic"
    )
    bay.done("provider", "manifest", f"{acme.url}{HOSTED}", "--yes")
    assert acme.targets == [f"GET {HOSTED}"]
    assert 'models_dev_provider_id = "synthetic"' in bay.text
    assert bay.text.count("[models.") > 10


def test_provider_add_recognizes_a_manifest_in_every_form(bay: Inside, acme: Site) -> None:
    added = bay("provider", "add", f"{acme.url}{HOSTED}", "--api-key", KEY, "--yes")
    assert added.code == 0, added.err
    assert f"SITE{HOSTED} is a provider manifest" in added.err
    assert not acme.keys()
    bay.done("provider", "add", "-", "--yes", stdin=EMBEDDED)
    (bay.home / "hosted.json").write_text(MANIFEST)
    run = bay("provider", "add", str(bay.home / "hosted.json"), "--yes")
    assert "embedded JSON must be an array [manifest, models]; this is an object" in run.err
    assert "[providers.sample-provider]" in bay.text
    assert "[providers.synthetic]" in bay.text


# Choosing


def test_without_a_url_the_message_is_that_of_the_guide(bay: Inside) -> None:
    for arguments, code in (([], 2), (["--embedded", "-"], 1)):
        run = bay("provider", "manifest", *arguments)
        assert run.code == code
        assert run.err.startswith("error: Provide a manifest URL or embedded JSON\n")
        assert "hint: Enter a manifest URL" in run.err
        assert bay.text == ""


def test_without_a_terminal_yes_is_required(bay: Inside, acme: Site) -> None:
    run = bay("provider", "manifest", f"{acme.url}{HOSTED}")
    assert run.code == 2
    assert "not a terminal: pass --yes to confirm" in run.err
    assert bay.text == ""


def test_a_dry_run_shows_the_file_and_writes_nothing(bay: Inside, acme: Site) -> None:
    shown = bay.done("provider", "manifest", f"{acme.url}{HOSTED}", "--api-key", KEY, "--dry-run")
    assert '+[models."sample-provider/provider/model-name-v1".listed]' in shown
    assert KEY not in shown
    assert not bay.file.exists()
    assert not list(bay.home.rglob("sources/*.json"))


def test_the_default_model_can_be_named(bay: Inside, acme: Site) -> None:
    url = f"{acme.url}{HOSTED}"
    run = bay("provider", "manifest", url, "--default-model", "none-such", "--yes")
    assert "--default-model: none-such is not one of the provider's models" in run.err
    assert bay.text == ""
    bay.done("provider", "manifest", url, "--default-model", "provider/another-model-v2", "--id", "acme", "--yes")
    assert 'default_model = "acme/provider/another-model-v2"' in bay.text


def test_the_id_of_another_provider_is_not_overwritten(bay: Inside, acme: Site) -> None:
    before = (
        '[providers.sample-provider]\ntype = "openai"\nbase_url = "https://other.example/v1"\napi_key = "sk-other"\n'
    )
    bay.file.write_text(before)
    run = bay("provider", "manifest", f"{acme.url}{HOSTED}", "--yes")
    assert run.code == 2
    assert 'provider "sample-provider" already exists and has another source' in run.err
    assert "--id sample-provider-2" in run.err
    assert bay.text == before
    run = bay("provider", "manifest", f"{acme.url}{HOSTED}", "--id", "Not An Id", "--yes")
    assert "Use lowercase letters, numbers, hyphens, or underscores" in run.err
    bay.done("provider", "manifest", f"{acme.url}{HOSTED}", "--id", "sample-provider-2", "--yes")
    assert bay.text.startswith("default_model = ")
    assert before in bay.text


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("提供者", "acme"),
        ("智谱 GLM", "glm"),
        ("\u041epen AI", "ai"),
        ("\u0410cme", "acme"),
        ("Crème Brûlée & Söhne", "creme-brulee-sohne"),
    ],
)
def test_an_id_has_only_whole_words_of_the_name_or_is_that_of_the_host(bay: Inside, name: str, id: str) -> None:
    text = json.dumps(embedded(name=name, baseUrl="https://api.acme.example/v1"))
    bay.done("provider", "manifest", "--embedded", "-", "--yes", stdin=text)
    assert f"[providers.{id}]" in bay.text


def test_a_name_with_letters_that_look_like_others_is_reported(bay: Inside) -> None:
    text = json.dumps(embedded(name="\u041epen AI", baseUrl="https://api.acme.example/v1"))
    run = bay("provider", "manifest", "--embedded", "-", "--yes", stdin=text)
    assert "  Note         0.name: it mixes scripts whose letters look alike" in run.err.splitlines()
    assert 'name = "\u041epen AI"' in bay.text


def test_a_terminal_shows_a_preview_and_asks(tmp_path: Path, acme: Site) -> None:
    with Person(tmp_path, "provider", "manifest", "--embedded", "embedded.json") as person:
        person.sees("embedded.json cannot be read")
        assert person.ends() == 2
    (tmp_path / "config.toml").write_text('[providers.synthetic]\ntype = "openai"\napi_key = "sk-mine"\n')
    (tmp_path / "embedded.json").write_text(EMBEDDED)
    with Person(tmp_path, "provider", "manifest", "--embedded", str(tmp_path / "embedded.json")) as person:
        person.sees('provider "synthetic" already exists').sees("Provider ID [synthetic-2]:").types("")
        person.sees("The key is sent to https://providerwebsite.com only")
        person.sees("API key for Synthetic").types(KEY)
        person.sees("Add it? [Y/n]:").types("n")
        assert person.ends() == 130
    assert "providerwebsite" not in (tmp_path / "config.toml").read_text()
    with Person(
        tmp_path, "provider", "manifest", "--embedded", str(tmp_path / "embedded.json"), "--id", "new"
    ) as person:
        person.sees("API key for Synthetic").types(KEY)
        person.sees("Add it? [Y/n]:").types("")
        person.sees("Added provider new")
        assert person.ends() == 0
    assert f'api_key = "{KEY}"' in (tmp_path / "config.toml").read_text()


# Adding again


def test_an_embedded_manifest_becomes_hosted_if_it_is_added_again(bay: Inside, acme: Site) -> None:
    text = json.dumps(embedded(name="Sample Provider", baseUrl=f"{acme.url}/v1"))
    bay.done("provider", "manifest", "--embedded", "-", "--api-key", KEY, "--yes", stdin=text)
    assert "url" not in bay.text.partition("source = ")[2].partition("}")[0]
    run = bay("provider", "refresh", "sample-provider")
    assert run.code == 1
    assert "modelbay provider manifest URL --id sample-provider" in run.err
    bay.done("model", "set", f"sample-provider/{FIRST}", "max_output_size=1000")
    out = bay.done("provider", "manifest", f"{acme.url}{HOSTED}", "--yes")
    assert out.startswith("Updated provider sample-provider: Sample Provider at SITE\n")
    assert f'url = "{acme.url}{HOSTED}"' in bay.text
    assert f'api_key = "{KEY}"' in bay.text
    assert "max_output_size = 1000" in bay.text
    assert bay.done("provider", "refresh", "sample-provider") == "sample-provider: up to date\n"


# Errors

BAD: list[tuple[str, Any, Any, str]] = [
    ("not found", Page(b"{}", 404), None, "SITE/v1/models?provider=true returned 404"),
    ("failing", Page(b'{"error": "down"}', 500), None, "SITE/v1/models?provider=true returned 500"),
    ("wants a key", Page(b"{}", 401), None, "SITE/v1/models?provider=true returned 401"),
    ("a web page", "<!doctype html><title>Hi</title>", None, "not JSON but"),
    ("empty", "", None, "it is empty"),
    ("cut off", MANIFEST[:50], None, "not JSON at line 3, column 13: unterminated string"),
    ("a number", "7", None, "the manifest must be an object, not the number 7"),
    ("a list", [manifest(), {"models": {}}], None, "a hosted manifest must be an object; an array is for embedded JSON"),
    ("no name", manifest(name=None), None, "name: missing"),
    ("a number for a name", manifest(name=1), None, "name: it must be text, not the number 1"),
    ("no baseUrl", manifest(baseUrl=None), None, "baseUrl: missing"),
    ("baseUrl of another kind", manifest(baseUrl="ftp://SITE"), None, "baseUrl: the URL must start with http"),
    ("a placeholder", manifest(baseUrl="https://{region}.acme.example"), None, "baseUrl: it contains a placeholder"),
    ("no source", manifest(models_data_source=None), None, "models_data_source: missing"),
    ("an unknown source", manifest(models_data_source="api"), None, 'models_data_source: unknown value "api": must be one of'),
    ("embedded, hosted", manifest(models_data_source="embedded"), None, '"embedded" is not allowed in a hosted manifest'),
    ("no id", manifest(models_data_source="models_dev"), None, "models_dev_provider_id: missing"),
    (
        "an unknown id",
        manifest(baseUrl="SITE/v1", models_data_source="models_dev", models_dev_provider_id="synthetik"),
        None,
        'models_dev_provider_id: models.dev has no provider "synthetik"',
    ),
    ("a key inside", manifest(baseUrl="SITE/v1", apiKey="sk-given"), None, "apiKey: a manifest must not contain a key"),
    ("a key in the address", manifest(baseUrl="https://k@acme.example"), None, "the URL contains credentials"),
    ("loopback", manifest(baseUrl="http://127.0.0.1:9/v1"), None, "http://127.0.0.1:9 is local or in a private"),
    ("localhost", manifest(baseUrl="http://localhost/v1"), None, "http://localhost is local or in a private"),
    ("a private net", manifest(baseUrl="https://192.168.1.1/v1"), None, "https://192.168.1.1 is local or in a"),
    ("a cloud's metadata", manifest(baseUrl="http://169.254.169.254/v1"), None, "169.254.169.254 is local or in"),
    ("an odd loopback", manifest(baseUrl="http://0x7f000001/v1"), None, "http://0x7f000001 is local or in"),
    ("IPv6 loopback", manifest(baseUrl="http://[::1]/v1"), None, "http://[::1] is local or in a private"),
    ("redirects in circles", Page(b"", 302, {"location": HOSTED}), None, "redirects; at most 5 are followed"),
    ("a redirect to nowhere", Page(b"", 302, {"location": "mailto:x"}), None, "answered with a redirect (302) to"),
    ("models not found", manifest(baseUrl="SITE/v1"), Page(b"{}", 404), "SITE/v1/models?extended=true returned 404"),
    ("models for a key", manifest(baseUrl="SITE/v1"), Page(b"{}", 403), "SITE/v1/models?extended=true returned 403"),
    ("no models object", manifest(baseUrl="SITE/v1"), {"data": "no"}, "models: missing: found an object"),
    ("models of text", manifest(baseUrl="SITE/v1"), {"models": "m"}, 'models: must be an object of models by ID, not "m"'),
    ("a wrong size", manifest(baseUrl="SITE/v1"), {"models": {"a/b": model(limit={"context": "x"})}},
     'models.a/b.limit.context: it must be a number, not "x"'),
    ("an empty id", manifest(baseUrl="SITE/v1"), {"models": {"m": model(id=" ")}}, "models.m.id: it is empty"),
    ("an id twice", manifest(baseUrl="SITE/v1"), {"models": {"a": model(id="x"), "b": model(id="x")}},
     'models.b.id: "x" is the id of models.a already'),
    ("a key twice", manifest(baseUrl="SITE/v1"), '{"models": {"a": {"id": "a"}, "a": {"id": "a"}}}',
     "a: duplicate key"),
]  # fmt: skip


@pytest.mark.parametrize(("hosted", "listed", "said"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_bad_manifest_is_reported_and_nothing_is_written(
    bay: Inside, acme: Site, hosted: Any, listed: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modelsdev, "URL", f"{acme.url}/api.json")
    acme.pages = {HOSTED: hosted} | ({LISTED: listed} if listed is not None else {})
    run = bay("provider", "manifest", f"{acme.url}{HOSTED}", "--yes")
    assert run.code == 1
    assert run.out == ""
    assert run.err.startswith("error: Failed to process provider data: ")
    assert said in run.err
    assert "\nhint: " in run.err
    assert not bay.file.exists()
    assert not list(bay.home.rglob("sources/*.json"))


PAGE = b"<!doctype html><title>Acme Docs</title><p>Welcome"


@pytest.mark.parametrize(
    ("page", "said", "hint"),
    [
        (
            Page(PAGE),
            "Failed to process provider data: GET SITE/m: not JSON but an HTML page: Acme Docs",
            "check the URL: its content is not JSON",
        ),
        (Page(), "Failed to process provider data: GET SITE/m: it is empty", "check the URL: its content is not JSON"),
        (
            Page(b"[]"),
            "Failed to process provider data: GET SITE/m: the array must be [manifest, models], but has 0 elements",
            FIX,
        ),
        (Page(b"gone", status=404), "Failed to process provider data: GET SITE/m returned 404: gone", "check the URL"),
        (
            Page(status=302, headers={"Location": "http://10.0.0.1/m"}),
            "Could not fetch the provider data: GET SITE/m: redirected to http://10.0.0.1/m: "
            "http://10.0.0.1 is not a public address",
            "if you trust that address, use it as the URL: http://10.0.0.1/m",
        ),
        (
            Page(b" " * 2000),
            "Failed to process provider data: GET SITE/m: SITE sent a reply of more than 1,000 bytes",
            "check the URL: documents of this size are not read",
        ),
    ],
    ids=["page", "empty", "array", "missing", "redirect", "large"],
)
def test_a_document_that_is_not_a_manifest_is_named_with_its_url(
    bay: Inside, acme: Site, page: Page, said: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "BYTES", 1000)
    acme.pages["/m"] = page
    run = bay("provider", "manifest", f"{acme.url}/m", "--yes")
    assert (run.code, run.err) == (1, f"error: {said}\n\nhint: {hint}\n")


@pytest.mark.parametrize(
    ("setting", "url", "said", "hint"),
    [
        (
            "",
            "http://127.0.0.1:9/m",
            "GET http://127.0.0.1:9/m: could not connect to http://127.0.0.1:9: connection refused",
            "start the server, or fix the URL: nothing is listening at that address",
        ),
        (
            "offline = true",
            "http://127.0.0.1:9/m",
            "could not download http://127.0.0.1:9/m: offline is set",
            "remove `offline = true` from [network] to allow downloads",
        ),
        (
            'proxy = "http://127.0.0.1:9"',
            "https://acme.example/m",
            "GET https://acme.example/m: could not connect to the proxy http://127.0.0.1:9: connection refused",
            'check proxy of [network]; set NO_PROXY or `proxy = "none"` to connect directly',
        ),
    ],
    ids=["refused", "offline", "proxy"],
)
def test_a_manifest_that_was_not_received_is_not_called_malformed(
    bay: Inside, setting: str, url: str, said: str, hint: str
) -> None:
    bay.file.write_text(f"[network]\n{setting}\n")
    run = bay("provider", "manifest", url, "--yes")
    assert (run.code, run.err) == (1, f"error: Could not fetch the provider data: {said}\n\nhint: {hint}\n")


def test_a_huge_manifest_is_reported(bay: Inside, acme: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "BYTES", 1000)
    acme.pages[HOSTED] = manifest(baseUrl="SITE/v1", website="x" * 2000)
    run = bay("provider", "manifest", f"{acme.url}{HOSTED}", "--yes")
    assert run.err.startswith("error: Failed to process provider data: ")
    assert "1,000 bytes" in run.err
    assert not bay.file.exists()


def test_a_slow_manifest_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "SECONDS", 0.2)
    with site() as sluggish:
        sluggish.pages[HOSTED] = Page(late=True)
        bay = Inside(tmp_path, monkeypatch, {sluggish.url: "SITE"})
        run = bay("provider", "manifest", f"{sluggish.url}{HOSTED}", "--yes")
    assert run.err.startswith("error: Could not fetch the provider data: GET SITE")
    assert "0.2 s" in run.err
    assert not bay.file.exists()


def test_without_models_the_message_is_that_of_the_guide(bay: Inside, acme: Site) -> None:
    for models in ({}, {"m": model(modalities={"input": ["text"], "output": ["image"]})}):
        acme.pages[LISTED] = {"models": models}
        run = bay("provider", "manifest", f"{acme.url}{HOSTED}", "--yes")
        assert run.code == 1
        assert "error: Provider returned no models\n" in run.err
        assert "Confirm your extended models payload contains a `models` object with at least one model" in run.err
        assert not bay.file.exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("nonsense", "not JSON but"),
        (MANIFEST, "embedded JSON must be an array [manifest, models]; this is an object"),
        (json.dumps([manifest(models_data_source="embedded")]), "the array must be [manifest, models], but has 1"),
        (
            json.dumps([manifest(), json.loads(EXTENDED)]),
            '0.models_data_source: "endpoint" is not allowed in embedded JSON',
        ),
        (
            json.dumps(embedded({"m": {"id": "m", "api_key": "sk-x"}})),
            "1.models.m.api_key: a manifest must not contain a key",
        ),
    ],
)
def test_bad_embedded_json_is_reported_and_nothing_is_written(bay: Inside, acme: Site, given: str, said: str) -> None:
    run = bay("provider", "manifest", "--embedded", "-", "--yes", stdin=given)
    assert run.code == 1
    assert run.err.startswith(f"error: Failed to process provider data: {said}")
    assert not bay.file.exists()
    assert acme.asked == []


def test_corrected_problems_are_shown(bay: Inside, acme: Site) -> None:
    acme.pages[LISTED] = {"models": {"m": {"limit": {"context": "4096"}}}}
    added = bay("provider", "manifest", f"{acme.url}{HOSTED}", "--yes")
    assert added.code == 0, added.err
    assert "  Note         models.m.limit.context: it is a number in quotes" in added.err.splitlines()


@pytest.mark.parametrize(("status", "command"), [(401, "key set"), (404, "provider refresh")])
def test_a_later_error_points_to_the_manifest_and_the_key(
    bay: Inside, acme: Site, simulator: Simulator, status: int, command: str
) -> None:
    key = "sk-wrong-0000000000" if status == 401 else KEY
    bay.done("provider", "manifest", f"{acme.url}{HOSTED}", "--api-key", key, "--yes")
    if status == 404:
        bay.file.write_text(bay.text.replace(f'"{acme.url}/v1"', f'"{simulator.url}/nowhere"'))
    run = bay("ask", "-m", f"sample-provider/{FIRST}", "Hello")
    assert run.code == 1
    assert "manifest's `baseUrl`" in run.err
    assert "API key" in run.err
    assert f"modelbay {command} sample-provider" in run.err


# Servers that get the key


def test_the_key_is_sent_only_if_required_and_only_to_the_base_url(bay: Inside, acme: Site) -> None:
    acme.pages[LISTED] = Page(EXTENDED.encode(), key=KEY)
    run = bay("provider", "manifest", f"{acme.url}{HOSTED}", "--yes")
    assert run.code == 1
    assert "pass --api-key KEY" in run.err
    bay.done("provider", "manifest", f"{acme.url}{HOSTED}", "--api-key", KEY, "--yes")
    asked = [(one.target, one.headers.get("authorization")) for one in acme.asked if one.target.startswith("GET")]
    assert {target for target, key in asked if key} == {f"GET {LISTED}"}


@pytest.fixture
def everything_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback represents the internet: two sites are two providers."""
    monkeypatch.setattr("modelbay.transport.pool.is_public", lambda address: True)
    monkeypatch.setattr(documents, "is_open", lambda where: True)


@pytest.mark.usefixtures("everything_is_public")
def test_the_key_is_sent_to_another_origin_only_after_consent(bay: Inside, acme: Site) -> None:
    with site() as elsewhere:
        bay.names[elsewhere.url] = "ELSEWHERE"
        acme.pages[HOSTED] = manifest(baseUrl=f"{elsewhere.url}/v1")
        elsewhere.pages[LISTED] = Page(EXTENDED.encode(), key=KEY)
        run = bay("provider", "manifest", f"{acme.url}{HOSTED}", "--api-key", KEY)
        assert run.code == 1
        assert "The manifest names ELSEWHERE as the provider's server" in run.err
        assert not elsewhere.keys()
        run = bay("provider", "manifest", f"{acme.url}{HOSTED}", "--api-key", KEY, "--yes")
        assert run.code == 0, run.err
        assert "API key      sent to ELSEWHERE only" in run.err
        assert elsewhere.keys() == {f"Bearer {KEY}"}
    assert not acme.keys()


@pytest.mark.usefixtures("everything_is_public")
def test_an_existing_key_does_not_follow_a_manifest_to_another_origin(bay: Inside, acme: Site) -> None:
    bay.done("provider", "manifest", f"{acme.url}{HOSTED}", "--api-key", KEY, "--yes")
    before = bay.text
    acme.pages[HOSTED] = manifest(baseUrl="https://thief.example/v1")
    text = json.dumps(embedded(name="Sample Provider", baseUrl="https://thief.example/v1"))
    run = bay("provider", "manifest", "--embedded", "-", "--yes", stdin=text)
    assert 'provider "sample-provider" already exists and has another source' in run.err
    assert bay.text == before


@pytest.mark.usefixtures("everything_is_public")
def test_no_key_follows_a_redirect(bay: Inside, acme: Site) -> None:
    with site() as elsewhere:
        elsewhere.pages = {"/models": EXTENDED}
        acme.pages[LISTED] = Page(b"", 307, {"location": f"{elsewhere.url}/models"})
        bay.done("provider", "manifest", f"{acme.url}{HOSTED}", "--api-key", KEY, "--yes")
        assert elsewhere.targets == ["GET /models"]
        assert not elsewhere.keys()


def test_a_reference_is_resolved_only_if_the_key_is_required(bay: Inside, acme: Site) -> None:
    url = f"{acme.url}{HOSTED}"
    acme.pages[LISTED] = Page(EXTENDED.encode(), key=KEY)
    run = bay("provider", "manifest", url, "--api-key", "{env:NO_SUCH_KEY}", "--yes")
    assert run.code == 1
    assert "NO_SUCH_KEY" in run.err
    acme.pages[LISTED] = EXTENDED
    bay.done("provider", "manifest", url, "--api-key", "{env:NO_SUCH_KEY}", "--yes")


def test_credentials_in_the_manifest_url_are_refused(bay: Inside) -> None:
    run = bay("provider", "manifest", f"https://me:{KEY}@acme.example/v1/models?provider=true", "--yes")
    assert "the URL contains credentials" in run.err
    assert KEY not in run.err
