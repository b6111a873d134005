"""Pages and text of PDF documents."""

import zlib

import pytest

from modelbay.counting import pdf_contents as pdf_contents_module
from modelbay.counting.pdf_contents import PdfContents, pdf_contents


def stream(content: bytes, dictionary: bytes = b"/Filter /FlateDecode") -> bytes:
    return b"1 0 obj\n<< " + dictionary + b" >>\nstream\n" + zlib.compress(content) + b"\nendstream\nendobj\n"


PAGE = b"2 0 obj\n<< /Type /Page /Parent 1 0 R >>\nendobj\n3 0 obj << /Type/Pages /Kids [] >> endobj\n"
TEXT = rb"BT /F1 12 Tf (The tide \(high\)) Tj [(is) -250 (near)] TJ <00480049> Tj ET"


def test_the_text_in_compressed_streams_is_counted() -> None:
    assert pdf_contents(b"%PDF-1.7\n" + PAGE + stream(TEXT)) == PdfContents(1, 17 + 2 + 4 + 2)


def test_pages_in_object_streams_are_seen() -> None:
    objects = stream(b"<< /Type /Page >> << /Type /Page >> << /Type /Pages >>", b"/Type /ObjStm /Filter /FlateDecode")
    assert pdf_contents(b"%PDF-1.7\n" + objects).pages == 2


@pytest.mark.parametrize(
    "dictionary",
    [b"/Subtype /Image /Filter /FlateDecode", b"/Length1 9 /Filter /FlateDecode", b"/Filter /DCTDecode", b""],
)
def test_images_fonts_and_other_encodings_are_not_text(dictionary: bytes) -> None:
    assert pdf_contents(b"%PDF-1.7\n" + stream(TEXT, dictionary)).characters == 0


@pytest.mark.parametrize("data", [b"", b"%PDF", b"stream\n", stream(TEXT)[:40], b"/FlateDecode stream\nnot compressed"])
def test_a_damaged_document_is_read_as_far_as_possible(data: bytes) -> None:
    assert pdf_contents(data) == PdfContents(0, 0)


def test_a_stream_that_grows_without_end_is_read_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_contents_module, "_EACH", 50_000)
    monkeypatch.setattr(pdf_contents_module, "_ALL", 120_000)
    bomb = stream(b"(a)" * 100_000 + b"Tj")
    assert pdf_contents(stream(b"(a)Tj" * 1_000_000)).characters == 10_000
    assert pdf_contents(stream(b"(a)Tj" * 100_000) * 9).characters == 24_000
    assert pdf_contents(bomb).characters == 0
