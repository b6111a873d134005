"""Paths that every server reads in the same way."""

import pytest

from modelbay.serving.paths import is_plain


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v1/", "/v1/models", "/v1/models/org%2Fname", "/v1/models/a.b", "/v1/models/a..b", "/v1/models/...",
     "/v1beta/models/m:generateContent", "/v1/%C3%A9", "/v1/a%20b", "/v1/a@b", "/v1/100%25"],
)  # fmt: skip
def test_a_path_without_empty_and_dot_segments_is_plain(path: str) -> None:
    assert is_plain(path)


@pytest.mark.parametrize(
    "path",
    ["", "v1", "/v1/../x", "/v1/..", "/v1/./x", "/..", "//x", "/v1//x", "/v1/%2e%2e/x", "/v1/%2E./x", "/v1/.%2e/x",
     "/v1/%252e%252e/x", "/v1/%25252e%25252e/x", "/v1/%2525252525252e./x", "/v1/..%2fx", "/v1%2f..%2fx", "/v1/%2e%2e%2f",
     "/v1/a%2f%2fb", "/v1/..\\x", "/v1\\..\\x", "/v1/%5c..%5cx", "/v1/..;/x", "/v1/..;a=b/x", "/v1/%2e%2e%3b/x",
     "/v1/%00", "/v1/a%0d%0aHost:x", "/v1/a\tb", "http://evil.example/v1"],
)  # fmt: skip
def test_paths_that_others_may_read_otherwise(path: str) -> None:
    assert not is_plain(path)
