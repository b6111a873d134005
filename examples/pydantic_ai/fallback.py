from pydantic_ai import Agent
from pydantic_ai.capabilities import ModelFallback

agent = Agent("anthropic:claude-haiku-4-5", capabilities=[ModelFallback("openai:gpt-5-mini")])
result = agent.run_sync("Why is the sky blue?")
print(result.response.model_name, result.output)
