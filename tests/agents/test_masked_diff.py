"""The diff of an agent's file: secrets are masked, and choices of the agent are shown."""

import pytest

from modelbay.agents.file_text import FileSyntax
from modelbay.agents.journal import BoundSettings
from modelbay.agents.masked_diff import unified

ENTRY = BoundSettings(("model",), (("baseUrl",),), (("envKey",),), ("model",))


def diff(text: str) -> str:
    return unified("", text, "settings.json", FileSyntax("json"), [ENTRY])


@pytest.mark.parametrize(
    "text",
    [
        '{"security": {"auth": {"selectedType": "anthropic"}}}',
        '{"security": {"auth": {"selectedType": "gemini-api-key"}}}',
        '{"tokenSource": "keychain"}',
        '{"model": {"envKey": "ACME_API_KEY"}}',
        '{"key_env": "ACME_TOKEN"}',
    ],
)
def test_choices_and_names_of_variables_are_shown(text: str) -> None:
    assert f"+{text}" in diff(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"auth": {"selectedType": "hidden2"}}',
        '{"tokenSource": "sk-hidden-0123456789"}',
        '{"tokenType": "hiddenhiddenhidden"}',
        '{"security": {"auth": {"apiKey": "hidden"}}}',
        '{"model": {"envKey": "HIDDEN0EXAMPLE"}}',
        '{"model": {"envKey": "HIDDEN_EXAMPLE"}}',
        '{"model": {"envKey": "hidden_api_key"}}',
        '{"apiKey": "HIDDEN_API_KEY"}',
        '{"headers": {"X-Token-Type": "hidden"}}',
        '{"env": {"TOKEN_SOURCE": "hidden"}}',
    ],
)
def test_values_that_may_be_secret_are_masked(text: str) -> None:
    assert "hidden" not in diff(text).lower()
