"""`modelbay provider custom|edit|remove|list|show|test|detect`."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from inline_snapshot import snapshot
from msgspec.structs import replace

from modelbay.onboarding import local_servers
from modelbay.providers import presets
from modelbay.simulator import Simulator
from modelbay.storage.lessons import LessonBook
from tests.cli.command import KEY, Run
from tests.cli.inside import Inside
from tests.servers.site import Site, site

ANSWER = "You asked: Hello."


@pytest.fixture
def bay(tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Inside:
    simulator.reset()
    return Inside(tmp_path, monkeypatch, {simulator.url: "SIM"})


@pytest.fixture
def acme(bay: Inside, simulator: Simulator) -> Inside:
    """A provider with two models of the simulator."""
    bay.file.write_text(f"""\
default_model = "acme/sim-1"  # the quick one

[providers.acme]  # work
type = "openai"
base_url = "{simulator.url}/v1"
api_key = "{KEY}"
custom_headers = {{ X-Team = "secret-7" }}

# about one
[models."acme/sim-1"]
provider = "acme"
model = "sim-1"

[models."acme/sim-text"]
provider = "acme"
model = "sim-text"
""")
    bay.file.chmod(0o600)
    return bay


@pytest.fixture
def mine(simulator: Simulator) -> Iterator[Site]:
    with site(simulator) as running:
        yield running


def custom(simulator: Simulator, *more: str, id: str = "acme", api: str = "openai_chat") -> list[str]:
    base = simulator.url + ("/v1" if api.startswith("openai") else "")
    return ["provider", "custom", id, "--name", "Acme AI", "--api", api, "--base-url", base, *more]


@pytest.mark.parametrize("api", ["openai_chat", "openai_responses", "anthropic", "google"])
def test_a_custom_provider_answers(bay: Inside, simulator: Simulator, api: str):
    bay.done(*custom(simulator, "--api-key", KEY, "--model", "sim-1=Sim One", "--header", "X-Team: 7", api=api))
    assert bay.done("ask", "Hello").startswith(ANSWER)
    assert simulator.journal.last.headers["x-team"] == "7"


def test_custom_writes_the_fields_of_the_form(bay: Inside, simulator: Simulator):
    bay.done(
        *custom(simulator, "--api-key", "{env:ACME_KEY}", "--model", "m=My Model", "--header", "X-A:b", "--header", ":")
    )
    assert bay.same(bay.text) == snapshot("""\
default_model = "acme/m"

[providers.acme]
type = "openai"
name = "Acme AI"
base_url = "SIM/v1"
api_key = "{env:ACME_KEY}"
custom_headers = { X-A = "b" }

[models."acme/m"]
provider = "acme"
model = "m"
display_name = "My Model"
""")


def test_a_key_in_a_header_is_enough(bay: Inside, simulator: Simulator):
    bay.done(*custom(simulator, "--header", f"Authorization: Bearer {KEY}", "--model", "sim-1"))
    assert "auth" not in bay.text.replace("Authorization", "")
    assert bay.done("ask", "Hello").startswith(ANSWER)


def test_the_models_are_detected(bay: Inside, simulator: Simulator):
    assert bay.done(*custom(simulator, "--api-key", KEY)).count("acme/sim-") == 8  # and the default's name


def test_detection_that_fails_does_not_keep_from_naming_models(bay: Inside, mine: Site):
    line = ["provider", "custom", "acme", "--name", "A", "--base-url", f"{mine.url}/v1"]
    failed = bay(*line)
    assert (failed.code, "Could not list the models of acme" in failed.err, bay.text) == (1, True, "")
    assert bay(*line, "--model", "m").code == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["", "--name", "A", "--base-url", "https://x.example"], "ID: the value is empty"),
        (["A b", "--name", "A", "--base-url", "https://x.example"], "ID: Use lowercase letters, numbers, hyphens, or underscores"),
        (["acme", "--name", "A", "--base-url", "https://x.example"], "ID: That provider ID already exists"),
        (["b", "--base-url", "https://x.example"], "--name: Display name is required"),
        (["b", "--name", "x" * 201, "--base-url", "https://x.example"], "--name: Display name must be at most 200 characters"),
        (["b", "--name", "A"], "--base-url: Base URL is required"),
        (["b", "--name", "A", "--base-url", "x.example"], "--base-url: Must start with http:// or https://"),
        (["b", "--name", "A", "--base-url", "https://"], "--base-url: Base URL must start with http:// or https://"),
        (["b", "--name", "A", "--base-url", "https://x.example", "--api-key", "{env:a b}"], "Invalid environment variable name"),
        (["b", "--name", "A", "--base-url", "https://x.example", "--model", "=N"], "--model (no id): Required"),
        (["b", "--name", "A", "--base-url", "https://x.example", "--model", "m="], "--model m: name: Required"),
        (["b", "--name", "A", "--base-url", "https://x.example", "--model", "m", "--model", " M"], "--model M: Duplicate"),
        (["b", "--name", "A", "--base-url", "https://x.example", "--header", "X"], "--header X: value: Required"),
        (["b", "--name", "A", "--base-url", "https://x.example", "--header", ": v"], "--header (no name): Required"),
        (
            ["b", "--name", "A", "--base-url", "https://x.example", "--header", "X: 1", "--header", "x: 2"],
            "--header x: Duplicate",
        ),
        (["b", "--name", "A", "--base-url", "https://r.openai.azure.com/openai/v1"], "do not use a custom provider"),
    ],
)  # fmt: skip
def test_every_message_of_the_dialog(acme: Inside, line: list[str], said: str):
    before = acme.text
    run = acme("provider", "custom", *line)
    assert (run.code, acme.text) == (2, before)
    assert said in run.err


# Edit


def test_models_are_added_and_removed(acme: Inside):
    line = ["provider", "edit", "acme", "--add-model", "sim-thinker=Thinker", "--remove-model", "sim-1"]
    assert acme.done(*line) == snapshot("""\
Added 1 model: acme/sim-thinker
Removed 1 model: acme/sim-1
The default model was acme/sim-1; none is set now
""")
    assert acme.same(acme.text) == snapshot("""\
[providers.acme]  # work
type = "openai"
base_url = "SIM/v1"
api_key = "sk-planted-0123456789"
custom_headers = { X-Team = "secret-7" }

[models."acme/sim-text"]
provider = "acme"
model = "sim-text"

[models."acme/sim-thinker"]
provider = "acme"
model = "sim-thinker"
display_name = "Thinker"
""")
    assert acme.done("ask", "-m", "acme/sim-thinker", "Hello").startswith(ANSWER)


def test_model_names_all_that_it_shall_have(acme: Inside):
    acme.done("provider", "edit", "acme", "--model", "sim-1", "--model", "sim-vision")
    assert [line for line in acme.text.splitlines() if line.startswith("[models")] == [
        '[models."acme/sim-1"]',
        '[models."acme/sim-vision"]',
    ]


def test_all_models_of_the_list_are_added(acme: Inside):
    assert "Added 5 models" in acme.done("provider", "edit", "acme", "--all-models")
    assert acme.done("provider", "edit", "acme", "--all-models") == "acme is unchanged\n"


def test_fields_are_changed(acme: Inside):
    line = ["--name", "Acme", "--header", "x-team: 8", "--header", "X-B: c", "--api", "openai_responses"]
    acme.done("provider", "edit", "acme", *line)
    assert 'custom_headers = { X-Team = "8", X-B = "c" }' in acme.text
    assert 'type = "openai_responses"' in acme.text
    assert acme.done("ask", "Hello").startswith(ANSWER)
    acme.done("provider", "edit", "acme", "--remove-header", "X-TEAM")
    assert 'custom_headers = { X-B = "c" }' in acme.text


def test_an_empty_key_removes_it(acme: Inside):
    acme.done("provider", "edit", "acme", "--api-key", "")
    assert "api_key" not in acme.text
    acme.done("provider", "edit", "acme", "--api-key", "-", stdin=KEY)
    assert acme.done("ask", "Hello").startswith(ANSWER)


def test_a_header_in_the_keys_place_needs_no_word_for_none(acme: Inside):
    elsewhere = ["--base-url", "https://acme.example/v1", "--api-key", ""]
    acme.done("provider", "edit", "acme", *elsewhere, "--header", "Authorization: Bearer secret-8")
    assert "auth" not in tomllib.loads(acme.text)["providers"]["acme"]
    assert "  header\n" in acme.done("provider", "show", "acme")
    acme.done("provider", "edit", "acme", "--remove-header", "authorization", "--api-key", "")
    assert tomllib.loads(acme.text)["providers"]["acme"]["auth"] == "none"


def test_a_key_is_not_taken_to_another_host_unasked(acme: Inside):
    before = acme.text
    run = acme("provider", "edit", "acme", "--base-url", "https://evil.example/v1")
    assert (run.code, acme.text) == (2, before)
    assert "The credentials of acme were given for SIM and would be sent to https://evil.example" in run.err
    acme.done("provider", "edit", "acme", "--base-url", "https://other.example/v1", "--api-key", "sk-other")


@pytest.mark.parametrize(
    ("more", "line", "said"),
    [
        (
            'custom_headers = { X-Api-Token = "p-0123456789" }',
            "--header=X-Api-Token: new",
            "The header X-Api-Token of acme",
        ),
        ('custom_headers = { X-Pass = "{env:PASS}" }', "--remove-header=X-Pass", "The header X-Pass of acme"),
        ('[models.own]\nprovider = "acme"\nmodel = "m"\napi_key = "sk-own-0123456789"', "", "the key of model own"),
    ],
)
def test_nothing_of_an_old_host_is_taken_along_with_a_new_key(acme: Inside, more: str, line: str, said: str):
    acme.file.write_text(
        f'[providers.acme]\ntype = "openai"\nbase_url = "https://old.example"\napi_key = "k"\n{more}\n'
    )
    edit = ("provider", "edit", "acme", "--base-url", "https://other.example/v1", "--api-key", "sk-other")
    run = acme(*edit)
    assert run.code == 2
    assert f"{said} was given for https://old.example and would be sent to https://other.example" in run.err
    if line:
        acme.done(*edit, line)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["acme"], "there is nothing to change"),
        (["acne", "--name", "x"], 'did you mean "acme"?'),
        (["acme", "--name", " "], "--name: the value is empty"),
        (["acme", "--base-url", "x"], "Must start with http:// or https://"),
        (["acme", "--remove-header", "X-No"], "acme has no header X-No"),
        (["acme", "--remove-model", "nope"], "acme has no model nope"),
        (["acme", "--add-model", "m", "--add-model", "M"], "--model M: Duplicate"),
        (["acme", "--default-model", "nope"], "is not one of the provider's models"),
    ],
)
def test_edits_that_make_no_sense(acme: Inside, line: list[str], said: str):
    before = acme.text
    run = acme("provider", "edit", *line)
    assert run.code != 0
    assert said in run.err
    assert acme.text == before


@pytest.mark.parametrize(
    "line",
    [
        ["provider", "edit", "acme", "--name", "x"],
        ["provider", "remove", "acme"],
        ["model", "set", "acme/sim-1", "image_in=no"],
        ["model", "default", "acme/sim-text"],
    ],
)
def test_every_command_that_writes_can_run_dry(acme: Inside, line: list[str]):
    before = acme.text
    printed = acme.done(*line, "--dry-run")
    assert printed.startswith("--- HOME/config.toml\n+++ HOME/config.toml\n@@")
    assert KEY not in printed and "secret-7" not in printed
    assert acme.text == before


def test_a_file_that_does_not_parse_is_not_changed(bay: Inside, simulator: Simulator):
    bay.file.write_text("[providers\n")
    run = bay(*custom(simulator, "--model", "m"))
    assert (run.code, bay.text) == (1, "[providers\n")


# Remove, list, show


def test_removing_says_what_it_did(acme: Inside):
    assert acme("provider", "remove", "acme").code == 2
    assert acme.done("provider", "remove", "acme", "--yes") == snapshot("""\
Removed provider acme
Removed 2 models: acme/sim-1, acme/sim-text
The default model is no longer set (was acme/sim-1)
""")
    assert acme.text == ""
    assert 'no provider "acme"' in acme("provider", "remove", "acme", "--yes").err


def test_the_providers_are_listed_with_the_default_model(acme: Inside):
    assert acme.done("provider", "list") == snapshot("""\
acme  type=openai  models=2  SIM/v1  API key in config.toml

Default model: acme/sim-1
""")


def test_a_provider_is_shown_with_its_models_and_lessons(acme: Inside, simulator: Simulator):
    LessonBook().add(simulator.url, "sim-1", {"parameter": "seed"})
    assert acme.done("provider", "show", "acme") == snapshot("""\
id          acme
type        openai
protocol    openai_chat
base url    SIM/v1
credential  API key in config.toml

headers
  X-Team: …

models
  acme/sim-1  (sim-1)
  acme/sim-text  (sim-text)

lessons
  sim-1: `seed` is omitted
""")


@pytest.mark.parametrize("line", [["list"], ["show", "acme"], ["test", "acme"]])
@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_no_secret_is_shown(acme: Inside, line: list[str], as_json: list[str]):
    printed = acme.done("provider", *line, *as_json)
    assert KEY not in printed and "secret-7" not in printed
    if as_json:
        json.loads(printed)


def test_an_empty_file_has_no_providers(bay: Inside):
    assert "No providers configured" in bay("provider", "list").err
    assert json.loads(bay.done("provider", "list", "--json")) == {"providers": [], "logins": [], "default_model": None}


# Test and detect


def test_a_provider_that_works(acme: Inside):
    assert acme.done("provider", "test", "acme") == snapshot("""\
✓ reachable   yes      SIM
✓ authorized  yes      a model replied
✓ models      yes      7 listed
✓ protocol    yes      openai_chat, as acme/sim-1
✓ usage       yes      8 tokens in, 26 out
✓ streaming   yes      25 pieces
✓ tools       yes      tool call: get_weather {"city":"Paris"}
✓ thinking    yes      22 reasoning tokens
✓ images      yes      the model named the colors of two pictures
""")


def test_an_unsupported_capability_is_not_a_failure(acme: Inside):
    checks = json.loads(acme.done("provider", "test", "acme", "--model", "sim-text", "--json"))["acme"]
    results = {check["name"]: check["result"] for check in checks}
    assert results == snapshot(
        {
            "reachable": "yes",
            "authorized": "yes",
            "models": "yes",
            "protocol": "yes",
            "usage": "yes",
            "streaming": "yes",
            "tools": "no",
            "thinking": "no",
            "images": "no",
        }
    )


def test_a_test_with_a_wrong_key_fails_at_the_authorization(acme: Inside):
    acme.done("provider", "edit", "acme", "--api-key", "sk-wrong")
    run = acme("provider", "test", "acme")
    assert run.code == 1
    assert "✗ authorized  no" in run.out
    assert "hint: " in run.out


def test_an_unreachable_provider_is_reported(bay: Inside):
    bay.file.write_text('[providers.acme]\ntype = "openai"\nbase_url = "http://127.0.0.1:9/v1"\n')
    run = bay("provider", "test", "acme", "--model", "m")
    assert (run.code, "✗ reachable   no" in run.out) == (1, True)


@pytest.mark.parametrize("model", ["sim-1!500", "sim-1!html", "nope"])
def test_a_model_that_fails(acme: Inside, model: str):
    run = acme("provider", "test", "acme", "--model", model)
    assert (run.code, "✗ protocol    no" in run.out) == (1, True)


def test_lessons_are_deleted(acme: Inside, simulator: Simulator):
    LessonBook().add(simulator.url, "sim-1", {"parameter": "seed"})
    assert "deleted 1 lesson about acme" in acme("provider", "test", "acme", "--forget").err
    assert "lessons" not in acme.done("provider", "show", "acme")


def test_servers_on_this_machine_are_found(bay: Inside, mine: Site, monkeypatch: pytest.MonkeyPatch):
    mine.pages = {
        "/v1/models": {"data": [{"id": "a", "owned_by": "vllm"}]},
        "/other/models": {"data": [{"id": "b"}]},
        "/key/models": 401,
    }
    here = [presets.by_id(id) for id in ("llamacpp", "ollama", "lmstudio", "jan")]
    bases = [f"{mine.url}/v1", f"{mine.url}/other", f"{mine.url}/key", "http://127.0.0.1:9/v1"]
    moved = [replace(one, base_url=url) for one, url in zip(here, bases, strict=True) if one]
    monkeypatch.setattr(local_servers, "usual", lambda: moved)
    bay.names[mine.url] = "HERE"
    assert bay("provider", "detect") == snapshot(
        Run(
            code=0,
            out="""\
vLLM       HERE/v1     1 model: a
Ollama     HERE/other  1 model: b
LM Studio  HERE/key    requires an API key
""",
            err="""\
add vLLM with `modelbay provider add HERE/v1`
add Ollama with `modelbay provider add ollama`
add LM Studio with `modelbay provider add lmstudio`
""",
        )
    )
    assert [one["vendor"] for one in json.loads(bay.done("provider", "detect", "--json"))["servers"]] == [
        "vllm",
        "ollama",
        "lmstudio",
    ]


def test_local_servers_are_looked_for_on_their_usual_ports():
    ports = {one.id: (one.base_url or "").partition("localhost:")[2].partition("/")[0] for one in local_servers.usual()}
    assert ports == {
        "ollama": "11434",
        "lmstudio": "1234",
        "llamacpp": "8080",
        "vllm": "8000",
        "sglang": "30000",
        "jan": "1337",
    }


def test_a_group_of_commands_alone_shows_what_is_in_it(bay: Inside):
    run = bay("provider")
    assert (run.code, run.out, run.err.startswith("Usage: modelbay provider")) == (2, "", True)


def test_a_file_whose_providers_are_all_broken_is_not_called_empty(bay: Inside):
    bay.file.write_text('[providers.acme]\ntype = "smoke"\n')
    assert "list its errors with `modelbay config check`" in bay("provider", "list").err


def test_a_configuration_that_is_a_folder_says_where_another_may_be(bay: Inside):
    bay.file.mkdir()
    assert "use another file with --config or MODELBAY_HOME" in bay("provider", "list").err
