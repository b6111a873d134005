"""Adding a provider: the menu of ways, and the dialogs of each way."""

from functools import partial
from typing import Any

from msgspec import Struct
from textual.app import App

from modelbay.catalog.summary import counted
from modelbay.onboarding.fields import free_name
from modelbay.onboarding.local_servers import LocalServer, local_servers
from modelbay.onboarding.setup.machine import Setup
from modelbay.onboarding.setup.steps import Given, Step
from modelbay.onboarding.sources import catalogs
from modelbay.onboarding.sources.catalogs import CatalogEntry, ProviderCatalog
from modelbay.providers import presets
from modelbay.providers.vendor import Preset
from modelbay.recognition import recognize, suggested_id
from modelbay.tui.dialogs.catalog_provider import CatalogForm
from modelbay.tui.dialogs.catalog_provider import row as entry_row
from modelbay.tui.dialogs.custom import CustomProvider
from modelbay.tui.dialogs.manifest import ManifestForm
from modelbay.tui.dialogs.menu import Menu, choose
from modelbay.tui.dialogs.name_or_url import NameOrUrlForm
from modelbay.tui.dialogs.progress import Progress
from modelbay.tui.dialogs.registry import RegistryForm
from modelbay.tui.dialogs.steps import Added, follow
from modelbay.tui.state import AppState
from modelbay.tui.widgets.virtual_list import ListRow


class Way(Struct):
    name: str
    title: str
    about: str
    vendor: Preset | None = None


WAYS = (
    Way("any", "Name, URL or file", "modelbay detects the kind"),
    Way("known", "Known third-party provider", "from the models.dev catalog"),
    Way("custom", "Custom provider", "a base URL, OpenAI compatible or another protocol"),
    Way("manifest", "Provider manifest", "a URL, or JSON from the provider"),
    Way("registry", "Custom registry (api.json)", "several providers from one URL"),
    Way("local", "Local server", "Ollama, LM Studio, llama.cpp, vLLM …"),
)


def _own_vendors() -> list[Way]:
    """The vendors that the user added in modelbay's home."""
    return [Way("vendor", one.name, one.base_url or ", ".join(one.hosts), one) for one in presets.own()]


async def add_provider(app: App[Any], state: AppState) -> Added | None:
    """Ask how to add a provider, and add it. Esc in a dialog returns to the previous one; None if the user leaves the first."""
    ways = [*_own_vendors(), *WAYS]
    menu = Menu("Add provider", ways, lambda one: ListRow(one.title, one.about))
    return await choose(app, menu, partial(_by_way, app, state))


async def _by_way(app: App[Any], state: AppState, way: Way) -> Added | None:
    match way.name:
        case "any" | "vendor":
            added = await app.push_screen_wait(NameOrUrlForm(state, way.vendor))
        case "known":
            added = await _known(app, state)
        case "custom":
            added = await app.push_screen_wait(CustomProvider(state))
        case "manifest":
            added = await app.push_screen_wait(ManifestForm(state))
        case "registry":
            added = await app.push_screen_wait(RegistryForm(state))
        case _:
            added = await _local(app, state)
    return added


async def _known(app: App[Any], state: AppState) -> Added | None:
    catalog: ProviderCatalog | None = await app.push_screen_wait(
        Progress("Fetching the models.dev catalog", partial(catalogs.opened, state.config))
    )
    if catalog is None:
        return None
    known = [one for one in catalogs.search(catalog) if not one.wire.refused and one.models]
    known.sort(key=lambda one: one.name.lower())

    def find(words: str) -> list[CatalogEntry]:
        wanted = words.lower().split()
        found = [one for one in known if all(word in f"{one.id} {one.name}".lower() for word in wanted)]
        return sorted(found, key=lambda one: not one.name.lower().startswith(words.lower()))

    async def add(entry: CatalogEntry) -> Added | None:
        return await app.push_screen_wait(CatalogForm(state, catalog, entry))

    return await choose(app, Menu(f"Select a provider · {catalog.title}", known, entry_row, find=find), add)


async def _local(app: App[Any], state: AppState) -> Added | None:
    found: list[LocalServer] | None = await app.push_screen_wait(
        Progress("Looking for local servers", partial(local_servers, state.config))
    )
    if found is None:
        return None
    new = [one for one in found if one.provider is None]
    if not new:
        state.say("No local server found" if not found else "All local servers are already added")
        return None
    return await choose(app, Menu("Local servers", new, server_row), partial(add_local_server, app, state))


async def add_local_server(app: App[Any], state: AppState, one: LocalServer) -> Added | None:
    """Add a local server with all its models, or with those that the user marks if there are many.

    A server that requires an API key is added in the dialog for custom providers.
    """
    if one.locked:
        return await app.push_screen_wait(CustomProvider(state, one.base_url))
    id, taken = suggested_id(recognize(one.base_url)), list(state.config.providers)
    given = Given(id=free_name(id, taken))
    setup = Setup(state.config)
    start = partial(setup.start, one.base_url, given)
    step: Step | None = await app.push_screen_wait(Progress(f"Listing the models of {one.name}", start))
    return await follow(app, state, setup, step, quick=True) if step is not None else None


def server_row(one: LocalServer) -> ListRow:
    """A server in a list."""
    models = "requires an API key" if one.locked else counted(len(one.models), "model")
    return ListRow(one.name, f"{one.base_url} · {models}")
