"""`modelbay manifest build` and `check`: which models are published, and what is pasted."""

import json
from pathlib import Path

import pytest

from modelbay.simulator import Simulator
from tests.catalog.manifests import EMBEDDED
from tests.cli.command import KEY
from tests.cli.inside import Inside
from tests.cli.test_manifest import checked, configure


@pytest.fixture
def bay(tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Inside:
    simulator.reset()
    return Inside(tmp_path, monkeypatch, {simulator.url: "SIM"})


def test_only_configured_models_are_written_unless_all_are_asked_for(bay: Inside, simulator: Simulator):
    configure(bay, simulator)
    bay.file.write_text(bay.text + '[models.new]\nprovider = "sim"\nmodel = "sim-unlisted"\n')
    line = ["manifest", "build", "sim", "--website", "https://sim.example", "--embedded"]
    run = bay(*line)
    models = json.loads(run.out)[1]["models"]
    assert (list(models), "sim-unlisted is configured, but not in the provider's list" in run.err) == (
        ["sim-text", "sim-unlisted"],
        True,
    )
    assert models["sim-text"]["cost"] == {"input": 0.1, "output": 0.2, "cache_read": 0, "cache_write": 0}
    assert len(json.loads(bay.done(*line, "--all-models"))[1]["models"]) == 7


def test_a_provider_without_configured_models_is_not_published(bay: Inside, simulator: Simulator):
    bay.file.write_text(f'[providers.sim]\ntype = "openai"\nbase_url = "{simulator.url}/v1"\napi_key = "{KEY}"\n')
    run = bay("manifest", "build", "sim", "--website", "https://sim.example", "--embedded")
    assert (run.code, "sim has no configured models" in run.err, "--all-models" in run.err) == (1, True, True)


def test_a_pasted_manifest_is_checked_without_its_fence(bay: Inside):
    fenced = f"As promised:\n```json\n{json.dumps(EMBEDDED)}\n```\n"
    assert checked(bay, "-", "--offline", stdin=fenced) == checked(bay, "-", "--offline", stdin=json.dumps(EMBEDDED))
