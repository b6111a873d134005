"""Commands for the conversation: edit, retry, copy, export and resume."""

from asyncio import to_thread
from functools import partial

from modelbay.catalog.summary import counted
from modelbay.stored_chats.code_blocks import CodeBlock, code_blocks
from modelbay.stored_chats.export import export_path, has_thinking, to_markdown, write_export
from modelbay.stored_chats.stored_chat import StoredChat
from modelbay.tui import clipboard
from modelbay.tui.dialogs.confirm import Confirm
from modelbay.tui.dialogs.menu import Menu, choose
from modelbay.tui.dialogs.message_picker import MessagePicker, UserMessage, messages
from modelbay.tui.dialogs.resume import ResumeDialog
from modelbay.tui.state import AppState
from modelbay.tui.typing_ahead import TypingAhead
from modelbay.tui.widgets.virtual_list import ListRow


class ConversationCommands(TypingAhead):
    """The part of the app with the commands for the conversation."""

    state: AppState

    async def command_edit(self, argument: str) -> None:
        if not (sent := messages(self.state.chat.turns)):
            self.state.say("No message to edit yet")
            return
        await choose(self, MessagePicker(sent), self._edit_message)

    async def _edit_message(self, message: UserMessage) -> bool | None:
        if returned := await self._return_to(message):
            self.chat_screen.set_aside()
            self.chat_screen.put_back(message.text, message.files)
        return returned

    async def command_retry(self, argument: str) -> None:
        if self.chat_screen.unanswered is not None:
            self.chat_screen.send_again()
        elif not (sent := messages(self.state.chat.turns)):
            self.state.say("No message to send again yet")
        elif await self._return_to(sent[-1]):
            self.chat_screen.send_at_once(sent[-1].text, sent[-1].files)

    async def _return_to(self, message: UserMessage) -> bool | None:
        """Cut the conversation before a message. False: the user declined; None: by Esc.

        A stored conversation stays complete in the store. Otherwise later messages are lost, so the user must confirm.
        """
        chat = self.state.chat
        if chat.whole_in_store:
            self.state.say("The original conversation is saved. Reopen it with /resume")
        else:
            lost = len(chat.turns) - message.number - 1
            about = [("Conversation", "is not stored"), ("Deletes", f"this message and {counted(lost, 'later turn')}")]
            sure: bool | None = await self.push_screen_wait(
                Confirm("Continue from an earlier message", about, "Continue?")
            )
            if not sure:
                return sure
        self.state.chat = chat.branch(message.number)
        await self.chat_screen.transcript.show(self.state.chat)
        self.chat_screen.show_footer()
        return True

    async def command_copy(self, argument: str) -> None:
        answers = [turn for turn in self.state.chat.turns if turn.role == "assistant"]
        text, what = answers[-1].text if answers else "", "the last answer"
        if not text:
            self.state.say("No answer to copy yet")
            return
        if blocks := code_blocks(text)[::-1]:
            whole = CodeBlock("", text)
            chosen = await self.push_screen_wait(Menu("Copy", [whole, *blocks], lambda one: _copied(one, one is whole)))
            if chosen is None:
                return
            if chosen is not whole:
                text, what = chosen.text, f"the code block ({counted(chosen.lines, 'line')})"
        super().copy_to_clipboard(text)
        self.run_worker(partial(self._copy, text, what))  # type: ignore[arg-type]  # not in the command: a tool may hang

    async def _copy(self, text: str, what: str) -> None:
        tool = await to_thread(clipboard.put, text)
        self.state.say(f"Copied {what} ({f'{tool}, ' if tool else ''}OSC 52)")

    def copy_to_clipboard(self, text: str) -> None:
        super().copy_to_clipboard(text)
        self.run_worker(partial(to_thread, clipboard.put, text))  # type: ignore[arg-type]

    async def command_export(self, argument: str) -> None:
        chat = self.state.chat
        if not chat.turns:
            self.state.say("Nothing to export yet")
            return
        thinking = False
        if has_thinking(chat):
            rows = ("without thinking", "with thinking, folded")
            chosen = await self.push_screen_wait(Menu("Export the conversation", rows, ListRow))
            if chosen is None:
                return
            thinking = chosen == rows[1]
        text = to_markdown(chat, thinking=thinking)
        path = await to_thread(export_path, chat, argument)
        if not await to_thread(write_export, path, text):
            about = [("File", str(path)), ("Warning", "The file already exists")]
            if not await self.push_screen_wait(Confirm("Export the conversation", about, "Overwrite it?")):
                return
            await to_thread(partial(write_export, path, text, overwrite=True))
        self.state.say(f"Exported to {path}")

    async def may_drop(self) -> bool:
        """Store a conversation that could not be stored before. If that fails again, ask whether to discard it."""
        chat, keeper = self.state.chat, self.state.keeper
        if keeper.misses(chat):
            await keeper.changed(chat)
        if not keeper.misses(chat):
            return True
        about = [
            ("Conversation", "could not be stored"),
            ("Deletes", f"{counted(len(chat.turns) - chat.stored, 'turn')}, which /export can write to a file"),
        ]
        sure: bool | None = await self.push_screen_wait(Confirm("Leave this conversation", about, "Discard it?"))
        return bool(sure)

    async def command_new(self, argument: str) -> None:
        if not await self.may_drop():
            return
        self.state.chat = StoredChat(self.state.chat.model, self.state.chat.effort)
        self.chat_screen.unanswered = None
        await self.chat_screen.transcript.show(self.state.chat)
        self.chat_screen.show_footer()

    async def command_resume(self, argument: str) -> None:
        saved = await to_thread(self.state.store.list)
        if not saved:
            self.state.say("No stored conversations yet")
            return
        chosen = await self.push_screen_wait(ResumeDialog(self.state.store, saved))
        if chosen is not None and await self.may_drop():
            await self.resume(await to_thread(self.state.store.load, chosen.id))

    async def resume(self, chat: StoredChat) -> None:
        """Continue a stored conversation."""
        self.state.chat = chat
        if chat.model is not None and self.state.model is None:
            self.state.say(f"{chat.model} is no longer configured; using the default model")
            chat.model = None
        self.chat_screen.unanswered = None
        if chat.question is not None:
            self.chat_screen.put_back(*chat.take_back())
        await self.chat_screen.transcript.show(chat)
        self.chat_screen.show_footer()


def _copied(code: CodeBlock, whole: bool) -> ListRow:
    first = next((line.strip() for line in code.text.splitlines() if line.strip()), "")
    note = " · ".join(filter(None, (code.language, counted(code.lines, "line"))))
    return ListRow("The whole answer" if whole else first, note)
