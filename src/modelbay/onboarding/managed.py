"""The models that a login's own service lists, as entries of `config.toml`; refreshed, they leave the user's own alone."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from modelbay.config import changes
from modelbay.config.edit import Edit
from modelbay.config.load import parse
from modelbay.config.schema import Table
from modelbay.errors import MalformedReply, UnknownModel
from modelbay.providers.presets import Login

OWNED = (
    "provider", "model", "max_context_size", "capabilities", "display_name", "protocol", "beta_api",
    "adaptive_thinking", "support_efforts", "default_effort",
)  # fmt: skip
"""The keys that the service's list decides, Kimi Code's; whatever else stands in a model's table is the user's."""


class Written(Struct, frozen=True):
    """What a login, or a refresh of its models, wrote."""

    models: list[str]
    removed: list[str]
    default_model: str | None


def models_of(body: bytes, login: Login) -> dict[str, Table]:
    """The service's list as models by alias.

    Raises:
        MalformedReply: it is no such list; an entry has no usable size.
    """
    try:
        listed = msgspec.json.decode(body)
        items = [item for item in listed["data"] if isinstance(item, dict)]
    except (msgspec.DecodeError, KeyError, TypeError):
        raise MalformedReply(f"{login.title} does not list its models") from None
    ids = [item["id"] for item in items if isinstance(item.get("id"), str)]
    kept = [item for item in items if item.get("id") in ids and str(item["id"]).startswith(login.only)]
    if not kept:
        raise MalformedReply(f"{login.title} lists no models")
    return {f"{login.prefix}/{item['id']}": table_of(item, login.provider) for item in kept}


def table_of(item: Mapping[str, Any], provider: str) -> Table:
    """A model of the list as its table."""
    context = item.get("context_length")
    if not isinstance(context, int) or isinstance(context, bool) or context <= 0:
        raise MalformedReply(f"the model {item['id']} is listed without its context_length")
    thinking = item.get("supports_thinking_type")
    if thinking is None:
        thinking = "both" if item.get("supports_reasoning") else "no"
    has = {
        "thinking": thinking in ("only", "both"),
        "always_thinking": thinking == "only",
        "image_in": bool(item.get("supports_image_in")),
        "video_in": bool(item.get("supports_video_in")),
        "tool_use": item.get("supports_tool_use") is not False,
    }
    table: Table = {
        "provider": provider,
        "model": item["id"],
        "max_context_size": context,
        "capabilities": [name for name, yes in has.items() if yes],
    }
    if isinstance(name := item.get("display_name"), str) and name.strip():
        table["display_name"] = name
    if item.get("protocol") == "anthropic":
        table |= {"protocol": "anthropic", "beta_api": True} | ({"adaptive_thinking": True} if has["thinking"] else {})
    efforts = item.get("think_efforts")
    if isinstance(efforts, dict) and efforts.get("support") and isinstance(efforts.get("valid_efforts"), list):
        table["support_efforts"] = [effort for effort in efforts["valid_efforts"] if isinstance(effort, str)]
        if isinstance(default := efforts.get("default_effort"), str) and default:
            table["default_effort"] = default
    return table


def write(edit: Edit, login: Login, provider: Table, models: Mapping[str, Table]) -> Written:
    """The provider and its models, in one transaction; the default model stays where it can be used.

    Raises:
        ConfigError: an alias belongs to another provider; something would not be usable.
    """
    if edit.get("providers", login.provider) is None:
        changes.add_provider(edit, login.provider, provider)
    else:
        changes.change_provider(edit, login.provider, {(key,): value for key, value in provider.items()})
    known = edit.get("models") or {}
    gone = [
        alias
        for alias, table in known.items()
        if alias.startswith(f"{login.prefix}/")
        and isinstance(table, dict)
        and table.get("provider") == login.provider
        and alias not in models
    ]
    changes.put_models(edit, login.provider, models)
    for alias, table in models.items():
        for key in OWNED:
            if key not in table:
                edit.delete("models", alias, key)
    if gone:
        changes.remove_models(edit, gone)
    default = edit.get("default_model")
    try:
        parse(edit.text, edit.path).model()
    except UnknownModel:
        default = next(iter(models))
        changes.set_default_model(edit, default)
    changes.check(edit)
    return Written(list(models), gone, default)
