"""Adding a provider by what it says of itself: its manifest's URL, or JSON that it hands out."""

from asyncio import to_thread
from collections.abc import Iterable

from textual import on
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static, TextArea

from modelbay.catalog.summary import counted
from modelbay.credentials.approval import typed
from modelbay.errors import ConfigError
from modelbay.onboarding import fields as dialog
from modelbay.onboarding.sources import manifests
from modelbay.onboarding.sources.manifests import KeyConsent, ManifestDraft
from modelbay.secrecy import register
from modelbay.tui.dialogs.confirm import Confirm
from modelbay.tui.dialogs.custom import Added
from modelbay.tui.dialogs.form import Field, Form, key_field
from modelbay.tui.state import AppState
from modelbay.tui.widgets.controls import ChoiceField, LabeledRow

SHOWN = 8
"""How many models are named before they are written."""


class ManifestForm(Form[Added]):
    heading = "Provider defined"
    working = "reading what the provider says of itself"

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self._state = state

    def fields(self) -> Iterable[Widget]:
        yield LabeledRow("Model source", ChoiceField({"url": "Manifest URL", "json": "Embedded JSON"}, id="kind"))
        yield Field("url", "Manifest URL", placeholder="https://provider.example/v1/models?provider=true")
        yield Static(Content("Paste the JSON that the provider gives you:"), id="paste", classes="about")
        yield TextArea(id="json", compact=True)
        yield key_field("API key", "If the provider requires one")

    def on_mount(self) -> None:
        super().on_mount()
        self.show_kind()

    @on(ChoiceField.Changed)
    def show_kind(self) -> None:
        by_url = self.query_one(ChoiceField).value == "url"
        self.query_one("#field-url").display = by_url
        self.query_one("#paste").display = self.query_one("#json").display = not by_url

    def problems(self) -> dict[str, str]:
        problem = dialog.api_key_problem(self.value("api_key"))
        return {"api_key": problem} if problem else {}

    async def finish(self) -> None:
        key = self.value("api_key") or None
        register(key or "")
        typed(key or "")
        made = await self._proposal(key)
        if made is None:
            return
        config = self._state.config
        if made.taken:
            made = manifests.renamed(config, made, manifests.another_id(config, made.id))
        if not made.said.models:
            raise ConfigError(manifests.NO_MODELS, hint=manifests.HAVE_MODELS)
        if await self.app.push_screen_wait(_shown(made, key)):
            await to_thread(manifests.add, config, made, key=key)
            self.dismiss(Added([made.id]))

    async def _proposal(self, key: str | None) -> ManifestDraft | None:
        """What would be written; None where the key is not to go where it would have to."""
        config = self._state.config
        if self.query_one(ChoiceField).value == "json":
            return manifests.from_text(config, self.query_one("#json", TextArea).text.encode())
        url = self.value("url")
        found = await manifests.from_url(config, url, key=key)
        if isinstance(found, KeyConsent):
            about = [("Provider said", found.why), ("Your key would go to", str(found.origin))]
            if not await self.app.push_screen_wait(Confirm("Send the key there?", about, "Send it?")):
                return None
            found = await manifests.from_url(config, url, key=key, agreed=found.origin)
        return found if isinstance(found, ManifestDraft) else None


def _shown(made: ManifestDraft, key: str | None) -> Confirm:
    """What will be written, before it is."""
    models = made.models
    names = [model.id for model in models[:SHOWN]] + [f"… and {len(models) - SHOWN:,} more"] * (len(models) > SHOWN)
    about = [
        ("Provider", f"{made.id}" + (" (renewed)" if made.again else "")),
        ("Base URL", made.said.manifest.base_url),
        ("Key", f"goes to {made.key_goes_to}, and nowhere else" if key else "none"),
        (counted(len(models), "model"), "\n".join(names)),
        *[("Note", note) for note in made.said.notes],
    ]
    return Confirm(f"Add {made.said.manifest.name}", about, "Write it?")
