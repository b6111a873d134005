"""The models of modelbay in llm: `llm -m modelbay/PROVIDER/MODEL "hi"`. llm imports this module at each start, so it is light."""

from collections.abc import Callable

import llm


@llm.hookimpl
def register_models(register: Callable[..., None]) -> None:
    from llm_modelbay.models import configured

    for model, async_model, aliases in configured():
        register(model, async_model, aliases=aliases)


@llm.hookimpl
def register_embedding_models(register: Callable[..., None]) -> None:
    from llm_modelbay.models import embedding_models

    for model, aliases in embedding_models():
        register(model, aliases=aliases)
