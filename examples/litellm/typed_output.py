from litellm import completion
from pydantic import BaseModel


class City(BaseModel):
    name: str
    population: int
    famous_for: list[str]


messages = [{"role": "user", "content": "Describe Hamburg."}]
response = completion("openai/gpt-5-mini", messages, response_format=City)
city = City.model_validate_json(response.choices[0].message.content)
print(city.name, city.population, city.famous_for)
