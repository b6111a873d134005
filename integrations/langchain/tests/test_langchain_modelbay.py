"""The chat model and the embeddings in the real LangChain, against the simulator, in every protocol, with LangChain's own tests."""

from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_core import exceptions as theirs
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    message_to_dict,
    messages_from_dict,
)
from langchain_core.tools import tool
from langchain_tests.integration_tests import ChatModelIntegrationTests, EmbeddingsIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from pydantic import BaseModel, ValidationError

from langchain_modelbay import ChatModelbay, ModelbayEmbeddings
from langchain_modelbay.messages import message_of, turns
from modelbay import Annotation, Hub, Media, Refusal, Reply, Text, Thinking, ToolCall, Turn, errors
from modelbay.config.load import parse
from modelbay.conversation import AnyPart, Protocol, Provenance, ServerToolCall, ServerToolResult, UnknownPart
from modelbay.json_text import decode
from modelbay.simulator import Simulator
from modelbay.simulator.config_entries import BASES, alias, config_text

PROTOCOLS = list(BASES)
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg=="
SIMULATOR = Simulator(key="sk-acme-1")
"""LangChain's tests describe a model by properties, which have no fixtures."""
HUB: dict[str, Hub] = {}


@pytest.fixture(scope="module", autouse=True)
def simulator() -> Iterator[Simulator]:
    with SIMULATOR as running:
        HUB["of all"] = hub_of(running)
        for protocol, base in BASES.items():  # hubs of one provider, whose models are called by their IDs alone
            HUB[protocol] = Hub.of(base_url=running.url + base, api_key="sk-acme-1", protocol=protocol)
        yield running


@pytest.fixture(autouse=True)
def fresh(simulator: Simulator) -> None:
    simulator.reset()


def hub_of(simulator: Simulator, key: str = "sk-acme-1") -> Hub:
    return Hub(parse(config_text(simulator.url, key), Path("config.toml")))


def model(protocol: Protocol, id: str = "sim-echo", **settings: Any) -> ChatModelbay:
    return ChatModelbay(model=f"{alias(protocol)}/{id}", hub=HUB["of all"], **settings)


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


class City(BaseModel):
    name: str
    inhabitants: int


# --- LangChain's own tests ---


class TestUnits(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatModelbay

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "sim-chat/sim-vision", "hub": HUB["of all"]}

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        """Without an API key, which modelbay has."""
        return {"temperature": 0, "max_tokens": 100, "timeout": 60, "stop": [], "max_retries": 2}

    @pytest.mark.xfail(reason="measures the time of a machine", run=False, strict=False)
    def test_init_time(self) -> None:  # type: ignore[override]
        pass


class Standard(ChatModelIntegrationTests):
    """LangChain's tests of calls, with a model of the simulator in one protocol."""

    protocol: Protocol

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatModelbay

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "sim-vision", "hub": HUB[self.protocol]}

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        return {"temperature": 0, "timeout": 60, "max_retries": 2}

    @property
    def model_override_value(self) -> str:
        return "sim-1"

    supports_image_inputs = True
    supports_pdf_inputs = True
    supports_image_tool_message = True
    supports_pdf_tool_message = True
    supports_anthropic_inputs = False

    @pytest.fixture(autouse=True)
    def files(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The files that the tests load from the web."""
        monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "modelbay")

        def get(url: str, **_: Any) -> httpx.Response:
            data = (
                b64decode(PIXEL) if url.endswith(("png", "jpg")) else b"RIFF....WAVE" if "wav" in url else b"%PDF-1.4"
            )
            return httpx.Response(200, content=data, request=httpx.Request("GET", url))

        monkeypatch.setattr(httpx, "get", get)

    @pytest.mark.xfail(reason="the simulator takes values of arguments from quoted words only")
    def test_unicode_tool_call_integration(self, model: BaseChatModel) -> None:  # type: ignore[override]
        super().test_unicode_tool_call_integration(model)

    @pytest.mark.xfail(reason="measures the time of a machine", run=False, strict=False)
    def test_stream_time(self) -> None:
        pass


class TestOpenAIChat(Standard):
    protocol = "openai_chat"
    supports_audio_inputs = True


class TestOpenAIResponses(Standard):
    protocol = "openai_responses"


class TestAnthropic(Standard):
    protocol = "anthropic"


class TestGoogle(Standard):
    protocol = "google"
    supports_audio_inputs = True


del Standard


class TestEmbeddings(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[ModelbayEmbeddings]:
        return ModelbayEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": "sim-chat/sim-1", "hub": HUB["of all"], "dimensions": 64}


# --- calls ---


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("how", ["invoke", "stream", "ainvoke", "astream"])
async def test_parallel_tools_are_run_and_the_reasoning_is_sent_back(protocol: Protocol, how: str):
    """The simulator refuses a history whose signatures are missing or changed. The history is stored and loaded, too."""
    llm = model(protocol, settings={"effort": "high"}).bind_tools([weather])

    async def ask(messages: list[BaseMessage]) -> Any:
        if how == "invoke":
            return llm.invoke(messages)
        if how == "ainvoke":
            return await llm.ainvoke(messages)
        chunks = list(llm.stream(messages)) if how == "stream" else [chunk async for chunk in llm.astream(messages)]
        whole: Any = chunks[0]
        for chunk in chunks[1:]:
            whole = whole + chunk
        return whole

    history: list[BaseMessage] = [SystemMessage("Be brief."), HumanMessage('In parallel, call weather for "Paris"')]
    reply = await ask(history)
    assert [one["type"] for one in reply.content_blocks] == ["reasoning", "tool_call", "tool_call"]
    assert len(reply.tool_calls) == 2 and reply.tool_calls[0]["args"] == {"city": "Paris"}
    assert reply.usage_metadata["output_token_details"]["reasoning"]
    assert reply.response_metadata["finish_reason"] == "tool_calls"
    history += [reply, *(weather.invoke(call) for call in reply.tool_calls)]
    stored = messages_from_dict([message_to_dict(message) for message in history])
    answer = await ask(stored)
    assert "rain in Paris" in answer.text
    again = await ask([*stored, answer, HumanMessage("And now?")])
    assert "And now?" in again.text
    if how == "astream":
        await HUB["of all"].aclose()
        HUB["of all"] = hub_of(SIMULATOR)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output_is_a_value(protocol: Protocol, method: Any):
    structured = model(protocol).with_structured_output(City, method=method, include_raw=True)
    found: Any = structured.invoke('Describe the City "Paris"')
    assert isinstance(found["parsed"], City) and found["raw"].response_metadata["model_name"] == "sim-echo"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_json_mode_gives_an_object(protocol: Protocol, simulator: Simulator):
    if protocol == "anthropic":  # its API has no JSON mode; the simulated model does not follow the system prompt
        model(protocol).with_structured_output(City, method="json_mode", include_raw=True).invoke("hi")
        assert simulator.journal.last.json["system"] == "Answer with one JSON object and nothing else."
    else:
        asked = model(protocol).with_structured_output(
            {"title": "T", "type": "object", "properties": {}}, method="json_mode"
        )
        assert asked.invoke("JSON, please") == {"answer": "JSON, please"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_settings_reach_the_provider(protocol: Protocol, simulator: Simulator):
    llm = model(protocol, "sim-vision", max_tokens=3000, settings={"extra_headers": {"x-team": "blue"}})
    llm.bind(temperature=0.5).invoke("hi", stop=["END"] if protocol != "openai_responses" else None)
    [entry] = simulator.journal
    assert entry.headers["x-team"] == "blue"
    body = entry.body.decode()
    assert "3000" in body and "0.5" in body and ("END" in body or protocol == "openai_responses")


def test_unknown_settings_are_refused():
    with pytest.raises(TypeError, match="did you mean"):
        model("anthropic").invoke("hi", temprature=1)
    with pytest.raises(ValidationError, match="temprature"):
        ChatModelbay(model="sim-chat", hub=HUB["of all"], temprature=1)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("any", {"type": "any"}),
        ("weather", {"type": "tool", "name": "weather"}),
        ({"type": "function", "function": {"name": "weather"}}, {"type": "tool", "name": "weather"}),
        ("none", {"type": "none"}),
    ],
)
def test_the_choice_of_tools_is_sent(simulator: Simulator, choice: Any, expected: dict[str, str]):
    model("anthropic", "sim-vision").bind_tools([weather], tool_choice=choice, parallel_tool_calls=False).invoke("hi")
    sent = decode(simulator.journal[0].body)["tool_choice"]
    assert {word: sent[word] for word in expected} == expected


def test_streams_call_callbacks_with_each_token():
    seen: list[Any] = []

    class Handler(BaseCallbackHandler):
        def on_llm_new_token(self, token: Any, **_: Any) -> None:
            seen.append(token)

    list(model("anthropic").stream("Why?", config={"callbacks": [Handler()]}))
    assert len(seen) > 3


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_refusal_keeps_its_kind(protocol: Protocol):
    reply = model(protocol).invoke("SIM_REFUSE")
    again = model(protocol).invoke([HumanMessage("SIM_REFUSE"), reply, HumanMessage("And now?")])
    assert "question 2" in again.text


# --- errors ---


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_errors_are_those_of_langchain(protocol: Protocol, simulator: Simulator):
    refused = ChatModelbay(model=f"{alias(protocol)}/sim-1", hub=hub_of(simulator, "sk-other"), max_retries=0)
    with pytest.raises((theirs.ModelAuthenticationError, theirs.ModelInvalidRequestError)) as caught:
        refused.invoke("hi")
    assert isinstance(caught.value.__cause__, errors.ProviderError)
    with pytest.raises(theirs.ModelRateLimitError):
        model(protocol, "sim-1!429", max_retries=0).invoke("hi")
    assert len([entry for entry in simulator.journal if entry.status == 429]) == 1
    with pytest.raises((theirs.ModelAPIError, theirs.ModelConnectionError)):
        list(model(protocol, "sim-1!cut-after-first", max_retries=0).stream("hi"))


def test_models_of_one_hub_share_its_counterpart():
    first, second = model("anthropic"), model("google")
    assert first._both.blocking is second._both.blocking
    assert first._both.asynchronous is HUB["of all"]


def test_an_unknown_model_is_an_error_of_the_configuration():
    with pytest.raises(errors.UnknownModel):
        ChatModelbay(model="missing", hub=HUB["of all"]).invoke("hi")


# --- messages ---

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
def test_each_part_of_a_reply_survives_a_stored_history(part: AnyPart):
    message = message_of(Reply(parts=[part]))
    assert turns(messages_from_dict([message_to_dict(message)])) == [Turn("assistant", [part])]


def test_calls_that_a_program_changed_are_sent_as_changed():
    message = message_of(Reply(parts=[ToolCall.of("f", {"a": 1}, "c1"), ToolCall.of("g", {}, "c2")]))
    message.tool_calls[0]["args"] = {"a": 2}
    del message.tool_calls[1]
    assert turns([message]) == [Turn("assistant", [ToolCall.of("f", {"a": 2}, "c1")])]


@pytest.mark.parametrize(
    ("block", "part"),
    [
        (
            {"type": "image", "base64": PIXEL, "mime_type": "image/png"},
            Media(kind="image", data=PIXEL, media_type="image/png"),
        ),
        ({"type": "image", "url": "https://x.example/a"}, Media(kind="image", url="https://x.example/a", name="a")),
        (
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
            Media(kind="image", data=PIXEL, media_type="image/png"),
        ),
        ({"type": "audio", "url": "https://x.example/a"}, Media(kind="audio", url="https://x.example/a", name="a")),
        (
            {"type": "file", "base64": "JVBERi0xLjQ=", "mime_type": "application/pdf", "extras": {"filename": "a.pdf"}},
            Media(kind="document", data="JVBERi0xLjQ=", media_type="application/pdf", name="a.pdf"),
        ),
        ({"type": "file", "file_id": "f1"}, Media(kind="document", file_id="f1")),
        (
            {"type": "text-plain", "text": "a", "mime_type": "text/plain", "title": "T"},
            Media(kind="document", text="a", media_type="text/plain", name="T"),
        ),
        (
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
            Text(text="a", cache={"type": "ephemeral"}),
        ),
    ],
)
def test_content_blocks_are_parts(block: dict[str, Any], part: AnyPart):
    [turn] = turns([HumanMessage([block], name="Ann")])
    assert turn == Turn("user", [part], name="Ann")


@pytest.mark.parametrize(
    "message",
    [
        HumanMessage([{"type": "new", "a": 1}]),
        HumanMessage([{"type": "image"}]),
        ChatMessage(role="critic", content="a"),
    ],
)
def test_messages_without_a_counterpart_are_refused(message: BaseMessage):
    with pytest.raises(ValueError, match=r"new|image|ChatMessage"):
        turns([message])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_reasoning_of_another_integration_is_not_sent(simulator: Simulator, protocol: Protocol):
    foreign = AIMessage(
        [{"type": "reasoning", "reasoning": "secret"}, {"type": "text", "text": "b"}],
        response_metadata={"model_provider": "other", "output_version": "v1"},
    )
    model(protocol, "sim-vision").invoke([HumanMessage("a"), foreign, HumanMessage("c")])
    assert "secret" not in simulator.journal[0].body.decode()


def test_a_tool_that_failed_is_an_error_for_the_model():
    failed = ToolMessage("no", tool_call_id="c1", status="error", name="f")
    [turn] = turns([failed])
    assert turn.parts[0].is_error  # type: ignore[union-attr]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tokens_are_counted(protocol: Protocol):
    llm = model(protocol)
    few = llm.get_num_tokens("hi")
    assert 0 < few < llm.get_num_tokens("many words " * 100)
    assert few < llm.get_num_tokens_from_messages([HumanMessage("hi")], tools=[weather])


def test_the_profile_has_the_facts_of_the_model():
    profile = model("anthropic", "claude-sonnet-4-5").profile
    assert profile and profile["tool_calling"] and profile["max_input_tokens"]
