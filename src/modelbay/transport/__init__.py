"""The only package that sends HTTP: single calls to providers, and document downloads that follow redirects."""

from modelbay.transport.client import Transport
from modelbay.transport.fetch import Fetched, Fetching, check_online, fetch
from modelbay.transport.request import Limits, Request, public
from modelbay.transport.response import Response

__all__ = ["Fetched", "Fetching", "Limits", "Request", "Response", "Transport", "check_online", "fetch", "public"]
