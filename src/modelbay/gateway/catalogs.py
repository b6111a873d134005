"""The model list of the gateway, as each client reads it."""

from msgspec.structs import replace

from modelbay.conversation import Extra
from modelbay.gateway.client_request import ClientRequest
from modelbay.gateway.revision import Revision
from modelbay.model import Model
from modelbay.serving.model_lists import ModelList
from modelbay.serving.routes import list_form


async def catalog(revision: Revision, request: ClientRequest) -> Extra:
    """The body of a list, or of one model.

    Raises:
        UnknownModel: no model has the name.
    """
    form = list_form(request.route.action, request.path, request.headers, request.query)
    url = f"http://{request.headers.get('host', 'localhost')}"
    if request.route.action == "model":
        name = request.route.model
        found = _named((await revision.target(name)).model, (name or "").removeprefix("models/"))
        return ModelList([found], url).item(form, found)
    return ModelList(await revision.models(), url).body(form)


def _named(model: Model, name: str) -> Model:
    """A model under the name that clients use."""
    return replace(model, id=name, name=model.name or name)
