"""Taking providers out, as every face does it."""

from pathlib import Path

import pytest

from modelbay.config.load import load
from modelbay.errors import UnknownProvider
from modelbay.onboarding.remove import remove
from modelbay.onboarding.sources import merge as merging

BEFORE = """\
[providers.one]
type = "openai"

[providers.two]
type = "anthropic"

[models.m]
provider = "two"
model = "m"
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    made = tmp_path / "config.toml"
    made.write_text(BEFORE)
    for id in ("one", "two"):
        merging.remember(id, merging.seen("", {}))
    return made


def test_several_go_together_and_nothing_remembers_them(file: Path):
    removed = remove(file, ["one", "two"]).result
    assert [gone.models for gone in removed] == [[], ["m"]]
    assert load(file).providers == {}
    assert (merging.recall("one"), merging.recall("two")) == (None, None)


def test_where_one_is_not_there_all_stay(file: Path):
    with pytest.raises(UnknownProvider):
        remove(file, ["one", "three"])
    assert file.read_text() == BEFORE
    assert merging.recall("one") is not None


def test_a_dry_run_takes_nothing_out(file: Path):
    assert "two" in remove(file, ["two"], dry_run=True).diff
    assert file.read_text() == BEFORE
    assert merging.recall("two") is not None
