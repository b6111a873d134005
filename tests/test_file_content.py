"""Files from bytes and URLs, as programs that have no path pass them."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.pretty import pretty_repr

from modelbay import Media, Text, user
from modelbay.errors import UnreadableFile

PNG = b"\x89PNG\r\n\x1a\n"
PNG_BASE64 = "iVBORw0KGgo="


@pytest.mark.parametrize(
    ("media", "expected"),
    [
        (Media.of(PNG), Media(kind="image", data=PNG_BASE64, media_type="image/png")),
        (Media.of(PNG, "image/jpeg"), Media(kind="image", data=PNG_BASE64, media_type="image/png")),
        (Media.of(b"?", "audio/x-new"), Media(kind="audio", data="Pw==", media_type="audio/x-new")),
        (Media.of(b"%PDF-1.4", "application/pdf", name="a.pdf"),
         Media(kind="document", data="JVBERi0xLjQ=", media_type="application/pdf", name="a.pdf")),
        (Media.of("Grüße".encode(), "text/markdown"), Media(kind="document", text="Grüße", media_type="text/markdown")),
        (Media.of(f"data:image/png;base64,{PNG_BASE64}"), Media(kind="image", data=PNG_BASE64, media_type="image/png")),
        (Media.of("data:,Hi%20there"), Media(kind="document", text="Hi there", media_type="text/plain")),
        (Media.of("data:text/csv;charset=utf-8,a%2Cb"), Media(kind="document", text="a,b", media_type="text/csv")),
        (Media.of("https://x.example/a.pdf"),
         Media(kind="document", url="https://x.example/a.pdf", media_type="application/pdf", name="a.pdf")),
        (Media.of("https://x.example/of/it", "audio/wav"),
         Media(kind="audio", url="https://x.example/of/it", media_type="audio/wav", name="it")),
    ],
)  # fmt: skip
def test_a_file_is_made_of_bytes_or_a_url(media: Media, expected: Media):
    assert media == expected


@pytest.mark.parametrize("source", ["/etc/hosts", "file:///etc/hosts", "data:image/png;base64,*", "data:image/png", ""])
def test_other_texts_are_refused_and_no_file_is_read(source: str):
    with pytest.raises(UnreadableFile, match="data URL"):
        Media.of(source)


@pytest.mark.parametrize(
    ("data", "media_type"), [(b"", None), (b"\xff\xfe\x00", None), (b"\xff\xfe\x00", "text/plain")]
)
def test_bytes_that_models_cannot_read_are_refused(data: bytes, media_type: str | None):
    with pytest.raises(UnreadableFile):
        Media.of(data, media_type)


def test_a_data_url_is_a_file_in_every_place(tmp_path: Path):
    assert Media.open(f"data:image/png;base64,{PNG_BASE64}") == Media.of(PNG)


def test_a_long_content_is_not_in_the_repr_and_a_short_one_is():
    media = Media.of(PNG + bytes(90_000), name="a.png")
    assert repr(media) == "Media(kind='image', data=<120,012 characters>, media_type='image/png', name='a.png')"
    assert repr(user("Hi", media)).count("<120,012 characters>") == 1
    assert (
        repr(Media(kind="image", url="https://x.example/a.png")) == "Media(kind='image', url='https://x.example/a.png')"
    )


def test_rich_does_not_show_a_long_content_either():
    assert pretty_repr(Media.of(PNG * 1000)) == "Media(kind='image', data=<10,668 characters>, media_type='image/png')"
    assert pretty_repr([Text(text="Hi")]) == "[Text(text='Hi')]"


def test_the_error_for_a_content_that_was_passed_as_a_path_is_short():
    with pytest.raises(UnreadableFile, match="cannot be read: File name too long") as caught:
        Media.open("iVBORw0KGgo" * 10_000)
    assert len(str(caught.value)) < 400
    assert caught.value.hint == "pass a path, a URL, or Media.of(BYTES)"


def test_a_file_url_is_a_path(tmp_path: Path):
    (tmp_path / "a b.png").write_bytes(PNG)
    url = (tmp_path / "a b.png").as_uri()
    assert Media.open(url) == Media.open(tmp_path / "a b.png")


@pytest.mark.parametrize("url", ["ftp://x.example/a.png", "s3://bucket/a.png"])
def test_the_error_for_another_url_names_those_that_can_be_read(url: str):
    with pytest.raises(UnreadableFile) as raised:
        Media.open(url)
    assert raised.value.hint == "pass a path, Media.of(BYTES), or an http, https, file or data URL"


@pytest.mark.parametrize("source", [io.BytesIO(PNG), Path("a.png"), ["a.png"], None])
def test_the_error_for_something_else_than_bytes_says_where_to_pass_it(source: Any):
    with pytest.raises(TypeError, match=r"must be bytes or a URL, not \w+: pass a path to Media.open, or the bytes of"):
        Media.of(source)


@pytest.mark.parametrize("source", [PNG, io.BytesIO(PNG), None])
def test_the_error_for_bytes_in_place_of_a_path_says_where_to_pass_them(source: Any):
    with pytest.raises(TypeError, match=r"must be a path or a URL, not \w+: pass its bytes to Media.of"):
        Media.open(source)
