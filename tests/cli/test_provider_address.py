"""The type and base URL that are detected from a pasted URL, in all commands for adding and editing."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from modelbay.simulator import Simulator
from tests.cli.command import KEY
from tests.cli.inside import Inside
from tests.servers.site import site

SAID = {
    "SIM/v1": ("openai", "SIM/v1"),
    "SIM/v1/chat/completions": ("openai", "SIM/v1/chat/completions"),
    "SIM/v1/responses": ("openai_responses", "SIM/v1/responses"),
    "SIM/v1/messages": ("anthropic", "SIM/v1/messages"),
    "SIM/v1/messages?beta=true": ("anthropic", "SIM/v1/messages?beta=true"),
    "SIM/v1/models": ("openai", "SIM/v1"),
    "SIM/v1/models/": ("openai", "SIM/v1"),
    "SIM/v1beta/models/sim-1:generateContent": ("google-genai", "SIM/v1beta"),
    "SIM/v1beta/models/sim-1:streamGenerateContent?alt=sse": ("google-genai", "SIM/v1beta"),
}
"""Pasted URLs, with the type and base URL of the entry."""
AZURE = [
    "https://acme-east.openai.azure.com/openai/v1",
    "https://acme-east.services.ai.azure.com/models",
    "https://gateway.example/openai/deployments/gpt/chat/completions?api-version=2024-10-21",
]


@pytest.fixture
def bay(tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Inside:
    simulator.reset()
    return Inside(tmp_path, monkeypatch, {simulator.url: "SIM"})


def entry(bay: Inside, id: str) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads(bay.text)["providers"][id]
    return table


def custom(bay: Inside, url: str, *more: str) -> None:
    bay.done("provider", "custom", "acme", "--name", "Acme", "--base-url", url, "--api-key", KEY, *more)


@pytest.mark.parametrize("url", SAID)
def test_custom_detects_the_protocol_and_the_provider_answers(bay: Inside, simulator: Simulator, url: str):
    custom(bay, url.replace("SIM", simulator.url), "--yes")
    table = entry(bay, "acme")
    assert (table["type"], table["base_url"].replace(simulator.url, "SIM")) == SAID[url]
    assert bay.done("ask", "-m", "acme/sim-1", "Hello").startswith("You asked: Hello.")


@pytest.mark.parametrize("url", SAID)
def test_add_detects_the_protocol(bay: Inside, simulator: Simulator, url: str):
    bay.done("provider", "add", url.replace("SIM", simulator.url), "--id", "acme", "--api-key", KEY, "--yes")
    table = entry(bay, "acme")
    assert (table["type"], table["base_url"].replace(simulator.url, "SIM")) == SAID[url]
    assert bay.done("ask", "-m", "acme/sim-1", "Hello").startswith("You asked: Hello.")


@pytest.mark.parametrize("url", SAID)
def test_edit_detects_the_protocol(bay: Inside, simulator: Simulator, url: str):
    custom(bay, f"{simulator.url}/v1", "--model", "sim-1")
    bay.done("provider", "edit", "acme", "--base-url", url.replace("SIM", simulator.url))
    table = entry(bay, "acme")
    assert (table["type"], table["base_url"].replace(simulator.url, "SIM")) == SAID[url]
    assert bay.done("ask", "-m", "acme/sim-1", "Hello").startswith("You asked: Hello.")


@pytest.mark.parametrize("url", [url for url in SAID if "models" not in url])
def test_a_base_url_given_with_a_list_is_detected(bay: Inside, simulator: Simulator, url: str):
    listed = '{"data": [{"id": "sim-1"}]}'
    at = ["--base-url", url.replace("SIM", simulator.url), "--id", "acme", "--api-key", KEY, "--yes"]
    (bay.home / "list.json").write_text(listed)
    bay.done("provider", "add", str(bay.home / "list.json"), *at)
    assert entry(bay, "acme")["type"] == SAID[url][0]


def test_options_have_priority_over_the_url(bay: Inside, simulator: Simulator):
    custom(bay, f"{simulator.url}/v1/messages", "--api", "openai_chat", "--model", "m")
    assert entry(bay, "acme")["type"] == "openai"
    bay.done("provider", "edit", "acme", "--base-url", f"{simulator.url}/v1/responses", "--api", "anthropic")
    assert entry(bay, "acme")["type"] == "anthropic"


def test_a_url_without_a_protocol_keeps_the_current_one(bay: Inside, simulator: Simulator):
    custom(bay, f"{simulator.url}/v1/responses", "--model", "m")
    bay.done("provider", "edit", "acme", "--base-url", f"{simulator.url}/v1")
    assert entry(bay, "acme")["type"] == "openai_responses"


@pytest.mark.parametrize("url", AZURE)
def test_azure_is_never_a_custom_provider(bay: Inside, simulator: Simulator, url: str):
    run = bay("provider", "custom", "acme", "--name", "Acme", "--base-url", url, "--model", "gpt", "--api-key", KEY)
    assert (run.code, "use the native azure provider" in run.err, bay.text) == (2, True, "")
    custom(bay, f"{simulator.url}/v1", "--model", "m")
    run = bay("provider", "edit", "acme", "--base-url", url, "--api-key", KEY)
    assert (run.code, "use the native azure provider" in run.err) == (2, True)
    assert entry(bay, "acme")["base_url"] == f"{simulator.url}/v1"


def test_the_model_in_a_call_url_is_added_if_there_is_no_list(bay: Inside):
    line = ["--base-url", "https://acme.invalid/v1beta/models/gem%2D1:generateContent", "--api-key", KEY, "--dry-run"]
    assert 'model = "gem-1"' in bay.done("provider", "custom", "acme", "--name", "Acme", *line)


@pytest.mark.parametrize(
    ("owners", "dialect"),
    [
        (["vllm", "vllm"], "vllm"),
        (["llamacpp"], "llamacpp"),
        (["SGLang"], "sglang"),
        (["vllm", "openai"], None),
        (["openai"], None),
        ([None], None),
        ([], None),
    ],
)
def test_the_program_of_a_server_is_recognized_by_its_model_list(
    bay: Inside, owners: list[str | None], dialect: str | None
) -> None:
    """The port of vLLM and llama.cpp says nothing: many servers use it. Only their dialect sends what their templates accept."""
    with site() as made:
        made.pages["/v1/models"] = {
            "data": [{"id": f"m-{number}", "owned_by": owner} for number, owner in enumerate(owners)]
        }
        run = bay("provider", "add", f"{made.url}/v1", "--id", "acme", "--api-key", KEY, "--model", "m-0", "--yes")
    assert run.code == 0, run.err
    assert entry(bay, "acme").get("dialect") == dialect
    assert ("The model list names " in run.err) == (dialect is not None)


def test_a_dialect_that_is_given_is_not_replaced_by_that_of_the_model_list(bay: Inside) -> None:
    with site() as made:
        made.pages["/v1/models"] = {"data": [{"id": "m-0", "owned_by": "vllm"}]}
        bay.done("provider", "add", f"{made.url}/v1", "--id", "acme", "--dialect", "sglang", "--api-key", KEY, "--yes")
    assert entry(bay, "acme")["dialect"] == "sglang"
