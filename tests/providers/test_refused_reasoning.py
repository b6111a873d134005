"""Reasoning state that a provider refuses is removed from the history, in each protocol."""

from copy import deepcopy
from typing import Any

import pytest

from modelbay.errors import BadRequest
from modelbay.providers.refused_reasoning import without_reasoning

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
        (ANTHROPIC, {"messages": [None, {"role": "assistant", "content": [None]}], "input": [1], "contents": {}}, None),
    ],
)  # fmt: skip
def test_the_state_in_the_history_is_removed(
    message: str, body: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    assert edited(message, body) == expected


def test_the_code_of_the_error_is_enough() -> None:
    body = {"input": [{"type": "reasoning", "encrypted_content": "x"}]}
    assert edited("No.", body, "invalid_encrypted_content") == {"input": []}
    assert edited("No.", body) is None
