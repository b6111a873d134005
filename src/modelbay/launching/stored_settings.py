"""Settings that an agent writes to its own file when the user chooses a model on its screen. They stay there after a launch,
although the agent cannot use a model of modelbay without modelbay.
"""

import json
from pathlib import Path

from modelbay.agents import by_name
from modelbay.agents.config_files import json_layer, toml_layer
from modelbay.config.schema import Table
from modelbay.errors import ConfigError
from modelbay.launching.plan import LaunchTarget
from modelbay.launching.program import AgentProgram


class StoredSettings:
    """The settings of an agent before its launch."""

    def __init__(self, program: AgentProgram) -> None:
        self._program = program
        self._before = self._read()

    def warning(self, target: LaunchTarget) -> str | None:
        """A warning if a model of the target was stored in the meantime, and the agent's own provider does not have it."""
        if not target.through_gateway and target.vendor == self._program.maker:
            return None
        after = self._read()
        changed = [name for name in self._program.stores if after.get(name) != self._before.get(name)]
        offered = {model.id for model in target.models}
        if not changed or str(after.get(changed[0])).removesuffix(self._program.long_suffix) not in offered:
            return None
        values = ", ".join(
            f"{name} = {_shown(after.get(name))} (before: {_shown(self._before.get(name))})" for name in changed
        )
        return (
            f"{self._program.title} stored a model of modelbay in {self._file}: {values}."
            " The model does not exist without modelbay: restore the old values in the file"
        )

    @property
    def _file(self) -> Path:
        return by_name(self._program.id).files()[-1]

    def _read(self) -> Table:
        """The content of the file; empty if it cannot be read."""
        if not self._program.stores:
            return {}
        try:
            file = self._file
            layer = toml_layer(file, self._program.title) if file.suffix == ".toml" else json_layer(file)
        except ConfigError:
            return {}
        return layer.data


def _shown(value: object) -> str:
    return "not set" if value is None else json.dumps(value, ensure_ascii=False)
