import json
from concurrent.futures import ThreadPoolExecutor

from litellm import completion


def get_weather(city: str) -> str:
    return f"sunny in {city}"


def get_time(city: str) -> str:
    return f"14:30 in {city}"


functions = {"get_weather": get_weather, "get_time": get_time}
descriptions = {"get_weather": "The weather in a city.", "get_time": "The local time in a city."}
parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
tools = [
    {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}
    for name, description in descriptions.items()
]


def result(call):
    try:
        content = functions[call.function.name](**json.loads(call.function.arguments))
    except Exception as error:
        content = f"error: {error}"
    return {"role": "tool", "tool_call_id": call.id, "content": content}


messages = [{"role": "user", "content": "Look up the weather and the time in Hamburg in parallel."}]
for _ in range(10):
    message = completion("openai/gpt-5-mini", messages, tools=tools).choices[0].message
    messages.append(message)
    if not message.tool_calls:
        print(message.content)
        break
    with ThreadPoolExecutor() as pool:
        messages += pool.map(result, message.tool_calls)
