"""The plug-in in the real llm: its command line and its Python face, against the simulator, in every protocol."""

import os
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llm
import pytest
from llm.parts import ReasoningPart, ToolCallPart, ToolResultPart
from llm.plugins import load_plugins, pm
from pydantic import BaseModel

import llm_modelbay
from integrations.installed import environment, python
from llm_modelbay import models
from modelbay.conversation import Protocol
from modelbay.json_text import decode
from modelbay.simulator import Simulator
from modelbay.simulator.config_entries import BASES, alias, config_text

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)
PROTOCOLS = list(BASES)


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(key="sk-acme-1", aliases={"text-embedding-3-small": "sim-1"}) as running:
        yield running


@pytest.fixture(autouse=True)
def plugin(own_home: Path, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """llm with the plug-in, a home of its own, and the simulator in the configuration of modelbay."""
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    (own_home / "config.toml").write_text(config_text(simulator.url, "sk-acme-1"))
    simulator.reset()
    load_plugins()
    pm.register(llm_modelbay)
    yield
    pm.unregister(llm_modelbay)
    if models.hub.cache_info().currsize:
        models.hub().close()
    models.hub.cache_clear()
    models.async_hub.cache_clear()


def name(protocol: Protocol) -> str:
    return f"modelbay/{alias(protocol)}/sim-echo"


def weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("stream", [True, False])
def test_a_prompt_is_answered(protocol: Protocol, stream: bool):
    response = llm.get_model(name(protocol)).prompt("Why is the sky blue?", system="Be brief.", stream=stream)
    assert "Why is the sky blue?" in response.text()
    usage = response.usage()
    assert usage.input and usage.output
    assert response.resolved_model == "sim-echo"
    assert response.response_json and response.response_json["finish_reason"] == "stop"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("stream", [True, False])
async def test_an_async_model_answers_likewise(protocol: Protocol, stream: bool):
    model = llm.get_async_model(name(protocol))
    try:
        response = model.prompt("Why is the sky blue?", stream=stream)
        assert "Why is the sky blue?" in await response.text()
        chain = model.chain('Call weather for parallel "Paris"', tools=[weather], stream=stream)
        assert "rain in Paris" in await chain.text()
    finally:
        await models.async_hub().aclose()


def test_models_are_registered_with_their_aliases():
    [found] = [one for one in llm.get_models_with_aliases() if one.model.model_id == name("anthropic")]
    assert list(found.aliases) == ["modelbay/sim-anthropic"]
    assert found.async_model.model_id == name("anthropic")
    assert llm.get_model("modelbay/sim-google").model_id == name("google")


def test_entries_of_one_model_are_told_apart_by_their_aliases(own_home: Path):
    with (own_home / "config.toml").open("a") as config:
        config.write('\n[models.second]\nprovider = "sim-chat"\nmodel = "sim-echo"\n')
    found = {one.model.model_id for one in llm.get_models_with_aliases()}
    assert {"modelbay/sim-chat", "modelbay/second"} <= found
    assert name("openai_chat") not in found


def test_a_broken_configuration_leaves_the_other_models_of_llm(own_home: Path, caplog: pytest.LogCaptureFixture):
    (own_home / "config.toml").write_text("[providers\n")
    found = [one.model.model_id for one in llm.get_models_with_aliases()]
    assert found and not [one for one in found if one.startswith("modelbay/")]
    assert "config.toml" in caplog.text


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_parallel_tools_are_run_and_the_reasoning_is_sent_back(protocol: Protocol, simulator: Simulator):
    """The simulator refuses a history whose signatures are missing or changed."""
    chain = llm.get_model(name(protocol)).chain(
        'In parallel, call weather for "Paris"', tools=[weather], options={"effort": "high"}
    )
    assert "rain in Paris" in chain.text()
    first, second = chain._responses
    assert len(first.tool_calls()) == 2
    [message] = first.messages()
    assert [type(part).__name__ for part in message.parts] == ["ReasoningPart", "ToolCallPart", "ToolCallPart"]
    assert "answered: rain in" in second.text()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_conversation_is_continued_from_the_log(protocol: Protocol):
    """`llm -c` reads the conversation from its database: what the provider signed is still in it."""
    ran("-m", name(protocol), "-o", "effort", "high", "-T", "llm_time", "Please call llm_time", "--td")
    again = ran("-c", "And what was the first question?")
    assert "question 2 of our conversation" in again.stdout


def ran(*arguments: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
    """The command of llm in a process of its own."""
    site = Path(os.environ["LLM_USER_PATH"]) / "site"
    done = python(environment(site, "llm"), "-m", "llm", *arguments)
    assert done.returncode == code, done
    return done


def test_the_command_line_shows_options_and_features():
    shown = ran("models", "list", "--options", "-m", name("anthropic")).stdout
    for expected in ("max_tokens: int", "Maximum output tokens.", "image/png", "- schemas", "- tools", "- async"):
        assert expected in shown
    assert "Keys:" not in shown


def test_the_command_line_answers_with_an_attachment(tmp_path: Path):
    (tmp_path / "dot.png").write_bytes(PIXEL)
    answered = ran("-m", "modelbay/sim-anthropic", "What is in it?", "-a", str(tmp_path / "dot.png"))
    assert "image" in answered.stdout


def test_invalid_options_are_refused():
    refused = ran("-m", "modelbay/sim-chat", "hi", "-o", "temperature", "-1", code=1)
    assert "temperature" in refused.stderr
    refused = ran("-m", "modelbay/sim-chat", "hi", "-o", "max_token", "5", code=1)
    assert "max_token" in refused.stderr


def test_an_error_has_the_hint_of_modelbay(own_home: Path, simulator: Simulator):
    (own_home / "config.toml").write_text(config_text(simulator.url, "sk-other"))
    refused = ran("-m", "modelbay/sim-chat", "hi", code=1)
    assert "Error: " in refused.stderr and "hint: " in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_setting_that_the_protocol_drops_is_reported():
    answered = ran("-m", "modelbay/sim-anthropic", "hi", "-o", "seed", "3")
    assert "`seed` is not sent" in answered.stderr


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_options_reach_the_provider(protocol: Protocol, simulator: Simulator):
    options = {"max_tokens": "2000", "extra_headers": '{"x-team": "blue"}'}
    llm.get_model(name(protocol)).prompt("hi", options=options).text()
    [entry] = simulator.journal
    assert entry.headers["x-team"] == "blue"
    assert "2000" in entry.body.decode()


def test_fields_of_the_providers_own_api_reach_it(simulator: Simulator):
    llm.get_model(name("openai_chat")).prompt("hi", options={"extra_body": '{"x_team": "blue"}'}).text()
    assert decode(simulator.journal[0].body)["x_team"] == "blue"


def test_stop_takes_one_text_or_several():
    options: Any = llm.get_model(name("anthropic")).Options
    assert options(stop="END").stop == ["END"]
    assert options(stop=["A", "B"]).stop == ["A", "B"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("stream", [True, False])
def test_a_schema_shapes_the_answer(protocol: Protocol, stream: bool):
    class City(BaseModel):
        name: str
        inhabitants: int

    response = llm.get_model(name(protocol)).prompt('Describe "Paris"', schema=City, stream=stream)
    assert City.model_validate_json(response.text()).name == "Paris"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_attachments_of_all_kinds_are_sent(protocol: Protocol, simulator: Simulator, own_home: Path):
    (own_home / "config.toml").write_text(config_text(simulator.url, "sk-acme-1").replace("sim-echo", "sim-vision"))
    files = [
        llm.Attachment(content=PIXEL),
        llm.Attachment(type="application/pdf", content=b"%PDF-1.4 tiny"),
        llm.Attachment(type="text/plain", content="Grüße".encode()),
    ]
    text = llm.get_model(f"modelbay/{alias(protocol)}").prompt("Look", attachments=files).text()
    assert "image" in text and "document" in text


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_files_of_tools_are_sent(protocol: Protocol, simulator: Simulator, own_home: Path):
    (own_home / "config.toml").write_text(config_text(simulator.url, "sk-acme-1").replace("sim-echo", "sim-vision"))

    def photo() -> llm.ToolOutput:
        return llm.ToolOutput("a photo", attachments=[llm.Attachment(content=PIXEL)])

    conversation = llm.get_model(f"modelbay/{alias(protocol)}").conversation(tools=[photo])
    results = conversation.prompt("Call photo").execute_tool_calls()
    assert "a photo" in conversation.prompt(tool_results=results).text()
    assert b64encode(PIXEL).decode() in simulator.journal[-1].body.decode()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_conversation_of_another_plug_in_is_continued(protocol: Protocol, simulator: Simulator):
    history = [
        llm.user("a"),
        llm.assistant(
            ReasoningPart("secret", provider_metadata={"other": {"signature": "s"}}),
            ToolCallPart("web_search", {"q": "x"}, "s1", server_executed=True),
            ToolResultPart("web_search", "found", "s1", server_executed=True),
            "b",
        ),
    ]
    answer = llm.get_model(name(protocol)).prompt("c", messages=history).text()
    assert "question 2" in answer
    if protocol != "openai_chat":  # this model requires its reasoning there
        assert b"secret" not in simulator.journal[0].body
    assert b"s1" not in simulator.journal[0].body


def test_a_call_that_is_cut_off_is_an_error_and_is_not_run(own_home: Path, simulator: Simulator):
    (own_home / "config.toml").write_text(config_text(simulator.url, "sk-acme-1").replace("sim-echo", "sim-1"))
    chain = llm.get_model("modelbay/sim-chat").chain(
        'Call weather for "a city with a long name"', tools=[weather], options={"max_tokens": 6}
    )
    with pytest.raises(llm.ModelError, match="weather with arguments that are not a JSON object"):
        chain.text()


def test_a_refusal_and_withheld_thinking_survive_the_conversation():
    conversation = llm.get_model(name("anthropic")).conversation()
    assert "cannot help" in conversation.prompt("SIM_REFUSE").text()
    conversation.prompt("SIM_REDACT please", effort="high").text()
    again = conversation.prompt("And now?", effort="high")
    assert "question 3" in again.text()


def test_listing_models_reads_no_facts_and_uses_no_network(tmp_path: Path):
    code = (
        "import sys; from llm.cli import cli; cli(['models'], standalone_mode=False);"
        "print([m for m in ('modelbay.catalog.models_dev.index', 'modelbay.transport') if m in sys.modules])"
    )
    done = python(environment(tmp_path / "site", "llm"), "-c", code)
    assert name("google") in done.stdout, done
    assert done.stdout.splitlines()[-1] == "[]"


def test_embedding_models_make_vectors(own_home: Path, simulator: Simulator):
    with (own_home / "config.toml").open("a") as config:
        config.write('\n[models.vectors]\nprovider = "sim-chat"\nmodel = "text-embedding-3-small"\n')
    [found] = [one for one in llm.get_embedding_models_with_aliases() if one.model.model_id.startswith("modelbay/")]
    assert (found.model.model_id, list(found.aliases)) == (
        "modelbay/sim-chat/text-embedding-3-small",
        ["modelbay/vectors"],
    )
    model = llm.get_embedding_model("modelbay/vectors")
    first, second = model.embed_multi(["The sky is blue", "A fast car"])
    assert model.embed("The sky is blue") == first != second
    assert [len(decode(entry.body)["input"]) for entry in simulator.journal] == [2, 1]
