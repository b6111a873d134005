"""The media type of a file comes from its first bytes, and from its name only if those are unknown."""

from pathlib import Path

import pytest

from modelbay.conversation import Media
from modelbay.errors import UnreadableFile
from modelbay.stored_chats.attachments import attachments, dragged, mentioned


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
    media = Media.open(str(tmp_path / name))
    assert (media.kind, media.media_type, media.name) == (kind, media_type, name)
    assert media.data
    assert media.text is None


@pytest.mark.parametrize("name", ["notes.md", "main.ts", "data.json", "drawing.svg", "Makefile"])
def test_text_becomes_a_document_with_its_text(tmp_path: Path, name: str):
    content = "größer\n"
    (tmp_path / name).write_text(content, encoding="utf-8-sig" if name == "data.json" else "utf-8")
    media = Media.open(str(tmp_path / name))
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
    media = Media.open(url)
    assert (media.kind, media.url, media.media_type, media.data) == (kind, url, media_type, None)


def test_a_missing_file_or_unknown_type_is_refused(tmp_path: Path):
    (tmp_path / "blob").write_bytes(b"\0\x01\x02")
    with pytest.raises(UnreadableFile, match="blob is neither text nor of a known type"):
        Media.open(str(tmp_path / "blob"))
    with pytest.raises(UnreadableFile, match="is not a file"):
        Media.open(str(tmp_path))
    with pytest.raises(UnreadableFile, match="missing cannot be read: No such file"):
        Media.open(str(tmp_path / "missing"))


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "empty.txt", "is empty"),
        (b"", "empty.png", "is empty"),
        (b"PK\x03\x04\0\0", "code.zip", "models do not accept application/zip: "),
        (b"\x1f\x8b\x08\0", "code.tar.gz", "models do not accept application/x-tar: "),
        (b"\x7fELF\0", "program.bin", "models do not accept"),
        (b"caf\xe9 \0", "latin.dat", "is neither text nor of a known type"),
    ],
)
def test_a_type_that_no_model_reads_is_refused(tmp_path: Path, content: bytes, name: str, message: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableFile, match=message):
        Media.open(str(tmp_path / name))


def test_a_word_document_is_sent(tmp_path: Path):
    (tmp_path / "letter.docx").write_bytes(b"PK\x03\x04\0\0")
    assert Media.open(str(tmp_path / "letter.docx")).kind == "document"


@pytest.mark.parametrize(("name", "megabytes"), [("notes.txt", 5), ("photo.png", 51), ("clip.mp4", 101)])
def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path, name: str, megabytes: int):
    start = {"photo.png": b"\x89PNG\r\n\x1a\n\0", "clip.mp4": b"\0\0\0\x18ftypisom\0"}.get(name, b"text " * 1000)
    with (tmp_path / name).open("wb") as file:
        file.write(start)
        file.truncate(megabytes * 2**20)  # a hole: nothing is on the disk
    with pytest.raises(UnreadableFile, match=f"is too large: {megabytes}.0 MB"):
        Media.open(str(tmp_path / name))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("one.png", "my file.txt", "it's.md", "Makefile", "sub/two.pdf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("HOME/one.png", ["HOME/one.png"]),
        ("'HOME/my file.txt'", ["HOME/my file.txt"]),
        ('"HOME/my file.txt" ', ["HOME/my file.txt"]),
        (r"HOME/my\ file.txt", ["HOME/my file.txt"]),
        ("HOME/my file.txt", ["HOME/my file.txt"]),
        (r"HOME/it\'s.md", ["HOME/it's.md"]),
        (r"HOME/one.png HOME/my\ file.txt", ["HOME/one.png", "HOME/my file.txt"]),
        ("'HOME/one.png' 'HOME/my file.txt'", ["HOME/one.png", "HOME/my file.txt"]),
        ("HOME/one.png\nHOME/my file.txt\n", ["HOME/one.png", "HOME/my file.txt"]),
        ("file://HOME/my%20file.txt", ["HOME/my file.txt"]),
        ("file://HOME/one.png\nfile://localhostHOME/sub/two.pdf", ["HOME/one.png", "HOME/sub/two.pdf"]),
        ("one.png", ["one.png"]),
        ("sub/two.pdf", ["sub/two.pdf"]),
        ("./one.png ./sub/two.pdf", ["./one.png", "./sub/two.pdf"]),
        ("Makefile", []),
        ("look at HOME/one.png", []),
        ("HOME/missing.png", []),
        ("HOME/one.png HOME/missing.png", []),
        ("HOME", []),
        ("file://elsewhere/one.png", []),
        ("it's", []),
        ("", []),
        ("a\0b.png", []),
    ],
)
def test_pasted_paths_are_told_from_text(folder: Path, text: str, names: list[str]):
    home = str(folder)
    assert dragged(text.replace("HOME", home)) == [name.replace("HOME", home) for name in names]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("what is in @one.png? And in (@sub/two.pdf)?", ["one.png"]),
        ("what is in @one.png ?", ["one.png"]),
        ("@one.png and @sub/two.pdf and @one.png", ["one.png", "sub/two.pdf"]),
        ('see @"my file.txt" now', ["my file.txt"]),
        (r"see @my\ file.txt now", ["my file.txt"]),
        ("@Makefile", ["Makefile"]),
        ("me@one.png is an address, @nobody is a name", []),
    ],
)
def test_files_are_mentioned_in_a_text(folder: Path, text: str, names: list[str]):
    assert mentioned(text) == names


def test_all_files_of_a_question_have_a_limit_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("modelbay.stored_chats.attachments.MOST_TOGETHER", 3 * 2**20)
    names = [str(tmp_path / f"{number}.txt") for number in range(4)]
    for name in names:
        Path(name).write_text("x" * 2**20)
    first = attachments(names[:2])
    assert len(attachments(names[2:3], first)) == 1
    with pytest.raises(UnreadableFile, match=r"3\.txt cannot be attached: .* 4\.0 MB together \(maximum: 3 MB\)"):
        attachments(names[2:], first)
