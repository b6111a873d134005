"""A conversation as Markdown: whole, readable as it was, and for its owner only."""

import os
import stat
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from markdown_it import MarkdownIt

from modelbay.conversation import Media, Text, Thinking, ToolCall, ToolResult, Turn, user
from modelbay.errors import ConfigError
from modelbay.secrecy import register
from modelbay.stored_chats.export import closed, code, export_path, fenced, to_markdown, write_export
from modelbay.stored_chats.stored_chat import StoredChat

NOW = datetime(2026, 5, 1, 12, 30)


def conversation() -> StoredChat:
    notes = Media(kind="document", text="secret text", name="notes.txt")
    thinking = Thinking(texts=["Blue is `short`."])
    call = ToolCall(name="look", arguments='{"at": "```"}', id="1")
    return StoredChat(
        turns=[
            user("Why is the sky blue?", notes),
            Turn("assistant", [thinking, Text(text="Because:\n\n```python\nsky()\n```"), call]),
            Turn("tool", [ToolResult(call_id="1", name="look", parts=[Text(text="not run")])]),
        ],
        title="Sky",
        models={1: "sim/thinker"},
    )


def test_it_has_roles_models_names_of_files_and_folded_thinking():
    assert to_markdown(conversation(), now=NOW) == snapshot("""\
# Sky

Exported from modelbay on 2026-05-01 12:30.

## User

Why is the sky blue?

Attached: `notes.txt`

## Assistant · `sim/thinker`

<details>
<summary>Thinking</summary>

Blue is `short`.

</details>

Because:

```python
sky()
```

Tool call `look`:

````json
{"at": "```"}
````

## Tool results

Result of `look`:

```
not run
```
""")


def test_an_answer_that_may_be_incomplete_is_marked():
    turns = [user("Why?"), Turn("assistant", [Text(text="Half of")])]
    text = to_markdown(StoredChat(turns=turns, endings={1: "content_filter"}))
    assert text.endswith("Half of\n\n*The answer may be incomplete: content filter*\n")


def test_thinking_is_left_out_on_request():
    assert "Blue is" not in to_markdown(conversation(), thinking=False)


@pytest.mark.parametrize(
    "text",
    [
        "An interrupted\n\n```python\nanswer()",
        "````\n```\nstill open",
        "~~~\ntext",
        "- a list\n  ```\n  open in it",
        "> ```\n> open in a quotation",
        "<!-- never closed\n\ntext",
        "<script>\n\nvar a",
        "plain",
        "    indented",
        "Setext?\n",
        "1. ```",
        "```",
        "| a |\n|---|",
        "[x]: /url",
        "\\",
    ],
)
def test_no_message_swallows_what_follows_it(text: str):
    chat = StoredChat(turns=[user(text), Turn("assistant", [Text(text=text)]), user("The end")])
    headings = [
        tokens[at + 1].content
        for tokens in [MarkdownIt("commonmark").parse(to_markdown(chat))]
        for at, token in enumerate(tokens)
        if token.type == "heading_open" and token.tag == "h2"
    ]
    assert headings == ["User", "Assistant", "User"]


@given(st.text(alphabet="`~a\n -><!#|[]1.", max_size=40))
def test_text_after_any_content_is_a_paragraph_of_its_own(text: str):
    tokens = MarkdownIt("commonmark").parse(f"{closed(text)}\n\nNEXT")
    assert (tokens[-2].content, tokens[-3].type, tokens[-3].level) == ("NEXT", "paragraph_open", 0)


@given(st.text(alphabet="`a\n ", max_size=30))
def test_a_fence_is_longer_than_any_in_the_text(text: str):
    tokens = MarkdownIt("commonmark").parse(fenced(text))
    assert [token.type for token in tokens] == ["fence"]
    assert tokens[0].content.strip("\n") == text.strip("\n")


@given(st.text(alphabet="`ab", min_size=1, max_size=12))
def test_a_name_with_backticks_is_code(text: str):
    inline = MarkdownIt("commonmark").parse(f"x {code(text)} x")[1].children
    assert inline is not None and [child.content for child in inline if child.type == "code_inline"] == [text]


def test_a_name_is_made_from_the_title_and_is_free(tmp_path: Path):
    chat = StoredChat(title="Why is the Sky / blue?")
    assert export_path(chat, str(tmp_path)) == tmp_path / "why-is-the-sky-blue.md"
    (tmp_path / "why-is-the-sky-blue.md").symlink_to(tmp_path / "nowhere")
    assert export_path(chat, f'"{tmp_path}"') == tmp_path / "why-is-the-sky-blue-2.md"
    assert export_path(StoredChat(), str(tmp_path)) == tmp_path / "conversation.md"


def test_a_file_that_exists_is_overwritten_only_on_request(tmp_path: Path):
    path = tmp_path / "sky.md"
    assert write_export(path, "one")
    assert not write_export(path, "two")
    assert path.read_text() == "one"
    assert write_export(path, "two", overwrite=True)
    assert path.read_text() == "two"
    assert sorted(os.listdir(tmp_path)) == ["sky.md"]


@pytest.mark.skipif(os.name == "nt", reason="there are no such permissions")
def test_only_its_owner_can_read_it(tmp_path: Path):
    path = tmp_path / "sky.md"
    write_export(path, "one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    write_export(path, "two", overwrite=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_folder_that_is_missing_is_an_error(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be written"):
        write_export(tmp_path / "none" / "sky.md", "one")


def test_no_key_of_the_configuration_is_in_it():
    register("sk-a-key-that-a-server-repeated")
    chat = StoredChat(turns=[Turn("assistant", [Text(text="It is sk-a-key-that-a-server-repeated")])])
    assert "repeated" not in to_markdown(chat)
