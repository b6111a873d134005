"""Connecting providers in the app: the manager, and each way to add one."""

import json
import tomllib
from pathlib import Path
from typing import Any

import keyring
import msgspec
import pytest
from keyring.errors import KeyringLocked

from modelbay.catalog.models_dev import live as modelsdev
from modelbay.onboarding import local_servers
from modelbay.providers import presets
from modelbay.secrecy import redact
from modelbay.simulator import Simulator
from tests.cli.command import KEY
from tests.servers.site import Page, site
from tests.tui.sitting import Sitting, sitting

REGISTRY = """
[providers.one]
type = "openai"
base_url = "https://one.example/v1"
source = { kind = "apiJson", url = "https://user:hidden@reg.example/api.json", apiKey = "sk-registry-token" }

[providers.two]
type = "openai"
base_url = "https://two.example/v1"
source = { kind = "apiJson", url = "https://user:hidden@reg.example/api.json", apiKey = "sk-registry-token" }
"""


def written(person: Sitting) -> dict[str, Any]:
    return tomllib.loads(person.config)


async def opens_manager(person: Sitting) -> None:
    await person.says("/provider")
    await person.sees("Providers", "[ Add new provider ]")


async def chooses_way(person: Sitting, number: int) -> None:
    await opens_manager(person)
    await person.presses("end", "enter")
    await person.sees("Add provider")
    await person.presses(*["down"] * (number + 1), "enter")


# --- the manager ---


async def test_the_manager_shows_each_provider_and_a_registrys_as_one(home: Path, configured: str):
    async with sitting(configured + REGISTRY, home=home) as person:
        await opens_manager(person)
        screen = await person.sees("sim", "← current", "2 models · http", "reg.example/api.json  0 models · apiJson")
        assert "one.example" not in screen
        assert "hidden" not in screen


async def test_deleting_asks_first_and_takes_models_and_defaults_along(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await opens_manager(person)
        await person.presses("d")
        await person.sees('Delete "sim" (2 models)? [y/N]')
        await person.presses("escape")
        await person.sees_no("[y/N]")
        assert person.config == configured
        await person.presses("D", "y")
        await person.sees_no("sim ")
        assert set(written(person)["providers"]) == {"claude"}
        assert set(written(person)["models"]) == {"sonnet"}
        assert "default_model" not in written(person)


async def test_a_registry_is_deleted_with_all_its_providers(home: Path, configured: str):
    async with sitting(configured + REGISTRY, home=home) as person:
        await opens_manager(person)
        await person.presses("down", "down", "d")
        await person.sees("and all 2 providers? [y/N]")
        await person.presses("y")
        await person.sees_no("reg.example")
        assert set(written(person)["providers"]) == {"sim", "claude"}


async def test_many_providers_come_in_pages(home: Path, configured: str):
    more = "".join(
        f'\n[providers.more{n}]\ntype = "openai"\nbase_url = "https://more{n}.example/v1"\nauth = "none"\n'
        for n in range(20)
    )
    async with sitting(configured + more, home=home) as person:
        await opens_manager_of_pages(person)
        await person.presses("right", "right")
        await person.sees("Page 2/3")
        await person.presses("left", "left")
        await person.sees("Page 1/3")


async def opens_manager_of_pages(person: Sitting) -> None:
    await person.says("/provider")
    await person.sees("Page 1/3")


# --- a custom provider ---


async def test_a_custom_provider_with_models_that_are_fetched_and_marked(
    home: Path, configured: str, simulator: Simulator
):
    async with sitting(configured, home=home) as person:
        await chooses_way(person, 1)
        await person.sees("Custom provider", "Provider API", "Detect from base URL")
        await person.types("acme")
        await person.presses("enter")
        await person.types("Acme AI")
        await person.presses("enter", "enter")
        await person.types(f"{simulator.url}/v1")
        await person.presses("enter")
        await person.types(KEY)
        assert KEY not in person.screen
        await person.presses("enter", "enter")
        await person.sees("7 models found", "7 of 7 selected", "[x] sim-1")
        await person.presses("ctrl+n")
        await person.sees("0 of 7 selected")
        await person.types("vison")
        await person.sees_no("sim-echo")
        await person.presses("space", "enter")
        await person.sees("Simulator Vision")
        await person.presses("ctrl+s")
        await person.sees("Select a model", "acme/sim-vision")
        acme = written(person)["providers"]["acme"]
        assert acme == {"type": "openai", "name": "Acme AI", "base_url": f"{simulator.url}/v1", "api_key": KEY}
        assert written(person)["models"]["acme/sim-vision"]["display_name"] == "Simulator Vision"
        await person.presses("enter")
        await person.says("Hello")
        await person.sees("You asked: Hello")


@pytest.mark.parametrize(
    ("path", "type", "base"),
    [
        ("/v1/messages", "anthropic", "/v1/messages"),
        ("/v1beta/models/sim-1:generateContent", "google-genai", "/v1beta"),
    ],
)
async def test_the_base_url_tells_the_protocol(
    home: Path, configured: str, simulator: Simulator, path: str, type: str, base: str
):
    async with sitting(configured, home=home) as person:
        await chooses_way(person, 1)
        await person.sees("Detect from base URL")
        await person.types("acme")
        await person.presses("enter")
        await person.types("Acme AI")
        await person.presses("enter", "enter")
        await person.types(f"{simulator.url}{path}")
        await person.presses("enter")
        await person.types(KEY)
        await person.presses("enter", "enter")
        await person.sees("7 models found")
        await person.presses("enter")
        # a URL of a call names its model, which alone is selected then
        await person.sees("1 of 7 models" if "generateContent" in path else "Simulator Vision")
        await person.presses("ctrl+s")
        await person.sees("Select a model")
        acme = written(person)["providers"]["acme"]
        assert (acme["type"], acme["base_url"]) == (type, f"{simulator.url}{base}")


async def test_of_many_fetched_models_none_is_marked(home: Path, configured: str):
    with site() as here:
        here.pages["/v1/models"] = {"data": [{"id": f"m-{number}"} for number in range(21)]}
        async with sitting(configured, home=home) as person:
            await chooses_way(person, 1)
            await person.sees("Custom provider")
            await person.presses("down", "down", "down")
            await person.types(f"{here.url}/v1")
            await person.presses("enter", "enter", "enter")
            await person.sees("21 models found", "0 of 21 selected", "[ ] m-0")
            await person.presses("enter")
            await person.sees("No model selected")


async def test_problems_are_shown_during_typing(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await chooses_way(person, 1)
        await person.sees("Custom provider")
        await person.types("Sim")
        await person.sees("Use lowercase letters, numbers, hyphens, or underscores")
        await person.presses("ctrl+u")
        await person.types("sim")
        await person.sees("That provider ID already exists")
        await person.presses("down", "down", "down")
        await person.types("ftp")
        await person.sees("Must start with http:// or https://")
        await person.presses("ctrl+u")
        await person.types("https://x.openai.azure.com")
        await person.sees("add it as a known provider")
        await person.presses("ctrl+s")
        await person.sees("Display name is required")
        assert person.config == configured


async def test_models_and_headers_are_written_by_hand_where_there_is_no_list(
    home: Path, configured: str, simulator: Simulator
):
    with site(simulator) as mine:
        mine.calls["/v1/chat/completions"] = "/v1/chat/completions"
        async with sitting(configured, home=home) as person:
            await chooses_way(person, 1)
            await person.sees("Custom provider")
            await person.types("hand")
            await person.presses("down")
            await person.types("Hand")
            await person.presses("down", "down")
            await person.types(f"{mine.url}/v1")
            await person.presses("down", "down", "enter")
            await person.sees("Wrong Address")
            await person.presses("down", "enter")
            await person.sees("Model ")
            await person.types("sim-1")
            await person.presses("down")
            await person.types("One")
            await person.presses("down", "down", "down", "enter")
            await person.sees("Header ")
            await person.types("authorization")
            await person.presses("down")
            await person.types(f"Bearer {KEY}")
            await person.presses("ctrl+s")
            await person.reads("Could not list the models of hand", "Enter save")
            await person.presses("enter")
            await person.sees("Select a model", "hand/sim-1")
            assert written(person)["providers"]["hand"]["custom_headers"] == {"authorization": f"Bearer {KEY}"}


async def test_a_refused_key_is_said_in_the_dialog_which_stays(home: Path, configured: str, simulator: Simulator):
    async with sitting(configured, home=home) as person:
        await chooses_way(person, 1)
        await person.sees("Custom provider")
        await person.types("acme")
        await person.presses("down")
        await person.types("Acme")
        await person.presses("down", "down")
        await person.types(f"{simulator.url}/v1")
        await person.presses("down")
        await person.types("sk-wrong-key-123")
        await person.presses("down", "enter")
        screen = await person.sees("Invalid API Key", "Custom provider")
        assert "sk-wrong-key-123" not in screen
        assert redact("sk-wrong-key-123") != "sk-wrong-key-123"


# --- other ways ---


async def test_a_vendor_of_the_catalog_takes_its_key_and_brings_its_models(home: Path, configured: str):
    configured += '\n[network]\nproxy = "http://127.0.0.1:9"\n'
    async with sitting(configured, home=home) as person:
        await chooses_way(person, 0)
        await person.sees("Select a provider", "models.dev of")
        await person.types("groq")
        await person.sees("https://api.groq.com/openai/v1")
        await person.presses("enter")
        await person.sees("Add Groq", "The API key will be saved to")
        await person.presses("enter")
        await person.sees("API key cannot be empty.")
        await person.types("gsk-secret-0123")
        await person.presses("enter")
        await person.sees("Connection", "Could not list the models of groq", "Enter save")
        await person.presses("enter")
        screen = await person.sees("Select a model", "groq/")
        assert "gsk-secret-0123" not in screen
        assert written(person)["providers"]["groq"]["api_key"] == "gsk-secret-0123"
        assert written(person)["default_model"] == "thinker"


async def test_a_rejected_key_of_a_catalogs_provider_is_reported_at_its_field(
    home: Path, configured: str, monkeypatch: pytest.MonkeyPatch
):
    with site() as here:
        monkeypatch.setattr(modelsdev, "URL", f"{here.url}/models.dev")
        port = here.url.rpartition(":")[2]
        here.pages = {
            "/models.dev": {
                "acme": {
                    "id": "acme", "name": "Acme", "npm": "@ai-sdk/openai-compatible", "api": f"http://localhost:{port}/v1",
                    "env": ["ACME_API_KEY"], "models": {"m": {"id": "m", "limit": {"context": 8000}}},
                }
            },
            "/v1/models": Page(b'{"data": [{"id": "m"}]}', key=KEY),
        }  # fmt: skip
        async with sitting(configured, home=home) as person:
            await chooses_way(person, 0)
            await person.sees("Select a provider", "Acme")
            await person.presses("enter")
            await person.sees("Add Acme")
            await person.types("sk-wrong-0123456789")
            await person.presses("enter")
            await person.sees("Add Acme", "The API key was rejected")
            assert person.config == configured
            await person.presses("ctrl+u")
            await person.types(KEY)
            await person.presses("enter")
            await person.sees("Select a model", "acme/m")
            assert written(person)["providers"]["acme"]["api_key"] == KEY


async def test_a_manifest_is_shown_before_it_is_written(home: Path, configured: str, simulator: Simulator):
    with site(simulator) as mine:
        mine.pages["/v1/models?provider=true"] = {
            "name": "Sample Provider", "website": "https://sample.example", "baseUrl": f"{mine.url}/v1",
            "models_data_source": "endpoint",
        }  # fmt: skip
        mine.pages["/v1/models?extended=true"] = {"models": {"sim-1": {"id": "sim-1", "name": "Sim One"}}}
        mine.calls["/v1/chat/completions"] = "/v1/chat/completions"
        async with sitting(configured, home=home) as person:
            await chooses_way(person, 2)
            await person.sees("Add by manifest", "Manifest URL")
            await person.types(f"{mine.url}/v1/models?provider=true")
            await person.presses("enter")
            await person.types(KEY)
            await person.presses("enter")
            await person.sees("Add Sample Provider", f"{mine.url}/v1", "sim-1", "Enter save")
            assert person.config == configured
            await person.presses("enter")
            await person.sees("Select a model", "sample-provider/sim-1")
            await person.presses("enter")
            await person.says("Hello")
            await person.sees("You asked: Hello")


async def test_embedded_json_is_pasted(home: Path, configured: str, simulator: Simulator):
    manifest = {"name": "Pasted", "website": "https://p.example", "baseUrl": f"{simulator.url}/v1",
                "models_data_source": "embedded"}  # fmt: skip
    text = msgspec.json.encode([manifest, {"models": {"sim-1": {"id": "sim-1", "name": "Sim One"}}}]).decode()
    async with sitting(configured, home=home) as person:
        await chooses_way(person, 2)
        await person.sees("Add by manifest")
        await person.presses("up", "right")
        await person.sees("Paste the provider's JSON")
        await person.presses("down")
        from textual import events

        person.app.post_message(events.Paste(text))
        await person.sees("Pasted")
        await person.presses("ctrl+s")
        await person.sees("Add Pasted", "Enter save")
        await person.presses("enter")
        await person.sees("Select a model", "pasted/sim-1")


async def test_nothing_given_says_the_guides_words(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await chooses_way(person, 2)
        await person.sees("Add by manifest")
        await person.presses("ctrl+s")
        await person.sees("Provide a manifest URL or embedded JSON")


async def test_a_registry_brings_its_providers(home: Path, configured: str, simulator: Simulator):
    with site(simulator) as mine:
        mine.pages["/api.json"] = {
            "acme": {
                "id": "acme", "name": "Acme", "api": f"{mine.url}/v1", "type": "openai",
                "models": {"sim-1": {"id": "sim-1", "name": "Sim One", "limit": {"context": 1000, "output": 100}}},
            }
        }  # fmt: skip
        async with sitting(configured, home=home) as person:
            await chooses_way(person, 3)
            await person.sees("Import custom provider registry")
            await person.presses("enter", "enter")
            await person.sees("Registry URL cannot be empty.")
            await person.types(f"{mine.url}/api.json")
            await person.presses("enter")
            await person.types(KEY)
            await person.presses("enter")
            screen = await person.sees("Add 1 provider of", f"openai at {mine.url}/v1", "Enter save")
            assert KEY not in screen and "acme" not in written(person)["providers"]
            await person.presses("enter")
            await person.sees("Select a model", "acme/sim-1")
            assert written(person)["providers"]["acme"]["base_url"] == f"{mine.url}/v1"


@pytest.fixture
def at_home(monkeypatch: pytest.MonkeyPatch, simulator: Simulator) -> None:
    """The simulator answers where a vendor's server would."""
    ollama = presets.by_id("ollama")
    assert ollama is not None
    here = msgspec.structs.replace(ollama, base_url=f"{simulator.url}/v1", hosts=[f"localhost:{simulator.port}"])
    monkeypatch.setattr(local_servers, "usual", lambda: [here])


@pytest.mark.usefixtures("at_home")
async def test_a_local_server_that_requires_a_key_is_added_in_the_dialog(
    home: Path, configured: str, simulator: Simulator
):
    config = configured.replace(simulator.url, "https://elsewhere.example")
    async with sitting(config, home=home) as person:
        await chooses_way(person, 4)
        await person.sees("Local servers", "requires an API key")
        await person.presses("enter")
        await person.sees("Custom provider", f"{simulator.url}/v1")


# --- anything, and editing ---


async def test_a_rejected_key_is_corrected_in_place_and_7_of_69_models_are_taken(home: Path, configured: str):
    with site() as here:
        listed = json.dumps({"data": [{"id": f"m-{number}"} for number in range(69)]}).encode()
        here.pages["/v1/models"] = Page(listed, key=KEY)
        async with sitting(configured, home=home) as person:
            await chooses_way(person, -1)
            await person.sees("Name, URL, file")
            await person.types(f"{here.url}/v1")
            await person.presses("enter")
            await person.types("sk-wrong-0123456789")
            await person.presses("enter")
            await person.sees("The API key was rejected", "Add a provider")
            assert person.config == configured
            await person.presses("ctrl+u")
            await person.types(KEY)
            await person.presses("enter")
            screen = await person.sees("Enter save", "✓ 69 chat models listed", "none of 69")
            assert KEY not in screen
            await person.presses("m")
            await person.sees("69 models found", "0 of 69 selected")
            for _ in range(7):
                await person.presses("space", "down")
            await person.sees("7 of 69 selected")
            await person.presses("enter")
            await person.sees("7 of 69: m-0")
            await person.presses("d")
            await person.sees("+[providers.")
            assert person.config == configured
            await person.presses("enter")
            await person.sees("Select a model")
            models = [
                one["model"] for one in written(person)["models"].values() if one["provider"].startswith("localhost")
            ]
            assert models == [f"m-{number}" for number in range(7)]


async def opens_editor(person: Sitting, key: str) -> None:
    await opens_manager(person)
    await person.presses(key)
    await person.sees("Edit sim", "Ctrl-S save")


@pytest.mark.parametrize("key", ["e", "enter"])
async def test_a_provider_is_edited_from_its_row(home: Path, configured: str, simulator: Simulator, key: str):
    async with sitting(configured, home=home) as person:
        await opens_editor(person, key)
        await person.types("sk-wrong-0123456789")
        await person.presses("ctrl+s")
        await person.sees("The API key was rejected", "Edit sim")
        assert person.config == configured
        await person.presses("ctrl+u")
        await person.types(KEY)
        await person.presses("up", "ctrl+u")
        await person.types(f"{simulator.url}/v1/")
        await person.presses("ctrl+s")
        await person.sees("Saved sim")
        sim = written(person)["providers"]["sim"]
        assert (sim["base_url"], sim["api_key"]) == (f"{simulator.url}/v1/", KEY)


async def test_the_models_of_a_provider_are_chosen_in_its_form(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await opens_editor(person, "e")
        await person.presses("down", "enter")
        await person.sees("7 models found", "2 of 7 selected", "[x] sim-thinker", "[ ] sim-1")
        await person.presses("space", "enter")
        await person.sees("3 of 7 models")
        await person.presses("ctrl+s")
        await person.sees("Saved sim")
        models = [one["model"] for one in written(person)["models"].values() if one["provider"] == "sim"]
        assert sorted(models) == ["sim-1", "sim-text", "sim-thinker"]


async def test_another_origin_does_not_get_the_key_unasked(home: Path, configured: str):
    with site() as other:
        other.pages["/v1/models"] = {"data": [{"id": "m"}]}
        async with sitting(configured, home=home) as person:
            await opens_editor(person, "e")
            await person.presses("up", "ctrl+u")
            await person.types(f"{other.url}/v1")
            await person.presses("ctrl+s")
            await person.sees("The credentials of sim were given for", "Edit sim")
            assert other.asked == [] and person.config == configured


async def test_a_key_that_is_rejected_in_the_chat_is_corrected_with_one_key(home: Path, configured: str):
    async with sitting(configured.replace(KEY, "sk-wrong-0123456789"), home=home) as person:
        await person.says("Hello")
        await person.sees("Invalid API Key", "F2 edits the API key of sim")
        await person.presses("f2")
        await person.sees("Edit sim")
        await person.types(KEY)
        await person.presses("ctrl+s")
        await person.sees("You asked: Hello")
        assert written(person)["providers"]["sim"]["api_key"] == KEY


def keeps_key(home: Path, configured: str, reference: str) -> str:
    """The configuration with the first provider's key in another place."""
    (home / "keys").mkdir(mode=0o700)
    (home / "keys" / "sim").write_text("sk-wrong-0123456789")
    return configured.replace(KEY, reference, 1)


async def test_a_corrected_key_is_stored_where_the_rejected_one_was(home: Path, configured: str):
    configured = keeps_key(home, configured, "{file:keys/sim}")
    async with sitting(configured, home=home) as person:
        await person.says("Hello")
        await person.sees("Invalid API Key", "F2 edits the API key of sim")
        await person.presses("f2")
        await person.sees("Edit sim", "unchanged, in ")
        await person.types(KEY)
        await person.presses("ctrl+s")
        await person.sees("You asked: Hello")
        assert person.config == configured
        assert (home / "keys" / "sim").read_text() == f"{KEY}\n"


async def test_a_keyring_that_fails_is_reported_in_the_form_with_a_way_out(
    home: Path, configured: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(keyring, "set_password", locked)
    monkeypatch.setattr(keyring, "get_password", locked)
    configured = keeps_key(home, configured, "{keyring:modelbay/sim}")
    async with sitting(configured, home=home) as person:
        await opens_editor(person, "e")
        await person.types(KEY)
        await person.presses("ctrl+s")
        await person.sees("The API key of sim was not changed", "unlock the keyring, or enter a reference")
        assert person.config == configured


def locked(*_: object) -> None:
    raise KeyringLocked("the keyring is locked")


async def test_five_thousand_models_are_chosen_from_without_a_row_for_each(home: Path, configured: str):
    with site() as here:
        here.pages["/v1/models"] = {"data": [{"id": f"m-{number}"} for number in range(5000)]}
        async with sitting(configured, home=home) as person:
            await chooses_way(person, 1)
            await person.sees("Custom provider")
            await person.presses("down", "down", "down")
            await person.types(f"{here.url}/v1")
            await person.presses("enter", "enter", "enter")
            await person.sees("5,000 models found")
            await person.presses("ctrl+a", "enter")
            await person.sees("5,000 of 5,000 models: m-0")
            assert len(person.app.screen.query("*")) < 100


# --- own vendors ---


async def test_a_vendor_of_the_user_is_in_the_menu_and_asks_for_its_key_only(home: Path, simulator: Simulator):
    (home / "presets").mkdir(mode=0o700)
    port = simulator.url.rpartition(":")[2]
    file = home / "presets" / "acme.toml"
    file.write_text(
        f'name = "Acme Gateway"\nhosts = ["localhost:{port}"]\nbase_url = "{simulator.url}/v1"\n'
        'protocols = ["openai_chat"]\nkey_url = "https://wiki.acme.example/keys"\n'
    )
    file.chmod(0o600)
    async with sitting("", home=home) as person:
        await person.presses("escape")
        await opens_manager(person)
        await person.presses("end", "enter")
        await person.sees("Add provider", "Acme Gateway", f"{simulator.url}/v1")
        await person.presses("home", "enter")
        await person.sees("Add Acme Gateway", "Get an API key at https://wiki.acme.example/keys")
        await person.sees_no("Name, URL, file")
        await person.types(KEY)
        await person.presses("enter")
        await person.sees("Add acme")
        await person.presses("enter")
        await person.sees("Select a model", "acme/sim-1")
        assert written(person)["providers"]["acme"]["base_url"] == f"{simulator.url}/v1"


async def test_a_bad_vendor_file_is_reported_at_the_start(home: Path, configured: str):
    (home / "presets").mkdir(mode=0o700)
    (home / "presets" / "acme.toml").write_text('name = "Acme"\n')
    (home / "presets" / "acme.toml").chmod(0o666)
    async with sitting(configured, home=home) as person:
        await person.sees("vendor: other users can change it (mode 0666)")
