"""The code blocks of an answer."""

from typing import NamedTuple


class CodeBlock(NamedTuple):
    language: str
    text: str

    @property
    def lines(self) -> int:
        return self.text.count("\n") + 1


def code_blocks(text: str) -> list[CodeBlock]:
    """Every code block of a Markdown text, including those in lists and quotations, without their fences and indentation."""
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").parse(text)
    blocks = [token for token in tokens if token.type in ("fence", "code_block") and token.content.strip()]
    return [CodeBlock((token.info.split() or [""])[0], token.content.removesuffix("\n")) for token in blocks]
