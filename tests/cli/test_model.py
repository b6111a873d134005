"""`modelbay model` and `modelbay config`: the facts that are shown apply to requests."""

# ruff: noqa: E501 what is printed is as wide as it is

import json
import re
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from modelbay import Conversation, Tool, user
from modelbay.calling.input_check import check_input
from modelbay.calling.target import Targets
from modelbay.config.load import load
from modelbay.conversation import Settings
from modelbay.errors import Unsupported
from modelbay.simulator import Simulator
from tests.cli.command import KEY
from tests.cli.inside import Inside
from tests.cli.test_ask import PNG


@pytest.fixture
def bay(tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Inside:
    simulator.reset()
    inside = Inside(tmp_path, monkeypatch, {simulator.url: "SIM"})
    inside.file.write_text(f"""\
default_model = "one"

[providers.acme]
type = "openai"
base_url = "{simulator.url}/v1"
api_key = "{KEY}"

[models.one]  # the first
provider = "acme"
model = "sim-1"
capabilities = ["thinking", "image_in"]  # as Kimi Code has them

[models.gpt]
provider = "acme"
model = "gpt-4o-mini"
""")
    inside.file.chmod(0o600)
    return inside


def last(simulator: Simulator) -> dict[str, Any]:
    body: dict[str, Any] = simulator.journal.last.json
    return body


def test_the_longest_answer_is_sent(bay: Inside, simulator: Simulator):
    assert bay.done("model", "set", "one", "max_output_size=4k") == "Set max_output_size of one\n"
    bay.done("ask", "Hello")
    assert last(simulator)["max_tokens"] == 4000
    assert bay.done("model", "set", "one", "max_output_size=") == "Removed max_output_size of one\n"
    bay.done("ask", "Hello")
    assert "max_tokens" not in last(simulator)


def test_a_name_of_ones_own_has_the_facts_of_the_model_behind_it(bay: Inside, simulator: Simulator):
    """The request contains the name; capabilities, parameters and prices are those of the model."""
    before = json.loads(bay.done("model", "show", "one", "--json"))
    bay.done("model", "set", "one", "base_model=o3-mini", "max_output_size=4k")
    shown = json.loads(bay.done("model", "show", "one", "--json"))
    assert (before.get("family"), shown["family"], shown["id"]) == (None, "gpt", "sim-1")
    assert shown["max_context_tokens"] == 200_000
    assert shown["capabilities"]["temperature"] is False
    bay("ask", "-m", "one", "--temperature", "0", "Hello")
    sent = last(simulator)
    assert (sent["model"], "temperature" in sent) == ("sim-1", False)
    bay.done("model", "set", "one", "base_model=")
    assert "base_model" not in bay.text


def test_images_are_refused_before_they_leave(bay: Inside, simulator: Simulator, tmp_path: Path):
    (tmp_path / "a.png").write_bytes(PNG)
    bay.done("ask", "--file", str(tmp_path / "a.png"), "What is this?")
    bay.done("model", "set", "one", "image_in=no")
    assert 'capabilities = ["thinking"]  # as Kimi Code has them\nimage_in = false\n' in bay.text
    simulator.reset()
    refused = bay("ask", "--file", str(tmp_path / "a.png"), "What is this?")
    assert (refused.code, "does not accept images (image_in = false)" in refused.err) == (1, True)
    assert len(simulator.journal) == 0
    bay.done("model", "set", "one", "image_in=yes")
    assert 'capabilities = ["thinking", "image_in"]' in bay.text and "image_in = false" not in bay.text
    bay.done("ask", "--file", str(tmp_path / "a.png"), "What is this?")


def test_documents_are_refused_where_the_user_says_so(bay: Inside, tmp_path: Path):
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4\n")
    bay.done("model", "set", "one", "document_in=no")
    refused = bay("ask", "--file", str(tmp_path / "a.pdf"), "What is this?")
    assert (refused.code, "document_in = false" in refused.err) == (1, True)


@pytest.mark.parametrize("native", ["computer_20250124", "computer_use_preview"])
def test_computer_tools_are_refused(bay: Inside, native: str):
    bay.done("model", "set", "one", "computer_use=no")
    tool = Tool("vendor", name="computer", native=native, raw={"type": native})  # as clients of the gateway declare it
    asked = Conversation([user("Click")], settings=Settings(tools=[tool]))
    with pytest.raises(Unsupported, match=r"does not accept computer tools \(computer_use = false\)"):
        check_input(asked, Targets(load(bay.file)).find("one").model, [])


def test_prices_give_the_cost(bay: Inside):
    bay.done("model", "set", "one", "cost.input=3", "cost.output=15", "cost.cache_read=0.3")
    assert "cost = { input = 3, output = 15, cache_read = 0.3 }" in bay.text
    assert "$0.0" in bay("ask", "Hello").err
    assert json.loads(bay.done("ask", "--json", "Hello"))["cost"] > 0


def test_one_price_of_the_user_keeps_the_others_of_the_list(bay: Inside, simulator: Simulator):
    bay.done("provider", "refresh", "acme")
    bay.done("model", "set", "one", "cost.input=3")
    assert "$3 in, $4 out, $0.1 cache read, $1.25 cache write  config" in bay.done("model", "show", "one")
    assert json.loads(bay.done("ask", "--json", "Hello"))["cost"] > 0
    bay.done("model", "set", "one", "cost.output=15")
    assert "$3 in, $15 out  config" in re.sub(" +(?=config)", "  ", bay.done("model", "show", "one"))


def test_a_variant_adds_its_keys(bay: Inside, simulator: Simulator):
    bay.done("model", "set", "one", "variants.deep.reasoning_effort=high", "variants.deep.top_p=0.5")
    bay.done("ask", "-m", "one:deep", "Hello")
    assert (last(simulator)["reasoning_effort"], last(simulator)["top_p"]) == ("high", 0.5)
    bay.done("model", "set", "one", "variants.deep=")
    assert bay("ask", "-m", "one:deep", "Hello").code == 1


def test_a_model_may_be_named_by_its_provider(bay: Inside):
    bay.done("model", "set", "acme/sim-1", "max_context_size=1M")
    assert "max_context_size = 1000000" in bay.text
    unknown = bay("model", "set", "acme/other", "max_context_size=1M")
    assert "modelbay provider edit acme --add-model other" in unknown.err


@pytest.mark.parametrize("setting", ["max_output_size=many", "nonsense=1", "image_in"])
def test_a_wrong_setting_changes_nothing(bay: Inside, setting: str):
    before = bay.text
    assert bay("model", "set", "one", "max_context_size=1M", setting).code == 2
    assert bay.text == before


def test_show_has_each_fact_with_its_source(bay: Inside):
    bay.done("provider", "test", "acme")  # which sees its list
    bay.done("model", "set", "one", "max_context_size=100k", "image_in=no")
    assert bay.done("model", "show", "one") == snapshot("""\
alias              one
id                 sim-1
provider           acme
protocol           openai_chat
name               Simulator 1                                        models
context window     100k                                               config
max input          100k                                               models
max output         32k                                                models
price              $1 in, $4 out, $0.1 cache read, $1.25 cache write  models
audio_in           no                                                 models
audio_out          no                                                 models
image_in           no                                                 config
image_out          no                                                 models
structured_output  yes                                                models
temperature        yes                                                models
thinking           yes                                                config
tool_use           yes                                                models
video_in           no                                                 models
""")


def test_show_has_what_models_dev_knows(bay: Inside):
    shown = json.loads(bay.done("model", "show", "gpt", "--json"))
    assert shown["sources"]["image_in"] == "models.dev"
    assert shown["capabilities"]["image_in"] is True


def test_the_models_are_listed_and_the_default_one_is_marked(bay: Inside):
    bay.done("provider", "test", "acme")
    assert bay.done("model", "list") == snapshot("""\
* one  acme  sim-1        200k context · $1 in, $4 out · thinking, images, tools
  gpt  acme  gpt-4o-mini  128k context · images, documents, tools
""")
    assert [one["alias"] for one in json.loads(bay.done("model", "list", "--json"))["models"]] == ["one", "gpt"]
    assert bay("model", "list", "--provider", "nope").code == 1


def test_search_is_fuzzy_over_thousands(bay: Inside):
    lines = bay.done("model", "search", "gpt4o", "mini", "--limit", "3").splitlines()
    assert lines[0].split()[:2] == ["gpt", "configured"]
    assert len(lines) == 3
    found = json.loads(bay.done("model", "search", "son 4.5", "--json"))["models"]
    assert all("4" in one["id"] for one in found) and found[0]["where"] == "models.dev"
    assert "No model matches" in bay("model", "search", "zzzzqqqqxxxx").err


def test_search_knows_what_a_provider_lists(bay: Inside):
    bay.done("provider", "test", "acme")
    assert "listed by acme" in bay.done("model", "search", "sim-vision")


def test_the_default_model_is_printed_and_changed(bay: Inside):
    assert bay.done("model", "default") == "one\n"
    assert bay.done("model", "default", "gpt") == "Default model set to gpt (was one)\n"
    assert bay.done("model", "default", "acme/sim-9") == "Default model set to acme/sim-9 (was gpt)\n"
    assert "no model" in bay("model", "default", "nope").err


# config


def test_the_path_of_the_configuration_is_printed(bay: Inside):
    assert bay.done("config", "path") == "HOME/config.toml\n"
    assert bay.done("config", "path", "--config", "x.toml") == "x.toml\n"


def test_a_file_in_order(bay: Inside):
    run = bay("config", "check")
    assert (run.code, run.out, run.err) == (0, "", "HOME/config.toml is valid: providers: 1, models: 2\n")


def test_every_problem_has_its_line_and_a_fix(bay: Inside):
    bay.file.write_text("""\
default_model = "nope"

[providers.a]
type = "opnai"

[providers.b]
type = "openai"
base_url = "https://b.example/v1"

[providers.c]
type = "openai"
api_key = "sk-1"
dialect = "klingon"

[models.x]
provider = "zzz"
model = "m"

[models.y]
provider = "c"
model = "m"

[models.z]
provider = "b"
model = "m"
capabilities = ["telepathy"]
max_output_size = "big"

[models.w]
provider = "b"
model = "m"
capabilities = ["telepathy"]
""")
    bay.file.chmod(0o644)
    run = bay("config", "check")
    assert run.code == 1
    assert re.sub("(must be one of:) .*", r"\1 …", run.out) == snapshot("""\
HOME/config.toml: the file: other users can read its API keys (mode 0644)
  hint: chmod 600 HOME/config.toml
HOME/config.toml:1: default_model: no model "nope"
  hint: use a model of the file, or provider/model-id
HOME/config.toml:4: providers.a.type: unknown type "opnai"
  hint: the types are kimi, anthropic, openai, openai_responses, google-genai, vertexai, azure
HOME/config.toml:6: providers.b: no API key set for provider "b"
  hint: `modelbay key set b`, or write api_key under [providers.b], or OPENAI_API_KEY under [providers.b.env]; if the server requires no key, set auth = "none"
HOME/config.toml:10: providers.c: provider "c" has an unknown dialect "klingon"
  hint: must be one of: …
HOME/config.toml:16: models.x.provider: its provider "zzz" does not exist
  hint: use another provider, or fix or add this one; usable providers: b, c
HOME/config.toml:27: models.z.max_output_size: expected a whole number, got text
  hint: correct the value, or remove the key
HOME/config.toml:32: models.w.capabilities: unknown capability "telepathy"
  hint: use one of: adaptive_thinking, always_thinking, audio_in, audio_out, call_signatures, computer_use, document_in, image_in, image_out, structured_output, temperature, thinking, thinking_budget, tool_use, video_in
""")


def test_a_file_that_does_not_parse(bay: Inside):
    bay.file.write_text("[providers\n")
    run = bay("config", "check")
    assert (run.code, "line 1" in run.err) == (1, True)


def test_a_missing_file_has_no_problems(bay: Inside):
    bay.file.unlink()
    assert bay("config", "check").code == 0
