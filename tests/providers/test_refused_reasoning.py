"""Reasoning state that a provider refuses is removed from the history, in each protocol."""

from copy import deepcopy
from typing import Any

import pytest

from modelbay.errors import BadRequest
from modelbay.providers.refused_reasoning import with_placeholders, without_reasoning

ANTHROPIC = "messages.1.content.0: Invalid `signature` in `thinking` block"
OPENAI = (
    "The encrypted content gAAA... could not be verified. Reason: Encrypted content could not be decrypted or parsed."
)
GEMINI = "Corrupted thought signature."
DUMMY = "skip_thought_signature_validator"
THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
CALL = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
USER = {"role": "user", "content": "Hi"}


def edited(message: str, body: dict[str, Any], code: str | None = None) -> dict[str, Any] | None:
    """The body without its state; None if it was not changed."""
    found = deepcopy(body)
    changed = without_reasoning(BadRequest(message, status=400, code=code), found)
    assert changed == (found != body)
    return found if changed else None


def messages(*content: Any, **fields: Any) -> dict[str, Any]:
    return {"messages": [USER, {"role": "assistant", "content": list(content), **fields}, USER]}


def google(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"contents": [{"role": "model", "parts": list(parts)}]}


@pytest.mark.parametrize(
    ("message", "body", "expected"),
    [
        (ANTHROPIC, messages(THINKING, CALL), messages(CALL)),
        ("Invalid `data` in `redacted_thinking` block", messages({"type": "redacted_thinking"}, CALL), messages(CALL)),
        ("`thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified.",
         messages(THINKING, CALL), messages(CALL)),
        (ANTHROPIC, messages(THINKING), {"messages": [USER, USER]}),  # a message must not be empty
        ("messages.1.content.0.thinking.signature: Field required",
         messages({"type": "thinking", "thinking": "Hm."}, CALL), messages(CALL)),
        (ANTHROPIC, messages(CALL), None),
        ("messages.1.content.0: Invalid `type`", messages(THINKING, CALL), None),
        (OPENAI, {"input": [USER, {"type": "reasoning", "id": "rs_1"}, {"type": "function_call", "id": "fc_1"}]},
         {"input": [USER, {"type": "function_call"}]}),
        ("Item 'fc_1' of type 'function_call' was provided without its required 'reasoning' item: 'rs_2'.",
         {"input": [{"type": "reasoning", "id": "rs_1"}, {"role": "user", "id": "msg_1"}]},
         {"input": [{"role": "user", "id": "msg_1"}]}),
        # a client that has removed the reasoning, as Codex does when the model changes
        ("Item 'fc_1' of type 'function_call' was provided without its required 'reasoning' item: 'rs_1'.",
         {"input": [USER, {"type": "function_call", "id": "fc_1"}]}, {"input": [USER, {"type": "function_call"}]}),
        ("Item 'fc_1' of type 'function_call' was provided without its required 'reasoning' item: 'rs_1'.",
         {"input": [USER, {"type": "function_call"}]}, None),
        ("Item 'rs_1' of type 'reasoning' was provided without its required following item.",
         {"input": [{"type": "reasoning", "id": "rs_1"}, USER]}, {"input": [USER]}),
        (OPENAI, {"input": [{"type": "compaction", "encrypted_content": "x"}]}, None),  # it is the history
        (OPENAI, {"input": "Hi"}, None),
        (GEMINI, google({"functionCall": {"name": "f"}, "thoughtSignature": "c2ln"}, {"text": "a", "thought_signature": "c"}),
         google({"functionCall": {"name": "f"}, "thoughtSignature": DUMMY}, {"text": "a"})),
        (GEMINI, google({"functionCall": {"name": "f"}, "thoughtSignature": DUMMY}), None),
        ("Thought signature is not valid",
         messages(tool_calls=[{"id": "a", "function": {}, "extra_content": {"google": {"thought_signature": "c2ln"}}}]),
         messages(tool_calls=[{"id": "a", "function": {}, "extra_content": {"google": {"thought_signature": DUMMY}}}])),
        (ANTHROPIC, messages(reasoning_details=[{"type": "reasoning.text", "signature": "c2ln"}], reasoning="Hm."),
         messages(reasoning="Hm.")),
        (ANTHROPIC, messages(thinking_blocks=[{"type": "thinking", "signature": "c2ln"}], reasoning_content="Hm."),
         messages(reasoning_content="Hm.")),
        ("Thought signature is not valid",
         messages(tool_calls=[{"id": "a", "function": {}, "provider_specific_fields": {"thought_signature": "c2ln"}}]),
         messages(tool_calls=[{"id": "a", "function": {}, "provider_specific_fields": {"thought_signature": DUMMY}}])),
        (ANTHROPIC, {"messages": [None, {"role": "assistant", "content": [None]}], "input": [1], "contents": {}}, None),
    ],
)  # fmt: skip
def test_the_state_in_the_history_is_removed(
    message: str, body: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    assert edited(message, body) == expected


OLD = {"type": "thinking", "thinking": "Once.", "signature": "b2xk"}
UNSIGNED = {"type": "thinking", "thinking": "Elsewhere."}
RESULT = {"type": "tool_result", "tool_use_id": "a", "content": "1"}


def loop(*earlier: Any, current: Any = THINKING) -> dict[str, Any]:
    """A conversation whose last turn waits for the model to go on after a call."""
    turn = [{"role": "assistant", "content": [current, CALL]}, {"role": "user", "content": [RESULT]}]
    return {
        "messages": [USER, {"role": "assistant", "content": [*earlier, {"type": "text", "text": "Hi"}]}, USER, *turn]
    }


@pytest.mark.parametrize("message", [ANTHROPIC, "messages.1.content.0.thinking.signature: Field required"])
def test_thinking_without_a_signature_is_removed_alone(message: str) -> None:
    assert edited(message, loop(UNSIGNED, OLD)) == loop(OLD)
    assert edited(message, loop({**UNSIGNED, "signature": ""}, OLD)) == loop(OLD)


def test_the_state_of_the_current_turn_is_removed_last() -> None:
    earlier = edited(ANTHROPIC, loop(OLD))
    assert earlier == loop()
    rest = edited(ANTHROPIC, earlier)
    assert rest is not None
    assert "signature" not in str(rest)


@pytest.mark.parametrize(
    "message",
    [
        "messages.3.content.0: Invalid `signature` in `thinking` block",
        "`thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified.",
    ],
)
def test_state_of_the_current_turn_that_the_error_is_about_is_removed_at_once(message: str) -> None:
    found = edited(message, loop(OLD))
    assert found is not None
    assert "signature" not in str(found)


def test_items_of_the_current_turn_keep_their_state() -> None:
    old, new = {"type": "reasoning", "id": "rs_1"}, {"type": "reasoning", "id": "rs_2"}
    call: dict[str, Any] = {"type": "function_call", "id": "fc_1", "call_id": "a"}
    result = {"type": "function_call_output", "call_id": "a"}
    assert edited(OPENAI, {"input": [USER, old, USER, new, call, result]}) == {"input": [USER, USER, new, call, result]}
    about_it = "Item 'fc_1' of type 'function_call' was provided without its required 'reasoning' item: 'rs_2'."
    bare = {"type": "function_call", "call_id": "a"}
    assert edited(about_it, {"input": [USER, old, USER, call, result]}) == {"input": [USER, USER, bare, result]}


def test_contents_of_the_current_turn_keep_their_state() -> None:
    said = {"role": "model", "parts": [{"text": "a", "thoughtSignature": "b2xk"}]}
    asked = {"role": "user", "parts": [{"text": "Hi"}]}
    call = {"role": "model", "parts": [{"functionCall": {"name": "f"}, "thoughtSignature": "c2ln"}]}
    result = {"role": "user", "parts": [{"functionResponse": {"name": "f"}}]}
    found = edited(GEMINI, {"contents": [asked, said, asked, call, result]})
    assert found == {"contents": [asked, {"role": "model", "parts": [{"text": "a"}]}, asked, call, result]}


LOST = (
    "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly."
)


def test_calls_without_a_signature_get_a_placeholder() -> None:
    call, signed = {"functionCall": {"name": "f"}}, {"functionCall": {"name": "f"}, "thoughtSignature": "c2ln"}
    body: dict[str, Any] = {
        "contents": [{"parts": [{"text": "Hm.", "thought": True}, call, call]}, {"parts": [signed, call]}, None]
    }
    assert with_placeholders(BadRequest(LOST, status=400), body)
    first = {**call, "thoughtSignature": DUMMY}
    parts = [{"text": "Hm.", "thought": True}, first, call]
    assert body["contents"] == [{"parts": parts}, {"parts": [signed, call]}, None], (
        "only the first call of a step has one"
    )
    assert not with_placeholders(BadRequest(LOST, status=400), body)
    assert not with_placeholders(BadRequest(GEMINI, status=400), {"contents": [{"parts": [call]}]})


def test_calls_at_the_openai_api_of_gemini_get_a_placeholder() -> None:
    body = messages(tool_calls=[{"id": "a", "function": {}}, {"id": "b", "function": {}}])
    assert with_placeholders(BadRequest(LOST, status=400), body)
    signed = {"id": "a", "function": {}, "extra_content": {"google": {"thought_signature": DUMMY}}}
    assert body == messages(tool_calls=[signed, {"id": "b", "function": {}}])
    litellm = messages(
        tool_calls=[{"id": "a", "function": {}, "provider_specific_fields": {"thought_signature": "c2ln"}}]
    )
    assert not with_placeholders(BadRequest(LOST, status=400), litellm)


def test_the_code_of_the_error_is_enough() -> None:
    body = {"input": [{"type": "reasoning", "encrypted_content": "x"}]}
    assert edited("No.", body, "invalid_encrypted_content") == {"input": []}
    assert edited("No.", body) is None
