"""The report about the cost of the library, as `python -m bench library` runs it."""

import pytest

from bench.library.clients import PROTOCOLS
from bench.library.report import Sizes, measure


@pytest.mark.timeout(600)  # it imports all libraries
def test_every_library_reads_the_same_texts_and_has_figures() -> None:
    report = measure(Sizes(rounds=1, calls=2, streams=2, chunks=3, pace=1_000))
    found = {section.title.partition(":")[0]: [one.label for one in section.figures] for section in report.sections}
    assert found == {protocol: list(names) for protocol, names in PROTOCOLS.items()}
    assert all(one.values[0] > 0 for section in report.sections for one in section.figures)
    assert all(section.title in report.text() for section in report.sections)
