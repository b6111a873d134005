"""Rules for manifests that are checked only by `manifest check`, not by every reader."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from modelbay.conversation import Extra, Json
from modelbay.origin import Origin, is_public, origin
from modelbay.providers import urls
from modelbay.publishing.rules import RuleFinding, Severity, broken, field_path
from modelbay.secrecy import KEY, key_in_query

FIELDS = ("name", "website", "baseUrl", "models_data_source", "models_dev_provider_id")
"""The fields in the order of the guide for providers."""
VERSION = re.compile(r"/v\d+[a-z0-9.]*(?:/|$)")
LOCAL_NAME = re.compile(r"(?:^|\.)(?:local|localhost|internal|intranet|lan|home\.arpa)$")


def manifest_findings(
    table: Extra, prefix: tuple[int, ...] = (), *, local: Severity = "error"
) -> Iterator[RuleFinding]:
    """The findings for a manifest. `local`: the severity of a URL on this machine or in its network, which is useful for tests."""
    yield from _website(table.get("website"), field_path(*prefix, "website"))
    if isinstance(url := table.get("baseUrl"), str):
        yield from base_url_findings(url.strip(), field_path(*prefix, "baseUrl"), local=local)
    for name in table:
        if name not in FIELDS and (near := misspelled(name, FIELDS)) is not None:
            yield broken("field-unknown", field_path(*prefix, name), f"unknown; probably `{near}`")
    if table.get("models_data_source") != "models_dev" and "models_dev_provider_id" in table:
        where = field_path(*prefix, "models_dev_provider_id")
        yield broken("models-source", where, 'ignored without "models_data_source": "models_dev"', "advice")


def base_url_findings(url: str, where: str, *, local: Severity = "error") -> Iterator[RuleFinding]:
    """The findings for a base URL; none if it is not a URL, which every reader reports."""
    try:
        target = origin(url)
    except ValueError:
        return
    if is_local(target):
        yield broken("base-url-local", where, f"{target} can be reached only from its own machine or network", local)
    elif target.scheme == "http":
        yield broken("base-url-http", where, "the URL begins with http://")
    parts = urlsplit(url)
    if urls.is_endpoint(url):
        yield broken("base-url-endpoint", where, "the URL is a full endpoint")
    elif parts.path.rstrip("/").endswith("/models"):
        yield broken("base-url-endpoint", where, "the URL is a model list")
    elif not VERSION.search(parts.path):
        yield broken("base-url-version", where, "the path has no version such as /v1")
    if parts.query and not key_in_query(url):
        yield broken("base-url-query", where, "the URL has a query")
    elif parts.path.endswith("/"):
        yield broken("base-url-slash", where, "the URL ends with a slash")


def is_local(target: Origin) -> bool:
    """Whether an origin is on this machine or in a private network, judged by its host alone."""
    if target.loopback or LOCAL_NAME.search(target.host) or ("." not in target.host and ":" not in target.host):
        return True
    try:
        return not is_public(target.host)
    except ValueError:
        return False


def key_findings(value: Json, steps: tuple[str | int, ...] = (), key: str | None = None) -> Iterator[RuleFinding]:
    """The findings for keys in a document, in fields of any name. `key`: a known key, which need not look like one."""
    if isinstance(value, str):
        if KEY.search(value) or (key and key in value):
            yield broken("key-inside", field_path(*steps), "the value looks like a key")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from key_findings(item, (*steps, number), key)
    elif isinstance(value, dict):
        for number, (name, item) in enumerate(value.items()):
            if KEY.search(name) or (key and key in name):
                yield broken("key-inside", field_path(*steps, number), "the name of this field looks like a key")
            else:
                yield from key_findings(item, (*steps, name), key)


def misspelled(name: str, known: tuple[str, ...]) -> str | None:
    """The known field with the same letters; None if there is none."""
    plain = {re.sub(r"[^a-z]", "", one.lower()): one for one in known}
    return plain.get(re.sub(r"[^a-z]", "", name.lower()))


def _website(website: Json, where: str) -> Iterator[RuleFinding]:
    if website is None or (isinstance(website, str) and not website.strip()):
        yield broken("website", where, "missing" if website is None else "empty")
        return
    if not isinstance(website, str):
        return  # every reader reports it
    try:
        there = origin(website.strip())
    except ValueError as error:
        yield broken("website", where, f"not a URL: {error}")
        return
    if there.scheme == "http" and not is_local(there):
        yield broken("website-http", where, "the URL begins with http://")
