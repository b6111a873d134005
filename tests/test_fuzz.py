"""Whatever others write, reading it raises nothing but what is promised. `make soak` goes on for longer."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzzing import TARGETS, run


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_raises_anything_of_its_own(name: str) -> None:
    @settings(max_examples=500, suppress_health_check=list(HealthCheck))
    @given(st.binary(max_size=200), st.data())
    def check(data: bytes, draw: st.DataObject) -> None:
        run(name, data, lambda limit: draw.draw(st.integers(0, limit - 1)))

    check()
