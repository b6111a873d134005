"""Tools that are offered."""

from inline_snapshot import snapshot

from modelbay.conversation import Conversation, Settings, Tool, user
from tests.conversations.rendering import FREEFORM, anthropic, chat, google, responses

TIDE = Tool(
    name="tide",
    description="The tide at a place",
    schema={"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
)
NOW = Tool(name="now", description="The time", schema={"type": "object", "properties": {}})
ASK = user("High or low at Brest?")


def test_a_strict_tool():
    conversation = Conversation(
        [ASK], Settings(tools=[Tool(name="tide", schema={**TIDE.schema, "additionalProperties": False}, strict=True)])
    )
    assert chat(conversation) == snapshot(
        {
            "messages": [{"role": "user", "content": "High or low at Brest?"}],
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "tide",
                        "parameters": {
                            "type": "object",
                            "properties": {"place": {"type": "string"}},
                            "required": ["place"],
                            "additionalProperties": False,
                        },
                        "strict": True,
                    },
                }
            ],
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [{"role": "user", "content": "High or low at Brest?"}],
            "tools": [
                {
                    "type": "function",
                    "name": "tide",
                    "parameters": {
                        "type": "object",
                        "properties": {"place": {"type": "string"}},
                        "required": ["place"],
                        "additionalProperties": False,
                    },
                    "strict": True,
                }
            ],
            "store": False,
        }
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [{"role": "user", "content": [{"type": "text", "text": "High or low at Brest?"}]}],
            "max_tokens": 8192,
            "tools": [
                {
                    "name": "tide",
                    "input_schema": {
                        "type": "object",
                        "properties": {"place": {"type": "string"}},
                        "required": ["place"],
                        "additionalProperties": False,
                    },
                    "strict": True,
                }
            ],
        }
    )
    assert google(conversation) == snapshot(
        (
            {
                "contents": [{"role": "user", "parts": [{"text": "High or low at Brest?"}]}],
                "tools": [
                    {
                        "functionDeclarations": [
                            {
                                "name": "tide",
                                "parametersJsonSchema": {
                                    "type": "object",
                                    "properties": {"place": {"type": "string"}},
                                    "required": ["place"],
                                    "additionalProperties": False,
                                },
                            }
                        ]
                    }
                ],
            },
            ["`tools.strict` is not sent: google has no field for it"],
        )
    )


def test_a_tool_without_a_schema():
    conversation = Conversation([ASK], Settings(tools=[Tool(name="now")]))
    assert chat(conversation) == snapshot(
        {
            "messages": [{"role": "user", "content": "High or low at Brest?"}],
            "tools": [{"type": "function", "function": {"name": "now"}}],
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [{"role": "user", "content": "High or low at Brest?"}],
            "tools": [
                {"type": "function", "name": "now", "parameters": {"type": "object", "properties": {}}, "strict": False}
            ],
            "store": False,
        }
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [{"role": "user", "content": [{"type": "text", "text": "High or low at Brest?"}]}],
            "max_tokens": 8192,
            "tools": [{"name": "now", "input_schema": {"type": "object", "properties": {}}}],
        }
    )
    assert google(conversation) == snapshot(
        {
            "contents": [{"role": "user", "parts": [{"text": "High or low at Brest?"}]}],
            "tools": [{"functionDeclarations": [{"name": "now"}]}],
        }
    )


def test_a_freeform_tool():
    conversation = Conversation(
        [ASK],
        Settings(tools=[Tool("freeform", name="patch", description="Writes a patch", grammar={"type": "text"})]),
    )
    assert chat(conversation, dialect=FREEFORM) == snapshot(
        {
            "messages": [{"role": "user", "content": "High or low at Brest?"}],
            "tools": [
                {
                    "type": "custom",
                    "custom": {"name": "patch", "description": "Writes a patch", "format": {"type": "text"}},
                }
            ],
        }
    )
    assert responses(conversation, dialect=FREEFORM) == snapshot(
        {
            "input": [{"role": "user", "content": "High or low at Brest?"}],
            "tools": [{"type": "custom", "name": "patch", "description": "Writes a patch", "format": {"type": "text"}}],
            "store": False,
        }
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [{"role": "user", "content": [{"type": "text", "text": "High or low at Brest?"}]}],
            "max_tokens": 8192,
            "tools": [
                {
                    "name": "patch",
                    "description": """\
Writes a patch

Here the tool is called as a function. Its whole text is the value of `input`, without anything around it.\
""",
                    "input_schema": {
                        "type": "object",
                        "properties": {"input": {"type": "string", "description": "The whole text of the call."}},
                        "required": ["input"],
                        "additionalProperties": False,
                    },
                }
            ],
        }
    )
    assert google(conversation) == snapshot(
        {
            "contents": [{"role": "user", "parts": [{"text": "High or low at Brest?"}]}],
            "tools": [
                {
                    "functionDeclarations": [
                        {
                            "name": "patch",
                            "description": """\
Writes a patch

Here the tool is called as a function. Its whole text is the value of `input`, without anything around it.\
""",
                            "parametersJsonSchema": {
                                "type": "object",
                                "properties": {
                                    "input": {"type": "string", "description": "The whole text of the call."}
                                },
                                "required": ["input"],
                                "additionalProperties": False,
                            },
                        }
                    ]
                }
            ],
        }
    )


def test_a_vendor_s_own_tool_beside_ours():
    conversation = Conversation(
        [ASK],
        Settings(tools=[TIDE, Tool("vendor", name="web_search", native="web_search", raw={"type": "web_search"})]),
    )
    assert chat(conversation) == snapshot(
        (
            {
                "messages": [{"role": "user", "content": "High or low at Brest?"}],
                "tools": [
                    {
                        "type": "function",
                        "function": {
                            "name": "tide",
                            "description": "The tide at a place",
                            "parameters": {
                                "type": "object",
                                "properties": {"place": {"type": "string"}},
                                "required": ["place"],
                            },
                        },
                    }
                ],
            },
            ["`web_search` is not sent: only the request's own protocol has this tool"],
        )
    )
    assert responses(conversation) == snapshot(
        (
            {
                "input": [{"role": "user", "content": "High or low at Brest?"}],
                "tools": [
                    {
                        "type": "function",
                        "name": "tide",
                        "description": "The tide at a place",
                        "parameters": {
                            "type": "object",
                            "properties": {"place": {"type": "string"}},
                            "required": ["place"],
                        },
                        "strict": False,
                    }
                ],
                "store": False,
            },
            ["`web_search` is not sent: only the request's own protocol has this tool"],
        )
    )
    assert anthropic(conversation) == snapshot(
        (
            {
                "messages": [{"role": "user", "content": [{"type": "text", "text": "High or low at Brest?"}]}],
                "max_tokens": 8192,
                "tools": [
                    {
                        "name": "tide",
                        "description": "The tide at a place",
                        "input_schema": {
                            "type": "object",
                            "properties": {"place": {"type": "string"}},
                            "required": ["place"],
                        },
                    }
                ],
            },
            ["`web_search` is not sent: only the request's own protocol has this tool"],
        )
    )
    assert google(conversation) == snapshot(
        (
            {
                "contents": [{"role": "user", "parts": [{"text": "High or low at Brest?"}]}],
                "tools": [
                    {
                        "functionDeclarations": [
                            {
                                "name": "tide",
                                "description": "The tide at a place",
                                "parametersJsonSchema": {
                                    "type": "object",
                                    "properties": {"place": {"type": "string"}},
                                    "required": ["place"],
                                },
                            }
                        ]
                    }
                ],
            },
            ["`web_search` is not sent: only the request's own protocol has this tool"],
        )
    )
