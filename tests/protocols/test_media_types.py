"""Media types and data URLs as clients write them."""

import json
from base64 import b64decode, b64encode
from typing import Any

import pytest

from modelbay.conversation import Conversation, Media, Text, ToolCall, ToolResult, Turn, user
from modelbay.dialect import PLAIN
from modelbay.errors import Unsupported
from modelbay.model import Model
from modelbay.protocols.codec import Call, codec
from modelbay.protocols.media_types import data_url, file_name, format_of, normal, of_format, registered

MODEL = Model(id="m", max_output_tokens=1000, capabilities={"call_signatures": False})
DATA = b64encode(b"\x89PNG\r\n\x1a\n?>?").decode()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("image/jpg", "image/jpeg"), ("IMAGE/JPG", "image/jpeg"), ("image/jpeg; q=1", "image/jpeg"), ("image/PNG", "image/png"),
        (" image/png ", "image/png"), ("audio/mp3", "audio/mpeg"), ("audio/x-wav", "audio/wav"), ("audio/wave", "audio/wav"),
        ("audio/x-m4a", "audio/mp4"), ("video/x-m4v", "video/mp4"), ("application/x-pdf", "application/pdf"),
        ("text/plain;charset=utf-8", "text/plain"), ("video/webm;codecs=vp9", "video/webm"),
        ("audio/L16;codec=pcm;rate=24000", "audio/L16;codec=pcm;rate=24000"), ("application/pdf", "application/pdf"),
        ("model/gltf+json", "model/gltf+json"), ("", None), (None, None),
    ],
)  # fmt: skip
def test_a_type_becomes_the_registered_one(written, meant):
    assert registered(written) == meant


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("data:image/png;base64,AAAA", ("image/png", "AAAA")),
        ("data:image/png;charset=utf-8;base64,AAAA", ("image/png;charset=utf-8", "AAAA")),
        ("data:image/png;name=a b.png;base64,AAAA", ("image/png;name=a b.png", "AAAA")),
        ("DATA:image/PNG;BASE64,AAAA", ("image/PNG", "AAAA")),
        ("data:image/png; base64,AA\nAA", ("image/png", "AAAA")),
        ("data:image/png;base64,AA%2BA", ("image/png", "AA+A")),
        ("data:image/png;base64,AA-_", ("image/png", "AA+/")),
        ("data:;base64,AAAA", (None, "AAAA")),
        ("data:text/plain,a%20b", ("text/plain", b64encode(b"a b").decode())),
        ("data:,a", ("text/plain", b64encode(b"a").decode())),
        ("https://x.example/data:image/png;base64,AAAA", None),
        ("data:image/png", None),
    ],
)
def test_a_data_url_is_read_with_its_parameters_and_without(url, found):
    assert data_url(url) == found


def test_openai_s_words_for_formats_of_sound():
    assert [of_format(word) for word in ("mp3", "wav", "MP3", "flac", None)] == [
        "audio/mpeg", "audio/wav", "audio/mpeg", "audio/flac", None,
    ]  # fmt: skip
    assert [format_of(kind) for kind in ("audio/mpeg", "audio/mp3", "audio/x-wav", "audio/wave; a=b", None)] == [
        "mp3", "mp3", "wav", "wav", "",
    ]  # fmt: skip


def test_a_text_in_another_encoding_is_sent_in_utf_8():
    text = Media(
        kind="document", data=b64encode("Müll".encode("latin-1")).decode(), media_type="text/plain; charset=latin-1"
    )
    assert b64decode(normal(text).data or "").decode() == "Müll"


def test_a_correct_conversation_is_not_copied():
    image = Media(kind="image", data=DATA, media_type="image/png")
    assert normal(image) is image


def render(protocol: str, conversation: Conversation) -> str:
    return json.dumps(json.loads(codec(protocol).render_request(conversation, MODEL, PLAIN).encode()))


def from_chat(*parts: dict[str, Any]) -> Conversation:
    return codec("openai_chat").parse_request(Call("", {"messages": [{"role": "user", "content": [*parts]}]}))


ODD = f"data:image/JPG;charset=utf-8;base64,{DATA}"


def spoken() -> dict[str, Conversation]:
    """An image with an odd type, from a client of each protocol and from a program."""
    anthropic = {"type": "base64", "media_type": "image/jpg", "data": DATA}
    google = {"inlineData": {"mimeType": "image/JPG", "data": DATA}}
    return {
        "openai_chat": from_chat({"type": "image_url", "image_url": {"url": ODD}}),
        "openai_responses": codec("openai_responses").parse_request(
            Call("", {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": ODD}]}]})
        ),
        "anthropic": codec("anthropic").parse_request(
            Call("", {"messages": [{"role": "user", "content": [{"type": "image", "source": anthropic}]}]})
        ),
        "anthropic with a URL": codec("anthropic").parse_request(
            Call(
                "",
                {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": ODD}}]}]},
            )
        ),
        "google": codec("google").parse_request(Call("", {"contents": [{"role": "user", "parts": [google]}]})),
        "a program": Conversation([user("Look", Media(kind="image", url=ODD))]),
        "a result": Conversation(
            [
                user("Look"),
                Turn("assistant", [ToolCall(name="see", arguments="{}", id="c")]),
                Turn("tool", [ToolResult(call_id="c", parts=[Text(text="This"), Media(kind="image", url=ODD)])]),
            ]
        ),
    }


@pytest.mark.parametrize("source", list(spoken()))
@pytest.mark.parametrize("target", ["openai_chat", "openai_responses", "anthropic", "google"])
def test_an_image_arrives_under_the_type_that_the_target_knows(source, target):
    body = render(target, spoken()[source])
    assert "image/jpeg" in body and DATA in body
    assert "jpg" not in body.lower() and "charset" not in body


@pytest.mark.parametrize("target", ["anthropic", "google", "openai_responses"])
def test_a_file_is_sent_as_what_its_type_says(target):
    pdf = from_chat({"type": "image_url", "image_url": {"url": f"data:application/pdf;base64,{DATA}"}})
    image = from_chat({"type": "file", "file": {"file_data": f"data:image/png;base64,{DATA}", "filename": "a.png"}})
    assert '"image"' not in render(target, pdf) and "input_image" not in render(target, pdf)
    assert '"document"' not in render(target, image) and "input_file" not in render(target, image)
    assert "application/pdf" in render(target, pdf) and "image/png" in render(target, image)


@pytest.mark.parametrize("target", ["anthropic", "google", "openai_responses"])
def test_a_file_of_an_unknown_type_is_sent_as_what_its_name_says(target):
    """Clients that do not know a type say `application/octet-stream`, which no provider reads."""
    data = b64encode(b"# Notes").decode()
    file = {"file_data": f"data:application/octet-stream;base64,{data}", "filename": "notes.md"}
    body = render(target, from_chat({"type": "file", "file": file}))
    assert "octet-stream" not in body and ("# Notes" in body or "text/markdown" in body)


@pytest.mark.parametrize("target", ["anthropic", "google", "openai_responses"])
@pytest.mark.parametrize(
    "part",
    [{"type": "file", "file": {"filename": "a.txt"}}, {"type": "image_url", "image_url": {"url": ""}}],
    ids=["file", "image"],
)
def test_a_part_that_holds_nothing_is_left_out_and_reported(target, part):
    call = codec(target).render_request(from_chat({"type": "text", "text": "Look"}, part), MODEL, PLAIN)
    body = call.encode()
    assert b"a.txt" not in body and b"image" not in body and b"document" not in body
    assert any("is not sent: it is empty" in warning.message for warning in call.warnings)


@pytest.mark.parametrize(
    ("media_type", "name"),
    [
        (None, "file.pdf"),
        ("application/pdf", "file.pdf"),
        ("text/plain", "file.txt"),
        ("text/markdown", "file.md"),
        ("foo/bar", "file.bar"),
    ],
)
def test_a_file_without_a_name_gets_one_that_shows_its_type(media_type: str | None, name: str) -> None:
    assert file_name(media_type) == name


@pytest.mark.parametrize("protocol", ["openai_chat", "openai_responses"])
def test_a_pdf_file_of_a_gemini_client_has_a_name_at_openai(protocol: str) -> None:
    parts = [{"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0xLjQK"}}, {"text": "Summarize it"}]
    conversation = codec("google").parse_request(Call("/", {"contents": [{"role": "user", "parts": parts}]}))
    call = codec(protocol).render_request(conversation, Model(id="m"), PLAIN)
    assert b'"filename":"file.pdf"' in call.encode()


@pytest.mark.parametrize("url", ["https://www.youtube.com/watch?v=1", "https://youtu.be/1"])
def test_a_video_page_is_not_sent_as_a_document(url: str) -> None:
    """Gemini accepts it without a media type."""
    parts = [{"fileData": {"fileUri": url}}, {"text": "Summarize it"}]
    conversation = codec("google").parse_request(Call("/", {"contents": [{"role": "user", "parts": parts}]}))
    with pytest.raises(Unsupported, match="`video`"):
        codec("anthropic").render_request(conversation, Model(id="m"), PLAIN)
    same = codec("google").render_request(conversation, Model(id="m"), PLAIN)
    assert same.body["contents"][0]["parts"] == parts
