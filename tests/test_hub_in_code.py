"""Hubs of providers that a program describes, and calls without a hub of one's own."""

import copy
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import modelbay
from modelbay import Hub, Usage, errors, sync
from modelbay.config.schema import Timeout, Tls
from modelbay.conversation import Protocol
from modelbay.json_text import decode
from modelbay.simulator import Simulator
from modelbay.simulator.config_entries import config_text
from modelbay.testing import Simulator as Simulated

MODEL = "sim-text"
QUESTION = "Why is the sky blue?"


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(key="sk-of-the-program") as running:
        yield running


@pytest.mark.parametrize(
    ("path", "protocol"),
    [
        ("/v1", None),
        ("/v1/chat/completions", None),
        ("/v1/responses", None),
        ("/v1/messages", None),
        ("/v1", "openai_responses"),
        ("", "anthropic"),
        ("/v1beta", "google"),
    ],
)
async def test_a_provider_is_described_by_its_url(simulator: Simulator, path: str, protocol: Protocol | None) -> None:
    async with Hub.of(base_url=simulator.url + path, api_key="sk-of-the-program", protocol=protocol) as hub:
        reply = await hub.complete(QUESTION, model=MODEL)
    assert QUESTION in reply.text


async def test_any_id_of_a_model_can_be_called_and_one_is_the_default(simulator: Simulator) -> None:
    simulator.journal.clear()
    url = f"{simulator.url}/v1"
    async with Hub.of(base_url=url, api_key="sk-of-the-program", model=MODEL, headers={"X-Team": "blue"}) as hub:
        await hub.complete(QUESTION)
        with pytest.raises(errors.NotFound):
            await hub.complete(QUESTION, model=f"maker/{MODEL}")
    assert [decode(entry.body)["model"] for entry in simulator.journal] == [MODEL, f"maker/{MODEL}"]
    assert [entry.headers["x-team"] for entry in simulator.journal] == ["blue", "blue"]


async def test_a_hub_can_have_several_providers(simulator: Simulator) -> None:
    async with Hub.of(base_url=f"{simulator.url}/v1", api_key="sk-of-the-program") as hub:
        other = hub.add(base_url=f"{simulator.url}/v1/messages", api_key="sk-of-the-program", id="other")
        reply = await hub.complete(QUESTION, model=f"other/{MODEL}")
        assert (other, reply.provider) == ("other", "other")
        assert hub.model(f"other/{MODEL}").protocol == "anthropic"
        with pytest.raises(errors.ConfigError, match='the hub has a provider "other" already'):
            hub.add(base_url=f"{simulator.url}/v1", id="other")


async def test_a_key_can_be_a_reference(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_OF_THE_TEST", "sk-of-the-program")
    async with Hub.of(base_url=f"{simulator.url}/v1", api_key="{env:KEY_OF_THE_TEST}") as hub:
        assert QUESTION in (await hub.complete(QUESTION, model=MODEL)).text
    async with Hub.of(base_url=f"{simulator.url}/v1", api_key="wrong") as hub:
        with pytest.raises(errors.AuthenticationFailed):
            await hub.complete(QUESTION, model=MODEL)


@pytest.mark.parametrize(
    ("name", "protocol"), [("anthropic", "anthropic"), ("DeepSeek", "openai_chat"), ("openai", None)]
)
def test_a_vendor_is_described_by_its_name(name: str, protocol: str | None) -> None:
    hub = Hub.of(name, api_key="sk-of-the-program")
    [entry] = hub.config.providers.values()
    assert entry.id == name.lower()
    assert protocol is None or hub.model("any-model").protocol == protocol


def test_a_vendor_at_another_address_keeps_its_dialect() -> None:
    hub = Hub.of("deepseek", base_url="http://127.0.0.1:9/v1", api_key="sk-of-the-program")
    [entry] = hub.config.providers.values()
    assert (entry.id, entry.base_url, entry.dialect) == ("deepseek", "http://127.0.0.1:9/v1", "deepseek")


def test_a_program_that_names_a_command_for_the_key_reads_that_it_runs_the_command_itself(simulator: Simulator) -> None:
    hub = sync.Hub.of(base_url=f"{simulator.url}/v1", api_key="{command:pass show acme}", model=MODEL)
    with hub, pytest.raises(errors.ConfigError, match="is not allowed in the program") as caught:
        hub.complete(QUESTION)
    assert caught.value.hint == "run the command yourself, and pass its output"


def test_a_local_server_needs_no_key() -> None:
    assert Hub.of("ollama").config.providers["ollama"].base_url


def test_a_description_that_does_not_suffice_is_refused() -> None:
    with pytest.raises(TypeError, match="pass the name of a provider, or base_url"):
        Hub.of()
    with pytest.raises(
        ValueError, match="protocol must be 'openai_chat', 'openai_responses', 'anthropic' or 'google', not 'grpc'"
    ):
        Hub.of(base_url="http://127.0.0.1:9/v1", protocol="grpc")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="headers must be a dict of strings, not list"):
        Hub.of("ollama", headers=["X-Team: seven"])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="api_key must be a string, not int"):
        Hub.of("openai", api_key=5)  # type: ignore[arg-type]
    with pytest.raises(errors.ConfigError, match='unknown provider "anthropc"') as unknown:
        Hub.of("anthropc")
    assert "anthropic" in str(unknown.value.hint)
    with pytest.raises(errors.MissingCredential, match="Anthropic requires an API key") as missing:
        Hub.of("anthropic")
    assert missing.value.hint == 'pass api_key=…, or api_key="{env:ANTHROPIC_API_KEY}" to read it from a variable'
    with pytest.raises(errors.ConfigError, match="Vertex AI needs more than a name and a key"):
        Hub.of("vertexai", api_key="sk-of-the-program")
    with pytest.raises(errors.UnknownModel) as unnamed:
        Hub.of("ollama").model()
    assert unnamed.value.hint == "pass one, such as ollama/MODEL_ID"
    with pytest.raises(errors.UnknownModel, match="the name of the model is empty"):
        Hub.of("ollama", model="llama").model("")


@pytest.mark.parametrize("name", ["provider", "base_url", "api_key", "model"])
def test_an_empty_text_is_a_variable_that_is_not_set(name: str) -> None:
    described = {"provider": "anthropic", "base_url": "http://127.0.0.1:9/v1", "api_key": "k", "model": "m", name: ""}
    with pytest.raises(ValueError, match=f"{name} must not be empty: leave it out, or set the variable"):
        Hub.of(**described)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("described", "said", "hint"),
    [
        ({"base_url": "nohost"}, "base_url is not an HTTP URL: nohost", 'pass base_url="https://nohost"'),
        ({"base_url": "localhost:80/v1"}, "base_url is not an HTTP", 'pass base_url="http://localhost:80/v1"'),
        ({"base_url": "ftp://host"}, "base_url is not an HTTP URL", "pass an http:// or https:// URL"),
        ({"provider": "http://host/v1"}, "the provider is not a vendor's name", 'pass base_url="http://host/v1"'),
        (
            {"provider": "no-such-vendor"},
            'unknown provider "no-such-vendor"',
            "pass the name of a vendor, or base_url=URL",
        ),
        ({"provider": "antropic"}, 'unknown provider "antropic"', 'did you mean "anthropic"?'),
    ],
)
def test_a_hint_is_about_the_arguments(described: dict[str, str], said: str, hint: str) -> None:
    with pytest.raises(errors.ConfigError, match=said) as caught:
        Hub.of(**described)  # type: ignore[arg-type]
    assert str(caught.value.hint).startswith(hint)


def test_an_id_and_headers_that_cannot_work_are_refused() -> None:
    hub = Hub.of("ollama")
    with pytest.raises(ValueError, match='id must not contain "/"'):
        hub.add("anthropic", api_key="k", id="a/b")
    with pytest.raises(ValueError, match=r"headers\['X Team'\] must be a header"):
        hub.add("anthropic", api_key="k", headers={"X Team": "blue"})
    assert list(hub.config.providers) == ["ollama"]


@pytest.mark.parametrize("kind", [Hub, sync.Hub])
def test_a_file_that_is_named_must_exist(kind: Any, tmp_path: Path) -> None:
    with pytest.raises(errors.UnreadableFile, match=r"nope\.toml does not exist"):
        kind.open(tmp_path / "nope.toml")
    with pytest.raises(ValueError, match="path must not be empty"):
        kind.open("")


def test_the_key_of_a_hub_is_not_shown() -> None:
    hub = Hub.of("anthropic", api_key="sk-of-the-program")
    assert "sk-of-the-program" not in f"{hub.config!r} {hub.config.providers!r}"


@pytest.mark.parametrize("kind", [Hub, sync.Hub])
@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_hub_and_its_key_are_not_copied(kind: Any, copied: Any) -> None:
    with pytest.raises(TypeError, match="a hub has API keys and connections, so it cannot be pickled or copied"):
        copied(kind.of("anthropic", api_key="sk-of-the-program"))
    with pytest.raises(
        TypeError, match=r"a chat belongs to a hub.*: pickle chat\.dumps\(\); for a copy, call chat\.copy\(\)"
    ):
        copied(kind.of("ollama").chat(system="Hi"))


def test_the_blocking_hub_is_made_in_the_same_ways(simulator: Simulator) -> None:
    with sync.Hub.of(base_url=f"{simulator.url}/v1", api_key="sk-of-the-program", model=MODEL) as hub:
        hub.add(base_url=f"{simulator.url}/v1/messages", api_key="sk-of-the-program", id="other")
        assert hub.complete(QUESTION).text == hub.complete(QUESTION, model=f"other/{MODEL}").text


def test_the_shortest_program_has_two_lines(simulator: Simulator, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(config_text(simulator.url, "sk-of-the-program"))
    program = f"""
import modelbay
print(modelbay.complete("{QUESTION}").text)
print("".join(modelbay.stream("{QUESTION}").text))
print(modelbay.run("{QUESTION}").reply().text)
print(modelbay.load_chat(modelbay.chat(system="Be brief").dumps()).complete("{QUESTION}").text)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={"MODELBAY_HOME": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.stdout.count(QUESTION) == 4
    assert ran.stderr == ""


def test_the_names_of_the_library_are_listed() -> None:
    assert {"Hub", "Tool", "chat", "complete", "stream", "ToolRan"} <= set(dir(modelbay))
    for name in dir(modelbay):
        assert getattr(modelbay, name) is not None


@pytest.mark.parametrize("kind", [Hub, sync.Hub])
def test_the_first_guesses_of_other_libraries_are_told_the_way(kind: Any) -> None:
    with pytest.raises(TypeError, match=r"not str: call Hub.open\(PATH\), or Hub.of\(VENDOR\)"):
        kind("openai")
    with pytest.raises(
        TypeError, match=r'not a function: pass its result, or api_key="{env:NAME}", which is read again'
    ):
        kind.of("openai", api_key=lambda: "sk")
    with pytest.raises(TypeError, match=r"model must be a Model, as hub.model\(NAME\) gives, not str"):
        kind.of("ollama").cost("llama", Usage(input=1))


def test_a_key_that_changes_is_read_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KEY_OF_THE_PROGRAM", "sk-old")
    (tmp_path / "key").write_text("sk-old")
    key = "{env:KEY_OF_THE_PROGRAM}"
    with (
        Simulated(key="sk-new") as simulator,
        sync.Hub.of(base_url=simulator.base_url(), api_key=key, model=MODEL) as hub,
    ):
        hub.add(base_url=simulator.base_url(), api_key=f"{{file:{tmp_path / 'key'}}}", id="team-b")
        for model in (None, f"team-b/{MODEL}"):
            with pytest.raises(errors.AuthenticationFailed):
                hub.complete(QUESTION, model=model)
        monkeypatch.setenv("KEY_OF_THE_PROGRAM", "sk-new")
        (tmp_path / "key").write_text("sk-new ")
        assert hub.complete(QUESTION).provider == hub.config.default_provider
        assert hub.complete(QUESTION, model=f"team-b/{MODEL}").provider == "team-b"


@pytest.mark.parametrize("kind", [Hub, sync.Hub])
def test_a_provider_in_code_has_a_connection_of_its_own_kind(kind: Any, tmp_path: Path) -> None:
    hub = kind.of("ollama", timeout=1800, proxy="http://proxy.example:3128", tls={"ca": tmp_path / "ca.pem"})
    hub.add("ollama", id="other", timeout={"connect": 2, "idle": 60.5}, proxy="none", tls={"insecure": True})
    first, other = hub.config.providers["ollama"], hub.config.providers["other"]
    assert (first.timeout, first.proxy) == (Timeout(first_byte=1800, idle=1800), "http://proxy.example:3128")
    assert (other.timeout, other.proxy) == (Timeout(connect=2, idle=60.5), "none")
    assert (first.tls, other.tls) == (Tls(ca=str(tmp_path / "ca.pem")), Tls(insecure=True))


def test_a_provider_in_code_is_called_through_its_proxy_and_no_other(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    url, key = "http://provider.example/v1", "sk-of-the-program"
    with (
        sync.Hub.of(base_url=url, api_key=key, proxy=simulator.url) as hub,
        pytest.raises(errors.PermissionDenied, match="the Host header does not name this server"),
    ):
        hub.complete(QUESTION, model=MODEL)
    with (
        sync.Hub.of(base_url=url, api_key=key, proxy="none") as hub,
        pytest.raises(errors.ConnectFailed, match="could not resolve host"),
    ):
        hub.complete(QUESTION, model=MODEL, retries=0)


def test_a_provider_in_code_that_is_silent_fails_after_its_timeout() -> None:
    with Simulated() as simulator:
        simulator.say("too late").slow(first=600)
        hub = sync.Hub.of(base_url=simulator.base_url(), api_key="k", model=MODEL, timeout=0.2)
        with hub, pytest.raises(errors.TimedOut, match=r"did not start to reply within 0\.2 s"):
            hub.complete(QUESTION, retries=0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"timeout": "5"}, "timeout must be a number or a dict of numbers, not str"),
        ({"timeout": 0}, "timeout must be more than 0, not 0"),
        ({"timeout": {"conect": 5}}, r"timeout\['conect'\] is unknown: must be one of connect, first_byte, idle"),
        ({"timeout": {"connect": "5"}}, r"timeout\['connect'\] must be a number, not str"),
        ({"proxy": "proxy:3128"}, 'proxy must be a URL, such as "http://host:port", or "none"'),
        ({"proxy": {"https": "http://proxy:3128"}}, "proxy must be a string, not dict"),
        ({"tls": False}, "tls must be a dict, not bool"),
        ({"tls": {"verify": False}}, r"tls\['verify'\] is unknown: must be one of ca, cert, key, insecure"),
        ({"tls": {"insecure": "yes"}}, r"tls\['insecure'\] must be True or False, not str"),
        ({"apikey": "k"}, '"apikey" is not a setting of a provider: did you mean "api_key"?'),
        ({"default_headers": {}}, '"default_headers" is not a setting of a provider: did you mean "headers"?'),
        ({"verify": False}, '"verify" is not a setting of a provider: did you mean "tls"?'),
        ({"modl": "m"}, '"modl" is not a setting of a provider: did you mean "model"?'),
        ({"temperature": 1}, r"pass it to a call, as in hub.complete\(…, temperature=…\), or to hub.chat"),
        ({"max_retries": 1}, "pass `retries` to each call"),
        ({"colour": 1}, "is not a setting of a provider: must be one of base_url, api_key, protocol"),
    ],
)
@pytest.mark.parametrize("kind", [Hub, sync.Hub])
def test_a_wrong_setting_of_a_provider_is_named(kind: Any, settings: dict[str, Any], said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        kind.of("ollama", **settings)
    with pytest.raises((TypeError, ValueError), match=said):
        kind.of("ollama").add("openai", **({"api_key": "k"} | settings))


@pytest.mark.parametrize("kind", [Hub, sync.Hub])
def test_a_hub_without_an_argument_is_told_both_ways(kind: Any) -> None:
    with pytest.raises(
        TypeError, match=r"Hub\(\) needs a configuration: call Hub.open\(\) to read config.toml, or Hub.of"
    ):
        kind()


def test_a_call_without_a_configuration_says_where_it_would_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    hub = sync.Hub.open()
    place = f"there is no configuration at {tmp_path / 'config.toml'}"
    calls: dict[str, Any] = {
        f"no model given, and {place}": lambda: hub.complete(QUESTION),
        f'no model "openai/gpt-5": {place}': lambda: hub.complete(QUESTION, model="openai/gpt-5"),
        f'no provider "openai": {place}': lambda: hub.list_models("openai"),
    }
    for said, call in calls.items():
        with pytest.raises(errors.ModelbayError) as caught:
            call()
        assert caught.value.message == said
        assert caught.value.hint == (
            "connect a provider: `modelbay provider add`, or describe it in code: Hub.of(VENDOR, api_key=KEY)"
        )
    hub.add("ollama")
    with pytest.raises(errors.UnknownModel, match=r"no model given, and no default model is set"):
        hub.complete(QUESTION)
