"""Answers that are lists or words, for clients of providers that accept them, from providers that accept only objects."""

import json
from collections.abc import Iterator
from enum import StrEnum

import anthropic
import pytest
from google import genai
from google.genai import types
from pydantic import BaseModel

from modelbay.simulator import Simulator
from tests.gateway.running import KEY, RunningGateway, running_at_home

Running = tuple[RunningGateway, Simulator]


class Recipe(BaseModel):
    name: str
    steps: list[str]


class Grade(StrEnum):
    GOOD = "good"
    BAD = "bad"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_at_home(tmp_path_factory.mktemp("gateway"), model="sim-1") as found:
        yield found


@pytest.mark.parametrize("upstream", ["openai_chat", "openai_responses", "anthropic", "google"])
def test_google_s_sdk_reads_a_list_of_any_provider(gateway: Running, upstream: str) -> None:
    client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=gateway[0].url))
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=list[Recipe])
    reply = client.models.generate_content(model=upstream, contents="Three recipes", config=config)
    assert isinstance(reply.parsed, list)
    assert all(isinstance(recipe, Recipe) for recipe in reply.parsed)
    chunks = client.models.generate_content_stream(model=upstream, contents="Three recipes", config=config)
    assert json.loads("".join(chunk.text or "" for chunk in chunks)) == json.loads(reply.text or "")
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Grade)
    reply = client.models.generate_content(model=upstream, contents="Is it good?", config=config)
    assert reply.parsed in list(Grade)


@pytest.mark.parametrize("upstream", ["openai_chat", "openai_responses"])
def test_anthropic_s_client_reads_a_list_of_openai_s_models(gateway: Running, upstream: str) -> None:
    client = anthropic.Anthropic(api_key=KEY, base_url=gateway[0].url, max_retries=0)
    schema = {"type": "array", "items": {"type": "integer"}}
    reply = client.messages.create(
        model=upstream,
        max_tokens=100,
        messages=[{"role": "user", "content": "Three numbers"}],
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )
    (block,) = reply.content
    assert isinstance(block, anthropic.types.TextBlock)
    assert isinstance(json.loads(block.text), list)
