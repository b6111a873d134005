import modelbay


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def get_time(city: str) -> str:
    """The local time in a city."""
    return f"14:30 in {city}"


run = modelbay.run("Look up the weather and the time in Hamburg in parallel.", tools=[get_weather, get_time])
print(run.reply().text)
