from pydantic_ai import Agent, BinaryContent

agent = Agent("openai:gpt-5-mini")
files = [BinaryContent.from_path("report.pdf"), BinaryContent.from_path("chart.png")]
result = agent.run_sync(["Does the chart show what the report says?", *files])
print(result.output)
