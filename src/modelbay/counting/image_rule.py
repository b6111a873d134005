"""The tokens of an image by its size."""

from math import ceil, sqrt
from typing import Literal

from msgspec import Struct


class ImageRule(Struct, frozen=True, kw_only=True):
    """How a family counts the tokens of an image."""

    kind: Literal["tiles", "patches", "grid", "flat"]
    """`tiles` and `patches`: by squares of `edge` pixels. `grid`: likewise, but the sides are rounded to whole squares.
    `flat`: always `base`."""
    base: float = 0
    """Tokens of every image; for `tiles` also those of one with low detail."""
    edge: int = 512
    """Width and height of a square in pixels."""
    each: float = 1
    """Tokens per square."""
    long_side: int = 0
    """A larger image is scaled down to this; 0: not at all."""
    short_side: int = 0
    most: int = 0
    """Maximum tokens without `base`; 0: no maximum."""
    least: int = 0
    """Minimum number of squares: a smaller image is scaled up."""

    def tokens(self, size: tuple[int, int], detail: str | None) -> float:
        if self.kind == "flat" or (self.kind == "tiles" and detail == "low"):
            return self.base
        long, short = float(max(size)), float(max(1, min(size)))
        if self.long_side and long > self.long_side:
            long, short = self.long_side, short * self.long_side / long
        if self.short_side and short > self.short_side:
            long, short = long * self.short_side / short, self.short_side
        long, short = long / self.edge, short / self.edge
        if self.kind == "grid":
            long, short = self._rounded(long, short)
        found = ceil(long) * ceil(short) * self.each
        return self.base + (min(found, self.most) if self.most else found)

    def _rounded(self, long: float, short: float) -> tuple[float, float]:
        """The sides in squares."""
        sides = round(long), max(1, round(short))
        if sides[0] * sides[1] >= self.least:
            return sides
        scale = sqrt(self.least / (long * short))
        return long * scale, short * scale
