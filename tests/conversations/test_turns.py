"""Roles of turns and their order."""

from inline_snapshot import snapshot

from modelbay.conversation import Conversation, Text, Turn, user
from tests.conversations.rendering import anthropic, chat, google, responses


def test_a_question():
    conversation = Conversation([user("Why is the sea salty?")])
    assert chat(conversation) == snapshot({"messages": [{"role": "user", "content": "Why is the sea salty?"}]})
    assert responses(conversation) == snapshot(
        {"input": [{"role": "user", "content": "Why is the sea salty?"}], "store": False}
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Why is the sea salty?"}]}],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        {"contents": [{"role": "user", "parts": [{"text": "Why is the sea salty?"}]}]}
    )


def test_a_system_prompt_and_an_earlier_exchange():
    conversation = Conversation(
        [
            Turn("system", [Text(text="You are a harbour pilot.")]),
            user("Hello"),
            Turn("assistant", [Text(text="Ahoy.")]),
            user("Which way to the bay?"),
        ]
    )
    assert chat(conversation) == snapshot(
        {
            "messages": [
                {"role": "system", "content": "You are a harbour pilot."},
                {"role": "user", "content": "Hello"},
                {"role": "assistant", "content": "Ahoy."},
                {"role": "user", "content": "Which way to the bay?"},
            ]
        }
    )
    assert responses(conversation) == snapshot(
        {
            "instructions": "You are a harbour pilot.",
            "input": [
                {"role": "user", "content": "Hello"},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Ahoy."}]},
                {"role": "user", "content": "Which way to the bay?"},
            ],
            "store": False,
        }
    )
    assert anthropic(conversation) == snapshot(
        {
            "system": "You are a harbour pilot.",
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
                {"role": "assistant", "content": [{"type": "text", "text": "Ahoy."}]},
                {"role": "user", "content": [{"type": "text", "text": "Which way to the bay?"}]},
            ],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        {
            "systemInstruction": {"parts": [{"text": "You are a harbour pilot."}]},
            "contents": [
                {"role": "user", "parts": [{"text": "Hello"}]},
                {"role": "model", "parts": [{"text": "Ahoy."}]},
                {"role": "user", "parts": [{"text": "Which way to the bay?"}]},
            ],
        }
    )


def test_a_developer_s_instructions():
    conversation = Conversation([Turn("developer", [Text(text="Answer in one word.")]), user("Port or starboard?")])
    assert chat(conversation) == snapshot(
        {
            "messages": [
                {"role": "developer", "content": "Answer in one word."},
                {"role": "user", "content": "Port or starboard?"},
            ]
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [
                {"role": "developer", "content": "Answer in one word."},
                {"role": "user", "content": "Port or starboard?"},
            ],
            "store": False,
        }
    )
    assert anthropic(conversation) == snapshot(
        {
            "system": "Answer in one word.",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Port or starboard?"}]}],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        {
            "systemInstruction": {"parts": [{"text": "Answer in one word."}]},
            "contents": [{"role": "user", "parts": [{"text": "Port or starboard?"}]}],
        }
    )


def test_system_prompts_at_the_start_and_in_the_midst():
    conversation = Conversation(
        [
            Turn("system", [Text(text="You are a pilot.")]),
            Turn("system", [Text(text="Be brief.")]),
            user("Hello"),
            Turn("assistant", [Text(text="Ahoy.")]),
            Turn("system", [Text(text="The tide is falling.")]),
            user("Which way?"),
        ]
    )
    assert chat(conversation) == snapshot(
        {
            "messages": [
                {"role": "system", "content": "You are a pilot."},
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hello"},
                {"role": "assistant", "content": "Ahoy."},
                {"role": "system", "content": "The tide is falling."},
                {"role": "user", "content": "Which way?"},
            ]
        }
    )
    assert responses(conversation) == snapshot(
        {
            "instructions": """\
You are a pilot.

Be brief.\
""",
            "input": [
                {"role": "user", "content": "Hello"},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Ahoy."}]},
                {"role": "system", "content": "The tide is falling."},
                {"role": "user", "content": "Which way?"},
            ],
            "store": False,
        }
    )
    assert anthropic(conversation) == snapshot(
        {
            "system": [{"type": "text", "text": "You are a pilot."}, {"type": "text", "text": "Be brief."}],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
                {"role": "assistant", "content": [{"type": "text", "text": "Ahoy."}]},
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "text",
                            "text": """\
<system>
The tide is falling.
</system>\
""",
                        },
                        {"type": "text", "text": "Which way?"},
                    ],
                },
            ],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        {
            "systemInstruction": {"parts": [{"text": "You are a pilot."}, {"text": "Be brief."}]},
            "contents": [
                {"role": "user", "parts": [{"text": "Hello"}]},
                {"role": "model", "parts": [{"text": "Ahoy."}]},
                {
                    "role": "user",
                    "parts": [
                        {
                            "text": """\
<system>
The tide is falling.
</system>\
"""
                        },
                        {"text": "Which way?"},
                    ],
                },
            ],
        }
    )


def test_turns_of_one_role_in_a_row():
    conversation = Conversation(
        [
            user("Hello"),
            user("Anybody there?"),
            Turn("assistant", [Text(text="Ahoy.")]),
            Turn("assistant", [Text(text="What is it?")]),
            user("Which way?"),
        ]
    )
    assert chat(conversation) == snapshot(
        {
            "messages": [
                {"role": "user", "content": "Hello"},
                {"role": "user", "content": "Anybody there?"},
                {
                    "role": "assistant",
                    "content": """\
Ahoy.

What is it?\
""",
                },
                {"role": "user", "content": "Which way?"},
            ]
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [
                {"role": "user", "content": "Hello"},
                {"role": "user", "content": "Anybody there?"},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Ahoy."}]},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "What is it?"}]},
                {"role": "user", "content": "Which way?"},
            ],
            "store": False,
        }
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "Hello"}, {"type": "text", "text": "Anybody there?"}],
                },
                {
                    "role": "assistant",
                    "content": [{"type": "text", "text": "Ahoy."}, {"type": "text", "text": "What is it?"}],
                },
                {"role": "user", "content": [{"type": "text", "text": "Which way?"}]},
            ],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        {
            "contents": [
                {"role": "user", "parts": [{"text": "Hello"}, {"text": "Anybody there?"}]},
                {"role": "model", "parts": [{"text": "Ahoy."}, {"text": "What is it?"}]},
                {"role": "user", "parts": [{"text": "Which way?"}]},
            ]
        }
    )


def test_several_texts_in_one_turn():
    conversation = Conversation([Turn("user", [Text(text="First."), Text(text="Second.")])])
    assert chat(conversation) == snapshot(
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "First."}, {"type": "text", "text": "Second."}]}
            ]
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [
                {
                    "role": "user",
                    "content": [{"type": "input_text", "text": "First."}, {"type": "input_text", "text": "Second."}],
                }
            ],
            "store": False,
        }
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "First."}, {"type": "text", "text": "Second."}]}
            ],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        {"contents": [{"role": "user", "parts": [{"text": "First."}, {"text": "Second."}]}]}
    )


def test_an_empty_assistant_turn():
    conversation = Conversation([user("Hello"), Turn("assistant", [Text(text="")]), user("Hello?")])
    assert chat(conversation) == snapshot(
        {
            "messages": [
                {"role": "user", "content": "Hello"},
                {"role": "user", "content": "Hello?"},
            ]
        }
    )
    assert responses(conversation) == snapshot(
        {"input": [{"role": "user", "content": "Hello"}, {"role": "user", "content": "Hello?"}], "store": False}
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Hello"}, {"type": "text", "text": "Hello?"}]}
            ],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        {"contents": [{"role": "user", "parts": [{"text": "Hello"}, {"text": "Hello?"}]}]}
    )


def test_an_empty_text_beside_another():
    conversation = Conversation([Turn("user", [Text(text=""), Text(text="Hello")])])
    assert chat(conversation) == snapshot({"messages": [{"role": "user", "content": "Hello"}]})
    assert responses(conversation) == snapshot({"input": [{"role": "user", "content": "Hello"}], "store": False})
    assert anthropic(conversation) == snapshot(
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}], "max_tokens": 8192}
    )
    assert google(conversation) == snapshot({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]})


def test_a_reply_that_is_begun():
    conversation = Conversation([user("A haiku on tides."), Turn("assistant", [Text(text="The moon pulls ")])])
    assert chat(conversation) == snapshot(
        {
            "messages": [
                {"role": "user", "content": "A haiku on tides."},
                {"role": "assistant", "content": "The moon pulls "},
            ]
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [
                {"role": "user", "content": "A haiku on tides."},
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "The moon pulls "}],
                },
            ],
            "store": False,
        }
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "A haiku on tides."}]},
                {"role": "assistant", "content": [{"type": "text", "text": "The moon pulls"}]},
            ],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        {
            "contents": [
                {"role": "user", "parts": [{"text": "A haiku on tides."}]},
                {"role": "model", "parts": [{"text": "The moon pulls "}]},
            ]
        }
    )


def test_a_speaker_with_a_name():
    conversation = Conversation([Turn("user", [Text(text="Hello")], name="ann")])
    assert chat(conversation) == snapshot({"messages": [{"role": "user", "content": "Hello", "name": "ann"}]})
    assert responses(conversation) == snapshot(
        (
            {"input": [{"role": "user", "content": "Hello"}], "store": False},
            ["`name` is not sent: openai_responses has no field for it"],
        )
    )
    assert anthropic(conversation) == snapshot(
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}], "max_tokens": 8192},
            ["`name` is not sent: anthropic has no field for it"],
        )
    )
    assert google(conversation) == snapshot(
        (
            {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]},
            ["`name` is not sent: google has no field for it"],
        )
    )


def test_names_and_words_of_every_script():
    conversation = Conversation([user("Où est le phare ? 灯台 🚢\u2028")])
    assert chat(conversation) == snapshot(
        {"messages": [{"role": "user", "content": "Où est le phare ? 灯台 🚢\u2028"}]}
    )
    assert responses(conversation) == snapshot(
        {"input": [{"role": "user", "content": "Où est le phare ? 灯台 🚢\u2028"}], "store": False}
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Où est le phare ? 灯台 🚢\u2028"}]}],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        {"contents": [{"role": "user", "parts": [{"text": "Où est le phare ? 灯台 🚢\u2028"}]}]}
    )
