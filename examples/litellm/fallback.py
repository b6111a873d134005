from litellm import completion

messages = [{"role": "user", "content": "Why is the sky blue?"}]
response = completion("anthropic/claude-haiku-4-5", messages, fallbacks=["openai/gpt-5-mini"])
print(response.model, response.choices[0].message.content)
