"""Versions in model names, as numbers that can be compared."""

import re

from msgspec import Struct

_NUMBER = re.compile(
    r"""(?<![\d.])(\d{1,2})          # 5; no year and no month
        (?:[.p_](\d{1,2})(?!\d)      # 5.10, and 5p10, as hosts write it that allow no dots
        |-(\d{1,2})(?=$|[-@:._]))?   # 4-7 and 4-7-20260101, but 3-32b is version 3
        (?!\d|[bkmt](?![a-z]))       # a size: 32b, 128k""",
    re.VERBOSE,
)
_MONTH = re.compile(r"(?<!\d)(2[3-9](?:0[1-9]|1[0-2]))(?!\d)")


class Version(Struct, frozen=True):
    """The version in a model's name. None means that the name has none, as `gemini-flash-latest`: the newest."""

    number: tuple[int, ...] | None
    month: int | None
    """Year and month as one number, such as 2512, for makers that use dates as versions."""

    def since(self, bound: str) -> bool:
        """Whether it is that version or a newer one. A bound of four digits is a month."""
        own, other = self._beside(bound)
        return own is None or own >= other

    def before(self, bound: str) -> bool:
        """Whether it is known to be older."""
        return not self.since(bound)

    def _beside(self, bound: str) -> tuple[tuple[int, ...] | None, tuple[int, ...]]:
        other = tuple(int(part) for part in bound.split("."))
        if other[0] > 99:
            return None if self.month is None else (self.month,), other
        return self.number, other


def version(name: str) -> Version:
    """The version in a name without its host: `claude-3-5-sonnet-20241022` is 3.5, `gpt-5.10` is 5.10, `k2p6` is 2.6."""
    found = _NUMBER.search(name)
    number: tuple[int, ...] | None = None
    if found is not None:
        major, minor = int(found[1]), found[2] or found[3]
        number = (major, int(minor)) if minor else (major,)
        if minor is None and major >= 20:  # `gpt-35-turbo` (Azure), `gpt-52`: hosts that omit the dot
            number = divmod(major, 10)
    month = _MONTH.search(name)
    return Version(number, int(month[1]) if month else None)
