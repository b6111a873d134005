"""The key in pasted text."""

import pytest

from modelbay.credentials.pasted_key import pasted_key

KEY = "sk-planted-0123456789"


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        f"  {KEY}\r\n",
        f'"{KEY}"',
        f"'{KEY}',",
        f"OPENAI_API_KEY={KEY}",
        f'export OPENAI_API_KEY="{KEY}"\n',
        f"set ACME_TOKEN={KEY}",
        f'$env:ACME_TOKEN = "{KEY}"',
        f"ACME_TOKEN={KEY};",
        f'export ACME_TOKEN="{KEY}"  # of the team',
        f"ACME_TOKEN={KEY} && acme",
        f"declare -x ACME_TOKEN='{KEY}'",
        f"  ACME_TOKEN: {KEY}",
        f'"ACME_TOKEN": "{KEY}",',
        f'"api_key": "{KEY}",',
        f'"apiKey": "{KEY}"',
        f"api-key: {KEY}",
        f'api_key = "{KEY}"  # mine',
        f"\ufeff{KEY}\u200b",
        f"“{KEY}”",
        f"Bearer {KEY}",
        f"Authorization: Bearer {KEY}",
        f"x-api-key: {KEY}",
        f"'x-goog-api-key': '{KEY}',",
        f'curl https://a.example/v1/chat/completions \\\n  -H "Content-Type: application/json" \\\n'
        f'  -H "Authorization: Bearer {KEY}" \\\n  -d \'{{"model": "m"}}\'',
        f"curl https://a.example/v1/messages -H x-api-key:{KEY} -d @body",
    ],
)
def test_the_key_is_found(text: str):
    assert pasted_key(text) == KEY


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sk-two words",
        "c2VjcmV0==",
        "ABCDEF=",
        "KEY=abc",
        "{env:OPENAI_API_KEY}",
        "{command:security show --header authorization:x}",
        "Authorization: Basic dXNlcjpwdw==",
        "A_KEY=one\nB_KEY=two",
        "A_KEY=two words",
        "A_KEY:secret",
        '"A_KEY": "one", "B_KEY": "two"',
        '"',
        '"unbalanced',
    ],
)
def test_another_text_stays(text: str):
    assert pasted_key(text) == text
