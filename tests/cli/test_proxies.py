"""Commands behind a corporate proxy: real CONNECT and SOCKS proxies, with and without NO_PROXY, and hosts that only those know."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from modelbay.simulator import Simulator
from modelbay.simulator.login_server import LoginBehavior
from tests.catalog.manifests import EXTENDED, MANIFEST
from tests.cli.command import KEY, Command, Run
from tests.faults.calls import unused_port
from tests.faults.proxies import forward_proxy, socks5, splice
from tests.faults.raw_server import Client, RawServer, Script
from tests.servers.site import Site, site
from tests.transport.test_network import Authority

HOST = "acme.example.test"
"""Only the proxies can resolve it."""
PASSWORD = "planted-proxy-password"
CALLS = {"/v1/chat/completions": "/v1/chat/completions"}
MODELS = {"object": "list", "data": [{"id": "sim-1"}]}


@pytest.fixture
def acme(simulator: Simulator) -> Iterator[Site]:
    simulator.reset()
    with site(simulator) as made:
        made.calls, made.pages = CALLS, {"/v1/models": MODELS}
        yield made


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    (tmp_path / "certificates").mkdir()
    return Authority(tmp_path / "certificates")


@pytest.fixture
def modelbay(tmp_path: Path, simulator: Simulator) -> Command:
    return Command(tmp_path, simulator)


@asynccontextmanager
async def behind(port: int, authority: Authority) -> AsyncIterator[int]:
    """The port of a server that speaks TLS as `HOST`, before one that does not."""

    async def script(client: Client) -> None:
        await splice(client, port)

    async with RawServer(script, authority.server(HOST)) as front:
        yield front.port


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


async def run(command: Command, *arguments: str, stdin: str = "", **environment: str) -> Run:
    return await asyncio.to_thread(command, *arguments, stdin=stdin, **environment)


def configure(command: Command, base: str, network: str = "", provider: str = "") -> None:
    command.configure(
        f'{network}\n[providers.acme]\ntype = "openai"\nbase_url = "{base}/v1"\napi_key = "{KEY}"\n{provider}\n'
    )


def proxies(port: int, asked: list[tuple[str, int]]) -> dict[str, Script]:
    return {"http": forward_proxy(port, PASSWORD), "socks5h": socks5(port, asked, PASSWORD)}


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "[network]", "provider"])
async def test_ask_goes_through_the_proxy(
    modelbay: Command, acme: Site, authority: Authority, scheme: str, variable: str
) -> None:
    asked: list[tuple[str, int]] = []
    async with behind(port_of(acme.url), authority) as port, RawServer(proxies(port, asked)[scheme]) as proxy:
        url = f"{scheme}://user:{PASSWORD}@127.0.0.1:{proxy.port}"
        network = f'[network]\nca = "{authority.file}"\n' + (f'proxy = "{url}"' if variable == "[network]" else "")
        configure(modelbay, f"https://{HOST}", network, f'proxy = "{url}"' if variable == "provider" else "")
        environment = {variable: url} if "_" in variable else {}
        answer = await run(modelbay, "--verbose", "ask", "-m", "acme/sim-1", "Hello", **environment)
        assert answer.code == 0, answer.err
        assert "You asked: Hello" in answer.out
        assert PASSWORD not in answer.out + answer.err
        assert asked == ([] if scheme == "http" else [(HOST, 443)])
        assert [one.target for one in proxy.requests] == ([f"{HOST}:443"] if scheme == "http" else [])
        assert acme.keys() == {f"Bearer {KEY}"}


@pytest.mark.parametrize(
    "direct", [{"NO_PROXY": f"other.example,.{HOST.partition('.')[2]}"}, {"no_proxy": "*"}, "network", "provider"]
)
async def test_hosts_in_no_proxy_are_reached_directly(
    modelbay: Command, acme: Site, direct: dict[str, str] | str
) -> None:
    """Its name is not known without the proxy, which the error says."""
    async with RawServer(forward_proxy(port_of(acme.url))) as proxy:
        network = '[network]\nproxy = "none"' if direct == "network" else ""
        configure(modelbay, f"http://{HOST}", network, 'proxy = "none"' if direct == "provider" else "")
        environment = direct if isinstance(direct, dict) else {}
        arguments = ("ask", "-m", "acme/sim-1", "Hello")
        answer = await run(modelbay, *arguments, ALL_PROXY=proxy.url, **environment)
        assert answer.code == 1
        assert f"could not resolve host {HOST}" in answer.err
        assert not proxy.clients
        if isinstance(direct, dict):
            through = await run(modelbay, *arguments, ALL_PROXY=proxy.url)
            assert (through.code, "You asked" in through.out) == (0, True), through.err
            assert proxy.requests[0].target == f"http://{HOST}/v1/chat/completions"


async def test_this_machine_is_reached_directly(modelbay: Command, acme: Site) -> None:
    configure(modelbay, acme.url)
    dead = f"http://127.0.0.1:{await unused_port()}"
    answer = await run(modelbay, "ask", "-m", "acme/sim-1", "Hello", HTTP_PROXY=dead, ALL_PROXY=dead)
    assert answer.code == 0, answer.err


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
async def test_a_provider_is_added_through_the_proxy(modelbay: Command, acme: Site, scheme: str) -> None:
    async with RawServer(proxies(port_of(acme.url), [])[scheme]) as proxy:
        url = f"{scheme}://user:{PASSWORD}@127.0.0.1:{proxy.port}"
        added = await run(modelbay, "provider", "add", f"http://{HOST}/v1", "--api-key", KEY, "--yes", ALL_PROXY=url)
        assert added.code == 0, added.err
        answer = await run(modelbay, "ask", "Hello", ALL_PROXY=url)
        assert "You asked: Hello" in answer.out, answer.err
        shown = await run(modelbay, "--verbose", "provider", "test", ALL_PROXY=url)
        assert PASSWORD not in "".join(one.out + one.err for one in (added, answer, shown))


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
async def test_a_manifest_and_its_models_come_through_the_proxy(modelbay: Command, acme: Site, scheme: str) -> None:
    here = f"http://{HOST}"
    for path, text in (("/v1/models?provider=true", MANIFEST), ("/v1/models?extended=true", EXTENDED)):
        acme.pages[path] = text.replace("https://providerwebsite.com", here)
    async with RawServer(proxies(port_of(acme.url), [])[scheme]) as proxy:
        url = f"{scheme}://user:{PASSWORD}@127.0.0.1:{proxy.port}"
        command = ("provider", "manifest", f"{here}/v1/models?provider=true", "--api-key", KEY, "--yes")
        added = await run(modelbay, *command, HTTP_PROXY=url)
        assert added.code == 0, added.err
        assert len(acme.asked) == 2
        checked = await run(modelbay, "manifest", "check", f"{here}/v1/models?provider=true", "--json", HTTP_PROXY=url)
        assert [one["status"] for one in json.loads(checked.out)["answers"]][:2] == [200, 200]
        refreshed = await run(modelbay, "provider", "refresh", HTTP_PROXY=url)
        assert refreshed.code == 0, refreshed.err
        assert PASSWORD not in added.out + added.err + checked.out + refreshed.out + refreshed.err


@pytest.mark.parametrize("where", ["environment", "provider"])
async def test_a_login_and_its_calls_go_through_the_proxy(tmp_path: Path, authority: Authority, where: str) -> None:
    with Simulator(names=[HOST]) as sim:
        sim.provider.logins.behave(LoginBehavior(approve_after=1, interval=1))
        command, login = Command(tmp_path, sim), f"https://{HOST}/api/oauth"
        async with behind(sim.port, authority) as port, RawServer(forward_proxy(port)) as proxy:
            own = "" if where == "environment" else f'proxy = "{proxy.url}"'
            command.configure(f"""\
[network]
ca = "{authority.file}"

[providers.own]
type = "openai"
base_url = "https://{HOST}/coding/v1"
{own}
[providers.own.oauth]
key = "own"
device_url = "{login}/device_authorization"
token_url = "{login}/token"
client_id = "me"
""")
            environment = {"HTTPS_PROXY": proxy.url} if where == "environment" else {}
            done = await run(command, "login", "own", **environment)
            assert done.code == 0, done.err
            tunnels = len(proxy.requests)
            assert tunnels
            answer = await run(command, "ask", "-m", "own/sim-1", "Hello", **environment)
            assert "You asked: Hello" in answer.out, answer.err
            assert len(proxy.requests) > tunnels
            assert {one.target for one in proxy.requests} == {f"{HOST}:443"}


@pytest.mark.parametrize(
    "inside", ["http://127.0.0.1:9/v1", "http://localhost/v1", "http://metadata.google.internal/v1"]
)
async def test_a_manifest_does_not_lead_the_proxy_inside(modelbay: Command, acme: Site, inside: str) -> None:
    manifest = json.loads(MANIFEST)
    acme.pages["/v1/models?provider=true"] = {**manifest, "baseUrl": inside}
    async with RawServer(forward_proxy(port_of(acme.url))) as proxy:
        command = ("provider", "manifest", f"http://{HOST}/v1/models?provider=true", "--api-key", KEY, "--yes")
        added = await run(modelbay, *command, HTTP_PROXY=proxy.url)
        assert added.code == 1
        assert "is local or in a private network" in added.err
        assert len(proxy.requests) == 1


async def test_a_proxy_that_is_not_there_is_named(modelbay: Command) -> None:
    configure(modelbay, f"https://{HOST}", provider="timeout = { connect = 60.0 }")
    url = f"http://user:{PASSWORD}@127.0.0.1:{await unused_port()}"
    answer = await run(modelbay, "ask", "-m", "acme/sim-1", "Hello", HTTPS_PROXY=url)
    assert answer.code == 1
    assert "could not connect to the proxy http://127.0.0.1:" in answer.err
    assert "hint: check HTTPS_PROXY" in answer.err
    assert "--base-url" not in answer.err  # which is right
    assert PASSWORD not in answer.out + answer.err


async def test_a_key_of_the_network_table_that_does_not_exist_is_refused(modelbay: Command, acme: Site) -> None:
    configure(modelbay, acme.url, "[network]\nproxi = 'http://p:1'")
    answer = await run(modelbay, "ask", "-m", "acme/sim-1", "Hello")
    assert answer.code == 1
    assert "proxi" in answer.err
    assert not acme.asked
    checked = await run(modelbay, "config", "check")
    assert (checked.code, "proxi" in checked.out + checked.err) == (1, True)


async def test_the_proxy_of_a_file_from_elsewhere_is_not_used(modelbay: Command, acme: Site, tmp_path: Path) -> None:
    async with RawServer(forward_proxy(port_of(acme.url))) as proxy:
        configure(modelbay, f"http://{HOST}", f'[network]\nproxy = "{proxy.url}"')
        elsewhere = tmp_path / "project" / "config.toml"
        elsewhere.parent.mkdir()
        (modelbay.home / "config.toml").rename(elsewhere)
        answer = await run(modelbay, "--config", str(elsewhere), "ask", "-m", "acme/sim-1", "Hello")
        assert answer.code == 1
        assert "is not from modelbay's home" in answer.err
        assert not proxy.clients


async def test_offline_contacts_the_called_provider_only(modelbay: Command, acme: Site) -> None:
    configure(modelbay, acme.url, "[network]\noffline = true")
    assert (await run(modelbay, "ask", "-m", "acme/sim-1", "Hello")).code == 0
    asked = len(acme.asked)
    for arguments in (
        ("provider", "refresh"),
        ("provider", "manifest", f"{acme.url}/v1/models?provider=true", "--yes"),
        ("provider", "add", f"{acme.url}/api.json", "--as", "registry", "--yes"),
    ):
        refused = await run(modelbay, *arguments)
        assert refused.code != 0
    assert "offline: cannot refresh" in (await run(modelbay, "provider", "refresh")).err
    assert "offline" in (await run(modelbay, "provider", "manifest", f"{acme.url}/m", "--yes")).err
    listed = await run(modelbay, "provider", "catalog", "list", "acme")
    assert "offline" in listed.err or listed.code == 0
    assert len(acme.asked) == asked
