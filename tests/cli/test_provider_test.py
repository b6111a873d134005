"""`provider test` says yes only for what it saw: servers that answer anything, and nothing that was asked."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.inside import Inside
from tests.servers.loopback import JSON, Handler, served

Reply = Callable[[dict[str, Any]], dict[str, Any] | str]
PAGE = "<!doctype html><title>Sign in</title><p>Welcome"


@contextmanager
def answering(reply: Reply, models: dict[str, Any] | str = PAGE) -> Iterator[str]:
    """The base URL of a server that gives a reply to each call, in one piece."""

    class Answering(Handler):
        def do_GET(self) -> None:
            self._give(models)

        def do_POST(self) -> None:
            self._give(reply(json.loads(self.body())))

        def _give(self, what: dict[str, Any] | str) -> None:
            if isinstance(what, str):
                self.answer(200, what.encode(), {"content-type": "text/html"})
            else:
                self.answer(int(what.get("status", 200)), json.dumps(what).encode(), JSON)

    with served(Answering) as url:
        yield f"{url}/v1"


def said(text: str, **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, **more}
    return {"id": "c", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


def called(name: str, arguments: str) -> dict[str, Any]:
    call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}
    return said("", tool_calls=[call])


@pytest.fixture
def bay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    return Inside(tmp_path, monkeypatch)


def tried(bay: Inside, url: str, *more: str) -> dict[str, tuple[str, str]]:
    """The result and the detail of each check."""
    bay.file.write_text(f'[providers.acme]\ntype = "openai"\nbase_url = "{url}"\napi_key = "sk-1"\n')
    run = bay("provider", "test", "acme", "--json", *more)
    return {check["name"]: (check["result"], check["detail"]) for check in json.loads(run.out)["acme"]}


def results(found: dict[str, tuple[str, str]]) -> dict[str, str]:
    return {name: result for name, (result, _) in found.items()}


def test_a_web_page_shows_nothing_but_that_a_server_is_there(bay: Inside):
    with answering(lambda _: PAGE) as url:
        found = results(tried(bay, url, "--model", "m"))
    assert found == {
        "reachable": "yes",
        "authorized": "unknown",
        "models": "no",
        "protocol": "no",
        "usage": "unknown",
        "streaming": "unknown",
        "tools": "unknown",
        "thinking": "unknown",
        "images": "unknown",
    }


def test_a_server_that_says_the_same_to_everything_shows_no_more_than_its_protocol(bay: Inside):
    with answering(lambda _: said("ready")) as url:
        found = tried(bay, url, "--model", "m")
    assert {name for name, result in results(found).items() if result == "yes"} == {
        "reachable",
        "authorized",
        "protocol",
    }
    assert {name for name, result in results(found).items() if result == "no"} == {"models"}
    assert found["streaming"] == ("unknown", "the reply came in one piece")
    assert found["usage"] == ("unknown", "the reply has no token counts")
    assert 'answer without a tool call: "ready"' in found["tools"][1]
    assert found["images"][1].startswith("the answer to a ") and found["images"][1].endswith(': "ready"')


@pytest.mark.parametrize("color", ["red", "It is red.", "red, green, blue, yellow, black or white"])
def test_one_color_for_every_picture_is_not_seeing(bay: Inside, color: str):
    with answering(lambda _: said(color)) as url:
        assert tried(bay, url, "--model", "m")["images"][0] == "unknown"


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [
        ("get_weather", '{"city": "Paris"}', "yes"),
        ("get_weather", "{}", "unknown"),
        ("get_weather", '{"city": 7}', "unknown"),
        ("get_weather", '{"city": "Par', "unknown"),
        ("get_time", '{"city": "Paris"}', "unknown"),
    ],
)
def test_a_call_counts_when_it_is_of_the_tool_and_fits_its_schema(bay: Inside, name: str, arguments: str, result: str):
    with answering(lambda body: called(name, arguments) if body.get("tools") else said("ready")) as url:
        assert tried(bay, url, "--model", "m")["tools"][0] == result


@pytest.mark.parametrize(
    ("more", "result"),
    [
        ({"reasoning_content": "Let me think."}, "yes"),
        ({"reasoning_content": ""}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_thinking_is_a_part_of_the_reply(bay: Inside, more: dict[str, str], result: str):
    with answering(lambda _: said("ready", **more)) as url:
        assert tried(bay, url, "--model", "m")["thinking"][0] == result


def test_a_public_list_of_models_does_not_prove_the_key(bay: Inside):
    with answering(lambda _: {"status": 404, "error": {"message": "no"}}, {"data": [{"id": "m"}]}) as url:
        found = results(tried(bay, url))
    assert (found["reachable"], found["models"], found["authorized"]) == ("yes", "yes", "unknown")


def test_an_empty_list_is_not_kept(bay: Inside):
    with answering(lambda _: said("ready"), {"data": []}) as url:
        assert results(tried(bay, url, "--model", "m"))["models"] == "no"
    assert "its list" not in bay.done("provider", "show", "acme")


def test_an_empty_reply_shows_no_key_and_no_protocol(bay: Inside):
    with answering(lambda _: said("")) as url:
        found = results(tried(bay, url, "--model", "m"))
    assert (found["authorized"], found["protocol"]) == ("unknown", "unknown")


def test_hints_are_commands_with_the_names_of_the_configuration(bay: Inside):
    with answering(lambda _: {"status": 401, "error": {"message": "who?"}}) as url:
        tried(bay, url, "--model", "m")
        said = bay("provider", "test", "acme", "--model", "m").out
    assert "(`modelbay key set acme`)" in said
    assert f"GET {url}/models returned 200" in said or f"{url}/chat/completions returned 401: who?" in said


def test_a_refused_key_is_a_no(bay: Inside):
    with answering(lambda _: {"status": 401, "error": {"message": "who?"}}) as url:
        found = results(tried(bay, url, "--model", "m"))
    assert (found["reachable"], found["authorized"], found["tools"]) == ("yes", "no", "unknown")
