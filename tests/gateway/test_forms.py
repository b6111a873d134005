"""A multipart form passes as it is, but for its model."""

from email import message_from_bytes
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.errors import BadRequest
from modelbay.gateway.forms import LONGEST, UploadForm

TYPE = "multipart/form-data; boundary=xYz"
AUDIO = bytes(range(256)) * 3 + b'\r\n--xY\r\nContent-Disposition: form-data; name="model"\r\n\r\nno\r\n--x'


def part(name: str, value: bytes, more: str = "") -> bytes:
    return f'--xYz\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


FILE = part("file", AUDIO, '; filename="a; name=\\"model\\".mp3"\r\nContent-Type: audio/mpeg')
MODEL, LANGUAGE, END = part("model", b"whisper"), part("language", b"de"), b"--xYz--\r\n"
BODIES = [MODEL + FILE + LANGUAGE + END, FILE + LANGUAGE + MODEL + END, LANGUAGE + MODEL + END]


def sent(body: bytes, cuts: list[int], model: str = "acme-1") -> bytes:
    """The body as it is passed on if it arrives in pieces."""
    form = UploadForm(TYPE)
    places = sorted({min(cut, len(body)) for cut in cuts} | {0, len(body)})
    out, begun = b"", False
    for begin, end in pairwise(places):
        out += form.feed(body[begin:end])
        if not begun and (form.model is not None or form.ended):
            out += form.begin(model)
            begun = True
    assert form.ended
    assert len(out) == len(body) + form.growth
    return out


@given(st.sampled_from(BODIES), st.lists(st.integers(0, 1400), max_size=12))
def test_only_the_model_changes_however_the_body_is_cut(body: bytes, cuts: list[int]) -> None:
    assert sent(body, cuts) == body.replace(b"whisper", b"acme-1")


@pytest.mark.parametrize("body", BODIES)
def test_any_byte_may_be_a_piece(body: bytes) -> None:
    assert sent(body, list(range(len(body)))) == body.replace(b"whisper", b"acme-1")


def test_a_form_without_a_model_gets_one() -> None:
    body = sent(FILE + END, [100])
    assert body.endswith(FILE + END)
    parts = message_from_bytes(f"Content-Type: {TYPE}\r\n\r\n".encode() + body).get_payload()
    assert isinstance(parts, list)
    first = parts[0]
    assert not isinstance(first, str)
    assert (first.get_param("name", header="content-disposition"), first.get_payload()) == ("model", "acme-1")


def test_pieces_after_the_model_are_not_held_back() -> None:
    form = UploadForm(TYPE)
    assert form.feed(MODEL) == b"", "the value may go on"
    form.feed(FILE[:200])
    assert form.model == "whisper"
    assert form.begin("acme-1") == MODEL.replace(b"whisper", b"acme-1") + FILE[:200]
    piece = b"x" * 100_000
    assert form.feed(piece) is piece
    assert len(form._held) < 100


@pytest.mark.parametrize(
    "headers",
    [
        b"content-disposition:form-data;name=model",
        b'X: 1\r\nContent-Disposition: form-data; name="mod\\el"\r\nContent-Type: text/plain',
        b'CONTENT-DISPOSITION: Form-Data ; x="a;b"; NAME="model"',
    ],
)
def test_headers_of_the_part_may_be_written_in_any_way(headers: bytes) -> None:
    form = UploadForm('Multipart/Form-Data; charset=utf-8; boundary="xYz"')
    form.feed(b"preamble\r\n--xYz  \r\n" + headers + b"\r\n\r\n\xc3\xa9\r\n--xYz--")
    assert form.model == "é"
    assert form.ended


def test_a_file_is_not_a_field() -> None:
    form = UploadForm(TYPE)
    form.feed(part("model", b"weights", '; filename="model"') + MODEL)
    form.feed(END)
    assert form.model == "whisper"


def test_an_empty_model_is_a_model() -> None:
    form = UploadForm(TYPE)
    form.feed(part("model", b"") + END)
    assert form.model == ""


@pytest.mark.parametrize("kind", ["", "multipart/form-data", "text/plain; boundary=x", "multipart/mixed; boundary=x"])
def test_another_content_type_is_refused(kind: str) -> None:
    with pytest.raises(BadRequest, match="must be JSON, or a multipart form"):
        UploadForm(kind)


def test_a_second_model_is_refused_even_after_the_first_was_sent() -> None:
    form = UploadForm(TYPE)
    form.feed(MODEL + FILE)
    form.begin("acme-1")
    with pytest.raises(BadRequest, match="`model` twice"):
        form.feed(MODEL + END)


def test_endless_headers_are_refused() -> None:
    form = UploadForm(TYPE)
    with pytest.raises(BadRequest, match="too long"):
        form.feed(b"--xYz\r\n" + b"x" * (LONGEST + 1))
