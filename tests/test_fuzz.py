"""Reading any input raises only the documented errors. `make soak` runs longer."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelbay.dialect import PLAIN
from modelbay.events import collect
from modelbay.protocols.codec import codec
from tests.fuzzing import TARGETS, run


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_raises_anything_of_its_own(name: str) -> None:
    @settings(max_examples=500, suppress_health_check=list(HealthCheck))
    @given(st.binary(max_size=200), st.data())
    def check(data: bytes, draw: st.DataObject) -> None:
        run(name, data, lambda limit: draw.draw(st.integers(0, limit - 1)))

    check()


def test_a_block_without_a_type_is_left_out_of_a_reply() -> None:
    """Found by the fuzzer: no client reads it, and its renderer raised a KeyError."""
    anthropic = codec("anthropic")
    body = {
        "type": "message",
        "content": [{"id": "x"}, {"type": "text", "text": "Hi"}, {"type": "tool_use", "name": 1}],
    }
    body["stop_reason"] = "end_turn"
    again = msgspec.json.decode(
        anthropic.render_reply(collect(anthropic.parse_reply(msgspec.json.encode(body), PLAIN)))
    )
    assert again["content"][0] == {"type": "text", "text": "Hi"}
