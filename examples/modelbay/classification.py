from pathlib import Path
from typing import Literal

from modelbay.sync import Hub

reviews = Path("reviews.txt").read_text().splitlines()
with Hub.open() as hub:
    replies = hub.map(reviews, system="Classify the review.", output=Literal["good", "bad", "mixed"], limit=20)
for review, reply in zip(reviews, replies, strict=True):
    print(reply.error or reply.value, review, sep="\t")
