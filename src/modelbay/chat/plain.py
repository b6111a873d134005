"""Text from elsewhere as a terminal may have it: a model, a list or an error page must not steer the terminal."""

import re

STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters, of which line breaks and tabs may stay, and the marks that turn around how text around them reads."""


def plain(text: str) -> str:
    """The text without what could steer a terminal; line breaks and tabs stay."""
    return STEERING.sub("", text)
