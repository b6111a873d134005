"""Adding the providers of a registry, an api.json of somebody's."""

from asyncio import to_thread
from collections.abc import Iterable

from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from modelbay.catalog.summary import counted
from modelbay.credentials.approval import typed
from modelbay.onboarding import fields as dialog
from modelbay.onboarding.sources import registries
from modelbay.onboarding.sources.registries import KEYS, RegistryDraft, RegistryItem, RegistryKeys
from modelbay.secrecy import masked_url, register
from modelbay.tui.dialogs.confirm import Confirm
from modelbay.tui.dialogs.custom import Added
from modelbay.tui.dialogs.form import Field, Form
from modelbay.tui.state import AppState

SHOWN = 8
"""How many providers, and how many skipped entries, are listed before they are written."""


class RegistryForm(Form[Added]):
    heading = "Import custom provider registry"
    working = "fetching the registry"

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self._state = state

    def fields(self) -> Iterable[Widget]:
        yield Static(Content("Paste an api.json URL and its Bearer token."), classes="about")
        yield Field("url", "Registry URL", placeholder="https://registry.example/api.json")
        yield Field("token", "Bearer token", placeholder="Optional, where the registry is open", secret=True)

    def problems(self) -> dict[str, str]:
        url = self.value("url")
        wrong = "Registry URL cannot be empty." if not url else dialog.base_url_problem(url)
        return {"url": wrong} if wrong else {}

    async def finish(self) -> None:
        config, token = self._state.config, self.value("token")
        register(token)
        typed(token)
        found = await registries.fetched(config, self.value("url"), [token] if token else [])
        made = registries.propose(config, found, RegistryKeys())
        if await self.app.push_screen_wait(_shown(made)):
            done = await to_thread(registries.add, config, made)
            self.dismiss(Added([one.provider for one in done.result if not one.gone]))


def _shown(made: RegistryDraft) -> Confirm:
    """What would be written."""
    about = [
        (item.listed.id, f"{item.listed.type} at {masked_url(item.listed.api)}\n{_models(item)}; {KEYS[item.key]}")
        for item in made.items[:SHOWN]
    ]
    if len(made.items) > SHOWN:
        about.append(("", f"… and {len(made.items) - SHOWN:,} more"))
    about += [("Removed", f"{id}: no longer in the registry") for id in made.vanished]
    about += [("Skipped", f"{left.where}: {left.why}") for left in made.left[:SHOWN]]
    return Confirm(f"Add {counted(len(made.items), 'provider')} of {made.title}", about, "Write it?")


def _models(item: RegistryItem) -> str:
    return counted(len(item.made.models), "model")
