"""Environment variables of agents that read them from settings, from a file of variables, and from the shell."""

import re
from collections.abc import Iterable
from pathlib import Path

from modelbay.agents.config_files import text_of
from modelbay.agents.findings import ConfigLayer
from modelbay.config.schema import Table
from modelbay.errors import ConfigError
from modelbay.storage.paths import environment

SHELL = "the shell"
_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][\w.-]*)\s*[=:]\s*(.*?)\s*\Z", re.DOTALL)
_COMMENT = re.compile(r"\s+#.*\Z", re.DOTALL)


def parse(text: str) -> dict[str, str]:
    """The variables of a file, one `NAME=value` per line. Other lines are ignored, as the agents do."""
    found = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None or line.lstrip().startswith("#"):
            continue
        value = match[2]
        end = value.find(value[0], 1) if value[:1] in ("'", '"', "`") else -1
        found[match[1]] = value[1:end] if end > 0 else _COMMENT.sub("", value)
    return found


def file_layer(path: Path) -> ConfigLayer:
    """A file of variables.

    Raises:
        ConfigError: the file cannot be read.
    """
    return ConfigLayer(str(path), {"env": dict(parse(text_of(path)))}, path.absolute().parent)


def shell_layer(names: Iterable[str], keys: Iterable[str]) -> list[ConfigLayer]:
    """The environment of this process: variables `names`, and `keys` as references. They override files."""
    values: Table = {name: value for name in names if (value := environment(name))}
    values |= {name: f"{{env:{name}}}" for name in keys if environment(name)}
    return [ConfigLayer(SHELL, {"env": values})] if values else []


def render(values: dict[str, str]) -> str:
    """A file of variables."""
    return "".join(f"{name}={_quoted(value)}\n" for name, value in values.items())


def _quoted(value: str) -> str:
    plain = re.fullmatch(r"[\w./:@%+,=~^-]*", value)
    quote = next((quote for quote in ("'", '"') if quote not in value), None)
    if not plain and (quote is None or "\n" in value):
        raise ConfigError("a value cannot be written to a file of variables", hint="set it in your shell")
    return value if plain else f"{quote}{value}{quote}"
