"""Pages from back ends are untrusted: their URLs, texts and number."""

from typing import Any

import pytest

from modelbay.gateway.search.found_pages import limited, page_of, pages_in, pages_in_text, web_url
from modelbay.protocols.hosted_search import FoundPage, HostedSearch
from tests.processor_time import check_growth


def cleaned(text: str, title: str = "") -> FoundPage:
    (page,) = limited([FoundPage("https://a.example", title, text)], HostedSearch("web_search"), 10)
    return page


@pytest.mark.parametrize("url", ["https://a.example", "http://a.example:8080/x?y=1#z", "https://a.example/%C3%A9"])
def test_a_web_address_is_kept(url: str) -> None:
    assert web_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        None, 1, "", "a.example", "ftp://a.example", "javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "https://",
        "https://user:password@a.example", "https://a.example/a b", "https://a.example/\n", "https://a.example:99999/",
        "https://a.example/" + "x" * 2000, "https://[::1", 'https://a.example/"onclick',
    ],
)  # fmt: skip
def test_other_values_are_not_addresses(url: Any) -> None:
    assert web_url(url) is None


def test_a_text_is_plain_and_short() -> None:
    page = cleaned("<b>High</b> tide &amp; low\u200b\u202e tide<script>\x00 \t \n\n\n  now  ", "A\n<i>title</i>")
    assert (page.title, page.text) == ("A title", "High tide & low tide\nnow")
    long = cleaned("word " * 1000).text
    assert len(long) <= 1501
    assert long.endswith("word…")


def test_a_comparison_is_not_a_tag() -> None:
    assert cleaned("if a < b and b > c").text == "if a < b and b > c"


@pytest.mark.parametrize(
    ("domain", "kept"),
    [
        ("a.example", ["https://a.example/x", "https://www.a.example/docs/y"]),
        ("www.a.example", ["https://www.a.example/docs/y"]),
        ("www.a.example/docs", ["https://www.a.example/docs/y"]),
        ("www.a.example/doc", []),
        ("example", ["https://a.example/x", "https://www.a.example/docs/y", "https://bad-a.example"]),
    ],
)
def test_a_domain_includes_its_subdomains_and_paths(domain: str, kept: list[str]) -> None:
    pages = [FoundPage(url) for url in ("https://a.example/x", "https://www.a.example/docs/y", "https://bad-a.example")]
    assert [page.url for page in limited(pages, HostedSearch("t", allowed_domains=[domain]), 10)] == kept
    others = [page.url for page in pages if page.url not in kept]
    assert [page.url for page in limited(pages, HostedSearch("t", blocked_domains=[domain]), 10)] == others


def test_a_page_is_listed_once() -> None:
    pages = [FoundPage("https://a.example", "first"), FoundPage("https://a.example", "second")]
    assert [page.title for page in limited(pages, HostedSearch("t"), 10)] == ["first"]


@pytest.mark.parametrize("item", [{}, {"url": 1}, {"url": "x"}, {"link": None}, {"title": "t"}])
def test_an_object_without_an_address_is_not_a_page(item: dict[str, Any]) -> None:
    assert page_of(item) is None


@pytest.mark.parametrize(
    "value",
    [
        [{"url": "https://a.example", "title": "A", "snippet": "text"}],
        {"results": [{"link": "https://a.example", "title": "A", "content": "text"}]},
        {"web": {"results": [{"url": "https://a.example", "name": "A", "description": "text"}]}, "query": "q"},
        {"url": "https://a.example", "title": "A", "text": "text"},
    ],
)
def test_pages_are_found_in_json_of_any_form(value: Any) -> None:
    assert pages_in(value) == [FoundPage("https://a.example", "A", "text")]


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, [[[[[[{"url": "https://a.example"}]]]]]]])
def test_json_without_pages_has_none(value: Any) -> None:
    assert pages_in(value) == []


def test_pages_are_found_in_lines() -> None:
    text = (
        "Results:\n\nTitle: A\nURL: https://a.example\nContent: one\ntwo\n\n"
        "Title: B\nPublished Date: 2026\nURL: https://b.example\nText: three"
    )
    assert pages_in_text(text) == [
        FoundPage("https://a.example", "A", "one\ntwo\n"),
        FoundPage("https://b.example", "B", "three", "2026"),
    ]


def test_another_text_is_one_page_at_its_first_address() -> None:
    assert pages_in_text("As https://a.example/x. says") == [
        FoundPage("https://a.example/x", "", "As https://a.example/x. says")
    ]
    assert pages_in_text("no address") == []


def test_the_time_for_a_text_grows_with_its_lines() -> None:
    def read(lines: int) -> object:
        return pages_in_text("URL: https://a.example\nText: x" + "\nmore" * lines)

    check_growth(lambda: read(5_000), lambda: read(100_000), below=100)
