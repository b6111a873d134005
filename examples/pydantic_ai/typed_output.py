from dataclasses import dataclass

from pydantic_ai import Agent


@dataclass
class City:
    name: str
    population: int
    famous_for: list[str]


agent = Agent("openai:gpt-5-mini", output_type=City)
city = agent.run_sync("Describe Hamburg.").output
print(city.name, city.population, city.famous_for)
