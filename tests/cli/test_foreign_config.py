"""A configuration, or an agent's file, from elsewhere: its references are followed only where the user approved them."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelbay.hub import Hub
from modelbay.simulator import Simulator
from tests.agents.desk import Desk
from tests.cli.inside import Person
from tests.servers.site import Site, site

SECRET = "sk-mine-0123456789"

PLACES = {
    "api_key": 'api_key = "REF"',
    "api_key_env": 'api_key_env = "MY_SECRET"',
    "env table": 'env = { OPENAI_API_KEY = "REF" }',
    "header": 'api_key = "k"\ncustom_headers = { X-Team = "REF" }',
    "model": 'api_key = "k"\n[models.mine]\nprovider = "evil"\nmodel = "sim-echo"\napi_key = "REF"',
}
"""Where in a file a reference may be."""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


@pytest.fixture
def host(simulator: Simulator) -> Iterator[Site]:
    with site(simulator) as running:
        running.calls["/v1/chat/completions"] = "/v1/chat/completions"
        running.pages["/v1/models"] = {"object": "list", "data": [{"id": "sim-echo", "object": "model"}]}
        yield running


@pytest.fixture(params=["env", "file"])
def reference(request: pytest.FixtureRequest, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MY_SECRET", SECRET)
    secret = desk.write("secret", SECRET)
    return "{env:MY_SECRET}" if request.param == "env" else f"{{file:{secret}}}"


def foreign(desk: Desk, host: Site, text: str, reference: str = "{env:MY_SECRET}") -> str:
    entry = f'[providers.evil]\ntype = "openai"\nbase_url = "{host.url}/v1"\n{text.replace("REF", reference)}\n'
    return str(desk.write("project/modelbay.toml", entry))


def got(host: Site) -> str:
    """All that the host was sent."""
    return repr([(one.target, one.headers, one.body) for one in host.asked])


COMMANDS = [
    ("ask", "-m", "evil/sim-echo", "Hello"),
    ("provider", "test", "evil"),
    ("provider", "edit", "evil", "--add-model", "other"),
    ("manifest", "build", "evil"),
    ("config", "check"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0] + "-" + command[1])
@pytest.mark.parametrize("place", PLACES)
def test_no_command_sends_what_a_foreign_file_refers_to(
    desk: Desk, host: Site, reference: str, place: str, command: tuple[str, ...]
):
    desk(*command, "--config", foreign(desk, host, PLACES[place], reference))
    assert SECRET not in got(host)


@pytest.mark.parametrize("place", PLACES)
def test_a_reference_that_is_allowed_for_the_host_is_followed(desk: Desk, host: Site, reference: str, place: str):
    file = foreign(desk, host, PLACES[place], reference)
    model = "mine" if place == "model" else "evil/sim-echo"
    ask = ("ask", "-m", model, "Hello", "--config", file)
    reference = "{env:MY_SECRET}" if place == "api_key_env" else reference
    run = desk(*ask)
    assert run.code == 1
    assert f"--allow-reference '{desk.same(reference)}={host.url}'" in run.err
    assert desk(*ask, "--allow-reference", f"{reference}=https://other.example").code == 1
    assert desk(*ask, "--allow-reference", f"{{env:OTHER}}={host.url}").code == 1
    assert not host.asked
    desk.done(*ask, "--allow-reference", f"{reference}={host.url}")
    assert SECRET in got(host)
    assert desk(*ask).code == 1  # it was for one command


def test_a_path_in_the_home_needs_no_approval(desk: Desk, host: Site, reference: str):
    text = Path(foreign(desk, host, PLACES["api_key"], reference)).read_text()
    other = desk.home / "other.toml"
    for file in (desk.file, other):
        file.write_text(text)
    desk.done("ask", "-m", "evil/sim-echo", "Hello")
    desk.done("ask", "-m", "evil/sim-echo", "Hello", "--config", str(other))
    assert got(host).count(SECRET) == 2


def test_an_approval_is_for_the_file_as_it_is(desk: Desk, host: Site, reference: str):
    file = foreign(desk, host, PLACES["api_key"], reference)
    ask = ("ask", "-m", "evil/sim-echo", "Hello", "--config", file)
    approve = ("config", "approve", "--config", file)
    refused = desk(*approve)
    assert (refused.code, refused.out) == (2, f"{desk.same(reference)} -> {host.url}\n")
    desk.done(*approve, "--allow-reference", f"{reference}={host.url}")
    kept = desk.home / "approvals.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert SECRET not in kept.read_text()
    desk.done(*ask)
    assert SECRET in got(host)
    host.asked.clear()
    Path(file).write_text(Path(file).read_text() + "# changed\n")
    assert desk(*ask).code == 1
    assert not host.asked


def test_a_proxy_of_the_file_gets_nothing_without_approval_either(desk: Desk, host: Site, monkeypatch):
    monkeypatch.setenv("MY_SECRET", SECRET)
    file = foreign(desk, host, f'{PLACES["api_key"]}\nproxy = "{host.url}"')
    Path(file).write_text(Path(file).read_text().replace(f'base_url = "{host.url}', 'base_url = "http://good.example'))
    allowed = ("--allow-reference", "{env:MY_SECRET}=http://good.example")
    run = desk("ask", "-m", "evil/sim-echo", "Hello", "--config", file, *allowed)
    assert run.code == 1
    assert f"--allow-reference '{{env:MY_SECRET}}={host.url}'" in run.err
    assert not host.asked


@pytest.mark.parametrize("agent", ["kilo", "codex", "claude"])
def test_an_export_does_not_pass_a_foreign_reference_on(desk: Desk, host: Site, agent: str):
    type = {"kilo": "openai", "codex": "openai_responses", "claude": "anthropic"}[agent]
    file = Path(foreign(desk, host, PLACES["api_key"]))
    file.write_text(file.read_text().replace('"openai"', f'"{type}"'))
    run = desk("configure", agent, "evil", "--config", str(file))
    assert run.code == 1
    assert "is not from modelbay's home" in run.err
    assert not list(desk.user.rglob("*.json")) + list(desk.user.rglob("config.toml"))
    export = ("export", agent, "evil", "--config", str(file), "--allow-reference", f"{{env:MY_SECRET}}={host.url}")
    assert "MY_SECRET" in desk.done(*export)


def test_a_registry_of_a_foreign_file_does_not_get_its_token(desk: Desk, host: Site, monkeypatch):
    monkeypatch.setenv("MY_SECRET", SECRET)
    source = f'source = {{ kind = "apiJson", url = "{host.url}/api.json", apiKey = "REF" }}'
    file = foreign(desk, host, f'auth = "none"\n{source}')
    run = desk("provider", "refresh", "evil", "--config", file)
    assert SECRET not in got(host)
    assert "{env:MY_SECRET}" in run.out + run.err


def test_a_command_of_a_foreign_file_runs_only_if_it_is_named(desk: Desk, host: Site):
    mark = desk.project / "ran"
    file = foreign(desk, host, PLACES["api_key"], f"{{command:touch {mark}}}")
    run = desk("ask", "-m", "evil/sim-echo", "Hello", "--config", file)
    assert run.code == 1
    assert "{command:…}" in run.err
    assert not mark.exists()


async def test_a_program_that_opens_a_path_vouches_for_it(desk: Desk, host: Site, reference: str):
    async with Hub.open(foreign(desk, host, PLACES["api_key"], reference)) as hub:
        await hub.complete("Hello", model="evil/sim-echo")
    assert SECRET in got(host)


# import FILE

NPM = "@ai-sdk/openai-compatible"
KEYED = {
    "kilo": {"provider": {"acme": {"npm": NPM, "options": {"baseURL": "@", "apiKey": "REF"}}}},
    "opencode": {"provider": {"acme": {"npm": NPM, "options": {"baseURL": "@", "headers": {"X-Team": "REF"}}}}},
    "claude": {"apiKeyHelper": "printenv MY_SECRET", "env": {"ANTHROPIC_BASE_URL": "@"}},
    "codex": '[model_providers.acme]\nname = "Acme"\nbase_url = "@"\nenv_key = "MY_SECRET"\n',
    "kimi": '[providers.acme]\ntype = "openai"\nbase_url = "@"\napi_key_env = "MY_SECRET"\n',
}


@pytest.mark.parametrize("agent", KEYED)
def test_yes_alone_does_not_import_a_reference_of_a_foreign_file(desk: Desk, agent: str):
    text = KEYED[agent] if isinstance(KEYED[agent], str) else json.dumps(KEYED[agent])
    text = str(text).replace('"@"', '"https://theirs.example/v1"').replace("REF", "{env:MY_SECRET}")
    file = str(desk.write("project/theirs", text))
    run = desk("import", agent, file, "--yes")
    if agent == "claude":  # its helper is a program, which no foreign file may run
        assert "MY_SECRET" not in desk.text
        return
    assert run.code == 1
    assert "--allow-reference '{env:MY_SECRET}=https://theirs.example'" in run.err
    assert not desk.text
    allowed = ("--allow-reference", "{env:MY_SECRET}=https://theirs.example")
    desk.done("import", agent, file, "--yes", *allowed)
    assert "MY_SECRET" in desk.text


def test_a_person_approves_what_a_foreign_file_refers_to(desk: Desk, tmp_path: Path):
    text = str(KEYED["kimi"]).replace('"@"', '"https://good.example/v1"')
    file = desk.write("project/theirs", text)
    with Person(desk.home, "import", "kimi", str(file)) as person:
        person.sees("{env:MY_SECRET} would be sent to https://good.example")
        person.sees("Follow these references of the file?")
        person.types("y")
        person.sees("Write these changes?")
        person.types("y")
        assert person.ends() == 0
    assert "MY_SECRET" in desk.text
    desk.file.unlink()
    desk.done("import", "kimi", str(file), "--yes")
    assert "MY_SECRET" in desk.text
