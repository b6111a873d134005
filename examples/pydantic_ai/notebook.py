# %%
from IPython.display import Markdown, display
from pydantic_ai import Agent

agent = Agent("openai:gpt-5-mini")

# %%
shown = display(Markdown(""), display_id=True)
async with agent.run_stream("Name a city in Germany.") as first:
    async for text in first.stream_text():
        shown.update(Markdown(text))

# %%
second = await agent.run("What is it famous for?", message_history=first.all_messages())
Markdown(second.output)

# %%
first.usage.total_tokens + second.usage.total_tokens
