"""Generates man/ from the command line: modelbay.1, and a page for each command, such as modelbay-ask.1.

    make docs

A test compares each page with the generated text. The wheel contains the pages.
"""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click

from modelbay import __version__
from modelbay.cli import COMMANDS, EXIT_CODES, HELP_NAMES
from modelbay.cli import modelbay as program
from tools.reference import ENVIRONMENT, EVERYWHERE, leaves

FOLDER = Path(__file__).resolve().parent.parent / "man"
FILES = {
    "config.toml": 'The configuration. "modelbay config path" prints its path.',
    ".modelbay.toml": "The models of a project: see modelbay-trust(1).",
}


def pages() -> dict[str, str]:
    """The text of each page, by file name."""
    found = {"modelbay.1": _root()}
    for name in COMMANDS:
        command = program.get_command(click.Context(program, info_name="modelbay"), name)
        assert command is not None
        found[f"modelbay-{name}.1"] = _page(name, command)
    return found


def _root() -> str:
    rows = "".join(f".TP\n.BR modelbay\\-{_text(name)} (1)\n{_text(line)}\n" for name, line in COMMANDS.items())
    return (
        _head("modelbay", program.help or "")
        + f".SH SYNOPSIS\n.B modelbay\n[options] [{_text('command')}]\n"
        + ".SH DESCRIPTION\nWithout a command, the terminal app is opened. Without a terminal, the help is printed.\n"
        + f".SH COMMANDS\n{rows}"
        + f".SH OPTIONS\n{_options(program)}"
        + _end()
    )


def _page(name: str, command: click.Command) -> str:
    parts = list(leaves(command, f"modelbay {name}"))
    text = _head(f"modelbay-{name}", COMMANDS[name])
    text += ".SH SYNOPSIS\n" + ".br\n".join(_usage(words, leaf) for words, leaf in parts)
    if isinstance(command, click.Group):
        text += f".SH DESCRIPTION\n{_prose(command.help or '')}.SH COMMANDS\n"
        for words, leaf in parts:
            text += f".SS {_text(words.removeprefix('modelbay '))}\n{_prose(leaf.help or '')}{_options(leaf)}"
    else:
        text += f".SH DESCRIPTION\n{_prose(command.help or '')}"
        if options := _options(command):
            text += f".SH OPTIONS\n{options}"
    return text + _end()


def _head(name: str, line: str) -> str:
    summary = line.strip().rstrip(".")
    summary = summary[:1].lower() + summary[1:]
    return f'.TH {name.upper()} 1 "" "modelbay {__version__}"\n.SH NAME\n{_text(name)} \\- {_text(summary)}\n'


def _end() -> str:
    codes = "".join(
        f".TP\n{code}\n{_text(meaning)}\n" for code, meaning in re.findall(r"^  (\d+) +(.+)$", EXIT_CODES, re.M)
    )
    variables = "".join(f".TP\n.B {_text(name)}\n{_text(_plain(line))}\n" for name, line in ENVIRONMENT.items())
    files = "".join(f".TP\n.I {_text(name)}\n{_text(line)}\n" for name, line in FILES.items())
    return (
        f".SH EXIT STATUS\n{codes}.SH ENVIRONMENT\n{variables}.SH FILES\n{files}"
        '.SH SEE ALSO\n"modelbay docs" shows the documentation.\n'
    )


def _usage(words: str, command: click.Command) -> str:
    context = click.Context(command, info_name=words, help_option_names=HELP_NAMES)
    return f".B {_text(words)}\n{_text(' '.join(command.collect_usage_pieces(context)))}\n"


def _options(command: click.Command) -> str:
    context = click.Context(command, info_name="modelbay", help_option_names=HELP_NAMES)
    found = ""
    for param in command.get_params(context):
        own = command is program or not set(param.opts) <= EVERYWHERE
        if isinstance(param, click.Option) and not param.hidden and own:
            record = param.get_help_record(context)
            assert record is not None
            found += f".TP\n.B {_text(record[0])}\n{_text(' '.join(record[1].split()))}\n"
    return found


def _prose(text: str) -> str:
    """The help of a command. A paragraph with click's mark for preformatted text stays as it is."""
    return "".join(_paragraph(paragraph) for paragraph in inspect.cleandoc(text).split("\n\n"))


def _paragraph(text: str) -> str:
    if not text.startswith("\b\n"):
        return f".PP\n{_text(' '.join(text.split()))}\n"
    lines: Iterator[str] = (_text(line) for line in inspect.cleandoc("\n" + text.removeprefix("\b\n")).split("\n"))
    return ".PP\n.nf\n" + "\n".join(lines) + "\n.fi\n"


def _plain(text: str) -> str:
    """Markdown as text: code without marks, links without addresses."""
    return re.sub(r"\[([^\]]+)\]\([^)]*\)", lambda link: f'"modelbay docs {Path(link[1]).stem}"', text).replace("`", "")


def _text(text: str) -> str:
    """A line of text for roff."""
    text = text.replace("…", "...")  # terminals without UTF-8 show nothing for it
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    found = pages()
    for old in FOLDER.glob("*.1"):
        if old.name not in found:
            old.unlink()
    for name, text in found.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
