from pydantic_ai import Agent


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def get_time(city: str) -> str:
    """The local time in a city."""
    return f"14:30 in {city}"


agent = Agent("openai:gpt-5-mini", tools=[get_weather, get_time])
result = agent.run_sync("Look up the weather and the time in Hamburg in parallel.")
print(result.output)
