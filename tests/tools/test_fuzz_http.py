"""The fuzzer of HTTP: its cases are reproducible, and it finds what it looks for."""

import pytest

from tools.fuzz import replies, requests
from tools.fuzz.minimize import smallest
from tools.fuzz.nonces import nonce, nonces
from tools.fuzz.reading import NotHttp, responses

WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("number", range(0, 200, 7))
def test_a_case_follows_from_its_seed_and_number(number: int) -> None:
    assert requests.case(1, number) == requests.case(1, number)
    assert replies.case(1, number) == replies.case(1, number)
    assert requests.case(1, number) != requests.case(2, number)


def test_a_damaged_nonce_is_not_that_of_another_case() -> None:
    word = nonce(12, 3).encode()
    assert nonces(b"x" + word + b"x") == [(12, 3)]
    assert nonces(word.replace(b"12x", b"13x")) == []


def test_responses_are_read_one_after_the_other() -> None:
    found = responses(b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE + STREAM + b"1\r\nx\r\n0\r\n\r\n" + STREAM + b"5\r\nab")
    assert [(response.body, response.whole) for response in found] == [(b"{}", True), (b"x", True), (b"ab", False)]


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        WHOLE + b"x",
        b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx y: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n{}",
        STREAM + b"x\r\n",
        STREAM + b"1\r\nxx\r\n",
    ],
)
def test_bytes_that_are_not_a_response_are_found(data: bytes) -> None:
    with pytest.raises(NotHttp):
        responses(data)


@pytest.mark.parametrize(
    ("received", "wrong"),
    [
        (WHOLE.replace(b"{}", nonce(8).encode()).replace(b": 2", b": %d" % len(nonce(8))), "another connection"),
        (b"HTTP/1.1 500 x\r\ncontent-length: 0\r\n\r\n", "status 500"),
        (STREAM + b"5\r\nhello\r\n0\r\n\r\n", "without an end"),
        (STREAM + b"5\r\nhe", "broke off"),
        (b"", "was not answered"),
        (WHOLE, "not the one to its request"),
    ],
)
def test_a_wrong_answer_is_found(received: bytes, wrong: str) -> None:
    found = requests.judged(requests.RequestCase(7, [b""], [nonce(7).encode()]), received, itself=True)
    assert found is not None
    assert wrong in found


async def test_the_bytes_of_a_finding_are_made_smaller() -> None:
    async def fails(data: bytes) -> bool:
        return b"\0" in data and b"\xff" in data

    assert await smallest(b"a" * 50 + b"\0" + b"b" * 70 + b"\xff" + b"c" * 90, fails) == b"\0\xff"
