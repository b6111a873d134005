"""The table of paths: every route of each API below every mount, and the protocol of a response."""

import subprocess
import sys

import pytest

from modelbay.serving.routes import MOUNTS, ROWS, TABLE, Action, RouteRow, list_form, protocol_of

FILLED = {"{model}": "maker/model-1:free", "{id}": "resp_1", "{place}": "p"}


def paths_of(row: RouteRow) -> list[str]:
    paths = [f"{mount}{version}{row.path}" for mount in ("", *MOUNTS) for version in row.versions]
    for name, value in FILLED.items():
        paths = [path.replace(name, value) for path in paths]
    return [path for path in paths if path]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.methods[0]} {row.versions[0]}{row.path}")
def test_a_route_is_found_below_every_mount_and_version(row: RouteRow) -> None:
    for path in paths_of(row):
        for method in row.methods:
            route, methods = TABLE.find(method, path)
            assert route is not None, path
            assert (route.action, route.stream, route.path) == (row.action, row.stream, row.path), path
            assert route.protocol == row.protocol
            assert route.model == (FILLED["{model}"] if "{model}" in row.path else None)
            assert route.id == (FILLED["{id}"] if "{id}" in row.path else None)
            assert method in methods


@pytest.mark.parametrize(
    ("method", "path", "action", "model"),
    [
        # base URLs of other gateways, with the paths that official SDKs append
        ("POST", "/anthropic/v1/messages", "generate", None),
        ("POST", "/openai/chat/completions", "generate", None),
        ("POST", "/openai/v1/embeddings", "embed", None),
        ("POST", "/gemini/v1beta/models/a:generateContent", "generate", "a"),
        ("POST", "/genai/v1beta/models/a:streamGenerateContent", "generate", "a"),
        ("POST", "/genai/v1/models/a:batchEmbedContents", "embed", "a"),
        # the `ai` SDK reads a model ID with a slash as a path
        ("POST", "/v1beta/acme/a:generateContent", "generate", "acme/a"),
        ("POST", "/gemini/v1beta/anthropic/a/b:streamGenerateContent", "generate", "anthropic/a/b"),
        ("GET", "/anthropic", "root", None),
        ("HEAD", "/", "root", None),
        # IDs of models
        ("GET", "/v1/models/maker/model", "model", "maker/model"),
        ("GET", "/v1/models/maker%2Fmodel", "model", "maker/model"),
        ("GET", "/v1/models/llama:8b", "model", "llama:8b"),
        ("POST", "/v1beta/models/maker%2Fmodel%3A8b:countTokens", "count", "maker/model:8b"),
        ("POST", "/v1beta/models/a%3AgenerateContent", "generate", "a"),
        ("POST", "/openai/deployments/maker%2Fmodel/chat/completions", "generate", "maker/model"),
        ("GET", "/v1/models/", "models", None),
    ],
)
def test_the_paths_of_clients_lead_to_their_actions(method: str, path: str, action: Action, model: str | None) -> None:
    route, _ = TABLE.find(method, path)
    assert route is not None
    assert (route.action, route.model) == (action, model)


@pytest.mark.parametrize(
    ("method", "path", "methods"),
    [
        ("GET", "/v1/chat/completions", ("POST",)),
        ("GET", "/v1/responses", ("POST",)),
        ("POST", "/v1/responses/resp_1", ("GET", "HEAD", "DELETE")),
        ("DELETE", "/v1/models/a", ("GET", "HEAD")),
        ("POST", "/v1/nothing", ()),
        ("GET", "/v2/models", ()),
        ("GET", "/v1/responses/a/b", ()),
        # after the ID, Google's API has a method of its own, such as `:generateContent`
        ("POST", "/v1beta/models/a:nope", ()),
        ("POST", "/v1/models/maker%2Fmodel%3Anope", ()),
        ("DELETE", "/v1/models/llama:8b", ("GET", "HEAD")),
    ],
)
def test_a_wrong_method_is_told_from_an_unknown_path(method: str, path: str, methods: tuple[str, ...]) -> None:
    assert TABLE.find(method, path) == (None, methods)


def test_an_unknown_path_has_a_similar_one() -> None:
    assert TABLE.near("/v1/v1/messages") == "/v1/messages"
    assert TABLE.near("/v1/chat/completion") == "/v1/chat/completions"
    assert TABLE.near("/favicon.ico") is None


@pytest.mark.parametrize(
    ("path", "headers", "query", "protocol", "form"),
    [
        ("/v1/models", {}, "", "openai_chat", "openai"),
        ("/v1/models", {"anthropic-version": "2023-06-01"}, "limit=1000", "anthropic", "anthropic"),
        ("/anthropic/v1/models", {}, "", "anthropic", "anthropic"),
        ("/v1/models", {"x-goog-api-key": "k"}, "", "google", "google"),
        ("/v1/models", {"x-goog-api-client": "genai"}, "", "google", "google"),
        ("/v1beta/models", {}, "", "google", "google"),
        ("/genai/v1/models", {}, "", "google", "google"),
        ("/v1/models", {}, "client_version=0.145.0", "openai_responses", "codex"),
        ("/v1/models", {}, "provider=true", "openai_chat", "manifest"),
        ("/v1/models", {}, "a=b&extended=true", "openai_chat", "extended"),
        ("/v1/responses/resp_1", {}, "", "openai_responses", "openai"),
        ("/v1/messages/batches", {}, "", "anthropic", "anthropic"),
        # IDs of models
        ("/v1/models/anthropic/claude", {}, "", "openai_chat", "openai"),
        ("/v1/models/anthropic", {"x-goog-api-key": "k"}, "", "google", "google"),
        ("/anthropic/v1/models/responses", {}, "", "anthropic", "anthropic"),
        ("/openai/deployments/messages/chat/completions", {}, "", "openai_chat", "openai"),
    ],
)
def test_the_protocol_and_the_form_of_a_list(
    path: str, headers: dict[str, str], query: str, protocol: str, form: str
) -> None:
    assert protocol_of(path, headers, query) == protocol
    assert list_form("models", path, headers, query) == form


def test_other_catalogs_have_a_form_of_their_own() -> None:
    for path, form in (("/v1/model/info", "litellm"), ("/api.json", "models_dev"), ("/registry.json", "registry")):
        route, _ = TABLE.find("GET", path)
        assert route is not None
        assert list_form(route.action, path, {"anthropic-version": "1"}, "provider=true") == form


def test_the_table_is_imported_without_the_simulator_and_the_codecs() -> None:
    code = "import sys, modelbay.serving.routes; print([name for name in sys.modules if name.startswith('modelbay.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "['modelbay.serving', 'modelbay.serving.routes']"
