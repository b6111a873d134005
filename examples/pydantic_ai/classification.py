import asyncio
from pathlib import Path
from typing import Literal

from pydantic_ai import Agent

agent = Agent(
    "openai:gpt-5-mini",
    instructions="Classify the review.",
    output_type=Literal["good", "bad", "mixed"],
    max_concurrency=20,
)


async def main() -> None:
    reviews = Path("reviews.txt").read_text().splitlines()
    results = await asyncio.gather(*map(agent.run, reviews), return_exceptions=True)
    for review, result in zip(reviews, results, strict=True):
        print(result if isinstance(result, BaseException) else result.output, review, sep="\t")


asyncio.run(main())
