"""Files from bytes and URLs, as programs that have no path pass them."""

import pytest

from modelbay import Media
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
