"""The main screen: transcript, composer, and a footer with the model, token usage and cost."""

from asyncio import to_thread
from contextlib import aclosing
from functools import partial
from time import monotonic
from typing import ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Static, TextArea
from textual.worker import Worker

from modelbay.conversation import Media
from modelbay.errors import AuthenticationFailed, MissingCredential, UnreadableFile
from modelbay.events import Failed, Finished
from modelbay.stored_chats.attachments import attachments, mentioned
from modelbay.stored_chats.file_names import ENTRIES, FileNames, Mention, open_mention
from modelbay.stored_chats.file_names import mention as mention_of
from modelbay.stored_chats.stored_chat import INTERRUPTED
from modelbay.tui.commands import Command, matching, named, row
from modelbay.tui.dialogs.history_search import HistoryEntry, HistorySearch
from modelbay.tui.editor import EditorFailed, edited
from modelbay.tui.footer import files_text, model_text, queue_text, usage_text
from modelbay.tui.state import AppState
from modelbay.tui.widgets.composer import PLACEHOLDER, Composer
from modelbay.tui.widgets.status import FRAMES, TICK
from modelbay.tui.widgets.status_message import StatusMessage
from modelbay.tui.widgets.transcript import EMPTY, STOPPED, AnswerView, Transcript
from modelbay.tui.widgets.virtual_list import ListRow, VirtualList

TWICE = 2.0
"""Seconds within which a second Esc or Ctrl-C counts as a double press."""
ATTACHED = "File attached. Paste again to insert the path as text"
FOLDED = "The full paste is sent. Ctrl-O expands it here"
QUEUEING = "Enter queues a message"


class QueuedMessage(NamedTuple):
    """A message that is sent after the current answer."""

    text: str
    """The text of the composer, with placeholders for folded pastes."""
    files: list[Media]


class ChatScreen(Screen[None]):
    """Posts `CommandEntered` for commands; the app runs them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "interrupt", "interrupt"),
        Binding("ctrl+p", "app.palette", show=False, priority=True),
        Binding("ctrl+t", "thinking", "thinking", priority=True),
        Binding("f2", "correct", show=False, priority=True),
        Binding("pageup", "scroll(-1)", show=False, priority=True),
        Binding("pagedown", "scroll(1)", show=False, priority=True),
    ]

    class CommandEntered(Message):
        """The user entered a command and its argument."""

        def __init__(self, name: str, argument: str = "") -> None:
            super().__init__()
            self.name, self.argument = name, argument

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self._state = state
        state.say = self.say
        state.changed = self.show_footer
        self._answering: Worker[None] | None = None
        self._files: list[Media] = []
        self._pasted: list[Media] = []
        """The files that were attached last."""
        self._queue: list[QueuedMessage] = []
        self._held = False
        """Whether the queue is paused because an answer was interrupted or failed."""
        self._names: FileNames | None = None
        """Paths for the mention that is being typed."""
        self._search: Worker[None] | None = None
        self._offered_for: object = None
        """The mention that the shown paths are for."""
        self._unwanted: tuple[int, int] | None = None
        """Start of the mention for which the user closed the list of paths."""
        self._editor: Worker[None] | None = None
        """The worker that waits for the external editor."""
        self.unanswered: str | None = None
        """The last message, if it has no answer."""
        self.rejected: str | None = None  # the provider that rejected the API key of the last message
        self._escaped = -TWICE
        """Time of the last Esc that interrupted nothing."""
        self._frame = 0
        self._message = StatusMessage()
        self._shown = False
        """Whether the widgets are mounted."""

    def compose(self) -> ComposeResult:
        yield Transcript()
        yield VirtualList([], row, id="offers")
        yield VirtualList([], _path, id="paths")
        yield Static(id="queued")
        yield Static(id="files")
        with Horizontal(id="writing"):
            yield Static("›", id="prompt")
            yield Composer()
        yield self._message
        with Horizontal(id="foot"):
            yield Static(id="who")
            yield Static(id="spent")

    @property
    def shows_errors(self) -> bool:
        """Whether the transcript exists: it is created at the start and removed when the app ends."""
        return self.is_mounted and bool(self.query(Transcript))

    @property
    def transcript(self) -> Transcript:
        return self.query_one(Transcript)

    @property
    def composer(self) -> Composer:
        return self.query_one(Composer)

    @property
    def offers(self) -> "VirtualList[Command]":
        return self.query_one("#offers", VirtualList)

    @property
    def paths(self) -> "VirtualList[str | None]":
        return self.query_one("#paths", VirtualList)

    @property
    def answering(self) -> bool:
        return self._answering is not None

    def on_mount(self) -> None:
        self._shown = True
        self.offers.display = False
        self.offers.can_focus = False
        self.paths.display = False
        self.paths.can_focus = False
        self._timer = self.set_interval(TICK, self._turn, pause=True)
        self.composer.focus()
        self._show_files()
        self._show_queue()
        self.show_footer()

    # --- suggestions ---

    @on(TextArea.Changed, "#composer")
    def offer(self) -> None:
        """Suggest commands while the user types one."""
        text = self.composer.text
        typing = text.startswith("/") and not any(blank in text for blank in " \n")
        found = matching(text[1:]) if typing else []
        self.composer.offers = bool(found) or self.paths.display
        self.offers.display = bool(found)
        if found:
            self.offers.styles.height = min(len(found), 8)
            self.offers.set_rows(found)

    # --- paths after an @ ---

    def _mention(self) -> tuple[int, Mention] | None:
        """The mention at the cursor and its row; None if there is none or the user closed its list of paths."""
        row, column = self.composer.cursor_location
        mention = (
            open_mention(self.composer.document.get_line(row)[:column]) if self.composer.selection.is_empty else None
        )
        if mention is None or (row, mention.start) != self._unwanted:
            self._unwanted = None
        return None if mention is None or self._unwanted is not None else (row, mention)

    @on(TextArea.SelectionChanged, "#composer")
    def offer_paths(self) -> None:
        """Suggest paths while the user types one after an @."""
        found = self._mention()
        if found is None:
            self._show_paths([])
            self._names = None
        elif self._search is None:
            self._names = self._names or FileNames()
            self._search = self.run_worker(partial(self._find, self._names))

    async def _find(self, names: FileNames) -> None:
        """Search until the paths for the current text are shown. One search at a time: a file system may be slow."""
        try:
            answered: object = None
            while (asked := self._mention()) is not None and asked != answered:
                found: list[str | None] = [*await to_thread(names.matching, asked[1].typed)]
                answered = asked
                if asked == self._mention():
                    self._show_paths([*found, None] if names.limited and found else found)
                    self._offered_for = asked
        finally:
            self._search = None

    def _show_paths(self, rows: "list[str | None]") -> None:
        self.paths.display = bool(rows)
        self.composer.offers = bool(rows) or self.offers.display
        if rows:
            self.paths.styles.height = min(len(rows), 8)
            self.paths.set_rows(rows)

    def _complete_path(self) -> bool:
        """Insert the highlighted path. False: no path is highlighted, or it is already complete."""
        found, path = self._mention(), self.paths.highlighted
        if not self.paths.display or path is None or found is None or found != self._offered_for:
            return False
        row, mention = found
        end = self.composer.cursor_location
        written = mention_of(path)
        if self.composer.document.get_line(row)[mention.start : end[1]] == written:
            return False
        after = "" if path.endswith("/") else " "
        self.composer.replace(written + after, (row, mention.start), end, maintain_selection_offset=False)
        return True

    @on(VirtualList.Chosen, "#paths")
    def complete_clicked(self) -> None:
        self._complete_path()

    @on(Composer.SuggestionMoved)
    def leaf(self, event: Composer.SuggestionMoved) -> None:
        if self.paths.display:
            if event.by:
                self.paths.action_move(event.by)
            elif not self._complete_path():
                self._close_paths()
        elif event.by:
            self.offers.action_move(event.by)
        elif command := self.offers.highlighted:
            self.composer.put(f"/{command.name} ")

    @on(VirtualList.Chosen, "#offers")
    def run_offered(self) -> None:
        if (command := self.offers.highlighted) and self.may_run(command.name):
            self.composer.put("")
            self.run_command(command)

    def run_command(self, command: Command) -> None:
        """Run a command chosen from a list. A command that needs an argument goes into the composer instead."""
        if command.needs_argument:
            self.set_aside()
            self.composer.put(f"/{command.name} ")
        else:
            self.post_message(self.CommandEntered(command.name))

    def set_aside(self) -> None:
        """Clear the composer. ↑ brings its text back."""
        if self.composer.text:
            self.composer.sent(self.composer.text)

    @on(Composer.Attached)
    async def attach_pasted(self, event: Composer.Attached) -> None:
        if await self.attach(event.sources):
            self.say(ATTACHED)
        else:
            self.composer.pasted = ""

    async def search_earlier(self) -> None:
        """Search the messages of this session, and the stored ones unless this conversation is not stored."""
        session = [HistoryEntry(text, self.composer.folds.unfold(text)) for text in reversed(self.composer.asked)]
        state = self._state
        private = state.chat.private or state.keeper.mode == "never"
        text = await self.app.push_screen_wait(HistorySearch(session, None if private else state.store))
        if text is not None:
            self.composer.rewrite(text)

    @on(Composer.EditorRequested)
    def edit(self) -> None:
        """Open the message in the external editor."""
        if self._editor is None or self._editor.is_finished:
            self._editor = self.run_worker(self._edit)

    async def _edit(self) -> None:
        before = self.composer.text
        whole = self.composer.folds.unfold(before)
        try:
            text = await edited(self.app, whole)
        except EditorFailed as error:
            self.say(f"{error}")
        else:
            if text != whole:
                self.composer.rewrite(self.composer.folds.refold(text, before))

    @on(Composer.Folded)
    def explain_fold(self) -> None:
        self.say(FOLDED)

    @on(Composer.TooLong)
    def refuse_to_unfold(self, event: Composer.TooLong) -> None:
        self.say(f"Too long to expand here ({event.characters:,} characters). The full paste is sent. Ctrl-G edits it")

    @on(Composer.Detached)
    def detach_pasted(self) -> None:
        self._files = [file for file in self._files if file not in self._pasted]
        self._show_files()

    @on(Composer.Sent)
    async def send(self, event: Composer.Sent) -> None:
        text = event.text
        if self._complete_path():
            return
        if self.offers.display and (command := self.offers.highlighted):
            if command.needs_argument and text != f"/{command.name}":
                self.composer.put(f"/{command.name} ")
                return
            text = f"/{command.name}"
        if not text:
            if self._held:
                self._send_next()
            return
        if text.startswith("/"):
            name, _, argument = text[1:].partition(" ")
            if (found := named(name)) is not None:
                if argument.strip() and not found.argument:
                    self.say(f"/{name} takes no argument")
                    return
                if not self.may_run(name):
                    return
                self.composer.sent(text)
                self.post_message(self.CommandEntered(name, argument.strip()))
                return
            if "/" not in name and "\n" not in text:
                self.say(f"Unknown command: /{name}. /help lists all commands")
                return
        if await self.attach(mentioned(text)):
            self.ask(text)

    def may_run(self, name: str) -> bool:
        """Whether a command can run now. If not, shows the reason."""
        command = named(name)
        if command is None or not command.idle or not self.answering:
            return True
        self.say(f"/{name} cannot run during an answer. Wait for its end or press Esc")
        return False

    async def attach(self, sources: list[str]) -> bool:
        """Attach files to the next message. False: one of them cannot be attached, so none is."""
        try:
            found = await to_thread(attachments, sources, self._files)
        except UnreadableFile as error:
            self.say(f"{error}" + (f"; {error.hint}" if error.hint else ""))
            return False
        self._pasted = found
        self._files += [file for file in found if file not in self._files]
        self._show_files()
        return True

    # --- sending ---

    def ask(self, text: str) -> None:
        """Send a message, or queues it while an answer arrives."""
        files, self._files = self._files, []
        self._show_files()
        if self.answering or (self._queue and not self._held):
            self.composer.put("")
            self._queue.append(QueuedMessage(text, files))
            self._show_queue()
        else:
            self.composer.sent(text)
            self._begin(QueuedMessage(text, files))

    def _begin(self, message: "QueuedMessage") -> None:
        self._held = False
        self.unanswered = self.rejected = None
        self._answering = self.run_worker(partial(self._ask, message.text, message.files))
        self._timer.resume()
        self._show_queue()

    def _offer_correction(self, error: Exception) -> None:
        provider = self._state.provider
        if isinstance(error, AuthenticationFailed | MissingCredential) and self._state.simulator is None and provider:
            self.rejected = provider
            self.say(f"F2 edits the API key of {provider} and sends the message again")

    def action_correct(self) -> None:
        if self.rejected is not None and not self.answering:
            self.post_message(self.CommandEntered("correct_key", self.rejected))

    def send_at_once(self, text: str, files: list[Media]) -> None:
        """Send a message now. The composer and the queue do not change."""
        self.composer.remember(text)
        self._begin(QueuedMessage(text, files))

    def send_again(self) -> None:
        """Send the unanswered message again, from the composer or from the queue."""
        text = self.unanswered
        if self._queue and self._queue[0].text == text:
            self._send_next()
        elif text is not None:
            self.ask(text)

    def _send_next(self) -> None:
        """Send the first message of the queue."""
        if self._queue and not self.answering:
            message = self._queue.pop(0)
            self.composer.remember(message.text)
            self._begin(message)

    @on(Composer.RecallRequested)
    def take_back(self) -> None:
        """Move the last queued message to the start of the composer."""
        if not self._queue:
            return
        message = self._queue.pop()
        self.composer.put("\n".join(filter(None, (message.text, self.composer.text))))
        self._files = message.files + self._files
        self._show_files()
        self._show_queue()

    async def _ask(self, text: str, files: list[Media]) -> None:
        chat, before = self._state.chat, len(self._state.chat.turns)
        whole = self.composer.folds.unfold(text)
        answer = await self.transcript.ask(whole, files)
        ended, finished = STOPPED[INTERRUPTED], False
        try:
            self.show_footer()
            async with (
                self._state.answering() as hub,
                aclosing(chat.ask(hub, whole, files, self._state.keeper)) as stream,
            ):
                async for event in stream:
                    await answer.feed(event)
                    if isinstance(event, Failed):
                        ended = ""
                        self._offer_correction(event.error)
                        await answer.fail(event.error)
                    elif isinstance(event, Finished):
                        finished = True
                        ended = STOPPED.get(event.reason, EMPTY if answer.silent else "")
        except Exception as error:  # noqa: BLE001 the edge of the app, which goes on
            ended = ""
            self._offer_correction(error)
            await answer.fail(error)
        finally:
            self._answering = None
            if answer.is_attached:  # otherwise the app is closing
                await self._end(answer, ended)
                if len(chat.turns) == before:
                    finished = False
                    self.put_back(text, files)
                    self.unanswered = text
                if finished:
                    await self._state.used()
                    self._send_next()
                else:
                    self._held = bool(self._queue)
                    self._show_queue()

    def put_back(self, text: str, files: list[Media]) -> None:
        """Return an unanswered message to the composer, or to the front of the queue if the composer has text."""
        if self.composer.text:
            self._held = True
            self._queue.insert(0, QueuedMessage(text, files))
            self._show_queue()
            return
        self.composer.put(text)
        self._files = files + self._files
        self._show_files()

    async def _end(self, answer: AnswerView, ended: str) -> None:
        """Close an answer and show why it ended."""
        self._timer.pause()
        await answer.close()
        if ended:
            await answer.note(ended)
        self.show_footer()

    def _close_paths(self) -> None:
        """Hide the paths until the user starts another mention."""
        if found := self._mention():
            self._unwanted = found[0], found[1].start
        self._show_paths([])

    def action_interrupt(self) -> None:
        if self.paths.display:
            self._close_paths()
        elif self._answering is not None:
            self._answering.cancel()
        elif self.composer.offers:
            self.composer.put("")
        elif not self.composer.text and self._state.chat.turns:
            now = monotonic()
            if now - self._escaped < TWICE:
                self._escaped = -TWICE
                self.post_message(self.CommandEntered("edit"))
            else:
                self._escaped = now
                self.say("Press Esc again to edit an earlier message")

    def action_thinking(self) -> None:
        self.transcript.toggle_thinking()

    async def action_scroll(self, by: int) -> None:
        if by < 0 and self.transcript.scroll_y == 0:
            await self.transcript.reveal()
        (self.transcript.scroll_page_down if by > 0 else self.transcript.scroll_page_up)(animate=False)

    # --- footer ---

    def say(self, words: str) -> None:
        """Show a status message."""
        self._message.say(words)
        self.show_footer()

    def unsay(self, words: str) -> None:
        """Remove a status message if it is still shown."""
        self._message.clear(words)

    def show_footer(self) -> None:
        """Show the model, token usage, cost and context use."""
        if not self._shown:
            return
        self.composer.placeholder = QUEUEING if self.answering else PLACEHOLDER
        self.query_one("#who", Static).update(Content(self._who()))
        self.query_one("#spent", Static).update(Content(usage_text(self._state)))

    def _who(self) -> str:
        named = model_text(self._state)
        return f"{FRAMES[self._frame]} {named} · Esc interrupts" if self.answering else named

    def _turn(self) -> None:
        self._frame = (self._frame + 1) % len(FRAMES)
        self.query_one("#who", Static).update(Content(self._who()))

    def _show_files(self) -> None:
        if not self._files:
            self.composer.pasted = ""
        if not self.composer.pasted:
            self._message.clear(ATTACHED)
        shown = self.query_one("#files", Static)
        shown.display = bool(self._files)
        shown.update(Content(files_text(self._files)))

    def _show_queue(self) -> None:
        self.composer.queued = bool(self._queue)
        shown = self.query_one("#queued", Static)
        shown.display = bool(self._queue)
        shown.update(Content(queue_text([message.text for message in self._queue], held=self._held)))

    def drop_files(self) -> None:
        self._files = []
        self._show_files()


def _path(path: str | None) -> ListRow:
    return (
        ListRow(f"Searched only the first {ENTRIES:,} files. Type a folder name and / to search in it", heading=True)
        if path is None
        else ListRow(path)
    )
