import json
from pathlib import Path

from litellm import completion

messages = [{"role": "user", "content": "Name a city in Germany."}]
response = completion("openai/gpt-5-mini", messages)
messages.append(response.choices[0].message.model_dump())
Path("chat.json").write_text(json.dumps(messages))

messages = json.loads(Path("chat.json").read_text())
messages.append({"role": "user", "content": "What is it famous for?"})
response = completion("anthropic/claude-haiku-4-5", messages)
print(response.choices[0].message.content)
