"""`modelbay provider add`: every way in, against a real server, up to an answer of the model that was just added."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from modelbay.config.load import load
from modelbay.simulator import Simulator
from tests.cli.command import KEY, Run
from tests.cli.inside import Inside
from tests.servers import SENTENCE
from tests.servers.aimock import Aimock
from tests.servers.llamacpp import LlamaServer
from tests.servers.site import Page, Site, site

ANSWER = "You asked: Hello."


@pytest.fixture
def bay(tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Inside:
    simulator.reset()
    return Inside(tmp_path, monkeypatch, {simulator.url: "SIM"})


@pytest.fixture(scope="module")
def _site(simulator: Simulator) -> Iterator[Site]:
    with site(simulator) as running:
        yield running


@pytest.fixture
def mine(_site: Site, bay: Inside) -> Site:
    """A site that has nothing yet."""
    _site.reset()
    bay.names[_site.url] = "GATEWAY"
    return _site


def entry(bay: Inside, id: str) -> dict[str, Any]:
    import tomllib

    table: dict[str, Any] = tomllib.loads(bay.text)["providers"][id]
    return table


def test_a_base_url(bay: Inside, simulator: Simulator):
    added = bay("provider", "add", f"{simulator.url}/v1", "--api-key", KEY, "--id", "acme")
    assert added == snapshot(
        Run(
            code=0,
            out="""\
Added provider acme: OpenAI Compatible at SIM
  acme/sim-1        200k context · $1 in, $4 out · thinking, images, tools
  acme/sim-thinker  400k context · $3 in, $15 out · thinking, images, tools
  acme/sim-vision   1M context · $1 in, $4 out · thinking, images, video, audio, tools
  acme/sim-text     32k context · $0.1 in, $0.2 out
  acme/sim-small    2k context · $1 in, $4 out · thinking, images, tools
  acme/sim-echo     200k context · $1 in, $4 out · thinking, images, tools
  acme/sim-o1       200k context · $1 in, $4 out · thinking, images, tools
The default model is acme/sim-1
""",
            err="""\
SIM/v1 is a base URL
try it: modelbay ask -m acme/sim-1 "Hello"
""",
        )
    )
    assert bay.same(bay.text) == snapshot("""\
default_model = "acme/sim-1"

[providers.acme]
type = "openai"
base_url = "SIM/v1"
api_key = "sk-planted-0123456789"

[models."acme/sim-1"]
provider = "acme"
model = "sim-1"

[models."acme/sim-thinker"]
provider = "acme"
model = "sim-thinker"

[models."acme/sim-vision"]
provider = "acme"
model = "sim-vision"

[models."acme/sim-text"]
provider = "acme"
model = "sim-text"

[models."acme/sim-small"]
provider = "acme"
model = "sim-small"

[models."acme/sim-echo"]
provider = "acme"
model = "sim-echo"

[models."acme/sim-o1"]
provider = "acme"
model = "sim-o1"
""")
    assert bay.done("ask", "Hello").startswith(ANSWER)


@pytest.mark.parametrize("path", ["", "/v1", "/v1/"])
def test_it_finds_out_where_it_answers(bay: Inside, mine: Site, path: str):
    mine.pages = {"/v1/models": {"data": [{"id": "sim-1"}]}}
    mine.calls = {"/v1/chat/completions": "/v1/chat/completions"}
    bay.done("provider", "add", mine.url + path, "--api-key", KEY, "--id", "acme")
    assert entry(bay, "acme")["base_url"].rstrip("/") == f"{mine.url}/v1"
    assert bay.done("ask", "Hello").startswith(ANSWER)


@pytest.mark.parametrize("missing", [404, 405, 200])
@pytest.mark.parametrize("api", ["openai_chat", "openai_responses"])
def test_without_a_list_the_calls_tell_where_it_answers(bay: Inside, mine: Site, missing: int, api: str):
    path = {"openai_chat": "/v1/chat/completions", "openai_responses": "/v1/responses"}[api]
    mine.missing = missing
    mine.calls = {path: path}
    added = bay("provider", "add", mine.url, "--api", api, "--api-key", KEY, "--id", "acme", "--model", "sim-1")
    assert added.code == 0
    assert "The base URL is GATEWAY/v1: the provider answers there" in added.err
    assert bay.done("ask", "Hello").startswith(ANSWER)


@pytest.mark.parametrize("status", [401, 403, 429])
def test_after_a_rejected_key_no_other_path_is_tried(bay: Inside, mine: Site, status: int):
    mine.pages = {"/models": status}
    added = bay("provider", "add", mine.url, "--api-key", KEY, "--id", "acme", "--model", "sim-1")
    assert added.code == 0
    assert entry(bay, "acme")["base_url"] == mine.url
    assert [one for one in mine.targets if one.startswith("POST /v1")] == []


@pytest.mark.parametrize("query", ["", "?team=7&x=a%20b"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/v2/models/chat"])
def test_a_full_endpoint_is_called_unchanged(bay: Inside, mine: Site, path: str, query: str):
    """The two examples of the seeds."""
    url = mine.url + path + query
    mine.calls = {path: "/v1/chat/completions"}
    mine.pages = {
        path.removesuffix("/chat/completions").removesuffix("/models/chat") + "/models": {"data": [{"id": "sim-1"}]}
    }
    added = bay("provider", "add", url, "--api-key", KEY, "--id", "acme")
    assert added.code == 0, added.err
    assert "is a full endpoint" in added.err
    assert entry(bay, "acme") == {"type": "openai", "base_url": url, "api_key": KEY}
    assert bay.done("ask", "Hello").startswith(ANSWER)
    assert mine.targets[-1] == f"POST {path}{query}"


def test_an_endpoint_without_a_list_takes_the_models_that_are_named(bay: Inside, mine: Site):
    mine.calls = {"/api/v2/models/chat": "/v1/chat/completions"}
    url = f"{mine.url}/api/v2/models/chat"
    assert bay("provider", "add", url, "--api-key", KEY, "--id", "acme").code == 1
    assert bay.text == ""
    bay.done("provider", "add", url, "--api-key", KEY, "--id", "acme", "--model", "sim-1")
    assert bay.done("ask", "Hello").startswith(ANSWER)


@pytest.mark.parametrize(
    ("path", "protocol"),
    [("/v1/responses", "openai_responses"), ("/v1/messages", "anthropic"), ("/v1/chat/completions", "openai_chat")],
)
def test_an_endpoint_tells_its_protocol(bay: Inside, simulator: Simulator, path: str, protocol: str):
    bay.done("provider", "add", simulator.url + path, "--api-key", KEY, "--id", "acme", "--model", "sim-1")
    assert json.loads(bay.done("model", "show", "acme/sim-1", "--json"))["protocol"] == protocol
    assert bay.done("ask", "Hello").startswith(ANSWER)


LISTS = {
    "openai": {"object": "list", "data": [{"id": "sim-1", "object": "model", "created": 1, "owned_by": "acme"}]},
    "anthropic": {"data": [{"id": "sim-1", "display_name": "Sim", "type": "model"}], "has_more": False},
    "google": {"models": [{"name": "models/sim-1", "supportedGenerationMethods": ["generateContent"]}]},
    "array": [{"id": "sim-1", "type": "chat", "context_length": 4096}],
    "names": ["sim-1"],
    "ollama": {"models": [{"name": "sim-1", "model": "sim-1", "details": {"family": "sim"}}]},
    "llamacpp": {"models": [{"name": "sim-1"}], "data": [{"id": "sim-1", "meta": {"n_ctx_train": 4096}}]},
    "table": {"models": {"sim-1": {"name": "Sim", "limit": {"context": 4096, "output": 1000}}}},
    "vllm": {"object": "list", "data": [{"id": "sim-1", "max_model_len": 4096}]},
    "synthetic": {
        "data": [{"id": "sim-1", "context_length": 4096, "pricing": {"prompt": "$0.000003", "completion": "$0.000015"}}]
    },
    "openrouter": {"data": [{"id": "sim-1", "name": "Sim", "context_length": 4096, "pricing": {"prompt": "0.000003"}}]},
}


@pytest.mark.parametrize("shape", LISTS)
def test_every_shape_of_list(bay: Inside, mine: Site, shape: str):
    mine.pages = {"/v1/models": LISTS[shape]}
    mine.calls = {"/v1/chat/completions": "/v1/chat/completions"}
    bay.done("provider", "add", f"{mine.url}/v1", "--api-key", KEY, "--id", "acme")
    assert bay.done("ask", "Hello").startswith(ANSWER)
    shown = json.loads(bay.done("model", "show", "--json"))
    if shape in ("array", "table", "vllm", "synthetic", "openrouter"):
        assert (shown["max_context_tokens"], shown["sources"]["max_context_tokens"]) == (4096, "models")
    if shape == "synthetic":
        assert (shown["cost"], shown["sources"]["cost"]) == ({"input": 3.0, "output": 15.0}, "models")


@pytest.mark.parametrize("protocol", ["openai_chat", "openai_responses", "anthropic", "google"])
def test_every_protocol_of_the_simulator(bay: Inside, simulator: Simulator, protocol: str):
    base = simulator.url + ("/v1" if protocol.startswith("openai") else "")
    bay.done("provider", "add", base, "--api", protocol, "--api-key", KEY, "--id", "acme", "--all-models")
    assert bay.done("ask", "-m", "acme/sim-thinker", "Hello").startswith(ANSWER)


def test_the_url_of_a_list_stands_for_what_is_beside_it(bay: Inside, simulator: Simulator):
    added = bay("provider", "add", f"{simulator.url}/v1/models", "--api-key", KEY, "--id", "acme", "--model", "sim-1")
    assert added.code == 0, added.err
    assert "SIM/v1/models is a list of models" in added.err
    assert bay.done("ask", "Hello").startswith(ANSWER)


@pytest.mark.parametrize("stdin", [True, False])
def test_a_list_in_a_file_or_on_standard_input(bay: Inside, simulator: Simulator, tmp_path: Path, stdin: bool):
    text = json.dumps({"data": [{"id": "sim-1", "context_length": 4321}]})
    (tmp_path / "list.json").write_text(text)
    what = "-" if stdin else str(tmp_path / "list.json")
    assert "--base-url" in bay("provider", "add", what, "--id", "acme", stdin=text).err
    options = ["--base-url", f"{simulator.url}/v1", "--id", "acme", "--api-key", KEY]
    bay.done("provider", "add", what, *options, stdin=text)
    assert json.loads(bay.done("model", "show", "--json"))["max_context_tokens"] == 4321
    assert bay.done("ask", "Hello").startswith(ANSWER)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"name": "X", "baseUrl": "https://x.example", "models_data_source": "endpoint"}, "a provider manifest"),
        ({"acme": {"models": {"a": {}}}}, "a provider registry"),
    ],
)
def test_a_manifest_or_a_registry_is_recognized(bay: Inside, mine: Site, content: dict[str, Any], said: str):
    mine.pages = {"/v1/models": content}
    added = bay("provider", "add", f"{mine.url}/v1/models?provider=true", "--id", "acme")
    assert added.code == 1
    assert f"is {said}" in added.err
    assert bay.text == ""


def test_a_manifest_that_requires_a_key_is_reported(bay: Inside, mine: Site):
    content = {"name": "X", "baseUrl": f"{mine.url}/v1", "models_data_source": "endpoint"}
    mine.pages = {"/v1/models": Page(json.dumps(content).encode(), key=KEY)}
    added = bay("provider", "add", f"{mine.url}/v1/models?provider=true", "--id", "acme", "--api-key", KEY)
    assert added.code == 1
    assert "returned 401" in added.err
    assert "hint: add the provider by its base URL: `modelbay provider add GATEWAY/v1 --api-key -`; or ask" in added.err


def test_the_key_comes_from_standard_input(bay: Inside, simulator: Simulator):
    bay.done(
        "provider", "add", f"{simulator.url}/v1", "--api-key", "-", "--id", "acme", "--model", "sim-1", stdin=f"{KEY}\n"
    )
    assert entry(bay, "acme")["api_key"] == KEY
    both = bay("provider", "add", "-", "--api-key", "-", stdin="x")
    assert (both.code, "standard input cannot be both" in both.err) == (2, True)


def test_a_key_of_the_shell_is_referred_to_and_used(bay: Inside, simulator: Simulator, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ACME_KEY", KEY)
    bay.done("provider", "add", f"{simulator.url}/v1", "--api-key", "{env:ACME_KEY}", "--id", "acme")
    assert KEY not in bay.text
    assert bay.done("ask", "Hello").startswith(ANSWER)


def test_a_key_that_is_missing_is_not_asked_for_again(bay: Inside, simulator: Simulator):
    added = bay("provider", "add", f"{simulator.url}/v1", "--yes", "--id", "acme")
    assert (added.code, "hint: pass an API key with --api-key\n" in added.err, bay.text) == (1, True, "")


def test_a_wrong_key_is_said_and_nothing_is_written(bay: Inside, simulator: Simulator):
    added = bay("provider", "add", f"{simulator.url}/v1", "--api-key", "sk-wrong", "--id", "acme")
    assert (added.code, added.err.count("Invalid API Key"), bay.text) == (1, 1, "")
    assert "warning" not in added.err
    manual = bay("provider", "add", f"{simulator.url}/v1", "--api-key", "sk-wrong", "--id", "acme", "--model", "sim-1")
    assert (manual.code, "The API key was rejected" in manual.err) == (0, True)


def test_the_key_goes_to_its_own_host_only(bay: Inside, mine: Site):
    mine.pages = {"/models": {"data": [{"id": "sim-1"}], "next": "http://127.0.0.1:1/models?after=1"}}
    bay("provider", "add", mine.url, "--api-key", KEY, "--id", "acme")
    assert all(one.headers["authorization"] == f"Bearer {KEY}" for one in mine.asked)
    assert mine.targets[1].startswith("GET /models?after=1")


def test_a_vendor_that_requires_a_key_names_the_page_for_keys(bay: Inside):
    assert bay("provider", "add", "openrouter") == snapshot(
        Run(
            code=2,
            out="",
            err="""\
openrouter is OpenRouter
error: --api-key: OpenRouter requires an API key

hint: pass --api-key KEY, or --api-key - to read it from standard input; get an API key at https://openrouter.ai/keys
""",
        )
    )
    assert bay.text == ""


def test_an_id_that_is_there_already(bay: Inside, simulator: Simulator):
    add = ["provider", "add", f"{simulator.url}/v1", "--api-key", KEY, "--id", "acme", "--model", "sim-1"]
    bay.done(*add)
    assert bay(*add) == snapshot(
        Run(
            code=2,
            out="",
            err="""\
SIM/v1 is a base URL
error: --id: That provider ID already exists

hint: choose another ID with --id, or change the existing provider: modelbay provider edit acme
""",
        )
    )


def test_the_models_are_named_with_what_to_show(bay: Inside, simulator: Simulator):
    named = ["--model", "sim-1=The First", "--model", "later"]
    added = bay(
        "provider", "add", f"{simulator.url}/v1", "--api-key", KEY, "--id", "acme", *named, "--default-model", "later"
    )
    assert "later is not in the provider's list of models; adding it anyway" in added.err
    assert 'display_name = "The First"' in bay.text
    assert bay.done("model", "default") == "acme/later\n"
    wrong = bay("provider", "add", f"{simulator.url}/v1", "--id", "b", "--api-key", KEY, "--model", "a", "--model", "A")
    assert (wrong.code, "--model A: Duplicate" in wrong.err) == (2, True)


def test_many_models_are_not_written_unasked(bay: Inside, mine: Site):
    mine.pages = {"/v1/models": {"data": [{"id": f"m{number}"} for number in range(51)]}}
    add = ["provider", "add", f"{mine.url}/v1", "--id", "acme"]
    assert "the provider has 51 models: choose some with --model ID" in bay(*add).err
    assert "… and 31 more models" in bay.done(*add, "--all-models")


def test_models_that_cannot_chat_are_skipped(bay: Inside, mine: Site):
    mine.pages = {"/v1/models": {"data": [{"id": "sim-1"}, {"id": "text-embedding-3-small"}]}}
    added = bay("provider", "add", f"{mine.url}/v1", "--id", "acme")
    assert "Skipped 1 model that cannot chat" in added.err
    assert "embedding" not in bay.text


def test_a_dry_run_prints_the_diff_and_writes_nothing(bay: Inside, simulator: Simulator):
    line = ["provider", "add", f"{simulator.url}/v1", "--api-key", KEY, "--id", "acme", "--model", "sim-1", "--dry-run"]
    printed = bay.done(*line)
    assert printed == snapshot("""\
--- HOME/config.toml
+++ HOME/config.toml
@@ -0,0 +1,10 @@
+default_model = "acme/sim-1"
+
+[providers.acme]
+type = "openai"
+base_url = "SIM/v1"
+api_key = "…"
+
+[models."acme/sim-1"]
+provider = "acme"
+model = "sim-1"
""")
    assert not bay.file.exists()
    assert not (bay.home / "cache" / "lists").exists()


def test_comments_and_order_stay(bay: Inside, simulator: Simulator):
    bay.file.write_text(
        '# mine\ndefault_model = "x/y"  # stays\n\n[providers.x]  # first\ntype = "openai"\napi_key = "k"\n'
    )
    before = bay.text
    bay.done("provider", "add", f"{simulator.url}/v1", "--api-key", KEY, "--id", "acme", "--model", "sim-1")
    assert bay.text.startswith(before)
    assert bay.file.stat().st_mode & 0o077 == 0


def test_the_kind_can_be_forced_for_any_url(bay: Inside, mine: Site):
    mine.calls = {"/talk": "/v1/chat/completions", "/chat/chat/completions": "/v1/chat/completions"}
    named = ["--model", "sim-1", "--api-key", KEY]
    bay.done("provider", "add", f"{mine.url}/talk", "--as", "endpoint", "--id", "whole", *named)
    bay.done("provider", "add", f"{mine.url}/chat", "--as", "base", "--id", "part", *named)
    assert (entry(bay, "whole")["full_url"], entry(bay, "part")["full_url"]) == (True, False)
    assert bay.done("ask", "-m", "whole/sim-1", "Hello").startswith(ANSWER)
    assert bay.done("ask", "-m", "part/sim-1", "Hello").startswith(ANSWER)


def test_a_list_that_is_not_there_does_not_keep_from_naming_models(bay: Inside, mine: Site):
    mine.calls = {"/v1/chat/completions": "/v1/chat/completions"}
    add = ["provider", "add", f"{mine.url}/v1/models", "--id", "acme", "--api-key", KEY]
    assert bay(*add).code == 1
    bay.done(*add, "--model", "sim-1")
    assert bay.done("ask", "Hello").startswith(ANSWER)


def test_an_address_is_shown_without_its_secrets(bay: Inside, mine: Site):
    url = mine.url.replace("//", "//user:pass-word@") + "/v1?api_key=secret-9"
    added = bay("provider", "add", url, "--id", "acme", "--model", "m")
    assert "pass-word" not in added.err + added.out and "secret-9" not in added.err + added.out


def test_a_file_with_crlf_in_a_header_is_refused(bay: Inside, simulator: Simulator):
    line = ["provider", "custom", "acme", "--name", "A", "--base-url", simulator.url, "--model", "m"]
    assert bay(*line, "--header", "X-A: a\r\nX-B: b").code != 0
    assert bay.text == ""


# Other servers


def test_llama_cpp(bay: Inside, llamacpp: LlamaServer):
    bay.done("provider", "add", llamacpp.url, "--id", "local")
    assert "api_key" not in bay.text
    assert bay.done("ask", "--temperature", "0", "Hello").strip() == SENTENCE
    shown = json.loads(bay.done("model", "show", "--json"))
    assert shown["sources"]["max_context_tokens"] == "models"


def test_llama_cpp_added_by_its_root_gives_embeddings(bay: Inside, llamacpp_embedding: LlamaServer):
    added = bay("provider", "add", llamacpp_embedding.url, "--id", "local")
    assert f"The base URL is {llamacpp_embedding.openai}: the provider answers there" in added.err
    assert bay.done("embed", "The sky", "-m", "local/tiny").startswith("[")  # /embeddings has another format


def test_llama_cpp_may_require_a_key(bay: Inside, llamacpp_locked: LlamaServer):
    assert bay("provider", "add", llamacpp_locked.openai, "--id", "local", "--model", "tiny").code == 0
    bay.done("provider", "remove", "local", "--yes")
    bay.done("provider", "add", llamacpp_locked.openai, "--id", "local", "--api-key", str(llamacpp_locked.api_key))
    assert bay.done("ask", "--temperature", "0", "Hello").strip() == SENTENCE


@pytest.mark.parametrize("version", [["--api-version", "2024-10-21"], []])
def test_a_deployment_of_azure_is_added_with_and_without_an_api_version(
    bay: Inside, aimock: Aimock, version: list[str]
):
    where = ["--base-url", aimock.url, "--deployment", "my-deployment", "--api-key", "k"]
    bay.done("provider", "add", "azure", *where, *version)
    assert bay.done("ask", "Hello").strip() == "Hello from aimock."
    path = "/openai/deployments/my-deployment/chat/completions" if version else "/openai/v1/"
    assert aimock.journal()[-1]["path"].startswith(path)


@pytest.mark.parametrize("path", ["/openai", "/team/azure/openai", "/team/azure"])
def test_azure_behind_a_proxy_keeps_its_path(bay: Inside, mine: Site, path: str):
    call = f"{path}/deployments/blue/chat/completions"
    mine.calls, mine.model = {call: "/v1/chat/completions"}, "sim-1"
    azure = [] if path.endswith("openai") else ["--as", "azure"]
    bay.done("provider", "add", f"{mine.url}{call}?api-version=2024-10-21&team=7", "--api-key", KEY, *azure)
    bay.done("ask", "-m", "azure/blue", "Hello")
    [asked] = [one for one in mine.asked if one.body]
    assert asked.target == f"POST {call}?team=7&api-version=2024-10-21"
    assert asked.headers["api-key"] == KEY


def test_a_model_beside_a_deployment_is_the_one_behind_it(bay: Inside):
    where = ["--resource", "acme", "--deployment", "blue", "--api-key", "k"]
    bay.done("provider", "add", "azure", *where, "--model", "gpt-5=Our GPT")
    blue = load(bay.file).models["azure/blue"]
    assert (blue.model, blue.base_model, blue.display_name) == ("blue", "gpt-5", "Our GPT")
    shown = json.loads(bay.done("model", "show", "azure/blue", "--json"))
    assert (shown["id"], shown["base_model"], shown["family"]) == ("blue", "gpt-5", "gpt")
    assert shown["sources"]["max_context_tokens"] == "models.dev"
    assert ("base_model", "gpt-5") in [
        tuple(row.split()[:2]) for row in bay.done("model", "show", "azure/blue").splitlines()
    ]
    two = bay("provider", "add", "azure", "--id", "z", *where, "--model", "gpt-5", "--model", "gpt-4o")
    assert (two.code, "deployment blue has one model" in two.err) == (2, True)


def test_several_deployments_have_models_of_their_own(bay: Inside):
    named = ["--model", "blue", "--model", "red", "--base-model", "red=o3-mini"]
    bay.done("provider", "add", "azure", "--resource", "acme", "--api-key", "k", *named)
    assert {one.model: one.base_model for one in load(bay.file).models.values()} == {"blue": None, "red": "o3-mini"}
    wrong = bay(
        "provider", "add", "azure", "--id", "z", "--resource", "acme", "--api-key", "k", *named, "--base-model", "x=y"
    )
    assert (wrong.code, "--base-model x is not one of the models to add" in wrong.err) == (2, True)


def test_azure_requires_a_deployment_and_a_resource(bay: Inside):
    no_deployment = bay("provider", "add", "azure", "--resource", "acme", "--api-key", "k")
    assert (no_deployment.code, "--deployment: Deployment is required" in no_deployment.err) == (2, True)
    no_resource = bay("provider", "add", "azure", "--deployment", "d", "--api-key", "k")
    assert "Azure resource name or endpoint is missing" in no_resource.err


def test_openrouter_and_ollama_in_aimock(bay: Inside, aimock: Aimock):
    for id, url in (("router", aimock.openrouter), ("ollama", aimock.url)):
        bay.done("provider", "add", url, "--id", id, "--model", "tiny", "--yes")
        assert bay.done("ask", "-m", f"{id}/tiny", "Hello").strip() == "Hello from aimock."


def test_vertexai_is_written_natively(bay: Inside):
    line = [
        "provider",
        "add",
        "vertexai",
        "--project",
        "proj",
        "--location",
        "europe-west4",
        "--model",
        "gemini-2.5-pro",
    ]
    bay.done(*line)
    assert bay.same(bay.text) == snapshot("""\
default_model = "vertex/gemini-2.5-pro"

[providers.vertex]
type = "vertexai"
env = { GOOGLE_CLOUD_PROJECT = "proj", GOOGLE_CLOUD_LOCATION = "europe-west4" }

[models."vertex/gemini-2.5-pro"]
provider = "vertex"
model = "gemini-2.5-pro"
""")


def test_models_of_vertexai_say_how_they_are_talked_to_and_what_cannot_be_is_left_out(bay: Inside):
    bay.done("provider", "add", "vertexai", "--project", "proj", "--location", "global", "--yes")
    models = load(bay.file).models.values()
    assert {model.protocol for model in models if model.model.startswith("claude-")} == {"anthropic"}
    assert {model.protocol for model in models if model.model.startswith("gemini-")} == {None}
    assert [model.model for model in models if "embedding" in model.model or "/" in model.model] == []


def test_the_newest_model_becomes_the_default_if_none_is_named(bay: Inside, mine: Site):
    vertex = ["provider", "add", "vertexai", "--project", "proj", "--location", "global"]
    bay.done(*vertex, "--model", "claude-3-5-haiku@20241022", "--model", "gemini-3.1-flash-lite", "--yes")
    assert load(bay.file).default_model == "vertex/gemini-3.1-flash-lite"
    bay.file.unlink()
    mine.pages = {
        "/v1/models": {
            "data": [
                {"id": "gpt-4o"},
                {"id": "gpt-5", "deprecated": True},
                {"id": "mine"},
                {"id": "gpt-4.1"},
                {"id": "o3-deep-research-2026"},
            ]
        }
    }
    bay.done("provider", "add", f"{mine.url}/v1", "--api-key", KEY, "--id", "acme")
    assert load(bay.file).default_model == "acme/gpt-4.1"


def test_the_hint_for_a_new_provider_does_not_suggest_edit(bay: Inside):
    run = bay("provider", "custom", "acme", "--name", "Acme", "--base-url", "http://127.0.0.1:9/v1")
    assert run.code == 1
    assert run.err.count("could not connect") == 1
    assert "provider edit" not in run.err
    assert "to add the provider without its list, pass model IDs with --model ID" in run.err
    assert "GET http://127.0.0.1:9/v1/models: " in run.err


@pytest.mark.parametrize(
    ("reference", "hint"),
    [
        ("{env:NOT_SET_AT_ALL}", "hint: set NOT_SET_AT_ALL, or write the value itself; "),
        ("{file:~/nothing}", "hint: correct the reference; "),
    ],
)
def test_a_reference_without_a_value_is_not_blamed_on_the_url(
    bay: Inside, simulator: Simulator, reference: str, hint: str
):
    run = bay("provider", "add", f"{simulator.url}/v1", "--id", "acme", "--api-key", reference)
    assert run.code == 1
    assert hint in run.err
