from litellm import completion

stream = completion(
    "openai/gpt-5-mini",
    [{"role": "user", "content": "Why is the sky blue?"}],
    stream=True,
    stream_options={"include_usage": True},
)
usage = None
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    usage = getattr(chunk, "usage", None) or usage
print("\n", usage)
