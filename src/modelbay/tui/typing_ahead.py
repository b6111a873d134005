"""Keys and pastes take effect in the order in which they were typed, on a slow machine too.

Textual gives a key to the widget that has the focus at that moment, although the previous key may not have had its effect yet:
Backspace goes through all widgets above before it deletes, Enter empties the composer once the message is accepted, and a command
opens a dialog. Text typed meanwhile would be changed by the earlier key, be deleted, be sent together with the message, or be sent
to the model although it was meant for a dialog: an API key, for example. So it waits.
"""

from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from textual import events, on
from textual.app import App
from textual.await_complete import AwaitComplete
from textual.message import Message
from textual.message_pump import MessagePump
from textual.timer import Timer
from textual.widgets import Input, TextArea
from textual.worker import Worker, get_current_worker

from modelbay.tui.chat_screen import ChatScreen

HANGING = 2.0
"""Seconds that keys wait before the user is told about it, and may discard them."""
HELD = "Keys wait for the end of the last command. Esc discards them"
URGENT = ("ctrl+c", "ctrl+q", "ctrl+z")
"""Keys that do not wait."""
ROUNDS = 3
"""How often a `Marker` goes to the widget: a key of the composer posts `Sent`, for which the screen posts `CommandEntered`."""


class Marker(Message):
    """Follows a key through the same queues, from a widget up to the app. When it arrives, the key has had its effect."""

    def __init__(self, widget: MessagePump) -> None:
        super().__init__()
        self.widget = widget


def _acts(event: events.Key | events.Paste, widget: MessagePump) -> bool:
    """Whether input does more than to insert text into a widget."""
    return isinstance(event, events.Key) and not (event.is_printable and isinstance(widget, Input | TextArea))


class TypingAhead(App[None]):
    """The part of the app that passes keys and pastes on."""

    chat_screen: ChatScreen

    def __init__(self) -> None:
        super().__init__()
        self._waiting: deque[events.Key | events.Paste] = deque()
        """Keys and pastes that wait, oldest first."""
        self._begun = False
        """Whether the composer is ready."""
        self._lettered = False
        """Whether text was passed on after the last key that acts."""
        self._commands: dict[Worker[None], bool] = {}
        """The commands in progress, and whether keys wait for them."""
        self._hanging: Timer | None = None
        """Started when a key begins to wait; None if none waits."""
        self._told = False
        """Whether the user was told that keys wait."""
        self._awaited: dict[MessagePump, int] = {}
        """The widgets to which a `Marker` was sent, and its remaining rounds."""

    async def on_event(self, event: events.Event) -> None:
        typed = isinstance(event, events.Key | events.Paste) and not event.is_forwarded
        if not typed or (isinstance(event, events.Key) and event.key in URGENT):
            await super().on_event(event)
        elif self._told and isinstance(event, events.Key) and event.key == "escape":
            await self._let_go()
        elif isinstance(event, events.Key | events.Paste):
            self._waiting.append(event)
            await self.pass_on()

    @property
    def _must_wait(self) -> bool:
        self._awaited = {
            widget: left for widget, left in self._awaited.items() if widget.is_attached and not widget._closing
        }
        if self._awaited or not self._begun:
            return True
        return any(self._commands.values()) and self.screen is self.chat_screen

    def push_screen(self, *given: Any, **options: Any) -> Any:
        """Show a dialog. Keys wait until it has the focus."""
        shown = super().push_screen(*given, **options)
        self._follow(self.screen)
        return shown

    def pop_screen(self) -> AwaitComplete:
        """Close a dialog. Keys wait until the screen below has the focus."""
        closed = super().pop_screen()
        self._follow(self.screen)
        return closed

    def _follow(self, widget: MessagePump) -> None:
        """Let keys wait until everything that was sent to a widget has had its effect."""
        self._awaited[widget] = ROUNDS
        widget.post_message(Marker(widget))

    @on(Marker)
    async def marker_arrived(self, marker: Marker) -> None:
        left = self._awaited.pop(marker.widget, 0) - 1
        if left > 0 and marker.widget.post_message(Marker(marker.widget)):
            self._awaited[marker.widget] = left
        await self.pass_on()

    async def pass_on(self) -> None:
        """Pass the waiting keys on, up to one whose effect must be awaited."""
        while self._waiting and not self._must_wait:
            widget = self.focused or self.screen
            acts = _acts(self._waiting[0], widget)
            if acts and self._lettered:  # Tab completes a command only once it is offered for the letters
                self._lettered = False
            else:
                self._lettered = not acts
                await super().on_event(self._waiting.popleft())
            if acts:
                self._follow(widget)
        if self._waiting and self._hanging is None:
            self._hanging = self.set_timer(HANGING, self._tell)
        elif not self._waiting and self._hanging is not None:
            self._hanging.stop()
            self._hanging, self._told = None, False
            self.chat_screen.unsay(HELD)

    async def _tell(self) -> None:
        await self.pass_on()  # a widget that was removed returned no marker
        if self._waiting and self._begun:
            self._told = True
            self.chat_screen.say(HELD)

    async def _let_go(self) -> None:
        """Discard the keys that wait, and let later ones wait no longer for the commands in progress, which may hang."""
        self._waiting.clear()
        self._awaited.clear()
        self._commands = dict.fromkeys(self._commands, False)
        await self.pass_on()

    async def begin(self) -> None:
        """Insert the text typed during the start into the composer. Only the user sends it."""
        self._begun = True
        composer = self.chat_screen.composer
        while self._waiting:
            event = self._waiting.popleft()
            if isinstance(event, events.Paste):
                composer.paste(event.text)
            elif event.key in ("enter", "ctrl+j"):
                composer.insert("\n")
            elif event.is_printable and event.character:
                composer.insert(event.character)
        await self.pass_on()

    def start_command(self, command: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a command in a worker. Keys wait until it opens a dialog or ends. Its error is shown in the transcript."""
        # a function, not its coroutine: if the app ends first, Python prints that the coroutine was never awaited
        self._commands[self.run_worker(partial(self._guarded, command))] = True

    async def _guarded(self, command: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await command()
        except Exception as error:  # noqa: BLE001 the edge of the app, which goes on
            await self.chat_screen.transcript.fail(error)
        finally:
            del self._commands[get_current_worker()]
            self._follow(self.chat_screen)  # it may have entered another command
        self.chat_screen.show_footer()
