"""The only package that sends HTTP: one call, sent once."""

from modelbay.transport.client import Transport
from modelbay.transport.request import Limits, Request, public
from modelbay.transport.response import Response

__all__ = ["Limits", "Request", "Response", "Transport", "public"]
