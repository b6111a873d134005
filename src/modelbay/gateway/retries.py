"""How often the gateway repeats a failed call: as its clients repeat requests, too, seldom; or as often as a client asks for."""

import re
from collections.abc import Mapping

from modelbay.routing.retry import Policy
from modelbay.serving.refusals import not_valid

USUAL = Policy(attempts=3, cap=2.0, patience=5.0)
"""Clients retry, too, and a connection should not be silent for as long as the library would wait."""
HEADER = "x-modelbay-retries"
"""The request header with the number of retries. They follow the rules of the library, whose pauses are longer."""
MOST = 20


def policy(headers: Mapping[str, str]) -> Policy:
    """The policy for a request. Names of headers are in lower case.

    Raises:
        BadRequest: the header is not a number of retries.
    """
    asked = headers.get(HEADER)
    if asked is None:
        return USUAL
    if not is_number(asked):
        raise not_valid(f"the header {HEADER} must be a number from 0 to {MOST}, not {asked[:20]!r}")
    # a client that repeats requests itself repeats them unchanged, and cannot renew a key of the gateway
    return Policy(attempts=1 + int(asked), changes=1)


def is_number(asked: str) -> bool:
    """Whether a value of the header is valid."""
    return re.fullmatch("[0-9]{1,2}", asked.strip()) is not None and int(asked) <= MOST
