"""The steps of adding or editing a provider, as dialogs: a question, the preview, the choice of models."""

from collections.abc import Iterable
from functools import partial
from typing import Any, ClassVar

from msgspec import Struct
from textual.app import App
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from modelbay.catalog.summary import counted
from modelbay.onboarding.setup.machine import Setup
from modelbay.onboarding.setup.steps import NO, YES, Connection, Preview, Result, SetupQuestion, Step
from modelbay.tui.dialogs.confirm import Confirm
from modelbay.tui.dialogs.dialog import TextDialog
from modelbay.tui.dialogs.form import Field, Form
from modelbay.tui.dialogs.menu import Menu
from modelbay.tui.dialogs.model_checklist import ModelChecklist
from modelbay.tui.dialogs.progress import Progress
from modelbay.tui.state import AppState
from modelbay.tui.widgets.virtual_list import ListRow

NAMED = 8
"""Models that are named in a preview; the others are counted."""


class Added(Struct):
    """The providers that were written."""

    providers: list[str]
    stored: list[str] = []
    """Where new secrets are, if the old ones were not in config.toml."""


class QuestionForm(Form[str]):
    """One question. Ends with the answer, or with None to go back."""

    keys = "Enter continue · Esc back"

    def __init__(self, question: SetupQuestion) -> None:
        super().__init__()
        self.heading = question.label
        self._question = question

    def fields(self) -> Iterable[Widget]:
        about = [text for text in self._question.about if text]
        if about:
            yield Static(Content("\n".join(about)), classes="about")
        name = self._question.label if len(self._question.label) < 18 else "Answer"
        yield Field("answer", name, value=self._question.suggestion, secret=self._question.secret)

    def on_mount(self) -> None:
        super().on_mount()
        if self._question.problem:
            self.status.warn(self._question.problem)

    def problems(self) -> dict[str, str]:
        missing = self._question.required and not self.value("answer")
        return {"answer": "Required"} if missing else {}

    async def finish(self) -> None:
        self.dismiss(self.value("answer"))


class PreviewDialog(TextDialog[str]):
    """Shows a draft before it is written. Returns "save", "models" or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,y,Y", "end('save')", show=False),
        Binding("m,M", "end('models')", show=False),
        Binding("d,D", "diff", show=False),
    ]

    def __init__(self, preview: Preview) -> None:
        super().__init__()
        self.heading = preview.title
        choose = "M choose models · " if preview.chooses else ""
        self.keys = f"Enter save · {choose}D changes to config.toml · Esc back"
        self._preview = preview
        self._diff = False

    def action_end(self, answer: str) -> None:
        if answer == "models" and not self._preview.chooses:
            return
        if answer == "save" and self._preview.chooses and not self._preview.chosen:
            self.status.warn("At least one model is required: M chooses models")
            return
        self.dismiss(answer)

    def action_diff(self) -> None:
        self._diff = not self._diff
        self.show(Content(self._preview.diff or "no changes") if self._diff else self.text())

    def text(self) -> Content:
        preview = self._preview
        facts = list(preview.facts)
        if preview.connection is not None:
            facts.append(("Connection", tested(preview.connection)))
        if preview.chooses or (preview.chosen and not any(label == "Models" for label, _ in facts)):
            named = [*preview.chosen[:NAMED], *["…"] * (len(preview.chosen) > NAMED)]
            of = f" of {len(preview.models):,}" if preview.models else ""
            facts.append(("Models", f"{len(preview.chosen):,}{of}: {', '.join(named)}" if named else f"none{of}"))
        shown = {text for _, text in facts} | {preview.connection.text if preview.connection else ""}
        facts += [("Warning" if note.warns else "Note", note.text) for note in preview.notes if note.text not in shown]
        width = max((len(label) for label, _ in facts), default=0)
        indent = "\n" + " " * (width + 2)
        lines = [
            Content.assemble((f"{label.ljust(width)}  ", "dim"), text.replace("\n", indent), "\n")
            for label, text in facts
        ]
        return Content.assemble(*lines).rstrip()


def tested(connection: Connection) -> str:
    """The result of a connection test."""
    mark = {True: "✓ ", False: "✗ ", None: ""}[connection.ok]
    return f"{mark}{connection.text}"


async def follow(app: App[Any], state: AppState, setup: Setup, step: Step, *, quick: bool = False) -> Added | None:
    """Go through the steps up to the result; None if the user leaves. With `quick`, a preview whose models are chosen is
    confirmed without being shown, unless the connection failed.
    """
    while True:
        if isinstance(step, Result):
            await state.reload()
            return Added(step.providers, step.stored)
        if isinstance(step, Preview):
            following = await _after_preview(app, setup, step, quick=quick)
        else:
            answer = await _answer(app, step)
            if answer is None:
                following = await setup.back()
                if following is None:
                    return None
            else:
                work = partial(setup.answer, answer)
                following = await app.push_screen_wait(Progress("Checking the answer", work)) or step
        if following is None:
            return None
        step = following


async def _answer(app: App[Any], question: SetupQuestion) -> str | None:
    """The user's answer; None to go back."""
    if [option.value for option in question.options] == [YES, NO]:
        about = [("", text) for text in question.about]
        sure: bool | None = await app.push_screen_wait(Confirm(question.label, about, question.label))
        return None if sure is None else YES if sure else NO
    if question.options:
        chosen = await app.push_screen_wait(Menu(question.label, question.options, lambda one: ListRow(one.label)))
        return chosen.value if chosen is not None else None
    answer: str | None = await app.push_screen_wait(QuestionForm(question))
    return answer


async def _after_preview(app: App[Any], setup: Setup, preview: Preview, *, quick: bool) -> Step | None:
    """The step after a preview; None if the user leaves."""
    if quick and preview.chooses and not preview.chosen:
        marked = await choose_models(app, preview)
        return await setup.choose(marked) if marked is not None else None
    quick = quick and (preview.connection is None or preview.connection.error is None)
    wish = "save" if quick else await app.push_screen_wait(PreviewDialog(preview))
    if wish == "save":
        words = f"Writing {counted(len(preview.chosen), 'model')}"
        written: Step | None = await app.push_screen_wait(Progress(words, setup.answer))
        return written or (None if quick else preview)
    if wish == "models":
        marked = await choose_models(app, preview)
        return await setup.choose(marked) if marked is not None else preview
    return await setup.back()


async def choose_models(app: App[Any], preview: Preview) -> list[str] | None:
    """The IDs of the models that the user marks."""
    heading = f"{counted(len(preview.models), 'model')} found"
    chosen: list[str] | None = await app.push_screen_wait(ModelChecklist(heading, preview.models, preview.chosen))
    return chosen
