"""The settings that each agent gets by the plan of its launch: model, small model, address, key, limits and effort."""

import json
from typing import Any

import pytest

from modelbay.agents.write import render
from modelbay.conversation import Protocol
from modelbay.launching.launch_target import gateway_target
from modelbay.launching.plan import LaunchPlan, plan
from modelbay.launching.program import programs
from modelbay.secrecy import Hidden
from tests.launching.targets import KEY, URL, launch_model, launch_target
from tests.launching.test_launch_target import MODEL, PROVIDER, chosen

FOLDER = "/private/launch"
MAIN, SMALL = launch_model("deep/seek", 128_000, "high"), launch_model("tiny", 32_000)
V1, V1BETA = f"{URL}/v1", f"{URL}/v1beta"
CHAT: Protocol = "openai_chat"
RESPONSES: Protocol = "openai_responses"
MESSAGES: Protocol = "anthropic"
GEMINI: Protocol = "google"
apis_of_pi = pytest.mark.parametrize(
    ("protocol", "api", "url"),
    [
        (CHAT, "openai-completions", V1),
        (RESPONSES, "openai-responses", V1),
        (MESSAGES, "anthropic-messages", URL),
        (GEMINI, "google-generative-ai", V1BETA),
    ],
)
"""The names of the protocols in pi and Oh My Pi, and the URLs that they call."""


def planned(agent: str, protocol: Protocol) -> LaunchPlan:
    return plan(programs()[agent], launch_target(protocol, MAIN, SMALL), FOLDER)


def file(made: LaunchPlan, path: str) -> Any:
    return next(json.loads(render(file.content)) for file in made.files if file.path == path)


@pytest.mark.parametrize(("agent", "main"), [("opencode", "build"), ("kilo", "code")])
def test_opencode_and_kilo_get_a_configuration_that_overrides_their_files(agent: str, main: str) -> None:
    program = programs()[agent]
    small = MODEL.replace("models.m", "models.tiny").replace("large", "small")
    target = gateway_target(program, chosen(PROVIDER + MODEL + small, small="tiny"), URL, Hidden(KEY))
    made = plan(program, target, FOLDER)
    said = json.loads(made.environment.pop(f"{agent.upper()}_CONFIG_CONTENT"))
    assert (said["model"], said["small_model"]) == ("modelbay/m", "modelbay/tiny")
    assert said["agent"] == {main: {"model": "modelbay/m"}, "plan": {"model": "modelbay/m"}}
    provider = said["provider"]["modelbay"]
    assert provider["options"] == {"baseURL": V1, "apiKey": "{env:MODELBAY_AGENT_KEY}"}
    assert provider["models"]["m"]["limit"]["context"] == 200_000
    assert made.environment == {"MODELBAY_AGENT_KEY": KEY}
    assert (made.arguments, made.files) == ([], [])


@pytest.mark.parametrize(
    ("protocol", "type", "url"),
    [
        (CHAT, "openai", V1),
        (RESPONSES, "openai_responses", V1),
        (MESSAGES, "anthropic", URL),
        (GEMINI, "google-genai", URL),
    ],
)
def test_kimi_code_gets_a_model_in_variables_which_it_never_writes_to_its_file(
    protocol: Protocol, type: str, url: str
) -> None:
    made = planned("kimi", protocol)
    assert made.environment == {
        "KIMI_MODEL_NAME": "deep/seek",
        "KIMI_MODEL_DISPLAY_NAME": "Deep/Seek",
        "KIMI_MODEL_API_KEY": KEY,
        "KIMI_MODEL_PROVIDER_TYPE": type,
        "KIMI_MODEL_BASE_URL": url,
        "KIMI_MODEL_CAPABILITIES": "thinking,tool_use",
        "KIMI_MODEL_MAX_CONTEXT_SIZE": "128000",
        "KIMI_MODEL_MAX_OUTPUT_SIZE": "8192",
    }
    assert (made.arguments, made.files) == ([], [])


def test_gemini_cli_uses_a_key_instead_of_its_login_and_the_small_model_for_its_own_tasks() -> None:
    made = planned("gemini", GEMINI)
    assert made.arguments == ["--model", "deep/seek"]
    assert made.environment == {
        "GEMINI_CLI_HOME": FOLDER,
        "GEMINI_API_KEY": KEY,
        "GOOGLE_GEMINI_BASE_URL": URL,
    }
    settings = file(made, ".gemini/settings.json")
    assert settings["security"] == {"auth": {"selectedType": "gemini-api-key"}}
    overrides = settings["modelConfigs"]["customOverrides"]
    used = {entry["match"]["model"]: entry["modelConfig"]["model"] for entry in overrides}
    assert used["summarizer-shell"] == "tiny"
    assert used["chat-compression-default"] == "deep/seek"
    assert set(used.values()) == {"tiny", "deep/seek"}


@pytest.mark.parametrize(
    ("protocol", "type", "url"),
    [(CHAT, "openai", V1), (RESPONSES, "openai-responses", V1), (MESSAGES, "anthropic", URL), (GEMINI, "gemini", URL)],
)
def test_qwen_code_gets_settings_that_override_those_of_a_project(protocol: Protocol, type: str, url: str) -> None:
    made = planned("qwen", protocol)
    assert made.environment == {
        "QWEN_HOME": FOLDER,
        "QWEN_CODE_SYSTEM_SETTINGS_PATH": f"{FOLDER}/launch.json",
        "QWEN_CODE_MAX_OUTPUT_TOKENS": "8192",
        "MODELBAY_AGENT_KEY": KEY,
    }
    settings = file(made, "launch.json")
    assert settings["security"]["auth"]["selectedType"] == type
    assert settings["model"] == {"name": "deep/seek", "reasoningEffort": "high"}
    assert settings["fastModel"] == "tiny"
    main, small = settings["modelProviders"][type]
    assert (main["id"], main["baseUrl"], main["envKey"]) == ("deep/seek", url, "MODELBAY_AGENT_KEY")
    assert main["generationConfig"] == {
        "customHeaders": {"x-modelbay-retries": "0"},
        "contextWindowSize": 128_000,
        "modalities": {"image": False},
        **({"reasoning": {"budget_tokens": 7_168}} if protocol == MESSAGES else {}),
    }
    assert small["generationConfig"]["contextWindowSize"] == 32_000


@apis_of_pi
def test_pi_gets_a_provider_in_a_copy_of_its_folder(protocol: Protocol, api: str, url: str) -> None:
    made = planned("pi", protocol)
    assert made.arguments == ["--provider", "modelbay", "--model", "deep/seek", "--thinking", "high"]
    assert made.environment == {"PI_CODING_AGENT_DIR": FOLDER, "MODELBAY_AGENT_KEY": KEY}
    provider = file(made, "models.json")["providers"]["modelbay"]
    assert (provider["api"], provider["baseUrl"], provider["apiKey"]) == (api, url, "$MODELBAY_AGENT_KEY")
    assert provider["models"][0] == {
        "id": "deep/seek",
        "name": "Deep/Seek",
        "reasoning": True,
        "input": ["text"],
        "contextWindow": 128_000,
        "maxTokens": 8_192,
    }


@pytest.mark.parametrize(
    ("protocol", "type", "url"), [(CHAT, "openai-compat", V1), (MESSAGES, "anthropic", URL), (GEMINI, "google", URL)]
)
def test_crush_gets_the_models_that_override_its_configuration(protocol: Protocol, type: str, url: str) -> None:
    made = planned("crush", protocol)
    assert made.environment == {"CRUSH_GLOBAL_DATA": FOLDER, "MODELBAY_AGENT_KEY": KEY}
    data = file(made, "crush.json")
    assert data["models"]["large"]["model"] == "deep/seek"
    assert data["models"]["large"]["reasoning_effort"] == "high"
    assert data["models"]["small"] == {"provider": "modelbay", "model": "tiny"}
    provider = data["providers"]["modelbay"]
    assert (provider["type"], provider["base_url"], provider["api_key"]) == (type, url, "$MODELBAY_AGENT_KEY")
    assert [model["context_window"] for model in provider["models"]] == [128_000, 32_000]


@pytest.mark.parametrize(
    ("protocol", "own"),
    [
        (
            CHAT,
            {
                "GOOSE_PROVIDER": "openai",
                "OPENAI_HOST": V1,
                "OPENAI_BASE_PATH": "chat/completions",
                "OPENAI_API_KEY": KEY,
            },
        ),
        (MESSAGES, {"GOOSE_PROVIDER": "anthropic", "ANTHROPIC_HOST": URL, "ANTHROPIC_API_KEY": KEY}),
        (GEMINI, {"GOOSE_PROVIDER": "google", "GOOGLE_HOST": URL, "GOOGLE_API_KEY": KEY}),
    ],
)
def test_goose_gets_variables_which_override_its_configuration(protocol: Protocol, own: dict[str, str]) -> None:
    made = planned("goose", protocol)
    assert made.environment == own | {
        "GOOSE_MODEL": "deep/seek",
        "GOOSE_CONTEXT_LIMIT": "128000",
        "GOOSE_MAX_TOKENS": "8192",
        "GOOSE_THINKING_EFFORT": "high",
    }
    assert "OPENAI_BASE_URL" in made.unset


@pytest.mark.parametrize(
    ("protocol", "prefix", "own", "address"),
    [
        (CHAT, "openai", {"AIDER_OPENAI_API_KEY": KEY, "AIDER_OPENAI_API_BASE": V1}, []),
        (MESSAGES, "anthropic", {"AIDER_ANTHROPIC_API_KEY": KEY}, ["--set-env", f"ANTHROPIC_API_BASE={URL}"]),
        (GEMINI, "gemini", {"AIDER_API_KEY": f"gemini={KEY}"}, ["--set-env", f"GEMINI_API_BASE={V1BETA}"]),
    ],
)
def test_aider_gets_options_which_override_its_files(
    protocol: Protocol, prefix: str, own: dict[str, str], address: list[str]
) -> None:
    made = planned("aider", protocol)
    assert made.environment == own
    assert made.arguments == [
        *("--model", f"{prefix}/deep/seek", "--weak-model", f"{prefix}/tiny"),
        *("--model-metadata-file", f"{FOLDER}/metadata.json", *address, "--reasoning-effort", "high"),
        *(["--no-check-model-accepts-settings"] if protocol == CHAT else []),
    ]
    facts = file(made, "metadata.json")
    assert (facts[f"{prefix}/deep/seek"]["max_input_tokens"], facts[f"{prefix}/tiny"]["max_input_tokens"]) == (
        128_000,
        32_000,
    )


@pytest.mark.parametrize(("protocol", "provider"), [(CHAT, "openai"), (MESSAGES, "anthropic")])
def test_continue_gets_a_configuration_file_of_its_own(protocol: Protocol, provider: str) -> None:
    made = planned("continue", protocol)
    assert made.arguments == ["--config", f"{FOLDER}/config.yaml"]
    model = file(made, "config.yaml")["models"][0]
    assert (model["provider"], model["model"], model["apiBase"], model["apiKey"]) == (provider, "deep/seek", V1, KEY)
    assert model["defaultCompletionOptions"] == {"contextLength": 128_000, "maxTokens": 8_192}


@pytest.mark.parametrize(
    ("protocol", "provider"), [(CHAT, "openai-compatible"), (RESPONSES, "openai-native"), (MESSAGES, "anthropic")]
)
def test_cline_gets_providers_of_its_own_and_starts_no_process_that_keeps_the_key(
    protocol: Protocol, provider: str
) -> None:
    made = planned("cline", protocol)
    assert made.arguments == ["--provider", provider, "--model", "deep/seek", "--thinking", "high"]
    assert made.environment == {
        "CLINE_PROVIDER_SETTINGS_PATH": f"{FOLDER}/providers.json",
        "CLINE_SESSION_BACKEND_MODE": "local",
    }
    settings = file(made, "providers.json")["providers"][provider]["settings"]
    assert (settings["baseUrl"], settings["apiKey"], settings["model"]) == (V1, KEY, "deep/seek")
    assert (settings["contextWindow"], settings["maxTokens"]) == (128_000, 8_192)


@pytest.mark.parametrize(
    ("protocol", "own"),
    [
        (CHAT, {"COPILOT_PROVIDER_TYPE": "openai", "COPILOT_PROVIDER_BASE_URL": V1}),
        (
            RESPONSES,
            {
                "COPILOT_PROVIDER_TYPE": "openai",
                "COPILOT_PROVIDER_BASE_URL": V1,
                "COPILOT_PROVIDER_WIRE_API": "responses",
            },
        ),
        (MESSAGES, {"COPILOT_PROVIDER_TYPE": "anthropic", "COPILOT_PROVIDER_BASE_URL": URL}),
    ],
)
def test_copilot_gets_a_provider_of_its_own_in_variables(protocol: Protocol, own: dict[str, str]) -> None:
    made = planned("copilot", protocol)
    assert made.arguments == ["--model", "deep/seek", "--reasoning-effort", "high"]
    assert made.environment == own | {
        "COPILOT_MODEL": "deep/seek",
        "COPILOT_PROVIDER_BEARER_TOKEN": KEY,
        "COPILOT_PROVIDER_MAX_PROMPT_TOKENS": "128000",
        "COPILOT_PROVIDER_MAX_OUTPUT_TOKENS": "8192",
    }
    assert {"COPILOT_PROVIDER_API_KEY", "COPILOT_PROVIDER_API_KEY_COMMAND", "COPILOT_PROVIDER_WIRE_API"} <= set(
        made.unset
    )


@pytest.mark.parametrize(
    ("protocol", "provider", "url"),
    [(CHAT, "generic-chat-completion-api", V1), (RESPONSES, "openai", V1), (MESSAGES, "anthropic", URL)],
)
def test_droid_gets_settings_for_one_process(protocol: Protocol, provider: str, url: str) -> None:
    made = planned("droid", protocol)
    assert made.environment == {"FACTORY_RUNTIME_SETTINGS_PATH": f"{FOLDER}/settings.json"}
    settings = file(made, "settings.json")
    assert settings["sessionDefaultSettings"] == {"model": "custom:modelbay/deep/seek", "reasoningEffort": "high"}
    main, small = settings["customModels"]
    assert main == {
        "id": "custom:modelbay/deep/seek",
        "model": "deep/seek",
        "displayName": "Deep/Seek",
        "provider": provider,
        "baseUrl": url,
        "apiKey": KEY,
        "extraHeaders": {"x-modelbay-retries": "0"},
        "maxContextLimit": 128_000,
        "maxOutputTokens": 8_192,
        "noImageSupport": True,
        "reasoningEffort": "high",
    }
    assert small["maxContextLimit"] == 32_000


def test_grok_cli_gets_no_options_that_it_would_store() -> None:
    made = planned("grok", CHAT)
    assert made.arguments == ["--model", "deep/seek"]
    assert made.environment == {"GROK_BASE_URL": V1, "GROK_API_KEY": KEY, "GROK_MAX_TOKENS": "8192"}


@apis_of_pi
def test_oh_my_pi_gets_its_models_in_a_copy_of_its_folder(protocol: Protocol, api: str, url: str) -> None:
    made = planned("omp", protocol)
    assert made.environment == {"PI_CODING_AGENT_DIR": FOLDER, "MODELBAY_AGENT_KEY": KEY}
    assert made.arguments == ["--model", "modelbay/deep/seek", "--smol", "modelbay/tiny", "--thinking", "high"]
    provider = file(made, "models.yml")["providers"]["modelbay"]
    assert (provider["baseUrl"], provider["api"], provider["apiKey"]) == (url, api, "MODELBAY_AGENT_KEY")
    assert [(model["id"], model["contextWindow"]) for model in provider["models"]] == [
        ("deep/seek", 128_000),
        ("tiny", 32_000),
    ]


@pytest.mark.parametrize(
    ("protocol", "prefix", "own"),
    [
        (CHAT, "openai", {"OPENAI_API_KEY": KEY, "OPENAI_API_BASE": V1}),
        (MESSAGES, "anthropic", {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_API_BASE": URL}),
        (GEMINI, "gemini", {"GEMINI_API_KEY": KEY, "GEMINI_API_BASE": V1BETA}),
    ],
)
def test_mini_swe_agent_asks_no_questions_at_its_first_start(
    protocol: Protocol, prefix: str, own: dict[str, str]
) -> None:
    made = planned("mini", protocol)
    assert made.arguments == ["--model", f"{prefix}/deep/seek"]
    assert made.environment == {"MSWEA_CONFIGURED": "true", "MSWEA_COST_TRACKING": "ignore_errors", **own}


@pytest.mark.parametrize(("protocol", "prefix", "url"), [(CHAT, "openai", V1), (MESSAGES, "anthropic", URL)])
def test_openhands_is_told_to_use_variables(protocol: Protocol, prefix: str, url: str) -> None:
    made = planned("openhands", protocol)
    assert made.arguments == ["--override-with-envs"]
    assert made.environment == {"LLM_MODEL": f"{prefix}/deep/seek", "LLM_API_KEY": KEY, "LLM_BASE_URL": url}


def test_gptme_uses_the_server_as_its_local_one() -> None:
    made = planned("gptme", CHAT)
    assert made.arguments == ["--model", "local/deep/seek"]
    assert made.environment == {"OPENAI_BASE_URL": V1, "OPENAI_API_KEY": KEY}
    assert "OPENAI_API_BASE" in made.unset


@pytest.mark.parametrize("agent", ["codex", "droid", "qwen"])
def test_only_the_gateway_is_asked_for_a_number_of_retries(agent: str) -> None:
    program = programs()[agent]
    for protocol in program.protocols:
        for gateway in (True, False):
            made = plan(program, launch_target(protocol, MAIN, gateway=gateway), FOLDER)
            told = " ".join([*made.arguments, *(render(file.content) for file in made.files)])
            assert ("x-modelbay-retries" in told) is gateway


def test_agents_that_must_know_that_a_model_accepts_images_are_told_so() -> None:
    seeing = launch_model("seeing")
    seeing.facts.capabilities |= {"image_in": True, "document_in": True}
    files = {
        name: plan(programs()[name], launch_target(CHAT, seeing), FOLDER)
        for name in ("pi", "qwen", "continue", "crush")
    }
    assert file(files["pi"], "models.json")["providers"]["modelbay"]["models"][0]["input"] == ["text", "image"]
    (model,) = file(files["qwen"], "launch.json")["modelProviders"]["openai"]
    assert model["generationConfig"]["modalities"] == {"image": True, "pdf": True}
    assert file(files["continue"], "config.yaml")["models"][0]["capabilities"] == ["tool_use", "image_input"]
    assert file(files["crush"], "crush.json")["providers"]["modelbay"]["models"][0]["supports_attachments"] is True


def test_an_agent_without_an_effort_keeps_its_own() -> None:
    plain = launch_model("only")
    for program in programs().values():
        for protocol in program.protocols:
            made = plan(program, launch_target(protocol, plain), FOLDER)
            assert "{effort" not in repr(made)
            assert not {"--thinking", "--reasoning-effort"} & set(made.arguments)
            assert not [name for name in made.environment if "EFFORT" in name]


def test_no_telemetry_or_update_setting_of_an_agent_is_changed() -> None:
    words = ("TELEMETRY", "ANALYTICS", "AUTOUPDATE", "AUTO_UPDATE", "CHECK_UPDATE", "METRICS", "STATISTICS", "TRAFFIC")
    for program in programs().values():
        for protocol in program.protocols:
            made = plan(program, launch_target(protocol, MAIN, SMALL), FOLDER)
            said = " ".join(
                [*made.environment, *made.unset, *made.arguments, *(render(file.content) for file in made.files)]
            )
            assert not [word for word in words if word in said.upper()], program.id


@pytest.mark.parametrize(
    ("agent", "wanted", "told"),
    [
        ("cline", "max", "xhigh"),  # it does not start with `--thinking max`
        ("cline", "minimal", "low"),
        ("cline", "off", "none"),
        ("qwen", "minimal", "low"),
        ("qwen", "disabled", "none"),
        ("qwen", "Max", "max"),
        ("pi", "none", "off"),
        ("codex", "off", "none"),
        ("codex", "ultra", "ultra"),
        ("claude", "minimal", "low"),
        ("claude", "off", None),
        ("claude", "on", None),
        ("claude", None, None),
    ],
)
def test_an_agent_gets_an_effort_in_its_own_words(agent: str, wanted: str | None, told: str | None) -> None:
    assert programs()[agent].effort(wanted) == told
