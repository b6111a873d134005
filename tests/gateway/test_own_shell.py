"""The tools of Responses that the client runs itself, at providers that do not know them: as OpenAI's Agents SDK declares them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI

from modelbay.simulator import Simulator
from tests.gateway.running import PROTOCOLS, RunningGateway, running_at_home

Running = tuple[RunningGateway, Simulator]
SHELL: Any = {"type": "shell", "environment": {"type": "local"}}
UPSTREAMS = [protocol for protocol in PROTOCOLS if protocol != "openai_responses"]
upstreams = pytest.mark.parametrize("upstream", UPSTREAMS)
streams = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_at_home(tmp_path_factory.mktemp("gateway")) as found:
        yield found


@pytest.fixture(scope="module")
def client(gateway: Running) -> Iterator[OpenAI]:
    with gateway[0].openai() as found:
        yield found


def asked(client: OpenAI, stream: bool, **body: Any) -> Any:
    if not stream:
        return client.responses.create(**body)
    with client.responses.stream(**body) as events:
        return events.get_final_response()


CASES: list[tuple[Any, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    (
        SHELL,
        {"commands": ["ls", "pwd"], "timeout_ms": 5000},
        {"type": "shell_call", "action": {"commands": ["ls", "pwd"], "timeout_ms": 5000}},
        {"type": "shell_call_output", "output": [{"stdout": "a.txt", "stderr": "", "outcome": {"type": "timeout"}}]},
    ),
    (
        {"type": "local_shell"},
        {"command": ["ls", "-l"]},
        {"type": "local_shell_call", "action": {"type": "exec", "env": {}, "command": ["ls", "-l"]}},
        {"type": "local_shell_call_output", "output": "a.txt"},
    ),
    (
        {"type": "apply_patch"},
        {"type": "update_file", "path": "a.txt", "diff": "@@\n-a\n+b\n"},
        {"type": "apply_patch_call", "operation": {"type": "update_file", "path": "a.txt", "diff": "@@\n-a\n+b\n"}},
        {"type": "apply_patch_call_output", "status": "completed", "output": "Updated a.txt"},
    ),
]


@streams
@upstreams
@pytest.mark.parametrize("case", CASES, ids=[case[0]["type"] for case in CASES])
def test_the_client_runs_its_tool(
    gateway: Running, client: OpenAI, case: tuple[Any, dict[str, Any], Any, Any], upstream: str, stream: bool
) -> None:
    tool, arguments, call, result = case
    script, name = gateway[1].provider.script, tool["type"]
    script.add().call(name, arguments)
    first = asked(client, stream, model=upstream, input="Go", tools=[tool])
    item = first.output[-1].model_dump(exclude_unset=True)
    assert {field: item[field] for field in call} == call
    assert item["status"] == "completed"
    script.add().say("Done.")
    # a local shell names the call in `id`, as OpenAI's SDK does
    where = {"id": item["call_id"]} if name == "local_shell" else {"call_id": item["call_id"]}
    items = [{"role": "user", "content": "Go"}, item, {**result, **where}]
    assert asked(client, stream, model=upstream, input=items, tools=[tool]).output_text == "Done."
    sent = gateway[1].journal.last.body.decode()
    assert "a.txt" in sent
    assert item["call_id"] in sent or upstream == "google"
    assert "update_file" in sent if name == "apply_patch" else '"ls' in sent.replace("\\", ""), (
        "the model sees its call"
    )


@upstreams
def test_a_stored_response_with_such_a_call_is_continued(gateway: Running, client: OpenAI, upstream: str) -> None:
    script = gateway[1].provider.script
    script.add().call("shell", {"commands": ["ls"]})
    first = client.responses.create(model=upstream, input="Go", tools=[SHELL])
    stored = client.responses.retrieve(first.id)
    assert [item.type for item in stored.output] == ["shell_call"]
    script.add().say("Done.")
    outcome = {"type": "exit", "exit_code": 0}
    result: Any = {
        "type": "shell_call_output",
        "call_id": first.output[0].call_id,
        "output": [{"stdout": "a.txt", "stderr": "", "outcome": outcome}],
    }
    last = client.responses.create(model=upstream, input=[result], tools=[SHELL], previous_response_id=first.id)
    assert last.output_text == "Done."
    assert "a.txt" in gateway[1].journal.last.body.decode()


@upstreams
def test_a_deleted_file_has_no_diff(gateway: Running, client: OpenAI, upstream: str) -> None:
    gateway[1].provider.script.add().call("apply_patch", {"type": "delete_file", "path": "a.txt", "diff": ""})
    made: Any = client.responses.create(model=upstream, input="Go", tools=[{"type": "apply_patch"}])
    assert made.output[0].operation.model_dump(exclude_unset=True) == {"type": "delete_file", "path": "a.txt"}


@upstreams
@pytest.mark.parametrize(
    "tool",
    [{"type": "shell", "environment": {"type": "container_auto"}}, {"type": "computer_use_preview"}],
    ids=["a shell at OpenAI", "a computer"],
)
def test_a_tool_that_the_client_does_not_run_or_needs_a_special_model_is_left_out(
    client: OpenAI, upstream: str, tool: Any
) -> None:
    raw = client.responses.with_raw_response.create(model=upstream, input="Go", tools=[tool])
    assert raw.headers["x-modelbay-dropped"] == tool["type"]


@upstreams
def test_a_function_of_the_same_name_stays_a_function(gateway: Running, client: OpenAI, upstream: str) -> None:
    tool: Any = {"type": "function", "name": "shell", "parameters": {"type": "object"}, "strict": False}
    gateway[1].provider.script.add().call("shell", {"x": 1})
    made = client.responses.create(model=upstream, input="Go", tools=[tool])
    assert [item.type for item in made.output] == ["function_call"]


def test_a_provider_of_responses_gets_the_tool_unchanged(gateway: Running, client: OpenAI) -> None:
    client.responses.create(model="openai_responses", input="Go", tools=[SHELL])
    assert json.loads(gateway[1].journal.last.body)["tools"] == [SHELL]
