"""Everything else that a request can ask for."""

from inline_snapshot import snapshot

from modelbay.conversation import Conversation, OutputFormat, Reasoning, Settings, Text, Turn, user
from tests.conversations.rendering import anthropic, chat, google, responses

ASK = user("High or low?")
SCHEMA = {
    "type": "object",
    "properties": {"tide": {"type": "string", "enum": ["high", "low"]}},
    "required": ["tide"],
    "additionalProperties": False,
}


def test_sampling():
    conversation = Conversation(
        [ASK], Settings(temperature=0.5, top_p=0.9, seed=7, frequency_penalty=0.1, presence_penalty=0.2, top_k=40)
    )
    assert chat(conversation) == snapshot(
        (
            {
                "messages": [{"role": "user", "content": "High or low?"}],
                "temperature": 0.5,
                "top_p": 0.9,
                "frequency_penalty": 0.1,
                "presence_penalty": 0.2,
                "seed": 7,
            },
            ["`top_k` is not sent: openai_chat has no field for it"],
        )
    )
    assert responses(conversation) == snapshot(
        (
            {"input": [{"role": "user", "content": "High or low?"}], "temperature": 0.5, "top_p": 0.9, "store": False},
            [
                "`top_k` is not sent: openai_responses has no field for it",
                "`frequency_penalty` is not sent: openai_responses has no field for it",
                "`presence_penalty` is not sent: openai_responses has no field for it",
                "`seed` is not sent: openai_responses has no field for it",
            ],
        )
    )
    assert anthropic(conversation) == snapshot(
        (
            {
                "messages": [{"role": "user", "content": [{"type": "text", "text": "High or low?"}]}],
                "temperature": 0.5,
                "top_k": 40,
                "max_tokens": 8192,
            },
            [
                "`frequency_penalty` is not sent: anthropic has no field for it",
                "`presence_penalty` is not sent: anthropic has no field for it",
                "`seed` is not sent: anthropic has no field for it",
                "`top_p` is not sent: it cannot be set together with `temperature`",
            ],
        )
    )
    assert google(conversation) == snapshot(
        {
            "contents": [{"role": "user", "parts": [{"text": "High or low?"}]}],
            "generationConfig": {
                "temperature": 0.5,
                "topP": 0.9,
                "topK": 40,
                "seed": 7,
                "presencePenalty": 0.2,
                "frequencyPenalty": 0.1,
            },
        }
    )


def test_a_high_temperature():
    conversation = Conversation([ASK], Settings(temperature=1.5))
    assert chat(conversation) == snapshot(
        {"messages": [{"role": "user", "content": "High or low?"}], "temperature": 1.5}
    )
    assert responses(conversation) == snapshot(
        {"input": [{"role": "user", "content": "High or low?"}], "temperature": 1.5, "store": False}
    )
    assert anthropic(conversation) == snapshot(
        (
            {
                "messages": [{"role": "user", "content": [{"type": "text", "text": "High or low?"}]}],
                "temperature": 1.0,
                "max_tokens": 8192,
            },
            ["temperature 1.5 is sent as 1: anthropic accepts 0 to 1"],
        )
    )
    assert google(conversation) == snapshot(
        {"contents": [{"role": "user", "parts": [{"text": "High or low?"}]}], "generationConfig": {"temperature": 1.5}}
    )


def test_stop_sequences():
    conversation = Conversation([ASK], Settings(stop=["END", "Low"]))
    assert chat(conversation) == snapshot(
        {"messages": [{"role": "user", "content": "High or low?"}], "stop": ["END", "Low"]}
    )
    assert responses(conversation) == snapshot({"input": [{"role": "user", "content": "High or low?"}], "store": False})
    assert anthropic(conversation) == snapshot(
        {
            "messages": [{"role": "user", "content": [{"type": "text", "text": "High or low?"}]}],
            "stop_sequences": ["END", "Low"],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        {
            "contents": [{"role": "user", "parts": [{"text": "High or low?"}]}],
            "generationConfig": {"stopSequences": ["END", "Low"]},
        }
    )


def test_a_stop_sequence_of_white_space():
    conversation = Conversation([ASK], Settings(stop=[" "]))
    assert chat(conversation) == snapshot({"messages": [{"role": "user", "content": "High or low?"}], "stop": [" "]})
    assert responses(conversation) == snapshot({"input": [{"role": "user", "content": "High or low?"}], "store": False})
    assert anthropic(conversation) == snapshot(
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "High or low?"}]}], "max_tokens": 8192}
    )
    assert google(conversation) == snapshot(
        {
            "contents": [{"role": "user", "parts": [{"text": "High or low?"}]}],
            "generationConfig": {"stopSequences": [" "]},
        }
    )


def test_a_limit_of_tokens():
    conversation = Conversation([ASK], Settings(max_output_tokens=100))
    assert chat(conversation) == snapshot(
        {"messages": [{"role": "user", "content": "High or low?"}], "max_tokens": 100}
    )
    assert responses(conversation) == snapshot(
        {"input": [{"role": "user", "content": "High or low?"}], "max_output_tokens": 100, "store": False}
    )
    assert anthropic(conversation) == snapshot(
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "High or low?"}]}], "max_tokens": 100}
    )
    assert google(conversation) == snapshot(
        {
            "contents": [{"role": "user", "parts": [{"text": "High or low?"}]}],
            "generationConfig": {"maxOutputTokens": 100},
        }
    )


def test_an_answer_by_a_schema():
    conversation = Conversation(
        [ASK],
        Settings(output_format=OutputFormat("json_schema", SCHEMA, name="tide", description="A tide", strict=True)),
    )
    assert chat(conversation) == snapshot(
        {
            "messages": [{"role": "user", "content": "High or low?"}],
            "response_format": {
                "type": "json_schema",
                "json_schema": {
                    "name": "tide",
                    "schema": {
                        "type": "object",
                        "properties": {"tide": {"type": "string", "enum": ["high", "low"]}},
                        "required": ["tide"],
                        "additionalProperties": False,
                    },
                    "description": "A tide",
                    "strict": True,
                },
            },
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [{"role": "user", "content": "High or low?"}],
            "text": {
                "format": {
                    "type": "json_schema",
                    "name": "tide",
                    "schema": {
                        "type": "object",
                        "properties": {"tide": {"type": "string", "enum": ["high", "low"]}},
                        "required": ["tide"],
                        "additionalProperties": False,
                    },
                    "strict": True,
                    "description": "A tide",
                }
            },
            "store": False,
        }
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [{"role": "user", "content": [{"type": "text", "text": "High or low?"}]}],
            "max_tokens": 8192,
            "output_config": {
                "format": {
                    "type": "json_schema",
                    "schema": {
                        "type": "object",
                        "properties": {"tide": {"type": "string", "enum": ["high", "low"]}},
                        "required": ["tide"],
                        "additionalProperties": False,
                    },
                }
            },
        }
    )
    assert google(conversation) == snapshot(
        {
            "contents": [{"role": "user", "parts": [{"text": "High or low?"}]}],
            "generationConfig": {
                "responseMimeType": "application/json",
                "responseJsonSchema": {
                    "type": "object",
                    "properties": {"tide": {"type": "string", "enum": ["high", "low"]}},
                    "required": ["tide"],
                    "additionalProperties": False,
                },
            },
        }
    )


def test_an_answer_that_is_json():
    conversation = Conversation([ASK], Settings(output_format=OutputFormat("json")))
    assert chat(conversation) == snapshot(
        {
            "messages": [
                {"role": "developer", "content": "Answer with a JSON object."},
                {"role": "user", "content": "High or low?"},
            ],
            "response_format": {"type": "json_object"},
        }
    )
    assert responses(conversation) == snapshot(
        {
            "input": [
                {"role": "developer", "content": "Answer with a JSON object."},
                {"role": "user", "content": "High or low?"},
            ],
            "text": {"format": {"type": "json_object"}},
            "store": False,
        }
    )
    assert anthropic(conversation) == snapshot(
        {
            "system": "Answer with one JSON object and nothing else.",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "High or low?"}]}],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        {
            "contents": [{"role": "user", "parts": [{"text": "High or low?"}]}],
            "generationConfig": {"responseMimeType": "application/json"},
        }
    )


def test_little_thinking():
    conversation = Conversation([ASK], Settings(reasoning=Reasoning(effort="low")))
    assert chat(conversation) == snapshot(
        (
            {"messages": [{"role": "user", "content": "High or low?"}], "reasoning_effort": "low"},
            ["unknown whether m has the effort `low`; it is sent unchanged"],
        )
    )
    assert responses(conversation) == snapshot(
        (
            {
                "input": [{"role": "user", "content": "High or low?"}],
                "store": False,
                "reasoning": {"effort": "low", "summary": "auto"},
                "include": ["reasoning.encrypted_content"],
            },
            ["unknown whether m has the effort `low`; it is sent unchanged"],
        )
    )
    assert anthropic(conversation) == snapshot(
        (
            {
                "messages": [{"role": "user", "content": [{"type": "text", "text": "High or low?"}]}],
                "max_tokens": 8192,
                "thinking": {"type": "enabled", "budget_tokens": 1024},
            },
            ["unknown whether m has the effort `low`; it is sent unchanged"],
        )
    )
    assert google(conversation) == snapshot(
        (
            {
                "contents": [{"role": "user", "parts": [{"text": "High or low?"}]}],
                "generationConfig": {"thinkingConfig": {"thinkingBudget": 1024, "includeThoughts": True}},
            },
            ["unknown whether m has the effort `low`; it is sent unchanged"],
        )
    )


def test_a_budget_for_thinking():
    conversation = Conversation([ASK], Settings(reasoning=Reasoning(enabled=True, budget=2000)))
    assert chat(conversation) == snapshot(
        (
            {"messages": [{"role": "user", "content": "High or low?"}], "reasoning_effort": "low"},
            ["a budget of 2000 thinking tokens is sent as effort `low`"],
        )
    )
    assert responses(conversation) == snapshot(
        (
            {
                "input": [{"role": "user", "content": "High or low?"}],
                "store": False,
                "reasoning": {"effort": "low", "summary": "auto"},
                "include": ["reasoning.encrypted_content"],
            },
            ["a budget of 2000 thinking tokens is sent as effort `low`"],
        )
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [{"role": "user", "content": [{"type": "text", "text": "High or low?"}]}],
            "max_tokens": 8192,
            "thinking": {"type": "enabled", "budget_tokens": 2000},
        }
    )
    assert google(conversation) == snapshot(
        {
            "contents": [{"role": "user", "parts": [{"text": "High or low?"}]}],
            "generationConfig": {"thinkingConfig": {"thinkingBudget": 2000, "includeThoughts": True}},
        }
    )


def test_no_thinking():
    conversation = Conversation([ASK], Settings(reasoning=Reasoning(enabled=False)))
    assert chat(conversation) == snapshot(
        (
            {"messages": [{"role": "user", "content": "High or low?"}], "reasoning_effort": "none"},
            ["unknown whether m can turn off thinking; the effort `off` is sent"],
        )
    )
    assert responses(conversation) == snapshot(
        (
            {"input": [{"role": "user", "content": "High or low?"}], "store": False, "reasoning": {"effort": "none"}},
            ["unknown whether m can turn off thinking; the effort `off` is sent"],
        )
    )
    assert anthropic(conversation) == snapshot(
        (
            {
                "messages": [{"role": "user", "content": [{"type": "text", "text": "High or low?"}]}],
                "max_tokens": 8192,
                "thinking": {"type": "disabled"},
            },
            ["unknown whether m can turn off thinking; the effort `off` is sent"],
        )
    )
    assert google(conversation) == snapshot(
        (
            {
                "contents": [{"role": "user", "parts": [{"text": "High or low?"}]}],
                "generationConfig": {"thinkingConfig": {"thinkingBudget": 0}},
            },
            ["unknown whether m can turn off thinking; the effort `off` is sent"],
        )
    )


def test_a_user_and_labels():
    conversation = Conversation(
        [ASK], Settings(user="u1", metadata={"job": "tides"}, cache_key="k1", service_tier="flex")
    )
    assert chat(conversation) == snapshot(
        (
            {
                "messages": [{"role": "user", "content": "High or low?"}],
                "service_tier": "flex",
                "metadata": {"job": "tides"},
                "user": "u1",
            },
            ["`cache_key` is not sent: unknown whether this endpoint accepts it"],
        )
    )
    assert responses(conversation) == snapshot(
        {
            "input": [{"role": "user", "content": "High or low?"}],
            "service_tier": "flex",
            "metadata": {"job": "tides"},
            "prompt_cache_key": "k1",
            "user": "u1",
            "store": False,
        }
    )
    assert anthropic(conversation) == snapshot(
        (
            {
                "messages": [{"role": "user", "content": [{"type": "text", "text": "High or low?"}]}],
                "max_tokens": 8192,
                "metadata": {"user_id": "u1"},
            },
            [
                "`service_tier` is not sent: anthropic has no field for it",
                "`metadata` is not sent: anthropic has no field for it",
                "`cache_key` is not sent: anthropic has no field for it",
            ],
        )
    )
    assert google(conversation) == snapshot(
        (
            {"contents": [{"role": "user", "parts": [{"text": "High or low?"}]}], "serviceTier": "flex"},
            [
                "`metadata` is not sent: google has no field for it",
                "`user` is not sent: google has no field for it",
                "`cache_key` is not sent: google has no field for it",
            ],
        )
    )


def test_token_probabilities():
    conversation = Conversation([ASK], Settings(logprobs=True, top_logprobs=3))
    assert chat(conversation) == snapshot(
        {"messages": [{"role": "user", "content": "High or low?"}], "logprobs": True, "top_logprobs": 3}
    )
    assert responses(conversation) == snapshot(
        {
            "input": [{"role": "user", "content": "High or low?"}],
            "top_logprobs": 3,
            "store": False,
            "include": ["message.output_text.logprobs"],
        }
    )
    assert anthropic(conversation) == snapshot("refused: `logprobs` cannot be expressed in anthropic")
    assert google(conversation) == snapshot(
        {
            "contents": [{"role": "user", "parts": [{"text": "High or low?"}]}],
            "generationConfig": {"responseLogprobs": True, "logprobs": 3},
        }
    )


def test_two_choices():
    conversation = Conversation([ASK], Settings(n=2))
    assert chat(conversation) == snapshot("refused: `n` cannot be expressed in openai_chat")
    assert responses(conversation) == snapshot("refused: `n` cannot be expressed in openai_responses")
    assert anthropic(conversation) == snapshot("refused: `n` cannot be expressed in anthropic")
    assert google(conversation) == snapshot("refused: `n` cannot be expressed in google")


def test_a_stream():
    conversation = Conversation([ASK], stream=True, include_usage=True)
    assert chat(conversation) == snapshot(
        {
            "messages": [{"role": "user", "content": "High or low?"}],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    )
    assert responses(conversation) == snapshot(
        {"input": [{"role": "user", "content": "High or low?"}], "stream": True, "store": False}
    )
    assert anthropic(conversation) == snapshot(
        {
            "messages": [{"role": "user", "content": [{"type": "text", "text": "High or low?"}]}],
            "stream": True,
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot({"contents": [{"role": "user", "parts": [{"text": "High or low?"}]}]})


def test_cache_marks():
    conversation = Conversation(
        [
            Turn("system", [Text(text="You are a pilot.", cache={"type": "ephemeral", "ttl": "1h"})]),
            Turn("user", [Text(text="The log.", cache={"type": "ephemeral"}), Text(text="High or low?")]),
        ]
    )
    assert chat(conversation) == snapshot(
        (
            {
                "messages": [
                    {"role": "system", "content": "You are a pilot."},
                    {
                        "role": "user",
                        "content": [{"type": "text", "text": "The log."}, {"type": "text", "text": "High or low?"}],
                    },
                ]
            },
            ["`cache_marks` is not sent: openai_chat has no field for it"],
        )
    )
    assert responses(conversation) == snapshot(
        (
            {
                "instructions": "You are a pilot.",
                "input": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "input_text", "text": "The log."},
                            {"type": "input_text", "text": "High or low?"},
                        ],
                    }
                ],
                "store": False,
            },
            ["`cache_marks` is not sent: openai_responses has no field for it"],
        )
    )
    assert anthropic(conversation) == snapshot(
        {
            "system": [
                {"type": "text", "text": "You are a pilot.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
            ],
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "The log.", "cache_control": {"type": "ephemeral"}},
                        {"type": "text", "text": "High or low?"},
                    ],
                }
            ],
            "max_tokens": 8192,
        }
    )
    assert google(conversation) == snapshot(
        (
            {
                "systemInstruction": {"parts": [{"text": "You are a pilot."}]},
                "contents": [{"role": "user", "parts": [{"text": "The log."}, {"text": "High or low?"}]}],
            },
            ["`cache_marks` is not sent: google has no field for it"],
        )
    )


def test_an_unknown_field_is_dropped_with_a_warning():
    conversation = Conversation([ASK], Settings(extra={"top_a": 0.5}))
    assert chat(conversation) == snapshot(
        (
            {"messages": [{"role": "user", "content": "High or low?"}]},
            ["`top_a` is not sent: openai_chat has no field for it"],
        )
    )
    assert responses(conversation) == snapshot(
        (
            {"input": [{"role": "user", "content": "High or low?"}], "store": False},
            ["`top_a` is not sent: openai_responses has no field for it"],
        )
    )
    assert anthropic(conversation) == snapshot(
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "High or low?"}]}], "max_tokens": 8192},
            ["`top_a` is not sent: anthropic has no field for it"],
        )
    )
    assert google(conversation) == snapshot(
        (
            {"contents": [{"role": "user", "parts": [{"text": "High or low?"}]}]},
            ["`top_a` is not sent: google has no field for it"],
        )
    )


def test_state_that_a_provider_keeps():
    conversation = Conversation([ASK], Settings(state={"previous_response_id": "resp_1"}))
    assert chat(conversation) == snapshot("refused: `previous_response_id` cannot be expressed in openai_chat")
    assert responses(conversation) == snapshot(
        "refused: `previous_response_id` cannot be expressed in openai_responses"
    )
    assert anthropic(conversation) == snapshot("refused: `previous_response_id` cannot be expressed in anthropic")
    assert google(conversation) == snapshot("refused: `previous_response_id` cannot be expressed in google")
