"""Widgets of forms: a choice field, a text button, a pair of inputs, a labeled row."""

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Label, Static

from modelbay.tui.widgets.line_input import LineInput


class ChoiceField(Static, can_focus=True):
    """One of a few options, changed with ←→."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "turn(-1)", show=False),
        Binding("right,space", "turn(1)", show=False),
    ]

    class Changed(Message):
        pass

    def __init__(self, options: dict[str, str], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._options = options
        self.value = next(iter(options))

    def on_mount(self) -> None:
        self._show()

    def choose(self, value: str) -> None:
        self.value = value
        self._show()

    def action_turn(self, by: int) -> None:
        names = list(self._options)
        self.value = names[(names.index(self.value) + by) % len(names)]
        self._show()
        self.post_message(self.Changed())

    def on_click(self) -> None:
        self.action_turn(1)

    def _show(self) -> None:
        self.update(Content.assemble(("< ", "dim"), self._options[self.value], (" >  ←→", "dim")))


class TextButton(Static, can_focus=True):
    """A button that looks like text in brackets."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space", "push", show=False)]

    class Pressed(Message):
        def __init__(self, push: "TextButton") -> None:
            super().__init__()
            self.push = push

        @property
        def control(self) -> "TextButton":
            return self.push

    def __init__(self, words: str, *, id: str) -> None:
        super().__init__(Content(f"[ {words} ]"), id=id)

    def action_push(self) -> None:
        self.post_message(self.Pressed(self))

    def on_click(self, event: events.Click) -> None:
        self.action_push()


class InputPair(Vertical):
    """Two inputs in one row, such as the ID and the name of a model. Backspace in an empty pair removes it."""

    class Emptied(Message):
        def __init__(self, pair: "InputPair") -> None:
            super().__init__()
            self.pair = pair

    def __init__(self, label: str, first: str, second: str, values: tuple[str, str] = ("", "")) -> None:
        super().__init__(classes="pair")
        self._label = Label(Content(label), classes="label")
        self._inputs = tuple(
            LineInput(value, placeholder=placeholder, compact=True, select_on_focus=False)
            for placeholder, value in zip((first, second), values, strict=True)
        )
        for input in self._inputs:
            input.cursor_blink = False
        self._wrong = Static(classes="wrong")
        self.touched = any(values)

    def compose(self) -> ComposeResult:
        with Horizontal(classes="line"):
            yield self._label
            yield from self._inputs
        yield self._wrong

    def on_mount(self) -> None:
        self.wrong(None, None)

    @property
    def values(self) -> tuple[str, str]:
        return self._inputs[0].value, self._inputs[1].value

    @property
    def first(self) -> Input:
        return self._inputs[0]

    def wrong(self, first: str | None, second: str | None) -> None:
        names = [input.placeholder for input in self._inputs]
        words = [f"{name}: {problem}" for name, problem in zip(names, (first, second), strict=True) if problem]
        self._wrong.display = bool(words)
        self._wrong.update(Content("; ".join(words)))

    def on_input_changed(self, event: Input.Changed) -> None:
        self.touched = self.touched or bool(event.value)

    def on_key(self, event: events.Key) -> None:
        if event.key == "backspace" and not any(self.values):
            event.stop()
            self.post_message(self.Emptied(self))


class LabeledRow(Horizontal):
    """A label and a widget other than an input."""

    def __init__(self, label: str, widget: Widget) -> None:
        super().__init__(classes="line")
        self._label, self._widget = label, widget

    def compose(self) -> ComposeResult:
        yield Label(Content(self._label), classes="label")
        yield self._widget
