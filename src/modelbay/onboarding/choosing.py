"""Choosing a model, and how much it thinks: the levels there are, the one that stands, and what is written."""

from pathlib import Path

from modelbay.config import changes
from modelbay.config.edit import Edit, apply
from modelbay.config.schema import Config
from modelbay.errors import Unsupported
from modelbay.model import Model

OFF, ON = "off", "on"


def levels(model: Model) -> list[str]:
    """How much a model can think, least first; none where it does not, or nobody knows that it does."""
    always = model.can("always_thinking") is True
    if not always and model.can("thinking") is not True and not model.efforts:
        return []
    efforts = [effort for effort in model.efforts or [ON] if effort not in (OFF, "none")]
    return efforts if always else [OFF, *efforts]


def level(config: Config, model: Model, chosen: str | None = None) -> str | None:
    """The level that stands: what was chosen, else the configuration's word, else the model's own, else a middle one."""
    there = levels(model)
    if not there:
        return None
    thinking = config.thinking
    wanted = chosen or (OFF if thinking.enabled is False else thinking.effort) or model.default_effort
    if wanted in there:
        return wanted
    efforts = [one for one in there if one != OFF]
    if wanted == OFF or not efforts:
        return there[0]
    return efforts[len(efforts) // 2]


def checked(model: Model, wanted: str) -> tuple[str, str | None]:
    """A level as somebody typed it, and a warning where only the provider can say whether it is one.

    Raises:
        Unsupported: the model has no such level; the hint names those it has.
    """
    wanted = wanted.strip().lower()
    there = levels(model)
    name = model.alias or model.id
    if wanted in there:
        return wanted, None
    if model.protocol == "anthropic":  # its models come with efforts of their own, and new ones are passed on
        return wanted, f"{name} is not known to have the level {wanted}; it is sent as it is"
    if not there:
        raise Unsupported(
            f"{name} is not known to think", setting="effort",
            hint=f"if it does: modelbay model set {name} thinking=yes",
        )  # fmt: skip
    raise Unsupported(f'{name} has no level "{wanted}"', setting="effort", hint=f"it has {', '.join(there)}")


def write(path: Path | None, alias: str, effort: str | None = None, top: str | None = None) -> None:
    """Makes a model the default. `effort` is written where somebody chose it; not the most there is (`top`), which is dear
    and meant for the moment: of it only that thinking is on.

    Raises:
        ConfigError: the file cannot be changed.
    """

    def change(edit: Edit) -> None:
        changes.set_default_model(edit, alias)
        if effort is not None:
            edit.set("thinking", "enabled", value=effort != OFF)
            if effort not in (OFF, ON, top):
                edit.set("thinking", "effort", value=effort)
        changes.check(edit)

    apply(change, path)
