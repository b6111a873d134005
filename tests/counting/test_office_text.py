"""The text of documents of Word, Excel and PowerPoint: with limits, and never an error."""

import zipfile
from base64 import b64encode
from io import BytesIO

import pytest

from modelbay import Conversation, Media, Text, Turn
from modelbay.counting import office_text as office_text_module
from modelbay.counting.office_text import office_text
from modelbay.counting.token_estimates import estimate
from modelbay.model import Model
from tests.processor_time import check_growth

WORD = (
    b'<w:document><w:p><w:r><w:t>The tide</w:t></w:r><w:r><w:t xml:space="preserve"> is high &amp; rising.</w:t></w:r></w:p>'
    b"<w:p w:id='1'><w:r><w:tab/><w:t>Boats wait.</w:t></w:r></w:p></w:document>"
)
TEXTS = b'<sst><si><t>harbour</t></si><si><t xml:space="preserve">Hamburg</t></si></sst>'
SHEET = (
    b'<worksheet><sheetData><row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1"><v>3.42</v></c></row>'
    b'<row r="2"><c r="A2"><f>B1*2</f><v>6.84</v></c></row></sheetData></worksheet>'
)
SLIDE = b"<p:sld><a:p><a:r><a:t>Low water</a:t></a:r></a:p><a:p><a:r><a:t>at noon</a:t></a:r></a:p></p:sld>"


def archive(**parts: bytes) -> bytes:
    """An archive with files; `__` is a slash in their names."""
    written = BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in parts.items():
            file.writestr(f"{name.replace('__', '/')}.xml", content)
    return written.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (archive(word__document=WORD, word__styles=b"<w:t>Normal</w:t>"), "The tide is high & rising. Boats wait."),
        (archive(xl__sharedStrings=TEXTS, xl__worksheets__sheet1=SHEET), "harbour Hamburg 3.42 6.84"),
        (archive(ppt__slides__slide1=SLIDE, ppt__slideMasters__slideMaster1=SLIDE), "Low water at noon"),
    ],
    ids=["Word", "Excel", "PowerPoint"],
)
def test_the_text_of_a_document_is_read_without_its_formatting(data: bytes, words: str) -> None:
    text = office_text(data)
    assert text is not None
    assert text.split() == words.split()
    assert "\n" in text


def test_a_document_counts_with_its_text() -> None:
    def tokens(*parts: Media | Text) -> int:
        return estimate(Conversation([Turn("user", list(parts))]), Model("gpt-5", family="gpt")).tokens

    written = "The tide is high in the morning and low at noon. " * 60
    data = b64encode(archive(word__document=b"<w:p><w:t>" + written.encode() + b"</w:t></w:p>")).decode()
    document = Media(kind="document", data=data, media_type="application/msword", name="tide.docx")
    assert tokens(Text(text=written)) < tokens(document) == pytest.approx(tokens(Text(text=written)), abs=25)


@pytest.mark.parametrize(
    "data", [b"", b"%PDF-1.7", b"PK", b"PK\x03\x04", archive(), archive(word__styles=WORD), archive(readme=WORD)]
)
def test_other_files_have_no_text(data: bytes) -> None:
    assert office_text(data) is None


def test_a_damaged_document_is_not_an_error() -> None:
    whole = archive(word__document=WORD)
    for at in range(len(whole)):
        assert office_text(whole[:at]) is None
        office_text(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])


def test_an_encrypted_document_has_no_text() -> None:
    data = bytearray(archive(word__document=WORD))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert office_text(bytes(data)) is None


def test_a_bomb_is_read_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(office_text_module, "_ALL", 1000)
    bomb = archive(word__document=b"<w:t>Low</w:t>" * 100_000, word__footnotes=b"<w:t>water</w:t>")
    text = office_text(bomb)
    assert text is not None
    assert set(text.split()) == {"Low"}
    assert len(text) < 1000


def test_an_archive_of_many_files_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    many = {f"word__part{number}": b"" for number in range(20)}
    assert office_text(archive(word__document=WORD, **many)) is not None
    monkeypatch.setattr(office_text_module, "_ENTRIES", 20)
    assert office_text(archive(word__document=WORD, **many)) is None


@pytest.mark.parametrize("piece", [b"<c ", b"<w:t ", b"<c><f", b"<w:t>", b"&amp;"])
def test_marks_without_an_end_take_time_in_proportion(piece: bytes) -> None:
    few, many = (
        archive(word__document=piece * count, xl__worksheets__sheet1=piece * count) for count in (10_000, 100_000)
    )
    check_growth(lambda: office_text(few), lambda: office_text(many), below=25)
