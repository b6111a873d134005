"""The pages that a search back end returns: read leniently, cleaned, filtered and limited.

They are untrusted text from the web. Only http and https URLs without a user or password are kept, and no page is fetched.
"""

import re
from collections.abc import Iterable, Iterator
from html import unescape
from typing import Any
from urllib.parse import urlsplit

from modelbay.conversation import Json
from modelbay.protocols.hosted_search import ContextSize, FoundPage, HostedSearch
from modelbay.protocols.shapes import objects, word

EXTRACT: dict[ContextSize, int] = {"low": 500, "medium": 1500, "high": 4000}
"""Maximum characters of a page's text."""
_LONGEST_TEXT = 2**20
"""Maximum characters that are read of a text without a structure."""
_LONGEST_URL = 2000
_LONGEST_TITLE = 300
_LONGEST_AGE = 60
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
"""Control characters, and invisible ones with which a page can hide text."""
_BLANK = re.compile(r"[ \t]+")
_FIELD = re.compile(r"^[ \t>*#-]*(title|url|link|description|content|text|snippet|summary|highlights?|published(?: date)?|date|age)"
                    r"[ \t*]*:[ \t*]*(.*)$", re.IGNORECASE)  # fmt: skip
_URL = re.compile(r"https?://[^\s<>\"'`|\\^{}\[\]]+")
_URLS = ("url", "link", "uri", "href")
_TITLES = ("title", "name")
_TEXTS = ("content", "snippet", "description", "text", "summary", "extra_snippets", "highlights", "body")
_AGES = ("published_date", "publishedDate", "published", "page_age", "age", "date")


def page_of(item: dict[str, Any], texts: Iterable[str] = _TEXTS, ages: Iterable[str] = _AGES) -> FoundPage | None:
    """The page in an object of a reply; None if it has no valid URL. `texts` and `ages`: the fields with extracts and dates."""
    url = next((found for name in _URLS if (found := web_url(item.get(name)))), None)
    if url is None:
        return None
    title = next((found for name in _TITLES if (found := word(item.get(name)))), "")
    age = next((found for name in ages if (found := word(item.get(name)))), None)
    return FoundPage(url, title, "\n".join(_texts(item, texts)), age)


def _texts(item: dict[str, Any], names: Iterable[str]) -> Iterator[str]:
    for name in names:
        value = item.get(name)
        yield from (text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str) and text)


def web_url(value: Json) -> str | None:
    """A URL that a client may open; None for other values."""
    if not isinstance(value, str) or len(value) > _LONGEST_URL or not _URL.fullmatch(value):
        return None
    try:
        parts = urlsplit(value)
        return value if parts.hostname and "@" not in parts.netloc and (parts.port is None or parts.port) else None
    except ValueError:
        return None


def pages_in(value: Json, depth: int = 4) -> list[FoundPage]:
    """The pages in JSON of unknown form: the first list of objects with URLs, or a single such object."""
    if isinstance(value, list):
        found = [page for item in objects(value) if (page := page_of(item)) is not None]
        if found or not depth:
            return found
        return next((pages for item in value if (pages := pages_in(item, depth - 1))), [])
    if isinstance(value, dict) and depth:
        inner = (pages_in(item, depth - 1) for item in value.values() if isinstance(item, list | dict))
        if pages := next((pages for pages in inner if pages), []):
            return pages
        return [page] if (page := page_of(value)) is not None else []
    return []


def pages_in_text(text: str) -> list[FoundPage]:
    """The pages in a text with lines such as `Title: …` and `URL: …`, as MCP servers write them. A text with other URLs is one
    page, at the first of them."""
    records: list[dict[str, list[str]]] = []
    field = ""
    for line in text[:_LONGEST_TEXT].splitlines():
        match = _FIELD.match(line)
        if match is None:
            if field and records:
                records[-1][field].append(line)
            continue
        field = _field(match[1])
        if not records or field in records[-1]:
            records.append({})
        records[-1][field] = [match[2].strip()]
    joined = [{name: "\n".join(lines) for name, lines in record.items()} for record in records]
    found = [
        page for record in joined if (page := page_of(record | {"url": record.get("url", "").strip()})) is not None
    ]
    if found:
        return found
    url = next((url for match in _URL.finditer(text) if (url := web_url(match[0].rstrip(".,;:!?)")))), None)
    return [FoundPage(url, "", text)] if url is not None else []


def _field(written: str) -> str:
    name = written.lower()
    if name in ("url", "link"):
        return "url"
    if name == "title":
        return name
    return "date" if name.startswith(("published", "date", "age")) else "text"


def limited(pages: Iterable[FoundPage], hosted: HostedSearch, most: int) -> list[FoundPage]:
    """At most `most` pages that the client allows, each once, with clean texts of limited length."""
    found: dict[str, FoundPage] = {}
    for page in pages:
        if page.url in found or not _allowed(page.url, hosted):
            continue
        age = _clean(page.age or "", _LONGEST_AGE)
        text = _clean(page.text, EXTRACT[hosted.size])
        found[page.url] = FoundPage(page.url, _clean(page.title, _LONGEST_TITLE).replace("\n", " "), text, age or None)
        if len(found) == most:
            break
    return list(found.values())


def _allowed(url: str, hosted: HostedSearch) -> bool:
    """Whether the client's filters allow a page. A domain includes its subdomains; a path after it, the pages below it."""
    if any(_is_in(url, domain) for domain in hosted.blocked_domains):
        return False
    return not hosted.allowed_domains or any(_is_in(url, domain) for domain in hosted.allowed_domains)


def _is_in(url: str, domain: str) -> bool:
    parts = urlsplit(url)
    host, slash, path = domain.partition("/")
    name = (parts.hostname or "").rstrip(".")
    if name != host and not name.endswith(f".{host}"):
        return False
    return not slash or (parts.path + "/").startswith(f"/{path.rstrip('/')}/")


def _clean(text: str, most: int) -> str:
    """Plain text: without tags, entities and invisible characters, and cut at the end of a word."""
    text = _CONTROL.sub("", unescape(_TAG.sub("", text[: 8 * most])))
    text = "\n".join(line for line in (_BLANK.sub(" ", line).strip() for line in text.splitlines()) if line)
    if len(text) <= most:
        return text
    cut = text[:most]
    return (cut[: cut.rfind(" ")] if cut.rfind(" ") > most // 2 else cut).rstrip() + "…"
