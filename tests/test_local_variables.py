"""Tools that show the local variables of a traceback (Sentry, rich, `pytest -l`) show no key: not in any frame of a failed call."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.traceback import Traceback

from modelbay import Hub
from modelbay.config.load import load
from modelbay.credentials.oauth import Flow, TokenSet, refreshed
from modelbay.errors import ModelbayError
from modelbay.onboarding.sources import refresh
from modelbay.routing.retry import Policy
from modelbay.secrecy import HiddenBytes
from modelbay.transport import Request, Transport
from tests.faults.raw_server import Client, RawServer, reply

SECRETS = {
    "key": "sk-planted-key-0123456789",
    "header": "hdr-planted-header-45678901234567890123456789012345678901234567890123456789012345678901234567890",
    "parameter": "prm-planted-parameter-89",
    "password": "pw-planted-password",
    "proxy": "pxy-planted-password",
    "env": "env-planted-key-1234",
    "shell": "shl-planted-token-5678",
}
PROTOCOLS = ("openai", "openai_responses", "anthropic", "google-genai")


def config(url: str, more: str = "") -> str:
    """A provider of each protocol, with a secret in every place that a provider has for one."""
    address = url.replace("//", f"//me:{SECRETS['password']}@")
    entries = [
        f"""
[providers.{type}]
type = "{type}"
base_url = "{url}/v1?passwd={SECRETS["parameter"]}"
api_key = "{SECRETS["key"]}"
custom_headers = {{ X-PAT = "{SECRETS["header"]}", X-Shell = "Bearer {{env:SHELL_TOKEN}}" }}
timeout = {{ first_byte = 60 }}
"""
        for type in PROTOCOLS
    ]
    return (
        "".join(entries)
        + f"""
[providers.user]
type = "openai"
base_url = "{address}/v1?accessToken={SECRETS["parameter"]}#{SECRETS["parameter"]}"
[providers.env]
type = "openai"
base_url = "{url}/v1"
env = {{ OPENAI_API_KEY = "{SECRETS["env"]}" }}
proxy = "http://me:{SECRETS["proxy"]}@127.0.0.1:9"
{more}"""
    )


def frames(error: BaseException) -> str:
    """The data of a crash reporter: local variables in each frame of the error and of its causes."""
    lines, link, seen = [], error, set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        lines += [repr(link), str(link), repr(vars(link))]
        trace = link.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename != __file__:
                lines += [f"{name} = {value!r}" for name, value in trace.tb_frame.f_locals.items()]
            trace = trace.tb_next
        link = link.__cause__ or link.__context__  # type: ignore[assignment]
    return "\n".join(lines)


def rich(error: BaseException) -> str:
    out = StringIO()
    shown = Traceback.from_exception(
        type(error),
        error,
        error.__traceback__,
        show_locals=True,
        locals_max_string=9_999,
        locals_max_length=99,
        width=400,
    )
    Console(file=out, width=400).print(shown)
    short = Traceback.from_exception(type(error), error, error.__traceback__, show_locals=True)
    Console(file=out, width=400).print(short)
    return out.getvalue()


def clean(error: BaseException) -> None:
    for text in (frames(error), rich(error)):
        leaks = [line[:300] for line in text.splitlines() if any(secret[:18] in line for secret in SECRETS.values())]
        assert not leaks, leaks[:5]


def echo(status: int, kind: str):
    """A server that quotes what it is sent."""

    async def script(client: Client) -> None:
        while True:
            request = await client.request()
            said = f"{request.target} " + "; ".join(f"{name}: {value}" for name, value in request.headers.items())
            said = said.replace(chr(34), "")
            body = (
                f'{{"error": {{"message": "{said}", "type": "{said}"}}}}'
                if kind == "error"
                else f'["{said}"'
                if kind == "broken"
                else said
            )
            await client.send(
                reply(
                    body.encode(),
                    status,
                    "Content-Type: application/json",
                    f"Location: http://x.example/?a={said[:40]}",
                )
            )

    return script


@asynccontextmanager
async def opened(folder: Path, url: str, more: str = "") -> AsyncIterator[Hub]:
    file = folder / "config.toml"
    for name, value in SECRETS.items():
        more = more.replace(name.upper(), value)
    file.write_text(config(url, more))
    del more
    async with Hub.open(file) as hub:
        hub._client.policy = Policy(base=0.001)
        yield hub


@pytest.fixture(autouse=True)
def shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL_TOKEN", SECRETS["shell"])


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("status", "kind"), [(401, "error"), (500, "error"), (200, "error"), (200, "broken"), (200, "text"), (307, "error")]
)
async def test_of_a_call_that_a_server_refuses_and_quotes(tmp_path: Path, status: int, kind: str, stream: bool) -> None:
    async with RawServer(echo(status, kind)) as server, opened(tmp_path, server.url) as hub:
        for provider in (*PROTOCOLS, "user"):
            with pytest.raises(ModelbayError) as caught:
                if stream:
                    async for event in hub.stream("Hi", model=f"{provider}/m"):
                        if (failed := getattr(event, "error", None)) is not None:
                            raise failed
                else:
                    await hub.complete("Hi", model=f"{provider}/m")
            clean(caught.value)


async def test_a_call_that_cannot_connect_shows_no_secret(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with opened(tmp_path, f"http://127.0.0.1:{unused.getsockname()[1]}") as hub:
            for provider in (*PROTOCOLS, "user", "env"):
                with pytest.raises(ModelbayError) as caught:
                    await hub.complete("Hi", model=f"{provider}/m")
                clean(caught.value)


async def test_of_a_call_that_is_cancelled(tmp_path: Path) -> None:
    async def silent(client: Client) -> None:
        await client.request()
        await asyncio.sleep(3600)

    async with RawServer(silent) as server, opened(tmp_path, server.url) as hub:
        for provider in (*PROTOCOLS, "user"):
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(0.2):
                    await hub.complete("Hi", model=f"{provider}/m")
            clean(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        'api_key = "KEY"\ncustom_headers = { "X A" = "HEADER" }',
        'api_key = "KEY KEY"',
        'base_url = "http://me:PASSWORD@a.example/v1"\napi_key = "KEY"',
        'api_key = "KEY"\ncustom_headers = { X-A = "{env:NOT_SET} HEADER" }',
        'api_key = "KEY"\nproxy = "ftp://me:PROXY@host"',
    ],
)
async def test_of_an_entry_that_cannot_be_used(tmp_path: Path, wrong: str) -> None:
    async with opened(tmp_path, "http://127.0.0.1:9", f'[providers.wrong]\ntype = "openai"\n{wrong}\n') as hub:
        with pytest.raises(ModelbayError) as caught:
            await hub.complete("Hi", model="wrong/m")
        clean(caught.value)


@pytest.mark.parametrize(("status", "kind"), [(401, "error"), (500, "text"), (200, "broken")])
async def test_of_a_registry_that_refuses_its_token(tmp_path: Path, status: int, kind: str) -> None:
    async with RawServer(echo(status, kind)) as server:
        source = f'kind = "apiJson", url = "{server.url}/api.json?apikey=PARAMETER", apiKey = "SHELL"'
        text = f'[providers.listed]\ntype = "openai"\nbase_url = "{server.url}/v1"\nsource = {{ {source} }}\n'
        async with opened(tmp_path, server.url, text) as hub:
            (answer,) = await refresh.ask(hub.config, refresh.chosen(hub.config, "listed"))
        assert server.requests and answer.error is not None
        clean(answer.error)


async def test_of_a_login_server_that_repeats_what_it_was_sent(tmp_path: Path) -> None:
    async def script(client: Client) -> None:
        sent = (await client.request()).body.decode()
        await client.send(
            reply(f'{{"error": {{"message": ["{sent}"]}}}}'.encode(), 400, "Content-Type: application/json")
        )

    async with RawServer(script) as server, Transport() as transport:
        flow = Flow(f"{server.url}/device", f"{server.url}/token", "tests")
        old = TokenSet(access_token=SECRETS["key"], refresh_token=SECRETS["header"][:40])

        async def send(method: str, url: str, headers: dict[str, str], body: bytes | None) -> Any:
            async with await transport.send(Request(method, url, headers, body)) as response:
                return response.status, response.headers, HiddenBytes(await response.read())

        with pytest.raises(ModelbayError) as caught:
            await refreshed(flow, old, send)
        clean(caught.value)


def test_of_a_file_that_does_not_parse(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(config("http://127.0.0.1:9") + "[broken\n")
    with pytest.raises(ModelbayError) as caught:
        load(file)
    clean(caught.value)


@pytest.mark.parametrize("id", ["listed", "dialect", "variants", "headers", "env"])
def test_of_a_provider_that_is_called_as_a_table_is(tmp_path: Path, id: str) -> None:
    text = f'[providers.{id}]\nbase_url = "https://a.example/v1?apikey={SECRETS["parameter"]}"\napi_key = "{SECRETS["key"]}"\n'
    (tmp_path / "config.toml").write_text(text)
    entry = load(tmp_path / "config.toml").providers[id]
    assert not [secret for secret in SECRETS.values() if secret in repr((entry.api_key, entry.base_url))]
    assert (entry.api_key, repr(entry.base_url)) == (SECRETS["key"], "'https://a.example/v1?apikey=…'")


def test_in_the_repr_of_a_configuration(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(config("http://127.0.0.1:9"))
    loaded = load(file)
    shown = "\n".join(
        repr(value)
        for entry in loaded.providers.values()
        for value in (entry, entry.api_key, entry.base_url, entry.proxy, entry.env, entry.custom_headers, entry.extra)
    )
    assert not [secret for secret in SECRETS.values() if secret in shown + repr(loaded)]
