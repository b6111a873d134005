"""The code blocks of an answer."""

import pytest

from modelbay.stored_chats.code_blocks import CodeBlock, code_blocks


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("no code, only `this`", []),
        ("```python title=x\na()\n\nb()\n```", [("python", "a()\n\nb()")]),
        ("````markdown\n```\ninner\n```\n````", [("markdown", "```\ninner\n```")]),
        ("1. first\n   ```sh\n   ls\n     -l\n   ```\n", [("sh", "ls\n  -l")]),
        ("~~~\nstill open", [("", "still open")]),
        ("    indented\n", [("", "indented")]),
        ("```\n\n```", []),
    ],
)
def test_every_code_block_is_found_without_its_fences(text: str, blocks: list[tuple[str, str]]):
    assert code_blocks(text) == [CodeBlock(*block) for block in blocks]
