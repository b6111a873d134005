"""What a file is is told by how it begins, and by its name only where that does not tell."""

from pathlib import Path

import pytest

from modelbay.chat.attachments import Unreadable, attachment


@pytest.mark.parametrize(
    ("content", "name", "kind", "media_type"),
    [
        (b"\x89PNG\r\n\x1a\n\0", "photo.jpg", "image", "image/png"),
        (b"\xff\xd8\xff\xe0\0", "photo", "image", "image/jpeg"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "photo.png", "image", "image/webp"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "sound", "audio", "audio/wav"),
        (b"ID3\x04\0", "sound.mp3", "audio", "audio/mpeg"),
        (b"\0\0\0\x18ftypisom\0", "clip", "video", "video/mp4"),
        (b"%PDF-1.7\n", "paper.txt", "document", "application/pdf"),
        (b"\0\x01\x02", "clip.webm", "video", "video/webm"),
        (b"\xff\xfb\x90\0", "sound.mp3", "audio", "audio/mpeg"),
    ],
)
def test_bytes_become_media_of_their_type(tmp_path: Path, content: bytes, name: str, kind: str, media_type: str):
    (tmp_path / name).write_bytes(content)
    media = attachment(str(tmp_path / name))
    assert (media.kind, media.media_type, media.name) == (kind, media_type, name)
    assert media.data
    assert media.text is None


@pytest.mark.parametrize("name", ["notes.md", "main.ts", "data.json", "drawing.svg", "Makefile", "empty"])
def test_text_becomes_a_document_with_its_text(tmp_path: Path, name: str):
    content = "" if name == "empty" else "größer\n"
    (tmp_path / name).write_text(content, encoding="utf-8-sig" if name == "data.json" else "utf-8")
    media = attachment(str(tmp_path / name))
    assert (media.kind, media.text, media.media_type, media.data) == ("document", content, "text/plain", None)


@pytest.mark.parametrize(
    ("url", "kind", "media_type"),
    [
        ("https://example.com/a/cat.png?size=2", "image", "image/png"),
        ("HTTPS://example.com/paper.pdf", "document", "application/pdf"),
        ("https://example.com/clip.mp4#t=1", "video", "video/mp4"),
        ("https://example.com/pictures/17", "image", None),
    ],
)
def test_an_address_goes_as_it_is(url: str, kind: str, media_type: str | None):
    media = attachment(url)
    assert (media.kind, media.url, media.media_type, media.data) == (kind, url, media_type, None)


def test_what_is_no_file_or_of_no_known_type_is_refused(tmp_path: Path):
    (tmp_path / "blob").write_bytes(b"\0\x01\x02")
    with pytest.raises(Unreadable, match="blob is neither text nor of a known type"):
        attachment(str(tmp_path / "blob"))
    with pytest.raises(Unreadable, match="is not a file"):
        attachment(str(tmp_path))
    with pytest.raises(Unreadable, match="missing cannot be read: No such file"):
        attachment(str(tmp_path / "missing"))
