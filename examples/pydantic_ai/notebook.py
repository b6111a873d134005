# %%
from pydantic_ai import Agent

agent = Agent("openai:gpt-5-mini")

# %%
async with agent.run_stream("Name a city in Germany.") as first:
    async for text in first.stream_text(delta=True):
        print(text, end="", flush=True)

# %%
second = await agent.run("What is it famous for?", message_history=first.all_messages())
print(second.output)

# %%
print(first.usage.total_tokens + second.usage.total_tokens)
