"""Adding a provider of the catalog: its API key, and the values that its URL requires."""

from collections.abc import Iterable

from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from modelbay.catalog.summary import counted
from modelbay.onboarding import fields as dialog
from modelbay.onboarding.setup.machine import Setup
from modelbay.onboarding.setup.steps import Given, Preview, SetupQuestion
from modelbay.onboarding.sources import catalogs
from modelbay.onboarding.sources.catalogs import CatalogEntry, CatalogValues, ProviderCatalog
from modelbay.tui.dialogs.form import Field, Form, key_field
from modelbay.tui.dialogs.steps import Added, follow
from modelbay.tui.state import AppState
from modelbay.tui.widgets.virtual_list import ListRow

BASE_URL = "base_url"


class CatalogForm(Form[Added]):
    """Asks for the values that a catalog entry requires."""

    working = "adding the provider"

    def __init__(self, state: AppState, catalog: ProviderCatalog, entry: CatalogEntry) -> None:
        super().__init__()
        self._state, self._catalog, self._entry = state, catalog, entry
        self._first = catalogs.propose(state.config, catalog, entry.id, CatalogValues())
        self.heading = f"Add {entry.name}"

    def fields(self) -> Iterable[Widget]:
        yield Static(Content(self._about()), classes="about")
        for name in self._first.missing:
            yield Field(name, "Base URL" if name == BASE_URL else name)
        yield key_field("API key", "" if self._first.needs_key else "Optional")

    def problems(self) -> dict[str, str]:
        found = {name: f"{name} cannot be empty." for name in self._first.missing if not self.value(name)}
        if BASE_URL in self._first.missing and (problem := dialog.base_url_problem(self.value(BASE_URL))):
            found[BASE_URL] = problem
        key = self.value("api_key")
        if self._first.needs_key and not key:
            found["api_key"] = "API key cannot be empty."
        elif problem := dialog.api_key_problem(key):
            found["api_key"] = problem
        return found

    async def finish(self) -> None:
        values = {name: self.value(name) for name in self._first.missing if name != BASE_URL}
        base = self.value(BASE_URL) if BASE_URL in self._first.missing else None
        given = Given(
            kind="catalog", catalog=self._catalog, api_key=self.value("api_key") or None, base_url=base, values=values
        )
        setup = Setup(self._state.config)
        step = await setup.start(self._entry.id, given)
        if isinstance(step, SetupQuestion):
            self.reject(step.field.rpartition(".")[2], step.problem or step.missing or "Required")
            return
        failed = isinstance(step, Preview) and step.connection is not None and step.connection.ok is False
        if (added := await follow(self.app, self._state, setup, step, quick=not failed)) is not None:
            self.dismiss(added)

    def _about(self) -> str:
        made = self._first
        words = [f"The API key will be saved to {self._state.config.path}"] if made.needs_key else []
        words += [f"Get an API key at {made.key_url}"] if made.key_url else []
        if BASE_URL in made.missing:
            words.append("The catalog has no base URL for this provider.")
        return "\n".join(words) or "No API key is required."


def row(entry: CatalogEntry) -> ListRow:
    """An entry in a list."""
    where = entry.wire.base_url or "depends on your account"
    return ListRow(entry.name, where, counted(len(entry.models), "model"))
