"""The only package that sends HTTP: one call, sent once, and documents fetched by one rule."""

from modelbay.transport.client import Transport
from modelbay.transport.fetch import Fetched, Fetching, check_online, fetch
from modelbay.transport.request import Limits, Request, public
from modelbay.transport.response import Response

__all__ = ["Fetched", "Fetching", "Limits", "Request", "Response", "Transport", "check_online", "fetch", "public"]
