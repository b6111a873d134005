import asyncio
from pathlib import Path
from typing import Literal

from openai import AsyncOpenAI
from pydantic import BaseModel


class Opinion(BaseModel):
    value: Literal["good", "bad", "mixed"]


client = AsyncOpenAI()
limit = asyncio.Semaphore(20)


async def classify(review: str) -> object:
    async with limit:
        response = await client.responses.parse(
            model="gpt-5-mini", instructions="Classify the review.", input=review, text_format=Opinion
        )
    return response.output_parsed and response.output_parsed.value


async def main() -> None:
    reviews = Path("reviews.txt").read_text().splitlines()
    opinions = await asyncio.gather(*map(classify, reviews), return_exceptions=True)
    for review, opinion in zip(reviews, opinions, strict=True):
        print(opinion, review, sep="\t")


asyncio.run(main())
