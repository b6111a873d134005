"""Secrets of all kinds in commands whose server quotes the request: no output shows one."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import time

import pytest

from tests.cli.inside import Inside
from tests.tui.sitting import sitting

KEY, TOKEN, PARAMETER, PASSWORD = (
    "sk-planted-key-0123",
    "tok-planted-token-4567",
    "prm-planted-parameter-89",
    "pw-planted-password",
)
ACCESS, REFRESH, HEADER, OWN = (
    "acc-planted-access-01",
    "ref-planted-refresh-23",
    "hdr-planted-header-45",
    "sk-planted-own-6789",
)
CLIENT = "cli-planted-client-key-0123"
SECRETS = (KEY, TOKEN, PARAMETER, PASSWORD, ACCESS, REFRESH, HEADER, OWN, CLIENT)


class Echo:
    """A server that quotes each request in its errors."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.status = 500
        self.pages: dict[str, Callable[[], object]] = {}
        """Answers by path."""
        self.heard: list[str] = []


@pytest.fixture
def echo() -> Iterator[Echo]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
            said = f"you sent {self.path} {body} " + " ".join(f"{name}={value}" for name, value in self.headers.items())
            made.heard.append(said)
            page = made.pages.get(self.path.partition("?")[0])
            error = {"error": {"message": said, "type": said, "code": said}, "error_description": said}
            answer = json.dumps(page() if page else error).encode()
            self.send_response(200 if page else made.status)
            self.send_header("content-type", "application/json")
            self.send_header("x-request-id", self.headers.get("authorization", "none"))
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Echo(f"http://127.0.0.1:{server.server_address[1]}")
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield made
        server.shutdown()


@pytest.fixture
def bay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    for name in ("HOME", "XDG_CONFIG_HOME", "CODEX_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "user"))
    return Inside(tmp_path, monkeypatch)


async def at_once(seconds: float) -> None:
    """Retries happen without a delay."""


def clean(text: str) -> None:
    leaks = [line for line in text.splitlines() if any(secret in line for secret in SECRETS)]
    assert not leaks, leaks[:5]


def run(bay: Inside, *arguments: str, stdin: str = "") -> None:
    """Run a command verbosely, and check that no output contains a secret."""
    done = bay(*arguments, "--verbose", stdin=stdin)
    assert "internal:" not in done.err, done.err
    clean(done.out + done.err)


def listed() -> object:
    return {"data": [{"id": "m"}], "models": {"m": {"id": "m", "name": "M", "limit": {"context": 1000}}}}


def registry(url: str) -> Callable[[], object]:
    models = {"m": {"id": "m", "name": "M", "limit": {"context": 1000}}}
    return lambda: {"acme": {"id": "acme", "name": "Acme", "type": "openai", "api": f"{url}/v1", "models": models}}


def manifest(url: str) -> Callable[[], object]:
    return lambda: {"name": "Acme", "website": url, "baseUrl": f"{url}/v1", "models_data_source": "endpoint"}


COMMANDS: list[tuple[str, ...]] = [
    (
        "provider",
        "add",
        "URL/api.json",
        "--as",
        "registry",
        "--api-key",
        TOKEN,
        "--provider-key",
        f"acme={KEY}",
        "--yes",
    ),
    (
        "provider",
        "add",
        f"URL/api.json?key={PARAMETER}",
        "--as",
        "registry",
        "--api-key",
        TOKEN,
        "--token-is-key",
        "--yes",
    ),
    ("provider", "add", f"USER/api.json?token={PARAMETER}", "--as", "registry", "--yes"),
    ("provider", "manifest", "URL/v1/models?provider=true", "--api-key", KEY, "--yes"),
    ("provider", "manifest", f"URL/v1/models?provider=true&key={PARAMETER}", "--api-key", KEY, "--yes"),
    ("provider", "manifest", "USER/v1/models?provider=true", "--api-key", KEY, "--yes"),
    ("provider", "catalog", "add", "acme", "--url", f"URL/catalog.json?api_key={PARAMETER}", "--api-key", KEY),
    ("provider", "catalog", "add", "acme", "--url", f"USER/catalog.json?api_key={PARAMETER}", "--api-key", KEY),
    ("provider", "catalog", "list", "--url", f"USER/catalog.json?api_key={PARAMETER}"),
    ("provider", "add", "URL/v1", "--api-key", KEY, "--id", "acme", "--model", "m", "--yes"),
    ("provider", "add", f"USER/v1?sig={PARAMETER}", "--id", "acme", "--model", "m", "--yes"),
    ("manifest", "check", "URL/v1/models?provider=true", "--api-key", KEY, "--yes", "--json"),
    ("manifest", "check", f"USER/v1/models?provider=true&key={PARAMETER}", "--api-key", KEY, "--yes"),
    ("manifest", "build", f"USER/v1?key={PARAMETER}", "--name", "Acme", "--website", "https://acme.example"),
    ("login", "--status", "--json"),
    ("login", "hosted"),
    ("provider", "refresh"),
    ("provider", "refresh", "--json"),
    ("provider", "refresh", "--dry-run"),
    ("provider", "test"),
    ("provider", "test", "--json"),
    ("provider", "list", "--json"),
    ("provider", "show", "all", "--json"),
    ("provider", "show", "hosted"),
    ("model", "list", "--json"),
    ("model", "show", "all/m", "--json"),
    ("config", "check"),
    ("client", "add", "other", "--key", CLIENT),
    ("client", "remove", CLIENT),
    ("client", "list"),
    ("client", "list", "--json"),
    ("export", "opencode", "all"),
    ("export", "kimi", "all"),
    ("import", "kimi", "FILE", "--keys", "--yes", "--replace"),
    ("import", "kimi", "FILE", "--dry-run"),
    ("ask", "-m", "all/m", "Hi"),
    ("ask", "-m", "hosted/m", "--json", "Hi"),
    ("provider", "remove", "all", "--yes"),
]


def config(url: str) -> str:
    password = url.replace("//", f"//me:{PASSWORD}@")
    return f"""\
[providers.all]
type = "openai"
base_url = "{url}/v1?sig={PARAMETER}"
api_key = "{KEY}"
custom_headers = {{ X-Api-Token = "{HEADER}" }}
source = {{ kind = "apiJson", url = "{url}/api.json?key={PARAMETER}", apiKey = "{TOKEN}" }}
[providers.user]
type = "openai"
base_url = "{password}/v1"
model_source = "discover"
[providers.hosted]
type = "openai"
base_url = "{url}/v1"
oauth = {{ key = "mine", device_url = "{url}/code", token_url = "{url}/token", client_id = "c" }}
[providers.told]
type = "openai"
base_url = "{url}/v1"
api_key = "{OWN}"
source = {{ kind = "manifest", url = "{url}/v1/models?provider=true&key={PARAMETER}" }}
[models."all/m"]
provider = "all"
model = "m"
[models."told/m"]
provider = "told"
model = "m"
api_key = "{OWN}"
"""


def logged_in(home: Path, url: str, lasts: float) -> None:
    folder = home / "credentials"
    folder.mkdir(exist_ok=True)
    tokens = {"access_token": ACCESS, "refresh_token": REFRESH, "expires_at": time() + lasts, "expires_in": 3600}
    (folder / "mine.json").write_text(json.dumps({**tokens, "origin": url, "token_url": f"{url}/token"}))


@pytest.mark.parametrize("kind", ["errors", "answers"])
def test_no_command_shows_a_secret_that_a_server_quotes(
    bay: Inside, echo: Echo, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = echo.url.replace("//", f"//me:{PASSWORD}@")
    monkeypatch.setattr("modelbay.calling.opening.sleep", at_once)
    monkeypatch.setattr("modelbay.credentials.tokens.ATTEMPTS", 1)
    if kind == "answers":
        echo.pages = {"/api.json": registry(echo.url), "/catalog.json": registry(echo.url), "/v1/models": listed}
    run(bay, "client", "add", "me", "--key", "-", stdin=CLIENT)
    run(bay, "client", "add", "you", "--key", "-", stdin=CLIENT)
    for command in COMMANDS:
        bay.file.write_text(config(echo.url))
        logged_in(bay.home, echo.url, -10 if kind == "errors" else 3000)
        (bay.home / "import.toml").write_text(config(echo.url).replace("[providers.all]", "[providers.other]", 1))
        for status in (500, 401) if kind == "errors" else (400,):
            echo.status = status
            if kind == "answers" and command[:2] in (("provider", "manifest"), ("manifest", "check")):
                echo.pages["/v1/models"] = manifest(echo.url)
            run(bay, *(
                word.replace("URL", echo.url).replace("USER", user).replace("FILE", str(bay.home / "import.toml"))
                for word in command
            ))  # fmt: skip
            echo.pages |= {"/v1/models": listed} if kind == "answers" else {}
    heard = "\n".join(echo.heard)
    assert [
        secret for secret in (KEY, TOKEN, PARAMETER, ACCESS if kind == "answers" else REFRESH) if secret not in heard
    ] == []


async def test_the_app_shows_no_secret_that_a_server_quotes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, echo: Echo
) -> None:
    home = tmp_path
    monkeypatch.setenv("MODELBAY_HOME", str(home))
    logged_in(home, echo.url, 3000)
    models = '[models."hosted/m"]\nprovider = "hosted"\nmodel = "m"\n'
    async with sitting(config(echo.url) + models, home=home, size=(160, 50)) as person:
        for name in ("all/m", "told/m", "hosted/m"):
            await person.says(f"/model {name}")
            echo.status = 401
            await person.says("Hello")
            await person.answered()
            await person.sees("you sent")
            clean(person.screen)
            await person.presses("ctrl+u")
    assert KEY in "\n".join(echo.heard)
