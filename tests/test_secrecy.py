import json
from collections.abc import Iterator

import pytest

from modelbay import secrecy
from modelbay.credentials.secret import Secret
from modelbay.origin import origin
from modelbay.secrecy import (
    MASK,
    bare_url,
    masked_url,
    masked_urls,
    publish,
    redact,
    register,
    register_header,
    register_url,
    secret_header,
)

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


def test_a_secret_shorter_than_six_characters_is_not_searched_in_other_texts() -> None:
    Secret("abcde", HOME)
    assert redact("abcde") == "abcde"
    Secret("abcdef", HOME)
    assert redact("abcdef") == "…"


def test_a_secret_that_begins_with_another_is_taken_out_whole() -> None:
    for value in ("sk-short", "sk-short-and-more", "sk-short-and"):
        register(value)
    assert redact("sk-short-and-more|sk-short|sk-short-and") == "…|…|…"


@pytest.mark.parametrize("key", ["ollama", "Ollama", "Bearer lm-studio", "not-needed"])
def test_the_usual_key_of_a_server_that_needs_none_stays_in_other_texts(key: str) -> None:
    publish(["ollama", "lmstudio"])
    Secret(key, HOME)
    text = f"GET http://{key.removeprefix('Bearer ')}:11434/v1/models: connection refused"
    assert redact(text) == text


@pytest.mark.parametrize("scheme", ["Bearer", "Basic", "bearer ", "Token"])
def test_of_a_header_only_what_follows_the_scheme(scheme: str) -> None:
    register(f"{scheme} sk-in-a-header")
    assert redact("Bearer sk-in-a-header") == "Bearer …"


def test_secrets_are_found_in_url_and_json_encoding() -> None:
    key = 'a+b/c="d\\é'
    register(key)
    assert redact(f"?key={__import__('urllib.parse').parse.quote(key, safe='')}&x") == "?key=…&x"
    assert redact(json.dumps({"key": key})) == '{"key": "…"}'


def test_secret_parts_of_a_url_are_known() -> None:
    register_url("http://user:pass%40word@proxy:3128/path?api_key=query-key-1&alt=sse-sse-sse#f")
    assert redact("user pass@word pass%40word query-key-1 sse-sse-sse") == "user … … … sse-sse-sse"


def test_a_header_that_is_known_to_be_harmless_is_shown() -> None:
    Secret("my-application", HOME, known=True)
    assert redact("my-application") == "my-application"


def test_the_registry_has_an_end_and_drops_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrecy, "MOST", 100)
    for number in range(150):
        register(f"sk-number-{number:04}")
    assert redact("sk-number-0000 sk-number-0149") == "sk-number-0000 …"


def test_a_secret_that_is_known_is_made_again_without_spelling_all_of_them_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(20):
        register(f"sk-number-{number:04}")
    redact("")
    spelled: list[str] = []

    def spellings(value: str) -> list[str]:
        spelled.append(value)
        return [value]

    monkeypatch.setattr(secrecy, "_spellings", spellings)
    for _ in range(1_000):
        Secret("sk-number-0001", HOME)
        redact("nothing to be found here")
    assert not spelled
    register("sk-number-0020")
    assert redact("sk-number-0020") == "…"
    assert len(spelled) >= 21


def test_a_plain_word_that_is_secret_by_its_place_alone_is_not_removed_from_other_texts() -> None:
    register_header("X-Provider", "openai")
    register_header("X-Team", "the blue team")
    register_url("https://a.example/?team=blue-team&tier=pro-2")
    assert redact("openai the blue team blue-team pro-2") == "openai the blue team blue-team pro-2"
    register_header("X-Auth", "secretword")
    register_header("X-Team", "team-of-4711-people")
    register_url("https://a.example/?passwd=hunter")
    assert redact("secretword team-of-4711-people hunter") == "… … …"


@pytest.mark.parametrize(
    ("url", "masked", "bare"),
    [
        ("https://a.example/v1", "https://a.example/v1", "https://a.example/v1"),
        ("https://me:pw@a.example/v1", "https://…@a.example/v1", "https://a.example/v1"),
        (
            "https://a.example?apikey=1&api-version=2",
            "https://a.example?apikey=…&api-version=2",
            "https://a.example?api-version=2",
        ),
        (
            "https://a.example/?accessToken=1&ALT=sse",
            "https://a.example/?accessToken=…&ALT=sse",
            "https://a.example/?ALT=sse",
        ),
        ("https://a.example/?0123456789abcdef", "https://a.example/?…", "https://a.example/"),
        ("https://a.example/#token", "https://a.example/#…", "https://a.example/"),
        ("https://a.example/?key={env:KEY}", "https://a.example/?key={env:KEY}", "https://a.example/"),
        ("socks5://me:p@w@proxy:1080", "socks5://…@proxy:1080", "socks5://proxy:1080"),
    ],
)
def test_secrets_of_a_url_are_masked(url: str, masked: str, bare: str) -> None:
    assert (masked_url(url), masked_urls(f"at <{url}>, twice"), bare_url(url)) == (
        masked,
        f"at <{masked}>, twice",
        bare,
    )


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("User-Agent", "acme/1.0", False),
        ("anthropic-beta", "a,b", False),
        ("HTTP-Referer", "https://acme.example/app", False),
        ("HTTP-Referer", "https://acme.example/app?token=1", True),
        ("X-Title", "Bearer sk-0123456789", True),
        ("X-Anything", "1", True),
        ("Authorization", "Bearer {env:TOKEN}", False),
        ("X-A", "{env:A}{file:b}", False),
        ("X-A", "hunter2{env:A}", True),
    ],
)
def test_which_headers_are_secret(name: str, value: str, secret: bool) -> None:
    assert secret_header(name, value) is secret


@pytest.mark.parametrize(
    "spelled",
    (
        *(
            "q7Zx%2DK9f%2f3c7a",
            "%71%37%5a%78%2d%4b%39%66%2f%33%63%37%61",
            "q7Zx%252DK9f%252F3c7a",
            "q7Zx&#45;K9f&#47;3c7a",
        ),
        *(
            "&#x71;7Zx&#x2D;K9f&#X2f;3c7a",
            "q7Zx&amp;#45;K9f/3c7a",
            "q7Zx\\u002DK9f\\u002f3c7a",
            "q7Zx\\\\u002dK9f/3c7a",
        ),
        *(r"q7Zx\x2dK9f\x2F3c7a", r"\u0071\u0037\u005a\u0078\u002d\u004b\u0039\u0066\u002f\u0033\u0063\u0037\u0061"),
    ),
)
def test_a_secret_is_found_whichever_of_its_characters_are_escaped(spelled: str) -> None:
    register("q7Zx-K9f/3c7a")
    assert redact(f"the key {spelled}, 100%25 &#38; more") == f"the key {MASK}, 100%25 &#38; more"
