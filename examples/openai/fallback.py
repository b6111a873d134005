import os

from openai import APIError, OpenAI

claude = OpenAI(base_url="https://api.anthropic.com/v1/", api_key=os.environ["ANTHROPIC_API_KEY"])
messages = [{"role": "user", "content": "Why is the sky blue?"}]
for client, model in [(claude, "claude-haiku-4-5"), (OpenAI(), "gpt-5-mini")]:
    try:
        completion = client.chat.completions.create(model=model, messages=messages)
        print(completion.model, completion.choices[0].message.content)
        break
    except APIError as error:
        failure = error
else:
    raise failure
