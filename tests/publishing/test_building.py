"""The written documents are valid for every list of a provider: checking them finds no error."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelbay.catalog.formats.manifest import parse_manifest, parse_models
from modelbay.catalog.lookup import Catalog
from modelbay.errors import ConfigError, MalformedReply, ProviderError
from modelbay.publishing.building import PublisherDetails, build_listed
from modelbay.publishing.document_check import read_manifest, read_models
from modelbay.publishing.model_rules import FIELDS
from modelbay.storage.cache import Cache
from tests.publishing import host as hosts
from tests.publishing.host import Host, Page

NUMBERS = st.one_of(st.integers(-10, 10**13), st.floats(), st.text(max_size=5), st.none(), st.booleans())
PRICES = st.one_of(NUMBERS, st.sampled_from(["0.0000005", "$0.5", 5e-7, 0.5, 3, 0, -1, "-1", 1e9]))
WORDS = st.lists(st.sampled_from(["text", "image", "audio", "video", "pdf", "file", "smell"]), max_size=4)
DAYS = st.one_of(st.sampled_from(["2025-08-21", "2025-08", "2025", "2025-02-30", "soon", ""]), st.none(), st.integers())
IDS = st.one_of(
    st.sampled_from(["gpt-4o", "deepseek-r1", "hf:org/name", "a b", "A B", "模型", hosts.KEY]),
    st.text(min_size=1, max_size=12),
)
ENTRIES = st.fixed_dictionaries(
    {"id": IDS},
    optional={
        "name": st.one_of(st.text(max_size=12), st.just(hosts.KEY), st.just("N" * 300), NUMBERS),
        "context_length": NUMBERS,
        "max_output_tokens": NUMBERS,
        "limit": st.fixed_dictionaries({"context": NUMBERS, "output": NUMBERS}),
        "pricing": st.fixed_dictionaries({"prompt": PRICES, "completion": PRICES}, optional={"input_cache_read": PRICES}),
        "cost": st.fixed_dictionaries({"input": PRICES, "output": PRICES}, optional={"cache_read": PRICES}),
        "modalities": st.fixed_dictionaries({"input": WORDS, "output": WORDS}),
        "architecture": st.fixed_dictionaries({"input_modalities": WORDS}),
        "reasoning": st.one_of(st.booleans(), st.text(max_size=3)),
        "tool_call": st.booleans(),
        "attachment": st.booleans(),
        "release_date": DAYS,
        "last_updated": DAYS,
        "open_weights": st.one_of(st.booleans(), st.just("yes")),
    },
)  # fmt: skip


@pytest.fixture(scope="module")
def acme() -> Iterator[Host]:
    with hosts.host() as running:
        yield running


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return Catalog(Cache(Path(tmp_path_factory.mktemp("cache"))))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(entries=st.lists(ENTRIES, min_size=1, max_size=4))
def test_written_documents_have_no_error(acme: Host, catalog: Catalog, entries: list[dict[str, object]]):
    acme.list = {"object": "list", "data": entries}
    details = PublisherDetails("Acme", "https://acme.example", "https://api.acme.com/v1")
    try:
        built = asyncio.run(build_listed(f"{acme.url}/v1/models", hosts.KEY, details, catalog))
    except (ConfigError, MalformedReply) as error:
        assert error.message.startswith(("Acme lists no chat models", "it contains no model list"))
        return
    texts = [*built.files().values(), built.embedded()]
    found = [
        *read_manifest(texts[0], key=hosts.KEY).findings,
        *read_models(texts[1], key=hosts.KEY).findings,
        *read_manifest(texts[2], pasted=True, key=hosts.KEY).findings,
    ]
    assert [finding for finding in found if finding.severity == "error"] == []
    models, _ = parse_models(texts[1])
    assert [one.id for one in models] == list(built.models)
    assert parse_manifest(texts[2], pasted=True).models == models
    for table in built.models.values():
        assert list(table) == [name for name in FIELDS if name in table]
        assert None not in table.values()


def test_an_unreachable_provider_is_an_error_and_not_an_empty_manifest(acme: Host, catalog: Catalog):
    acme.pages["/v1/models"] = Page({"error": {"message": "later"}}, 503)
    with pytest.raises(ProviderError):
        asyncio.run(build_listed(f"{acme.url}/v1/models", None, PublisherDetails("A", "https://a.example"), catalog))
    acme.reset()
