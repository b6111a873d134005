"""Checks the documentation: its examples run, its links resolve, its commands exist."""

import ast
import json
import re
import shlex
import shutil
import textwrap
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import click
import pytest
import yaml

from modelbay.cli import COMMANDS
from modelbay.cli import modelbay as program
from modelbay.config.load import load
from modelbay.hints import AZURE_MAX_TOKENS, OF_A_MANIFEST, OPERATIONS, ROWS, WEB_PAGE
from modelbay.onboarding.config_check import config_problems
from modelbay.providers import presets
from modelbay.simulator import Simulator
from modelbay.tui.commands import COMMANDS as IN_THE_APP
from tests.pages import DOCS, PAGES, ROOT, SHOWN, Shell, at, commands, in_reading_order
from tools.reference import ENVIRONMENT, EXAMPLE, FOLDER, pages

# --- examples ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "page", [page for page in DOCS if any(command.exact for command in commands(page))], ids=lambda page: page.stem
)
def test_the_examples_of_a_guide_print_what_it_shows(page: Path, tmp_path: Path) -> None:
    """Values that differ from run to run, ports and client keys, are typed as an earlier command printed them here."""
    shell, ours = Shell(tmp_path), dict[str, str]()
    with Simulator() as simulator, ExitStack() as servers:
        for command in commands(page):
            line = at(simulator.url, command.typed)
            for shown, here in ours.items():
                line = line.replace(shown, here)
            if not command.exact or (line.startswith("curl ") and not shutil.which("curl")):
                continue
            if OWN_PROGRAM.search(line) and not command.writes and runs_until_stopped(line):
                output = servers.enter_context(shell.running(f"{line} --port 0")) + "\n"
                ours[command.output.strip()] = output.strip()
                output = command.output
            else:
                _, output = shell.type(line)
            if key := CLIENT_KEY.search(output):
                ours[SHOWN_KEY] = key[0]
            output = output.replace(simulator.url, SHOWN)
            output = output if output.endswith("\n") or not output else f"{output}\n"  # as curl ends
            assert re.fullmatch(pattern(command.output), without_times(output)), f"$ {command.typed}\n{output}"


CLIENT_KEY = re.compile(r"sk-mb-\w+")
SHOWN_KEY = "sk-mb-…"


def without_times(text: str) -> str:
    return re.sub(r"\d+\.\d s\b", "0.0 s", text)


def pattern(expected: str) -> str:
    """`…` on a line of its own matches any lines, and within a line any text."""
    lines = without_times(expected).splitlines(keepends=True)
    return "".join(r"(?:.*\n)*?" if line == "…\n" else re.escape(line).replace("…", ".*") for line in lines)


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.stem)
def test_a_page_asks_for_the_simulator_before_its_first_example_with_it(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if first := re.search(rf"^```console simulator\n(?:(?!^```).)*?{SHOWN}", text, re.DOTALL | re.MULTILINE):
        assert "modelbay simulate" in text[: first.start()], f"{page.name}: {first[0]}"


MISSING_HERE = {
    "a network": r"[Cc]ould not resolve|[Cc]ould not connect|through the proxy|could not fetch",
    "a key": r"no (?:API )?key on standard input|Missing API Key|requires an API key",
    "a terminal": r"[Nn]ot a terminal|(?:wants|requires) a terminal|name is required|endpoint is missing",
    "a file": r"cannot be read|has no configuration|[Nn]othing to import|[Nn]o such file|does not exist|is empty",
    "a clipboard": r"pbpaste.*not found",
    "credentials of Google": r"[Gg]oogle.* credentials",
    "a default model": r"no default model|no configuration at",
    "a coding agent": r"is not installed: no program",
}
"""Things that the tests do not have, with the words that report them."""
SRC = ROOT / "src" / "modelbay"
OWN_PROGRAM = re.compile(r"(?:^|[|;] ?|^\S+=\S+ )modelbay\b")


@pytest.mark.timeout(3600)
def test_every_command_of_all_pages_can_be_typed_in_one_home_in_reading_order(tmp_path: Path) -> None:
    """A command fails only if its page shows that, if it needs something that the tests do not have, or if it needs a provider
    of an earlier command that could not run for this reason."""
    shell, failed, blocked = Shell(tmp_path), list[str](), ""
    with Simulator() as simulator:
        for page in in_reading_order():
            shutil.rmtree(
                shell.home / ".config/modelbay/presets", ignore_errors=True
            )  # they are for the simulator's URL
            with ExitStack() as servers:
                here = dict[str, str]()
                for command in commands(page):
                    line = at(simulator.url, command.typed)
                    if not command.writes and (not OWN_PROGRAM.search(line) or is_only_a_name(line)):
                        continue
                    for shown, url in here.items():
                        line = line.replace(shown, url)
                    if not command.writes and runs_until_stopped(line):
                        url = servers.enter_context(shell.running(f"{line.partition(' #')[0]} --port 0"))
                        assert url.startswith("http://127.0.0.1:"), f"{command.typed}: {url}"
                        here["http://127.0.0.1:8751"] = url.partition("/v1")[0]
                        continue
                    code, output = shell.type(line)
                    if code and not command.fails and is_missing(output, blocked):
                        blocked += f"{command.typed}\n"
                    elif bool(code) != command.fails or "internal:" in output:
                        failed.append(f"{page.name}: {command.typed}\n{output}")
    if failed:
        pytest.fail("\n".join(failed))


def is_missing(output: str, blocked: str) -> bool:
    if any(re.search(words, output) for words in MISSING_HERE.values()):
        return True
    unknown = re.search(r"(?:no|unknown) (?:platform or )?(?:provider|model|alias) \"([^\"/]+)", output)
    return unknown is not None and unknown[1] in blocked


def runs_until_stopped(line: str) -> bool:
    command, arguments = called(shlex.split(line, comments=True))
    return "Ctrl-C" in (command.help or "") and "--install" not in arguments


def is_only_a_name(line: str) -> bool:
    """Whether the line names a command without arguments, and that command needs some, as in "see `modelbay ask`"."""
    words = shlex.split(line, comments=True)
    return words[0] == "modelbay" and len(words) > 1 and called(words)[1] == []


def called(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that a line calls, and its arguments."""
    command: click.Command = program
    rest = words[words.index("modelbay") + 1 :]
    while isinstance(command, click.Group) and rest:
        inner = command.get_command(click.Context(command), rest[0])
        if inner is None:
            break
        command, rest = inner, rest[1:]
    return command, rest


READERS: dict[str, Callable[[str], object]] = {"json": json.loads, "yaml": yaml.safe_load, "toml": tomllib.loads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_configuration_that_a_page_shows_can_be_read(page: Path) -> None:
    unread = []
    for block in re.finditer(
        r"^( *)```(json|yaml|toml)(?: \S+)?\n(.*?)^ *```$", page.read_text(), re.DOTALL | re.MULTILINE
    ):
        try:
            READERS[block[2]](textwrap.dedent(block[3]))
        except (ValueError, yaml.YAMLError) as error:
            unread.append(f"{error}\n{block[3]}")
    assert unread == []


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
    """The fault of a command: an unknown name or option, or a character that shells expand."""
    if re.search(r"\S[?*&](?=[a-z])", re.sub(r"'[^']*'|\"[^\"]*\"", "''", line)):
        return "a shell expands it: quote the URL"
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        words = line.split()
    command, words = called(words)
    if isinstance(command, click.Group) and words and not words[0].startswith(("-", "…")):
        return f"there is no {words[0]!r}"
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
        if word in ("--", ">", "|"):  # the rest is for another program
            break
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
    assert wrong("modelbay manifest check https://acme.example/v1/models?provider=true") is not None
    assert wrong("modelbay manifest check 'https://acme.example/v1/models?provider=true'") is None
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
    for link in re.findall(r"(?:\]\(|src(?:set)?=\")([^)\s\"]+)[)\"]", text):
        target, _, anchor = link.partition("#")
        there = (page.parent / target).resolve() if target else page
        if "://" in link:
            continue
        if not there.exists() or (anchor and anchor not in anchors(there)):
            lost.append(link)
    assert lost == []


def test_every_file_that_the_architecture_names_exists() -> None:
    """Below the heading of a package, it is a file of that package."""
    package, lost = SRC, []
    for line in (ROOT / "ARCHITECTURE.md").read_text().splitlines():
        if line.startswith("#"):
            heading = re.fullmatch(r"### `(\w+)/`", line)
            package = SRC / heading[1] if heading else SRC
        for name in re.findall(r"`([\w/]+\.(?:py|toml))`", line):
            is_example = "NAME" in name or name == "config.toml"
            if not is_example and not (ROOT / name).exists() and not any(package.rglob(name)):
                lost.append(f"{package.name}: {name}")
    assert lost == []


def test_the_architecture_describes_every_package_and_module() -> None:
    table = (ROOT / "ARCHITECTURE.md").read_text().split("\n## Packages\n")[1].split("\n## ")[0]
    here = {f"{one.name}/" for one in SRC.iterdir() if (one / "__init__.py").exists()}
    here |= {one.name for one in SRC.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert here - set(re.findall(r"`([\w/.]+)`", table)) == set()


def anchors(page: Path) -> set[str]:
    """The anchors of its headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_index_leads_to_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    there = {str(page.relative_to(ROOT / "docs")) for page in DOCS} - {"README.md"}
    assert there - set(re.findall(r"\]\(([^)#\s]+)", index)) == set()


def test_every_vendor_is_on_the_page_of_providers() -> None:
    page = (ROOT / "docs/guides/providers.md").read_text()
    named = {*re.findall(r"modelbay (?:provider add|login) ([\w-]+)", page), *re.findall(r"vendor `([\w-]+)`", page)}
    assert [one.id for one in presets.all() if not named & {one.id, *one.types}] == []


# --- what the code says ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", pages())
def test_the_reference_is_what_the_code_says(name: str) -> None:
    page = FOLDER / name
    assert page.exists() and page.read_text() == pages()[name], f"docs/reference/{name} is out of date: `make docs`"


def test_every_variable_that_is_read_is_named() -> None:
    texts = [path.read_text() for path in (ROOT / "src").rglob("*.py")]
    read = {name for text in texts for name in re.findall(r"\b(?:MODELBAY_[A-Z]+)\b", text)}
    assert read == {name for name in ENVIRONMENT if name.startswith("MODELBAY_")}


def test_the_example_of_a_configuration_file_has_no_problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-1")
    for name, text in {
        "company.pem": "-----BEGIN CERTIFICATE-----",
        "acme.pem": "-----BEGIN CERTIFICATE-----",
        "acme.key": "sk-1",
        "config.toml": EXAMPLE.read_text(),
    }.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    found = load()
    assert (config_problems(found), found.unknown) == ([], [])
    assert EXAMPLE.read_text() in pages()["config.md"]


def test_every_key_and_field_says_what_it_means() -> None:
    empty = re.compile(r"^\| `\w+` \|.*\|  \|$", re.MULTILINE)
    for name in ("config.md", "dialects.md"):
        said = re.sub(r"## `\[models.ALIAS.cost\]`.*?\n## ", "## ", pages()[name], flags=re.DOTALL).split(
            "\n## Vendors"
        )[0]
        said = said.split("\n## Provider types")[0]
        assert empty.findall(said) == [], name
