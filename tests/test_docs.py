"""Checks the documentation: its examples run, its links resolve, its commands exist."""

import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from modelbay.cli import COMMANDS
from modelbay.cli import modelbay as program
from modelbay.hints import AZURE_MAX_TOKENS, OF_A_MANIFEST, OPERATIONS, ROWS, WEB_PAGE
from modelbay.simulator import Simulator
from modelbay.tui.commands import COMMANDS as IN_THE_APP
from tools.reference import ENVIRONMENT, FOLDER, pages

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [*DOCS, ROOT / "README.md"]
SHOWN = "http://127.0.0.1:8750"
"""URL of `modelbay simulate` in the examples: a reader can type them as they are."""
EXAMPLES = re.compile(r"^```console simulator\n(.*?)^```$", re.DOTALL | re.MULTILINE)
"""The blocks to run, in the order of the page. Lines that begin with `$ ` are typed, the others are the expected output. A line `…`
matches any lines.
"""


# --- examples ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "page", [page for page in DOCS if EXAMPLES.search(page.read_text())], ids=lambda page: page.stem
)
def test_the_examples_of_a_guide_do_what_it_shows(page: Path, tmp_path: Path) -> None:
    with Simulator() as simulator:
        for block in EXAMPLES.findall(page.read_text()):
            for typed, expected in steps(block):
                seen = typed_at_a_shell(typed.replace(SHOWN, simulator.url), tmp_path).replace(simulator.url, SHOWN)
                assert re.fullmatch(pattern(expected), settled(seen)), f"$ {typed}\n{seen}"


def steps(block: str) -> Iterator[tuple[str, str]]:
    """The typed lines with their output."""
    for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        typed, _, expected = step.replace("\\\n", "").partition("\n")
        yield typed, expected


def typed_at_a_shell(line: str, home: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    nowhere = {
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "NO_PROXY": "127.0.0.1,localhost",
    }
    environment = {
        **nowhere,
        "PATH": path,
        "HOME": str(home),
        "MODELBAY_HOME": str(home / ".config/modelbay"),
        "COLUMNS": "100",
    }
    done = subprocess.run(
        ["sh", "-c", line],
        env=environment | {"PYTHONUTF8": "1", "MODELBAY_REFRESH": "off"},
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    return done.stdout.replace(str(home), "~")


def settled(text: str) -> str:
    """The text with all times replaced by one."""
    return re.sub(r"\d+\.\d s\b", "0.0 s", text)


def pattern(expected: str) -> str:
    lines = settled(expected).splitlines(keepends=True)
    return "".join(r"(?:.*\n)*?" if line == "…\n" else re.escape(line) for line in lines)


BLOCKS = re.compile(r"^```(console simulator|console|sh)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NEEDS = {
    "a network": r"could not resolve host|could not connect|through the proxy|could not fetch|Could not resolve",
    "a key": r"wants a key|no API key on standard input|Missing API Key|Invalid API Key|was refused|requires an API key",
    "a terminal": r"nobody can be asked|[Nn]ot a terminal|name one: |at a terminal|wants a terminal|there is nothing to change",
    "a file": r"cannot be read|has no configuration|[Nn]othing to import|[Nn]o such file|not found|does not exist|is missing",
    "a provider or model of yours": r"no (provider|model) \"|no default model|no configuration at|Provide a manifest",
    "credentials of Google": r"[Gg]oogle.* credentials",
}
"""Things that a command may lack here, with the words that report them."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_page_can_be_typed_in_a_fresh_home(page: Path, tmp_path: Path) -> None:
    """Runs them in the page's order. A command that needs something missing must say so; any other must succeed."""
    wrong_ones = []
    with Simulator() as simulator:
        for kind, block in BLOCKS.findall(page.read_text()):
            lines = [line for line, _ in steps(block)] if kind != "sh" else block.replace("\\\n", "").splitlines()
            for line in lines:
                if not re.match(r"(\S+=\S+ )?modelbay\b|.*\| modelbay\b", line) or runs_on(line):
                    continue
                seen = typed_at_a_shell(f"({line}\n) ; echo exit=$?".replace(SHOWN, simulator.url), tmp_path)
                said, _, code = seen.rstrip().rpartition("exit=")
                if "internal:" in said:
                    wrong_ones.append((line, said))
                elif code == "0" or (kind == "console simulator" and code in "12"):
                    continue  # its output is compared above
                elif not any(re.search(words, said) for words in NEEDS.values()):
                    wrong_ones.append((line, said))
    assert wrong_ones == []


def runs_on(line: str) -> bool:
    """Whether a command runs until Ctrl-C."""
    words = line.split()
    command: click.Command = program
    for word in words[words.index("modelbay") + 1 :]:
        inner = command.get_command(click.Context(command), word) if isinstance(command, click.Group) else None
        if inner is None:
            break
        command = inner
    return "Ctrl-C ends it" in (command.help or "")


# --- commands ----------------------------------------------------------------------------------------------------------


def in_code(text: str) -> Iterator[str]:
    """The commands in a page: typed lines, and code in the text."""
    text = text.replace("\\\n", "")
    for line in re.findall(r"^\$ (.*)$", text, re.MULTILINE):
        for part in re.split(r" [|;<>] |&&", line):
            if part.strip().startswith("modelbay "):
                yield part.strip()
    for span in re.findall(r"(?<!`)`(modelbay [^`]+)`(?!`)", text):
        yield " ".join(span.split())


def in_strings(path: Path) -> Iterator[str]:
    """The commands in a module's texts: in backticks, or after other words."""
    bare = re.compile(rf"(?<![`\w])modelbay (?:{'|'.join(COMMANDS)})\b(?! is\b)[^`;\n]*")
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        text = text.replace("\\\n", "")
        yield from (" ".join(span.split()) for span in re.findall(r"`(modelbay [^`]+)`", text))
        yield from bare.findall(text)


def wrong(line: str) -> str | None:
    """The fault of a command: an unknown name or option."""
    try:
        words = shlex.split(line, comments=True)[1:]
    except ValueError:
        words = line.split()[1:]
    command: click.Command = program
    while isinstance(command, click.Group) and words and not words[0].startswith(("-", "…")):
        inner = command.get_command(click.Context(command), words[0])
        if inner is None:
            return f"there is no {words[0]!r}"
        command, words = inner, words[1:]
    options = {name: param for param in command.params for name in param.opts if isinstance(param, click.Option)}
    options |= {
        "--help": click.Option(["--help"], is_flag=True),
        "--version": click.Option(["--version"], is_flag=True),
    }
    places = sum(
        param.nargs if param.nargs > 0 else 99 for param in command.params if isinstance(param, click.Argument)
    )
    while words:
        word = words.pop(0).strip("[]")
        if word.startswith("-") and word != "-":
            name, equals, _ = word.partition("=")
            if name not in options:
                return f"there is no option {name}"
            if not options[name].is_flag and not equals:
                words = words[1:]
        elif word not in ("…", "..."):
            places -= 1
    return "there are too many words" if places < 0 and not isinstance(command, click.Group) else None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_that_a_page_names_is_there_with_its_options(page: Path) -> None:
    assert {line: said for line in in_code(page.read_text()) if (said := wrong(line))} == {}


def test_every_command_that_a_hint_names_is_there_with_its_options() -> None:
    rows = [
        *ROWS.values(),
        *(row for own in OPERATIONS.values() for row in own.values()),
        *OF_A_MANIFEST.values(),
        AZURE_MAX_TOKENS,
        WEB_PAGE,
    ]
    assert {
        row.act.command: said
        for row in rows
        if row.act and (row.act.command or "").startswith("modelbay ") and (said := wrong(row.act.command or ""))
    } == {}


def test_every_command_that_the_program_speaks_of_is_there_with_its_options() -> None:
    sources = sorted((ROOT / "src").rglob("*.py"))
    found = {f"{path.name}: {line}": wrong(line.split(" | ")[0]) for path in sources for line in in_strings(path)}
    assert len(found) > 50
    assert {line: said for line, said in found.items() if said} == {}


def test_a_command_that_is_not_there_is_noticed() -> None:
    assert wrong("modelbay modle list") == "there is no 'modle'"
    assert wrong("modelbay model add x") == "there is no 'add'"
    assert wrong("modelbay ask --effrot high Hi") == "there is no option --effrot"
    assert wrong("modelbay provider show a b") == "there are too many words"


def test_every_command_of_the_app_is_in_its_guide() -> None:
    guide = (ROOT / "docs/guides/app.md").read_text()
    assert [one.name for one in IN_THE_APP if f"`/{one.name}" not in guide] == []
    table = guide.split("| command | action |")[1].split("\n\n")[0]
    assert set(re.findall(r"`/(\w+)", table)) == {one.name for one in IN_THE_APP}


# --- links -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"], ids=lambda page: page.stem
)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    lost = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        target, _, anchor = link.partition("#")
        there = (page.parent / target).resolve() if target else page
        if "://" in link:
            continue
        if not there.exists() or (anchor and anchor not in anchors(there)):
            lost.append(link)
    assert lost == []


def anchors(page: Path) -> set[str]:
    """The anchors of its headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_index_leads_to_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    there = {str(page.relative_to(ROOT / "docs")) for page in DOCS} - {"README.md"}
    assert there - set(re.findall(r"\]\(([^)#\s]+)", index)) == set()


# --- what the code says ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", pages())
def test_the_reference_is_what_the_code_says(name: str) -> None:
    page = FOLDER / name
    assert page.exists() and page.read_text() == pages()[name], f"docs/reference/{name} is out of date: `make docs`"


def test_every_variable_that_is_read_is_named() -> None:
    texts = [path.read_text() for path in (ROOT / "src").rglob("*.py")]
    read = {name for text in texts for name in re.findall(r"\b(?:MODELBAY_[A-Z]+)\b", text)}
    assert read == {name for name in ENVIRONMENT if name.startswith("MODELBAY_")}


def test_every_key_and_field_says_what_it_means() -> None:
    empty = re.compile(r"^\| `\w+` \|.*\|  \|$", re.MULTILINE)
    for name in ("config.md", "dialects.md"):
        said = re.sub(r"## `\[models.ALIAS.cost\]`.*?\n## ", "## ", pages()[name], flags=re.DOTALL).split(
            "\n## Vendors"
        )[0]
        said = said.split("\n## Provider types")[0]
        assert empty.findall(said) == [], name
