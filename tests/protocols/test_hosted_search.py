"""Citations in answers with searches, and the envelopes of their results."""

import pytest

from modelbay.protocols.hosted_search import FoundPage, citations, seal_search, unseal_search
from tests.processor_time import check_growth

PAGES = [
    FoundPage("https://a.example/x", "A", "Extract of A"),
    FoundPage("https://a.example/x_(y)", "Brackets"),
    FoundPage("https://b.example/", ""),
    FoundPage("https://c.example/p?q=1#top", "C"),
]


def cited(text: str) -> list[tuple[str, str]]:
    """URLs and cited places."""
    return [(one.url or "", text[one.start : one.end]) for one in citations(text, PAGES)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("See https://a.example/x.", [("https://a.example/x", "https://a.example/x")]),
        ("See (https://a.example/x), too", [("https://a.example/x", "https://a.example/x")]),
        ("**https://a.example/x**", [("https://a.example/x", "https://a.example/x")]),
        ("[link](https://a.example/x)", [("https://a.example/x", "[link](https://a.example/x)")]),
        ("([link](https://a.example/x))", [("https://a.example/x", "[link](https://a.example/x)")]),
        ("[l](https://a.example/x_(y)).", [("https://a.example/x_(y)", "[l](https://a.example/x_(y))")]),
        ("https://b.example", [("https://b.example/", "https://b.example")]),
        ("https://b.example/.", [("https://b.example/", "https://b.example/")]),
        ("https://a.example/x#part", [("https://a.example/x", "https://a.example/x#part")]),
        ("[C](https://c.example/p?q=1)", [("https://c.example/p?q=1#top", "[C](https://c.example/p?q=1)")]),
        ("[x](https://a.example/x?utm_source=m)", [("https://a.example/x", "[x](https://a.example/x?utm_source=m)")]),
        (
            "a https://a.example/x b https://b.example c",
            [("https://a.example/x",) * 2, ("https://b.example/", "https://b.example")],
        ),
    ],
)
def test_a_url_of_a_page_is_a_citation(text: str, found: list[tuple[str, str]]) -> None:
    assert cited(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "", "no link", "https://a.example/xyz", "https://a.example/x/more", "https://a.example/x.html", "https://a.example/x?q=1",
        "https://other.example/x", "a.example/x", "https://c.example/p?q=12",
    ],
)  # fmt: skip
def test_another_text_is_not(text: str) -> None:
    assert cited(text) == []


def test_a_citation_has_the_title_and_the_beginning_of_the_extract() -> None:
    (one,) = citations("https://a.example/x", [FoundPage("https://a.example/x", "", "x" * 500)])
    assert (one.kind, one.title, one.text) == ("url", "https://a.example/x", "x" * 150)


@pytest.mark.parametrize("piece", [")", "https://a.example/x) ", "[", "#", "https://a.example/x#."])
def test_the_time_for_citations_grows_with_the_text(piece: str) -> None:
    def search(pieces: int) -> object:
        return citations("https://a.example/x" + piece * pieces, PAGES)

    check_growth(lambda: search(2_000), lambda: search(40_000), below=100)


def test_an_envelope_is_read_again() -> None:
    assert unseal_search(seal_search(PAGES[0]), FoundPage) == PAGES[0]


@pytest.mark.parametrize(
    "text", [None, 1, "", *(f"modelbay1.{rest}" for rest in ("search...", "search...!", "x...e30"))]
)
def test_another_value_is_not_an_envelope(text: object) -> None:
    assert unseal_search(text, FoundPage) is None
