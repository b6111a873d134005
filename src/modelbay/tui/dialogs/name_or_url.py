"""Adds a provider by name, URL or file, or one of the user's own vendors, like `modelbay provider add`."""

from collections.abc import Iterable

from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from modelbay.onboarding import fields as dialog
from modelbay.onboarding.setup.machine import Setup
from modelbay.onboarding.setup.steps import Given, SetupQuestion
from modelbay.providers.vendor import Preset
from modelbay.tui.dialogs.form import Field, Form, key_field
from modelbay.tui.dialogs.steps import Added, follow
from modelbay.tui.state import AppState


class NameOrUrlForm(Form[Added]):
    heading = "Add a provider"
    working = "recognizing it"

    def __init__(self, state: AppState, vendor: Preset | None = None) -> None:
        super().__init__()
        self._state, self._vendor = state, vendor
        if vendor is not None:
            self.heading = f"Add {vendor.name}"

    def fields(self) -> Iterable[Widget]:
        if self._vendor is None:
            about = "A vendor's name, a URL, a file or JSON: modelbay detects the kind."
            yield Static(Content(about), classes="about")
            yield Field("what", "Name, URL, file", placeholder="openai, https://api.acme.example/v1, models.json")
        elif self._vendor.key_url:
            yield Static(Content(f"Get an API key at {self._vendor.key_url}"), classes="about")
        yield key_field("API key or token", "If it is required")

    def problems(self) -> dict[str, str]:
        found = {"api_key": dialog.api_key_problem(self.value("api_key"))}
        found["what"] = None if self._what else "Required"
        return {name: problem for name, problem in found.items() if problem}

    @property
    def _what(self) -> str:
        return self._vendor.id if self._vendor is not None else self.value("what")

    async def finish(self) -> None:
        setup = Setup(self._state.config)
        step = await setup.start(self._what, Given(api_key=self.value("api_key") or None))
        if isinstance(step, SetupQuestion) and step.field == "api_key":
            self.reject("api_key", step.problem or step.missing or "Required")
            if step.error is not None:
                raise step.error
        elif (added := await follow(self.app, self._state, setup, step)) is not None:
            self.dismiss(added)
