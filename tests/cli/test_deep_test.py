"""`provider test --deep`, from its cost to requests that its results change, against simulated providers that lack something."""

import json
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from threading import Event
from typing import Any

import pytest

from modelbay.conversation import (
    Conversation,
    Media,
    OutputFormat,
    Settings,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    user,
)
from modelbay.errors import Unsupported
from modelbay.hub import Hub
from modelbay.onboarding.deep_plan import PLANNED
from modelbay.onboarding.pictures import picture
from modelbay.simulator import Simulator
from modelbay.simulator.simulated_provider import Incoming, SimulatedProvider, SimulatorSettings
from tests.cli.command import MODELBAY, Command
from tests.cli.inside import Inside, Person
from tests.servers.loopback import JSON, Handler, served

TYPES = {
    "openai_chat": ("openai", "/v1"),
    "openai_responses": ("openai_responses", "/v1"),
    "anthropic": ("anthropic", ""),
    "google": ("google-genai", ""),
}
TOOL = Tool(
    name="get_weather",
    schema={
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
)


@pytest.fixture
def bay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    return Inside(tmp_path, monkeypatch)


def entry(url: str, protocol: str = "openai_chat", model: str = "sim-1", more: str = "") -> str:
    type, base = TYPES[protocol]
    text = f'[providers.acme]\ntype = "{type}"\nbase_url = "{url}{base}"\napi_key = "sk-1"\n'
    return f'{text}\n[models.large]\nprovider = "acme"\nmodel = "{model}"\n{more}'


def deep(bay: Inside, *more: str) -> dict[str, Any]:
    """The result of a test of one model."""
    run = bay("provider", "test", "acme", "--deep", "--yes", "--json", *more)
    assert run.out, run.err
    (result,) = json.loads(run.out)
    assert result["calls"] <= sum(one.most for one in PLANNED.values())
    return dict(result)


def results(result: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["result"] for check in result["checks"]}


def details(result: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["detail"] for check in result["checks"]}


@contextmanager
def odd(
    without: str, bay: Inside, protocol: str = "openai_chat", model: str = "sim-1", more: str = ""
) -> Iterator[Simulator]:
    """A running provider without a feature, as `acme` in the configuration."""
    with Simulator(without=[without] if without else []) as sim:
        bay.file.write_text(entry(sim.url, protocol, model, more))
        yield sim


# --- the cost, and consent ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["acme"],
        [],
        ["acme", "--json"],
        ["acme", "--forget"],
        ["acme", "--model", "sim-1", "--model", "sim-echo"],
        ["--model", "large"],
        ["--model", "unknown"],
        ["acme", "--model", "text-embedding-3-small", "--yes"],
        ["unknown", "--yes"],
    ],
)
def test_nothing_is_sent_before_the_user_agreed(bay: Inside, arguments: list[str]):
    with odd("", bay) as sim:
        run = bay("provider", "test", "--deep", *arguments)
        assert run.code != 0
        assert len(sim.journal) == 0
    assert not (bay.home / "probes.json").exists()


def test_without_a_terminal_the_cost_is_shown_and_the_test_refused(bay: Inside):
    with odd("", bay, more="cost = { input = 1, output = 4 }\n"):
        run = bay("provider", "test", "acme", "--deep")
    assert (run.code, run.out) == (2, "")
    assert run.err == (
        "The deep test of 1 model sends real requests, which the provider may charge for:\n"
        "  large: 18 to 40 calls, at most 36,670 tokens in and 40,960 out, price $0.0287 to $0.2005\n"
        "Total: at most 40 calls, at most 36,670 tokens in and 40,960 out, price at most $0.2005\n"
        "error: not a terminal: pass --yes to confirm the cost\n\n"
        "hint: see `modelbay provider test --help`\n"
    )


def test_an_unknown_price_is_not_a_low_one(bay: Inside):
    with odd("", bay) as sim:
        bay.file.write_text(
            entry(sim.url) + '[models.dear]\nprovider = "acme"\nmodel = "dear"\ncost = { input = 1, output = 4 }\n'
        )
        said = bay("provider", "test", "--deep", "--model", "large", "--model", "dear").err
    assert "large: 18 to 40 calls, at most 36,670 tokens in and 40,960 out, price unknown\n" in said
    assert said.count("price at most $0.2005, and unknown for 1 model\n") == 1


@pytest.mark.parametrize("answer", ["n", "y"])
def test_a_person_is_asked_after_the_cost(bay: Inside, answer: str):
    with odd("", bay) as sim, Person(bay.home, "provider", "test", "--deep", "acme") as person:
        person.sees("price unknown").sees("Send these requests? [y/N]:")
        assert len(sim.journal) == 0
        person.types(answer)
        code = person.ends()
    assert code == (0 if answer == "y" else 130)
    assert (len(sim.journal) > 0) is (answer == "y")
    assert ("parallel_tools     yes" in person.seen) is (answer == "y")


def test_several_models_require_deep(bay: Inside):
    with odd("", bay) as sim:
        run = bay("provider", "test", "acme", "--model", "a", "--model", "b")
        assert (run.code, len(sim.journal)) == (2, 0)
    assert "several --model options require --deep" in run.err


def test_models_that_cannot_be_talked_to_are_skipped(bay: Inside):
    with odd("", bay) as sim:
        run = bay("provider", "test", "acme", "--deep", "--model", "text-embedding-3-small", "--yes")
        assert (run.code, len(sim.journal)) == (1, 0)
    assert "Skipped acme/text-embedding-3-small: not a chat model (embedding)" in run.err


# --- a provider that has everything ------------------------------------------------------------------------------------

ALL = dict.fromkeys(PLANNED, "yes") | {
    "json_mode": "unknown",
    "max_output": "unknown",
    "context_window": "unknown",
}


@pytest.mark.parametrize(
    ("protocol", "model", "differs"),
    [
        ("openai_chat", "sim-1", {}),
        ("openai_chat", "sim-echo", {"thinking_optional": "no"}),
        ("openai_responses", "sim-1", {}),
        ("anthropic", "sim-1", {"max_output": "yes", "thinking_optional": "unknown"}),
        ("google", "sim-1", {"strict_tools": "unknown"}),
        ("google", "sim-thinker", {"strict_tools": "unknown", "thinking_optional": "no"}),
    ],
)
def test_a_complete_provider_has_all_features_of_its_protocol(
    bay: Inside, protocol: str, model: str, differs: dict[str, str]
):
    with odd("", bay, protocol, model) as sim:
        result = deep(bay)
        assert result["calls"] <= len(sim.journal) <= result["calls"] + 2, "a call may be adapted"
    assert results(result) == ALL | differs, details(result)
    assert result["stopped"] is None


# --- providers without a feature, and the requests that follow ---------------------------------------------------------


def asked(bay: Inside, sim: Simulator, prompt: Any, **settings: Any) -> Any:
    """The body of the request for a prompt, in a new hub."""
    import asyncio

    async def ask() -> None:
        async with Hub.open(bay.file) as hub:
            await hub.complete(prompt, model="large", max_tokens=99, **settings)

    asyncio.run(ask())
    return sim.journal.calls()[-1].json


def history() -> Conversation:
    """Two calls in one message, and their results."""
    calls = [ToolCall(name=TOOL.name, arguments='{"city": "Rome"}', id=f"call_{name}") for name in "ab"]
    answers = [Turn("tool", [ToolResult(call_id=call.id, parts=[Text(text="rain")])]) for call in calls]
    return Conversation([user("go"), Turn("assistant", list(calls)), *answers], Settings(tools=[TOOL]))


@pytest.mark.parametrize("how", ["", "=refuse"])
@pytest.mark.parametrize("protocol", TYPES)
def test_a_forced_call_is_asked_for_in_words(bay: Inside, protocol: str, how: str):
    with odd(f"tool-choice{how}", bay, protocol) as sim:
        found = results(deep(bay))
        assert (found["forced_tool"], found["named_tool"], found["tools"]) == ("no", "no", "yes")
        body = asked(bay, sim, "Hi", tools=[TOOL], tool_choice=ToolChoice("required"))
    assert "You must call the tool `get_weather`" in json.dumps(body)
    assert body.get("tool_choice") in (None, {"type": "auto"}) and "toolConfig" not in body


@pytest.mark.parametrize("how", ["", "=refuse"])
@pytest.mark.parametrize("protocol", TYPES)
def test_a_schema_is_sent_in_words(bay: Inside, protocol: str, how: str):
    with odd(f"json-schema{how}", bay, protocol) as sim:
        found = results(deep(bay))
        assert (found["json_schema"], found["json_mode"]) == ("no", "unknown" if protocol == "anthropic" else "yes")
        body = asked(bay, sim, "Hi", output_format=OutputFormat("json_schema", schema=TOOL.schema))
    assert "Answer with JSON that matches this JSON Schema" in json.dumps(body)
    assert "json_schema" not in json.dumps(body) and "responseJsonSchema" not in json.dumps(body)


def test_one_call_at_a_time_is_asked_for(bay: Inside):
    with odd("parallel-tools", bay) as sim:
        found = deep(bay)
        assert (results(found)["parallel_tools"], results(found)["parallel_history"]) == ("no", "yes")
        body = asked(bay, sim, "What is the weather?", tools=[TOOL])
    assert body["parallel_tool_calls"] is False


@pytest.mark.parametrize("protocol", TYPES)
def test_a_history_with_parallel_calls_is_sent_call_by_call(bay: Inside, protocol: str):
    with odd("parallel-tools=refuse", bay, protocol) as sim:
        found = deep(bay)
        assert (results(found)["parallel_tools"], results(found)["parallel_history"]) == ("yes", "no"), details(found)
        body = asked(bay, sim, history())
    messages = body.get("messages") or body.get("input") or body["contents"]
    assert len(messages) == 5


@pytest.mark.parametrize("protocol", ["openai_chat", "openai_responses"])
def test_strict_is_left_out_of_tools(bay: Inside, protocol: str):
    with odd("strict", bay, protocol) as sim:
        assert results(deep(bay))["strict_tools"] == "no"
        body = asked(bay, sim, "Hi", tools=[Tool(name="f", schema=TOOL.schema, strict=True)])
    assert '"strict": true' not in json.dumps(body)


@pytest.mark.parametrize("how", ["", "=refuse"])
@pytest.mark.parametrize("protocol", TYPES)
def test_images_are_refused_before_they_are_sent(bay: Inside, protocol: str, how: str):
    image = Media(kind="image", data=picture("red"), media_type="image/png")
    with odd(f"images{how}", bay, protocol) as sim:
        found = deep(bay)
        assert results(found)["images"] == "no", details(found)
        count = len(sim.journal.calls())
        with pytest.raises(Unsupported, match="does not accept image"):
            asked(bay, sim, "What is it?", files=[image])
        assert len(sim.journal.calls()) == count


@pytest.mark.parametrize("how", ["", "=refuse"])
def test_tools_are_refused_before_they_are_sent(bay: Inside, how: str):
    with odd(f"tools{how}", bay) as sim:
        found = deep(bay)
        assert results(found)["tools"] == "no", details(found)
        assert results(found)["parallel_tools"] == "unknown"
        with pytest.raises(Unsupported):
            asked(bay, sim, "Hi", tools=[TOOL])


def test_thinking_is_not_returned_to_a_provider_that_rejects_it(bay: Inside):
    with odd("thinking-return", bay) as sim:
        found = results(deep(bay))
        assert (found["thinking_return"], found["thinking_optional"]) == ("no", "yes")
        hub = _replying(bay)
        assert "reasoning_content" not in json.dumps(asked(bay, sim, hub))


def test_thinking_is_returned_to_a_provider_that_requires_it(bay: Inside):
    with odd("", bay, model="sim-echo") as sim:
        assert results(deep(bay))["thinking_optional"] == "no"
        body = asked(bay, sim, history())
    assert [message.get("reasoning_content") for message in body["messages"]] == [None, " ", None, None]


def _replying(bay: Inside) -> Conversation:
    """A loop with the model's own thinking."""
    import asyncio

    async def ask() -> Conversation:
        async with Hub.open(bay.file) as hub:
            reply = await hub.complete("What is the weather?", model="large", tools=[TOOL], effort="low")
        assert reply.thinking
        answer = ToolResult(call_id=reply.tool_calls[0].id, parts=[Text(text="rain")])
        return Conversation(
            [user("What is the weather?"), reply.turn(), Turn("tool", [answer])], Settings(tools=[TOOL])
        )

    return asyncio.run(ask())


def test_a_rejected_effort_is_no_longer_sent(bay: Inside):
    with odd("thinking=refuse", bay) as sim:
        assert results(deep(bay))["thinking"] == "no"
        assert "reasoning_effort" not in asked(bay, sim, "Hi", effort="high")


def test_an_ignored_effort_is_not_a_missing_one(bay: Inside):
    with odd("thinking", bay):
        assert results(deep(bay))["thinking"] == "unknown"


def test_a_provider_that_only_streams_is_asked_for_streams(bay: Inside):
    with odd("whole", bay) as sim:
        found = results(deep(bay))
        assert found["reply"] == "no"
        assert {found[name] for name in ("streaming", "tools", "images", "cache", "parallel_tools")} == {"yes"}
        assert asked(bay, sim, "Hi")["stream"] is True


def test_a_provider_without_streams_is_tested_without_them(bay: Inside):
    with odd("streaming", bay):
        found = results(deep(bay))
    assert (found["reply"], found["streaming"], found["tools"]) == ("yes", "no", "yes")


def test_missing_cache_hits_are_unknown(bay: Inside):
    with odd("cache", bay):
        found = deep(bay)
    assert results(found)["cache"] == "unknown"
    assert results(found)["usage"] == "yes"


def test_caching_with_marks_marks_later_prompts(bay: Inside):
    with odd("", bay, "anthropic") as sim:
        assert "cache_control" not in json.dumps(asked(bay, sim, "Hi"))
        assert results(deep(bay))["cache"] == "yes"
        assert "cache_control" in json.dumps(asked(bay, sim, "Hi"))


def test_rejected_cache_marks_are_told_from_rejected_prompts(bay: Inside):
    with odd("cache=refuse", bay, "anthropic"):
        found = deep(bay)
    assert (results(found)["cache"], results(found)["usage"], results(found)["images"]) == ("no", "yes", "yes")


def test_wrong_counts_are_seen_and_prove_nothing(bay: Inside):
    with odd("usage", bay):
        found = deep(bay)
    assert (results(found)["usage"], results(found)["cache"]) == ("no", "unknown")
    assert details(found)["usage"] == "a prompt of about 6,000 tokens was counted as 1"
    with Simulator(without=["usage", "images"]) as sim:
        bay.file.write_text(entry(sim.url))
        assert results(deep(bay))["images"] == "unknown", "equal counts do not show that the picture was ignored"


def test_the_limit_that_an_error_names_is_a_fact(bay: Inside):
    with odd("output-limit", bay):
        assert results(deep(bay))["max_output"] == "yes"
        shown = bay.done("model", "show", "large")
    assert "max output         32k" in shown
    assert "probe 20" in next(line for line in shown.splitlines() if line.startswith("max output"))


def test_a_small_context_window_is_not_filled(bay: Inside):
    with odd("", bay, model="sim-small", more="max_context_size = 2000\n"):
        found = deep(bay)
    assert details(found)["cache"] == "not tested: the context window is only 2,000 tokens"


def test_an_overflow_names_the_context_window(bay: Inside):
    with odd("", bay, model="sim-small"):
        found = deep(bay)
        shown = json.loads(bay.done("model", "show", "large", "--json"))
    assert (results(found)["cache"], results(found)["context_window"]) == ("unknown", "yes")
    assert (shown["max_context_tokens"], shown["sources"]["max_context_tokens"]) == (2_000, "probe")


def test_the_users_configuration_is_not_tested(bay: Inside):
    with odd("", bay, more="image_in = false\n") as sim:
        found = deep(bay)
        assert not [call for call in sim.journal.calls() if b"image_url" in call.body]
    assert (results(found)["images"], details(found)["images"]) == ("unknown", "not tested: image_in = no (config)")


def test_a_second_test_does_not_depend_on_the_first(bay: Inside):
    with odd("images", bay) as sim:
        assert results(deep(bay))["images"] == "no"
        sim.provider.limitations.ignored.clear()
        assert results(deep(bay))["images"] == "yes"
        assert json.loads(bay.done("model", "show", "large", "--json"))["capabilities"]["image_in"] is True


# --- what is stored ----------------------------------------------------------------------------------------------------


def test_results_are_shown_with_source_and_date_and_deleted_on_request(bay: Inside):
    with odd("images", bay):
        deep(bay)
        shown = json.loads(bay.done("model", "show", "large", "--json"))
        assert (shown["capabilities"]["image_in"], shown["sources"]["image_in"]) == (False, "probe")
        check = shown["probe"]["checks"]["images"]
        assert (check["result"], check["date"], shown["probe"]["provider"]) == ("no", shown["probe"]["date"], "acme")
        lines = bay.done("model", "show", "large")
        assert re.search(rf"^image_in +no +probe {shown['probe']['date']}$", lines, re.MULTILINE)
        assert f"\nprovider test of {shown['probe']['date']}\n" in lines
        run = bay("provider", "test", "acme", "--deep", "--forget")
        assert (run.code, "deleted the results of 1 deep test of acme" in run.err) == (2, True)
        shown = json.loads(bay.done("model", "show", "large", "--json"))
        assert ("probe" in shown, "image_in" in shown.get("capabilities", {})) == (False, False)


def test_results_of_another_base_url_are_ignored_and_named(bay: Inside):
    with odd("images", bay) as sim:
        deep(bay)
        bay.file.write_text(bay.text.replace("/v1", "/v1beta/openai"))
        run = bay("model", "show", "large")
        assert "image_in" not in run.out
        assert f"is ignored: the base URL was {sim.url}/v1\n" in run.err


def test_a_renamed_provider_keeps_its_results_and_a_removed_one_does_not(bay: Inside):
    with odd("images", bay):
        deep(bay)
        bay.done("provider", "rename", "acme", "other")
        assert json.loads(bay.done("model", "show", "large", "--json"))["sources"]["image_in"] == "probe"
        bay.done("provider", "remove", "other", "--yes")
    assert json.loads((bay.home / "probes.json").read_text())["records"] == []


# --- tests that end early ----------------------------------------------------------------------------------------------

Intercept = Callable[[int], tuple[int, bytes, dict[str, str]] | None]


@contextmanager
def intercepted(intercept: Intercept) -> Iterator[str]:
    """The URL of a simulator in which a function may answer a call instead, by its number."""
    provider, numbers = SimulatedProvider(SimulatorSettings()), iter(range(1, 1_000))

    class Odd(Handler):
        def do_POST(self) -> None:
            body = self.body()
            if (other := intercept(next(numbers))) is not None:
                self.answer(*other)
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = provider.handle(Incoming("POST", self.path, "", headers, body)).answer
            said = b"".join(step for step in answer.steps if isinstance(step, bytes))
            self.answer(answer.status, said, {"content-type": answer.headers["content-type"]})

    with served(Odd) as url:
        yield url


def failing(number: int, status: int, **headers: str) -> Intercept:
    error = json.dumps({"error": {"message": "no more", "type": "error", "code": None}}).encode()
    answer = {**JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return lambda at: (status, error, answer) if at >= number else None


@pytest.mark.parametrize(
    ("intercept", "words"),
    [(failing(6, 429, retry_after="3600"), "no more"), (failing(6, 401), "no more"), (failing(6, 402), "no more")],
    ids=["rate limit", "expired login", "no credit"],
)
def test_an_error_of_all_calls_ends_the_test_and_keeps_what_was_found(bay: Inside, intercept: Intercept, words: str):
    with intercepted(intercept) as url:
        bay.file.write_text(entry(url))
        run = bay("provider", "test", "acme", "--deep", "--yes", "--json")
    (result,) = json.loads(run.out)
    assert run.code == 1 and words in result["stopped"]
    found = results(result)
    assert found.keys() == PLANNED.keys()
    assert (found["tools"], found["parallel_tools"], found["images"]) == ("yes", "yes", "unknown")
    assert details(result)["images"].startswith("not tested: ")
    stored = json.loads((bay.home / "probes.json").read_text())["records"][0]["checks"]
    assert (stored["tools"]["result"], stored["images"]["result"]) == ("yes", "unknown")


def test_a_short_rate_limit_is_waited_for(bay: Inside):
    once = failing(6, 429, retry_after="0")
    with intercepted(lambda at: once(at) if at == 6 else None) as url:
        bay.file.write_text(entry(url))
        assert results(deep(bay)) == ALL


def test_a_rejection_that_does_not_come_back_is_not_a_no(bay: Inside):
    once = failing(4, 400)
    with intercepted(lambda at: once(at) if at == 4 else None) as url:
        bay.file.write_text(entry(url))
        assert results(deep(bay))["tools"] == "yes"


def test_a_provider_that_ignores_the_maximum_is_left_before_it_costs_more(bay: Inside):
    reply = {
        "id": "c",
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "ready"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 40_000, "total_tokens": 40_010},
    }
    with intercepted(lambda at: (200, json.dumps(reply).encode(), JSON)) as url:
        bay.file.write_text(entry(url))
        result = deep(bay)
    assert "the agreed maximum is used up" in result["stopped"]
    assert result["output_tokens"] <= 2 * 40_000


def test_results_that_cannot_be_stored_are_not_paid_for(bay: Inside):
    with odd("", bay) as sim:
        (bay.home / "probes.json").mkdir()
        run = bay("provider", "test", "acme", "--deep", "--yes")
        assert (run.code, len(sim.journal)) == (1, 0)


def test_ctrl_c_keeps_the_results(tmp_path: Path, bay: Inside):
    reached, never = Event(), Event()

    def wait(at: int) -> None:
        if at == 5:
            reached.set()
            never.wait(120)

    with intercepted(wait) as url:
        bay.file.write_text(entry(url))
        with Simulator() as sim:
            environment = Command(tmp_path, sim).environment
        command = [MODELBAY, "provider", "test", "acme", "--deep", "--yes"]
        with Popen(command, stdout=PIPE, stderr=PIPE, text=True, env=environment) as process:
            assert reached.wait(120)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=120)
            never.set()
    assert process.returncode == 130
    assert "4 results are stored" in err and "tools              yes" in out
    stored = json.loads((tmp_path / "probes.json").read_text())["records"][0]["checks"]
    assert list(stored) == ["reply", "streaming", "usage", "tools"]


def test_an_unreachable_provider_ends_the_test_at_once(bay: Inside):
    with Simulator() as sim:
        url = sim.url
    bay.file.write_text(entry(url))
    run = bay("provider", "test", "acme", "--deep", "--yes", "--json")
    (result,) = json.loads(run.out)
    assert (run.code, result["calls"]) == (1, 1)
    assert set(results(result).values()) == {"unknown"}


def test_no_secret_is_in_the_results(bay: Inside):
    with Simulator(key="sk-planted-0123456789") as sim:
        bay.file.write_text(entry(sim.url).replace("sk-1", "sk-planted-wrong-987"))
        run = bay("provider", "test", "acme", "--deep", "--yes", "--json")
    assert run.code == 1
    assert "sk-planted" not in run.out + run.err + (bay.home / "probes.json").read_text()
