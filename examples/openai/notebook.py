# %%
from openai import OpenAI

client = OpenAI()

# %%
with client.responses.stream(model="gpt-5-mini", input="Name a city in Germany.") as stream:
    for event in stream:
        if event.type == "response.output_text.delta":
            print(event.delta, end="", flush=True)
    first = stream.get_final_response()

# %%
second = client.responses.create(model="gpt-5-mini", input="What is it famous for?", previous_response_id=first.id)
print(second.output_text)

# %%
print(first.usage.total_tokens + second.usage.total_tokens)
