"""The test double with LiteLLM and Pydantic AI, whose requests are not those of the vendors' own SDKs. The official SDKs are in
test_testing.py."""

import json
import os
import subprocess
import sys

import pytest

from modelbay.testing import Simulator

LITELLM = """
import json, sys

import litellm

litellm.suppress_debug_info = True
kinds = json.loads(sys.argv[1])
SCHEMA = {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False,
}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]
FORM = {"type": "json_schema", "json_schema": {"name": "City", "schema": SCHEMA, "strict": True}}


def asked(messages, **settings):
    return litellm.completion(messages=messages, **settings).choices[0].message


for model, connection in kinds:
    options = {"model": model, **connection}
    question = {"role": "user", "content": "Hi"}
    print(asked([question], **options).content)
    stream = litellm.completion(messages=[question], stream=True, **options)
    print("".join(chunk.choices[0].delta.content or "" for chunk in stream))
    called = asked([question], tools=TOOLS, **options)
    call = called.tool_calls[0]
    print(call.function.name, json.loads(call.function.arguments))
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    print(asked([question, called, result], tools=TOOLS, **options).content)
    print(json.loads(asked([question], response_format=FORM, **options).content))
    try:
        asked([question], max_retries=0, **options)
    except litellm.RateLimitError:
        print("rate limited")
"""
PYDANTIC_AI = """
import asyncio, json, sys

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider


class City(BaseModel):
    city: str


provider = OpenAIProvider(base_url=sys.argv[1], api_key="any")


async def main():
    for kind in (OpenAIChatModel, OpenAIResponsesModel):
        model = kind("any-name", provider=provider)
        print((await Agent(model).run("Hi")).output)
        async with Agent(model).run_stream("Hi") as stream:
            print("".join([text async for text in stream.stream_text(delta=True)]))
        agent = Agent(model)

        @agent.tool_plain
        def get_weather(city: str) -> str:
            return f"sunny in {city}"

        print((await agent.run("Hi")).output)
        for form in (ToolOutput, NativeOutput, PromptedOutput):
            print((await Agent(model, output_type=form(City)).run("Where?")).output)


asyncio.run(main())
"""


def ran(code: str, argument: str, **variables: str) -> list[str]:
    """The lines that a program prints. Both packages warn about packages of their own, so warnings are not errors here."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, argument],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        env={
            **os.environ,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
            **variables,
        },
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("how", ["arguments", "environment"])
def test_litellm_uses_the_test_double_with_every_vendor_s_models(how: str) -> None:
    with Simulator() as simulator:
        given = how == "arguments"
        root = {"api_base": simulator.url, "api_key": simulator.api_key} if given else {}
        models = [
            ("openai/gpt-5", {"api_base": simulator.base_url(), "api_key": simulator.api_key} if given else {}),
            ("anthropic/claude-sonnet-4-5", root),
            ("gemini/gemini-2.5-flash", root),
        ]
        for _ in models:
            simulator.say("Hello!")
            simulator.say("Hello, piece by piece!")
            simulator.call("get_weather", city="Paris")
            simulator.say("Sunny.")
            simulator.answer({"city": "Paris"})
            simulator.fail(429)
        lines = ran(LITELLM, json.dumps(models), **({} if given else simulator.environment))
    expected = [
        "Hello!", "Hello, piece by piece!", "get_weather {'city': 'Paris'}", "Sunny.", "{'city': 'Paris'}", "rate limited",
    ]  # fmt: skip
    assert lines == expected * 3
    assert {request.protocol for request in simulator.requests} == {"openai_chat", "anthropic", "google"}


def test_pydantic_ai_uses_the_test_double() -> None:
    with Simulator(strict=True) as simulator:
        for _ in range(2):
            simulator.say("Hello!")
            simulator.say("Hello, piece by piece!")
            simulator.call("get_weather", city="Paris")
            simulator.say("Sunny.")
            simulator.answer({"city": "Paris"}).times(3)
        lines = ran(PYDANTIC_AI, simulator.base_url())
    assert lines == ["Hello!", "Hello, piece by piece!", "Sunny.", *["city='Paris'"] * 3] * 2
