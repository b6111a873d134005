"""Models that the service of a login lists, as entries in `config.toml`. A refresh does not change the user's own settings."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from modelbay.catalog.lists.entry import Gaps
from modelbay.catalog.lists.listing import parse_list
from modelbay.catalog.names import problems, renamed, shown
from modelbay.config import changes
from modelbay.config.changes import Removed
from modelbay.config.edit import Edit
from modelbay.config.schema import Table
from modelbay.errors import MalformedReply, UnknownModel
from modelbay.json_text import decode
from modelbay.providers.vendor import LoginMethod

OWNED = (
    "provider", "model", "max_context_size", "capabilities", "display_name", "protocol", "beta_api",
    "adaptive_thinking", "support_efforts", "default_effort",
)  # fmt: skip
"""The keys that the service's list sets, as in Kimi Code. All other keys of a model are the user's."""


class LoginModels(Struct, frozen=True):
    """The models that a login or a refresh wrote."""

    models: list[str]
    removed: list[str]
    default_model: str | None


def models_of(body: bytes, login: LoginMethod) -> dict[str, Table]:
    """The service's list as models by alias.

    Raises:
        MalformedReply: it is not a list of models, or an entry has no valid context window.
    """
    try:
        listed = decode(body)
        items = [item for item in listed["data"] if isinstance(item, dict)]
    except (MalformedReply, KeyError, TypeError):
        raise MalformedReply(f"{login.title}: the reply is not a list of models") from None
    ids = {item["id"]: None for item in items if isinstance(item.get("id"), str)}
    refused = problems(ids)
    ids = {id: None for id in ids if id not in refused}
    kept = [item for item in items if item.get("id") in ids and str(item["id"]).startswith(login.only)]
    if not kept:
        raise MalformedReply(f"{login.title}: the list has no models")
    return {f"{login.prefix}/{item['id']}": table_of(item, login) for item in kept}


def gaps_of(body: bytes) -> Gaps:
    """The parts of the service's list that could not be read. `models_of` must have accepted the body."""
    listing = parse_list(body)
    gaps = listing.gaps
    if listing.next or (listing.total or 0) > len(listing.models):
        gaps.reasons.append("the list has more pages that were not read")
    return gaps


def table_of(item: Mapping[str, Any], login: LoginMethod) -> Table:
    """A model of the list as a table for the file."""
    table: Table = {"provider": login.provider, "model": item["id"]}
    context = item.get("context_length")
    if isinstance(context, int) and not isinstance(context, bool) and context > 0:
        table["max_context_size"] = context
    elif login.described:
        raise MalformedReply(f"model {item['id']} has no context_length in the list")
    if isinstance(name := item.get("display_name"), str) and shown(name):
        table["display_name"] = shown(name)
    return table | _abilities(item) if login.described else table


def _abilities(item: Mapping[str, Any]) -> Table:
    """The protocol, capabilities and reasoning efforts of a model, from a list that has them for every model."""
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
    table: Table = {"capabilities": [name for name, yes in has.items() if yes]}
    if item.get("protocol") == "anthropic":
        table |= {"protocol": "anthropic", "beta_api": True} | ({"adaptive_thinking": True} if has["thinking"] else {})
    efforts = item.get("think_efforts")
    if isinstance(efforts, dict) and efforts.get("support") and isinstance(efforts.get("valid_efforts"), list):
        table["support_efforts"] = [effort for effort in efforts["valid_efforts"] if isinstance(effort, str)]
        if isinstance(default := efforts.get("default_effort"), str) and default:
            table["default_effort"] = default
    return table


def write(
    edit: Edit, login: LoginMethod, provider: Table, models: Mapping[str, Table], *, new: bool = True, gaps: Gaps | None = None
) -> LoginModels:  # fmt: skip
    """Write the provider, its models and the service's other tables in one transaction. The default model does not change
    if it is still usable. After a `new` login, or if the default model changes, `[thinking]` is set to a value that the
    default model supports. A model that may be in the `gaps` of the list is not removed.

    Raises:
        ConfigError: an alias belongs to another provider, or the configuration would be invalid.
    """
    put_provider(edit, login.provider, provider)
    known = edit.models_of(login.provider)
    former = renamed(models, known)  # an ID in another case is the same model: its alias and the user's settings stay
    models = {former.get(alias, alias): table for alias, table in models.items()}
    gone = [
        alias
        for alias, table in known.items()
        if alias.startswith(f"{login.prefix}/")
        and isinstance(table, dict)
        and table.get("provider") == login.provider
        and alias not in models
        and not (gaps and gaps.covers(str(table.get("model"))))
    ]
    changes.put_models(edit, login.provider, models)
    owned = OWNED if login.described else ("display_name",)  # other keys are the user's, if the list lacks them
    for alias, table in models.items():
        for key in owned:
            if key not in table:
                edit.delete("models", alias, key)
    if gone:
        changes.remove_models(edit, gone)
    before = edit.get("default_model")
    default = settle_default(edit, next(iter(models)))
    if default in models and (new or default != before) and (can := models[default].get("capabilities")) is not None:
        settle_thinking(edit, thinks="thinking" in can, always="always_thinking" in can)
    _put_services(edit, login, provider)
    edit.check()
    return LoginModels(list(models), gone, default)


def remove(edit: Edit, login: LoginMethod) -> Removed:
    """Remove everything that `write` wrote. Services that the user added are not removed.

    Raises:
        UnknownProvider: there is no such provider.
    """
    for name in login.services:
        if _is_of(edit.get("services", name), login):
            edit.delete("services", name)
    removed = changes.remove_provider(edit, login.provider)
    if removed.default_model:
        edit.delete("thinking", "enabled")  # it was set for that model
        if edit.get("thinking") == {}:
            edit.delete("thinking")
    return removed


def put_provider(edit: Edit, id: str, table: Table) -> None:
    """Add a provider, or update the keys in `table` of an existing one."""
    if edit.get("providers", id) is None:
        changes.add_provider(edit, id, table)
    else:
        changes.change_provider(edit, id, {(key,): value for key, value in table.items()})


def settle_default(edit: Edit, otherwise: str) -> str:
    """The default model. If none is usable, `otherwise` becomes the default."""
    try:
        edit.config.model()
    except UnknownModel:
        changes.set_default_model(edit, otherwise)
    return str(edit.get("default_model"))


def settle_thinking(edit: Edit, *, thinks: bool | None, always: bool) -> None:
    """Set `thinking.enabled` for a model that always thinks or never does. `thinks` None: unknown."""
    if always:
        edit.set("thinking", "enabled", value=True)
    elif thinks is False:
        edit.set("thinking", "enabled", value=False)


def _put_services(edit: Edit, login: LoginMethod, provider: Table) -> None:
    for name, path in login.services.items():
        there = edit.get("services", name)
        table = {"base_url": f"{provider['base_url']}{path}", "api_key": "", "oauth": provider["oauth"]}
        if there is None:
            edit.set("services", name, value=table)
        elif _is_of(there, login):
            for key, value in table.items():
                edit.set("services", name, key, value=value)


def _is_of(service: object, login: LoginMethod) -> bool:
    """Whether a table of `[services]` belongs to this login."""
    oauth = service.get("oauth") if isinstance(service, dict) else None
    key = oauth.get("key") if isinstance(oauth, dict) else None
    return isinstance(key, str) and key.partition("-env-")[0] == login.key
