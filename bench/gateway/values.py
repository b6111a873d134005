"""The values of a report: figures of each round, as ratios to a base of the same round."""

from statistics import median

from msgspec import Struct

from bench.table import table


class Target(Struct, frozen=True):
    """The ratio that a figure must have at most, and the one that is aimed at."""

    must: float
    aim: float


class Figure(Struct, frozen=True):
    """A quantity that was measured, once per round."""

    label: str
    values: list[float]
    base: list[float]
    """The figures that they are compared to, in the same rounds. Empty: the values are compared to the targets."""
    target: Target | None = None
    failure: str = ""
    """The first error of the load generator."""

    @property
    def ratios(self) -> list[float]:
        if not self.base:
            return self.values
        return [value / base for value, base in zip(self.values, self.base, strict=True)]

    @property
    def reached(self) -> str:
        if self.failure:
            return "errors"
        if self.target is None:
            return "-"
        middle = median(self.ratios)
        return "aim" if middle <= self.target.aim else "must" if middle <= self.target.must else "no"


class Section(Struct, frozen=True):
    """Figures of one situation."""

    title: str
    base: str
    """Name of the base."""
    unit: str
    figures: list[Figure]

    def text(self) -> str:
        head = [self.title, f"x {self.base}" if self.base else self.unit, "spread", "must", "aim", "reached"]
        if self.base:
            head.append(self.unit)
        return table("", head, [_cells(figure, absolute=bool(self.base)) for figure in self.figures]).lstrip("\n")


class Report(Struct, frozen=True):
    """All sections of a run, and remarks about it."""

    remarks: list[str]
    sections: list[Section]

    def text(self) -> str:
        failures = [f"{one.label}: {one.failure}" for part in self.sections for one in part.figures if one.failure]
        return "\n".join([*self.remarks, "", *(section.text() for section in self.sections), *failures])


def _cells(figure: Figure, *, absolute: bool) -> list[str]:
    ratios = figure.ratios
    spread = f"{min(ratios):.2f}-{max(ratios):.2f}" if len(ratios) > 1 else "-"
    limits = [f"{figure.target.must:g}", f"{figure.target.aim:g}"] if figure.target else ["-", "-"]
    cells = [figure.label, f"{median(ratios):.2f}", spread, *limits, figure.reached]
    return [*cells, f"{median(figure.values):.1f}"] if absolute else cells
