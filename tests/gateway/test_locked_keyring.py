"""A keyring that waits for its user, who does not unlock it."""

import asyncio
import threading
from contextlib import AsyncExitStack
from pathlib import Path

import keyring
import pytest

from tests.gateway.raw import RawClient, post
from tests.gateway.running import running
from tests.gateway.test_app import request

REQUESTS = 40
"""More than Python's own executor has threads."""
LOCKED = """
[providers.locked]
type = "openai"
base_url = "http://127.0.0.1:1"
api_key = "{keyring:a/b}"
[models.locked]
provider = "locked"
model = "m"
"""


async def test_requests_of_other_providers_are_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, unlocked = threading.Event(), threading.Event()

    def get(service: str, user: str) -> str:
        asked.set()
        unlocked.wait()
        return "sk-provider"

    monkeypatch.setattr(keyring, "get_password", get)
    with running(tmp_path, more=LOCKED) as (gateway, _):
        try:
            async with AsyncExitStack() as clients:
                for _ in range(REQUESTS):
                    waiting = await clients.enter_async_context(RawClient(gateway.url))
                    await waiting.send(post(*request("openai_chat", "locked")))
                await asyncio.to_thread(asked.wait)
                async with RawClient(gateway.url) as other:
                    await other.send(post(*request("openai_chat", "anthropic")))
                    assert (await other.response()).status == 200
        finally:
            unlocked.set()
