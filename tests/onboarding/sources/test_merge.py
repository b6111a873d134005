"""Updating models from a source: changed values, and values that are kept."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.catalog.lists.entry import Gaps
from modelbay.config.edit import Edit
from modelbay.config.load import parse
from modelbay.errors import ConfigError
from modelbay.onboarding.sources.merge import Memory, Merged, Ownership, compared, merge

OWNER = Ownership(frozenset({"listed"}), lambda provider, alias, table: "listed" in table)
PROVIDER = '[providers.p]\ntype = "openai"\nbase_url = "https://p.example/v1"\n'


def edit(text: str) -> Edit:
    return Edit(Path("config.toml"), (PROVIDER + text).encode())


def said(**models: dict[str, Any]) -> dict[str, Any]:
    return {wire_id: {"listed": listed} for wire_id, listed in models.items()}


def test_a_new_model_has_an_alias_with_its_providers_id() -> None:
    file = edit("")
    assert merge(file, "p", said(m={"name": "M"}), OWNER, None) == Merged(added=["p/m"])
    assert file.get("models", "p/m") == {"provider": "p", "model": "m", "listed": {"name": "M"}}


def test_a_model_with_the_users_own_alias_is_updated_too() -> None:
    file = edit('[models.mine]\nprovider = "p"\nmodel = "m"\n')
    merged = merge(file, "p", said(m={"name": "M"}), OWNER, None)
    assert merged.added == []
    assert merged.changed == {"mine": ['name (not set) → "M"']}
    assert list(parse(file.text, file.path).models) == ["mine"]


def test_a_value_that_the_source_drops_is_removed_unless_the_user_changed_it() -> None:
    file = edit('[models."p/m"]\nprovider = "p"\nmodel = "m"\nlisted = { a = 1, b = 5, c = 3 } # x\n')
    last = Memory(models=said(m={"a": 1, "b": 2, "c": 3}))
    merged = merge(file, "p", said(m={"c": 4}), OWNER, last)
    assert file.get("models", "p/m", "listed") == {"b": 5, "c": 4}
    assert merged.changed == {"p/m": ["a 1 → (not set)", "c 3 → 4"]}
    assert merged.kept == {"p/m.listed.b": "kept your value; the source has (not set)"}
    assert "# x" in file.text


def test_a_model_that_the_user_removed_returns_only_if_it_is_added_again() -> None:
    file, last = edit(""), Memory(models=said(m={"a": 1}))
    assert merge(file, "p", said(m={"a": 2}), OWNER, last).empty
    assert merge(file, "p", said(m={"a": 2}), OWNER, last, again=True).added == ["p/m"]


@pytest.mark.parametrize(
    ("gaps", "merged"),
    [
        (None, Merged(removed=["p/m"])),
        (
            Gaps(entries={"m": "it has no size"}),
            Merged(kept={"p/m": "kept: its source lists it, but it has no size"}),
        ),
        (Gaps(entries={"n": "it has no size"}), Merged(removed=["p/m"])),
        (Gaps(reasons=["page 2 failed"]), Merged(incomplete="page 2 failed")),
    ],
)
def test_a_model_that_may_be_in_an_unread_part_of_the_source_is_kept(gaps: Gaps | None, merged: Merged) -> None:
    file = edit('[models."p/m"]\nprovider = "p"\nmodel = "m"\nlisted = { a = 1 }\n')
    assert merge(file, "p", {}, OWNER, Memory(models=said(m={"a": 1})), gaps=gaps) == merged


def test_a_model_that_could_not_be_read_is_not_renamed() -> None:
    """An ID in another case is the same model, unless the source lists both."""
    file = edit('[models."p/m"]\nprovider = "p"\nmodel = "m"\nlisted = { a = 1 }\n')
    last = Memory(models=said(m={"a": 1}))
    gaps = Gaps(entries={"m": "it has no size"})
    assert merge(file, "p", said(M={"a": 1}), OWNER, last, gaps=gaps).added == ["p/M"]
    assert file.get("models", "p/m", "model") == "m"


def test_an_alias_of_another_provider_is_not_taken_over() -> None:
    file = edit('[providers.q]\ntype = "openai"\n[models."p/m"]\nprovider = "q"\nmodel = "m"\n')
    with pytest.raises(ConfigError, match='belongs to provider "q"'):
        merge(file, "p", said(m={}), OWNER, None)


def test_changes_of_another_writer_are_reported_in_the_same_form() -> None:
    file = edit('[models."p/a"]\nprovider = "p"\nmodel = "a"\n[models."p/b"]\nprovider = "p"\nmodel = "b"\n')
    before = file.get("models")
    file.delete("models", "p/a")
    file.set("models", "p/b", "max_context_size", value=5)
    file.set("models", "p/c", value={"provider": "p", "model": "c"})
    assert compared(before, file, "p") == Merged(
        added=["p/c"], removed=["p/a"], changed={"p/b": ["max_context_size (not set) → 5"]}
    )


FACTS = st.dictionaries(
    st.sampled_from(["name", "reasoning", "limit"]),
    st.integers(0, 3) | st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 3), min_size=1),
    min_size=1,
)
SAID = st.dictionaries(st.sampled_from(["m", "n", "o/p:q"]), FACTS)


@given(st.lists(SAID, min_size=1, max_size=4))
def test_without_changes_by_the_user_the_file_matches_the_source(history: list[dict[str, Any]]) -> None:
    text, last = "", None
    for models in history:
        file = Edit(Path("config.toml"), (PROVIDER + text).encode())
        merge(file, "p", said(**models), OWNER, last)
        last = Memory(models=said(**models))
        text = file.text.removeprefix(PROVIDER)
        written = {table["model"]: table["listed"] for table in (file.get("models") or {}).values()}
        assert written == models
        again = Edit(Path("config.toml"), (PROVIDER + text).encode())
        assert merge(again, "p", said(**models), OWNER, last).empty
        assert not again.changed
