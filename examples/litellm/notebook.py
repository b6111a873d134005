# %%
from litellm import completion, stream_chunk_builder

model = "openai/gpt-5-mini"

# %%
messages = [{"role": "user", "content": "Name a city in Germany."}]
chunks = []
for chunk in completion(model, messages, stream=True, stream_options={"include_usage": True}):
    chunks.append(chunk)
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
first = stream_chunk_builder(chunks)

# %%
messages += [first.choices[0].message, {"role": "user", "content": "What is it famous for?"}]
second = completion(model, messages)
print(second.choices[0].message.content)

# %%
print(first.usage.total_tokens + second.usage.total_tokens)
