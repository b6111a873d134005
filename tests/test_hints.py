"""Titles and hints of errors by operation, class and face."""

import ast
import pickle
import re
import shlex
from pathlib import Path
from typing import get_args

import click
import pytest

import modelbay as modelbay_package
from modelbay import errors, secrecy
from modelbay.cli import modelbay
from modelbay.config.schema import IN_CODE
from modelbay.dialect import PLAIN
from modelbay.errors import ModelbayError, Operation
from modelbay.events import Failed
from modelbay.hints import CLAUSE, COMMAND, OPERATIONS, PASS_KEY, ROWS, WITH_KEY, About, Face, explain, title
from modelbay.protocols.codec import codec
from modelbay.protocols.failures import unreadable
from modelbay.storage.paths import config_file
from modelbay.tui.commands import COMMANDS as SLASH

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ModelbayError)]
DONE: list[Operation] = list(get_args(Operation))
FACES: list[Face] = [face for face in get_args(Face) if face != "client"]
"""The faces with hints of the table."""
WORDS: dict[str, dict[str, str]] = {
    "Unsupported": {"setting": "n"},
    "UnknownEffort": {"setting": "effort"},
    "TimedOut": {"stage": "idle"},
}
PROVIDER, MODEL = "my provider; x", "vendor/model (1)"
"""Names that a shell takes apart unless they are quoted."""
AT_TERMINAL = About(PROVIDER, model=MODEL, face="command", known=[PROVIDER])


def made(kind: type[ModelbayError], message: str = "it failed", done: Operation | None = None) -> ModelbayError:
    if kind is errors.Redirected:
        error: ModelbayError = errors.Redirected(message, status=307, location=None)
    else:
        error = kind(message, **WORDS.get(kind.__name__, {}))
    error.operation = done
    return error


def parsed(line: str) -> dict[str, object]:
    """The arguments of a command, as the command line itself reads them; a usage error if it does not."""
    words = shlex.split(line)
    assert words[0] == "modelbay"
    command: click.Command = modelbay
    context = click.Context(modelbay, info_name="modelbay")
    rest = words[1:]
    while isinstance(command, click.Group):
        found = command.get_command(context, rest[0])
        assert found is not None, line
        command, rest = found, rest[1:]
    return command.make_context(command.name, rest, resilient_parsing=False, parent=context).params


def commands(hint: str) -> list[str]:
    return re.findall(r"`(modelbay [^`]+)`", hint)


def test_every_class_of_the_tree_has_a_row_and_is_drawn() -> None:
    assert set(ROWS) == set(KINDS)
    assert set(OPERATIONS) == set(DONE)
    assert errors.__doc__
    assert sorted(re.findall(r"^[│├└─ ]*(\w+)", errors.__doc__.split("\n\n")[1], re.MULTILINE)) == sorted(
        kind.__name__ for kind in KINDS
    )


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("done", DONE)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_hint_can_be_followed_where_the_user_is(kind: type[ModelbayError], done: Operation, face: Face) -> None:
    error = explain(made(kind, done=done), About(PROVIDER, model=MODEL, face=face, known=[PROVIDER]))
    assert title(error)
    assert error.hint
    assert "\n" not in error.hint
    assert "{" not in error.hint
    for command in commands(error.hint):
        assert face == "command" or command.startswith("modelbay login")
        values = [value for one in parsed(command).values() for value in (one if isinstance(one, tuple) else [one])]
        assert ("my provider" in command) == (PROVIDER in values)
        assert ("vendor/model" in command) == (MODEL in values)
    if face == "app":
        assert "modelbay " not in error.hint
        assert not re.search(r"(?<!\S)--\w", error.hint)
        known = {command.name for command in SLASH}
        assert set(re.findall(r"(?<![\w/.])/(\w+)(?![\w/.])", error.hint)) <= known


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("done", DONE)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_hint_names_a_provider_that_is_not_configured(
    kind: type[ModelbayError], done: Operation, face: Face
) -> None:
    error = explain(made(kind, done=done), About("added", face=face, known=["acme"]))
    assert "added" not in str(error.hint)
    error = made(kind, done=done)
    error.hint = "start it, or run `modelbay provider edit added --name X`; `modelbay key set added` sets the key"
    explain(error, About("added", face=face, known=["acme"]))
    assert "added" not in str(error.hint)
    assert "start it" in str(error.hint)


@pytest.mark.parametrize(
    ("done", "kind", "name", "words"),
    [
        ("ask", errors.NotFound, "Model Not Found", "check the model ID"),
        ("list", errors.NotFound, "Connection Errors", "check base_url"),
        ("fetch", errors.NotFound, "Not Found", "check the URL"),
        ("login", errors.NotFound, "Login Failed", "oauth"),
        ("upload", errors.NotFound, "Upload Failed", "uploads"),
        ("ask", errors.AuthenticationFailed, "Invalid API Key", "enter the API key again"),
        ("list", errors.AuthenticationFailed, "Invalid API Key", "enter the API key again"),
        ("fetch", errors.AuthenticationFailed, "Access Denied", "token or API key"),
        ("login", errors.AuthenticationFailed, "Login Refused", "log in again"),
        ("token", errors.MissingCredential, "Not Logged In", "log in"),
        ("ask", errors.ConnectFailed, "Connection Errors", "base_url"),
        ("list", errors.ProxyFailed, "Connection Errors", "check the proxy"),
        ("fetch", errors.ProxyFailed, "Connection Errors", "check the proxy"),
        ("login", errors.ProxyFailed, "Connection Errors", "check the proxy"),
        ("fetch", errors.ConnectFailed, "Connection Errors", "check the URL"),
        ("list", errors.MalformedReply, "Unexpected Results", "not a model list"),
        ("ask", errors.ReplyError, "Unexpected Results", "try a different model"),
    ],
)
def test_the_hint_depends_on_the_operation(done: Operation, kind: type[ModelbayError], name: str, words: str) -> None:
    error = explain(made(kind, done=done), AT_TERMINAL)
    assert (title(error), words in str(error.hint)) == (name, True), error.hint
    if done in ("fetch", "login", "token"):
        assert "base_url" not in str(error.hint)
    if done != "ask":
        assert "model's id" not in str(error.hint)


AZURE_WORDS = (
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
)


@pytest.mark.parametrize(
    ("error", "name", "command"),
    [
        (errors.AuthenticationFailed("no", status=401), "Invalid API Key", "modelbay key set acme"),
        (errors.NotFound("no", status=404), "Model Not Found", "modelbay model search gpt-0"),
        (errors.UnknownModel("no"), "Model Not Found", "modelbay model search gpt-0"),
        (errors.ConnectFailed("no"), "Connection Errors", "modelbay provider edit acme --base-url URL"),
        (errors.Disconnected("no"), "Connection Errors", "modelbay provider test acme"),
        (errors.BadRequest(AZURE_WORDS, status=400), "Azure GPT-5 rejects `max_tokens`", "modelbay provider add azure"),
        (errors.MalformedReply("no"), "Unexpected Results", "modelbay provider test acme"),
        (errors.ReplyError("no"), "Unexpected Results", "modelbay model search gpt-0"),
    ],
)
def test_the_titles_of_troubleshooting_guides(error: ModelbayError, name: str, command: str) -> None:
    assert title(explain(error, About("acme", model="gpt-0", face="command"))) == name
    assert f"(`{command}`)" in str(error.hint)


def test_an_error_about_something_else_than_the_configuration_does_not_send_the_user_to_its_file() -> None:
    """The hint of the class is to fix config.toml. It is right only in the code that reads this file."""
    package = Path(modelbay_package.__file__).parent
    without = []
    for path in package.rglob("*.py"):
        if path.is_relative_to(package / "config"):
            continue
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        for call in calls:
            says_how = {"hint", "file", None} & {keyword.arg for keyword in call.keywords}
            if ast.unparse(call.func) == "ConfigError" and not says_how:
                without.append(f"{path.relative_to(package)}:{call.lineno}")
    assert without == []


def test_an_error_that_knows_better_keeps_its_hint() -> None:
    at_terminal = About("acme", face="command")
    error = errors.ConnectFailed("no", hint="start the server")
    assert explain(explain(error, at_terminal), at_terminal).hint == (
        "start the server (`modelbay provider edit acme --base-url URL`)"
    )
    error = errors.ConnectFailed("no", hint="run `modelbay demo`")
    assert explain(error, at_terminal).hint == "run `modelbay demo`"


def test_an_error_explained_for_a_program_is_explained_again_for_the_app() -> None:
    error = explain(errors.AuthenticationFailed("no", status=401), About("acme", Path("/x/config.toml")))
    assert (
        error.hint == "enter the API key again, and make sure that it is complete ([providers.acme] in /x/config.toml)"
    )
    assert "`modelbay key set acme`" in str(explain(error, About(face="command")).hint)
    error.hint = "take another one"
    assert str(explain(error, About(face="command")).hint).startswith("take another one")


SOURCE = Path(modelbay_package.__file__).parent


def raised() -> list[str]:
    """The hints that the code below the command line raises, with `X` for each value."""
    sources = [path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py") if path.parent.name != "cli"]
    trees = [ast.parse(source) for source in sources if re.search(r"\bhint\s*=", source)]
    found: list[str] = []
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.keyword) and node.arg == "hint":
            found += texts(node.value)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).endswith(".hint"):
            found += texts(node.value)
    return sorted(set(found))


def texts(value: ast.expr) -> list[str]:
    match value:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr():
            return ["".join(str(one.value) if isinstance(one, ast.Constant) else "X" for one in value.values)]
        case ast.IfExp():
            return texts(value.body) + texts(value.orelse)
    return []


RAISED = raised()


@pytest.mark.parametrize("hint", RAISED)
def test_the_app_shows_whole_parts_of_a_hint_and_no_fragment(hint: str) -> None:
    """A part with a command or an option that the app does not have is left out whole."""

    def plain(text: str) -> set[str]:
        text = PASS_KEY.sub("enter the API key", WITH_KEY.sub("", COMMAND.sub("", text)))
        return {
            " ".join(re.sub(r"/(?:login|logout|model|provider)\b", "", part).split()) for part in CLAUSE.split(text)
        }

    shown = explain(errors.StoreError("no", hint=hint), About(face="app", known=["X"])).hint or ""
    assert not re.search(r"`modelbay|: modelbay |(?<!\S)--\w", shown)
    if shown != ROWS[errors.StoreError].fix:  # else no part of it can be followed in the app
        assert plain(shown) <= plain(hint)


@pytest.mark.parametrize("hint", RAISED)
def test_the_library_shows_arguments_instead_of_options(hint: str) -> None:
    """Only a login, and adding a provider to the file, have no counterpart in Python."""
    shown = explain(errors.StoreError("no", hint=hint), About("X", Path("/x/c.toml"), known=["X"])).hint or ""
    assert all(command.startswith(("modelbay login", "modelbay provider add")) for command in commands(shown))
    assert not re.search(r"(?<!\S)--\w", re.sub(r"`modelbay [^`]+`|see modelbay provider add --help", "", shown))
    assert "{" not in shown or "{" in hint


@pytest.mark.parametrize(
    ("hint", "library"),
    [
        ("pass --base-url URL", "pass base_url=URL"),
        ("pass --api-key KEY, or add it by its URL", "pass api_key=KEY, or add it by its URL"),
        ("pass --resource NAME, or use another name", "use another name"),
        ("pass one, or set a default: `modelbay model default NAME`", "set a default: `default_model` in /x/c.toml"),
        ("set the key again: `modelbay key set acme`", "set the key again: [providers] in /x/c.toml"),
        ("log in again: `modelbay login acme`", "log in again: `modelbay login acme`"),
        ("use another ID, or look at it: `modelbay trust`", "use another ID"),
    ],
)
def test_the_library_speaks_of_python(hint: str, library: str) -> None:
    shown = explain(errors.StoreError("no", hint=hint), About("acme", Path("/x/c.toml"), known=["acme"])).hint or ""
    assert shown.endswith(library)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_program_that_describes_its_provider_is_not_sent_to_a_file(kind: type[ModelbayError]) -> None:
    hint = str(explain(made(kind), About("acme", IN_CODE, model=MODEL, known=["acme"])).hint)
    assert "[providers" not in hint
    assert not commands(hint)
    for name in ("api_key", "base_url"):
        assert f"`{name}`" not in hint or f"`{name}` of Hub.of or Hub.add" in hint


@pytest.mark.parametrize(
    ("hint", "app"),
    [
        ("log in again: `modelbay login acme`", "log in again: /login"),
        ("choose another model, or correct the setting: modelbay model set m image_in=yes", "choose another model"),
        ("connect a provider first: `modelbay provider add`", "connect a provider first: /provider"),
        ("remove the existing provider first: modelbay provider remove acme", "existing provider first: /provider"),
        ("pass a JSON file (`-` for standard input)", "pass a JSON file"),
        ("choose another ID with --id, or change it: modelbay provider edit acme", "change it: /provider"),
        ("`modelbay key set acme`, or write api_key under [providers.acme]", "write api_key under [providers.acme]"),
        (
            "pass --api-key KEY: the provider lists its models only with an API key",
            "enter the API key: the provider lists",
        ),
        ("pass the API key again with --api-key; make sure it is complete", "pass the API key again; make sure"),
        ("try again; to add it without its list, pass model IDs with --model ID", "try again"),
        ("wait for the other modelbay processes to end, then try again", "wait for the other modelbay processes"),
        ("look at it, or run it (`modelbay provider test acme`)", "look at it, or run it"),
    ],
)
def test_the_app_speaks_of_what_it_can_do(hint: str, app: str) -> None:
    shown = explain(errors.ModelbayError("no", hint=hint), About("acme", face="app", known=["acme"])).hint or ""
    assert app in shown
    assert not shown.endswith("its list") and "modelbay provider" not in shown


def test_a_client_of_the_gateway_gets_the_providers_id_and_no_url_or_command() -> None:
    error = errors.ConnectFailed("could not connect")
    error.request = "POST https://a.example/v1/chat/completions"
    explain(error, About("acme", face="client", known=["acme"]))
    assert (error.message, error.hint) == ("acme: could not connect", None)


def test_a_failed_request_names_its_method_and_url_once() -> None:
    error: ModelbayError = errors.NotFound("no such thing", status=404)
    error.request = "GET https://a.example/v1/models"
    explain(explain(error, About("acme")), AT_TERMINAL)
    assert error.message == "GET https://a.example/v1/models returned 404: no such thing"


def test_an_explained_error_can_be_pickled() -> None:
    error = explain(errors.NotFound("no", status=404), About("acme"))
    assert pickle.loads(pickle.dumps(error)).hint == error.hint


@pytest.mark.parametrize(
    "error",
    [
        errors.ConfigError("no", hint="pass --base-url URL"),
        errors.Unsupported("no", setting="effort", hint="it has low"),
    ],
)
def test_a_command_that_fixes_nothing_is_left_out(error: ModelbayError) -> None:
    assert "modelbay" not in str(explain(error, About("acme", face="command")).hint)


def test_a_command_names_the_file_that_is_not_the_usual_one() -> None:
    error = errors.AuthenticationFailed("no", status=401)
    explain(error, About("acme", Path("/x/other.toml"), face="command"))
    assert "`modelbay key set acme --config /x/other.toml`" in str(error.hint)
    assert config_file() != Path("/x/other.toml")


@pytest.mark.parametrize(("status", "name"), [(404, "Wrong Address"), (405, "Wrong Address"), (502, "Provider Failed")])
def test_a_web_page_is_a_wrong_address_unless_a_gateway_sent_it(status: int, name: str) -> None:
    kind = errors.ServerError if status >= 500 else errors.NotFound
    error = kind("an HTML page", status=status, body="<!DOCTYPE html><html>")
    assert title(explain(error, About("acme"))) == name
    assert ("web page" in str(error.hint)) is (status < 500)


def test_secrets_that_a_provider_quotes_are_removed() -> None:
    secrecy.register("sk-quoted-by-the-provider")
    words = "the key sk-quoted-by-the-provider is wrong"
    error = explain(errors.AuthenticationFailed(words, status=401, code=words, body=words), About("acme"))
    assert str(error) == error.message == "the key … is wrong"
    assert "quoted" not in f"{error!r} {vars(error)}"


@pytest.mark.parametrize("before", [60, 85, 95, 99, 120])
def test_a_secret_that_a_quote_cuts_is_hidden_whole(before: int) -> None:
    secret = "tk-0123456789abcdefghijklmnop"
    secrecy.register(secret)
    body = ("x" * before + secret + " and more of it " * 20).encode()
    broken = explain(unreadable("the reply is not JSON: unexpected end", body), About())
    refused = explain(codec("openai_chat").parse_error(502, {}, body), About())
    for error in (broken, refused):
        assert "x" * 60 in error.message
        assert "tk-0" not in error.message and "0123" not in error.message


@pytest.mark.parametrize("protocol", ["openai_chat", "openai_responses", "anthropic", "google"])
def test_an_unreadable_body_is_quoted(protocol: str) -> None:
    events = codec(protocol).parse_reply(b"<<< \x1b[31mNo \xe2\x80\xae JSON\n at all" + b" z" * 100, PLAIN)
    error = next(event.error for event in events if isinstance(event, Failed))
    assert "; it starts with: <<< [31mNo JSON at all z z" in error.message
    assert len(error.message.partition("starts with: ")[2]) == 101
