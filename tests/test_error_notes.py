"""Tracebacks that show how to fix an error, and names that help in a REPL."""

import pickle
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

import modelbay
from modelbay import Hub, errors, sync
from modelbay.errors import ModelbayError
from modelbay.hints import About, explain
from modelbay.simulator import Simulator
from modelbay.simulator.config_entries import config_text
from tests.faults.raw_server import Client, RawServer
from tests.test_hub import json_answer

KEY = "sk-planted-0123456789"


def printed(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


async def test_a_traceback_shows_the_hint_once_and_no_key() -> None:
    async def script(client: Client) -> None:
        await client.request()
        body = b'{"error":{"message":"Incorrect API key provided: %b"}}' % KEY.encode()
        await client.send(json_answer("401 Unauthorized", body))

    async with RawServer(script) as server, Hub.of(base_url=f"{server.url}/v1", api_key=KEY) as hub:
        with pytest.raises(errors.AuthenticationFailed) as caught:
            await hub.complete("Hi", model="m", retries=0)
    text = printed(caught.value)
    assert text.count("Invalid API Key: enter the API key again, and make sure that it is complete") == 1
    assert KEY not in text
    assert printed(caught.value) == text, "it is not added twice"


@pytest.mark.parametrize(
    ("call", "note"),
    [
        (lambda hub: hub.complete("Hi", model="gone"), "Model Not Found: "),
        (lambda hub: hub.model("gone/x"), "Provider Not Found: |Model Not Found: "),
        (lambda hub: hub.list_models("gone"), "Provider Not Found: "),
        (lambda hub: hub.embed("Hi", model="anthropic/claude-x"), "Not Supported: use an embedding model"),
        (lambda hub: hub.stream("Hi", model="gone").reply(), "Model Not Found: "),
    ],
)
def test_an_error_before_anything_was_sent_has_a_note_too(call, note) -> None:
    with sync.Hub.of("anthropic", api_key=KEY) as hub:
        hub._hub.config.names_are_ids = False
        with pytest.raises(ModelbayError) as caught:
            call(hub)
    assert any(caught.value.__notes__[0].startswith(one) for one in note.split("|")), caught.value.__notes__


def test_a_closed_hub_says_what_to_do() -> None:
    hub = sync.Hub.of("anthropic", api_key=KEY)
    hub.close()
    with pytest.raises(errors.HubClosed) as caught:
        hub.complete("Hi")
    assert caught.value.__notes__ == ["Hub Closed: open a new hub, or make the call before the hub is closed"]


def test_python_itself_prints_the_note() -> None:
    code = "from modelbay.sync import Hub; Hub.of('anthropic', api_key='k').model('a/b/c')"
    code += "; import modelbay.hints; raise modelbay.errors.RateLimited('slow')"
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert ran.stderr.splitlines()[-1].startswith("Rate Limit Reached: wait and try again")


@pytest.mark.parametrize("face", ["command", "app", "client"])
def test_a_face_that_shows_the_hint_itself_has_no_note(face: str) -> None:
    error = explain(errors.RateLimited("slow", status=429), About(face=face))  # type: ignore[arg-type]
    assert error.__notes__ == []
    assert len(explain(error, About()).__notes__) == 1


def test_the_note_follows_the_hint_and_own_notes_stay() -> None:
    error = errors.HubClosed("closed")
    error.add_note("mine")
    error.hint = "open another"
    assert error.__notes__ == ["Hub Closed: open another", "mine"]
    error.hint = "try again"
    error.add_note("also mine")
    assert error.__notes__ == ["Hub Closed: try again", "mine", "also mine"]
    again = pickle.loads(pickle.dumps(error))
    assert again.__notes__ == error.__notes__
    group = ExceptionGroup("all", [error])
    assert "Hub Closed: try again" in printed(group)


# --- names


def test_every_error_is_a_name_of_the_module_errors() -> None:
    found = {
        name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, ModelbayError)
    }
    assert set(errors.__all__) == found
    assert errors.__all__ == sorted(found)
    assert dir(errors) == errors.__all__


def test_modules_for_programs_need_no_import_of_their_own() -> None:
    code = "import modelbay; print(modelbay.errors.RateLimited.__name__, modelbay.sync.Hub.__name__)"
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert ran.stdout == "RateLimited Hub\n", ran.stderr
    assert {"errors", "sync", "Hub", "embed"} <= set(dir(modelbay))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("HUB", ": did you mean modelbay.Hub?"),
        ("complet", ": did you mean modelbay.complete?"),
        ("RateLimited", ": did you mean modelbay.errors.RateLimited?"),
        ("RateLimit", ": did you mean modelbay.errors.RateLimited?"),
        ("Xyzzy", ""),
        ("__path_hooks__", ""),
    ],
)
def test_a_misspelled_name_has_the_nearest_one_in_its_error(name: str, meant: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(modelbay, name)
    assert str(caught.value) == f"module 'modelbay' has no attribute {name!r}{meant}"


# --- short forms


def test_reprs_are_short_and_have_no_secrets(tmp_path: Path) -> None:
    with Simulator(key=KEY) as simulator:
        file = tmp_path / "config.toml"
        file.write_text(config_text(simulator.url, KEY))
        with sync.Hub.open(file) as hub:
            model = hub.models()[0]
            stream = hub.stream("Why? " * 100, model=model.alias)
            told = [repr(stream)]
            reply = stream.reply()
            told += [repr(stream), repr(hub), repr(model), repr(reply), repr(reply.usage), repr(hub._hub)]
    assert told[:2] == ["<ReplyStream: open>", "<ReplyStream: ended>"]
    assert told[2] == told[-1] == f"<Hub of {file}: 4 providers, {len(hub.models())} models>"
    assert told[3] == f"Model({model.alias!r}, id={model.id!r}, provider={model.provider!r})"
    assert told[4].startswith("Reply('You asked: Why?")
    assert told[4].endswith("finish='stop')")
    assert "None" not in told[5]
    assert max(map(len, told)) < 400
    assert KEY not in str(told)
