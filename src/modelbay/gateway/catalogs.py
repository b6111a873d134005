"""The model list of the gateway, in the form of each client."""

from modelbay.conversation import Extra
from modelbay.gateway import headers
from modelbay.gateway.client_request import ClientRequest
from modelbay.gateway.revision import Revision
from modelbay.serving.routes import client_version, list_form


async def catalog(revision: Revision, request: ClientRequest) -> tuple[Extra, list[headers.Field]]:
    """The body of a list, or of one model, with the headers of its response.

    Raises:
        UnknownModel: no model has the name.
    """
    form = list_form(request.route.action, request.path, request.headers, request.query)
    url = f"http://{request.headers.get('host', 'localhost')}"
    if request.route.action == "model":
        found = await revision.model(request.route.model or "", url)
        return found.item(form, found.models[0]), []
    listed = await revision.models(url)
    listed.client_version = client_version(request.query)
    fields = [(b"etag", await revision.tagged(listed))] if form == "codex" else []
    return listed.body(form), fields
