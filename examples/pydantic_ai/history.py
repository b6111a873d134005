from pathlib import Path

from pydantic_ai import Agent, ModelMessagesTypeAdapter

agent = Agent("openai:gpt-5-mini")
result = agent.run_sync("Name a city in Germany.")
Path("chat.json").write_bytes(result.all_messages_json())

history = ModelMessagesTypeAdapter.validate_json(Path("chat.json").read_bytes())
result = agent.run_sync("What is it famous for?", model="anthropic:claude-haiku-4-5", message_history=history)
print(result.output)
