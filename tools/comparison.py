"""Generates docs/concepts/comparison.md: the programs in examples/, and their lines of code.

    .venv/bin/python -m tools.comparison

A test compares the page with the generated text.
"""

import sys
import tomllib
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
PAGE = ROOT / "docs" / "concepts" / "comparison.md"

LIBRARIES = {"modelbay": "modelbay", "openai": "openai", "litellm": "litellm", "pydantic_ai": "pydantic-ai"}
"""Folders of the programs, with the names of their packages."""
PACKAGES = {"openai": "openai", "litellm": "litellm", "pydantic-ai": "pydantic-ai-slim"}
"""The packages that the tests install, by library."""


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

<!-- generated from examples/: `make docs` -->

The same ten programs with modelbay and with other Python libraries. The numbers are lines of code, with imports and without blank
lines and comments. Select a program to read it with each library.

TABLE
Each program is written as the documentation of its library shows, is formatted by ruff, and runs in the tests with the real
package: VERSIONS. Two things are outside of the programs:

- **API keys**: modelbay reads them from its [configuration](../guides/vendor.md), the others from environment variables.
- **The model**: modelbay's programs use the default model of the configuration, the others name a model.

## When another library fits better

| you need | use |
|---|---|
| OpenAI's other APIs, such as batch jobs, fine-tuning, vector stores and realtime sessions | openai |
| images, speech, transcription, reranking and batch jobs of many vendors, or requests signed for AWS | litellm |
| agents with injected dependencies, graphs, MCP servers or durable runs | pydantic-ai |

Agents of pydantic-ai can [use your models](../guides/integrations.md). modelbay's library has conversations, tools, typed output,
embeddings and token counts. The FAQ lists [what modelbay does not do](../guides/faq.md#what-modelbay-does-not-do).
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
    head = HEAD.replace("TABLE", "\n".join(table) + "\n").replace("VERSIONS", versions())
    return "\n".join([head, *(section(name, task) for name, task in TASKS.items())])


def versions() -> str:
    """The versions that the tests run."""
    locked = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    found = {one["name"]: one["version"] for one in locked if "version" in one}
    *some, last = [f"{title} {found[name]}" for title, name in PACKAGES.items()]
    return f"{', '.join(some)} and {last}"


def section(name: str, task: Task) -> str:
    notes = [f"- {LIBRARIES[library]}: {note}" for library, note in task.notes.items()]
    programs = [f"**{title}**\n\n```python\n{code(library, name)}```\n" for library, title in LIBRARIES.items()]
    return "\n".join([f"## {task.title}\n", task.text, *(["", *notes] if notes else []), "", *programs])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.relative_to(ROOT), file=sys.stderr)
