"""`modelbay manifest`: building, checking and serving a manifest."""

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from modelbay.catalog.models_dev import live as modelsdev
from modelbay.publishing import inspection
from modelbay.simulator import Simulator
from tests.catalog.manifests import EMBEDDED, EXTENDED, MANIFEST
from tests.cli.command import KEY, Command
from tests.cli.hosting import got, serving
from tests.cli.inside import Inside
from tests.publishing import host as hosts
from tests.publishing.host import Host, Page

PAGE = b"<!doctype html><title>Welcome to nginx</title>"


@pytest.fixture(scope="module")
def _host() -> Iterator[Host]:
    with hosts.host() as running:
        yield running


@pytest.fixture
def acme(_host: Host) -> Host:
    """A provider that publishes everything correctly."""
    _host.reset()
    return _host


@pytest.fixture
def bay(tmp_path: Path, acme: Host, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Inside:
    simulator.reset()
    return Inside(tmp_path, monkeypatch, {acme.url: "ACME", simulator.url: "SIM"})


def checked(bay: Inside, *arguments: str, stdin: str = "") -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code of a check, and its findings by rule."""
    code, out, _ = bay("manifest", "check", *arguments, "--json", stdin=stdin)
    return code, {finding["rule"]: finding for finding in json.loads(out)["findings"]}


# --- check, hosted ---


def test_a_correct_provider_has_no_findings(bay: Inside, acme: Host):
    run = bay("manifest", "check", acme.address, "--api-key", hosts.KEY)
    assert run.code == 0
    assert re.sub(r" +\d\.\d s", "  0.0 s", run.out) == snapshot("""\
manifest  ACME/v1/models?provider=true  200  0.0 s
models    ACME/v1/models?extended=true  200  0.0 s  2 models
list      ACME/v1/models                200  0.0 s  2 models
chat      ACME/v1/chat/completions      200  0.0 s  acme/large answered
advice  baseUrl: ACME can be reached only from its own machine or network (base-url-local)
        use a public URL: this one points to the user's own machine or network
ACME/v1/models?provider=true: 0 errors, 0 warnings, 1 advice
""")
    assert acme.keys == [None, None, None, f"Bearer {hosts.KEY}"]


Plant = Callable[[Host], object]


def manifest(**fields: Any) -> Plant:
    return lambda acme: acme.manifest.update(fields)


def large(**fields: Any) -> Plant:
    """A fault in one of the models."""
    return lambda acme: acme.models["acme/large"].update(fields)


def page(target: str, body: Any = b"", status: int = 200, **headers: str) -> Plant:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda acme: acme.pages.update({target: Page(body, status, named or {"content-type": "application/json"})})


MINE, EXTENDED_LIST, PLAIN = "/v1/models?provider=true", "/v1/models?extended=true", "/v1/models"
ERRORS: dict[str, tuple[str, Plant, str]] = {
    # by fault: the rule, the faulty document, the place of the finding
    "no name": ("name", lambda acme: acme.manifest.pop("name"), "name"),
    "a name that is no text": ("name", manifest(name=7), "name"),
    "no website": ("website", lambda acme: acme.manifest.pop("website"), "website"),
    "a website that is no link": ("website", manifest(website="acme.example"), "website"),
    "no base URL": ("base-url", lambda acme: acme.manifest.pop("baseUrl"), "baseUrl"),
    "a base URL that is none": ("base-url", manifest(baseUrl="/v1"), "baseUrl"),
    "a full endpoint as base URL": (
        "base-url-endpoint", lambda acme: acme.manifest.update(baseUrl=f"{acme.url}/v1/chat/completions"), "baseUrl",
    ),
    "a query in the base URL": (
        "base-url-query", lambda acme: acme.manifest.update(baseUrl=f"{acme.url}/v1?team=a"), "baseUrl",
    ),
    "an unknown data source": ("models-source", manifest(models_data_source="Endpoint"), "models_data_source"),
    "embedded, and hosted": ("models-source", manifest(models_data_source="embedded"), "models_data_source"),
    "models.dev without an id": ("models-dev-id", manifest(models_data_source="models_dev"), "models_dev_provider_id"),
    "a key in the manifest": ("key-inside", manifest(apiKey="abc"), "apiKey"),
    "a key under a harmless name": ("key-inside", manifest(note=f"use {hosts.KEY}"), "note"),
    "a key among the models": ("key-inside", large(demo={"token": "t"}), "demo.token"),
    "an array": ("shape", page(MINE, [{}, {}]), ""),
    "broken JSON": ("shape", page(MINE, b'{"name": '), ""),
    "an error with status 200": ("shape", page(MINE, {"error": {"message": "under maintenance"}}), ""),
    "another encoding": ("encoding", page(MINE, '{"name": "Acmé"}'.encode("latin-1")), ""),
    "another encoding of the models": ("encoding", page(EXTENDED_LIST, '{"a": "é"}'.encode("latin-1")), EXTENDED_LIST),
    "a body that is not compressed as announced": ("transfer", page(MINE, {}, content_encoding="gzip"), MINE),
    "redirects without an end": ("redirects", page(MINE, b"", 302, location=MINE), MINE),
    "a name that is there twice": ("duplicate-key", page(MINE, b'{"name":"A","name":"B","baseUrl":"x"}'), "name"),
    "the plain list as manifest": ("query-ignored", page(MINE, {"object": "list", "data": [{"id": "a"}]}), ""),
    "the plain list as extended models": ("query-ignored", page(EXTENDED_LIST, {"data": []}), EXTENDED_LIST),
    "no models": ("models-empty", lambda acme: acme.models.clear(), "models"),
    "models that are a list": ("models", page(EXTENDED_LIST, {"models": [{"id": "a"}]}), "models"),
    "a model that is no object": ("models", lambda acme: acme.models.update(x=1), "models.x"),
    "an id that is not the key": ("model-id", large(id="acme/huge"), "acme/large.id"),
    "an id twice": ("model-id", large(id="acme/small"), "small.id"),
    "an empty id": ("model-id", large(id=""), "acme/large.id"),
    "no name of a model": ("model-name", lambda acme: acme.models["acme/large"].pop("name"), "acme/large.name"),
    "a switch in quotes": ("switch", large(tool_call="true"), "acme/large.tool_call"),
    "a date that is none": ("date", large(release_date="August"), "acme/large.release_date"),
    "a day that there is not": ("date", large(release_date="2025-02-30"), "acme/large.release_date"),
    "modalities that are a list": ("modalities", large(modalities=["text"]), "acme/large.modalities"),
    "an unknown modality": (
        "modality-unknown", large(modalities={"input": ["text", "smell"], "output": ["text"]}), "modalities.input",
    ),
    "a price in quotes": ("cost", large(cost={"input": "0.5", "output": 1}), "cost.input"),
    "a negative price": ("cost", large(cost={"input": -1, "output": 1}), "cost.input"),
    "prices per token": ("cost-unit", large(cost={"input": 5e-7, "output": 1.5e-6}), "acme/large.cost"),
    "efforts that are a text": (
        "reasoning-options", large(reasoning_options=[{"type": "effort", "values": "low"}]), "large.reasoning_options",
    ),
    "a reasoning field without its table": ("interleaved", large(interleaved="reasoning_content"), "large.interleaved"),
    "a size that is text": ("limit", large(limit={"context": "128k", "output": 1}), "limit.context"),
    "more output than context": ("limit-output", large(limit={"context": 4096, "output": 8192}), "limit.output"),
    "a manifest for those with a key": ("needs-key", page(MINE, {}, 401), MINE),
    "extended models for those with a key": ("needs-key", page(EXTENDED_LIST, {}, 403), EXTENDED_LIST),
    "no extended models": ("status", page(EXTENDED_LIST, {}, 404), EXTENDED_LIST),
    "an error page": ("web-page", page(MINE, PAGE, 502, content_type="text/html"), MINE),
    "a page for the extended models": ("web-page", page(EXTENDED_LIST, PAGE, content_type="text/html"), EXTENDED_LIST),
    "extended models that are elsewhere": ("redirects", page(EXTENDED_LIST, b"", 302, location="/x"), EXTENDED_LIST),
    "a plain list that is none": ("list", page(PLAIN, {"models": ["a"]}), PLAIN),
    "an entry without an id": ("list", lambda acme: acme.list["data"].append({"object": "model"}), "data.2"),
}  # fmt: skip
WARNINGS: dict[str, tuple[str, Plant, str]] = {
    "no version in the base URL": (
        "base-url-version", lambda acme: acme.manifest.update(baseUrl=f"{acme.url}/api"), "baseUrl",
    ),
    "a field in another spelling": ("field-unknown", manifest(base_url="https://acme.example/v1"), "base_url"),
    "a field of another list": ("field-unknown", large(context_length=128000), "acme/large.context_length"),
    "ids that differ in case": (
        "model-id-case", lambda acme: acme.models.update({"Acme/Large": acme.models["acme/large"]}), "Acme/Large",
    ),
    "an update before the release": ("date-order", large(last_updated="2025-01-01"), "acme/large.last_updated"),
    "an update that is yet to come": ("date-future", large(last_updated="2999-01-01"), "acme/large.last_updated"),
    "a model that does not talk": (
        "modality-text", large(modalities={"input": ["text"], "output": ["image"]}), "modalities.output",
    ),
    "a price for one side": ("cost-half", large(cost={"input": 1}), "acme/large.cost"),
    "a price a thousand times too high": ("cost-high", large(cost={"input": 5000, "output": 9000}), "acme/large.cost"),
    "a cache dearer than input": ("cost-cache", large(cost={"input": 1, "output": 2, "cache_read": 3}), "cache_read"),
    "a context in thousands": ("limit-unit", large(limit={"context": 128, "output": 4}), "limit.context"),
    "thinking that it has not": (
        "reasoning-contradicts", large(reasoning=False, reasoning_options=[{"type": "toggle"}]), "acme/large.reasoning",
    ),
    "attachments that it does not take": (
        "attachment-contradicts", large(modalities={"input": ["text"], "output": ["text"]}), "acme/large.attachment",
    ),
    "a manifest that is elsewhere": ("manifest-redirects", page(MINE, b"", 301, location="/v1/m"), MINE),
    "JSON as text": ("content-type", page(PLAIN, {"object": "list", "data": []}, content_type="text/plain"), PLAIN),
    "JSON as a web page": ("content-type", page(MINE, {"a": 1}, content_type="text/html"), MINE),
    "the calls of tools in another spelling": ("field-unknown", large(tool_calling=True), "acme/large.tool_calling"),
    "a plain list of ids": ("list-fields", lambda acme: acme.list.update(data=[{"id": "acme/large"}]), "data.0"),
    "lists that differ": ("list-differs", lambda acme: acme.list["data"].pop(), PLAIN),
}  # fmt: skip


@pytest.mark.parametrize("fault", ERRORS)
def test_a_planted_error_is_found(bay: Inside, acme: Host, fault: str):
    rule, plant, where = ERRORS[fault]
    plant(acme)
    code, found = checked(bay, acme.address)
    assert code == 1
    assert found[rule]["severity"] == "error"
    assert found[rule]["where"].endswith(where)
    assert found[rule]["change"]


@pytest.mark.parametrize("fault", WARNINGS)
def test_a_planted_warning_is_found(bay: Inside, acme: Host, fault: str):
    rule, plant, where = WARNINGS[fault]
    plant(acme)
    _, found = checked(bay, acme.address)
    assert found[rule]["severity"] == "warning"
    assert where in found[rule]["where"]


def test_a_slow_answer_is_reported_with_its_time(bay: Inside, acme: Host, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(inspection, "QUICK", 0.05)
    acme.pages[MINE] = Page(acme.manifest, wait=lambda: threading.Event().wait(0.1))
    code, out, _ = bay("manifest", "check", acme.address, "--json")
    slow = [finding["where"] for finding in json.loads(out)["findings"] if finding["rule"] == "slow"]
    assert (code, slow[0]) == (0, "ACME" + MINE)


def test_a_missing_answer_times_out(bay: Inside, acme: Host, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(inspection, "SECONDS", 0.2)
    over = threading.Event()
    acme.pages[MINE] = Page(acme.manifest, wait=over.wait)
    code, found = checked(bay, acme.address)
    over.set()
    assert (code, list(found)) == (1, ["too-late"])


def test_a_large_answer_is_not_read(bay: Inside, acme: Host):
    acme.pages[EXTENDED_LIST] = Page(b" " * (17 * 2**20))
    code, found = checked(bay, acme.address)
    assert (code, found["too-large"]["where"]) == (1, "ACME" + EXTENDED_LIST)


def test_a_refused_connection_is_reported(bay: Inside):
    code, found = checked(bay, "http://127.0.0.1:9/v1/models?provider=true")
    assert (code, list(found)) == (1, ["unreachable"])


def test_a_redirected_manifest_is_read_at_its_target(bay: Inside, acme: Host):
    acme.pages[MINE] = Page(b"", 301, {"location": "/v2/models?provider=true"})
    acme.pages["/v2/models?provider=true"] = Page(acme.manifest)
    code, found = checked(bay, acme.address)
    assert (code, list(found)) == (0, ["manifest-redirects", "base-url-local"])


@pytest.mark.parametrize(
    ("chat", "rule"),
    [
        (Page({"error": {"message": "bad key"}}, 401), "chat-refused"),
        (Page({"error": {"message": "no such model"}}, 404), "chat-not-found"),
        (Page({"error": {"message": "out of order"}}, 500), "chat-failed"),
        (Page(PAGE, headers={"content-type": "text/html"}), "chat-failed"),
    ],
)
def test_a_call_that_fails_is_found(bay: Inside, acme: Host, chat: Page, rule: str, monkeypatch: pytest.MonkeyPatch):
    acme.chat = chat
    code, found = checked(bay, acme.address, "--api-key", hosts.KEY, "--model", "acme/small")
    assert (code, found[rule]["where"]) == (1, "ACME/v1/chat/completions")
    assert "acme/small" in found[rule]["message"]


def test_a_list_that_requires_a_key_is_read_with_the_key(bay: Inside, acme: Host):
    acme.pages[PLAIN] = Page({}, 401)
    _, found = checked(bay, acme.address)
    assert found["list-unseen"]["severity"] == "advice"
    _, found = checked(bay, acme.address, "--api-key", hosts.KEY)
    assert "list-unseen" not in found
    assert f"Bearer {hosts.KEY}" in acme.keys


def test_the_key_is_not_sent_to_another_origin(bay: Inside, acme: Host):
    with hosts.host() as other:
        acme.manifest["baseUrl"] = other.address.partition("/models")[0]
        # another local origin is refused, because the user did not type it
        code, found = checked(bay, acme.address, "--api-key", hosts.KEY)
        assert (code, other.keys) == (0, [])
        assert found["base-url-elsewhere"]["severity"] == "warning"


def test_the_key_is_sent_to_another_origin_with_yes(bay: Inside, acme: Host, monkeypatch: pytest.MonkeyPatch):
    # two local servers represent two hosts on the internet
    monkeypatch.setattr(inspection, "is_local", lambda there: False)
    monkeypatch.setattr(inspection._Inspection, "_is_trusted", lambda self, there: True)
    with hosts.host() as other:
        other.pages[PLAIN] = Page({}, 401)
        acme.manifest["baseUrl"] = f"{other.url}/v1"
        _, found = checked(bay, acme.address, "--api-key", hosts.KEY)
        assert (found["chat-untried"]["severity"], set(other.keys)) == ("warning", {None})
        _, found = checked(bay, acme.address, "--api-key", hosts.KEY, "--yes")
        assert "chat-untried" not in found
        assert other.keys[-1] == f"Bearer {hosts.KEY}"


def test_the_key_is_never_shown(bay: Inside, acme: Host):
    acme.manifest["note"] = acme.manifest["name"] = hosts.KEY
    acme.chat = Page({"error": {"message": f"{hosts.KEY} is wrong"}}, 401)
    for form in ([], ["--json"]):
        run = bay("manifest", "check", acme.address, "--api-key", hosts.KEY, *form)
        assert hosts.KEY not in run.out + run.err


def test_an_id_is_looked_up_at_models_dev(bay: Inside, acme: Host, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(modelsdev, "URL", f"{acme.url}/api.json")
    acme.manifest |= {"models_data_source": "models_dev", "models_dev_provider_id": "opnai"}
    code, found = checked(bay, acme.address)
    assert (code, "opnai" in found["models-dev-unknown"]["message"]) == (1, True)
    acme.manifest["models_dev_provider_id"] = "acme-of-tomorrow"
    acme.pages["/api.json"] = Page({"acme-of-tomorrow": {"models": acme.models}})
    bay.home.joinpath("cache").mkdir(exist_ok=True)
    code, found = checked(bay, acme.address)
    assert "models-dev-unknown" not in found


@pytest.fixture
def no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """No host name can be resolved."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)


def test_a_public_manifest_requires_https(bay: Inside, no_names: None):
    code, found = checked(bay, "http://api.acme.example/v1/models")
    assert (code, list(found)) == (1, ["manifest-http", "unreachable", "manifest-address"])


def test_no_call_is_made_to_an_unreachable_server(bay: Inside, no_names: None):
    told = EMBEDDED.replace("providerwebsite.com", "api.acme.example")
    code, found = checked(bay, "-", "--api-key", hosts.KEY, "--yes", stdin=told)
    assert (code, [rule for rule in found if rule.startswith("chat")]) == (1, [])
    assert "unreachable" in found


# --- check, in files ---


@pytest.mark.parametrize("form", ["file", "folder", "standard input"])
def test_the_examples_of_the_guide_have_no_findings(bay: Inside, form: str):
    if form == "standard input":
        code, found = checked(bay, "-", "--offline", stdin=EMBEDDED)
    elif form == "folder":
        (bay.home / "manifest.json").write_text(MANIFEST)
        (bay.home / "models.json").write_text(EXTENDED)
        code, found = checked(bay, str(bay.home), "--offline")
    else:
        (bay.home / "mine.json").write_text(EMBEDDED)
        code, found = checked(bay, str(bay.home / "mine.json"), "--offline")
    assert code == 0
    assert {finding["severity"] for finding in found.values()} == {"advice"}


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("http://api.acme.com/v1", "base-url-http"),
        ("https://10.0.0.7/v1", "base-url-local"),
        ("https://[fd00::1]/v1", "base-url-local"),
        ("https://models.internal/v1", "base-url-local"),
        ("https://gateway/v1", "base-url-local"),
        ("https://api.acme.com", "base-url-version"),
        ("https://api.acme.com/v1/", "base-url-slash"),
        ("https://api.acme.com/v1/models", "base-url-endpoint"),
        ("https://me:pass@api.acme.com/v1", "key-inside"),
    ],
)
def test_a_base_url_is_checked_in_a_file(bay: Inside, url: str, rule: str):
    told = EMBEDDED.replace("https://providerwebsite.com/v1", url)
    _, found = checked(bay, "-", "--offline", stdin=told)
    assert found[rule]["where"] == "0.baseUrl"


def test_a_missing_file_is_a_usage_error(bay: Inside):
    assert bay("manifest", "check", "nowhere.json").code == 2


# --- build ---


def configure(bay: Inside, simulator: Simulator) -> None:
    bay.file.write_text(
        f'[providers.sim]\ntype = "openai"\nname = "Simulated"\nbase_url = "{simulator.url}/v1"\napi_key = "{KEY}"\n'
        '[models.mine]\nprovider = "sim"\nmodel = "sim-text"\nmax_context_size = 30000\nrelease_date = "2026-01-01"\n'
    )


def test_a_configured_provider_is_written_with_known_facts(bay: Inside, simulator: Simulator):
    configure(bay, simulator)
    line = ["manifest", "build", "sim", "--website", "https://sim.example", "--output", str(bay.home / "out")]
    run = bay(*line, "--all-models")
    assert run.out == "wrote HOME/out/manifest.json\nwrote HOME/out/models.json\n"
    assert run.err == snapshot("""\
7 models; fields by source:
  name: model list (7)
  reasoning: model list (7)
  temperature: model list (7)
  tool_call: model list (7)
  attachment: model list (7)
  modalities: model list (7)
  cost: model list (7)
  limit: model list (6), config.toml (1)
  release_date: config.toml (1)
no source for release_date: sim-1, sim-thinker, sim-vision, sim-small, sim-echo and 1 more
no source for last_updated: sim-1, sim-thinker, sim-vision, sim-text, sim-small and 2 more
no source for open_weights: sim-1, sim-thinker, sim-vision, sim-text, sim-small and 2 more
""")
    assert bay.same((bay.home / "out" / "manifest.json").read_text()) == snapshot("""\
{
  "name": "Simulated",
  "website": "https://sim.example",
  "baseUrl": "SIM/v1",
  "models_data_source": "endpoint"
}
""")
    models = json.loads((bay.home / "out" / "models.json").read_text())["models"]
    assert models["sim-text"] == snapshot(
        {
            "id": "sim-text",
            "name": "Simulator Text",
            "attachment": False,
            "reasoning": False,
            "temperature": True,
            "tool_call": False,
            "release_date": "2026-01-01",
            "modalities": {"input": ["text"], "output": ["text"]},
            "cost": {"input": 0.1, "output": 0.2, "cache_read": 0, "cache_write": 0},
            "limit": {"context": 30000, "output": 8000},
        }
    )


def test_a_plain_list_is_joined_with_models_dev(bay: Inside, acme: Host):
    acme.list = {"object": "list", "data": [{"id": "deepseek-r1", "object": "model"}, {"id": "text-embedding-3-small"}]}
    line = ["manifest", "build", "--from", acme.url + PLAIN, "--name", "Acme", "--website", "https://acme.example"]
    run = bay(*line, "--base-url", "https://api.acme.example/v1", "--embedded")
    told, extended = json.loads(run.out)
    assert told == {
        "name": "Acme",
        "website": "https://acme.example",
        "baseUrl": "https://api.acme.example/v1",
        "models_data_source": "embedded",
    }
    model = extended["models"]["deepseek-r1"]
    assert (model["reasoning"], model["open_weights"], model["release_date"]) == (True, True, "2025-01-20")
    assert "cost" not in model  # no price: prices depend on the host, which is unknown to models.dev
    assert "skipped 1 non-chat or inactive model" in run.err
    assert "reasoning: models.dev (1)" in run.err
    assert "no source for cost: deepseek-r1" in run.err


def test_a_key_is_never_written(bay: Inside, acme: Host):
    acme.list["data"].append({"id": hosts.KEY})
    acme.list["data"][0]["name"] = f"Large {hosts.KEY}"
    line = [
        "manifest",
        "build",
        "--from",
        acme.url + PLAIN,
        "--api-key",
        hosts.KEY,
        "--website",
        "https://acme.example",
    ]
    run = bay(*line, "--embedded")
    assert run.code == 0
    assert hosts.KEY not in run.out + run.err


def test_only_earlier_manifests_are_overwritten(bay: Inside, simulator: Simulator):
    configure(bay, simulator)
    line = ["manifest", "build", "sim", "--website", "https://sim.example", "--output", str(bay.home / "out")]
    for _ in range(2):
        assert bay(*line).code == 0
    web_app = '{"name": "Acme", "display": "standalone"}'
    (bay.home / "out" / "manifest.json").write_text(web_app)
    run = bay(*line)
    assert (run.code, "exists and is not a manifest" in run.err) == (1, True)
    assert (bay.home / "out" / "manifest.json").read_text() == web_app


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        (["build"], 2, "name a provider, or pass a model list with --from"),
        (["build", "sim"], 2, "pass --output FOLDER, or --embedded"),
        (["build", "sim", "--embedded"], 2, "missing --website"),
        (
            ["build", "sim", "--embedded", "--website", "sim.example"],
            2,
            "--website: the URL must start with http:// or https://",
        ),
        (["build", "sim", "--embedded", "--api-key", "k"], 2, "--api-key requires --from"),
        (["build", "claude", "--embedded", "--website", "https://sim.example"], 1, "claude uses anthropic"),
        (["build", "nobody", "--embedded", "--website", "https://sim.example"], 1, 'no provider "nobody"'),
        (["build", "--from", "SIM/v1/models", "--embedded", "--website", "https://s.example"], 1, "returned 401"),
        (["check", "https://a.example/v1/models", "--offline"], 2, "--offline requires a file"),
        (["serve", "nowhere"], 2, "nowhere cannot be read"),
    ],
)
def test_impossible_options_are_refused(bay: Inside, simulator: Simulator, line: list[str], code: int, said: str):
    configure(bay, simulator)
    bay.file.write_text(
        bay.text + f'[providers.claude]\ntype = "anthropic"\nbase_url = "{simulator.url}"\napi_key = "k"\n'
    )
    run = bay("manifest", *[part.replace("SIM", simulator.url) for part in line])
    assert run.code == code
    assert said in run.err


# --- serve, and all steps together ---


@pytest.mark.parametrize("form", ["hosted", "embedded"])
def test_a_built_manifest_is_checked_served_added_and_used(modelbay: Command, form: str):
    line = ["manifest", "build", "sim", "--name", "Acme", "--website", "https://acme.example", "--output", "out"]
    line.append("--all-models")
    built = modelbay(*line, *(["--embedded"] if form == "embedded" else []))
    assert built.code == 0, built.err
    checked = modelbay("manifest", "check", "out", "--api-key", KEY)
    assert (checked.code, "sim-1 answered" in checked.out) == (0, True), checked.out
    with serving(modelbay, "out") as address:
        found = modelbay("manifest", "check", address, "--api-key", KEY)
        assert (found.code, "sim-1 answered" in found.out) == (0, True), found.out
        added = modelbay("provider", "manifest", address, "--api-key", KEY, "--yes")
        assert added.code == 0, added.err
        asked = modelbay("ask", "-m", "acme/sim-text", "Hello")
        assert (asked.code, asked.out.startswith("You asked: Hello.")) == (0, True), asked.err


def test_an_embedded_manifest_that_was_built_is_added_as_it_is(modelbay: Command):
    line = ["manifest", "build", "sim", "--name", "Acme", "--website", "https://acme.example", "--embedded"]
    line.append("--all-models")
    embedded = modelbay.home / "acme.json"
    embedded.write_text(modelbay(*line).out.replace("SIM", modelbay.simulator.url))
    added = modelbay("provider", "manifest", "--embedded", str(embedded), "--api-key", KEY, "--yes")
    assert added.code == 0, added.err
    assert modelbay("ask", "-m", "acme/sim-text", "Hello").out.startswith("You asked: Hello.")


def test_the_server_serves_the_manifest_and_its_models(modelbay: Command, acme: Host):
    (modelbay.home / "manifest.json").write_text(json.dumps(acme.manifest))
    (modelbay.home / "models.json").write_text(json.dumps({"models": acme.models}))
    with serving(modelbay, ".") as address:
        base = address.removesuffix("/models?provider=true")
        assert got(address) == (200, acme.manifest | {"baseUrl": base})
        assert got(f"{base}/models?extended=true") == (200, {"models": acme.models})
        status, plain = got(f"{base}/models")
        assert (status, [item["id"] for item in plain["data"]]) == (200, list(acme.models))
        assert got(f"{base}/models/acme%2Flarge", "k-1") == (404, {"error": {"message": "nothing here"}})
        assert acme.keys == ["Bearer k-1"]
        acme.chat = Page({"choices": []})
        assert got(f"{base}/chat/completions", "k-2", b"{}") == (200, {"choices": []})
        assert acme.keys[1:] == ["Bearer k-2"]
        assert got(base.replace("/v1", "/elsewhere"))[0] == 404
        assert got(base.replace("127.0.0.1", "localhost") + "/models")[0] == 200
        for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost@evil.example", ""):
            assert got(f"{base}/chat/completions", "k-3", b"{}", host=host)[0] == 403, (
                "a page whose name has become this machine's"
            )
        for origin in ("https://evil.example", "null", "http://127.0.0.1.evil.example"):
            assert got(f"{base}/chat/completions", "k-3", b"{}", origin=origin)[0] == 403
        assert got(f"{base}/chat/completions", "k-4", b"{}", origin="http://localhost:3000")[0] == 200
        for path in (
            "/../x",
            "/%2e%2e/x",
            "/%252e%252e/x",
            "//x",
            "/..%2fx",
            "/a/..%5cx",
            "/..;/x",
            "/chat/completions/../x",
        ):
            assert got(f"{base}{path}", "k-3", b"{}")[0] == 400, path
        assert "Bearer k-3" not in acme.keys


def test_models_of_models_dev_are_not_copied(modelbay: Command, acme: Host):
    acme.manifest |= {"models_data_source": "models_dev", "models_dev_provider_id": "openai"}
    (modelbay.home / "acme.json").write_text(json.dumps(acme.manifest))
    with serving(modelbay, "acme.json") as address:
        assert got(address)[1]["models_data_source"] == "models_dev"
        assert got(address.replace("?provider=true", "")) == (200, acme.list)


def test_calls_to_an_unreachable_provider_fail_with_its_error(modelbay: Command):
    told = EMBEDDED.replace("https://providerwebsite.com/v1", "http://127.0.0.1:9/v1")
    (modelbay.home / "acme.json").write_text(told)
    with serving(modelbay, "acme.json") as address:
        status, answer = got(address.replace("models?provider=true", "chat/completions"), "k", b"{}")
        assert (status, answer["error"]["type"]) == (502, "server_error")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON at line 1"),
        (MANIFEST, "models.json is missing next to the manifest"),
        (EMBEDDED.replace("embedded", "endpoint"), "is not allowed in embedded JSON"),
        ('[{"name":"A","baseUrl":"https://a.example/v1","models_data_source":"embedded"},{"models":[{"id":"a"}]}]',
         '"models" is not an object with models by ID'),
    ],
)  # fmt: skip
def test_an_invalid_manifest_is_not_served(bay: Inside, text: str, said: str):
    (bay.home / "acme.json").write_text(text)
    run = bay("manifest", "serve", str(bay.home / "acme.json"), "--port", "0")
    assert (run.code, run.out) == (1, "")
    assert said in run.err
