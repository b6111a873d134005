"""Names of models in Google's URLs: resource names, whose segments are path segments."""

from functools import lru_cache
from urllib.parse import quote

COLLECTIONS = ("models", "tunedModels", "publishers", "projects", "endpoints", "locations")


def resource_name(id: str) -> str:
    """The resource name of a model: "models/x", "tunedModels/x", "publishers/google/models/x"."""
    first, slash, _ = id.partition("/")
    return id if slash and first in COLLECTIONS else f"models/{id}"


@lru_cache(maxsize=256)
def resource_path(id: str) -> str:
    """The path of a model: its resource name, escaped by segment.

    Slashes in the name of a model separate segments, as gateways use "models/maker/model", unless a segment would change
    the path.
    """
    steps = resource_name(id).split("/")
    if any(step in ("", ".", "..") for step in steps):
        steps = ["models", id]
    return "/".join(quote(step, safe="@") for step in steps)
