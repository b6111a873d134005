"""Removes control characters from text of models, model lists and error pages, so that it cannot control the terminal."""

import re

STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters except line breaks and tabs, and characters that change the direction of the text around them."""


def plain(text: str) -> str:
    """The text without control characters; line breaks and tabs stay."""
    return STEERING.sub("", text)
