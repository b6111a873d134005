"""Settings that a body has as fields with the same values."""

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from modelbay.conversation import Json, Settings


class SameFields:
    """The names of such fields by the names of their settings, of which there are at least two."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.fields = tuple(names.values())
        self._settings = {field: setting for setting, field in names.items()}
        self._values = attrgetter(*names)
        self._unset = (None,) * len(names)

    def parse(self, body: Mapping[str, Json], settings: Settings) -> None:
        """Set the settings whose fields a body has."""
        for field in self._settings.keys() & body.keys():
            if (value := body[field]) is not None:
                setattr(settings, self._settings[field], value)

    def rendered(self, settings: Settings) -> dict[str, Any]:
        """The fields of the settings that are set."""
        values = self._values(settings)
        if values == self._unset:
            return {}
        return {field: value for field, value in zip(self.fields, values, strict=True) if value is not None}
