"""The rules for published documents, with arbitrary texts."""

from datetime import date
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.publishing.document_check import read_list, read_manifest, read_models
from modelbay.publishing.manifest_rules import key_findings
from modelbay.publishing.model_rules import FIELDS, OTHER_FIELDS, model_findings
from modelbay.publishing.rules import RULES
from tests.catalog.manifests import EMBEDDED, EXTENDED, MANIFEST, model
from tests.publishing.host import MODELS

LARGE = MODELS["acme/large"]
NAMES = st.sampled_from(
    [*FIELDS, *[name.rpartition(".")[2] for name in OTHER_FIELDS], "models", "data", "baseUrl", "object", "x"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("https://acme.com/v1"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=25,
)


@given(JSON | st.binary(max_size=60))
def test_arbitrary_text_raises_nothing_and_gives_findings_of_known_rules(content: object):
    text = content if isinstance(content, bytes) else msgspec.json.encode(content)
    _, listed = read_list(text)
    for pasted in (True, False):
        found = [*read_manifest(text, pasted=pasted).findings, *read_models(text).findings, *listed]
        assert all(one.rule in RULES and one.change for one in found)


def test_the_examples_of_the_guide_break_no_rule():
    documents = [
        read_manifest(MANIFEST.encode()), read_models(EXTENDED.encode()), read_manifest(EMBEDDED.encode(), pasted=True),
    ]  # fmt: skip
    assert {one.severity for document in documents for one in document.findings} == {"advice"}


def test_a_complete_model_has_no_findings():
    assert list(model_findings(MODELS)) == []


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ([{"type": "effort", "values": ["low", None]}, {"type": "toggle"}, {"type": "budget_tokens", "min": 1}], None),
        ([], None),
        ({"type": "toggle"}, "not a list of objects"),
        (["low"], "not a list of objects"),
        ([{"type": "efforts", "values": ["low"]}], 'the type "efforts" is unknown'),
        ([{"type": "effort"}], "`values` is not a list of efforts"),
        ([{"type": "effort", "values": [1]}], "`values` is not a list of efforts"),
        ([{"type": "budget_tokens", "max": "8k"}], "`min` or `max` is not a whole number of tokens"),
    ],
)
def test_reasoning_options_are_checked(options: Any, wrong: str | None):
    models = {"m": {**LARGE, "reasoning_options": options}}
    assert [one.message for one in model_findings(models)] == ([wrong] if wrong else [])


def test_a_model_with_an_unknown_modality_is_not_said_to_accept_only_text():
    models = {"m": {**LARGE, "modalities": {"input": ["text", "vision"], "output": ["text"]}}}
    assert [one.rule for one in model_findings(models)] == ["modality-unknown"]


def test_each_unknown_modality_of_a_list_is_named():
    models = {"m": {**LARGE, "modalities": {"input": ["text", "vision", "pictures"], "output": ["text"]}}}
    assert [one.message for one in model_findings(models)] == ['"vision" is unknown', '"pictures" is unknown']


@pytest.mark.parametrize(
    ("released", "updated", "rule"),
    [
        ("2025", "2024-12-31", "date-order"),
        ("2025-08", "2025-07-31", "date-order"),
        ("2025-08-21", "2025-08", None),
        ("2025-08-21", "2025-08-20", "date-order"),
        ("2025-08-21", "2025-09-02", "date-future"),
        ("2025-08-21", "2025-09-01", None),
        ("2026-01-01", "2026-01-01", "date-future"),
        ("2025-13-01", "2025-08-21", "date"),
    ],
)
def test_days_and_months_and_years_are_compared(released: str, updated: str, rule: str | None):
    models = {"m": model(release_date=released, last_updated=updated, attachment=True)}
    found = model_findings(models, today=date(2025, 8, 31))
    assert {one.rule for one in found} == ({rule} if rule else set())


@pytest.mark.parametrize(
    ("text", "is_key"),
    [
        ("sk-proj-Ab12Cd34Ef56Gh78Ij90", True),
        ("use hf_AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGh", True),
        ("Bearer abc.def-123456", True),
        ("Bearer authentication", False),
        ("https://api-internationalization.example/v1", False),
        ("sk-telecom/ax-4.0-light-32k", False),
        ("hf:meta-llama/Llama-3.3-70B-Instruct", False),
        ("deepseek-r1-distill-qwen-32b-20250120", False),
    ],
)
def test_values_that_look_like_a_key_are_found(text: str, is_key: bool):
    assert bool(list(key_findings({"description": text}))) == is_key
    assert bool(list(key_findings({text: 1}))) == is_key
