"""Hooks of mkdocs, which make the site from the pages of docs/ as they are written: `make site`.

The pages are also read in a checkout and by `modelbay docs`, so they contain nothing that only the site understands.
"""

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import modelbay
from modelbay import testing
from modelbay.cli import docs
from modelbay.cli.docs import INDEX
from tools import faces

ROOT = Path(__file__).resolve().parent.parent
API = "reference/api.md"
BESIDE = {"ARCHITECTURE.md": "architecture.md", "CONTRIBUTING.md": "contributing.md"}
"""Files outside of docs/ that its pages link, and their pages in the site."""
SCRIPTS = (ROOT / "tools" / "iframe-worker.js", ROOT / "tools" / "version_selector.js")
STYLE = """\
/* The copy button copies commands, without prompts and outputs. */
[data-md-copying] .gp, [data-md-copying] .go { display: none }
.md-typeset table:not([class]) code { white-space: nowrap }
.md-typeset table:not([class]) code.long { white-space: normal; word-break: normal; overflow-wrap: break-word }
.md-typeset table thead:not(:has(th:not(:empty))) { display: none }
.md-version { position: relative; line-height: 2.4rem }
.md-version__list { right: 0 }
/* The examples have lines of up to 100 characters. */
.md-grid { max-width: 84rem }
.md-typeset pre > code { font-size: 0.62rem }
"""
GROUPS = {
    "Hub": "Hub complete stream run embed count",
    "Chats": "Chat",
    "Replies": "Reply Embeddings TokenCount Usage Cost Model",
    "Conversations": "Conversation Settings Turn user Text Thinking Media Tool ToolCall ToolResult ToolChoice OutputFormat "
    "Reasoning Refusal Annotation",
    "Events": "Started PartStarted PartDelta PartAnnotated PartEnded UsageReported Warned ToolRan Finished Failed collect",
}
"""Sections of the reference of the Python library. Names in none of them follow at the end."""
INTRODUCTION = """\
# Python API

The names of `modelbay`, `modelbay.testing` and `modelbay.errors`. For an introduction, see [Python](../guides/python.md).

`modelbay.sync` has the blocking counterparts of `Hub`, `Chat`, `ReplyStream` and `ToolRun`: the same methods, without `await`.
"""


def on_config(config: MkDocsConfig) -> None:
    """Take the navigation from the tables of the index, so that both have the same order."""
    sys.path.insert(0, str(ROOT / "src"))
    config.copyright = f"modelbay {modelbay.__version__}"
    config.theme.static_templates -= {"404.html", "sitemap.xml"}  # both require the address of the site
    text = (Path(config.docs_dir) / INDEX).read_text(encoding="utf-8")
    groups: dict[str, list[Any]] = {**docs.groups(text)}
    groups["Reference"].append({"Python API": API})
    start = groups.pop("")
    config.nav = [{"Documentation": INDEX}, *start, *({title: pages} for title, pages in groups.items())]
    config.nav.append({"For contributors": [*BESIDE.values()]})


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages that are not in docs/."""
    for name, page in BESIDE.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))
    files.append(File.generated(config, API, content=_api()))
    files.append(File.generated(config, "site.css", content=STYLE))
    for script in SCRIPTS:
        files.append(File.generated(config, script.name, content=script.read_text(encoding="utf-8")))


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:
    """Make tabs of faces. Remove the names of blocks that only the tests read, and links to files that are not in the site. Links
    that show a file name show the title of its page."""

    if not page.file.src_uri.startswith(("guides/", "concepts/")):
        page.meta["search"] = {"boost": 0.5}  # a question of a user is answered by a guide

    def titled(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page.file.src_uri), link[2]))
        found = files.get_file_from_path(path)
        return link[0] if found is None else f"[{_title(found)}]({link[2]}{link[3] or ''})"

    markdown = re.sub(r"\[([\w/.-]+\.md)\]\(([\w/.-]+\.md)(#[\w-]+)?\)", titled, markdown)
    markdown = re.sub(r"^```console simulator$", "```console", markdown, flags=re.MULTILINE)
    markdown = re.sub(r"^```toml (\S+)$", r'```toml title="\1"', markdown, flags=re.MULTILINE)
    try:
        markdown = faces.tabbed(markdown)
    except faces.LonelyFace as error:
        raise PluginError(f"{page.file.src_uri}: {error}") from None
    up = "../" * page.file.src_uri.count("/")
    for name, target in BESIDE.items():
        markdown = re.sub(rf"\]\((?:\.\./)*{name}((?:#[\w-]+)?)\)", rf"]({up}{target}\1)", markdown)
    if page.file.src_uri in BESIDE.values():
        markdown = markdown.replace("](docs/", "](")
    # a link to a folder or a file of the source
    return re.sub(r"\[([^\]]+)\]\((?:\.\./)+(?:examples|src|tools|tests|integrations)[^)]*\)", r"\1", markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Mark the code that is wrapped in a table. Shorter code stays in one line."""
    return re.sub(r"<code>(?=[^<]{30})", '<code class="long">', html)


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """Load the version selector, and share light or dark among the versions: the theme stores it by folder."""
    up = "../" * page.url.count("/")
    scripts = f'<script src="{up}../versions.js"></script><script src="{up}version_selector.js" data-page="{page.url}"></script>'
    output = output.replace('__md_scope=new URL("', '__md_scope=new URL("../', 1)
    return output.replace("</body>", f"{scripts}</body>", 1)


def _title(page: File) -> str:
    found = re.search(r"^# (.+)$", page.content_string, re.MULTILINE)
    return found[1] if found else page.name


def _api() -> str:
    """The reference of the Python library, from its docstrings."""
    named = {name for names in GROUPS.values() for name in names.split()}
    rest = [name for name in modelbay.__all__ if name not in named and not name.startswith("_")]
    groups = {title: names.split() for title, names in GROUPS.items()} | {"Others": rest}
    lines = [INTRODUCTION]
    for title, names in groups.items():
        lines += [f"## {title}", "", *(line for name in names for line in _entry(f"{_home(name)}.{name}"))]
    lines += ["## Testing", "", *(line for name in testing.__all__ for line in _entry(f"testing.{name}"))]
    return "\n".join(
        [*lines, "## Errors", "", "::: modelbay.errors", "    options:", "      show_root_heading: false", ""]
    )


def _entry(name: str) -> list[str]:
    return [f"::: modelbay.{name}", "    options:", "      heading_level: 3", ""]


def _home(name: str) -> str:
    return next(home for home, names in modelbay._HOMES.items() if name in names.split())
