"""Generates docs/concepts/comparison.md: the programs in examples/, and their lines of code.

    .venv/bin/python -m tools.comparison

A test compares the page with the generated text.
"""

import sys
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
PAGE = ROOT / "docs" / "concepts" / "comparison.md"

LIBRARIES = {"modelbay": "modelbay", "openai": "openai", "litellm": "litellm", "pydantic_ai": "pydantic-ai"}
"""Folders of the programs, with the names of their packages."""


class Task(msgspec.Struct, frozen=True):
    """A program that is written with each library."""

    title: str
    text: str
    notes: dict[str, str] = {}
    """Differences between the libraries, by folder."""


TASKS = {
    "streaming": Task("Streaming", "Print the answer while it arrives, then the token usage."),
    "tool_loop": Task(
        "Tools",
        "The model calls two functions in one reply. Both run at the same time, and the model answers with their results.",
        {
            "modelbay": "An exception of a function is its result, so the model can react to it.",
            "openai": "Calls run at the same time only in a stream. An exception of a function ends the run.",
            "pydantic_ai": "An exception of a function ends the run, except `ModelRetry`.",
        },
    ),
    "typed_output": Task("Typed output", "The answer is a value of a class."),
    "files": Task("Files", "Ask about a PDF and an image."),
    "history": Task(
        "History",
        "Store a conversation in a file, read it, and continue it with a model of another provider.",
        {
            "openai": "Speaks only OpenAI's protocols: Claude is called through Anthropic's compatibility endpoint, which "
            "does not have all features."
        },
    ),
    "classification": Task(
        "Many prompts",
        "Classify 200 reviews, at most 20 at a time. The results are in order, and a failed call does not end the others.",
    ),
    "web_stream": Task(
        "FastAPI",
        "Stream an answer to a browser.",
        {"pydantic_ai": "Combines the text of 0.1 seconds, unless `debounce_by=None` is set."},
    ),
    "notebook": Task(
        "Notebook",
        "Two questions in one conversation, of which the first is answered in a stream, and the tokens of both. Each comment "
        "begins a cell.",
        {
            "openai": "The conversation is stored at OpenAI.",
            "pydantic_ai": "`run_sync` does not work in a notebook, whose event loop is already running.",
        },
    ),
    "fallback": Task(
        "Fallback",
        "Ask a second model if the first one fails, and print who replied.",
        {"openai": "As in *History*: Claude is called through Anthropic's compatibility endpoint."},
    ),
    "embeddings": Task("Embeddings", "Find the text that is nearest to a question."),
}
"""The tasks, by file name."""

HEAD = """\
# Comparison with other libraries

This page is generated from [examples](../../examples) by `make docs`.

The same ten programs, written with modelbay and with other Python libraries. Each one is written as the documentation of its
library shows, is formatted by ruff, and runs in the tests with the real package.

The table counts the lines of a program, with imports and without blank lines and comments. Each library reads its API keys from
outside: modelbay from its [configuration](../guides/vendor.md), the others from environment variables.
"""


def code(library: str, task: str) -> str:
    return (EXAMPLES / library / f"{task}.py").read_text(encoding="utf-8")


def lines(text: str) -> int:
    """The lines of a program, without blank ones and comments."""
    return sum(1 for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))


def page() -> str:
    """The text of the page."""
    counts = [[lines(code(library, task)) for library in LIBRARIES] for task in TASKS]
    rows = [
        f"| [{task.title}](#{task.title.lower().replace(' ', '-')}) | {' | '.join(map(str, row))} |"
        for task, row in zip(TASKS.values(), counts, strict=True)
    ]
    total = " | ".join(str(sum(column)) for column in zip(*counts, strict=True))
    table = [
        f"| program | {' | '.join(LIBRARIES.values())} |",
        "|---|" + "--:|" * len(LIBRARIES),
        *rows,
        f"| all | {total} |",
    ]
    return "\n".join([HEAD, *table, "", *(section(name, task) for name, task in TASKS.items())])


def section(name: str, task: Task) -> str:
    notes = [f"- {LIBRARIES[library]}: {note}" for library, note in task.notes.items()]
    programs = [f"**{title}**\n\n```python\n{code(library, name)}```\n" for library, title in LIBRARIES.items()]
    return "\n".join([f"## {task.title}\n", task.text, *(["", *notes] if notes else []), "", *programs])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.relative_to(ROOT), file=sys.stderr)
