"""Adding a provider by its manifest: a URL, or JSON from the provider."""

from collections.abc import Iterable

from textual import on
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static, TextArea

from modelbay.onboarding import fields as dialog
from modelbay.onboarding.setup.machine import Setup
from modelbay.onboarding.setup.steps import Given
from modelbay.tui.dialogs.form import Field, Form, key_field
from modelbay.tui.dialogs.steps import Added, follow
from modelbay.tui.state import AppState
from modelbay.tui.widgets.controls import ChoiceField, LabeledRow


class ManifestForm(Form[Added]):
    heading = "Add by manifest"
    working = "reading the manifest"

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self._state = state

    def fields(self) -> Iterable[Widget]:
        yield LabeledRow("Model source", ChoiceField({"url": "Manifest URL", "json": "Embedded JSON"}, id="kind"))
        yield Field("url", "Manifest URL", placeholder="https://provider.example/v1/models?provider=true")
        yield Static(Content("Paste the provider's JSON:"), id="paste", classes="about")
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
        given = Given(kind="manifest", api_key=self.value("api_key") or None)
        url = self.value("url")
        if self.query_one(ChoiceField).value == "json":
            url, given.content = "embedded JSON", self.query_one("#json", TextArea).text.encode()
        setup = Setup(self._state.config)
        step = await setup.start(url, given)
        if (added := await follow(self.app, self._state, setup, step)) is not None:
            self.dismiss(added)
