"""The servers do what other tests rely on. The client is the standard library only, as wire.py explains."""

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import IncompleteRead
from pathlib import Path
from typing import Any

import pytest

from tests.servers import SENTENCE, THOUGHT, cache
from tests.servers.aimock import Aimock, aimock_server
from tests.servers.fixtures import skipping_where_unavailable
from tests.servers.llamacpp import LlamaServer
from tests.servers.process import ROOT, StartError, healthy, running
from tests.servers.wire import DONE, Answer, call

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL = {"name": "get_weather", "description": "The weather of a city.", "parameters": SCHEMA}
CHAT_TOOL = {"type": "function", "function": TOOL}


def chat(server: LlamaServer | Aimock, text: str = "Hello?", **settings: Any) -> Answer:
    body = {"model": "tiny", "temperature": 0, "messages": [{"role": "user", "content": text}]} | settings
    return call(f"{server.openai}/chat/completions", body)


def messages(server: LlamaServer | Aimock, text: str = "Hello?", **settings: Any) -> Answer:
    body = {"model": "tiny", "temperature": 0, "max_tokens": 100, "messages": [{"role": "user", "content": text}]}
    return call(f"{server.url}/v1/messages", body | settings)


def responses(server: LlamaServer | Aimock, text: str = "Hello?", **settings: Any) -> Answer:
    return call(f"{server.openai}/responses", {"model": "tiny", "temperature": 0, "input": text} | settings)


def said(answer: Answer, field: str = "content") -> str:
    """The text of a streamed chat completion."""
    chunks = [event for event in answer.events if event != DONE]
    return "".join(chunk["choices"][0]["delta"].get(field) or "" for chunk in chunks if chunk["choices"])


class TestLlamaCpp:
    def test_whole_chat_says_the_sentence(self, llamacpp: LlamaServer):
        reply = chat(llamacpp).json
        assert reply["choices"][0]["message"]["content"] == SENTENCE
        assert reply["choices"][0]["finish_reason"] == "stop"
        assert reply["usage"]["completion_tokens"] > 10

    def test_streamed_chat_says_the_sentence_in_pieces(self, llamacpp: LlamaServer):
        answer = chat(llamacpp, stream=True, stream_options={"include_usage": True})
        assert said(answer) == SENTENCE
        assert len(answer.events) > 10
        assert answer.events[-1] == DONE
        assert answer.events[-2]["usage"]["completion_tokens"] > 10

    def test_anthropic_messages_say_the_sentence(self, llamacpp: LlamaServer):
        reply = messages(llamacpp).json
        assert reply["content"] == [{"type": "text", "text": SENTENCE}]
        assert reply["stop_reason"] == "end_turn"

    def test_anthropic_stream_says_the_sentence(self, llamacpp: LlamaServer):
        events = messages(llamacpp, stream=True).events
        deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
        assert "".join(delta["text"] for delta in deltas if delta["type"] == "text_delta") == SENTENCE
        assert events[-1]["type"] == "message_stop"

    def test_anthropic_tokens_are_counted(self, llamacpp: LlamaServer):
        body = {"model": "tiny", "messages": [{"role": "user", "content": "Hello?"}]}
        assert call(f"{llamacpp.url}/v1/messages/count_tokens", body).json["input_tokens"] > 5

    def test_responses_say_the_sentence(self, llamacpp: LlamaServer):
        reply = responses(llamacpp).json
        assert [part["text"] for item in reply["output"] for part in item["content"]] == [SENTENCE]
        assert reply["status"] == "completed"

    def test_responses_stream_says_the_sentence(self, llamacpp: LlamaServer):
        events = responses(llamacpp, stream=True).events
        assert "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta") == SENTENCE
        assert events[-1]["type"] == "response.completed"

    def test_forced_tool_choice_yields_a_valid_call(self, llamacpp: LlamaServer):
        choice = chat(llamacpp, tools=[CHAT_TOOL], tool_choice="required").json["choices"][0]
        (tool_call,) = choice["message"]["tool_calls"]
        assert tool_call["function"]["name"] == "get_weather"
        assert json.loads(tool_call["function"]["arguments"]).keys() == {"city"}
        assert choice["finish_reason"] == "tool_calls"

    def test_forced_tool_choice_yields_a_tool_use_block(self, llamacpp: LlamaServer):
        tool = {"name": "get_weather", "input_schema": SCHEMA}
        reply = messages(llamacpp, tools=[tool], tool_choice={"type": "any"}).json
        uses = [block for block in reply["content"] if block["type"] == "tool_use"]
        assert [(use["name"], use["input"].keys()) for use in uses] == [("get_weather", {"city"})]
        assert reply["stop_reason"] == "tool_use"

    def test_conversation_continues_after_a_tool_result(self, llamacpp: LlamaServer):
        asked = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
        history = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": None, "tool_calls": [asked]},
            {"role": "tool", "tool_call_id": "c1", "content": "Sunny."},
        ]
        assert chat(llamacpp, messages=history, tools=[CHAT_TOOL]).json["choices"][0]["message"]["content"] == SENTENCE

    def test_json_schema_is_enforced(self, llamacpp: LlamaServer):
        schema = {"type": "json_schema", "json_schema": {"name": "place", "strict": True, "schema": SCHEMA}}
        reply = chat(llamacpp, response_format=schema).json
        assert json.loads(reply["choices"][0]["message"]["content"]).keys() == {"city"}

    def test_ignoring_the_end_gives_a_long_stream(self, llamacpp: LlamaServer):
        answer = chat(llamacpp, stream=True, ignore_eos=True, max_tokens=500)
        assert len(answer.events) > 300

    def test_too_long_a_conversation_is_refused_with_a_named_error(self, llamacpp: LlamaServer):
        answer = chat(llamacpp, "x " * llamacpp.context)
        assert answer.status == 400
        assert answer.json["error"]["type"] == "exceed_context_size_error"

    def test_models_list_names_the_model(self, llamacpp: LlamaServer):
        assert [model["id"] for model in call(f"{llamacpp.openai}/models").json["data"]] == [llamacpp.model]

    def test_key_is_required_if_the_server_has_one(self, llamacpp_locked: LlamaServer):
        url, body = f"{llamacpp_locked.openai}/completions", {"prompt": "Hello?", "max_tokens": 1}
        assert call(url, body).status == 401
        assert call(url, body, authorization="Bearer wrong").status == 401
        assert call(url, body, authorization=f"Bearer {llamacpp_locked.api_key}").status == 200
        assert call(url, body, x_api_key=f"{llamacpp_locked.api_key}").status == 200


class TestLlamaCppThinking:
    def test_chat_reasons_and_then_answers(self, llamacpp_thinking: LlamaServer):
        message = chat(llamacpp_thinking).json["choices"][0]["message"]
        assert message["reasoning_content"].strip() == THOUGHT
        assert message["content"] == SENTENCE

    def test_streamed_reasoning_comes_before_the_text(self, llamacpp_thinking: LlamaServer):
        answer = chat(llamacpp_thinking, stream=True)
        assert said(answer, "reasoning_content").strip() == THOUGHT
        assert said(answer) == SENTENCE
        fields = [key for event in answer.events[:-1] for key, value in event["choices"][0]["delta"].items() if value]
        assert fields.index("reasoning_content") < fields.index("content")
        assert "reasoning_content" not in fields[fields.index("content") :]

    def test_anthropic_messages_have_a_thinking_block(self, llamacpp_thinking: LlamaServer):
        thinking, text = messages(llamacpp_thinking).json["content"]
        assert (thinking["type"], thinking["thinking"].strip()) == ("thinking", THOUGHT)
        assert text == {"type": "text", "text": SENTENCE}

    def test_responses_have_a_reasoning_item(self, llamacpp_thinking: LlamaServer):
        reasoning, message = responses(llamacpp_thinking).json["output"]
        assert (reasoning["type"], reasoning["content"][0]["text"].strip()) == ("reasoning", THOUGHT)
        assert message["content"][0]["text"] == SENTENCE

    def test_thinking_can_be_switched_off(self, llamacpp_thinking: LlamaServer):
        reply = chat(llamacpp_thinking, chat_template_kwargs={"enable_thinking": False}).json
        assert reply["choices"][0]["message"] == {"role": "assistant", "content": SENTENCE}

    def test_forced_tool_choice_reasons_and_then_calls(self, llamacpp_thinking: LlamaServer):
        message = chat(llamacpp_thinking, tools=[CHAT_TOOL], tool_choice="required").json["choices"][0]["message"]
        assert message["reasoning_content"].strip() == THOUGHT
        assert [tool_call["function"]["name"] for tool_call in message["tool_calls"]] == ["get_weather"]


GREETING = "Hello from aimock."
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "Hello?"}]}]}


class TestAimock:
    def test_openai_chat(self, aimock: Aimock):
        assert chat(aimock).json["choices"][0]["message"]["content"] == GREETING
        assert said(chat(aimock, stream=True)) == GREETING

    def test_openai_responses(self, aimock: Aimock):
        assert responses(aimock).json["output"][0]["content"][0]["text"] == GREETING
        assert responses(aimock, stream=True).events[-1]["type"] == "response.completed"

    def test_openai_embeddings(self, aimock: Aimock):
        answer = call(f"{aimock.openai}/embeddings", {"model": "m", "input": "Hello?"})
        assert answer.json["data"][0]["embedding"] == [0.25, -0.5, 1.0]

    def test_anthropic(self, aimock: Aimock):
        assert messages(aimock).json["content"] == [{"type": "text", "text": GREETING}]
        assert messages(aimock, stream=True).events[-1]["type"] == "message_stop"

    def test_gemini(self, aimock: Aimock):
        whole = call(f"{aimock.google}/models/gemini:generateContent", CONTENTS).json
        assert whole["candidates"][0]["content"]["parts"] == [{"text": GREETING}]
        events = call(f"{aimock.google}/models/gemini:streamGenerateContent?alt=sse", CONTENTS).events
        assert events[-1]["candidates"][0]["finishReason"] == "STOP"
        assert events[-1]["usageMetadata"]["totalTokenCount"] == 14

    def test_vertex(self, aimock: Aimock):
        path = "v1/projects/p/locations/global/publishers/google/models/gemini:generateContent"
        reply = call(f"{aimock.url}/{path}", CONTENTS).json
        assert reply["candidates"][0]["content"]["parts"] == [{"text": GREETING}]

    @pytest.mark.parametrize(
        "path",
        ["openai/deployments/mine/chat/completions?api-version=2024-10-21", "openai/v1/chat/completions"],
    )
    def test_azure(self, aimock: Aimock, path: str):
        body = {"model": "mine", "messages": [{"role": "user", "content": "Hello?"}]}
        assert call(f"{aimock.url}/{path}", body, api_key="any").json["choices"][0]["message"]["content"] == GREETING

    def test_ollama(self, aimock: Aimock):
        body = {"model": "m", "messages": [{"role": "user", "content": "Hello?"}]}
        whole = call(f"{aimock.url}/api/chat", body | {"stream": False}).json
        assert whole["message"]["content"] == GREETING
        lines = call(f"{aimock.url}/api/chat", body).lines
        assert "".join(line["message"]["content"] for line in lines) == GREETING
        assert lines[-1]["done"]

    def test_openrouter(self, aimock: Aimock):
        body = {"model": "some/model", "messages": [{"role": "user", "content": "Hello?"}]}
        reply = call(f"{aimock.openrouter}/chat/completions", body).json
        assert reply["choices"][0]["message"]["content"] == GREETING
        assert reply["provider"] == "some"

    def test_tool_call_and_the_answer_to_its_result(self, aimock: Aimock):
        message = chat(aimock, "How is the weather?", tools=[CHAT_TOOL]).json["choices"][0]["message"]
        assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"city": "Paris"}
        result = {"role": "tool", "tool_call_id": "call_weather", "content": "Sunny."}
        history = [{"role": "user", "content": "How is the weather?"}, message, result]
        reply = chat(aimock, messages=history, tools=[CHAT_TOOL]).json
        assert reply["choices"][0]["message"]["content"] == "It is sunny in Paris."

    def test_reasoning_comes_in_each_protocol(self, aimock: Aimock):
        thought = "First I think about it."
        assert chat(aimock, "Do think!").json["choices"][0]["message"]["reasoning_content"] == thought
        assert messages(aimock, "Do think!").json["content"][0]["thinking"] == thought
        assert responses(aimock, "Do think!").json["output"][0]["summary"][0]["text"] == thought

    def test_errors_are_of_each_protocol(self, aimock: Aimock):
        limited = chat(aimock, "This is too fast.")
        assert (limited.status, limited.headers["retry-after"]) == (429, "2")
        assert limited.json["error"]["code"] == "rate_limit_exceeded"
        overloaded = messages(aimock, "This is too much.")
        assert (overloaded.status, overloaded.json["error"]["type"]) == (529, "overloaded_error")

    def test_stream_can_break_off_in_the_middle(self, aimock: Aimock):
        with pytest.raises(IncompleteRead) as broken:
            chat(aimock, "Please break off.", stream=True)
        assert b'"content":"This "' in broken.value.partial

    def test_next_request_can_be_made_to_fail(self, aimock: Aimock):
        aimock.fail_next(503)
        assert [chat(aimock).status, chat(aimock).status] == [503, 200]

    def test_faults_last_as_long_as_their_context(self, aimock: Aimock):
        with aimock.chaos(rateLimitRate=1.0):
            assert chat(aimock).status == 429
        assert chat(aimock).status == 200

    def test_journal_shows_what_arrived(self, aimock: Aimock):
        assert aimock.journal() == []
        call(
            f"{aimock.url}/v1/messages", {"model": "m", "max_tokens": 5, "messages": []}, anthropic_version="2023-06-01"
        )
        (entry,) = aimock.journal()
        assert (entry["method"], entry["path"]) == ("POST", "/v1/messages")
        assert entry["headers"]["anthropic-version"] == "2023-06-01"

    def test_key_is_required_if_the_server_has_one(self, tmp_path: Path):
        with skipping_where_unavailable(), aimock_server(tmp_path / "log", api_key="sk-mock") as locked:
            url = f"{locked.google}/models/gemini:generateContent"
            assert call(url, CONTENTS).status == 401
            assert call(url, CONTENTS, x_goog_api_key="wrong").status == 401
            assert call(url, CONTENTS, x_goog_api_key=f"{locked.api_key}").status == 200


class TestRunning:
    SERVER = "import sys; print('listening on http://127.0.0.1:9', flush=True); sys.stdin.read()"

    def test_server_that_ends_at_once_is_reported_with_its_output(self, tmp_path: Path):
        command = [sys.executable, "-c", "import sys; sys.exit('no such model')"]
        with pytest.raises(StartError, match=r"ended with 1:\nno such model"), running(command, log=tmp_path / "log"):
            pass

    def test_server_that_never_gets_healthy_is_ended(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("tests.servers.process.START", 0.5)
        command = [sys.executable, "-c", self.SERVER]
        with pytest.raises(StartError, match="took too long"), running(command, log=tmp_path / "log"):
            pass

    @pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
    def test_killed_test_process_leaves_no_server_behind(self, aimock: Aimock, llamacpp: LlamaServer, tmp_path: Path):
        program = f"""if True:
            import sys, time
            from contextlib import ExitStack
            from pathlib import Path
            from tests.servers.aimock import aimock_server
            from tests.servers.llamacpp import llama_server
            with ExitStack() as stack:
                servers = aimock_server(Path({str(tmp_path / "a")!r})), llama_server(Path({str(tmp_path / "l")!r}))
                print(*(stack.enter_context(server).url for server in servers), flush=True)
                time.sleep(60)
        """
        with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as victim:
            assert victim.stdout
            urls = victim.stdout.readline().split()
            assert [healthy(url) for url in urls] == [True, True]
            victim.kill()
        deadline = time.monotonic() + 60
        while any(map(healthy, urls)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert [healthy(url) for url in urls] == [False, False]


class TestCache:
    def test_concurrent_callers_build_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(cache, "CACHE", tmp_path)
        made: list[Path] = []

        def make(folder: Path) -> None:
            made.append(folder)
            time.sleep(0.05)
            folder.joinpath("thing").write_text("done")

        with ThreadPoolExecutor(4) as pool:
            folders = set(pool.map(lambda _: cache.made_once("thing", b"source", make), range(4)))
        assert len(made) == 1
        assert [folder.joinpath("thing").read_text() for folder in folders] == ["done"]
        assert cache.made_once("thing", b"changed source", make) not in folders

    def test_incomplete_result_is_not_kept(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(cache, "CACHE", tmp_path)

        def fail(folder: Path) -> None:
            folder.joinpath("half").touch()
            raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"):
            cache.made_once("thing", b"source", fail)
        assert [path for path in tmp_path.iterdir() if path.is_dir()] == []

    def test_tiny_model_is_the_same_bytes_each_time(self, tmp_path: Path):
        for run in ("first", "second"):
            command = [sys.executable, "-m", "tests.servers.tiny_model", str(tmp_path / run)]
            subprocess.run(command, cwd=ROOT, check=True, timeout=60)
        first, second = (
            {path.name: path.read_bytes() for path in (tmp_path / run).iterdir()} for run in ("first", "second")
        )
        assert first.keys() == {"tiny.gguf", "tiny.jinja", "tiny-think.gguf", "tiny-think.jinja"}
        assert first == second
