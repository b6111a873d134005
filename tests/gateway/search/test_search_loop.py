"""Web search for clients whose provider does not have it: official SDKs as clients, models of all protocols behind them."""

import json
from pathlib import Path
from typing import Any

import pytest
from anthropic import Anthropic
from google import genai
from google.genai import types
from openai import BadRequestError, OpenAI

from modelbay.conversation import Text, ToolCall
from tests.gateway.running import KEY, PROTOCOLS, RunningGateway, running
from tests.gateway.search.scripted import ANSWER, LINK, ScriptedModel, SearchServer, search, searching
from tests.gateway.test_app import call
from tests.servers.loopback import Handler, served

QUESTION = "When is high tide in Wellington?"
FOUND = ("https://tides.example/wellington", "https://other.example/a")
WEATHER: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}


def others(protocol: str) -> list[str]:
    return [other for other in PROTOCOLS if other != protocol]


def simple(protocol: str) -> ScriptedModel:
    return ScriptedModel(protocol, [search()], [Text(text=ANSWER)])


def messages(gateway: RunningGateway) -> Any:
    return Anthropic(base_url=gateway.url, api_key=KEY, max_retries=0).messages


def responses(gateway: RunningGateway) -> Any:
    return OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0).responses


def asked(**more: Any) -> dict[str, Any]:
    tool = {"type": "web_search_20250305", "name": "web_search", **more.pop("tool", {})}
    tools = [tool, *more.pop("tools", [])]
    return {
        "model": "m",
        "max_tokens": 999,
        "messages": [{"role": "user", "content": QUESTION}],
        "tools": tools,
        **more,
    }


# --- Anthropic ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("upstream", others("anthropic"))
def test_an_anthropic_client_gets_the_search_as_blocks(tmp_path: Path, upstream: str, streamed: bool) -> None:
    with searching(tmp_path, simple(upstream)) as (gateway, engine):
        if streamed:
            with messages(gateway).stream(**asked()) as stream:
                reply = stream.get_final_message()
        else:
            reply = messages(gateway).create(**asked())
    called, found, text = reply.content
    assert (called.type, called.name, called.input) == ("server_tool_use", "web_search", {"query": "tides Wellington"})
    assert found.type == "web_search_tool_result"
    assert found.tool_use_id == called.id
    assert called.id.startswith("srvtoolu_")
    assert [(one.type, one.url, one.page_age) for one in found.content] == [
        ("web_search_result", FOUND[0], "2026-11-01"),
        ("web_search_result", FOUND[1], None),
    ]
    assert found.content[0].title == "Tides of Wellington"
    assert text.text == ANSWER
    (citation,) = text.citations
    assert (citation.type, citation.url, citation.cited_text) == (
        "web_search_result_location",
        FOUND[0],
        "High tide is at 6:12.",
    )
    assert reply.stop_reason == "end_turn"
    assert reply.usage.server_tool_use.web_search_requests == 1
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (20, 10), "the sum of both calls of the model"
    assert engine.queries == ["tides Wellington"]


@pytest.mark.parametrize("upstream", others("anthropic"))
def test_the_next_request_has_the_same_search_for_the_model(tmp_path: Path, upstream: str) -> None:
    model = ScriptedModel(upstream, [search()], [Text(text=ANSWER)], [Text(text="Yes.")])
    with searching(tmp_path, model) as (gateway, _):
        first = messages(gateway).create(**asked())
        history = [
            {"role": "user", "content": QUESTION},
            {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]},
            {"role": "user", "content": "Are you sure?"},
        ]
        messages(gateway).create(**asked(messages=history))
    during, after = model.history(1), model.history(2)
    assert [kind for kind, _ in during] == ["tool_call", "tool_result"]
    assert "High tide is at 6:12." in during[1][1]
    assert after[: len(during)] == during, "the model sees the search as before, and its cache stays valid"
    assert [kind for kind, _ in after[2:]] == ["text", "text"]
    calls = [part for turn in model.conversation(2).turns for part in turn.parts if isinstance(part, ToolCall)]
    if upstream != "google":
        assert [one.id for one in calls] == ["call_1"]


def test_a_client_without_the_tool_sends_earlier_searches_back(tmp_path: Path) -> None:
    model = ScriptedModel("openai_chat", [search()], [Text(text=ANSWER)], [Text(text="Yes.")])
    with searching(tmp_path, model) as (gateway, _):
        first = messages(gateway).create(**asked())
        history = [
            {"role": "user", "content": QUESTION},
            {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]},
            {"role": "user", "content": "Are you sure?"},
        ]
        messages(gateway).create(model="m", max_tokens=99, messages=history)
    assert [kind for kind, _ in model.history(2)] == ["tool_call", "tool_result", "text", "text"]


def test_searches_beyond_the_clients_limit_are_errors(tmp_path: Path) -> None:
    model = ScriptedModel("openai_chat", [search("one"), search("two", "call_2")], [Text(text="Done.")])
    with searching(tmp_path, model) as (gateway, engine):
        reply = messages(gateway).create(**asked(tool={"max_uses": 1}))
    assert [block.type for block in reply.content] == [
        "server_tool_use", "server_tool_use", "web_search_tool_result", "web_search_tool_result", "text",
    ]  # fmt: skip
    assert [block.tool_use_id for block in reply.content[2:4]] == [block.id for block in reply.content[:2]]
    assert reply.content[3].content.type == "web_search_tool_result_error"
    assert reply.content[3].content.error_code == "max_uses_exceeded"
    assert engine.queries == ["one"]
    assert model.bodies[1]["tool_choice"] == "none", "no further search is possible"
    assert reply.usage.server_tool_use.web_search_requests == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [(500, "unavailable"), (429, "too_many_requests"), (403, "unavailable"), (414, "query_too_long")],
)
def test_a_failed_search_is_an_error_block_and_the_model_answers(tmp_path: Path, status: int, code: str) -> None:
    engine = SearchServer()
    engine.status = status
    model = ScriptedModel("google", [search()], [Text(text="I do not know.")])
    with searching(tmp_path, model, engine=engine) as (gateway, _):
        reply = messages(gateway).create(**asked())
    assert reply.content[1].content.error_code == code
    assert reply.content[2].text == "I do not know."
    assert "The search failed" in model.history(1)[1][1]


def test_a_call_without_a_query_is_an_error_for_the_model(tmp_path: Path) -> None:
    model = ScriptedModel(
        "openai_chat", [ToolCall(name="web_search", arguments='{"q": 1}', id="call_1")], [Text(text="Well.")]
    )
    with searching(tmp_path, model) as (gateway, engine):
        reply = messages(gateway).create(**asked())
    assert reply.content[1].content.error_code == "invalid_tool_input"
    assert engine.queries == []


@pytest.mark.parametrize("streamed", [False, True])
def test_a_client_answers_its_own_calls_after_the_search(tmp_path: Path, streamed: bool) -> None:
    weather = ToolCall(name="weather", arguments='{"city": "Wellington"}', id="call_2")
    model = ScriptedModel("openai_chat", [Text(text="Let me see."), search(), weather], [Text(text=ANSWER)])
    tools = [{"name": "weather", "input_schema": WEATHER}]
    with searching(tmp_path, model) as (gateway, _):
        body = asked(tools=tools)
        if streamed:
            with messages(gateway).stream(**body) as stream:
                reply = stream.get_final_message()
        else:
            reply = messages(gateway).create(**body)
        assert [block.type for block in reply.content] == [
            "text",
            "server_tool_use",
            "tool_use",
            "web_search_tool_result",
        ]
        assert reply.stop_reason == "tool_use"
        result = {"type": "tool_result", "tool_use_id": reply.content[2].id, "content": "Sunny."}
        history = [
            {"role": "user", "content": QUESTION},
            {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in reply.content]},
            {"role": "user", "content": [result]},
        ]
        messages(gateway).create(**asked(tools=tools, messages=history))
    assert len(model.bodies) == 2
    calls = [one["id"] for one in model.bodies[1]["messages"][1]["tool_calls"]]
    assert calls == ["call_1", "call_2"]
    assert [one["tool_call_id"] for one in model.bodies[1]["messages"][2:4]] == calls


def test_a_forced_search_is_forced_once(tmp_path: Path) -> None:
    model = simple("openai_chat")
    with searching(tmp_path, model) as (gateway, _):
        messages(gateway).create(**asked(tool_choice={"type": "tool", "name": "web_search"}))
    assert model.bodies[0]["tool_choice"] == {"type": "function", "function": {"name": "web_search"}}
    assert model.bodies[1]["tool_choice"] == "auto"


def test_the_function_tool_gets_a_name_that_is_free(tmp_path: Path) -> None:
    model = ScriptedModel("openai_chat", [search(name="web_search_2")], [Text(text=ANSWER)])
    own = {"name": "web_search", "input_schema": WEATHER}
    hosted = {"type": "web_search_20250305", "name": "search"}
    with searching(tmp_path, model) as (gateway, engine):
        messages(gateway).create(**asked(tools=[own]) | {"tools": [own, hosted]})
    assert [tool["function"]["name"] for tool in model.bodies[0]["tools"]] == ["web_search", "web_search_2"]
    assert engine.queries == ["tides Wellington"]


def test_filters_of_the_client_apply_to_all_results(tmp_path: Path) -> None:
    with searching(tmp_path, simple("openai_chat")) as (gateway, engine):
        reply = messages(gateway).create(**asked(tool={"blocked_domains": ["tides.example"]}))
    assert [page.url for page in reply.content[1].content] == [FOUND[1]]
    assert engine.queries == ["tides Wellington -site:tides.example"]


def test_the_location_is_told_to_the_model(tmp_path: Path) -> None:
    model = simple("openai_chat")
    place = {"type": "approximate", "city": "Utrecht", "country": "NL"}
    with searching(tmp_path, model) as (gateway, _):
        messages(gateway).create(**asked(tool={"user_location": place}))
    assert "Utrecht, NL" in model.bodies[0]["tools"][0]["function"]["description"]


# --- Responses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("upstream", others("openai_responses"))
def test_a_responses_client_gets_the_search_as_an_item(tmp_path: Path, upstream: str) -> None:
    with searching(tmp_path, simple(upstream)) as (gateway, _):
        reply = responses(gateway).create(
            model="m", input=QUESTION, tools=[{"type": "web_search"}], include=["web_search_call.action.sources"]
        )
    item = reply.output[0]
    assert (item.type, item.status, item.action.type) == ("web_search_call", "completed", "search")
    assert item.id.startswith("ws_")
    assert item.action.query == "tides Wellington"
    assert [source.url for source in item.action.sources] == [*FOUND]
    (content,) = reply.output[-1].content
    (annotation,) = content.annotations
    assert (annotation.type, annotation.url) == ("url_citation", FOUND[0])
    assert (annotation.start_index, annotation.end_index) == LINK
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (20, 10)


@pytest.mark.parametrize("upstream", others("openai_responses"))
def test_a_responses_stream_shows_the_steps_of_a_search(tmp_path: Path, upstream: str) -> None:
    with searching(tmp_path, simple(upstream)) as (gateway, _):
        events = list(responses(gateway).create(model="m", input=QUESTION, tools=[{"type": "web_search"}], stream=True))
    own = [event for event in events if "web_search_call" in event.type]
    assert [event.type.rpartition(".")[2] for event in own] == ["in_progress", "searching", "completed"]
    done = events[-1].response.output
    assert {event.item_id for event in own} == {done[0].id}
    assert [item.type for item in done] == ["web_search_call", "reasoning", "message"]
    assert done[0].action.sources is None, "the client did not ask for them"


@pytest.mark.parametrize("kept", ["all", "without IDs", "only the item", "previous_response_id"])
def test_a_responses_client_continues_after_a_search(tmp_path: Path, kept: str) -> None:
    model = ScriptedModel("anthropic", [search()], [Text(text=ANSWER)], [Text(text="Yes.")])
    with searching(tmp_path, model) as (gateway, _):
        tools = [{"type": "web_search"}]
        first = responses(gateway).create(model="m", input=QUESTION, tools=tools)
        items = [item.model_dump(exclude_none=True) for item in first.output]
        if kept == "without IDs":  # Codex
            items = [{name: value for name, value in item.items() if name != "id"} for item in items]
        if kept == "only the item":
            items = [item for item in items if item["type"] != "reasoning"]
        if kept == "previous_response_id":
            responses(gateway).create(model="m", input="Sure?", tools=tools, previous_response_id=first.id)
        else:
            given = [{"role": "user", "content": QUESTION}, *items, {"role": "user", "content": "Sure?"}]
            responses(gateway).create(model="m", input=given, tools=tools, store=False)
    during, after = model.history(1), model.history(2)
    assert [kind for kind, _ in after] == ["tool_call", "tool_result", "text", "text"]
    if kept == "only the item":
        assert json.loads(after[0][1]) == {"query": "tides Wellington"}
        assert "not available" in after[1][1]
    else:
        assert after[:2] == during


def test_codex_gets_an_answer_without_a_back_end(tmp_path: Path) -> None:
    """It declares the tool in every request, beside its own tools."""
    model = ScriptedModel("anthropic", [Text(text="Hello.")])
    tools = [
        {"type": "function", "name": "shell", "parameters": WEATHER},
        {"type": "web_search", "external_web_access": True},
    ]
    with searching(tmp_path, model, settings=None) as (gateway, _):
        raw = responses(gateway).with_raw_response.create(model="m", input="Hi", tools=tools)
    assert raw.parse().output_text == "Hello."
    assert raw.headers["x-modelbay-dropped"] == "web_search"


def test_a_search_of_two_steps_is_one_reply(tmp_path: Path) -> None:
    model = ScriptedModel(
        "openai_chat", [search("one")], [Text(text="More."), search("two", "call_2")], [Text(text=ANSWER)]
    )
    with searching(tmp_path, model) as (gateway, engine):
        events = list(responses(gateway).create(model="m", input=QUESTION, tools=[{"type": "web_search"}], stream=True))
    assert engine.queries == ["one", "two"]
    assert [item.type for item in events[-1].response.output] == [
        "web_search_call", "reasoning", "message", "web_search_call", "reasoning", "message",
    ]  # fmt: skip
    assert events[-1].response.usage.input_tokens == 30
    assert [kind for kind, _ in model.history(2)] == ["tool_call", "tool_result", "text", "tool_call", "tool_result"]


def test_a_responses_client_answers_its_own_calls_after_the_search(tmp_path: Path) -> None:
    weather = ToolCall(name="weather", arguments='{"city":"Wellington"}', id="call_2")
    model = ScriptedModel("openai_chat", [search(), weather], [Text(text=ANSWER)])
    tools = [{"type": "web_search"}, {"type": "function", "name": "weather", "parameters": WEATHER}]
    with searching(tmp_path, model) as (gateway, _):
        first = responses(gateway).create(model="m", input=QUESTION, tools=tools)
        assert [item.type for item in first.output] == ["web_search_call", "function_call", "reasoning"]
        items = [item.model_dump(exclude_none=True) for item in first.output]
        output = {"type": "function_call_output", "call_id": first.output[1].call_id, "output": "Sunny."}
        given = [{"role": "user", "content": QUESTION}, *items, output]
        responses(gateway).create(model="m", input=given, tools=tools, store=False)
    sent = model.bodies[1]["messages"]
    assert [one["id"] for one in sent[1]["tool_calls"]] == ["call_1", "call_2"]
    assert [one["tool_call_id"] for one in sent[2:]] == ["call_1", "call_2"]


@pytest.mark.parametrize("upstream", others("anthropic"))
def test_a_model_that_must_get_its_thinking_back_gets_it_with_searches(tmp_path: Path, upstream: str) -> None:
    engine = SearchServer()
    with engine.serving() as url:
        table = f'[gateway.search]\nbackend = "searxng"\nurl = "{url}"\n'
        with running(tmp_path, model="sim-echo", more=table) as (gateway, _):
            ask = asked() | {
                "model": upstream,
                "messages": [{"role": "user", "content": "Do a web search for the tides"}],
            }
            first = messages(gateway).create(**ask)
            assert len(engine.queries) == 1
            content = [block.model_dump(exclude_none=True) for block in first.content]
            history = [
                *ask["messages"],
                {"role": "assistant", "content": content},
                {"role": "user", "content": "Sure?"},
            ]
            second = messages(gateway).create(**ask | {"messages": history})
    assert second.content[-1].type == "text"


# --- the others --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("upstream", others("openai_chat"))
def test_a_chat_client_gets_citations(tmp_path: Path, upstream: str, streamed: bool) -> None:
    with searching(tmp_path, simple(upstream)) as (gateway, engine):
        client = OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0).chat.completions
        asks: Any = {
            "model": "m",
            "messages": [{"role": "user", "content": QUESTION}],
            "web_search_options": {"search_context_size": "low"},
        }
        if streamed:
            chunks = list(client.create(**asks, stream=True, stream_options={"include_usage": True}))
            found = [one for chunk in chunks for choice in chunk.choices for one in _annotations(choice.delta)]
            usage = chunks[-1].usage
        else:
            reply = client.create(**asks)
            assert "1" in reply.id, "the ID of the first step"
            found, usage = [one.model_dump() for one in reply.choices[0].message.annotations or ()], reply.usage
    (annotation,) = found
    cited = annotation["url_citation"]
    assert annotation["type"] == "url_citation"
    assert (cited["url"], cited["title"]) == (FOUND[0], "Tides of Wellington")
    assert (cited["start_index"], cited["end_index"]) == LINK
    assert cited.keys() == {"url", "title", "start_index", "end_index"}
    assert usage is not None
    assert usage.prompt_tokens == 20
    assert engine.queries == ["tides Wellington"]


def _annotations(delta: Any) -> list[Any]:
    return delta.model_dump().get("annotations") or []


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("upstream", others("google"))
def test_a_gemini_client_gets_grounding(tmp_path: Path, upstream: str, streamed: bool) -> None:
    with searching(tmp_path, simple(upstream)) as (gateway, _):
        options = types.HttpOptions(base_url=gateway.url)
        client = genai.Client(api_key=KEY, http_options=options)
        config = types.GenerateContentConfig(tools=[types.Tool(google_search=types.GoogleSearch())])
        asks: Any = {"model": "m", "contents": QUESTION, "config": config}
        reply = (
            list(client.models.generate_content_stream(**asks))[-1]
            if streamed
            else client.models.generate_content(**asks)
        )
    (candidate,) = reply.candidates or [types.Candidate()]
    grounding = candidate.grounding_metadata
    assert grounding is not None
    assert grounding.web_search_queries == ["tides Wellington"]
    assert [chunk.web.uri for chunk in grounding.grounding_chunks or () if chunk.web] == [*FOUND]
    (support,) = grounding.grounding_supports or [types.GroundingSupport()]
    assert support.grounding_chunk_indices == [0]
    assert support.segment is not None
    assert (support.segment.start_index, support.segment.end_index) == LINK


# --- who searches ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("forced", [False, True])
def test_without_a_back_end_a_search_is_refused_and_the_setting_is_named(tmp_path: Path, forced: bool) -> None:
    model = ScriptedModel("anthropic")
    tools: list[Any] = [{"type": "web_search"}]
    if forced:
        tools.append({"type": "function", "name": "shell", "parameters": WEATHER})
    with searching(tmp_path, model, settings=None) as (gateway, _), pytest.raises(BadRequestError) as refused:
        responses(gateway).create(
            model="m", input=QUESTION, tools=tools, tool_choice={"type": "web_search"} if forced else "auto"
        )
    assert "[gateway.search]" in str(refused.value)
    assert refused.value.param == "web_search"
    assert model.bodies == []


async def test_each_protocol_refuses_a_search_in_its_own_form(tmp_path: Path) -> None:
    bodies: dict[str, tuple[str, dict[str, Any]]] = {
        "anthropic": ("/v1/messages", asked()),
        "openai_chat": (
            "/v1/chat/completions",
            {"model": "m", "messages": [{"role": "user", "content": "x"}], "web_search_options": {}},
        ),
        "google": (
            "/v1beta/models/m:generateContent",
            {"contents": [{"role": "user", "parts": [{"text": "x"}]}], "tools": [{"google_search": {}}]},
        ),
    }
    for protocol, (path, body) in bodies.items():
        folder = tmp_path / protocol
        folder.mkdir()
        with searching(folder, ScriptedModel(others(protocol)[0]), settings=None) as (gateway, _):
            status, _, refusal = await call(gateway.url, path, body)
        assert status == 400, protocol
        assert b"[gateway.search]" in refusal


def test_a_strict_gateway_refuses_the_tool_beside_others(tmp_path: Path) -> None:
    tools: list[Any] = [{"type": "web_search"}, {"type": "function", "name": "shell", "parameters": WEATHER}]
    with (
        searching(tmp_path, ScriptedModel("anthropic"), settings=None, more="strict = true") as (gateway, _),
        pytest.raises(BadRequestError, match=r"gateway\.search"),
    ):
        responses(gateway).create(model="m", input=QUESTION, tools=tools)


def test_the_header_names_the_back_end(tmp_path: Path) -> None:
    model = ScriptedModel("openai_chat", [Text(text="Hello.")], [Text(text="Hello.")])
    with searching(tmp_path, model) as (gateway, _):
        searched = messages(gateway).with_raw_response.create(**asked())
        plain = messages(gateway).with_raw_response.create(model="m", max_tokens=9, messages=asked()["messages"])
    assert searched.headers["x-modelbay-search"] == "searxng"
    assert "x-modelbay-search" not in plain.headers


def test_a_provider_of_the_clients_protocol_searches_itself(tmp_path: Path) -> None:
    model = ScriptedModel("anthropic", [Text(text="Hello.")])
    with searching(tmp_path, model) as (gateway, _):
        messages(gateway).create(**asked())
    assert model.bodies[0]["tools"] == asked()["tools"]


def test_a_provider_that_cannot_search_gets_the_function_tool_in_its_own_protocol(tmp_path: Path) -> None:
    model = ScriptedModel("anthropic", [search()], [Text(text=ANSWER)], [Text(text="Yes.")])
    with searching(tmp_path, model, dialect="dialect = { hosted_search = false }") as (gateway, engine):
        first = messages(gateway).create(**asked(), extra_headers={"anthropic-beta": "some-beta"})
        assert [block.type for block in first.content] == ["server_tool_use", "web_search_tool_result", "text"]
        assert [headers.get("anthropic-beta") for headers in model.headers] == ["some-beta"] * 2
        content = [block.model_dump(exclude_none=True) for block in first.content]
        history = [
            *asked()["messages"],
            {"role": "assistant", "content": content},
            {"role": "user", "content": "Sure?"},
        ]
        messages(gateway).create(**asked(messages=history))
    assert engine.queries == ["tides Wellington"]
    assert [tool["name"] for tool in model.bodies[0]["tools"]] == ["web_search"]
    assert "type" not in model.bodies[0]["tools"][0]
    sent = model.bodies[2]["messages"]
    assert [block["type"] for block in sent[1]["content"]] == ["tool_use"]
    assert [block["type"] for block in sent[2]["content"]] == ["tool_result"]
    assert sent[1:3] == model.bodies[1]["messages"][1:3]


def test_a_provider_that_searches_itself_gets_earlier_searches_as_calls(tmp_path: Path) -> None:
    """Only the gateway can read their results."""
    model = ScriptedModel("openai_chat", [search()], [Text(text=ANSWER)])
    with searching(tmp_path, model) as (gateway, _):
        first = messages(gateway).create(**asked())
    content = [block.model_dump(exclude_none=True) for block in first.content]
    history = [*asked()["messages"], {"role": "assistant", "content": content}, {"role": "user", "content": "Sure?"}]
    later = tmp_path / "later"
    later.mkdir()
    model = ScriptedModel("anthropic", [Text(text="Yes.")])
    with searching(later, model) as (gateway, _):
        messages(gateway).create(**asked(messages=history))
    (body,) = model.bodies
    assert [[block["type"] for block in message["content"]] for message in body["messages"][1:3]] == [
        ["tool_use"],
        ["tool_result"],
    ]
    assert "citations" not in body["messages"][3]["content"][0], "they have no index of its own"
    assert body["tools"] == asked()["tools"]
    assert "modelbay1" not in json.dumps(body)


def test_a_key_of_the_back_end_is_a_reference_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEARCH_KEY", "sk-search-0123456789abcdef")
    seen: list[str] = []

    class Brave(Handler):
        def do_GET(self) -> None:
            seen.append(self.headers["X-Subscription-Token"])
            self.answer(500, b"sk-search-0123456789abcdef")

    model = simple("openai_chat")
    with served(Brave) as url, model.serving() as upstream:
        config = tmp_path / "config.toml"
        table = f'[gateway.search]\nbackend = "brave"\nurl = "{url}"\napi_key = "{{env:SEARCH_KEY}}"\n'
        provider = f'[providers.p]\ntype = "openai"\nbase_url = "{upstream}/v1"\napi_key = "sk-provider"\n'
        config.write_text(table + provider + '[models.m]\nprovider = "p"\nmodel = "m"\n')
        with RunningGateway(config) as gateway:
            reply = messages(gateway).with_raw_response.create(**asked())
    assert seen == ["sk-search-0123456789abcdef"]
    assert "sk-search" not in reply.text()
    assert reply.parse().content[1].content.error_code == "unavailable"
