"""The reasoning settings of a call."""

from msgspec.structs import replace

from modelbay.config.schema import ThinkingDefaults
from modelbay.conversation import Reasoning
from modelbay.dialect import Dialect
from modelbay.library.prompt import Ask
from modelbay.model import Model
from modelbay.protocols import efforts


def thinking(
    ask: Ask, given: Reasoning | None, defaults: ThinkingDefaults, model: Model, dialect: Dialect
) -> Reasoning | None:
    """The reasoning settings: those of the call, else `given` by its conversation, else `[thinking]`, else the model's entry. If
    both an effort and a budget are set, `efforts.fitted` chooses.

    Raises:
        UnknownEffort: the effort is not a known value.
    """
    effort, budget = ask.get("effort"), ask.get("thinking_budget")
    if effort is not None or (given is None and budget is None):
        given = _of_effort(effort, defaults, model, dialect)
    if budget is not None:
        given = replace(given or Reasoning(enabled=budget > 0), budget=budget)
    return given


def _of_effort(effort: str | None, defaults: ThinkingDefaults, model: Model, dialect: Dialect) -> Reasoning | None:
    if effort is None and model.can("thinking") is not True and model.can("always_thinking") is not True:
        return None
    if effort is None and defaults.enabled is False:
        effort = "off"
    place = "" if effort else "[thinking]" if defaults.effort else f"models.{model.alias}.default_effort"
    effort = efforts.checked(effort or defaults.effort or model.default_effort, model, dialect, place)
    if effort is None:
        return Reasoning(enabled=True) if defaults.enabled else None
    return Reasoning(enabled=effort not in efforts.OFF, effort=None if effort in efforts.ON else effort)
