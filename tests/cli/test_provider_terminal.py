"""Adding a provider at a terminal: the key is asked for unseen, and the models are chosen."""

import sys
import tomllib
from pathlib import Path

import pytest

from modelbay.simulator import Simulator
from tests.cli.command import KEY
from tests.cli.inside import Person
from tests.servers.site import site

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it has no pseudo-terminals")


@pytest.fixture
def home(tmp_path: Path, simulator: Simulator) -> Path:
    simulator.reset()
    return tmp_path


def models(home: Path) -> list[str]:
    return [table["model"] for table in tomllib.loads((home / "config.toml").read_text())["models"].values()]


def test_the_key_is_asked_for_and_models_are_chosen(home: Path, simulator: Simulator):
    with Person(home, "provider", "add", f"{simulator.url}/v1", "--id", "acme") as person:
        person.sees("acme requires an API key").sees("API key for acme").types(KEY)
        person.sees("7 models").sees("[x] sim-1").sees("7 of 7 marked").sees("Models").types("n")
        person.sees("0 of 7 marked").sees("Unmarked 7 models").sees("Models").types("")
        person.sees("At least one model is required").sees("Models").types("simth")
        person.sees("[ ] sim-thinker").sees('2 models for "simth"').sees("Models").types("1")
        person.sees("[x] sim-thinker").sees("1 of 7 marked").sees("Marked sim-thinker").sees("Models").types("/")
        person.sees("All models are shown").sees("Models").types("1 5-4").sees("4 of 7 marked").sees("Models")
        person.types("?").sees("numbers to mark").sees("Models").types("no such model")
        person.sees('No model matches "no such model"').sees("Models").types("4-8")
        person.sees("The numbers are 1 to 7").sees("Models").types("4,5")
        person.sees("2 of 7 marked").sees("Unmarked").sees("Models").types("")
        assert person.ends() == 0
    assert KEY not in person.seen
    assert models(home) == ["sim-1", "sim-thinker"]
    with Person(home, "ask", "Hello") as person:
        person.sees("You asked: Hello.")


@pytest.mark.parametrize("line", [["add", "--id", "acme", "--yes"], ["models"]], ids=lambda line: line[0])
def test_a_wrong_answer_to_the_first_question_is_explained_and_asked_again(
    home: Path, simulator: Simulator, line: list[str]
):
    with Person(home, "provider", *line, "--api-key", KEY) as person:
        for answer in ("qqqqqq", f"curl {simulator.url}/v1", "./none.json"):
            person.sees("Vendor name, URL or file: ").types(answer).sees("error: ")
        person.sees("Vendor name, URL or file: ").types(f"{simulator.url}/v1").sees("sim-thinker")
        assert person.ends() == 0


def test_a_wrong_url_of_a_manifest_is_asked_for_again(home: Path):
    with Person(home, "provider", "manifest") as person:
        person.sees("Manifest URL: ").types("acme").sees("the URL must start with").sees("Manifest URL: ")
        person.presses("\x04")  # Ctrl-D: Python loses a Ctrl-C that comes while it begins to read
        code = person.ends()
        assert code == 130, (code, person.seen)


@pytest.mark.parametrize(
    ("line", "question"),
    [
        ("provider add", "Vendor name, URL or file: "),
        ("provider add azure", "Azure resource name: "),
        ("provider add http://127.0.0.1:1/v1", "Model IDs, separated by spaces: "),
        ("provider add anthropic", "API key for Anthropic: "),
        ("provider edit acme", "Models: "),
        ("provider remove acme", "[y/N]: "),
        ("login", "Select a platform [1]: "),
    ],
)
def test_leaving_a_question_ends_its_line_once(home: Path, simulator: Simulator, line: str, question: str):
    (home / "config.toml").write_text(
        f'[providers.acme]\ntype = "openai"\nbase_url = "{simulator.url}/v1"\napi_key = "{KEY}"\n'
    )
    with Person(home, *line.split()) as person:
        person.sees(question).presses("\x04")  # Ctrl-D: Python loses a Ctrl-C that comes while it begins to read
        assert person.ends() == 130
    assert person.seen.endswith(f"{question}\n"), person.seen


def test_of_many_models_none_is_marked_before_a_person_chooses(home: Path):
    with site() as here:
        here.pages["/v1/models"] = {"data": [{"id": f"m-{number}"} for number in range(5000)] + [{"id": "sonnet-5"}]}
        with Person(home, "provider", "add", f"{here.url}/v1", "--id", "acme", "--api-key", KEY) as person:
            person.sees("5,001 models").sees("[ ] m-0").sees("4,981 more").sees("0 of 5,001 marked").sees(
                "Models"
            ).types("")
            person.sees("At least one model is required").sees("Models").types("sonnet 5")
            person.sees("[ ] sonnet-5").sees("Models").types("all").sees("Marked sonnet-5").sees("Models").types("")
            assert person.ends() == 0
    assert models(home) == ["sonnet-5"]


def test_giving_up_writes_nothing(home: Path, simulator: Simulator):
    with Person(home, "provider", "add", f"{simulator.url}/v1", "--id", "acme", "--api-key", KEY) as person:
        person.sees("Models").types("q")
        assert person.ends() == 130
    assert not (home / "config.toml").exists()


def test_a_vendor_asks_until_there_is_a_key(home: Path):
    with Person(home, "provider", "add", "deepseek", "--model", "deepseek-chat", "--dry-run") as person:
        person.sees("API key for DeepSeek").types("").sees("API key for DeepSeek").types("{env:no way}")
        person.sees("Invalid environment variable name").sees("API key for DeepSeek").types("{env:NOT_SET_AT_ALL}")
        person.sees("Could not list the models").sees("[providers.deepseek]")
        assert person.ends() == 0


def test_a_custom_provider_may_have_no_key(home: Path, simulator: Simulator):
    line = ["provider", "custom", "acme", "--name", "Acme", "--base-url", "https://acme.invalid/v1", "--model", "m"]
    with Person(home, *line) as person:
        person.sees("API key for Acme (empty if none is needed)").types("")
        person.sees("Could not list the models").sees("Added provider acme")
        assert person.ends() == 0
    assert 'auth = "none"' in (home / "config.toml").read_text()


def test_editing_without_options_chooses_among_its_models(home: Path, simulator: Simulator):
    (home / "config.toml").write_text(
        f'[providers.acme]\ntype = "openai"\nbase_url = "{simulator.url}/v1"\napi_key = "{KEY}"\n'
        '[models.mine]\nprovider = "acme"\nmodel = "sim-1"\n[models.gone]\nprovider = "acme"\nmodel = "sim-text"\n'
    )
    with Person(home, "provider", "edit", "acme") as person:
        person.sees("[x] sim-1").sees("[ ] sim-thinker").sees("[x] sim-text").sees("2 of 7 marked").sees("Models")
        person.types("2 4").sees("2 of 7 marked").sees("Models").types("")
        person.sees("Added 1 model: acme/sim-thinker").sees("Removed 1 model: gone")
        assert person.ends() == 0
    assert models(home) == ["sim-1", "sim-thinker"]


FACTS = "200k"
"""A fact of sim-1 that the provider's list has."""


def test_a_base_url_that_is_corrected_is_written(home: Path, simulator: Simulator):
    (home / "config.toml").write_text(
        '[providers.acme]\ntype = "openai"\nbase_url = "https://old.example/v1"\n'
        '[models.mine]\nprovider = "acme"\nmodel = "sim-1"\n'
    )
    with Person(home, "provider", "edit", "acme", "--base-url", f"{simulator.url}/x/y", "--api-key", KEY) as person:
        person.sees(f"The base URL is {simulator.url}/v1: the provider answers there")
        assert person.ends() == 0
    assert tomllib.loads((home / "config.toml").read_text())["providers"]["acme"]["base_url"] == f"{simulator.url}/v1"
    with Person(home, "model", "show", "mine") as person:
        person.sees("context window").sees(FACTS)


def test_a_base_url_that_is_not_edited_is_kept_with_the_facts_about_its_models(home: Path, simulator: Simulator):
    (home / "config.toml").write_text(
        f'[providers.acme]\ntype = "openai"\nbase_url = "{simulator.url}/x/y"\n'
        '[models.mine]\nprovider = "acme"\nmodel = "sim-1"\n'
    )
    with Person(home, "provider", "edit", "acme", "--api-key", KEY) as person:
        person.sees("Changed api_key")
        assert person.ends() == 0
    assert "The base URL is" not in person.seen
    assert f'base_url = "{simulator.url}/x/y"' in (home / "config.toml").read_text()
    with Person(home, "model", "show", "mine") as person:
        person.sees("context window").sees(FACTS)


@pytest.mark.parametrize(("answer", "code"), [("n", 130), ("y", 0)])
def test_removing_asks(home: Path, simulator: Simulator, answer: str, code: int):
    (home / "config.toml").write_text('[providers.acme]\ntype = "openai"\n[models.m]\nprovider = "acme"\nmodel = "m"\n')
    with Person(home, "provider", "remove", "acme") as person:
        person.sees("Remove provider acme and 1 model (m)?").types(answer)
        assert person.ends() == code
    assert ("acme" in (home / "config.toml").read_text()) == (code != 0)


def test_azure_asks_for_its_deployment(home: Path):
    with Person(home, "provider", "add", "https://acme.openai.azure.com/openai/v1", "--dry-run") as person:
        person.sees("a custom provider is not needed").sees("Deployment").types("gpt-5")
        person.sees("API key for Azure").types("k")
        person.sees('type = "azure"').sees("azure/gpt-5")
        assert person.ends() == 0
