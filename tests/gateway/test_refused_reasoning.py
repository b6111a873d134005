"""A provider that refuses the reasoning state in a history: the gateway sends the history without it."""

import json
from pathlib import Path
from typing import Any

from tests.gateway.running import running
from tests.gateway.test_app import call


async def test_a_summarized_conversation_continues_at_a_provider_of_the_same_protocol(tmp_path: Path) -> None:
    """As Kilo Code continues after `/compact`: its own summary, then the last messages, with their encrypted reasoning."""
    include: dict[str, Any] = {"store": False, "include": ["reasoning.encrypted_content"]}
    asked = {"model": "openai_responses", "input": [{"role": "user", "content": "Hi"}], **include}
    with running(tmp_path, model="sim-echo", key="sk-provider") as (gateway, upstream):
        _, _, first = await call(gateway.url, "/v1/responses", asked)
        kept = [{"role": "user", "content": "Summary: Hi"}, *json.loads(first)["output"]]
        status, headers, reply = await call(
            gateway.url, "/v1/responses", {**asked, "input": [*kept, {"role": "user", "content": "Go on"}]}
        )
        assert status == 200, reply
        assert headers["x-modelbay-attempts"] == "2"
        assert headers["x-modelbay-dropped"] == "reasoning"
        assert [entry.status for entry in upstream.journal] == [200, 400, 200]
        items = upstream.journal.last.json["input"]
        assert [item.get("type", item.get("role")) for item in items] == ["user", "message", "user"]
        assert "id" not in items[1]
