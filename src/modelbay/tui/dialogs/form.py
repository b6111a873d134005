"""Forms: fields with a label, and with the problem of the value below, which is updated during typing."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import ClassVar, TypeVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Label, Static, TextArea

from modelbay.credentials.pasted_key import pasted_key
from modelbay.tui.dialogs.dialog import Dialog, ScrollArea
from modelbay.tui.widgets.controls import TextButton
from modelbay.tui.widgets.line_input import LineInput

T = TypeVar("T")


class KeyInput(Input):
    """An input line that shows dots. It finds the API key in pasted text, of which `Input` takes the first line."""

    def __init__(self, value: str, *, placeholder: str) -> None:
        super().__init__(value, placeholder=placeholder, password=True, compact=True, select_on_focus=False)

    def on_paste(self, event: events.Paste) -> None:
        event.text = " ".join(pasted_key(event.text).splitlines())  # the form says that a key has no spaces


class Field(Vertical):
    """A label, an input line, and a line for the problem."""

    def __init__(
        self, name: str, label: str, *, value: str = "", placeholder: str = "", secret: bool = False
    ) -> None:  # fmt: skip
        super().__init__(id=f"field-{name}", classes="field")
        self.key = name
        self._label = label
        self._input = (
            KeyInput(value, placeholder=placeholder)
            if secret
            else LineInput(value, placeholder=placeholder, compact=True, select_on_focus=False)
        )
        self._input.cursor_blink = False
        self._wrong = Static(classes="wrong")
        self.touched = bool(value)
        """Whether the user has typed in it. Problems of untouched fields are not shown."""

    def compose(self) -> ComposeResult:
        with Horizontal(classes="line"):
            yield Label(Content(self._label), classes="label")
            yield self._input
        yield self._wrong

    @property
    def value(self) -> str:
        return pasted_key(self._input.value) if isinstance(self._input, KeyInput) else self._input.value

    @value.setter
    def value(self, value: str) -> None:
        self._input.value = value

    @property
    def input(self) -> Input:
        return self._input

    def wrong(self, problem: str | None) -> None:
        """Show the problem; None hides it."""
        self._wrong.display = bool(problem)
        self._wrong.update(Content(problem or ""))


class Form(Dialog[T]):
    """A dialog with fields. Enter moves to the next field, and submits in the last one. Ctrl-S submits in any field."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # with priority, so that keys typed right after them go to the next field
        Binding("up,shift+tab", "step(-1)", show=False, priority=True),
        Binding("down,tab", "step(1)", show=False, priority=True),
        Binding("enter", "enter", show=False, priority=True),
        Binding("ctrl+s", "submit", show=False),
    ]
    keys = "↑↓ field · Enter next, submit · Esc cancel"
    working = "working"
    """Status line while `finish` runs."""
    first: str = ""
    """Name of the field that is focused at first; "": the first empty one."""
    rejected: tuple[str, str, str] = ("", "", "")
    """Name of a field, its rejected value, and the problem."""
    _original: Mapping[Widget, str] = MappingProxyType({})
    """The text of each input at the start."""
    _leaving: dict[Widget, str] | None = None
    """The text of each input when Esc warned that it would be lost."""

    def fields(self) -> Iterable[Widget]:
        """The fields and other widgets of the form."""
        raise NotImplementedError

    def problems(self) -> dict[str, str]:
        """The current problems by field name."""
        return {}

    async def finish(self) -> None:
        """Submit the form and dismisses it. After a ModelbayError, the form shows the error and stays open."""
        raise NotImplementedError

    def content(self) -> Iterable[Widget]:
        yield ScrollArea(*self.fields())

    def on_mount(self) -> None:
        self._original = self._entered()
        for field in self.query(Field):
            field.wrong(None)
        first = next((field for field in self.query(Field) if field.key == self.first), None)
        first = first or next((field for field in self.query(Field) if not field.value), None)
        (first or self.query(Field).first()).input.focus()

    def value(self, name: str) -> str:
        return self.query_one(f"#field-{name}", Field).value.strip()

    @on(Input.Changed)
    def check_field(self, event: Input.Changed) -> None:
        """Show the problems of the touched fields."""
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
        """Show at a field why its value was rejected. False if there is no such field."""
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

    def action_back(self) -> None:
        entered = self._entered()
        changed = [text for widget, text in entered.items() if text != self._original.get(widget, "")]
        much = len(changed) > 1 or any("\n" in text for text in changed)
        if not self.busy and much and self._leaving != entered:
            self._leaving = entered
            self.status.warn("Press Esc again to discard what you entered")
        else:
            super().action_back()

    def _entered(self) -> dict[Widget, str]:
        """The text of each input."""
        inputs: dict[Widget, str] = {input: input.value for input in self.query(Input)}
        return inputs | {area: area.text for area in self.query(TextArea)}

    def action_enter(self) -> None:
        here, chain = self.focused, self.focus_chain
        if isinstance(here, TextButton):
            here.action_push()
        elif here is not None and here is not chain[-1]:
            self.focus_next()
        else:
            # after the keys that the field has not processed yet
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
