"""Forms with a provider's fields: to add a custom provider, or to edit a configured one."""

from collections.abc import Iterable
from typing import cast

from msgspec.structs import replace
from textual import on
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from modelbay.config.schema import ProviderEntry
from modelbay.conversation import Protocol
from modelbay.draft import native_at, protocol_of
from modelbay.errors import ConfigError, InvalidValue
from modelbay.model import Model
from modelbay.onboarding import fields as dialog
from modelbay.onboarding import key_storage
from modelbay.onboarding.fields import HeaderRow, ModelRow
from modelbay.onboarding.setup.machine import Setup
from modelbay.onboarding.setup.steps import Given, Preview, SetupQuestion, Step
from modelbay.tui.dialogs.form import Field, Form, key_field
from modelbay.tui.dialogs.steps import Added, choose_models, follow
from modelbay.tui.state import AppState
from modelbay.tui.widgets.controls import ChoiceField, InputPair, LabeledRow, TextButton

UNCHANGED = "…"
"""Placeholder for the value of an existing header, which is not shown."""
NAMED = 8
"""Maximum number of models that are listed by name; the others are counted."""


class ProviderForm(Form[Added]):
    """Common parts of both forms: headers, models and the steps of the setup."""

    keys = "↑↓ field · Enter next · Ctrl-S save · Esc cancel"
    working = "testing the connection"

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self._state = state
        self._setup = Setup(state.config)
        self._chosen: list[ModelRow] | None = None
        """The models chosen from the provider's list."""
        self._seen: list[Model] = []

    def given(self) -> Given:
        """The values of the fields."""
        raise NotImplementedError

    def rows(self) -> Iterable[Widget]:
        """The fields below the others: models and headers."""
        yield Static(id="chosen", classes="about")
        yield Vertical(id="models", classes="rows")
        yield Horizontal(
            TextButton("Fetch models", id="fetch"), TextButton("Add a model manually", id="add-model"), classes="pushes"
        )
        yield Vertical(id="headers", classes="rows")
        yield Horizontal(TextButton("Add a header", id="add-header"), TextButton("Save", id="save"), classes="pushes")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#chosen").display = False

    def show_problems(self, everywhere: bool = False) -> dict[str, str]:
        found = super().show_problems(everywhere)
        for table, parts in (("models", ("id", "name")), ("headers", ("key", "value"))):
            for number, pair in enumerate(self._pairs(table)):
                pair.touched = pair.touched or everywhere
                wrong = [found.get(f"{table}.{number}.{part}") if pair.touched else None for part in parts]
                pair.wrong(*wrong)
        return found

    @on(TextButton.Pressed, "#add-model")
    async def add_model(self) -> None:
        pair = InputPair("Model", "ID", "Name")
        await self.query_one("#models").mount(pair)
        pair.first.focus()

    @on(TextButton.Pressed, "#add-header")
    async def add_header(self) -> None:
        pair = InputPair("Header", "Name", "Value")
        await self.query_one("#headers").mount(pair)
        pair.first.focus()

    @on(InputPair.Emptied)
    async def drop(self, event: InputPair.Emptied) -> None:
        self.focus_previous()
        await event.pair.remove()
        self.show_problems()

    @on(TextButton.Pressed, "#save")
    def save(self) -> None:
        self.action_submit()

    def by_hand(self) -> list[ModelRow]:
        """The models that the user entered manually."""
        return [ModelRow(*(text.strip() for text in pair.values)) for pair in self._pairs("models")]

    def headers(self) -> list[HeaderRow]:
        return [HeaderRow(*(text.strip() for text in pair.values)) for pair in self._pairs("headers")]

    def _pairs(self, table: str) -> list[InputPair]:
        return list(self.query_one(f"#{table}").query(InputPair))

    async def choose(self, step: Step) -> None:
        """Let the user choose from the models of a preview. A question is shown at its field."""
        if isinstance(step, SetupQuestion):
            self.refuse(step)
            return
        assert isinstance(step, Preview)
        if not step.models:
            raise ConfigError("The provider lists no models", hint="add a model manually")
        self._seen = step.models
        taken = await choose_models(self.app, step)
        if taken is None:
            return
        names = {model.id: model.name or model.id for model in step.models}
        self._chosen = [ModelRow(id, names.get(id, id)) for id in taken]
        for pair in self._pairs("models"):
            if not any(pair.values):
                await pair.remove()
        self.show_chosen()

    def show_chosen(self) -> None:
        """Show the chosen models: the first ones by name."""
        rows = self._chosen or []
        named = ", ".join(row.name for row in rows[:NAMED]) + f" and {len(rows) - NAMED:,} more" * (len(rows) > NAMED)
        said = self.query_one("#chosen", Static)
        said.display = bool(rows)
        said.update(Content(f"{len(rows):,} of {max(len(self._seen), len(rows)):,} models: {named}"))

    def refuse(self, question: SetupQuestion) -> None:
        """Show a question at its field, or raise it if there is no such field."""
        problem = question.problem or question.missing or f"{question.label}: Required"
        if question.error is not None and question.field == "models":
            raise question.error
        if not self.reject(question.field.partition(".")[0], problem):
            raise InvalidValue(problem)
        if question.error is not None:
            raise question.error


class CustomProvider(ProviderForm):
    heading = "Custom provider"

    def __init__(self, state: AppState, base_url: str = "") -> None:
        super().__init__(state)
        self._base_url = base_url

    def fields(self) -> Iterable[Widget]:
        yield Field("id", "Provider ID", placeholder="myprovider")
        yield Field("name", "Display name", placeholder="My AI Provider")
        yield LabeledRow(
            "Provider API", ChoiceField({"": "Detect from base URL"} | cast(dict[str, str], dialog.APIS), id="api")
        )
        yield Field("base_url", "Base URL", value=self._base_url, placeholder="https://api.myprovider.com/v1")
        yield key_field("API key", "Optional. Leave empty if you manage auth via headers.")
        yield from self.rows()

    def given(self) -> Given:
        return Given(
            id=self.value("id"),
            name=self.value("name"),
            protocol=cast(Protocol | None, self.query_one(ChoiceField).value or None),
            base_url=self.value("base_url"),
            api_key=self.value("api_key"),
            headers=self.headers(),
            models=[*(self._chosen or []), *self.by_hand()],
        )

    def problems(self) -> dict[str, str]:
        given = self.given()
        form = dialog.ProviderFields(
            given.id or "", given.name or "", given.protocol, given.base_url or "", given.api_key or "", self.by_hand(),
            given.headers,
        )  # fmt: skip
        found = dialog.problems(form, list(self._state.config.providers), detects=True)
        if (preset := native_at(self.value("base_url"))) is not None:
            found["base_url"] = f"This is {preset.name}: add it as a known provider, not as a custom one"
        return found

    @on(TextButton.Pressed, "#fetch")
    def fetch(self) -> None:
        if not self.busy:
            self.status.clear()
            self.during("listing the models", self._fetch)

    async def _fetch(self) -> None:
        given = self.given()
        if problem := dialog.base_url_problem(given.base_url or ""):
            raise InvalidValue(problem)
        free = given.id if given.id and not dialog.id_problem(given.id, list(self._state.config.providers)) else "new"
        looked = replace(given, id=free, name=given.name or free, models=[])
        step = await self._setup.list_custom_models(looked)
        if isinstance(step, Preview):
            table = step.table
            if given.protocol is None:  # the URL may be shortened below, and then no longer shows the protocol
                self.query_one(ChoiceField).choose(protocol_of(str(table["type"])))
            if (url := str(table["base_url"])) != given.base_url:
                self.query_one("#field-base_url", Field).value = url
            if not step.models and step.chosen:  # the URL was that of a call, which contains the model ID
                self._chosen = [ModelRow(id, id) for id in step.chosen]
                self.show_chosen()
                return
        await self.choose(step)

    async def finish(self) -> None:
        if not self.given().models:
            await self._fetch()
        if not self.given().models:
            raise ConfigError("At least one model is required", hint="fetch the models, or add one manually")
        step = await self._setup.custom(self.given())
        if isinstance(step, SetupQuestion):
            self.refuse(step)
        elif (added := await follow(self.app, self._state, self._setup, step, quick=True)) is not None:
            self.dismiss(added)


class EditProvider(ProviderForm):
    """Edits a configured provider. The connection is tested before anything is saved."""

    first = "api_key"

    def __init__(self, state: AppState, id: str, *, problem: str = "") -> None:
        super().__init__(state)
        self._entry: ProviderEntry = state.config.provider(id)
        self.heading = f"Edit {id}"
        self._problem = problem
        self._kept = ""
        """The rejected API key. It is saved if the user submits it again."""

    def fields(self) -> Iterable[Widget]:
        entry = self._entry
        yield Field("name", "Display name", value=entry.name or "", placeholder=entry.id)
        yield Field("base_url", "Base URL", value=entry.base_url or "", placeholder="the default of its type")
        place = key_storage.place_of(entry, self._state.config)
        unchanged = f"unchanged, in {place}" if place else "unchanged"
        yield key_field("API key", unchanged if entry.api_key or entry.env else "none")
        yield from self.rows()

    async def on_mount(self) -> None:  # type: ignore[override]
        super().on_mount()
        for name in self._entry.custom_headers:
            await self.query_one("#headers").mount(InputPair("Header", "Name", "Value", (name, UNCHANGED)))
        if self._problem:
            self.status.warn(self._problem)

    def given(self) -> Given:
        entry = self._entry
        name, url, key = self.value("name"), self.value("base_url"), self.value("api_key")
        rows = [row for row in self.headers() if row.key and row.value != UNCHANGED]
        names = {row.key.lower() for row in self.headers()}
        return Given(
            name=name if name and name != entry.name else None,
            base_url=url if url and url != entry.base_url else None,
            api_key=key or None,
            headers=[row for row in rows if row.value],
            remove_headers=[name for name in entry.custom_headers if name.lower() not in names],
            models=[*self._chosen, *self.by_hand()] if self._chosen is not None else [],
            add_models=[] if self._chosen is not None else self.by_hand(),
        )

    def problems(self) -> dict[str, str]:
        found: dict[str, str | None] = {}
        if self.value("base_url"):
            found["base_url"] = dialog.base_url_problem(self.value("base_url"))
        found["api_key"] = dialog.api_key_problem(self.value("api_key"))
        for number, (key, value) in enumerate(dialog.header_problems(self.headers())):
            found |= {f"headers.{number}.key": key, f"headers.{number}.value": value}
        for number, (id, name) in enumerate(dialog.model_problems(self.by_hand())):
            found |= {f"models.{number}.id": id, f"models.{number}.name": name}
        return {name: problem for name, problem in found.items() if problem}

    @on(TextButton.Pressed, "#fetch")
    def fetch(self) -> None:
        if not self.busy:
            self.status.clear()
            self.during("listing the models", self._fetch)

    async def _fetch(self) -> None:
        given = replace(self.given(), models=[], add_models=[], chooses=True)
        await self.choose(await self._setup.edit(self._entry.id, given))

    async def finish(self) -> None:
        given = self.given()
        if given == Given():
            self.dismiss(None)
            return
        step = await self._setup.edit(self._entry.id, given)
        key = self.value("api_key")
        if isinstance(step, SetupQuestion) and step.field == "api_key.again" and key and key == self._kept:
            step = await self._setup.answer("")  # some keys are valid for calls, but not for the list of models
        if isinstance(step, SetupQuestion):
            if step.field == "api_key.again":
                self._kept = key
            self.refuse(step)
        elif (added := await follow(self.app, self._state, self._setup, step, quick=True)) is not None:
            self.dismiss(added)
