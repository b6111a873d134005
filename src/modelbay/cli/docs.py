"""`modelbay docs`: the documentation of the installed version, without a network."""

import re
import sys
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import TYPE_CHECKING, ClassVar

import click
from click.shell_completion import CompletionItem

from modelbay.cli import suggestions, terminal
from modelbay.errors import UnreadableFile
from modelbay.shipped import shipped_files
from modelbay.storage.paths import environment

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


SHIPPED = shipped_files("modelbay") / "docs"
"""The pages in an installed package, which may be in a zip file."""
CHECKOUT = Path(__file__).parents[3] / "docs"
FOLDERS = ("guides", "concepts", "reference")
"""Folders of pages. A name that is in two of them is that of the first; the other one is `FOLDER/NAME`."""
INDEX = "README.md"
_HEADING = re.compile(r"^# (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)([^)#]*)[^)]*\)")
_PAGE = re.compile(r"\]\(((?!\.\.)[\w/.-]+\.md)\)")


def topics() -> dict[str, PurePosixPath]:
    """The page of each topic: its path below the folder of all pages."""
    found: dict[str, PurePosixPath] = {}
    for folder in FOLDERS:
        for page in sorted(file.name for file in (_root() / folder).iterdir() if file.name.endswith(".md")):
            name = page.removesuffix(".md")
            found[name if name not in found else f"{folder}/{name}"] = PurePosixPath(folder, page)
    return found


def text_of(page: PurePosixPath) -> str:
    """The Markdown of a page."""
    return _root().joinpath(str(page)).read_text(encoding="utf-8")


def groups(index: str) -> dict[str, list[str]]:
    """The headings of the index, and the pages below each, in their order. A page is below the first heading that links it; those
    above all headings are below ""."""
    found: dict[str, list[str]] = {}
    for section in re.split("^## ", index, flags=re.MULTILINE):
        title = "" if not found else section.partition("\n")[0]
        linked = dict.fromkeys(_PAGE.findall(section))
        found[title] = [page for page in linked if all(page not in pages for pages in found.values())]
    return found


def _root() -> "Traversable":
    for folder in (SHIPPED, CHECKOUT):
        if folder.is_dir():
            return folder
    raise UnreadableFile(
        f"{SHIPPED} does not exist: the program that contains modelbay has no documentation",
        hint="install modelbay, or pack its data files: `modelbay docs install` of an installation says how",
    )


def topic_names(ctx: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem[str]]:
    return [CompletionItem(name) for name in topics() if name.startswith(typed)]


@click.command()
@click.argument("topic", required=False, shell_complete=topic_names)
def docs(topic: str | None) -> None:
    """Show a page of the documentation. Without TOPIC, list the pages.

    On a terminal, the page is shown with a pager; otherwise its Markdown is printed.
    """
    pages = topics()
    if topic is None:
        names = {page: name for name, page in pages.items()}
        for title, linked in groups(text_of(PurePosixPath(INDEX))).items():
            terminal.write(f"\n{title}\n" if title else "")
            for page in linked:
                terminal.write(f"  {names[PurePosixPath(page)]:<20}  {_title(PurePosixPath(page))}\n")
        return
    written = topic.removesuffix(".md")
    # other pages name a page by its path
    shown = pages.get(written) or next((page for page in pages.values() if str(page.with_suffix("")) == written), None)
    if shown is None:
        near = suggestions.near(topic, list(pages))
        wrong = click.UsageError(f"unknown page: {topic}", click.get_current_context())
        wrong.hint = f"did you mean {near[0]}?" if near else "list the pages with `modelbay docs`"  # type: ignore[attr-defined]
        raise wrong
    text = text_of(shown)
    if not terminal.is_terminal(sys.stdout):
        terminal.write_file(text)
        return
    click.echo_via_pager(_rendered(_LINK.sub(lambda link: _followed(link[1], shown.parent / link[2], pages), text)))


def _title(page: PurePosixPath) -> str:
    found = _HEADING.search(text_of(page))
    return found[1] if found else page.stem


def _followed(text: str, target: PurePosixPath, pages: dict[str, PurePosixPath]) -> str:
    """A link as a terminal shows it: the text, and the command that shows the page. The name of a file is left out."""
    topic = next((name for name, page in pages.items() if str(page) == normpath(target)), None)
    if topic is None:
        return text
    command = f"`modelbay docs {topic}`"
    return command if text.endswith(".md") else f"{text} ({command})"


def _rendered(text: str) -> str:
    from rich.console import Console, JustifyMethod
    from rich.markdown import Markdown, TableDataElement

    class Cell(TableDataElement):
        """A cell whose long words are folded. Rich cuts them off: a URL without its end is useless."""

        def __init__(self, justify: JustifyMethod) -> None:
            super().__init__(justify)
            self.content.overflow = "fold"

    class Page(Markdown):
        elements: ClassVar = {**Markdown.elements, "td_open": Cell}

    console = Console(
        force_terminal=True, width=min(Console().width, 100), no_color=environment("NO_COLOR") is not None
    )
    with console.capture() as capture:
        console.print(Page(text, hyperlinks=False))
    return capture.get()
