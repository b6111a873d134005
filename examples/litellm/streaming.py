from litellm import completion, stream_chunk_builder

messages = [{"role": "user", "content": "Why is the sky blue?"}]
chunks = []
for chunk in completion("openai/gpt-5-mini", messages, stream=True, stream_options={"include_usage": True}):
    chunks.append(chunk)
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
print("\n", stream_chunk_builder(chunks).usage)
