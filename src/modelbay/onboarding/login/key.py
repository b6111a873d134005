"""Login by API key: the key is tested with the platform's list of models before anything is written."""

from msgspec.structs import replace

from modelbay.config import changes
from modelbay.config.changes import WriteResult
from modelbay.config.edit import Edit
from modelbay.config.schema import Config, Table
from modelbay.draft import Draft
from modelbay.errors import ConfigError, MalformedReply
from modelbay.onboarding import key_storage
from modelbay.onboarding.add import remember
from modelbay.onboarding.choose_models import preferred
from modelbay.onboarding.key_storage import KeyedEdit
from modelbay.onboarding.login.device import vendor_of
from modelbay.onboarding.probe import Detected, detect
from modelbay.onboarding.sources import login_models
from modelbay.providers.vendor import LoginMethod


async def try_key(config: Config, login: LoginMethod, key: str, base_url: str | None = None) -> Detected:
    """The models that the platform lists for this API key, without those that the login does not cover.

    Raises:
        AuthenticationFailed: the key was rejected; the hint names the platform whose key it may be.
        ModelbayError: the models could not be listed.
    """
    preset = vendor_of(login)
    base = (base_url or login.base_url or "").rstrip("/")
    table: Table = {"type": login.type, "base_url": base, "api_key": key}
    if base != login.base_url:
        table["dialect"] = preset.id
    detected = await detect(config, Draft(login.provider, table, preset), [])
    if detected.error is not None:
        if detected.refused and login.refused:
            detected.error.hint = login.refused
        raise detected.error
    kept = [model for model in detected.models if model.id.startswith(login.only)]
    if not kept:
        raise MalformedReply(f"{login.title}: the list has no model whose ID begins with {login.only}")
    return replace(detected, models=kept, others=detected.others + len(detected.models) - len(kept))


def write(config: Config, detected: Detected, tables: dict[str, Table]) -> KeyedEdit[tuple[WriteResult, str]]:
    """Add or overwrite the platform's provider with these models (by alias). Returns also the alias of the default model.

    Raises:
        ConfigError: no model is given; the file cannot be changed, or it would be invalid.
    """
    made = detected.draft
    if not tables:
        raise ConfigError(f"no model of {made.id} was chosen", hint="choose at least one")

    def change(edit: Edit) -> tuple[WriteResult, str]:
        login_models.put_provider(edit, made.id, made.table)
        edit.delete("providers", made.id, "auth")  # `auth = "none"` may be left from a time without a key
        put = changes.put_models(edit, made.id, tables)
        config = edit.config
        first = preferred(config, [model for alias, model in config.models.items() if alias in tables])
        default = login_models.settle_default(edit, first.alias if first else next(iter(tables)))
        for model in detected.models:
            if default in tables and model.id == tables[default]["model"]:
                always = model.can("always_thinking") is True
                login_models.settle_thinking(edit, thinks=model.can("thinking"), always=always)
        edit.check()
        return put, default

    edited = key_storage.apply(change, config)
    remember(config, detected)
    return edited
