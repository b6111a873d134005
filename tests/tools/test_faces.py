"""Groups of faces: how they are found, and whether the faces of each page do the same."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from modelbay.config.load import parse
from modelbay.simulator import Simulator
from tests.pages import DOCS, Shell, at, commands_in
from tools.faces import LonelyFace, groups, tabbed

PAGE = """\
Choose a model:

**Command line**

```console
$ modelbay model default a/b

$ modelbay ask Hi
```

**App**

Type `/model`,
then press Enter.

**config.toml**

```toml
default_model = "a/b"
```

Then ask it.
"""


def test_faces_in_a_row_become_tabs_and_the_text_around_them_stays():
    assert tabbed(PAGE) == (
        "Choose a model:\n\n"
        '=== "Command line"\n\n    ```console\n    $ modelbay model default a/b\n\n    $ modelbay ask Hi\n    ```\n\n'
        '=== "App"\n\n    Type `/model`,\n    then press Enter.\n\n'
        '=== "config.toml"\n\n    ```toml\n    default_model = "a/b"\n    ```\n\n'
        "Then ask it.\n"
    )


def test_text_between_two_groups_ends_the_first_one():
    text = PAGE + "\n" + PAGE
    assert [[face["name"] for face in group] for group in groups(text)] == [["Command line", "App", "config.toml"]] * 2


def test_a_face_with_two_blocks_is_an_error_that_names_it():
    with pytest.raises(LonelyFace, match=r"\*\*App\*\*"):
        tabbed("**App**\n\nType this:\n\n    /model\n\n**Python**\n\nNot in Python.\n\n**config.toml**\n\nNot there.\n")


def test_bold_text_that_is_not_a_face_stays():
    text = "**Your settings stay.**\n\nA refresh keeps them.\n\n**App** and more.\n"
    assert tabbed(text) == text


# --- the pages ---------------------------------------------------------------------------------------------------------

CONFIG = """
[providers.ollama]
type = "openai"
base_url = "{url}/v1"

[providers.anthropic]
type = "anthropic"
base_url = "{url}"
api_key = "sk-simulated"

[models."ollama/llama3.2"]
provider = "ollama"
model = "llama3.2"

[models."anthropic/claude-haiku-4-5"]
provider = "anthropic"
model = "claude-haiku-4-5"
"""
"""Providers of earlier pages."""
CHANGES = re.compile(r"^modelbay (?:provider (?:custom|edit|add .*--model)|model (?:set|default)) ")
"""Commands that change config.toml, and need neither a network nor a key."""


def pairs(page: Path) -> list[tuple[slice, list[str], str]]:
    """The groups of a page with a command and the config.toml that it writes: their place, the commands and the TOML."""
    found = []
    for group in groups(page.read_text()):
        faces = {face["name"]: face["block"] for face in group}
        typed = re.findall(r"^(?:\$ )?(modelbay .*(?:\\\n.*)*)", faces.get("Command line", ""), re.MULTILINE)
        if "config.toml" in faces and (changing := [line for line in typed if CHANGES.match(line)]):
            place = slice(group[0].start(), group[-1].end())
            found.append((place, changing, faces["config.toml"].split("\n", 1)[1].removesuffix("```\n")))
    return found


@pytest.mark.parametrize("page", [page for page in DOCS if pairs(page)], ids=lambda page: page.stem)
def test_a_command_writes_the_config_toml_that_is_shown_beside_it(page: Path, tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    path = tmp_path / ".config/modelbay/config.toml"
    path.parent.mkdir(parents=True)
    with Simulator() as simulator:
        path.write_text(CONFIG.format(url=simulator.url))
        done = 0
        for place, changing, toml in pairs(page):
            before = commands_in(page.read_text()[done : place.start])
            for line in [*(one.typed for one in before if one.exact), *changing]:
                code, output = shell.type(at(simulator.url, line))
                assert line not in changing or code == 0, f"$ {line}\n{output}"
            done = place.stop
            assert lacking(tomllib.loads(at(simulator.url, toml)), tomllib.loads(path.read_text())) == [], changing


def lacking(shown: dict[str, Any], written: dict[str, Any], name: str = "") -> list[str]:
    """The values that the page shows and the file does not have. A base URL of the page can be another one."""
    found = []
    for key, value in shown.items():
        if isinstance(value, dict):
            found += lacking(value, written.get(key, {}), f"{name}{key}.")
        elif written.get(key) != value:
            found.append(f"{name}{key} = {value!r}, but {written.get(key)!r}")
    return found


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.stem)
def test_every_config_toml_beside_a_command_has_known_keys(page: Path, tmp_path: Path) -> None:
    for group in groups(page.read_text()):
        for face in group:
            if face["name"] == "config.toml":
                config = parse(face["block"].split("\n", 1)[1].removesuffix("```\n"), tmp_path / "config.toml")
                assert config.unknown == []
