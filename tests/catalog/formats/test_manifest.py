"""Manifests and extended models: facts that are read, and errors that are reported."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.catalog.formats.manifest import (
    FAILED,
    Manifest,
    inspect_manifest,
    inspect_models,
    listed_table,
    parse_manifest,
    parse_models,
)
from modelbay.errors import ModelbayError
from modelbay.model import Cost
from tests.catalog.manifests import EMBEDDED, EXTENDED, MANIFEST, embedded, manifest, model


def test_the_hosted_example_is_read():
    found = parse_manifest(MANIFEST.encode())
    assert found == Manifest(
        name="Sample Provider",
        website="https://providerwebsite.com",
        base_url="https://providerwebsite.com/v1",
        source="endpoint",
    )
    assert found.models_url == "https://providerwebsite.com/v1/models?extended=true"


def test_the_extended_example_is_read_with_every_fact():
    models, findings = parse_models(EXTENDED.encode())
    first, second = models
    assert not findings
    assert first.id == "provider/model-name-v1"
    assert first.name == "Model Name V1"
    assert first.facts.max_context_tokens == 128000
    assert first.facts.max_output_tokens == 4096
    assert first.facts.cost == Cost(input=0.5, output=1.5)
    assert first.facts.capabilities == {
        "image_in": True,
        "video_in": False,
        "audio_in": False,
        "document_in": False,
        "image_out": False,
        "audio_out": False,
        "thinking": True,
        "temperature": True,
        "tool_use": True,
    }
    assert first.extra["release_date"] == "2025-08-21"
    assert (second.id, second.name) == ("provider/another-model-v2", "Another Model V2")


def test_the_embedded_example_is_read_with_the_same_models():
    found = parse_manifest(EMBEDDED.encode(), pasted=True)
    assert (found.name, found.base_url, found.source) == ("Synthetic", "https://providerwebsite.com/v1", "embedded")
    assert found.models == parse_models(EXTENDED.encode())[0]


def test_models_at_models_dev_are_named_by_the_id_there():
    found = parse_manifest(manifest(models_data_source="models_dev", models_dev_provider_id="acme"))
    assert (found.source, found.models_dev_id) == ("models_dev", "acme")


def test_a_byte_order_mark_and_a_missing_website_are_accepted():
    assert parse_manifest(b"\xef\xbb\xbf" + json.dumps(manifest(website=None)).encode()).website is None


def test_the_url_of_the_model_list_keeps_the_query_of_the_base_url():
    found = parse_manifest(manifest(baseUrl="https://x.example/v1/?team=a"))
    assert found.models_url == "https://x.example/v1/models?team=a&extended=true"


def test_names_and_ids_may_be_in_any_script_and_have_slashes_and_colons():
    models = {id: {"id": id, "name": "Modèle 模型"} for id in ("hf:org/name", "a/b/c:free", "名")}
    found = parse_manifest(embedded(models, name="提供者"), pasted=True)
    assert found.name == "提供者"
    assert [one.id for one in found.models] == list(models)


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        (b"", "it is empty"),
        (b"<!doctype html><title>Hello</title>", "not JSON but"),
        (b"{", "not JSON at line 1, column 2"),
        (b"7", "the manifest must be an object, not the number 7"),
        (b'"https://x.example"', "the manifest must be an object, not"),
        (EXTENDED.encode(), "this is a model list, not a manifest"),
        (b'{"object": "list", "data": []}', "this is a model list, not a manifest"),
        ([manifest(), {}], "a hosted manifest must be an object; an array is for embedded JSON"),
        (b'{"error": {"message": "under maintenance"}}', "the response is an error: under maintenance"),
        (b'{"name": "A", "name": "B"}', "name: duplicate key"),
        (manifest(name=None), "name: missing"),
        (manifest(name=" "), "name: it is empty"),
        (manifest(name=7), "name: it must be text, not the number 7"),
        (manifest(name="A\nB"), "name: it contains control characters"),
        (manifest(name="A" * 201), "name: it is too long"),
        (manifest(website=[]), "website: it must be text, not a list"),
        (manifest(baseUrl=None), "baseUrl: missing"),
        (manifest(baseUrl={}), "baseUrl: it must be text, not an object"),
        (manifest(baseUrl="x.example/v1"), "baseUrl: the URL must start with http:// or https://"),
        (manifest(baseUrl="file:///etc/passwd"), "baseUrl: the URL must start with http:// or https://"),
        (manifest(baseUrl="https://"), "baseUrl: the URL has no host"),
        (manifest(baseUrl="https://{region}.x.example"), "baseUrl: it contains a placeholder"),
        (manifest(baseUrl="https://x.example/v1#a"), "baseUrl: it contains a #"),
        (manifest(baseUrl="https://me:pass@x.example"), "baseUrl: the URL contains credentials"),
        (manifest(baseUrl="https://x.example/?api_key=k"), "baseUrl: it contains a key in its query"),
        (manifest(models_data_source=None), "models_data_source: missing"),
        (manifest(models_data_source=True), "models_data_source: it must be text, not true"),
        (
            manifest(models_data_source="Endpoint"),
            'models_data_source: unknown value "Endpoint": must be one of endpoint, models_dev',
        ),
        (manifest(models_data_source="embedded"), 'models_data_source: "embedded" is not allowed in a hosted manifest'),
        (manifest(models_data_source="models_dev"), "models_dev_provider_id: missing"),
        (manifest(models_dev_provider_id=1), "models_dev_provider_id: it must be text"),
        (manifest(apiKey="sk-given-away"), "apiKey: a manifest must not contain a key"),
        (manifest(headers={"Authorization": "Bearer x"}), "headers.Authorization: a manifest must not contain a key"),
    ],
)
def test_each_error_of_a_hosted_manifest_is_reported_with_its_place(content: Any, finding: str):
    with pytest.raises(ModelbayError) as caught:
        parse_manifest(content)
    assert caught.value.message.startswith(f"{FAILED}: {finding}")
    assert "models_data_source" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        (manifest(), "embedded JSON must be an array [manifest, models]; this is an object"),
        ([manifest()], "the array must be [manifest, models], but has 1 elements"),
        ([[], {}], "0: the manifest must be an object, not a list"),
        (embedded()[::-1], "the array must be [manifest, models], but the models come first"),
        (embedded(models_data_source="endpoint"), '0.models_data_source: "endpoint" is not allowed in embedded JSON'),
        (embedded(name=None), "0.name: missing"),
        (embedded({"m": model(apiKey="sk-x")}), "1.models.m.apiKey: a manifest must not contain a key"),
        ([*embedded()[:1], {}], "1.models: missing: found an object with no keys instead"),
        ([*embedded()[:1], {"models": "m"}], '1.models: must be an object of models by ID, not "m"'),
        (embedded({"m": model(limit={"context": "big"})}), '1.models.m.limit.context: it must be a number, not "big"'),
    ],
)
def test_each_error_of_embedded_json_is_reported_with_its_place(content: Any, finding: str):
    with pytest.raises(ModelbayError) as caught:
        parse_manifest(content, pasted=True)
    assert caught.value.message.startswith(f"{FAILED}: {finding}")


@pytest.mark.parametrize(
    ("entry", "finding"),
    [
        ([], "models.m: a model must be an object, not a list"),
        (model(id=""), "models.m.id: it is empty"),
        (model(id=7), "models.m.id: it must be text, not the number 7"),
        (model(id="a\x00b"), "models.m.id: it contains control characters"),
        (model(id="a" * 401), "models.m.id: it is too long"),
        (model(name=[]), "models.m.name: it must be text, not a list"),
        (model(reasoning="yes"), 'models.m.reasoning: it must be true or false, not "yes"'),
        (model(tool_call=1), "models.m.tool_call: it must be true or false, not the number 1"),
        (model(release_date=2025), "models.m.release_date: it must be a date like 2025-08-21, not the number 2025"),
        (model(modalities=["text"]), "models.m.modalities: it must be an object, not a list"),
        (model(modalities={"input": "text"}), "models.m.modalities.input: it must be a list of words"),
        (model(cost=1), "models.m.cost: it must be an object, not the number 1"),
        (model(cost={"input": "cheap", "output": 1}), 'models.m.cost.input: it must be a number, not "cheap"'),
        (model(cost={"input": math.nan, "output": 1}), "models.m.cost.input: it must be a number, not nan"),
        (model(limit=128000), "models.m.limit: it must be an object, not the number 128000"),
        (model(limit={"context": True}), "models.m.limit.context: it must be a number, not true"),
    ],
)
def test_each_error_of_a_model_is_reported_with_its_place(entry: Any, finding: str):
    with pytest.raises(ModelbayError) as caught:
        parse_models({"models": {"m": entry}})
    assert caught.value.message.startswith(f"{FAILED}: {finding}")


def test_a_long_id_is_shortened_in_the_message():
    with pytest.raises(ModelbayError, match=r"models\.x{100}….id: it is too long"):
        parse_models({"models": {"x" * 5000: model(id="x" * 5000)}})


def test_an_id_belongs_to_one_model():
    with pytest.raises(ModelbayError, match=r'models\.b\.id: "x" is the id of models.a already'):
        parse_models({"models": {"a": model(id="x"), "b": model(id="x")}})


@pytest.mark.parametrize(
    ("entry", "finding"),
    [
        ({"name": "M"}, "models.m.id: missing: the key is used instead"),
        ({"id": "m"}, "models.m.name: missing: the ID is shown instead"),
        (model(id="other"), 'models.m.id: it is "other", but the key is "m": the ID is used'),
        (model(limit={"context": "128000"}), "models.m.limit.context: it is a number in quotes"),
        (model(limit={"context": 0.5}), "models.m.limit.context: not a whole number of tokens; it is ignored"),
        (model(limit={"context": 0}), "models.m.limit.context: zero tokens; it is ignored"),
        (model(cost={"input": -1, "output": 1}), "models.m.cost.input: negative; it is ignored"),
        (model(cost={"input": 1}), "models.m.cost: no price for output; it is ignored"),
        (model(release_date="soon"), "models.m.release_date: not a date like 2025-08-21"),
    ],
)
def test_a_small_error_is_reported_and_the_model_stays(entry: Any, finding: str):
    models, findings = parse_models({"models": {"m": entry}})
    assert len(models) == 1
    assert [str(one) for one in findings] == [finding]


@pytest.mark.parametrize("body", [{"data": [{"id": "m"}]}, {"models": [{"id": "m"}]}, [{"id": "m"}]])
def test_a_plain_list_of_models_is_accepted(body: Any):
    models, findings = parse_models(body)
    assert [one.id for one in models] == ["m"]
    assert "expected an object of models by ID" in str(findings[0])


def test_an_empty_list_of_models_is_not_an_error():
    assert parse_models({"models": {}}) == ([], [])
    assert parse_manifest(embedded({}), pasted=True).models == []


def test_all_errors_are_found_at_once():
    found = inspect_manifest(manifest(name=None, baseUrl="x", models_data_source="y"))
    assert found.manifest is None
    assert [one.where for one in found.findings] == ["name", "baseUrl", "models_data_source"]
    with pytest.raises(ModelbayError, match=r"and 2 more"):
        parse_manifest(manifest(name=None, baseUrl="x", models_data_source="y"))


def test_of_many_errors_only_the_first_are_reported():
    _, findings = inspect_models({"models": {str(number): 7 for number in range(10_000)}})
    assert len(findings) < 200


def test_an_unencrypted_url_is_reported_except_on_this_machine():
    assert "unencrypted" in str(parse_manifest(manifest(baseUrl="http://x.example/v1")).findings)
    assert parse_manifest(manifest(baseUrl="http://127.0.0.1:1/v1")).findings == []


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "name", "limit", "models"]), inner)
    ),
)


# Stored facts


def kept(entry: Any) -> dict[str, Any]:
    [one], _ = parse_models({"models": {"m": {"id": "m", "name": "M", **entry}}})
    return listed_table(one)


def test_every_field_of_an_extended_model_is_stored_unchanged():
    assert kept(model(id="m")) == {key: value for key, value in model(name="Model Name V1").items() if key != "id"}
    assert kept({}) == {"name": "M"}


def test_unusable_values_are_not_stored():
    entry = {
        "limit": {"context": 0, "output": "99"},
        "cost": {"input": -1, "output": 1},
        "release_date": "soon",
        "x": 1,
    }
    assert kept(entry) == {"name": "M", "limit": {"output": 99}}


def test_a_models_own_spelling_of_facts_becomes_the_usual_one():
    entry = {
        "context_length": 1000,
        "input_modalities": ["text", "image"],
        "pricing": {"prompt": "$0.000001", "completion": "0.000002"},
        "reasoning_options": [{"type": "effort", "values": ["low", "high", None]}],
    }
    assert kept(entry) == {
        "name": "M",
        "reasoning": True,
        "modalities": {"input": ["text", "image"]},
        "cost": {"input": 1.0, "output": 2.0},
        "limit": {"context": 1000},
        "reasoning_options": [{"type": "effort", "values": ["low", "high", "none"]}],
    }


def test_a_model_without_attachments_accepts_only_text_unless_modalities_list_more():
    assert kept({"attachment": False})["modalities"] == {"input": ["text"]}
    assert "modalities" not in kept({"attachment": True})


@given(JSON, st.booleans())
def test_any_json_is_read_or_rejected_cleanly(content: Any, pasted: bool):
    inspected = inspect_manifest(content, pasted=pasted)
    assert inspected.manifest is not None or any(finding.fatal for finding in inspected.findings)
    inspect_models(content)
    inspect_models({"models": content})


@given(st.binary())
def test_any_bytes_are_read_or_rejected_cleanly(data: bytes):
    assert inspect_manifest(data).manifest is None
    inspect_models(data)
