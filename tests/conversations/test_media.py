"""Images, sound, video and documents."""

from inline_snapshot import snapshot

from modelbay.conversation import Conversation, Media, user
from tests.conversations.rendering import anthropic, chat, google, responses


def test_an_image_by_its_address():
    conversation = Conversation(
        [user("What is this?", Media(kind="image", url="https://example.com/a.png", detail="low"))]
    )
    assert chat(conversation) == snapshot(
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
                        {"type": "text", "text": "What is this?"},
                    ],
                }
            ]
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"},
                        {"type": "input_text", "text": "What is this?"},
                    ],
                }
            ],
            "store": False,
        }
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                        {"type": "text", "text": "What is this?"},
                    ],
                }
            ],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        (
            {
                "contents": [
                    {
                        "role": "user",
                        "parts": [
                            {"fileData": {"mimeType": "image/png", "fileUri": "https://example.com/a.png"}},
                            {"text": "What is this?"},
                        ],
                    }
                ]
            },
            ["`detail` is not sent: google has no field for it"],
        )
    )


def test_an_image_as_bytes():
    conversation = Conversation(
        [user("What is this?", Media(kind="image", data="iVBORw0KGgo=", media_type="image/png"))]
    )
    assert chat(conversation) == snapshot(
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                        {"type": "text", "text": "What is this?"},
                    ],
                }
            ]
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="},
                        {"type": "input_text", "text": "What is this?"},
                    ],
                }
            ],
            "store": False,
        }
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
                        },
                        {"type": "text", "text": "What is this?"},
                    ],
                }
            ],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        {
            "contents": [
                {
                    "role": "user",
                    "parts": [
                        {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
                        {"text": "What is this?"},
                    ],
                }
            ]
        }
    )


def test_a_pdf_as_bytes():
    conversation = Conversation(
        [user("Sum it up.", Media(kind="document", data="JVBERi0=", media_type="application/pdf", name="tides.pdf"))]
    )
    assert chat(conversation) == snapshot(
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "file",
                            "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "tides.pdf"},
                        },
                        {"type": "text", "text": "Sum it up."},
                    ],
                }
            ]
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "input_file",
                            "filename": "tides.pdf",
                            "file_data": "data:application/pdf;base64,JVBERi0=",
                        },
                        {"type": "input_text", "text": "Sum it up."},
                    ],
                }
            ],
            "store": False,
        }
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "document",
                            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
                            "title": "tides.pdf",
                        },
                        {"type": "text", "text": "Sum it up."},
                    ],
                }
            ],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        {
            "contents": [
                {
                    "role": "user",
                    "parts": [
                        {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}},
                        {"text": "Sum it up."},
                    ],
                }
            ]
        }
    )


def test_a_pdf_by_its_address():
    conversation = Conversation(
        [user("Sum it up.", Media(kind="document", url="https://example.com/tides.pdf", media_type="application/pdf"))]
    )
    assert chat(conversation) == snapshot(
        "refused: `document` cannot be expressed in openai_chat: the file itself is required, not its URL"
    )
    assert responses(conversation) == snapshot(
        {
            "input": [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_file", "file_url": "https://example.com/tides.pdf"},
                        {"type": "input_text", "text": "Sum it up."},
                    ],
                }
            ],
            "store": False,
        }
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "document", "source": {"type": "url", "url": "https://example.com/tides.pdf"}},
                        {"type": "text", "text": "Sum it up."},
                    ],
                }
            ],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        {
            "contents": [
                {
                    "role": "user",
                    "parts": [
                        {"fileData": {"mimeType": "application/pdf", "fileUri": "https://example.com/tides.pdf"}},
                        {"text": "Sum it up."},
                    ],
                }
            ]
        }
    )


def test_a_text_file_as_bytes():
    conversation = Conversation(
        [
            user(
                "Sum it up.",
                Media(kind="document", data="SGlnaCBhdCBub29uLg==", media_type="text/plain", name="tides.txt"),
            )
        ]
    )
    assert chat(conversation) == snapshot(
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "text",
                            "text": """\
<document title="tides.txt">
High at noon.
</document>\
""",
                        },
                        {"type": "text", "text": "Sum it up."},
                    ],
                }
            ]
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "input_file",
                            "filename": "tides.txt",
                            "file_data": "data:text/plain;base64,SGlnaCBhdCBub29uLg==",
                        },
                        {"type": "input_text", "text": "Sum it up."},
                    ],
                }
            ],
            "store": False,
        }
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "document",
                            "source": {"type": "text", "media_type": "text/plain", "data": "High at noon."},
                            "title": "tides.txt",
                        },
                        {"type": "text", "text": "Sum it up."},
                    ],
                }
            ],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        {
            "contents": [
                {
                    "role": "user",
                    "parts": [
                        {"inlineData": {"mimeType": "text/plain", "data": "SGlnaCBhdCBub29uLg=="}},
                        {"text": "Sum it up."},
                    ],
                }
            ]
        }
    )


def test_a_document_of_plain_text():
    conversation = Conversation([user("Sum it up.", Media(kind="document", text="High at noon.", name="Tides"))])
    assert chat(conversation) == snapshot(
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "text",
                            "text": """\
<document title="Tides">
High at noon.
</document>\
""",
                        },
                        {"type": "text", "text": "Sum it up."},
                    ],
                }
            ]
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "input_text",
                            "text": """\
<document title="Tides">
High at noon.
</document>\
""",
                        },
                        {"type": "input_text", "text": "Sum it up."},
                    ],
                }
            ],
            "store": False,
        }
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "document",
                            "source": {"type": "text", "media_type": "text/plain", "data": "High at noon."},
                            "title": "Tides",
                        },
                        {"type": "text", "text": "Sum it up."},
                    ],
                }
            ],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        {
            "contents": [
                {
                    "role": "user",
                    "parts": [
                        {
                            "text": """\
<document title="Tides">
High at noon.
</document>\
"""
                        },
                        {"text": "Sum it up."},
                    ],
                }
            ]
        }
    )


def test_sound_as_bytes():
    conversation = Conversation([user("What is said?", Media(kind="audio", data="UklGRg==", media_type="audio/wav"))])
    assert chat(conversation) == snapshot(
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                        {"type": "text", "text": "What is said?"},
                    ],
                }
            ]
        }
    )
    assert responses(conversation) == snapshot("refused: `audio` cannot be expressed in openai_responses")
    assert anthropic(conversation) == snapshot("refused: `audio` cannot be expressed in anthropic")
    assert google(conversation) == snapshot(
        {
            "contents": [
                {
                    "role": "user",
                    "parts": [{"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}}, {"text": "What is said?"}],
                }
            ]
        }
    )


def test_a_video_by_its_address():
    conversation = Conversation(
        [user("What happens?", Media(kind="video", url="https://example.com/a.mp4", media_type="video/mp4"))]
    )
    assert chat(conversation) == snapshot(
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}},
                        {"type": "text", "text": "What happens?"},
                    ],
                }
            ]
        }
    )
    assert responses(conversation) == snapshot("refused: `video` cannot be expressed in openai_responses")
    assert anthropic(conversation) == snapshot("refused: `video` cannot be expressed in anthropic")
    assert google(conversation) == snapshot(
        {
            "contents": [
                {
                    "role": "user",
                    "parts": [
                        {"fileData": {"mimeType": "video/mp4", "fileUri": "https://example.com/a.mp4"}},
                        {"text": "What happens?"},
                    ],
                }
            ]
        }
    )


def test_a_file_that_one_provider_knows():
    conversation = Conversation([user("Sum it up.", Media(kind="document", file_id="file-1"))])
    assert chat(conversation) == snapshot("refused: `file_id` cannot be expressed in openai_chat")
    assert responses(conversation) == snapshot("refused: `file_id` cannot be expressed in openai_responses")
    assert anthropic(conversation) == snapshot("refused: `file_id` cannot be expressed in anthropic")
    assert google(conversation) == snapshot("refused: `file_id` cannot be expressed in google")
