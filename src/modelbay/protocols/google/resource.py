"""Names of models in Google's URLs: resource names, whose segments are path segments."""

from functools import lru_cache
from urllib.parse import quote

COLLECTIONS = ("models", "tunedModels", "publishers", "projects", "endpoints", "locations")


@lru_cache(maxsize=256)
def resource_path(id: str) -> str:
    """The path of a model, escaped by segment: "models/x", "tunedModels/x", "publishers/google/models/x".

    An ID that is not a resource name is the name of a model. Its slashes separate segments, as gateways use
    "models/maker/model", unless a segment would change the path.
    """
    steps = id.split("/")
    if len(steps) < 2 or steps[0] not in COLLECTIONS:
        steps = ["models", *steps]
    if any(step in ("", ".", "..") for step in steps):
        steps = ["models", id]
    return "/".join(quote(step, safe="@") for step in steps)
