from pathlib import Path
from typing import Literal

from litellm import batch_completion
from pydantic import BaseModel


class Opinion(BaseModel):
    value: Literal["good", "bad", "mixed"]


reviews = Path("reviews.txt").read_text().splitlines()
system = {"role": "system", "content": "Classify the review."}
responses = batch_completion(
    "openai/gpt-5-mini",
    [[system, {"role": "user", "content": review}] for review in reviews],
    response_format=Opinion,
    max_workers=20,
)
for review, response in zip(reviews, responses, strict=True):
    if isinstance(response, Exception):
        print(response, review, sep="\t")
    else:
        print(Opinion.model_validate_json(response.choices[0].message.content).value, review, sep="\t")
