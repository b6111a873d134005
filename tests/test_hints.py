"""The table of what errors are called and how they are mended, row by row."""

import re
from pathlib import Path

import pytest

from modelbay import errors, secrecy
from modelbay.cli import COMMANDS
from modelbay.config.paths import config_file
from modelbay.dialect import PLAIN
from modelbay.errors import ModelbayError
from modelbay.events import Failed
from modelbay.hints import ROWS, explain, title
from modelbay.protocols.codec import codec
from modelbay.protocols.failures import unreadable

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ModelbayError)]
WORDS: dict[str, dict[str, str]] = {
    "Unsupported": {"setting": "n"},
    "UnknownEffort": {"setting": "effort"},
    "TimedOut": {"stage": "idle"},
}


def made(kind: type[ModelbayError], message: str = "it failed") -> ModelbayError:
    if kind is errors.Redirected:
        return errors.Redirected(message, status=307, location=None)
    return kind(message, **WORDS.get(kind.__name__, {}))


def test_every_class_of_the_tree_has_a_row_and_is_drawn() -> None:
    assert set(ROWS) == set(KINDS)
    assert errors.__doc__
    assert sorted(re.findall(r"[A-Z]\w+(?=  |\n)", errors.__doc__.split("\n\n")[1])) == sorted(
        kind.__name__ for kind in KINDS
    )


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_row_says_what_it_is_and_how_to_mend_it(kind: type[ModelbayError]) -> None:
    error = explain(made(kind), "acme", config_file())
    row = ROWS[kind]
    assert title(error) == row.title
    assert error.provider == "acme"
    assert error.hint
    assert "\n" not in error.hint
    assert "{" not in error.hint
    commands = re.findall(r"`(modelbay [^`]+)`", error.hint)
    assert len(commands) == (row.command is not None)
    for command in commands:
        assert any(command.startswith(f"modelbay {known}") for known in COMMANDS)
        assert "acme" in command or "{provider}" not in (row.command or "")


AZURE = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."


@pytest.mark.parametrize(
    ("error", "name", "command"),
    [
        (errors.AuthenticationFailed("no", status=401), "Invalid API Key", "modelbay key set acme"),
        (errors.NotFound("no", status=404), "Model Not Found", "modelbay model search WORDS"),
        (errors.UnknownModel("no"), "Model Not Found", "modelbay model search WORDS"),
        (errors.ConnectFailed("no"), "Connection Errors", "modelbay provider edit acme --base-url URL"),
        (errors.Disconnected("no"), "Connection Errors", "modelbay provider test acme"),
        (errors.BadRequest(AZURE, status=400), "Azure GPT-5 rejects `max_tokens`", "modelbay provider add azure"),
        (errors.MalformedReply("no"), "Unexpected Results", "modelbay provider test acme"),
        (errors.ReplyError("no"), "Unexpected Results", "modelbay model search WORDS"),
    ],
)
def test_the_titles_of_troubleshooting_guides(error: ModelbayError, name: str, command: str) -> None:
    assert title(explain(error, "acme", config_file())) == name
    assert f"(`{command}`)" in str(error.hint)


def test_an_error_that_knows_better_keeps_its_hint() -> None:
    error = errors.ConnectFailed("no", hint="start the server")
    assert explain(explain(error, "acme")).hint == "start the server (`modelbay provider edit acme --base-url URL`)"
    error = errors.ConnectFailed("no", hint="run `modelbay demo`")
    assert explain(error, "acme").hint == "run `modelbay demo`"


@pytest.mark.parametrize(
    "error",
    [
        errors.ConfigError("no", hint="add --base-url URL"),
        errors.Unsupported("no", setting="effort", hint="it has low"),
    ],
)
def test_a_command_that_mends_nothing_is_left_out(error: ModelbayError) -> None:
    assert "modelbay" not in str(explain(error, "acme").hint)


def test_a_command_names_the_file_that_is_not_the_usual_one() -> None:
    error = explain(errors.AuthenticationFailed("no", status=401), "acme", Path("/x/other.toml"))
    assert "`modelbay key set acme --config /x/other.toml`" in str(error.hint)


@pytest.mark.parametrize(("status", "name"), [(404, "Wrong Address"), (405, "Wrong Address"), (502, "Provider Failed")])
def test_a_web_page_is_a_wrong_address_unless_a_gateway_sent_it(status: int, name: str) -> None:
    kind = errors.ServerError if status >= 500 else errors.NotFound
    error = kind("an HTML page", status=status, body="<!DOCTYPE html><html>")
    assert title(explain(error, "acme")) == name
    assert ("web page" in str(error.hint)) is (status < 500)


def test_what_a_provider_quotes_is_taken_out() -> None:
    secrecy.register("sk-quoted-by-the-provider")
    words = "the key sk-quoted-by-the-provider is wrong"
    error = explain(errors.AuthenticationFailed(words, status=401, code=words, body=words), "acme")
    assert str(error) == error.message == "the key … is wrong"
    assert "quoted" not in f"{error!r} {vars(error)}"


@pytest.mark.parametrize("before", [60, 85, 95, 99, 120])
def test_a_secret_that_a_quote_cuts_is_hidden_whole(before: int) -> None:
    secret = "tk-0123456789abcdefghijklmnop"
    secrecy.register(secret)
    body = ("x" * before + secret + " and more of it " * 20).encode()
    broken = explain(unreadable("the reply is not JSON: unexpected end", body))
    refused = explain(codec("openai_chat").parse_error(502, {}, body))
    for error in (broken, refused):
        assert "x" * 60 in error.message
        assert "tk-0" not in error.message and "0123" not in error.message


@pytest.mark.parametrize("protocol", ["openai_chat", "openai_responses", "anthropic", "google"])
def test_what_cannot_be_read_is_quoted(protocol: str) -> None:
    events = codec(protocol).parse_reply(b"<<< \x1b[31mNo \xe2\x80\xae JSON\n at all" + b" z" * 100, PLAIN)
    error = next(event.error for event in events if isinstance(event, Failed))
    assert "; it begins with: <<< [31mNo JSON at all z z" in error.message
    assert len(error.message.partition("begins with: ")[2]) == 101
