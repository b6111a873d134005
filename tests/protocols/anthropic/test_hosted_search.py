"""Searches of earlier replies, in histories that a client has changed."""

import pytest

from modelbay.dialect import PLAIN
from modelbay.gateway.search.search_loop import with_earlier_searches
from modelbay.model import Model
from modelbay.protocols.codec import Call, codec


@pytest.mark.parametrize("kept", [[{"type": "text", "text": "Found."}], []], ids=["beside a text", "alone"])
def test_a_result_whose_call_was_removed_is_not_sent(kept: list[dict[str, str]]) -> None:
    """The gateway's own result means nothing to Anthropic, which refuses one without a call."""
    result = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_modelbay01234567", "content": []}
    answer = {"role": "assistant", "content": [result, *kept]}
    messages = [{"role": "user", "content": "Search"}, answer, {"role": "user", "content": "And now?"}]
    asked = codec("anthropic").parse_request(Call("/v1/messages", {"max_tokens": 9, "messages": messages}))
    body = codec("anthropic").render_request(with_earlier_searches(asked), Model(id="m"), PLAIN).body
    assert "web_search_tool_result" not in str(body)
