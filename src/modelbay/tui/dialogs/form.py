"""Fields to fill in: each with its label, and under it what is wrong with it, said while it is typed."""

from collections.abc import Iterable
from typing import ClassVar, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Label, Static

from modelbay.tui.dialogs.dialog import Dialog, ScrollArea
from modelbay.tui.widgets.controls import TextButton

T = TypeVar("T")


class Field(Vertical):
    """A label, a line to write in, and room for what is wrong."""

    def __init__(
        self, name: str, label: str, *, value: str = "", placeholder: str = "", secret: bool = False
    ) -> None:  # fmt: skip
        super().__init__(id=f"field-{name}", classes="field")
        self.key = name
        self._label = label
        self._input = Input(value, placeholder=placeholder, password=secret, compact=True, select_on_focus=False)
        self._input.cursor_blink = False
        self._wrong = Static(classes="wrong")
        self.touched = bool(value)
        """Whether somebody has written in it; what is wrong with one that is still blank is not said yet."""

    def compose(self) -> ComposeResult:
        with Horizontal(classes="line"):
            yield Label(Content(self._label), classes="label")
            yield self._input
        yield self._wrong

    @property
    def value(self) -> str:
        return self._input.value

    @value.setter
    def value(self, value: str) -> None:
        self._input.value = value

    @property
    def input(self) -> Input:
        return self._input

    def wrong(self, problem: str | None) -> None:
        """Says what is wrong, or nothing."""
        self._wrong.display = bool(problem)
        self._wrong.update(Content(problem or ""))


class Form(Dialog[T]):
    """A dialog of fields. Enter goes to the next one, and submits in the last; so does Ctrl-S anywhere."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # of priority, so that letters that are typed just behind them are the next field's
        Binding("up,shift+tab", "step(-1)", show=False, priority=True),
        Binding("down,tab", "step(1)", show=False, priority=True),
        Binding("enter", "enter", show=False, priority=True),
        Binding("ctrl+s", "submit", show=False),
    ]
    keys = "↑↓ field · Enter next, submit · Esc cancel"
    working = "working"
    """What is said while `finish` runs."""
    first: str = ""
    """The field that has the focus at first; "": the first one that is blank."""
    rejected: tuple[str, str, str] = ("", "", "")
    """A field, its value, and what was wrong with that when it was used."""

    def fields(self) -> Iterable[Widget]:
        """The fields, and what stands between them."""
        raise NotImplementedError

    def problems(self) -> dict[str, str]:
        """What is wrong now, by the name of the field."""
        return {}

    async def finish(self) -> None:
        """Does what the form is for, and dismisses it. A ModelbayError is said, and the form stays."""
        raise NotImplementedError

    def content(self) -> Iterable[Widget]:
        yield ScrollArea(*self.fields())

    def on_mount(self) -> None:
        for field in self.query(Field):
            field.wrong(None)
        first = next((field for field in self.query(Field) if field.key == self.first), None)
        first = first or next((field for field in self.query(Field) if not field.value), None)
        (first or self.query(Field).first()).input.focus()

    def value(self, name: str) -> str:
        return self.query_one(f"#field-{name}", Field).value.strip()

    @on(Input.Changed)
    def check_field(self, event: Input.Changed) -> None:
        """Says what is wrong with the fields that were written in."""
        for field in event.input.ancestors:
            if isinstance(field, Field) and event.value:
                field.touched = True
        self.show_problems()

    def show_problems(self, everywhere: bool = False) -> dict[str, str]:
        found = self.problems()
        name, value, problem = self.rejected
        for field in self.query(Field):
            if everywhere:
                field.touched = True
            used = problem if field.key == name and field.value.strip() == value else None
            field.wrong((found.get(field.key) or used) if field.touched else None)
        return found

    def reject(self, name: str, problem: str) -> bool:
        """Says at a field what was wrong with its value; False if there is no such field."""
        for field in self.query(Field):
            if field.key == name:
                self.rejected = (name, field.value.strip(), problem)
                self.show_problems(everywhere=True)
                field.input.focus()
                return True
        return False

    def action_step(self, by: int) -> None:
        if by > 0:
            self.focus_next()
        else:
            self.focus_previous()

    def action_enter(self) -> None:
        here, chain = self.focused, self.focus_chain
        if isinstance(here, TextButton):
            here.action_push()
        elif here is not None and here is not chain[-1]:
            self.focus_next()
        else:
            # behind the letters that the field has not taken in yet
            (here or self).call_later(self.action_submit)

    def action_submit(self) -> None:
        if self.busy:
            return
        self.status.clear()
        found = self.show_problems(everywhere=True)
        if not found:
            self.during(self.working, self.finish)
            return
        for field in self.query(Field):
            if field.key in found:
                field.input.focus()
                return
        self.status.warn("; ".join(found.values()))


def key_field(label: str = "API key", placeholder: str = "") -> Field:
    return Field("api_key", label, placeholder=placeholder, secret=True)
