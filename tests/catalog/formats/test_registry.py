"""Registries: usable providers and models are read, all others are skipped with a reason."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.catalog.formats.registry import SkippedEntry, parse_registry, why_refused
from modelbay.errors import MalformedReply

ACME = {
    "id": "acme",
    "name": "Acme AI",
    "api": "https://acme.example/v1",
    "type": "openai",
    "env": ["ACME_KEY", 7],
    "models": {"fast": {"id": "acme-fast-1", "limit": {"context": 10}}, "m-2": {"id": "m-2"}},
}


def skipped(**entry):
    """The skipped entries of a registry that has another provider besides acme's."""
    return parse_registry({"acme": ACME, "other": {**ACME, "id": "other", **entry}}).skipped


def test_a_provider_is_read_with_its_models():
    found = parse_registry({"any key": ACME})
    [one] = found.providers
    assert (one.id, one.name, one.type, one.api) == ("acme", "Acme AI", "openai", "https://acme.example/v1")
    assert (one.key_names, one.guessed) == (["ACME_KEY"], False)
    assert list(one.models) == ["acme-fast-1", "m-2"]
    assert one.names == {"acme-fast-1": "acme/fast"}
    assert (found.skipped, found.named) == ([], {"acme"})


@pytest.mark.parametrize("type", ["anthropic", "openai", "openai_responses", "kimi", "google-genai"])
def test_every_provider_type_is_accepted(type):
    assert parse_registry({"acme": {**ACME, "type": type}}).providers[0].type == type


def test_kimi_clis_old_types_are_understood():
    assert parse_registry({"acme": {**ACME, "type": "openai_legacy"}}).providers[0].type == "openai"


def test_missing_values_are_derived_from_the_others():
    bare = {"api": ACME["api"], "npm": "@ai-sdk/anthropic", "models": [{"id": "m"}]}
    [one] = parse_registry({"acme": bare}).providers
    assert (one.id, one.name, one.type, list(one.models)) == ("acme", "acme", "anthropic", ["m"])


def test_a_missing_protocol_is_guessed():
    assert parse_registry({"acme": {**ACME, "type": None}}).providers[0].guessed


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"api": None}, "it has no `api` (its base URL)"),
        ({"api": "  "}, "it has no `api` (its base URL)"),
        ({"api": "acme.example"}, "the URL must start with http:// or https://"),
        ({"api": "https://${HOST}/v1"}, "its address contains a placeholder"),
        ({"api": "https://me:secret@acme.example"}, "its address contains a user name or password"),
        ({"type": "smoke"}, 'unknown type "smoke"'),
        ({"models": None}, "it has no `models`"),
        ({"models": {}}, "it has no `models`"),
        ({"models": {"m": 1}}, "none of its models can be used"),
    ],
)
def test_an_unusable_provider_is_skipped_and_named(entry, why):
    assert SkippedEntry("other", why) in skipped(**entry)


@pytest.mark.parametrize("id", ["a/b", "managed:acme", "a\nb", "-", "x" * 101])
def test_an_id_that_cannot_be_a_key_is_skipped(id):
    assert len(skipped(id=id)) == 1


def test_two_providers_with_one_id_are_not_merged():
    assert skipped(id="acme") == [SkippedEntry("acme", "duplicate ID")]


@pytest.mark.parametrize(
    ("models", "where", "why"),
    [
        ({"m": 7}, "other/m", "it is not an object"),
        ({" ": {}}, "other/ ", "its name cannot be used"),
        ({"m\x1b[2J": {}}, "other/m\x1b[2J", "its name cannot be used"),
        ({"m": {"id": "a\nb"}}, "other/m", "its ID cannot be used"),
        ({"a": {"id": "x"}, "b": {"id": "x"}}, "other/b", 'duplicate of "x"'),
    ],
)
def test_an_unusable_model_is_skipped_and_named(models, where, why):
    [one] = skipped(models={"good": {}, **models})
    assert one.where == where
    assert one.why.startswith(why)


@pytest.mark.parametrize("document", [b"<html>", b"[]", b"7", b"{}", b'{"a": 1}', b'{"data": [{"id": "m"}]}', b""])
def test_other_json_than_a_registry_is_an_error(document):
    with pytest.raises(MalformedReply):
        parse_registry(document)


# URLs


@pytest.mark.parametrize(
    "api",
    [
        "http://localhost:1/v1", "http://127.0.0.1/v1", "http://127.1/v1", "http://0x7f000001/v1", "http://[::1]/v1",
        "http://10.0.0.1/v1", "http://192.168.1.1/v1", "http://169.254.169.254/latest", "http://[fd00::1]/v1",
        "http://[::ffff:10.0.0.1]/v1", "http://0.0.0.0/v1", "http://2130706433/v1",
    ],
)  # fmt: skip
def test_a_registry_from_elsewhere_cannot_name_local_addresses(api):
    assert why_refused(api, "https://acme.example/api.json")
    assert why_refused(api, None)


@pytest.mark.parametrize(
    ("api", "url"),
    [
        ("https://other.example/v1", "https://acme.example/api.json"),
        ("http://127.0.0.1:1/v1", "http://localhost:2/api.json"),
        ("http://10.0.0.1:1/v1", "http://10.0.0.1/api.json"),
    ],
)
def test_a_registry_may_name_public_hosts_and_its_own(api, url):
    assert why_refused(api, url) is None


# Any input

texts = st.text(max_size=12)
json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
model = st.fixed_dictionaries({}, optional={"id": texts, "limit": json, "cost": json})
models = st.dictionaries(texts, model | json, max_size=3)
providers = st.fixed_dictionaries(
    {},
    optional={
        "id": texts | json,
        "name": json,
        "api": st.sampled_from(["https://a.example/v1", "http://10.0.0.1"]) | json,
        "type": st.sampled_from(["openai", "anthropic", "smoke"]) | json,
        "npm": json,
        "env": json,
        "models": models | json,
    },
)


@given(st.dictionaries(texts, providers | json, max_size=4))
def test_no_entry_of_any_registry_is_skipped_silently(document):
    try:
        found = parse_registry(msgspec.json.encode(document))
    except MalformedReply:
        return
    told = [one.id for one in found.providers] + [one.where for one in found.skipped if "/" not in one.where]
    for key, entry in document.items():
        id = entry.get("id") if isinstance(entry, dict) else None
        name = id.strip() if isinstance(id, str) and id.strip() else key
        assert name in told or any(one.where == name for one in found.skipped)
