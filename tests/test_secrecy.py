import json
import time
from collections.abc import Iterator

import pytest

from modelbay import secrecy
from modelbay.config.origin import origin
from modelbay.credentials.secret import Secret
from modelbay.secrecy import redact, register, register_url

HOME = origin("https://api.example/v1")


@pytest.fixture(autouse=True)
def _registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(secrecy, "_known", {})
    monkeypatch.setattr(secrecy, "_forms", [])
    yield


def test_every_secret_is_taken_out_of_texts() -> None:
    assert redact("key sk-one-1234") == "key sk-one-1234"
    Secret("sk-one-1234", HOME)
    assert redact("key sk-one-1234, sk-one-1234.") == "key …, …."


def test_what_is_shorter_than_six_is_found_in_words_that_are_no_secret() -> None:
    Secret("abcde", HOME)
    assert redact("abcde") == "abcde"
    Secret("abcdef", HOME)
    assert redact("abcdef") == "…"


def test_a_secret_that_begins_with_another_is_taken_out_whole() -> None:
    for value in ("sk-short", "sk-short-and-more", "sk-short-and"):
        register(value)
    assert redact("sk-short-and-more|sk-short|sk-short-and") == "…|…|…"


@pytest.mark.parametrize("scheme", ["Bearer", "Basic", "bearer ", "Token"])
def test_of_a_header_only_what_follows_the_scheme(scheme: str) -> None:
    register(f"{scheme} sk-in-a-header")
    assert redact("Bearer sk-in-a-header") == "Bearer …"


def test_as_it_stands_in_urls_and_json() -> None:
    key = 'a+b/c="d\\é'
    register(key)
    assert redact(f"?key={__import__('urllib.parse').parse.quote(key, safe='')}&x") == "?key=…&x"
    assert redact(json.dumps({"key": key})) == '{"key": "…"}'


def test_what_is_secret_in_a_url() -> None:
    register_url("http://user:pass%40word@proxy:3128/path?api_key=query-key-1&alt=sse-sse-sse#f")
    assert redact("user pass@word pass%40word query-key-1 sse-sse-sse") == "user … … … sse-sse-sse"


def test_a_header_that_is_no_secret_by_what_it_means_stays() -> None:
    Secret("my-application", HOME, known=True)
    assert redact("my-application") == "my-application"


def test_the_registry_has_an_end_and_drops_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrecy, "MOST", 100)
    for number in range(150):
        register(f"sk-number-{number:04}")
    assert redact("sk-number-0000 sk-number-0149") == "sk-number-0000 …"


def test_it_is_cheap_to_make_secrets_and_to_take_them_out() -> None:
    for number in range(20):
        register(f"sk-number-{number:04}")
    text = "nothing to be found here " * 20
    start = time.perf_counter()
    for _ in range(1_000):
        Secret("sk-number-0001", HOME)
        redact(text)
    assert time.perf_counter() - start < 0.5
