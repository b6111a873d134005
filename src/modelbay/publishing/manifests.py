"""What must be so in a manifest, beyond what reading one asks for."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from modelbay.conversation import Extra, Json
from modelbay.origin import Origin, is_public, origin
from modelbay.providers import urls
from modelbay.publishing.rules import Finding, Severity, broken, place
from modelbay.secrecy import KEY, key_in_query

FIELDS = ("name", "website", "baseUrl", "models_data_source", "models_dev_provider_id")
"""In the order of the guide for providers."""
VERSION = re.compile(r"/v\d+[a-z0-9.]*(?:/|$)")
LOCAL_NAME = re.compile(r"(?:^|\.)(?:local|localhost|internal|intranet|lan|home\.arpa)$")


def manifest_findings(table: Extra, prefix: tuple[int, ...] = (), *, local: Severity = "error") -> Iterator[Finding]:
    """The rules that a manifest does not keep. `local` is how much an address matters that only this machine or its
    network can reach: not at all to who tries things out there.
    """
    yield from _website(table.get("website"), place(*prefix, "website"))
    if isinstance(url := table.get("baseUrl"), str):
        yield from base_url_findings(url.strip(), place(*prefix, "baseUrl"), local=local)
    for name in table:
        if name not in FIELDS and (near := misspelt(name, FIELDS)) is not None:
            yield broken("field-unknown", place(*prefix, name), f"`{near}` is meant, it seems")
    if table.get("models_data_source") != "models_dev" and "models_dev_provider_id" in table:
        where = place(*prefix, "models_dev_provider_id")
        yield broken("models-source", where, 'it counts only with "models_data_source": "models_dev"', "advice")


def base_url_findings(url: str, where: str, *, local: Severity = "error") -> Iterator[Finding]:
    """The rules that a base URL does not keep; none for what is no URL, which reading it says."""
    try:
        there = origin(url)
    except ValueError:
        return
    if is_local(there):
        yield broken("base-url-local", where, f"{there} is only reached from where it runs", local)
    elif there.scheme == "http":
        yield broken("base-url-http", where, "it is http://")
    parts = urlsplit(url)
    if urls.is_endpoint(url):
        yield broken("base-url-endpoint", where, "it is the address of a call")
    elif parts.path.rstrip("/").endswith("/models"):
        yield broken("base-url-endpoint", where, "it is the address of a list of models")
    elif not VERSION.search(parts.path):
        yield broken("base-url-version", where, "it has no version like /v1 in its path")
    if parts.query and not key_in_query(url):
        yield broken("base-url-query", where, "it has a query")
    elif parts.path.endswith("/"):
        yield broken("base-url-slash", where, "it ends with a slash")


def is_local(there: Origin) -> bool:
    """Whether an address is this machine's or a private network's, as far as it says so itself."""
    if there.loopback or LOCAL_NAME.search(there.host) or ("." not in there.host and ":" not in there.host):
        return True
    try:
        return not is_public(there.host)
    except ValueError:
        return False


def key_findings(value: Json, steps: tuple[str | int, ...] = (), key: str | None = None) -> Iterator[Finding]:
    """The keys that stand in a document under harmless names. `key` is one that must not be there, whatever it looks like."""
    if isinstance(value, str):
        if KEY.search(value) or (key and key in value):
            yield broken("key-inside", place(*steps), "this looks like a key")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from key_findings(item, (*steps, number), key)
    elif isinstance(value, dict):
        for number, (name, item) in enumerate(value.items()):
            if KEY.search(name) or (key and key in name):
                yield broken("key-inside", place(*steps, number), "the name of this field looks like a key")
            else:
                yield from key_findings(item, (*steps, name), key)


def misspelt(name: str, known: tuple[str, ...]) -> str | None:
    """The field that another spelling of it means."""
    plain = {re.sub(r"[^a-z]", "", one.lower()): one for one in known}
    return plain.get(re.sub(r"[^a-z]", "", name.lower()))


def _website(website: Json, where: str) -> Iterator[Finding]:
    if website is None or (isinstance(website, str) and not website.strip()):
        yield broken("website", where, "it is missing" if website is None else "it is empty")
        return
    if not isinstance(website, str):
        return  # reading says so
    try:
        there = origin(website.strip())
    except ValueError as error:
        yield broken("website", where, f"it is no link: {error}")
        return
    if there.scheme == "http" and not is_local(there):
        yield broken("website-http", where, "it is http://")
