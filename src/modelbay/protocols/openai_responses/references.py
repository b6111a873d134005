"""Responses `item_reference`: items that a client references by ID instead of sending them.

Nothing is stored here, so a reference can only be resolved if the item is in the same request. Reasoning with an ID
made here is dropped, as a model can continue without it. Other references stay in the turns, and their IDs in `state`
of the settings: a provider that stores its replies receives them; for other providers, a store of items can replace
them.
"""

import re

from modelbay.conversation import Turn
from modelbay.protocols.openai_responses.items import REFERENCE

_OWN = re.compile(r"([a-z]+)_modelbay[0-9a-f]{26}")
_REASONING = "rs"


def own_id(prefix: str, names: str, index: int) -> str:
    """An item ID made here. `names` are 24 hexadecimal digits shared only by items of the same reply."""
    return f"{prefix}_modelbay{names}{index:02x}"


def is_own(id: str | None) -> bool:
    """Whether an ID was made here, so that no provider knows it."""
    return id is not None and _OWN.fullmatch(id) is not None


def is_own_reasoning(id: str | None) -> bool:
    return is_own(id) and str(id).startswith(f"{_REASONING}_")


def resolve(turns: list[Turn]) -> tuple[list[Turn], list[str | None]]:
    """The turns with references to their own items removed, and the IDs of the remaining references."""
    present = {turn.item.id for turn in turns if turn.item is not None and turn.item.id and not is_reference(turn)}
    kept = [turn for turn in turns if not (is_reference(turn) and turn.parts[0].item_id in present)]
    ids = [turn.parts[0].item_id for turn in kept if is_reference(turn)]
    return kept, [id for id in ids if not is_own_reasoning(id)]


def is_reference(turn: Turn) -> bool:
    return len(turn.parts) == 1 and turn.parts[0].native == REFERENCE
