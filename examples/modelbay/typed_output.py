from dataclasses import dataclass

import modelbay


@dataclass
class City:
    name: str
    population: int
    famous_for: list[str]


city: City = modelbay.complete("Describe Hamburg.", output=City).value
print(city.name, city.population, city.famous_for)
