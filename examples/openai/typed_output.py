from openai import OpenAI
from pydantic import BaseModel


class City(BaseModel):
    name: str
    population: int
    famous_for: list[str]


client = OpenAI()
city = client.responses.parse(model="gpt-5-mini", input="Describe Hamburg.", text_format=City).output_parsed
if city is None:
    raise SystemExit("the answer has no value")
print(city.name, city.population, city.famous_for)
