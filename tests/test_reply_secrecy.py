"""Secrets are removed from the bytes that a provider sends, even if they are split between pieces of a stream."""

import re
from base64 import b64encode
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelbay import secrecy
from modelbay.reply_secrecy import StreamRedactor, redacted_reply
from modelbay.secrecy import MASK, redact_bytes, register
from tests.processor_time import check_growth

KEYS = ("sk-first-123", "sk-first-123-longer", "first-123456", "größe-漢字-12345", "a1 a1 a1 a1 c", "(.*[^é]\\d|$)")
PIECES = [key[begin:end] for key in KEYS for begin, end in ((0, None), (0, 6), (4, None), (0, -1))]
FOUND = re.compile("|".join(sorted(map(re.escape, KEYS), key=len, reverse=True)))


@pytest.fixture(autouse=True, params=[0, 300], ids=["few", "many"])
def _known(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys, alone and among many others, which are looked for in another way."""
    monkeypatch.setattr(secrecy, "_known", {})
    monkeypatch.setattr(secrecy, "_forms", None)
    for number in range(request.param):
        register(f"{number:05}-other-key")
    for key in KEYS:
        register(key)


def streamed(data: bytes, cuts: list[int]) -> bytes:
    redactor = StreamRedactor()
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    parts = [redactor.feed(data[begin:end]) for begin, end in pairwise(places)]
    return b"".join([*parts, redactor.close()])


@given(
    st.lists(st.sampled_from([*PIECES, " ", '"', "\n\n", "x", "é"]), max_size=8),
    st.lists(st.integers(0, 90), max_size=8),
)
@example(["sk-first-123", "-longer"], [3, 12, 13])
@example(["sk-first-123", "-long", "x"], [12])
@example(["sk-", "sk-first-123"], [2, 5])
@example(["a1 a1 ", "a1 a1 a1 a1 c"], [3, 9])
def test_keys_are_masked_wherever_a_stream_is_cut(pieces: list[str], cuts: list[int]) -> None:
    text = "".join(pieces)
    assert streamed(text.encode(), cuts).decode() == FOUND.sub(MASK, text)


@given(
    st.sampled_from(['data: {"text":"', "data: {sk-fir", "data: {first-12", "data: sk-first-123"]),
    st.lists(
        st.sampled_from([*PIECES, "", " ", "word", "st-123", "3456", "sk-fir", "first-12"]), min_size=3, max_size=12
    ),
    st.sampled_from(['"}\n\n', "st-123}\n\n", "3456\n\n", "\n"]),
)
@example("data: {sk-fir", ["word", " ", "other", "st-123"], '"}\n\n')
@example('data: {"text":"', ["word", " ", "other", "first-12"], "3456\n\n")
@example("data: {sk-fir", ["word", " other", ""], "st-123}\n\n")
def test_keys_are_masked_in_events_that_are_alike(before: str, texts: list[str], after: str) -> None:
    redactor = StreamRedactor()
    for text in texts:
        event = f"{before}{text}{after}"
        assert redactor.feed(event.encode()).decode() == FOUND.sub(MASK, event)


def test_a_short_event_is_masked_in_which_begin_and_end_of_a_frame_overlap() -> None:
    redactor = StreamRedactor()
    for text in ("a", "b", "c"):
        redactor.feed(f"data: {{sk-fir{text}rst-123}}\n\n".encode())
    assert redactor.feed(b"data: {sk-first-123}\n\n").decode() == f"data: {{{MASK}}}\n\n"


def test_a_frame_of_events_is_searched_for_a_key_that_becomes_known() -> None:
    redactor = StreamRedactor()
    for text in ("a", "b", "c"):
        redactor.feed(b'data: {"id":"token-of-hour-17","text":"%b"}\n\n' % text.encode())
    register("token-of-hour-17")
    event = redactor.feed(b'data: {"id":"token-of-hour-17","text":"d"}\n\n').decode()
    assert event == f'data: {{"id":"{MASK}","text":"d"}}\n\n'


def test_each_spelling_is_masked() -> None:
    register("q7Zx-K9f/3c7a+==")
    for spelled in ("q7Zx-K9f%2F3c7a%2B%3D%3D", "q7Zx-K9f\\/3c7a+==", b64encode(b"user:q7Zx-K9f/3c7a+==").decode()):
        sent = streamed(f'{{"echo":"{spelled}"}}'.encode(), [15]).decode()
        assert MASK in sent
        assert spelled[8:-4] not in sent


def test_events_are_passed_on_at_once_and_unchanged() -> None:
    redactor = StreamRedactor()
    event = b'data: {"delta":"sk-"}\n\n'
    assert redactor.feed(event) is event
    assert redactor.feed(b"data: sk-fi") == b"data: "
    assert redactor.feed(b"sh\n\n") == b"sk-fish\n\n"
    assert redactor.close() == b""


def test_only_the_possible_beginning_of_a_key_is_held_back() -> None:
    redactor = StreamRedactor()
    assert redactor.feed(b"a word, then first-1234") == b"a word, then "
    assert redactor.feed(b"57, and more.") == b"first-123457, and more."
    assert redactor.feed(b"sk-first-12") == b""
    assert redactor.close() == b"sk-first-12"


def test_a_key_that_becomes_known_during_a_stream_is_masked() -> None:
    redactor = StreamRedactor()
    redactor.feed(b"data: ")
    register("token-of-hour-17")
    assert redactor.feed(b"token-of-hour-17\n") == f"{MASK}\n".encode()


@pytest.mark.parametrize("key", ["seaside-town", "hunter", "sk-1234"])
def test_a_reply_does_not_lose_ordinary_words(key: str) -> None:
    register(key)
    assert streamed(f"set the key to {key}".encode(), [18]) == f"set the key to {key}".encode()
    assert redact_bytes(key.encode()) == MASK.encode(), "an error may"


def test_without_keys_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrecy, "_known", {})
    monkeypatch.setattr(secrecy, "_forms", None)
    data = b"sk-first-123"
    assert StreamRedactor().feed(data) is data


def test_an_error_body_is_masked_in_any_encoding() -> None:
    body = '{"error":"key sk-first-123 of größe-漢字-12345"}'
    assert redact_bytes(body.encode()) == f'{{"error":"key {MASK} of {MASK}"}}'.encode()
    assert redact_bytes(b"\xff\xfe sk-first-123") == b"\xff\xfe " + MASK.encode()
    assert redact_bytes(b"k%65y sk%2Dfirst-123") == b"k%65y " + MASK.encode()


def test_a_long_run_of_the_characters_of_keys_is_read_once() -> None:
    redactor = StreamRedactor()
    dots, image = b"." * 128_000, b"1a" * 64_000

    def read(data: bytes) -> None:
        redactor.feed(data)

    check_growth(lambda: read(dots), lambda: read(image), below=50)  # several hundred times, if each end is looked up


def test_values_that_the_receiver_knows_are_not_masked() -> None:
    for cut in range(40):
        redactor = StreamRedactor()
        redactor.known = b'{"text":"key = sk-first-123-longer"}'
        data = b"sk-first-123-longer, first-123456, sk-first-123-longer"
        parts = [redactor.feed(data[:cut]), redactor.feed(data[cut:]), redactor.close()]
        assert b"".join(parts).decode() == f"sk-first-123-longer, {MASK}, sk-first-123-longer"


@pytest.mark.parametrize(
    "data", [b"", b"no secret", b"key sk-first-123, sk-first-123-longer", "größe-漢字-12345 sk-f".encode()]
)
def test_a_whole_reply_is_masked_like_a_stream(data: bytes) -> None:
    redactor = StreamRedactor()
    redactor.known = b"sk-first-123-longer"
    assert redacted_reply(data, redactor.known) == redactor.feed(data) + redactor.close()
