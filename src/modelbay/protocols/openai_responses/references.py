"""Responses `item_reference`: items that a client names by their id instead of sending them.

Nothing is stored here, so a reference means something only where the item is in the same request. Reasoning that got its
id here is left out: a model can go on without it. Any other reference stays in the turns, and by its id in the settings'
`state`: the provider that stores its replies gets it; for another one whoever keeps items puts them in its place.
"""

import re

from modelbay.conversation import Turn
from modelbay.protocols.openai_responses.items import REFERENCE

_OWN = re.compile(r"([a-z]+)_modelbay[0-9a-f]{26}")
_REASONING = "rs"


def own_id(prefix: str, names: str, index: int) -> str:
    """An item's id that is made here. `names` are 24 hexadecimal digits that only items of the same reply share."""
    return f"{prefix}_modelbay{names}{index:02x}"


def is_own(id: str | None) -> bool:
    """Whether an id was made here, and so means nothing to any provider."""
    return id is not None and _OWN.fullmatch(id) is not None


def is_own_reasoning(id: str | None) -> bool:
    return is_own(id) and str(id).startswith(f"{_REASONING}_")


def resolve(turns: list[Turn]) -> tuple[list[Turn], list[str | None]]:
    """The turns without references to items that stand among them, and the ids of the references that are left."""
    present = {turn.item.id for turn in turns if turn.item is not None and turn.item.id and not is_reference(turn)}
    kept = [turn for turn in turns if not (is_reference(turn) and turn.parts[0].item_id in present)]
    ids = [turn.parts[0].item_id for turn in kept if is_reference(turn)]
    return kept, [id for id in ids if not is_own_reasoning(id)]


def is_reference(turn: Turn) -> bool:
    return len(turn.parts) == 1 and turn.parts[0].native == REFERENCE
