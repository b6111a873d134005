from openai import OpenAI, pydantic_responses_function_tool
from openai.lib.responses_tool_runner import RegisteredFunction, ResponsesToolRunner
from pydantic import BaseModel


class GetWeather(BaseModel):
    """The weather in a city."""

    city: str


class GetTime(BaseModel):
    """The local time in a city."""

    city: str


def get_weather(arguments: GetWeather) -> str:
    return f"sunny in {arguments.city}"


def get_time(arguments: GetTime) -> str:
    return f"14:30 in {arguments.city}"


weather = pydantic_responses_function_tool(GetWeather, name="get_weather")
time = pydantic_responses_function_tool(GetTime, name="get_time")
runner = ResponsesToolRunner(
    functions=[
        RegisteredFunction.from_tool(weather, execute=get_weather, independent=True),
        RegisteredFunction.from_tool(time, execute=get_time, independent=True),
    ]
)
question = "Look up the weather and the time in Hamburg in parallel."
response = runner.run(OpenAI(), {"model": "gpt-5-mini", "input": question}, stream=True, eager=True)
print(response.output_text)
