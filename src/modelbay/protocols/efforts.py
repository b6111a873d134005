"""Fits reasoning effort to a model: one rule for all protocols, for clients and for users.

- The model is known not to have the effort: the nearest level is sent, with a warning.
- It is unknown whether the model has it: it is sent, with a warning.
- No protocol, vendor or model has such an effort: `UnknownEffort`.
- An effort and a budget are both set: one of them is sent, with a warning about the other, as APIs with both accept only one.
  Off comes first, which a budget of 0 is, then the budget if the API has budgets, then the effort.

Requests in the provider's own protocol are not changed.
"""

from msgspec.structs import replace

from modelbay.conversation import Reasoning
from modelbay.dialect import Dialect
from modelbay.errors import UnknownEffort
from modelbay.events import Warned
from modelbay.model import Model

OFF = ("off", "none", "disabled")
ON = ("on", "auto", "default", "enabled")
LEVELS = ("minimal", "low", "medium", "high", "xhigh", "max")
"""All levels of all protocols and vendors, lowest first."""
_BUDGETED = ("minimal", "low", "medium", "high")
"""Levels that stand for a number of tokens, for models with a budget."""
_BUDGETS = frozenset({"reasoning", "enable_thinking"})
"""Values of `Dialect.reasoning_control` with a number of thinking tokens."""
_SWITCHES = ("thinking", "enable_thinking")
"""Values of `Dialect.reasoning_control` that turn thinking on or off, without levels."""


def fitted(
    reasoning: Reasoning, model: Model, dialect: Dialect, protocol: str, report: list[Warned]
) -> Reasoning | None:
    """The reasoning settings that this model supports; None if none are sent. Changes are reported.

    Raises:
        UnknownEffort: `effort` is not a known value.
    """
    word = checked(reasoning.effort, model, dialect)
    name = model.alias or model.id
    if reasoning.enabled is False or word in OFF or reasoning.budget == 0:
        if reasoning.budget or (word and word not in OFF):
            what = f"a budget of {reasoning.budget} thinking tokens" if reasoning.budget else f"the effort `{word}`"
            report.append(_warned(f"{what} is not sent: thinking is off"))
        return _off(reasoning, model, dialect, protocol, report)
    wanted = word or ("on" if reasoning.enabled else None)
    if (wanted or reasoning.budget) and model.can("thinking") is False:
        what = "a thinking budget" if reasoning.budget and not word else f"the effort `{wanted}`"
        report.append(_warned(f"{name} does not support thinking: {what} is not sent"))
        return None
    if protocol in ("openai_chat", "openai_responses") and dialect.reasoning_control == "none":
        if wanted or reasoning.budget:
            report.append(_unknown(dialect))
        return None
    if reasoning.budget:
        reasoning, word = _budgeted(reasoning, word, model, dialect, protocol, report)
    if word is None or word in ON:
        return replace(reasoning, effort=None, enabled=True if word else reasoning.enabled)
    if protocol == "openai_chat" and dialect.reasoning_control in _SWITCHES:
        report.append(_warned(f"the effort `{word}` is sent as thinking on: the provider has no levels"))
        return replace(reasoning, effort=None, enabled=True)
    return _level(replace(reasoning, effort=word), model, dialect, protocol, report)


def _budgeted(
    reasoning: Reasoning, word: str | None, model: Model, dialect: Dialect, protocol: str, report: list[Warned]
) -> tuple[Reasoning, str | None]:
    """A budget, or the effort in place of one: no API takes both, and some take no budget."""
    unbudgeted = replace(reasoning, budget=None, enabled=True)
    if word and word not in ON:
        if not _has_budgets(model, dialect, protocol):
            report.append(
                _warned(f"a budget of {reasoning.budget} thinking tokens is not sent: the effort `{word}` is set")
            )
            return unbudgeted, word
        report.append(_warned(f"the effort `{word}` is not sent: a budget of {reasoning.budget} tokens is set"))
        word = "on"
    if protocol == "anthropic" and model.can("thinking_budget") is False:
        assert reasoning.budget is not None
        return unbudgeted, of_budget(reasoning.budget, model, report)
    if protocol == "openai_chat" and dialect.reasoning_control in ("thinking", "thinking.effort"):
        report.append(_warned("the thinking budget is not sent: the provider has no setting for it"))
        return unbudgeted, word
    return reasoning, word


def _has_budgets(model: Model, dialect: Dialect, protocol: str) -> bool:
    """Whether a number of thinking tokens can be sent as it is."""
    if protocol == "anthropic":
        return model.can("thinking_budget") is not False
    if protocol == "google":
        return not model.efforts
    ways = (dialect.reasoning_control or "").split("+")
    return protocol == "openai_chat" and not _BUDGETS.isdisjoint(ways)


def checked(effort: str | None, model: Model, dialect: Dialect, place: str = "") -> str | None:
    """An effort in lower case, or in the model's own spelling. `place` is the setting it comes from, for the message.

    Raises:
        UnknownEffort: it is not a known value.
    """
    if effort is None:
        return None
    own = {word.lower(): word for word in (*(model.efforts or ()), model.off_effort) if word}
    word = effort.strip().lower()
    if word in own:
        return own[word] if word not in (*OFF, *LEVELS) else word
    if word in (*OFF, *ON, *LEVELS) or word in dialect.efforts or word in dialect.efforts.values():
        return word
    known = [one for one in model.efforts or LEVELS if one not in OFF]
    raise UnknownEffort(
        f'unknown effort "{effort}"{f" in {place}" if place else ""}',
        setting="effort",
        hint=f"use one of: {', '.join(['off', *known])}",
    )


def nearest(wanted: str, efforts: list[str], name: str, report: list[Warned]) -> str:
    """The level itself if it is one of `efforts`, else the next lower one, else the lowest, with a warning."""
    known = {effort.lower(): effort for effort in efforts if effort.lower() not in OFF}
    if wanted in known or not known:
        return known.get(wanted, wanted)
    order = [level for level in LEVELS if level in known] or list(known)
    lower = [level for level in order if wanted in LEVELS and level in LEVELS[: LEVELS.index(wanted)]]
    found = known[lower[-1] if lower else order[0]]
    report.append(_warned(f"the effort `{wanted}` is sent as `{found}`: {name} has {', '.join(efforts)}"))
    return found


def of_budget(budget: int, model: Model, report: list[Warned]) -> str:
    """The effort for a number of thinking tokens, for protocols that have efforts only."""
    level = "low" if budget <= 2048 else "medium" if budget <= 8192 else "high"
    found = nearest(level, model.efforts or [], model.alias or model.id, [])
    report.append(_warned(f"a budget of {budget} thinking tokens is sent as effort `{found}`"))
    return found


def _level(reasoning: Reasoning, model: Model, dialect: Dialect, protocol: str, report: list[Warned]) -> Reasoning:
    word, name = reasoning.effort or "", model.alias or model.id
    efforts = model.efforts
    if efforts is None and protocol in ("anthropic", "google") and model.can("thinking"):
        efforts = list(_BUDGETED)
    if efforts is None:
        report.append(Warned(f"unknown whether {name} has the effort `{word}`; it is sent unchanged"))
        return reasoning
    if not efforts:
        report.append(_warned(f"the effort `{word}` is not sent: {name} has no levels"))
        return replace(reasoning, effort=None, enabled=True)
    if any(effort.lower() in (word.lower(), dialect.efforts.get(word)) for effort in efforts):
        return reasoning
    return replace(reasoning, effort=nearest(word, efforts, name, report))


def _off(reasoning: Reasoning, model: Model, dialect: Dialect, protocol: str, report: list[Warned]) -> Reasoning | None:
    if model.can("thinking") is False:
        return None
    name, levels = model.alias or model.id, [effort for effort in model.efforts or () if effort.lower() not in OFF]
    always = model.can("always_thinking")
    if protocol == "google" and levels:
        always = True  # models with levels have no other way to turn it off
    if always and not model.off_effort:
        takes = protocol != "openai_chat" or dialect.reasoning_control not in (*_SWITCHES, "none")
        if levels and takes:
            lowest = next((level for level in LEVELS if level in levels), levels[0])
            report.append(_warned(f"{name} always thinks: the effort `off` is sent as `{lowest}`"))
            return replace(reasoning, enabled=True, effort=lowest, budget=None, visibility="hidden")
        report.append(_warned(f"the effort `off` is not sent: {name} always thinks", dropped=True))
        return Reasoning(visibility="hidden")
    if protocol == "openai_chat" and dialect.reasoning_control == "none":
        report.append(_unknown(dialect))
        return None
    if always is None and not model.off_effort:
        report.append(Warned(f"unknown whether {name} can turn off thinking; the effort `off` is sent"))
    return replace(reasoning, enabled=False, effort=model.off_effort, budget=None)


def _unknown(dialect: Dialect) -> Warned:
    return _warned(f"`reasoning` is not sent: {dialect.vendor or 'the provider'} has no setting for it", dropped=True)


def _warned(message: str, *, dropped: bool = False) -> Warned:
    return Warned(message, "reasoning", dropped=dropped)
