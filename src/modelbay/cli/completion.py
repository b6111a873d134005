"""`modelbay completion`, and the completion itself: click's, in a form that shells can insert."""

import re
from typing import ClassVar

import click
from click.shell_completion import (
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

from modelbay.cli import COMPLETING, modelbay, terminal
from modelbay.storage.paths import environment

SHELLS = ("bash", "zsh", "fish")
_SPECIAL = re.compile(r"[^\w@%+:,./=~-]", re.ASCII)
"""Characters that bash must not see without a backslash."""
_BREAKS = ":="
"""Characters at which readline begins another word, so that it replaces only the text after them."""

BASH = """\
# Completion of modelbay for bash, including version 3 on macOS.
%(complete_func)s() {
    local value
    COMPREPLY=()
    while IFS= read -r value; do
        case $value in
            '') ;;
            :file) compopt -o default 2>/dev/null ;;
            :dir) compopt -o dirnames 2>/dev/null ;;
            *[=.]) compopt -o nospace 2>/dev/null; COMPREPLY+=("$value") ;;
            *) COMPREPLY+=("$value") ;;
        esac
    done < <(COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_BREAKS="$COMP_WORDBREAKS" %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -F %(complete_func)s %(prog_name)s
"""
FISH = """\
# Completion of modelbay for fish.
function %(complete_func)s
    set -lx COMP_WORDS (commandline -cp)
    set -lx COMP_CWORD (commandline -ct)
    set -lx %(complete_var)s fish_complete
    for line in (%(prog_name)s 2>/dev/null)
        set -l found (string split -m 1 "," -- $line)
        switch $found[1]
            case dir
                __fish_complete_directories $found[2]
            case file
                __fish_complete_path $found[2]
            case plain
                printf '%%s\\n' $found[2]
        end
    end
end
complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""


class ReadlineComplete(ShellComplete):
    """Completion in bash, from the line as it is typed. Click's own splits model IDs such as `llama3:8b`, where readline does, and
    inserts names with spaces without quotes."""

    name: ClassVar[str] = "bash"
    source_template: ClassVar[str] = BASH
    _word = ""
    """The last word as it is typed, with its quotes."""

    def get_completion_args(self) -> tuple[list[str], str]:
        line = environment("COMP_LINE") or ""
        words = split_arg_string(line)[1:]
        self._word = _last_word(line)
        incomplete = words.pop() if self._word and words else ""
        return words, incomplete

    def format_completion(self, item: CompletionItem[str]) -> str:
        if item.type != "plain":
            return f":{item.type}"
        if self._word[:1] in ("'", '"'):  # readline closes the quote
            return str(item.value)
        kept = [break_ for break_ in _BREAKS if break_ in (environment("COMP_BREAKS") or "")]
        end = max((self._word.rfind(break_) + 1 for break_ in kept), default=0)
        head = self._word[:end].removeprefix(_option_of(self._word))
        escaped = _SPECIAL.sub(lambda found: f"\\{found[0]}", item.value)
        return escaped.removeprefix(head)


class ZshWords(ZshComplete):
    """Completion in zsh. Click's own removes the option from `--option=VALUE`."""

    def get_completion_args(self) -> tuple[list[str], str]:
        words, incomplete = super().get_completion_args()
        self._option = _option_of(incomplete)
        return words, incomplete

    def format_completion(self, item: CompletionItem[str]) -> str:
        return super().format_completion(_after(self._option, item))


class FishWords(FishComplete):
    """Completion in fish, including `--option=VALUE` and names with commas."""

    source_template = FISH

    def get_completion_args(self) -> tuple[list[str], str]:
        words, incomplete = super().get_completion_args()
        self._option = _option_of(incomplete)
        return words, incomplete

    def format_completion(self, item: CompletionItem[str]) -> str:
        return super().format_completion(_after(self._option, item))


def _option_of(word: str) -> str:
    """The beginning of a word before the value of its option: `--model=`; else ""."""
    option, equals, _ = word.partition("=")
    return option + equals if option.startswith("--") and equals else ""


def _after(option: str, item: CompletionItem[str]) -> CompletionItem[str]:
    """An item for a shell that replaces the whole word, the option included."""
    return item if item.type != "plain" else CompletionItem(option + item.value, help=item.help)


def _last_word(line: str) -> str:
    """The word at the end of a line as it is typed; "" after a space."""
    found = re.search(r"""(?:\\.|'[^']*(?:'|$)|"(?:\\.|[^"\\])*(?:"|$)|[^\s'"\\])*\\?$""", line)
    return found[0] if found else ""


def complete() -> None:
    """Make the shells known to click. Called when a shell asks for completions."""
    for shell in (ReadlineComplete, ZshWords, FishWords):
        add_completion_class(shell)


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    Commands, options, and the names of your models and providers are completed.

    \b
    For this terminal:
      source <(modelbay completion bash)
    For all, in the folder of your shell:
      bash  ~/.local/share/bash-completion/completions/modelbay
      zsh   ~/.zfunc/_modelbay, with fpath+=~/.zfunc before compinit in ~/.zshrc
      fish  ~/.config/fish/completions/modelbay.fish
    """
    made = {"bash": ReadlineComplete, "zsh": ZshWords, "fish": FishWords}[shell]
    terminal.write_file(made(modelbay, {}, "modelbay", COMPLETING).source().lstrip())
