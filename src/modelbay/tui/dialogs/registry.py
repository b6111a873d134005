"""Adding the providers of a registry (`api.json`)."""

from collections.abc import Iterable

from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from modelbay.onboarding import fields as dialog
from modelbay.onboarding.setup.machine import Setup
from modelbay.onboarding.setup.steps import Given, SetupQuestion
from modelbay.tui.dialogs.form import Field, Form
from modelbay.tui.dialogs.steps import Added, follow
from modelbay.tui.state import AppState


class RegistryForm(Form[Added]):
    heading = "Import custom provider registry"
    working = "fetching the registry"

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self._state = state

    def fields(self) -> Iterable[Widget]:
        yield Static(Content("Enter the URL of an api.json and its bearer token"), classes="about")
        yield Field("url", "Registry URL", placeholder="https://registry.example/api.json")
        yield Field("token", "Bearer token", placeholder="If the registry requires one", secret=True)

    def problems(self) -> dict[str, str]:
        url = self.value("url")
        wrong = "Registry URL cannot be empty." if not url else dialog.base_url_problem(url)
        return {"url": wrong} if wrong else {}

    async def finish(self) -> None:
        setup = Setup(self._state.config)
        step = await setup.start(self.value("url"), Given(kind="registry", api_key=self.value("token") or None))
        if isinstance(step, SetupQuestion) and step.field == "api_key":
            self.reject("token", step.problem or "Required")
        elif (added := await follow(self.app, self._state, setup, step)) is not None:
            self.dismiss(added)
