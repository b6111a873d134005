import json
import os
from pathlib import Path

from openai import OpenAI

messages = [{"role": "user", "content": "Name a city in Germany."}]
completion = OpenAI().chat.completions.create(model="gpt-5-mini", messages=messages)
messages.append(completion.choices[0].message.to_dict())
Path("chat.json").write_text(json.dumps(messages))

messages = json.loads(Path("chat.json").read_text())
messages.append({"role": "user", "content": "What is it famous for?"})
claude = OpenAI(base_url="https://api.anthropic.com/v1/", api_key=os.environ["ANTHROPIC_API_KEY"])
completion = claude.chat.completions.create(model="claude-haiku-4-5", messages=messages)
print(completion.choices[0].message.content)
