"""The plan of a launch: variables, arguments and files for each agent."""

import json
import tomllib
from typing import Any

import pytest
from msgspec.structs import replace

from modelbay.agents.write import render
from modelbay.conversation import Protocol
from modelbay.launching.plan import LaunchPlan, LaunchTarget, plan
from modelbay.launching.program import AgentProgram, programs, read
from tests.launching.targets import KEY, URL, launch_model, launch_target
from tests.launching.test_program import ROW

FOLDER = "/private/launch"
MAIN, SMALL = launch_model("deep/seek", 128_000, "high"), launch_model("tiny", 32_000)


def planned(fields: dict[str, Any], target: LaunchTarget | None = None) -> LaunchPlan:
    program = read({"agent": {**ROW, **fields}})["agent"]
    return plan(program, target or launch_target("openai_chat", MAIN, SMALL), FOLDER)


def content(file: dict[str, Any], target: LaunchTarget | None = None) -> Any:
    made = planned({"files": [{"path": "a.json", **file}]}, target)
    return json.loads(render(made.files[0].content))


def test_claude_code_reads_its_settings_from_a_file_that_overrides_those_of_the_user() -> None:
    made = plan(programs()["claude"], launch_target("anthropic", MAIN, SMALL), FOLDER)
    assert made.arguments == ["--settings", f"{FOLDER}/settings.json"]
    assert made.environment == {
        "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
        "ANTHROPIC_BASE_URL": URL,
        "ANTHROPIC_AUTH_TOKEN": KEY,
        "ANTHROPIC_MODEL": "deep/seek",
        "ANTHROPIC_DEFAULT_FABLE_MODEL": "deep/seek",
        "ANTHROPIC_DEFAULT_OPUS_MODEL": "deep/seek",
        "ANTHROPIC_DEFAULT_SONNET_MODEL": "deep/seek",
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": "tiny",
        "ANTHROPIC_SMALL_FAST_MODEL": "tiny",
        "CLAUDE_CODE_MAX_CONTEXT_TOKENS": "128000",
        "CLAUDE_CODE_DISABLE_1M_CONTEXT": "1",
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "8192",
        "CLAUDE_CODE_EFFORT_LEVEL": "high",
    }
    written = json.loads(render(made.files[0].content))["env"]
    assert written == dict.fromkeys(made.unset, "") | made.environment
    assert "ANTHROPIC_API_KEY" in made.unset


def test_claude_code_does_not_ask_on_its_screen_whether_to_use_the_key() -> None:
    target = replace(launch_target("anthropic", MAIN), bearer=False, through_gateway=False)
    made = plan(programs()["claude"], target, FOLDER)
    assert "ANTHROPIC_API_KEY" not in made.environment
    assert made.environment["ANTHROPIC_AUTH_TOKEN"] == KEY
    assert made.environment["ANTHROPIC_CUSTOM_HEADERS"] == f"x-api-key: {KEY}"


@pytest.mark.parametrize(("limit", "told"), [(8_192, "8192"), (32_000, None), (64_000, None), (None, None)])
def test_claude_code_requests_no_more_output_than_the_model_can_make_and_no_more_than_usual(
    limit: int | None, told: str | None
) -> None:
    model = launch_model("m", output=limit)
    made = plan(programs()["claude"], launch_target("anthropic", model), FOLDER)
    assert made.environment.get("CLAUDE_CODE_MAX_OUTPUT_TOKENS") == told


@pytest.mark.parametrize(("window", "told"), [(200_000, "1"), (999_999, "1"), (1_000_000, None), (None, None)])
def test_claude_code_assumes_no_longer_window_for_its_default_model(window: int | None, told: str | None) -> None:
    """In its list of models, "Default" would otherwise be the model with a window of a million tokens."""
    made = plan(programs()["claude"], launch_target("anthropic", launch_model("m", window)), FOLDER)
    assert made.environment.get("CLAUDE_CODE_DISABLE_1M_CONTEXT") == told


def test_claude_code_marks_its_prompts_for_its_maker_only() -> None:
    for vendor, told in (("anthropic", None), ("deepseek", "0"), ("", "0")):
        target = replace(launch_target("anthropic", MAIN), vendor=vendor)
        made = plan(programs()["claude"], target, FOLDER)
        assert made.environment.get("CLAUDE_CODE_ATTRIBUTION_HEADER") == told


def test_the_name_of_a_model_shows_claude_code_a_window_of_a_million_tokens() -> None:
    made = plan(programs()["claude"], launch_target("anthropic", launch_model("big", 1_000_000), SMALL), FOLDER)
    assert made.environment["ANTHROPIC_MODEL"] == "big[1m]"
    assert made.environment["ANTHROPIC_DEFAULT_HAIKU_MODEL"] == "tiny"


@pytest.mark.parametrize("gateway", [True, False])
def test_codex_is_configured_by_arguments_without_the_key(gateway: bool) -> None:
    made = plan(programs()["codex"], launch_target("openai_responses", MAIN, gateway=gateway), FOLDER)
    assert made.environment == {"MODELBAY_AGENT_KEY": KEY}
    assert made.arguments[::2] == ["-c"] * (len(made.arguments) // 2)
    data = tomllib.loads(
        "\n".join(word if '"' in word or _plain(word) else _quoted(word) for word in made.arguments[1::2])
    )
    provider = data["model_providers"]["modelbay-launch"]
    # the gateway repeats failed requests itself, even after a rate limit
    retries = {"request_max_retries": 0, "http_headers": {"x-modelbay-retries": "6"}}
    assert provider == ({"model_catalog_url": f"{URL}/v1/models", **retries} if gateway else {}) | {
        "name": "modelbay",
        "base_url": f"{URL}/v1",
        "wire_api": "responses",
        "env_key": "MODELBAY_AGENT_KEY",
        "supports_websockets": False,
    }
    # the catalog has the windows of all models; this setting would also apply to another model chosen in Codex
    assert data.get("model_context_window") == (None if gateway else 128_000)
    assert (data["model"], data["model_reasoning_effort"]) == ("deep/seek", "high")


@pytest.mark.parametrize("version", ["0.144.5", "0.159.9-alpha.1"])
def test_an_old_version_of_codex_gets_the_models_in_a_file(version: str) -> None:
    made = plan(programs()["codex"], launch_target("openai_responses", MAIN, SMALL), FOLDER, version)
    assert not any("model_catalog_url" in word for word in made.arguments)
    assert f'model_catalog_json="{FOLDER}/models.json"' in made.arguments
    [file] = made.files
    listed = json.loads(render(file.content))["models"]
    assert (file.path, [model["slug"] for model in listed]) == ("models.json", ["deep/seek", "tiny"])
    assert listed[0]["context_window"] == 128_000


@pytest.mark.parametrize("version", ["0.160.0", "0.171.0", "1.0", ""])
def test_a_version_of_codex_that_reads_the_list_of_the_gateway_gets_no_file(version: str) -> None:
    made = plan(programs()["codex"], launch_target("openai_responses", MAIN), FOLDER, version)
    assert any("model_catalog_url" in word for word in made.arguments)
    assert not any("model_catalog_json" in word for word in made.arguments) and made.files == []


def test_codex_without_the_gateway_gets_no_list() -> None:
    made = plan(programs()["codex"], launch_target("openai_responses", MAIN, gateway=False), FOLDER, "0.144.5")
    assert not any("catalog" in word for word in made.arguments) and made.files == []


def _plain(word: str) -> bool:
    return word.partition("=")[2].isdigit() or word.endswith(("=true", "=false"))


def _quoted(word: str) -> str:
    name, _, value = word.partition("=")
    return f'{name} = "{value}"'


@pytest.mark.parametrize("program", programs().values(), ids=list(programs()))
def test_no_agent_gets_the_key_as_an_argument_and_every_agent_gets_it(program: AgentProgram) -> None:
    for protocol in program.protocols:
        made = plan(program, launch_target(protocol, MAIN, SMALL), FOLDER)
        assert KEY not in " ".join(made.arguments)
        given = [*made.environment.values(), *(render(file.content) for file in made.files)]
        assert any(KEY in text for text in given)
        assert KEY not in repr(made)


@pytest.mark.parametrize("program", programs().values(), ids=list(programs()))
def test_every_agent_is_told_the_address_and_the_model(program: AgentProgram) -> None:
    for protocol in program.protocols:
        target = launch_target(protocol, launch_model("only"))
        made = plan(program, target, FOLDER)
        # agents with an exporter get both from it
        said = [*made.arguments, *made.environment.values(), *(render(file.content) for file in made.files)]
        assert program.exporter or any(URL in text for text in said)
        assert program.exporter or any("only" in text for text in said)


def test_settings_with_an_unknown_fact_are_omitted() -> None:
    unknown = launch_target("openai_chat", launch_model("m", None))
    made = planned(
        {
            "environment": {"WINDOW": "{context}", "MODEL": "{model}"},
            "arguments": [["--window", "{context}"], ["--model", "{model}"]],
            "files": [{"path": "a.json", "content": {"limit": {"context": "{context}"}, "list": ["{context}", 1]}}],
        },
        unknown,
    )
    assert made.environment == {"MODEL": "m"}
    assert made.arguments == ["--model", "m"]
    assert json.loads(render(made.files[0].content)) == {"list": [1]}


def test_a_value_in_a_file_keeps_the_type_of_its_fact() -> None:
    template = {
        "context": "{context}",
        "thinks": "{thinking}",
        "images": "{images}",
        "text": "{context} tokens",
        "n": 1,
    }
    assert content({"content": template}) == {
        "context": 128_000,
        "thinks": True,
        "images": False,
        "text": "128000 tokens",
        "n": 1,
    }


def test_a_table_or_a_member_of_a_table_is_repeated_for_each_model() -> None:
    template = {
        "list": [{"each": "model", "id": "{model}", "window": "{context}"}, {"id": "fixed"}],
        "table": {"{model}": {"name": "{model_name}"}, "main": "{small}"},
    }
    assert content({"content": template}) == {
        "list": [{"id": "deep/seek", "window": 128_000}, {"id": "tiny", "window": 32_000}, {"id": "fixed"}],
        "table": {"deep/seek": {"name": "Deep/Seek"}, "tiny": {"name": "Tiny"}, "main": "tiny"},
    }


@pytest.mark.parametrize(
    ("limit", "budget"), [(None, 30_976), (8_192, 7_168), (32_000, 30_976), (32_001, None), (1_000, 999)]
)
def test_a_budget_for_thinking_in_messages_is_below_the_maximum_output(limit: int | None, budget: int | None) -> None:
    fields: dict[str, Any] = {
        "usual_output": 32_000,
        "files": [{"path": "a.json", "content": {"id": "m", "budget": "{thinking_budget}"}}],
    }
    expected: dict[Protocol, dict[str, int]] = {"anthropic": {"budget": budget} if budget else {}, "openai_chat": {}}
    for protocol, found in expected.items():
        row = fields | {"protocols": [protocol]}
        made = planned(row, launch_target(protocol, launch_model("m", output=limit)))
        assert json.loads(render(made.files[0].content)) == {"id": "m"} | found


def test_values_of_a_protocol_are_placeholders_of_the_row() -> None:
    fields = {
        "protocols": ["openai_chat", "anthropic"],
        "environment": {"URL": "{address}", "API": "{api}"},
        "by_protocol": {
            "openai_chat": {"values": {"api": "completions", "address": "{base_url}"}},
            "anthropic": {"values": {"api": "messages", "address": "{root_url}"}, "environment": {"THINK": "1"}},
        },
    }
    chat = planned(fields, launch_target("openai_chat", MAIN)).environment
    messages = planned(fields, launch_target("anthropic", MAIN)).environment
    assert chat == {"URL": f"{URL}/v1", "API": "completions"}
    assert messages == {"URL": URL, "API": "messages", "THINK": "1"}


def test_a_quoted_fact_cannot_end_its_string() -> None:
    odd = launch_target("openai_chat", launch_model('a"b\\c'))
    assert planned({"arguments": [["model={model|quoted}"]]}, odd).arguments == [r'model="a\"b\\c"']


def test_a_file_may_be_the_value_of_a_variable() -> None:
    made = planned({"files": [{"variable": "AGENT_CONFIG", "content": {"model": "{model}"}}]})
    assert json.loads(made.environment["AGENT_CONFIG"]) == {"model": "deep/seek"}
    assert made.files == []
