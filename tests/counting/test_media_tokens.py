"""Estimates of input tokens for images, documents, audio and video."""

import zlib
from base64 import b64encode

import pytest

from modelbay.conversation import Media, Text, ToolResult
from modelbay.counting.image_sizes import image_size
from modelbay.dialect import Dialect
from modelbay.model import Model
from tests.counting.test_token_estimates import CLAUDE, GEMINI, GEMINI_2, GPT, GPT_4O, UNKNOWN, added, asks, tokens


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes(100)


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + width.to_bytes(2, "little") + height.to_bytes(2, "little") + bytes(10)


def jpeg(width: int, height: int) -> bytes:
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    thumbnail = b"\xff\xe1\x00\x14" + b"\xff\xc0" + bytes(16)
    return b"\xff\xd8" + thumbnail + b"\xff\xff\xc2\x00\x11\x08" + size + bytes(20)


def webp(kind: bytes, data: bytes) -> bytes:
    return b"RIFF\0\0\0\0WEBP" + kind + b"\0\0\0\0" + data + bytes(20)


@pytest.mark.parametrize(
    "data",
    [
        png(800, 600),
        gif(800, 600),
        jpeg(800, 600),
        webp(b"VP8X", bytes(4) + (799).to_bytes(3, "little") + (599).to_bytes(3, "little")),
        webp(b"VP8L", b"\x2f" + (799 | 599 << 14).to_bytes(4, "little")),
        webp(b"VP8 ", bytes(3) + b"\x9d\x01\x2a" + (800 | 1 << 14).to_bytes(2, "little") + (600).to_bytes(2, "little")),
    ],
    ids=["png", "gif", "jpeg", "webp", "webp-lossless", "webp-lossy"],
)
def test_the_size_of_an_image_is_in_its_header(data: bytes) -> None:
    assert image_size(data) == (800, 600)
    for length in range(len(data)):
        assert image_size(data[:length]) in ((800, 600), None)


def image(width: int, height: int, detail: str | None = None) -> Media:
    return Media(kind="image", data=b64encode(png(width, height)).decode(), media_type="image/png", detail=detail)


@pytest.mark.parametrize(
    ("model", "part", "tokens"),
    [
        (CLAUDE, image(800, 600), 641),
        (CLAUDE, image(1000, 1000), 1299),
        (CLAUDE, image(4000, 3000), 1571),
        (CLAUDE, image(300, 3136), 339),
        (CLAUDE, image(50, 30), 7),
        (Model("claude-opus-5", family="claude"), image(2000, 1500), 3891),
        (Model("qwen2.5-vl-7b", family="qwen"), image(597, 566), 422),
        (Model("qwen2.5-vl-7b", family="qwen"), image(60, 30), 8),
        (Model("qwen3-vl-8b", family="qwen"), image(50, 65), 82),
        (Model("glm-4.6v", family="glm"), image(597, 566), 422),
        (GPT_4O, image(512, 512), 255),
        (GPT_4O, image(1024, 1024), 765),
        (GPT_4O, image(2048, 4096), 1105),
        (GPT_4O, image(2048, 4096, "low"), 85),
        (Model("gpt-4o-mini", family="gpt"), image(512, 512), 8500),
        (Model("gpt-4.1-mini", family="gpt"), image(1024, 1024), 1659),
        (Model("gpt-5-nano", family="gpt"), image(128, 128), 24),
        (Model("grok-2-vision", family="grok"), image(400, 300), 256),
        (Model("mistral/pixtral-12b", family="mistral"), image(597, 566), 1409),
        (GEMINI_2, image(600, 400), 258),
        (GEMINI_2, image(1500, 1000), 1032),
        (GEMINI, image(600, 400), 1090),
        (UNKNOWN, image(280, 280), 100),
        (GEMINI_2, Media(kind="image", url="https://example.com/sea.png"), 1032),
        (GEMINI_2, Media(kind="image", data="not an image"), 1032),
    ],
)
def test_an_image_counts_by_the_rule_of_its_model(model: Model, part: Media, tokens: int) -> None:
    assert added(model, part) == pytest.approx(tokens, abs=2)


def test_documents_count_by_pages_or_by_their_text() -> None:
    pages = b"%PDF-1.4" + b"<< /Type /Pages >>" + b"<< /Type /Page >>" * 3 + b"<</Type/Page>>"
    assert added(GEMINI_2, Media(kind="document", data=b64encode(pages).decode())) == 4 * 258
    packed = Media(kind="document", data=b64encode(b"%PDF-1.7" + bytes(200_000)).decode())
    assert added(GEMINI_2, packed) == pytest.approx(4 * 258, rel=0.01)
    text = "The tide is high. " * 50
    for document in (
        Media(kind="document", text=text),
        Media(kind="document", data=b64encode(text.encode()).decode(), media_type="text/plain"),
        Media(kind="document", parts=[Text(text=text)]),
    ):
        assert added(GPT, document) == pytest.approx(added(GPT, Text(text=text)) + 18, abs=2), "with its frame"
        assert added(GEMINI_2, document) == pytest.approx(added(GEMINI_2, Text(text=text)), abs=2)


def test_a_page_counts_with_its_text() -> None:
    def document(text: bytes) -> Media:
        content = zlib.compress(b"BT (" + text + b") Tj ET")
        page = b"%PDF-1.7\n1 0 obj << /Type /Page >> endobj 2 0 obj << /FlateDecode >>\nstream\n" + content
        return Media(kind="document", data=b64encode(page).decode())

    short, long = document(b"Tide"), document(b"Tide" * 1000)
    for model in (CLAUDE, GPT, GPT_4O):
        assert 900 < added(model, long) - added(model, short) < 1600
    assert added(GEMINI, long) == added(GEMINI, short) == 526
    chat, responses = (tokens(asks(short), GPT_4O, protocol=one) for one in ("openai_chat", "openai_responses"))
    assert chat > responses + 100, "Chat Completions adds an image of the page"


def test_gemini_2_reads_the_only_page_of_a_request_in_tiles() -> None:
    page, pages = (
        Media(kind="document", data=b64encode(b"%PDF-1.4" + b"<< /Type /Page >>" * count).decode()) for count in (1, 2)
    )
    image = Media(kind="image", data=b64encode(png(100, 100)).decode())
    assert (added(GEMINI_2, page), added(GEMINI_2, pages)) == (1290, 2 * 258)
    assert (added(GEMINI_2, page, image), added(GEMINI_2, page, page)) == (2 * 258, 2 * 258)
    direct = Model("gemini-2.5-flash", family="gemini")
    assert added(direct, page) == 258, "the Gemini API reads it like the others"
    vertex = Dialect(bare_counts=True)
    assert tokens(asks(page), direct, dialect=vertex) - tokens(asks(), direct, dialect=vertex) == 1290


def test_audio_and_video_count_by_their_length() -> None:
    rate = (48_000).to_bytes(4, "little")
    wave = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\xc0\x5d\0\0" + rate + bytes(480_000)
    audio = Media(kind="audio", data=b64encode(wave).decode())
    assert added(GEMINI, audio) == added(GEMINI, Media(kind="audio", data=b64encode(bytes(160_000)).decode())) == 250
    assert added(GEMINI_2, audio) == 320
    assert added(GEMINI, Media(kind="video", data=b64encode(bytes(800_000)).decode())) == 660
    assert added(GEMINI, Media(kind="video", file_id="files/1")) == 30 * (66 + 25)
    voxtral = (Model(id, family="mistral") for id in ("voxtral-small-latest", "mistralai/Voxtral-Small-24B-2507"))
    assert [added(model, audio) for model in voxtral] == [0, 375], "apart from tokens, or padded to 30 seconds"


def test_each_second_of_a_video_counts_and_its_sound_does_if_it_has_one() -> None:
    def video(milliseconds: int, *more: bytes) -> Media:
        header = b"mvhd" + bytes(12) + (1000).to_bytes(4, "big") + milliseconds.to_bytes(4, "big")
        data = b"\0\0\0\x18ftypmp42" + header + b"hdlr" + b"".join(more) + bytes(9000)
        return Media(kind="video", data=b64encode(data).decode())

    assert added(GEMINI_2, video(1300, b"vide")) == pytest.approx(258, abs=2)
    assert added(GEMINI_2, video(10_030, b"vide")) == pytest.approx(2580, abs=5)
    assert added(GEMINI_2, video(10_030, b"vide", b"soun")) == pytest.approx(3210, abs=5)


def test_media_in_the_results_of_tools_count() -> None:
    inside = ToolResult(call_id="1", parts=[image(600, 400)])
    assert added(GEMINI_2, inside) >= 258
    page = Media(kind="document", data=b64encode(b"%PDF-1.4<< /Type /Page >>").decode())
    returned = added(GEMINI, ToolResult(call_id="1", parts=[page])) - added(GEMINI, ToolResult(call_id="1"))
    assert (added(GEMINI, page), returned) == (526, 1098)
