"""The API key of a request, wherever a client puts it."""

import pytest

from modelbay.serving.keys import keys_of, query_without_key

KEY = "sk-mb-0123456789abcdef"


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"authorization": f"Bearer {KEY}"}, ""),
        ({"authorization": f"bearer  {KEY}"}, ""),
        ({"authorization": KEY}, ""),
        ({"x-api-key": KEY}, ""),
        ({"api-key": KEY}, ""),
        ({"x-goog-api-key": KEY}, ""),
        ({}, f"alt=sse&key={KEY}"),
        ({}, f"k%65y={KEY}"),
    ],
)
def test_a_key_is_found(headers: dict[str, str], query: str) -> None:
    assert keys_of(headers, query) == [KEY]


def test_several_keys_are_found_in_the_order_of_the_headers() -> None:
    given = {"x-api-key": "second", "authorization": "Bearer first", "cookie": "none"}
    assert keys_of(given, "key=third&key=fourth") == ["first", "second", "third", "fourth"]
    assert keys_of(given) == ["first", "second"]
    assert keys_of({}) == []


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("", ""),
        (f"key={KEY}", ""),
        (f"alt=sse&key={KEY}&a=%2f+%20b&empty", "alt=sse&a=%2f+%20b&empty"),
        (f"k%65y={KEY}&key&pageToken=key", "pageToken=key"),
        ("alt=sse&monkey=1", "alt=sse&monkey=1"),
    ],
)
def test_the_key_is_removed_from_a_query_and_nothing_else_changes(query: str, left: str) -> None:
    assert query_without_key(query) == left
