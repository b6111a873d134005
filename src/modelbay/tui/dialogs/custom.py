"""The dialog for a custom provider: every field of its entry, models fetched or written by hand, headers."""

from asyncio import to_thread
from collections.abc import Iterable
from typing import cast

from msgspec import Struct
from msgspec.structs import replace
from textual import on
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from modelbay.catalog.summary import counted
from modelbay.conversation import Protocol
from modelbay.credentials.approval import typed
from modelbay.errors import ConfigError
from modelbay.onboarding import add as adding
from modelbay.onboarding import fields as dialog
from modelbay.onboarding.draft import form_draft, model_tables, native_at, protocol_of, with_key
from modelbay.onboarding.fields import HeaderRow, ModelRow
from modelbay.onboarding.probe import Detected, detect
from modelbay.secrecy import register
from modelbay.tui.dialogs.form import Field, Form, key_field
from modelbay.tui.dialogs.model_checklist import ModelChecklist
from modelbay.tui.state import AppState
from modelbay.tui.widgets.controls import ChoiceField, InputPair, LabeledRow, TextButton


class Added(Struct):
    """What was written."""

    providers: list[str]


class CustomProvider(Form[Added]):
    heading = "Custom provider"
    keys = "↑↓ field · Enter next · Ctrl-S save · Esc cancel"
    working = "saving"

    def __init__(self, state: AppState, base_url: str = "") -> None:
        super().__init__()
        self._state = state
        self._base_url = base_url
        self._detected: Detected | None = None

    def fields(self) -> Iterable[Widget]:
        yield Field("id", "Provider ID", placeholder="myprovider")
        yield Field("name", "Display name", placeholder="My AI Provider")
        yield LabeledRow(
            "Provider API", ChoiceField({"": "As the base URL tells"} | cast(dict[str, str], dialog.APIS), id="api")
        )
        yield Field("base_url", "Base URL", value=self._base_url, placeholder="https://api.myprovider.com/v1")
        yield key_field("API key", "Optional. Leave empty if you manage auth via headers.")
        yield Vertical(id="models", classes="rows")
        yield Horizontal(
            TextButton("Fetch models", id="fetch"), TextButton("Add a model by hand", id="add-model"), classes="pushes"
        )
        yield Vertical(id="headers", classes="rows")
        yield Horizontal(TextButton("Add a header", id="add-header"), TextButton("Save", id="save"), classes="pushes")

    def form(self) -> dialog.ProviderFields:
        """What stands in the fields."""
        return dialog.ProviderFields(
            self.value("id"),
            self.value("name"),
            cast(Protocol | None, self.query_one(ChoiceField).value or None),
            self.value("base_url"),
            self.value("api_key"),
            [ModelRow(*pair.values) for pair in self._pairs("models")],
            [HeaderRow(*pair.values) for pair in self._pairs("headers")],
        )

    def problems(self) -> dict[str, str]:
        found = dialog.problems(self.form(), list(self._state.config.providers), detects=True)
        if (preset := native_at(self.value("base_url"))) is not None:
            found["base_url"] = f"This is {preset.name}: add it as a known provider, which calls it natively"
        return found

    def show_problems(self, everywhere: bool = False) -> dict[str, str]:
        found = super().show_problems(everywhere)
        for table, parts in (("models", ("id", "name")), ("headers", ("key", "value"))):
            for number, pair in enumerate(self._pairs(table)):
                pair.touched = pair.touched or everywhere
                wrong = [found.get(f"{table}.{number}.{part}") if pair.touched else None for part in parts]
                pair.wrong(*wrong)
        return found

    # --- rows ---

    @on(TextButton.Pressed, "#add-model")
    async def add_model(self) -> None:
        await self._add("models", ModelRow("", ""))

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

    async def _add(self, table: str, row: ModelRow) -> None:
        pair = InputPair("Model", "ID", "Name", (row.id, row.name))
        await self.query_one(f"#{table}").mount(pair)
        if not row.id:
            pair.first.focus()

    def _pairs(self, table: str) -> list[InputPair]:
        return list(self.query_one(f"#{table}").query(InputPair))

    # --- models that it lists ---

    @on(TextButton.Pressed, "#fetch")
    def fetch(self) -> None:
        if not self.busy:
            self.status.clear()
            self.during("asking it for its models", self._fetch)

    async def _fetch(self) -> None:
        """Asks for the models, and adds rows for those that are marked."""
        form = self.form().trimmed()
        if problem := dialog.base_url_problem(form.base_url) or dialog.api_key_problem(form.api_key):
            raise ConfigError(problem)
        register(form.api_key)
        typed(form.api_key)
        made = with_key(form_draft(replace(form, id=form.id or "new")), form.api_key or None)
        detected = await detect(self._state.config, made, [row.id for row in form.models if row.id])
        if detected.error is not None and not detected.models:
            if not (named := [id for id in made.models if not form.models]):
                raise detected.error
            for id in named:  # the URL was of a call, which names its model
                await self._add("models", ModelRow(id, id))
        self._detected = detected
        if form.api is None:  # the URL may be shortened now, and tell no protocol any more
            self.query_one(ChoiceField).choose(protocol_of(str(made.table["type"])))
        if (url := str(detected.draft.table["base_url"])) != form.base_url:
            self.query_one("#field-base_url", Field).value = url
        if not detected.models:
            return
        there = {row.id.strip().lower() for row in form.models}
        fresh = [model for model in detected.models if model.id.lower() not in there]
        if not fresh:
            raise ConfigError("all its models are here already" if detected.models else "it lists no models")
        taken = await self.app.push_screen_wait(ModelChecklist(f"{counted(len(fresh), 'model')} found", fresh))
        names = {model.id: model.name or model.id for model in fresh}
        blank = [pair for pair in self._pairs("models") if not any(pair.values)]
        for pair in blank if taken else ():
            await pair.remove()
        for id in taken or ():
            await self._add("models", ModelRow(id, names[id]))

    # --- writing ---

    @on(TextButton.Pressed, "#save")
    def save(self) -> None:
        self.action_submit()

    async def finish(self) -> None:
        if not self._pairs("models"):
            await self._fetch()
        form = self.form().trimmed()
        if not form.models:
            raise ConfigError("At least one model is required", hint="fetch them, or add one by hand")
        register(form.api_key)
        typed(form.api_key)
        made = with_key(form_draft(form), form.api_key or None)
        detected = replace(self._detected, draft=made) if self._detected else Detected(made)
        tables = model_tables(self._state.config, made.id, [(row.id, row.name) for row in form.models])
        await to_thread(adding.add, self._state.config, detected, tables)
        self.dismiss(Added([made.id]))
