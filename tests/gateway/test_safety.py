"""Safety of the gateway: its callers, hostile requests, and the places where keys must not appear."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelbay.calling.recording import Recorder
from modelbay.config.load import load
from modelbay.errors import ConfigError
from modelbay.gateway.access_log import JsonLines
from modelbay.gateway.clients import ClientKeys
from modelbay.gateway.gateway import Gateway
from modelbay.logs import LOG
from modelbay.secrecy import spellings
from modelbay.serving.routes import MOUNTS, ROWS, STATUS, RouteRow
from modelbay.simulator import Simulator
from tests.gateway.raw import RawClient, RawResponse, head, post
from tests.gateway.running import KEY, PROTOCOLS, RunningGateway, config_text, running
from tests.gateway.test_app import request
from tests.servers.loopback import Handler, served

Running = tuple[RunningGateway, Simulator]
PATH, BODY = request("openai_chat", "anthropic")
FRIEND = "https://friend.example"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("gateway"), settings=f'cors_origins = ["{FRIEND}"]') as found:
        yield found


@pytest.fixture
def url(gateway: Running) -> str:
    return gateway[0].url


async def answer(url: str, data: bytes, *, body: bool = True) -> RawResponse:
    async with RawClient(url) as client:
        await client.send(data)
        return await client.response(body=body)


# --- callers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8484", "localhost", "LocalHost:1", "[::1]", "[::1]:80"])
async def test_a_local_name_of_the_server_is_accepted(url: str, host: str) -> None:
    assert (await answer(url, post(PATH, BODY, f"Host: {host}"))).status == 200


@pytest.mark.parametrize(
    "lines",
    [
        ["Host: evil.example"],
        ["Host: 127.0.0.1.evil.example"],
        ["Host: localhost.evil.example:8484"],
        ["Host: 127.0.0.1@evil.example"],
        ["Host: evil.example@127.0.0.1"],
        ["Host: evil.example/127.0.0.1"],
        ["Host: 127.0.0.1/evil.example"],
        ["Host: evil.example#127.0.0.1"],
        ["Host: 127.0.0.1\\evil.example"],
        ["Host: 127.0.0.1 evil.example"],
        ["Host: [::1"],
        ["Host: 127.0.0.1:80:80"],
        ["Host: "],
        ["Origin: https://evil.example"],
        ["Origin: null"],
        ["Origin: http://127.0.0.1.evil.example"],
        ["Origin: http://localhost@evil.example"],
        [f"Origin: {FRIEND}.evil.example"],
        [f"Origin: {FRIEND}:444"],
        [f"Origin: {FRIEND}", "Origin: https://evil.example"],
    ],
)
@pytest.mark.parametrize("path", [PATH, "/health"])
async def test_pages_of_other_sites_get_nothing(gateway: Running, lines: list[str], path: str) -> None:
    before = len(gateway[1].journal)
    found = await answer(gateway[0].url, post(path, BODY, *lines) if path == PATH else head("GET", path, *lines))
    assert found.status == 403
    assert not {name for name in found.headers if name.startswith("access-control")}
    assert len(gateway[1].journal) == before


async def test_a_page_of_an_allowed_site_may_call(url: str) -> None:
    asked = ("Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization, x-test")
    found = await answer(url, head("OPTIONS", PATH, f"Origin: {FRIEND}", *asked, key=None), body=False)
    assert found.status == 204
    assert found.headers["access-control-allow-origin"] == FRIEND
    assert found.headers["access-control-allow-headers"] == "authorization, x-test"
    assert "access-control-allow-credentials" not in found.headers
    for key, status in ((KEY, 200), (None, 401)):
        found = await answer(url, post(PATH, BODY, f"Origin: {FRIEND}", key=key))
        assert found.status == status
        assert found.headers["access-control-allow-origin"] == FRIEND


async def test_another_site_gets_no_permission_in_advance(url: str) -> None:
    found = await answer(url, head("OPTIONS", PATH, "Origin: https://evil.example", key=None))
    assert found.status == 403


async def test_a_removed_client_is_refused_at_once(tmp_path: Path) -> None:
    with running(tmp_path) as (at, _):
        async with RawClient(at.url) as client:
            await client.send(post(PATH, BODY))
            assert (await client.response()).status == 200
            ClientKeys(tmp_path / "clients.json").remove("tests")
            await client.send(post(PATH, BODY))
            assert (await client.response()).status == 401


async def test_the_right_key_beside_a_wrong_one_is_accepted(url: str) -> None:
    assert (await answer(url, post(PATH, BODY, "x-api-key: sk-of-the-agent"))).status == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_other_machines_always_need_a_key(tmp_path: Path, host: str) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[gateway]\nauth = "none"\n')
    with pytest.raises(ConfigError, match="loopback"):
        Gateway(load(config, trusted=True), host, ClientKeys(tmp_path / "clients.json"))


async def test_programs_of_this_machine_need_no_key_if_the_user_says_so(tmp_path: Path) -> None:
    with running(tmp_path, settings='auth = "none"') as (at, _):
        assert (await answer(at.url, post(PATH, BODY, key=None))).status == 200
        assert (await answer(at.url, post(PATH, BODY, "Host: evil.example", key=None))).status == 403


# --- every path --------------------------------------------------------------------------------------------------------

IDS = {"{model}": "anthropic", "{id}": "resp_1", "{place}": "a"}
BODIES = {
    "anthropic": request("anthropic", "anthropic")[1],
    "google": request("google", "google")[1],
    "openai_responses": {"model": "openai_responses", "input": "Hello"},
}
OPENAI: dict[str, object] = {
    "model": "openai_chat",
    "input": "Hello",
    "prompt": "Hello",
    "query": "Hello",
    "documents": ["a"],
}
OPENAI |= {"messages": [{"role": "user", "content": "Hello"}]}


def paths() -> list[tuple[str, str, RouteRow]]:
    found = []
    for row in ROWS:
        for version in row.versions:
            path = f"{version}{row.path}"
            for name, value in IDS.items():
                path = path.replace(name, value)
            for mount in ("", *MOUNTS):
                found += [(method, f"{mount}{path}" or "/", row) for method in row.methods]
    return found


@pytest.mark.parametrize("action", sorted({row.action for row in ROWS}))
async def test_every_path_is_answered_with_a_key_and_refused_without(url: str, action: str) -> None:
    async with RawClient(url) as client:
        for method, path, row in paths():
            if row.action != action:
                continue
            body = BODIES.get(row.protocol, OPENAI)
            data = post(path, body) if method == "POST" else head(method, path)
            await client.send(data)
            found = await client.response(body=method != "HEAD")
            assert found.status < 500, (method, path, found.body)
            assert found.status not in (401, 405), (method, path, found.body)
            if found.status == 404:
                assert b"unknown path" not in found.body, path
    for method, path, row in paths():
        if row.action != action:
            continue
        bare = post(path, {}, key=None) if method == "POST" else head(method, path, key=None)
        found = await answer(url, bare, body=method != "HEAD")
        open_to_all = row.action in STATUS or row.action == "api_json"
        # the gateway proves itself before a program sends its key, but not without a challenge
        expected = 400 if row.action == "proof" else 200 if open_to_all else 401
        assert found.status == expected, (method, path)
        assert b"sk-" not in found.body


# --- hostile requests --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "//v1/models",
        "//evil.example/v1/models",
        "/v1//models",
        "/v1/../v1/models",
        "/v1/models/..",
        "/v1/%2e%2e/v1/models",
        "/v1/%252e%252e/models",
        "/v1/models/..;/models",
        "/v1/models/..%2f..%2fhealth",
        "/v1/models/a%5c..%5cb",
        "/v1/models/%00",
        "/v1/models/a%0d%0aX-Evil:%201",
        "/v1beta/models/..%2f..%2ffiles:generateContent",
        "/v1/models/%ff%fe",
        "/v1/models;x=1",
        "/V1/MODELS",
        "/v1/models/" + "%25" * 100 + "2e",
        "/v1/models/" + "a" * 10_000,
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_path_that_can_be_read_in_two_ways_reaches_no_provider(
    gateway: Running, method: str, target: str
) -> None:
    before = len(gateway[1].journal)
    found = await answer(gateway[0].url, post(target, BODY) if method == "POST" else head("GET", target))
    assert 400 <= found.status < 500
    assert "x-evil" not in found.headers
    assert len(found.body) < 2_000
    assert len(gateway[1].journal) == before


@pytest.mark.parametrize(
    "data",
    [
        head("POST", PATH, "Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        head("POST", PATH, "Transfer-Encoding: chunked", "Content-Length: 5") + b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        head("POST", PATH, "Content-Length: 2", "Content-Length: 3") + b"{}x",
        head("POST", PATH, "Content-Length: +2") + b"{}",
        head("POST", PATH, "Content-Length: 2, 2") + b"{}",
        head("POST", PATH, "Content-Length: -1") + b"{}",
        head("POST", PATH, "Content-Length: 99999999999999999999999") + b"{}",
        head("POST", PATH, "Transfer-Encoding: chunked, identity") + b"0\r\n\r\n",
        head("POST", PATH, "Transfer-Encoding : chunked") + b"0\r\n\r\n",
        head("POST", PATH, "Transfer-Encoding: chunked") + b"xyz\r\n\r\n",
        head("POST", PATH, "X-Bad: a\0b", "Content-Length: 2") + b"{}",
        head("POST", PATH, "X\0Bad: a", "Content-Length: 2") + b"{}",
        head("POST", PATH, "X Bad: a", "Content-Length: 2") + b"{}",
        b"POST /v1/chat\0 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /v1/models HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_an_ambiguous_request_is_refused_and_ends_its_connection(gateway: Running, data: bytes) -> None:
    before = len(gateway[1].journal)
    async with RawClient(gateway[0].url) as client:
        await client.send(data)
        received = await client.rest()
    assert received.startswith(b"HTTP/1.1 400 "), received
    assert received.count(b"HTTP/1.1 ") == 1, "what follows is not another request"
    assert len(gateway[1].journal) == before


BAD_BODIES = [
    b"",
    b"null",
    b"[]",
    b'"text"',
    b"{",
    b'{"model": "anthropic", "messages": ',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"model": "anthropic", "messages": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    b'{"model": 5}',
    b'{"model": {"a": []}}',
    b'{"model": "anthropic", "messages": 5, "contents": 5, "input": 5}',
    b'{"model": "anthropic", "messages": [5], "contents": [5], "input": [5]}',
    b'{"model": "anthropic", "messages": [[]], "contents": [{"parts": 3}], "input": [{"type": 3}]}',
    b'{"model": "\xff\xfe", "messages": []}',
    b'{"model": "\\ud800", "messages": []}',
    b'{"model": "anthropic", "max_tokens": 1e999, "messages": []}',
    b'{"model": "anthropic", "max_tokens": NaN}',
    b'{"model": "anthropic", "tools": {"a": 1}, "messages": [{"role": 3, "content": {"x": 1}}]}',
    b'{"model": "anthropic", "max_tokens": "%b", "messages": []}' % (b"9" * 5_000),
    b"\0" * 1_000,
    b"\x1f\x8b\x08\x00",
]


@pytest.mark.parametrize("client", PROTOCOLS)
@pytest.mark.parametrize("index", range(len(BAD_BODIES)))
@pytest.mark.parametrize("same", [True, False], ids=["passed", "translated"])
async def test_a_body_that_no_client_sends_is_refused_or_understood(
    url: str, client: str, index: int, same: bool
) -> None:
    model = client if same else "anthropic" if client != "anthropic" else "google"
    path = request(client, model)[0]
    data = BAD_BODIES[index].replace(b'"anthropic"', f'"{model}"'.encode())
    found = await answer(url, post(path, data))
    assert found.status < 500, found.body
    if found.status >= 400:
        assert json.loads(found.body)["error"]["message"]


async def test_a_page_with_too_many_items_is_refused(url: str) -> None:
    for limit in ("101", "9" * 5_000):
        found = await answer(url, head("GET", f"/v1/responses/resp_1/input_items?limit={limit}"))
        assert found.status in (400, 404)


@pytest.mark.parametrize("client", PROTOCOLS)
async def test_a_very_long_model_name_gets_a_short_refusal(url: str, client: str) -> None:
    found = await answer(url, post(*request(client, "m" * 10_000)))
    assert found.status == 404
    assert len(found.body) < 1_000


async def test_a_head_above_the_limit_is_refused(url: str) -> None:
    found = await answer(url, post(PATH, BODY, f"X-Long: {'x' * 70_000}"))
    assert found.status == 431


# --- keys --------------------------------------------------------------------------------------------------------------

SECRET = "sk-upstream-0123456789"
PLANTED = "sk-mb-PLANTED0123456789"


class Spy(Handler):
    """A provider of all protocols that keeps what it gets, and repeats the provider's key in its errors."""

    received: list[str] = []  # noqa: RUF012

    def do_POST(self) -> None:
        body = self.body().decode()
        Spy.received.append(f"{self.requestline}\n{self.headers}\n{body}")
        error = {"message": f"{SECRET} is not valid for {self.path}", "type": "invalid_request_error", "code": 400}
        answer = {"type": "error", "error": error}
        self.answer(400, json.dumps(answer).encode(), {"content-type": "application/json", "x-request-id": SECRET})


class Logs:
    """All that is logged, as text and as JSON."""

    def __init__(self) -> None:
        self.text, self.json = io.StringIO(), io.StringIO()
        self.handlers = [logging.StreamHandler(self.text), logging.StreamHandler(self.json)]
        self.handlers[1].setFormatter(JsonLines())


@pytest.fixture
def logs() -> Iterator[Logs]:
    found, level = Logs(), LOG.level
    for handler in found.handlers:
        LOG.addHandler(handler)
    LOG.setLevel(logging.DEBUG)
    yield found
    LOG.setLevel(level)
    for handler in found.handlers:
        LOG.removeHandler(handler)


QUERIES = ["key={}", "alt=sse&key={}", "%6bey={}", "key={}&key=other", "Key={0}&key={0}", "key={}&x=1#f"]


@pytest.mark.parametrize("reference", ["{env:PLANTED}", "{file:PLANTED}", "{command:PLANTED}", "%7Benv:PLANTED%7D"])
async def test_a_reference_in_the_query_of_a_client_reads_nothing(
    gateway: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"#!/bin/sh\necho {PLANTED}\n")
    secret.chmod(0o700)
    monkeypatch.setenv("PLANTED", PLANTED)
    named = reference if "env" in reference else reference.replace("PLANTED", str(secret))
    path, body = request("google", "google")
    assert (await answer(gateway[0].url, post(f"{path}?note={named}", body))).status == 200
    assert gateway[1].journal[-1].target.endswith(f"?note={named}")


async def test_the_query_of_a_client_is_not_registered_as_a_secret(url: str) -> None:
    """Each registered value makes every reply slower, and displaces an older one."""
    path, body = request("google", "google")
    note = "note-4f9a8b7c6d5e4f3a2b1c"
    assert (await answer(url, post(f"{path}?note={note}", body))).status == 200
    assert note not in spellings()


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("upstream", PROTOCOLS)
async def test_a_client_s_key_in_the_query_goes_nowhere(tmp_path: Path, logs: Logs, upstream: str, query: str) -> None:
    Spy.received.clear()
    with served(Spy) as at:
        (tmp_path / "config.toml").write_text(config_text(at).replace("sk-provider", SECRET))
        with RunningGateway(tmp_path / "config.toml") as gateway:
            gateway.clients.add("planted", PLANTED)
            recorder = Recorder()
            path, body = request("google", upstream)
            await answer(gateway.url, head("GET", "/health"))
            gateway.gateway.revision.providers.recorder = recorder
            found = await answer(gateway.url, post(f"{path}?{query.format(PLANTED)}", body, key=None))
            wrong = await answer(gateway.url, post(f"{path}?{query.format(PLANTED + 'x')}", body, key=None))
            lost = await answer(gateway.url, post(f"/v1beta/nothing?{query.format(PLANTED)}", body, key=None))
    assert (found.status, wrong.status, lost.status) == (400, 401, 404)
    assert len(Spy.received) == 1
    written = logs.text.getvalue() + logs.json.getvalue()
    assert "request_id=" in written
    assert '"request_id":' in written
    for place in (*Spy.received, written, recorder.lines().decode()):
        assert PLANTED not in place
    for response in (found, wrong, lost):
        assert PLANTED not in f"{response.headers} {response.body.decode()}"
    for place in (written, recorder.lines().decode(), f"{found.headers} {found.body.decode()}"):
        assert SECRET not in place


@pytest.mark.parametrize("client", PROTOCOLS)
@pytest.mark.parametrize("upstream", PROTOCOLS)
async def test_a_client_s_key_in_a_header_reaches_no_provider_and_a_provider_s_no_client(
    tmp_path: Path, logs: Logs, client: str, upstream: str
) -> None:
    Spy.received.clear()
    with served(Spy) as at:
        (tmp_path / "config.toml").write_text(config_text(at).replace("sk-provider", SECRET))
        with RunningGateway(tmp_path / "config.toml") as gateway:
            gateway.clients.add("planted", PLANTED)
            names = ("authorization: Bearer ", "x-api-key: ", "api-key: ", "x-goog-api-key: ", "cookie: key=")
            lines = [f"{name}{PLANTED}" for name in names]
            found = await answer(gateway.url, post(*request(client, upstream), *lines, key=None))
    assert found.status == 400
    assert len(Spy.received) == 1
    assert SECRET in Spy.received[0]
    assert PLANTED not in Spy.received[0] + logs.text.getvalue() + found.body.decode()
    assert SECRET not in f"{found.headers} {found.body.decode()} {logs.text.getvalue()}"


# --- names of the configuration ----------------------------------------------------------------------------------------

NAMES = [
    "a\r\nX-Evil: 1",
    "a\x1b[31mb",
    "a\0b",
    "a\u2028b",
    'quo"te',
    "a b",
    "größe 漢字",
    "../../x",
    "<script>",
    "a=b",
    "%0d%0aX-Evil: 1",
    "x" * 300,
]


@pytest.mark.parametrize("name", NAMES)
async def test_hostile_names_of_models_and_providers_stay_in_their_place(tmp_path: Path, logs: Logs, name: str) -> None:
    written = json.dumps(name)
    with Simulator() as upstream:
        more = (
            f'[providers.{written}]\ntype = "openai"\nbase_url = "{upstream.url}/v1"\napi_key = "sk-provider"\n'
            f"[models.{written}]\nprovider = {written}\nmodel = {written}\n"
        )
        (tmp_path / "config.toml").write_text(config_text(upstream.url) + more, encoding="utf-8")
        with RunningGateway(tmp_path / "config.toml") as gateway:
            path, body = request("openai_chat", name)
            found = await answer(gateway.url, post(path, body))
            assert found.status < 500, found.body
            assert "x-evil" not in found.headers
            listed = await answer(gateway.url, head("GET", "/v1/models"))
            assert listed.status == 200
            json.loads(listed.body)
    lines = logs.text.getvalue().split("\n")
    assert "outcome=" in str(lines)
    assert [line for line in lines if not line.isprintable() or line.startswith("X-Evil")] == []
    for line in logs.json.getvalue().strip().split("\n"):
        json.loads(line)
