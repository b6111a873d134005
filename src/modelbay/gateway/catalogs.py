"""The model list of the gateway, in the form of each client."""

import re
from collections.abc import Mapping

from modelbay.conversation import Extra
from modelbay.gateway import headers
from modelbay.gateway.client_request import ClientRequest
from modelbay.gateway.revision import Revision
from modelbay.serving.routes import client_version, list_form

_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+){0,9}")


async def catalog(revision: Revision, request: ClientRequest) -> tuple[Extra, list[headers.Field]]:
    """The body of a list, or of one model, with the headers of its response.

    Raises:
        UnknownModel: no model has the name.
    """
    form = list_form(request.route.action, request.path, request.headers, request.query)
    url = _address(request.headers)
    if request.route.action == "model":
        found = await revision.model(request.route.model or "", url)
        return found.item(form, found.models[0]), []
    listed = await revision.models(url)
    listed.client_version = client_version(request.query)
    fields = [(b"etag", await revision.tagged(listed))] if form == "codex" else []
    return listed.body(form), fields


def _address(headers: Mapping[str, str]) -> str:
    """The gateway's URL as its client knows it. A proxy that ends TLS, or serves the gateway under a prefix, says so in headers;
    a client that says so itself gets a wrong URL in its own list."""
    scheme = "https" if headers.get("x-forwarded-proto", "").partition(",")[0].strip() == "https" else "http"
    prefix = headers.get("x-forwarded-prefix", "").rstrip("/")
    return f"{scheme}://{headers.get('host', 'localhost')}{prefix if _PREFIX.fullmatch(prefix) else ''}"
