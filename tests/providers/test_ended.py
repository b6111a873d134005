"""A vendor whose service has ended: it is not offered, and an entry that uses it explains itself."""

from pathlib import Path

import pytest

from modelbay import Hub
from modelbay.config.load import load
from modelbay.errors import ConfigError, ConnectFailed
from modelbay.onboarding.config_check import config_problems
from modelbay.providers import presets

ENDED = [preset for preset in presets.all() if preset.ended]
CONFIG = """\
[providers.old]
type = "openai"
base_url = "BASE"
api_key = "sk-1"
proxy = "http://127.0.0.1:9"
"""


def written(folder: Path, base: str) -> Path:
    path = folder / "config.toml"
    path.write_text(CONFIG.replace("BASE", base))
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("preset", ENDED, ids=lambda preset: preset.id)
def test_it_names_the_day_the_announcement_and_vendors_that_are_offered(preset):
    offered = [one.id for one in presets.offered()]
    assert preset.id not in offered
    assert set(preset.ended.use) <= set(offered)
    assert preset.end == f"{preset.name} ended on {preset.ended.date}"
    assert preset.ended.source in preset.instead


@pytest.mark.parametrize("preset", ENDED, ids=lambda preset: preset.id)
def test_it_is_refused_by_name_and_not_suggested(preset):
    with pytest.raises(ConfigError, match=f"{preset.name} ended on {preset.ended.date}") as caught:
        Hub.of(preset.id, api_key="sk-1")
    assert "pass base_url=URL" in (caught.value.hint or "")
    assert preset.id not in presets.similar(f"{preset.id}x")


def test_a_server_of_the_same_kind_is_added_by_its_url():
    hub = Hub.of("anyscale", base_url="https://llm.acme.example/v1", api_key="sk-1")
    assert hub.config.providers["anyscale"].dialect == "anyscale"


@pytest.mark.parametrize("preset", ENDED, ids=lambda preset: preset.id)
def test_the_check_of_the_configuration_names_an_entry_at_its_host(preset, tmp_path: Path):
    [problem] = config_problems(load(written(tmp_path, preset.base_url)))
    assert (problem.where, problem.message) == ("providers.old", f"all calls fail: {preset.end}")
    assert problem.hint == preset.instead
    assert config_problems(load(written(tmp_path, "https://llm.acme.example/v1"))) == []


@pytest.mark.parametrize("preset", ENDED, ids=lambda preset: preset.id)
async def test_the_error_of_a_failed_call_explains_it(preset, tmp_path: Path):
    async with Hub.open(written(tmp_path, preset.base_url)) as hub:
        with pytest.raises(ConnectFailed) as caught:
            await hub.complete("Hi", model="old/m", retries=0)
    assert (caught.value.hint or "").startswith(f"{preset.end}: use another provider")
