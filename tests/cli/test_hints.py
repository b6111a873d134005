"""Titles and hints of failed requests, by operation: login, model list, manifest, registry and catalog."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelbay import sync
from modelbay.errors import ModelbayError
from tests.cli.inside import Inside
from tests.servers.site import Page, Site, site

CONFIG = """\
[providers.own]
type = "openai"
base_url = "SITE/v1"
oauth = { key = "own", device_url = "SITE/device", token_url = "SITE/token", client_id = "me" }

[providers.acme]
type = "openai"
base_url = "SITE/v1"
api_key = "sk-planted-1"

[providers.hosted]
type = "openai"
base_url = "SITE/v1"
api_key = "sk-planted-1"
source = { kind = "manifest", url = "SITE/manifest?provider=true" }

[providers.listed]
type = "openai"
base_url = "SITE/v1"
api_key = "sk-planted-1"
source = { kind = "apiJson", url = "SITE/api.json", apiKey = "tok-planted-1" }

[models.chat]
provider = "acme"
model = "sim-1"
"""
WEB_PAGE = Page(b"<!doctype html><title>Welcome</title>", 200, {"content-type": "text/html"})
REFRESH, MANIFEST, REGISTRY = (f"provider refresh {name}" for name in ("acme", "hosted", "listed"))
CATALOG, CATALOG_ADD = "provider catalog list --url SITE/list.json", "provider catalog add x --url SITE/list.json"
DOCUMENTS = (MANIFEST, REGISTRY, CATALOG, CATALOG_ADD)
LOGIN = "login own"
BY_ID = "add models by their IDs"
EDIT = "(`modelbay provider edit acme --base-url URL`)"
CHANGE = "([providers.acme] in FILE)"


@pytest.fixture(scope="module")
def _web() -> Iterator[Site]:
    with site() as running:
        yield running


@pytest.fixture
def web(_web: Site) -> Site:
    _web.reset()
    return _web


@pytest.fixture
def bay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, web: Site) -> Inside:
    made = Inside(tmp_path, monkeypatch, {web.url: "SITE"})
    made.file.write_text(CONFIG.replace("SITE", web.url))
    return made


def answers_all(web: Site, answer: Page | int) -> None:
    web.pages = dict.fromkeys(("/device", "/v1/models", "/manifest", "/api.json", "/list.json"), answer)


@pytest.mark.parametrize(
    ("answer", "line", "title", "hint"),
    [
        (401, REFRESH, "Invalid API Key", "enter the API key again, and make sure that it is complete (`modelbay key set acme`)"),
        (403, REFRESH, "Permission Denied", "check whether the API key may list models, or add models by their IDs"),
        (404, REFRESH, "Connection Errors", f"check base_url; if the provider has no model list, {BY_ID} {EDIT}"),
        (429, REFRESH, "Rate Limit Reached", "wait and try again, or increase the rate limit of your account at acme"),
        (500, REFRESH, "Provider Failed", "try again later, or add models by their IDs"),
        (WEB_PAGE, REFRESH, "Unexpected Results", f"check base_url: the response is not a model list {EDIT}"),
        (404, REGISTRY, "Not Found", "check the URL"),
        (401, REGISTRY, "Access Denied", "pass a new token: modelbay provider add SITE/api.json --api-key TOKEN"),
        (429, REGISTRY, "Rate Limit Reached", "wait and try again"),
        (500, REGISTRY, "Server Error", "try again later"),
        (WEB_PAGE, REGISTRY, "Unexpected Results", "check the URL or file: a registry is a JSON object of providers"),
        (404, CATALOG, "Not Found", "check the URL"),
        (403, CATALOG, "Access Denied", "check the permissions of the token or API key for this URL"),
        (429, CATALOG, "Rate Limit Reached", "wait and try again"),
        (500, CATALOG_ADD, "Server Error", "try again later"),
        (WEB_PAGE, CATALOG_ADD, "Unexpected Results", "check the URL: its content is not of the expected kind"),
        (404, MANIFEST, "Failed to process provider data", "check the URL"),
        (429, MANIFEST, "Failed to process provider data", "wait and try again"),
    ],
    ids=lambda value: "page" if isinstance(value, Page) else None,
)  # fmt: skip
def test_a_failed_request_is_explained_for_its_operation(
    bay: Inside, web: Site, answer: Page | int, line: str, title: str, hint: str
):
    answers_all(web, answer)
    run = bay(*line.replace("SITE", web.url).split())
    assert run.code == 1
    assert f"error: {title}: " in run.err and f"\n\nhint: {hint}" in run.err
    assert "GET SITE/" in run.err


@pytest.mark.parametrize("line", [REFRESH, *DOCUMENTS, LOGIN])
def test_only_a_model_list_has_a_base_url_to_fix_if_nothing_listens(bay: Inside, line: str):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        bay.file.write_text(CONFIG.replace("SITE", url))
        run = bay(*line.replace("SITE", url).split())
    assert run.code == 1
    assert f"could not connect to {url}" in run.err
    assert f"start the server, or fix {'base_url' if line == REFRESH else 'the URL'}: " in run.err


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (404, "check the provider's oauth table: the login server does not know this URL"),
        (400, "log in again (`modelbay login own`)"),
        (500, "log in again later: the login server failed (`modelbay login own`)"),
    ],
)
def test_a_login_names_its_url_and_its_oauth_table(bay: Inside, web: Site, status: int, hint: str):
    web.missing = status
    run = bay(*LOGIN.split())
    assert run.code == 1
    assert "POST SITE/device" in run.err
    assert f"hint: {hint}" in run.err


@pytest.mark.parametrize("line", ["model default nope", "model show nope", "model set nope max_context_size=1k"])
def test_an_unknown_model_leads_to_the_list_of_models(bay: Inside, line: str):
    run = bay(*line.split())
    assert run.code == 1
    assert run.err.startswith("error: Model Not Found: ") and "(`modelbay model list`)" in run.err
    near = bay(*line.replace("nope", "chta").split())
    assert 'did you mean "chat"?' in near.err


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (401, "enter the API key again, and make sure that it is complete ([providers.acme] in FILE)"),
        (404, f"check base_url; if the provider has no model list, {BY_ID} {CHANGE}"),
        (WEB_PAGE, f"check base_url: the response is not a model list {CHANGE}"),
    ],
    ids=lambda value: "page" if isinstance(value, Page) else None,
)  # fmt: skip
def test_the_library_explains_a_model_list_without_commands(bay: Inside, web: Site, answer: Page | int, hint: str):
    answers_all(web, answer)
    with sync.Hub.open() as hub, pytest.raises(ModelbayError) as raised:
        hub.list_models("acme")
    assert raised.value.hint == hint.replace("FILE", str(bay.file))
    assert raised.value.operation == "list"


def test_the_library_asks_for_a_login_with_its_command(bay: Inside):
    with sync.Hub.open() as hub, pytest.raises(ModelbayError, match="own") as raised:
        hub.complete("Hello", model="own/sim-1")
    assert raised.value.operation == "token"
    assert "`modelbay login own`" in str(raised.value.hint)
