"""The maximum output tokens that a provider accepts, read from a 400 that reports them.

Providers word it differently. A number counts only next to words for an upper limit, in a text that names the parameter,
and only if it is below the number that was sent. Limits that depend on the length of the prompt are not read.
"""

import re
from collections.abc import Iterator
from typing import Any

from modelbay.errors import BadRequest, ContextOverflow, MalformedReply
from modelbay.json_text import decode
from modelbay.protocols.limits import reduced_budget
from modelbay.protocols.pass_rules import PassRules, spellings

_PARAMETER = re.compile(
    r"max_?(?:completion_?|output_?|new_?)?tokens|max(?:imum)? (?:\w+ ){0,3}tokens|(?:completion|output) tokens",
    re.IGNORECASE,
)
_OTHER = re.compile(
    r"context (?:length|limit|size)|maximum context|input tokens|prompt|in the messages|\bstream|budget|per (?:minute|day)"
    r"|rate limit",
    re.IGNORECASE,
)
"""Words about limits of something else, or of the input and the output together."""
_N = r"[\s`'\"(:=]*(\d[\d,_]*)(?!\w|\.\d)"
_AT_MOST = re.compile(
    rf"(?:at most|up to|no more than|(?:not|cannot) (?:be )?(?:exceed|above|over|(?:more|greater|larger|higher) than)"
    rf"|(?:less|lower|smaller) than or equal to|<=|≤|limit(?:ed)? (?:of|is|to)|max(?:imum)?(?: \w+){{0,4}}?(?: is| of| to)?){_N}"
    rf"|\d\)? *> *{_N}"
    rf"|[\[(] *\d+ *[,\uff0c~-]{_N} *[\])]"
    rf"|(?:between|from) \d+\D{{0,16}}?(?:and|to){_N}(?! *\(exclusive)",
    re.IGNORECASE,
)
_BELOW = re.compile(rf"(?:less|lower|smaller) than{_N}|< *{_N}|to{_N} *\(exclusive\)", re.IGNORECASE)


def reported_limit(error: BadRequest, body: dict[str, Any], rules: PassRules) -> int | None:
    """The maximum output tokens that an error reports, if `body` asks for more; else None."""
    asked = max((holder[name] for holder, name in _places(body, rules.limits)), default=0)
    if not asked or isinstance(error, ContextOverflow):
        return None
    text = " ".join([error.message, *_texts(error.body)])[:8_000]
    if not _PARAMETER.search(text) or _OTHER.search(text):
        return None
    found = [number for match in _AT_MOST.finditer(text) for number in _numbers(match)]
    found += [number - 1 for match in _BELOW.finditer(text) for number in _numbers(match)]
    return max((number for number in found if 0 < number < asked), default=None)


def reduce_output(body: dict[str, Any], most: int, rules: PassRules) -> bool:
    """Reduce maximum output tokens above a limit, and thinking budgets that were below them with them. Returns whether
    there were any."""
    above = [(holder, name) for holder, name in _places(body, rules.limits) if holder[name] > most]
    before = max((holder[name] for holder, name in above), default=0)
    for holder, name in above:
        holder[name] = most
    for holder, name in _places(body, rules.budgets) if above else ():
        if most <= holder[name] < before:
            holder[name] = reduced_budget(most)
    return bool(above)


def _places(body: dict[str, Any], places: tuple[str, ...]) -> Iterator[tuple[dict[str, Any], str]]:
    """The numbers at some places: the objects that contain them, and their names."""
    for place in places:
        *outer, name = place.split(".")
        holder: Any = body
        for step in outer:
            holder = next((holder[one] for one in spellings(step) if one in holder), None)
            if not isinstance(holder, dict):
                break
        else:
            for one in spellings(name):
                if type(holder.get(one)) in (int, float):
                    yield holder, one


def _numbers(match: re.Match[str]) -> list[int]:
    digits = [re.sub("[,_]", "", group) for group in match.groups() if group]
    return [int(number) for number in digits if len(number) < 12]


def _texts(body: str) -> list[str]:
    """All strings in a body: servers put the reason into fields of their own."""
    try:
        left: list[Any] = [decode(body)]
    except MalformedReply:
        return []
    found: list[str] = []
    while left:
        value = left.pop()
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, dict | list):
            left += value.values() if isinstance(value, dict) else value
    return found
