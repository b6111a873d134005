"""Agents of the real Pydantic AI with models of modelbay, against the simulator, in every protocol."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import (
    Agent,
    BinaryContent,
    CachePoint,
    ImageUrl,
    ModelHTTPError,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    ModelRetry,
    NativeOutput,
    PromptedOutput,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolOutput,
    ToolReturn,
    UnexpectedModelBehavior,
    UsageLimitExceeded,
    UsageLimits,
    UserContent,
    UserError,
    UserPromptPart,
    WebSearchTool,
)
from pydantic_ai import exceptions as theirs
from pydantic_ai.capabilities import NativeTool
from pydantic_ai.messages import CompactionPart, ContentCitationAnchor, VideoUrl, WebCitationSource
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.settings import ToolOrOutput
from pydantic_ai.tools import ToolDefinition

from modelbay import Annotation, Hub, Media, Refusal, Text, Thinking, ToolCall, Turn
from modelbay.config.load import parse
from modelbay.conversation import AnyPart, Protocol, Provenance, ServerToolCall, ServerToolResult, UnknownPart
from modelbay.json_text import decode
from modelbay.simulator import Simulator
from modelbay.simulator.config_entries import BASES, alias, config_text
from pydantic_ai_modelbay import ModelbayModel, ModelbayModelSettings
from pydantic_ai_modelbay.messages import replied, turns

PROTOCOLS = list(BASES)
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)
THINKING = ModelbayModelSettings(thinking="high")


class City(BaseModel):
    name: str
    inhabitants: int


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(key="sk-acme-1") as running:
        yield running


@pytest.fixture
async def hub(simulator: Simulator) -> AsyncIterator[Hub]:
    simulator.reset()
    async with hub_of(simulator) as hub:
        yield hub


def hub_of(simulator: Simulator, key: str = "sk-acme-1") -> Hub:
    return Hub(parse(config_text(simulator.url, key), Path("config.toml")))


def model(hub: Hub, protocol: Protocol, id: str = "sim-echo") -> ModelbayModel:
    return ModelbayModel(f"{alias(protocol)}/{id}", hub=hub)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=folder)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_agent_answers(hub: Hub, protocol: Protocol):
    result = await Agent(model(hub, protocol), instructions="Be brief.").run("Why is the sky blue?")
    assert "Why is the sky blue?" in result.output
    assert result.usage.input_tokens and result.usage.output_tokens
    assert (result.response.model_name, result.response.finish_reason) == ("sim-echo", "stop")
    assert result.response.provider_name == alias(protocol)
    assert result.response.provider_response_id


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_agent_streams(hub: Hub, protocol: Protocol):
    async with Agent(model(hub, protocol)).run_stream("Why is the sky blue?", model_settings=THINKING) as result:
        pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
    assert len(pieces) > 1 and "Why is the sky blue?" in "".join(pieces)
    assert result.usage.input_tokens and result.usage.output_reasoning_tokens
    assert (result.response.finish_reason, result.response.state) == ("stop", "complete")
    assert isinstance(result.response.parts[0], ThinkingPart)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("stream", [False, True])
async def test_parallel_tools_are_run_and_the_reasoning_is_sent_back(hub: Hub, protocol: Protocol, stream: bool):
    """The simulator refuses a history whose signatures are missing or changed. The history passes through JSON, too."""
    agent = Agent(model(hub, protocol), tools=[weather], model_settings=THINKING)
    asked = 'In parallel, call weather for "Paris"'
    if stream:
        async with agent.iter(asked) as run:
            async for node in run:
                if Agent.is_model_request_node(node):
                    async with node.stream(run.ctx) as events:
                        async for _ in events:
                            pass
        result: Any = run.result
    else:
        result = await agent.run(asked)
    assert "rain in Paris" in result.output
    calls = result.all_messages()[1]
    assert [type(part) for part in calls.parts] == [ThinkingPart, ToolCallPart, ToolCallPart]
    history = ModelMessagesTypeAdapter.validate_json(result.all_messages_json())
    again = await agent.run("And now?", message_history=history)
    assert "And now?" in again.output


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_the_signature_of_thinking_is_visible(hub: Hub, protocol: Protocol):
    result = await Agent(model(hub, protocol), model_settings=THINKING).run("Why?")
    thinking = result.response.parts[0]
    assert isinstance(thinking, ThinkingPart)
    assert thinking.provider_name == "modelbay" and thinking.provider_details
    state = thinking.provider_details["modelbay"]
    assert state["type"] == "thinking" and state.get("opaque") == thinking.signature


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("mode", [ToolOutput, NativeOutput, PromptedOutput])
@pytest.mark.parametrize("stream", [False, True])
async def test_output_is_a_value_in_each_mode(hub: Hub, protocol: Protocol, mode: Any, stream: bool):
    agent: Agent[None, City] = Agent(model(hub, protocol), output_type=mode(City))
    asked = 'Give the City as JSON: "Paris"'
    if (
        mode is PromptedOutput
    ):  # the simulator does not follow instructions: its answer is not JSON, so that it is asked again
        with pytest.raises(UnexpectedModelBehavior, match="retries"):
            await agent.run(asked)
    elif stream:
        async with agent.run_stream(asked) as result:
            assert (await result.get_output()).name
    else:
        assert (await agent.run(asked)).output.name


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_thinking_is_kept_with_structured_output(hub: Hub, protocol: Protocol):
    """Some protocols have no thinking in a reply that must call a tool."""
    for output in (City, ToolOutput(City)):
        agent: Agent[None, Any] = Agent(model(hub, protocol, "sim-vision"), output_type=output, model_settings=THINKING)
        result = await agent.run('Call final_result for "Paris"')
        assert isinstance(result.response.parts[0], ThinkingPart)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_tool_that_fails_is_told_to_the_model(hub: Hub, protocol: Protocol):
    def lookup(city: str) -> str:
        raise ModelRetry(f"no such city: {city}")

    agent = Agent(model(hub, protocol), tools=[lookup])
    result = await agent.run('Call lookup for "Atlantis"')
    assert "no such city" in result.output


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_files_of_users_and_of_tools_are_sent(hub: Hub, protocol: Protocol):
    agent = Agent(model(hub, protocol, "sim-vision"))
    content: list[UserContent] = [
        "Look",
        BinaryContent(PIXEL, media_type="image/png"),
        BinaryContent(b"%PDF-1.4 x", media_type="application/pdf"),
    ]
    described = (await agent.run(content)).output
    assert "image" in described and "document" in described

    def photo() -> ToolReturn[Any]:
        return ToolReturn(return_value=["a photo", BinaryContent(PIXEL, media_type="image/png")])

    result = await Agent(model(hub, protocol, "sim-vision"), tools=[photo]).run("Call photo")
    assert "a photo" in result.output


async def test_urls_keep_their_kind_and_detail(hub: Hub, simulator: Simulator):
    content: list[UserContent] = [
        "Look",
        ImageUrl("https://img.example.com/of/it", media_type="image/png", vendor_metadata={"detail": "low"}),
        CachePoint(ttl="1h"),
    ]
    await Agent(model(hub, "openai_chat", "sim-vision")).run(content)
    [message] = decode(simulator.journal[0].body)["messages"]
    assert message["content"][1]["image_url"] == {"url": "https://img.example.com/of/it", "detail": "low"}
    simulator.reset()
    await Agent(model(hub, "anthropic", "sim-vision")).run(["Look", CachePoint(ttl="1h")])
    [message] = decode(simulator.journal[0].body)["messages"]
    assert message["content"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}


async def test_metadata_of_a_file_without_a_field_is_refused(hub: Hub):
    content: list[UserContent] = ["Look", VideoUrl("https://x.example/a.mp4", vendor_metadata={"fps": 2})]
    with pytest.raises(UserError, match="fps"):
        await Agent(model(hub, "google", "sim-vision")).run(content)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_settings_reach_the_provider(hub: Hub, protocol: Protocol, simulator: Simulator):
    settings = ModelbayModelSettings(
        max_tokens=2000, temperature=0.5, extra_headers={"x-team": "blue"}, modelbay_settings={"max_tokens": 3000}
    )
    await Agent(model(hub, protocol, "sim-vision"), model_settings=settings).run("hi")
    [entry] = simulator.journal
    assert entry.headers["x-team"] == "blue"
    assert "3000" in entry.body.decode() and "0.5" in entry.body.decode()


@pytest.mark.parametrize(
    ("choice", "outputs", "expected"),
    [
        ("required", False, {"type": "any"}),
        ("none", False, {"type": "none"}),
        ("none", True, ["final_result"]),
        (["weather"], False, ["weather"]),
        (ToolOrOutput(["weather"]), True, ["weather", "final_result"]),
        (None, True, {"type": "any"}),
    ],
)
async def test_the_choice_of_tools_is_sent(hub: Hub, simulator: Simulator, choice: Any, outputs: bool, expected: Any):
    parameters = ModelRequestParameters(
        function_tools=[ToolDefinition(name="weather"), ToolDefinition(name="clock")],
        output_tools=[ToolDefinition(name="final_result", kind="output")] if outputs else [],
        output_mode="tool" if outputs else "text",
        allow_text_output=not outputs,
    )
    settings = ModelbayModelSettings(tool_choice=choice, parallel_tool_calls=False)
    await model(hub, "anthropic").request([ModelRequest([UserPromptPart("hi")])], settings, parameters)
    body = decode(simulator.journal[0].body)
    if isinstance(expected, list):
        assert sorted(tool["name"] for tool in body["tools"]) == sorted(expected)
    else:
        assert body["tool_choice"]["type"] == expected["type"]


async def test_facts_of_the_model_are_its_profile(hub: Hub):
    text = Hub(parse(config_text("http://127.0.0.1:9", "k") + TEXT_ONLY, Path("config.toml")))
    profile = ModelbayModel("text", hub=text).profile
    assert (profile["supports_tools"], profile["supports_image_input"]) == (False, False)
    assert profile["context_window"] == 4000
    assert model(hub, "google").profile["supports_tools"]


TEXT_ONLY = """
[models.text]
provider = "sim-chat"
model = "text"
tool_call = false
image_in = false
max_context_size = 4000
"""


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_http_error_is_one_of_pydantic_ai(simulator: Simulator, protocol: Protocol, stream: bool):
    async with hub_of(simulator, "sk-other") as hub:
        with pytest.raises(ModelHTTPError) as caught:
            await asked(Agent(model(hub, protocol)), "hi", stream)
    assert caught.value.status_code in (400, 401, 403)
    assert caught.value.hint and caught.value.headers is not None and not caught.value.in_stream
    assert isinstance(caught.value, theirs.ModelRequestRejectedError)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_server_that_cannot_be_reached_is_a_connection_error(stream: bool):
    async with Hub.of(base_url="http://127.0.0.1:9/v1", api_key="k") as hub:
        agent = Agent(ModelbayModel("m", hub=hub), model_settings=ModelbayModelSettings(max_retries=0))
        with pytest.raises(theirs.ModelConnectionError) as caught:
            await asked(agent, "hi", stream)
    assert caught.value.phase == "connect"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_reply_that_breaks_off_is_an_error(hub: Hub, protocol: Protocol, stream: bool):
    agent = Agent(model(hub, protocol, "sim-1!cut-after-first"), model_settings=ModelbayModelSettings(max_retries=0))
    with pytest.raises((UnexpectedModelBehavior, theirs.ModelConnectionError)):
        await asked(agent, "hi", stream)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_overloaded_provider_is_named_so(hub: Hub, protocol: Protocol):
    agent = Agent(model(hub, protocol, "sim-1!429"), model_settings=ModelbayModelSettings(max_retries=0))
    with pytest.raises(theirs.ModelRateLimitError) as caught:
        await agent.run("hi")
    assert isinstance(caught.value, ModelHTTPError)


async def asked(agent: Agent[None, Any], prompt: str, stream: bool) -> None:
    if stream:
        async with agent.run_stream(prompt) as result:
            await result.get_output()
    else:
        await agent.run(prompt)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_refusal_is_a_content_filter_and_keeps_its_kind(hub: Hub, protocol: Protocol):
    result = await Agent(model(hub, protocol)).run("SIM_REFUSE")
    assert result.response.finish_reason == "content_filter"
    assert "cannot help" in result.output
    again = await Agent(model(hub, protocol)).run("And now?", message_history=result.all_messages())
    assert "question 2" in again.output


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_tokens_are_counted_before_a_request(hub: Hub, protocol: Protocol):
    agent = Agent(model(hub, protocol))
    limits = UsageLimits(input_tokens_limit=50, count_tokens_before_request=True)
    assert (await agent.run("hi", usage_limits=limits)).output
    with pytest.raises(UsageLimitExceeded):
        await agent.run("many words " * 100, usage_limits=limits)


async def test_a_stream_that_fails_falls_back_to_another_model(hub: Hub):
    failing = model(
        hub,
        "google",
        "sim-1!429",
    )
    both = FallbackModel(failing, model(hub, "anthropic"))
    async with Agent(both, model_settings=ModelbayModelSettings(max_retries=0)).run_stream("hi") as result:
        assert "hi" in await result.get_output()
    assert result.response.provider_name == "sim-anthropic"


async def test_a_stream_can_be_cancelled(hub: Hub):
    async with Agent(model(hub, "anthropic")).run_stream("write 5000 words") as result:
        async for _ in result.stream_text(delta=True):
            break
        await result.cancel()
    assert result.response.state == "interrupted"


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_parts_of_other_models_are_accepted(hub: Hub, simulator: Simulator, protocol: Protocol):
    """Reasoning of another adapter is not sent, because its signature belongs to another provider."""
    history: list[ModelMessage] = [
        ModelRequest([UserPromptPart("a")]),
        ModelResponse([ThinkingPart("secret", signature="s", provider_name="other"), TextPart("b")]),
    ]
    result = await Agent(model(hub, protocol, "sim-vision")).run("c", message_history=history)
    assert "question 2" in result.output
    assert "secret" not in simulator.journal[0].body.decode()


async def test_native_tools_are_refused_by_name(hub: Hub):
    agent = Agent(model(hub, "anthropic"), capabilities=[NativeTool(WebSearchTool())])
    with pytest.raises(UserError, match="WebSearch"):
        await agent.run("hi")


async def test_a_file_is_downloaded_if_the_message_requires_it(hub: Hub, simulator: Simulator, tmp_path: Path):
    (tmp_path / "dot").write_bytes(PIXEL)
    with served(tmp_path) as url:
        content: list[UserContent] = [
            "Look",
            ImageUrl(f"{url}/dot", media_type="image/png", force_download="allow-local"),
        ]
        await Agent(model(hub, "anthropic", "sim-vision")).run(content)
    [message] = decode(simulator.journal[0].body)["messages"]
    assert message["content"][1]["source"]["media_type"] == "image/png"
    assert message["content"][1]["source"]["type"] == "base64"


CLAUDE = Provenance("anthropic", "anthropic", "claude")


@pytest.mark.parametrize(
    "part",
    [
        Text(
            text="a", annotations=[Annotation("url", url="https://x.example", title="X", start=0, end=1)], origin=CLAUDE
        ),
        Text(text="", opaque="sig", origin=CLAUDE),
        Refusal(text="no", origin=CLAUDE),
        Thinking(texts=["a", "b"], summary=True, item_id="rs_1", opaque="sig", origin=CLAUDE),
        Thinking(opaque="redacted", native="redacted_thinking", origin=CLAUDE),
        ToolCall(name="f", arguments='{"b": 1,  "a": 2.0}', id="c1", opaque="sig", origin=CLAUDE),
        ToolCall(name="f", arguments='{"b": ', id="c1"),
        Media(kind="image", data="aGk=", media_type="image/png", origin=CLAUDE),
        ServerToolCall(name="web_search", arguments='{"q":"x"}', id="s1", native="server_tool_use", origin=CLAUDE),
        ServerToolResult(call_id="s1", content=[{"type": "x"}], native="web_search_tool_result", origin=CLAUDE),
        UnknownPart(native="new", raw={"type": "new"}, origin=CLAUDE),
    ],
)
async def test_each_part_of_a_reply_survives_a_stored_history(part: AnyPart):
    stored = ModelMessagesTypeAdapter.dump_json([ModelResponse([replied(part)])])
    assert b"sig" not in stored or b"modelbay" in stored
    [turn] = await turns(ModelMessagesTypeAdapter.validate_json(stored))
    assert turn == Turn("assistant", [part])


def test_citations_are_those_of_pydantic_ai():
    part = replied(Text(text="a", annotations=[Annotation("url", url="https://x.example", title="X", start=0, end=1)]))
    assert isinstance(part, TextPart) and part.citations
    [citation] = part.citations
    assert citation.sources == [WebCitationSource("https://x.example", title="X")]
    assert citation.anchor == ContentCitationAnchor(start=0, end=1)


async def test_a_file_that_models_cannot_read_is_an_error_of_the_user(hub: Hub):
    content: list[UserContent] = ["Look", BinaryContent(b"\xff\xfe\x00", media_type="text/plain")]
    with pytest.raises(UserError, match="the file"):
        await Agent(model(hub, "anthropic")).run(content)


async def test_a_part_without_a_counterpart_is_refused():
    with pytest.raises(UserError, match="CompactionPart"):
        await turns([ModelResponse([CompactionPart("summary")])])
