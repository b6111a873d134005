"""The model lists of the gateway."""

import json
from pathlib import Path
from typing import Any

from tests.gateway.running import running
from tests.gateway.test_app import call

MORE = """
[models.known]
provider = "openai_chat"
model = "gpt-4o"
[models.described]
provider = "openai_chat"
model = "in-house"
listed = { release_date = "2026-05" }
"""


async def test_release_dates_are_those_of_the_catalog(tmp_path: Path) -> None:
    async def found(path: str, **headers: str) -> Any:
        status, _, data = await call(gateway.url, path, method="GET", **headers)
        assert status == 200
        return json.loads(data)

    with running(tmp_path, more=MORE) as (gateway, _):
        created = {model["id"]: model["created"] for model in (await found("/v1/models"))["data"]}
        assert created["known"] > 1_700_000_000
        assert (created["described"], created["anthropic"]) == (1_777_593_600, 0)
        anthropic = await found("/v1/models/described", **{"anthropic-version": "2023-06-01"})
        assert anthropic["created_at"] == "2026-05-01T00:00:00Z"
        models = (await found("/api.json"))["modelbay"]["models"]
        assert (models["described"]["release_date"], models["anthropic"]["release_date"]) == ("2026-05-01", "")
