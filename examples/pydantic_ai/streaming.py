from pydantic_ai import Agent

agent = Agent("openai:gpt-5-mini")
with agent.run_stream_sync("Why is the sky blue?") as result:
    for text in result.stream_text(delta=True):
        print(text, end="", flush=True)
    print("\n", result.usage)
