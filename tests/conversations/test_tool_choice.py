"""The choice among tools."""

from inline_snapshot import snapshot

from modelbay.conversation import Conversation, Settings, Tool, ToolChoice, user
from tests.conversations.rendering import anthropic, chat, google, responses

TIDE = Tool(name="tide", schema={"type": "object"})
NOW = Tool(name="now", schema={"type": "object"})
ASK = user("High or low at Brest?")


def test_tools_to_choose_from():
    conversation = Conversation([ASK], Settings(tools=[TIDE, NOW], tool_choice=ToolChoice("auto")))
    assert chat(conversation) == snapshot(
        {
            "messages": [{"role": "user", "content": "High or low at Brest?"}],
            "tools": [
                {"type": "function", "function": {"name": "tide", "parameters": {"type": "object", "properties": {}}}},
                {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
            ],
            "tool_choice": "auto",
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [{"role": "user", "content": "High or low at Brest?"}],
            "tools": [
                {
                    "type": "function",
                    "name": "tide",
                    "parameters": {"type": "object", "properties": {}},
                    "strict": False,
                },
                {
                    "type": "function",
                    "name": "now",
                    "parameters": {"type": "object", "properties": {}},
                    "strict": False,
                },
            ],
            "tool_choice": "auto",
            "store": False,
        }
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [{"role": "user", "content": [{"type": "text", "text": "High or low at Brest?"}]}],
            "max_tokens": 8192,
            "tools": [
                {"name": "tide", "input_schema": {"type": "object"}},
                {"name": "now", "input_schema": {"type": "object"}},
            ],
            "tool_choice": {"type": "auto"},
        }
    )
    assert google(conversation) == snapshot(
        {
            "contents": [{"role": "user", "parts": [{"text": "High or low at Brest?"}]}],
            "tools": [
                {
                    "functionDeclarations": [
                        {"name": "tide", "parametersJsonSchema": {"type": "object", "properties": {}}},
                        {"name": "now", "parametersJsonSchema": {"type": "object", "properties": {}}},
                    ]
                }
            ],
            "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
        }
    )


def test_a_tool_that_must_be_called():
    conversation = Conversation([ASK], Settings(tools=[TIDE, NOW], tool_choice=ToolChoice("tool", ["tide"])))
    assert chat(conversation) == snapshot(
        {
            "messages": [{"role": "user", "content": "High or low at Brest?"}],
            "tools": [
                {"type": "function", "function": {"name": "tide", "parameters": {"type": "object", "properties": {}}}},
                {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
            ],
            "tool_choice": {"type": "function", "function": {"name": "tide"}},
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [{"role": "user", "content": "High or low at Brest?"}],
            "tools": [
                {
                    "type": "function",
                    "name": "tide",
                    "parameters": {"type": "object", "properties": {}},
                    "strict": False,
                },
                {
                    "type": "function",
                    "name": "now",
                    "parameters": {"type": "object", "properties": {}},
                    "strict": False,
                },
            ],
            "tool_choice": {"type": "function", "name": "tide"},
            "store": False,
        }
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [{"role": "user", "content": [{"type": "text", "text": "High or low at Brest?"}]}],
            "max_tokens": 8192,
            "tools": [
                {"name": "tide", "input_schema": {"type": "object"}},
                {"name": "now", "input_schema": {"type": "object"}},
            ],
            "tool_choice": {"type": "tool", "name": "tide"},
        }
    )
    assert google(conversation) == snapshot(
        {
            "contents": [{"role": "user", "parts": [{"text": "High or low at Brest?"}]}],
            "tools": [
                {
                    "functionDeclarations": [
                        {"name": "tide", "parametersJsonSchema": {"type": "object", "properties": {}}},
                        {"name": "now", "parametersJsonSchema": {"type": "object", "properties": {}}},
                    ]
                }
            ],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["tide"]}},
        }
    )


def test_any_tool_but_only_one():
    conversation = Conversation([ASK], Settings(tools=[TIDE, NOW], tool_choice=ToolChoice("required", parallel=False)))
    assert chat(conversation) == snapshot(
        {
            "messages": [{"role": "user", "content": "High or low at Brest?"}],
            "tools": [
                {"type": "function", "function": {"name": "tide", "parameters": {"type": "object", "properties": {}}}},
                {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
            ],
            "parallel_tool_calls": False,
            "tool_choice": "required",
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [{"role": "user", "content": "High or low at Brest?"}],
            "tools": [
                {
                    "type": "function",
                    "name": "tide",
                    "parameters": {"type": "object", "properties": {}},
                    "strict": False,
                },
                {
                    "type": "function",
                    "name": "now",
                    "parameters": {"type": "object", "properties": {}},
                    "strict": False,
                },
            ],
            "parallel_tool_calls": False,
            "tool_choice": "required",
            "store": False,
        }
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [{"role": "user", "content": [{"type": "text", "text": "High or low at Brest?"}]}],
            "max_tokens": 8192,
            "tools": [
                {"name": "tide", "input_schema": {"type": "object"}},
                {"name": "now", "input_schema": {"type": "object"}},
            ],
            "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        }
    )
    assert google(conversation) == snapshot(
        (
            {
                "contents": [{"role": "user", "parts": [{"text": "High or low at Brest?"}]}],
                "tools": [
                    {
                        "functionDeclarations": [
                            {"name": "tide", "parametersJsonSchema": {"type": "object", "properties": {}}},
                            {"name": "now", "parametersJsonSchema": {"type": "object", "properties": {}}},
                        ]
                    }
                ],
                "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
            },
            ["`tool_choice.parallel` is not sent: google has no field for it"],
        )
    )


def test_tools_that_must_not_be_called():
    conversation = Conversation([ASK], Settings(tools=[TIDE], tool_choice=ToolChoice("none")))
    assert chat(conversation) == snapshot(
        {
            "messages": [{"role": "user", "content": "High or low at Brest?"}],
            "tools": [
                {"type": "function", "function": {"name": "tide", "parameters": {"type": "object", "properties": {}}}}
            ],
            "tool_choice": "none",
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [{"role": "user", "content": "High or low at Brest?"}],
            "tools": [
                {
                    "type": "function",
                    "name": "tide",
                    "parameters": {"type": "object", "properties": {}},
                    "strict": False,
                }
            ],
            "tool_choice": "none",
            "store": False,
        }
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [{"role": "user", "content": [{"type": "text", "text": "High or low at Brest?"}]}],
            "max_tokens": 8192,
            "tools": [{"name": "tide", "input_schema": {"type": "object"}}],
            "tool_choice": {"type": "none"},
        }
    )
    assert google(conversation) == snapshot(
        {
            "contents": [{"role": "user", "parts": [{"text": "High or low at Brest?"}]}],
            "tools": [
                {
                    "functionDeclarations": [
                        {"name": "tide", "parametersJsonSchema": {"type": "object", "properties": {}}}
                    ]
                }
            ],
            "toolConfig": {"functionCallingConfig": {"mode": "NONE"}},
        }
    )


def test_some_of_the_tools_allowed():
    conversation = Conversation([ASK], Settings(tools=[TIDE, NOW], tool_choice=ToolChoice("allowed", ["tide"])))
    assert chat(conversation) == snapshot(
        {
            "messages": [{"role": "user", "content": "High or low at Brest?"}],
            "tools": [
                {"type": "function", "function": {"name": "tide", "parameters": {"type": "object", "properties": {}}}},
                {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
            ],
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "tide"}}]},
            },
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [{"role": "user", "content": "High or low at Brest?"}],
            "tools": [
                {
                    "type": "function",
                    "name": "tide",
                    "parameters": {"type": "object", "properties": {}},
                    "strict": False,
                },
                {
                    "type": "function",
                    "name": "now",
                    "parameters": {"type": "object", "properties": {}},
                    "strict": False,
                },
            ],
            "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "tide"}]},
            "store": False,
        }
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [{"role": "user", "content": [{"type": "text", "text": "High or low at Brest?"}]}],
            "max_tokens": 8192,
            "tools": [{"name": "tide", "input_schema": {"type": "object"}}],
            "tool_choice": {"type": "auto"},
        }
    )
    assert google(conversation) == snapshot(
        {
            "contents": [{"role": "user", "parts": [{"text": "High or low at Brest?"}]}],
            "tools": [
                {
                    "functionDeclarations": [
                        {"name": "tide", "parametersJsonSchema": {"type": "object", "properties": {}}},
                        {"name": "now", "parametersJsonSchema": {"type": "object", "properties": {}}},
                    ]
                }
            ],
            "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED", "allowedFunctionNames": ["tide"]}},
        }
    )


def test_a_choice_without_tools():
    conversation = Conversation([ASK], Settings(tools=[], tool_choice=ToolChoice("auto")))
    assert chat(conversation) == snapshot({"messages": [{"role": "user", "content": "High or low at Brest?"}]})
    assert responses(conversation) == snapshot(
        {"input": [{"role": "user", "content": "High or low at Brest?"}], "store": False}
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [{"role": "user", "content": [{"type": "text", "text": "High or low at Brest?"}]}],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        {"contents": [{"role": "user", "parts": [{"text": "High or low at Brest?"}]}]}
    )
