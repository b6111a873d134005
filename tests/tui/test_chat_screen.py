"""The chat screen: messages, answers, cost, and storing the conversation."""

import asyncio
import re
from pathlib import Path

import pytest
from textual.geometry import Offset

from modelbay.conversation import Media, Text, Turn, user
from modelbay.errors import ModelbayError
from modelbay.events import PartDelta, PartEnded, PartStarted
from modelbay.simulator import Simulator
from modelbay.stored_chats.keeping import Keeper
from modelbay.stored_chats.store import Store
from modelbay.stored_chats.stored_chat import StoredChat
from modelbay.tui.commands import COMMANDS, Command
from modelbay.tui.widgets.transcript import MOUNTED, SPARE, AnswerView, EarlierPlaceholder
from tests.tui.sitting import sitting

SLOW = """
[models.slow]
provider = "sim"
model = "sim-thinker!pace=0.05"

[models.broken]
provider = "sim"
model = "sim-text!cut-after-first"

[models.refused]
provider = "sim"
model = "sim-text!401"

[models.picture]
provider = "sim"
model = "sim-vision"
"""


async def test_an_answer_comes_with_its_tokens_its_cost_and_how_full_the_context_is(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("Why is the sky blue?")
        screen = await person.sees("You asked: Why is the sky blue?", "% of 1k")
        foot = screen.splitlines()[-1]
        assert "thinker" in foot
        assert " in · " in foot
        assert "$0.00" in foot


async def test_an_empty_answer_is_said_and_the_message_can_be_sent_again(
    home: Path, configured: str, simulator: Simulator
):
    simulator.provider.script.add().say("").times(1)
    async with sitting(configured, home=home) as person:
        await person.says("/model plain")
        await person.says("Why?")
        await person.sees("The answer is empty. Send the message again")
        await person.holds("Why?")
        await person.presses("enter")
        await person.sees("You asked: Why?")


async def test_thinking_is_folded_and_unfolds(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("Why?")
        screen = await person.sees("▸ Thought", "You asked: Why?")
        assert "The user said" not in screen
        await person.presses("ctrl+t")
        await person.sees("▾ Thought", "The user said: Why?")
        await person.presses("ctrl+t")
        await person.sees_no("The user said")


async def test_esc_interrupts_and_what_came_stays_in_the_conversation(home: Path, configured: str):
    async with sitting(configured.replace('"thinker"\n', '"slow"\n', 1) + SLOW, home=home) as person:
        await person.says("write 500 words")
        await person.sees("Esc interrupts", "the lazy dog")
        await person.presses("escape")
        await person.sees("Interrupted")
        assert [turn.role for turn in person.app.state.chat.turns] == ["user", "assistant"]
        await person.says("/model plain")
        await person.says("And now?")
        await person.sees("conversation): And now?")


async def test_a_broken_stream_is_said_where_it_broke_with_what_to_do(home: Path, configured: str):
    async with sitting(configured + SLOW, home=home) as person:
        await person.says("/model broken")
        await person.says("Hello there")
        screen = await person.sees("Unexpected Results", "POST", "try again")
        assert "modelbay provider" not in screen


async def test_a_question_that_was_refused_can_be_sent_again_as_it_is(home: Path, configured: str):
    async with sitting(configured + SLOW, home=home) as person:
        await person.says("/model refused")
        await person.says("Hello there")
        screen = await person.sees("Invalid API Key", "returned 401", "/provider")
        assert "modelbay key" not in screen
        await person.holds("Hello there")
        assert person.app.state.chat.turns == []


async def test_the_composer_takes_several_lines_and_remembers_what_was_asked(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.types("one")
        await person.presses("ctrl+j")
        await person.says("two")
        await person.sees("You asked")
        assert person.app.state.chat.turns[0].parts[0].text == "one\ntwo"  # type: ignore[union-attr]
        await person.types("half")
        await person.presses("up")
        await person.holds("one\ntwo")
        await person.presses("down", "down")
        await person.holds("half")


@pytest.mark.parametrize("way", ["command", "paste"])
async def test_a_file_goes_with_the_next_question(home: Path, configured: str, way: str):
    (home / "notes.txt").write_text("the answer is 42")
    async with sitting(configured + SLOW, home=home) as person:
        await person.says("/model picture")
        if way == "command":
            await person.says(f"/file {home}/notes.txt")
        else:
            from textual import events

            person.app.chat_screen.composer.post_message(events.Paste(f"'{home}/notes.txt'"))
        await person.sees("⊕ notes.txt")
        await person.says("What is in it?")
        await person.sees("You asked")
        kinds = [part.__struct_config__.tag for part in person.app.state.chat.turns[0].parts]
        assert kinds == ["media", "text"]


async def test_a_path_that_was_sent_can_be_pasted_with_the_next_question(home: Path, configured: str):
    (home / "notes.txt").write_text("the answer is 42")
    async with sitting(configured, home=home) as person:
        await person.says("/model plain")
        for question in ("First?", "Second?"):
            await person.pastes(f"'{home}/notes.txt'")
            await person.sees("⊕ notes.txt  ", "Paste again")
            await person.says(question)
            await person.answered()
            await person.sees_no("Paste again")
        turns = [turn for turn in person.app.state.chat.turns if turn.role == "user"]
        assert [len(turn.parts) for turn in turns] == [2, 2]


async def test_a_path_that_is_pasted_twice_is_text_and_its_file_goes(home: Path, configured: str):
    (home / "notes.txt").write_text("the answer is 42")
    async with sitting(configured, home=home) as person:
        await person.says(f"/file {home}/notes.txt")
        await person.sees("⊕ notes.txt  ")
        await person.pastes(f"{home}/notes.txt")
        await person.sees("Paste again")
        await person.pastes(f"{home}/notes.txt")
        await person.sees_no("⊕ notes.txt")
        await person.sees_no("Paste again")
        await person.holds(f"{home}/notes.txt")


async def test_a_file_that_is_not_there_is_said(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("/file nowhere.png")
        await person.sees("nowhere.png cannot be read")


async def test_commands_are_offered_while_they_are_typed(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.types("/")
        await person.sees("/model [ALIAS]", "/file PATH|URL")
        await person.types("eff")
        await person.sees_no("/file")
        await person.presses("enter")
        await person.sees("Reasoning effort")
        await person.presses("escape")
        await person.says("/nonsense")
        await person.sees("Unknown command: /nonsense")


@pytest.mark.parametrize("command", [one for one in COMMANDS if not one.argument], ids=lambda one: one.name)
async def test_text_after_a_command_without_an_argument_is_not_lost(home: Path, configured: str, command: Command):
    async with sitting(configured, home=home) as person:
        await person.says("First")
        await person.answered()
        await person.says(f"/{command.name} and more")
        await person.sees(f"/{command.name} takes no argument")
        await person.holds(f"/{command.name} and more")
        assert len(person.app.state.chat.turns) == 2 and not person.app.state.chat.private


async def test_a_conversation_is_stored_as_it_happens_and_can_be_resumed(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.sees("Conversations are stored on this machine")
        await person.says("Remember me")
        await person.sees("You asked: Remember me")
        await person.says("/save Sky")
        await person.sees('Saved as "Sky"')
        await person.says("And this")
        await person.sees("conversation): And this")
    assert (home / "conversations.sqlite").stat().st_mode & 0o077 == 0
    async with sitting(home=home) as person:
        await person.sees("thinker")
        assert "Conversations are stored" not in person.screen
        await person.says("/resume")
        await person.sees("Sky", "4 turns")
        await person.presses("enter")
        await person.sees("conversation): And this")
        await person.says("Still there?")
        await person.sees("conversation): Still there?")
        await person.pilot.pause()
    assert [saved.turns for saved in Store().list()] == [6]


async def test_leaving_in_the_middle_of_an_answer_loses_neither_question_nor_answer(home: Path, configured: str):
    slow = configured.replace('"thinker"\n', '"slow"\n', 1) + SLOW
    async with sitting(slow, home=home) as person:
        await person.says("write 500 words")
        await person.sees("Esc interrupts", "the lazy dog")
        await person.presses("ctrl+q")
    async with sitting(home=home) as person:
        await person.says("/resume")
        await person.sees("write 500 words", "2 turns")
        await person.presses("enter")
        await person.sees("write 500 words", "the lazy dog")


async def test_a_question_that_was_never_answered_is_in_the_composer_again(home: Path, configured: str):
    notes = Media(kind="document", text="It is red.", media_type="text/plain", name="notes.txt")
    Store(home / "conversations.sqlite").save(StoredChat(question=user("Why is the sky blue?", notes)))
    async with sitting(configured, home=home) as person:
        await person.says("/resume")
        await person.sees("Resume a conversation", "Why is the sky blue?")
        await person.presses("enter")
        await person.sees_no("Resume a conversation")
        await person.holds("Why is the sky blue?")
        await person.sees("⊕ notes.txt")


async def test_a_private_conversation_leaves_no_trace(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("Remember a-word-to-look-for")
        await person.sees("You asked: Remember")
        await person.says("/private")
        await person.sees("Private mode on: this conversation is not stored on disk", "· private")
        await person.says("And this-other-word")
        await person.sees("And this-other-word. I am")
        await person.says("/save")
        await person.sees("This conversation is private")
    stored = (home / "conversations.sqlite").read_bytes()
    assert b"a-word-to-look-for" not in stored and b"this-other-word" not in stored


async def test_a_stored_conversation_is_deleted_only_after_a_yes(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("Remember me")
        await person.sees("You asked")
        await person.says("/save Sky")
        await person.sees("Saved as")
        await person.says("/resume")
        await person.sees("Resume a conversation")
        await person.presses("ctrl+d")
        await person.sees('Delete "Sky"? [y/N]')
        await person.presses("n")
        await person.sees_no("[y/N]")
        assert len(Store().list()) == 1
        await person.presses("ctrl+d", "y")
        while "Sky" in person.panel:  # the message about it stays longer
            await person.pilot.pause(0.02)
        assert Store().list() == []


async def test_the_last_answer_is_copied_as_it_was_written(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("/copy")
        await person.sees("No answer to copy yet")
        await person.says("say **this**")
        await person.sees("% of 1k")
        await person.says("/copy")
        await person.sees("Copied the last answer")
        assert person.app.clipboard.startswith("You asked: say **this**")


async def test_new_begins_again(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("Why?")
        await person.sees("You asked")
        await person.says("/new")
        await person.sees_no("You asked")
        assert person.app.state.chat.turns == []


async def test_ctrl_c_leaves_when_it_is_pressed_twice(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.presses("ctrl+c")
        await person.sees("Press Ctrl-C again to quit")
        assert person.app.is_running
        await person.presses("ctrl+c")
        await person.pilot.pause()
        assert person.app._exit


async def test_a_long_answer_is_followed_unless_the_user_scrolls_up(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("write 900 words")
        await person.sees("% of 1k")
        transcript = person.app.chat_screen.transcript
        assert transcript.scroll_offset.y == transcript.max_scroll_y > 0
        await person.presses("pageup")
        assert transcript.scroll_offset.y < transcript.max_scroll_y
        assert transcript.scroll_offset != Offset(0, 0)


async def test_leaving_in_the_middle_of_an_answer_is_quiet(home: Path, configured: str):
    async with sitting(configured.replace('"thinker"\n', '"slow"\n', 1) + SLOW, home=home) as person:
        await person.says("write 500 words")
        await person.sees("the lazy dog")
        await person.presses("ctrl+q")
    assert person.app.return_code == 0


async def test_text_that_is_drawn_in_blocks_is_selected_and_copied(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("Hello")
        await person.sees("You asked: Hello")
        await person.answered()
        from modelbay.tui.widgets.markdown_chunk import MarkdownChunk

        stretch = person.app.chat_screen.query_one(MarkdownChunk)
        await person.pilot.mouse_down(stretch, offset=(0, 0))
        await person.pilot.hover(stretch, offset=(9, 0))
        await person.pilot.mouse_up(stretch, offset=(9, 0))
        await person.presses("ctrl+c")
        assert person.app.clipboard == "You asked:"


async def test_an_internal_error_is_shown_and_the_app_continues(
    home: Path, configured: str, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: object) -> None:
        raise RuntimeError("nobody thought of this")

    async with sitting(configured, home=home) as person:
        monkeypatch.setattr(Store, "list", broken)
        await person.says("/resume")
        await person.sees("internal error: RuntimeError: nobody thought of this", "MODELBAY_DEBUG=1")
        await person.says("Hello")
        await person.sees("You asked: Hello")


async def test_a_long_name_leaves_room_for_what_it_cost(home: Path, configured: str):
    config = configured.replace("[models.thinker]", f'[models."{"long-" * 20}"]').replace(
        'default_model = "thinker"', f'default_model = "{"long-" * 20}"'
    )
    async with sitting(config, home=home) as person:
        await person.says("Hello")
        foot = (await person.sees(" in · ")).splitlines()[-1]
        assert re.search(r"…  +\d+ in · ", foot), foot


async def test_attempts_that_failed_are_one_line_which_goes_when_something_comes(
    home: Path, configured: str, monkeypatch: pytest.MonkeyPatch
):
    waits: list[asyncio.Event] = []

    async def wait(_: float) -> None:
        waits.append(asyncio.Event())
        await waits[-1].wait()

    monkeypatch.setattr("modelbay.calling.next_attempt.random", lambda: 0.5)  # there is a pause
    monkeypatch.setattr("modelbay.calling.opening.sleep", wait)
    config = configured + '\n[models.flaky]\nprovider = "sim"\nmodel = "sim-text!503*3"\n'
    async with sitting(config, home=home, size=(120, 30)) as person:
        await person.says("/model flaky")
        await person.says("Hello there")
        for attempt in (2, 3, 4):
            screen = await person.sees(f"attempt {attempt} of 4")
            assert screen.count("of 4") == 1
            waits[-1].set()
        screen = await person.sees("You asked: Hello there")
        assert "of 4" not in screen


async def test_of_a_long_conversation_the_latest_is_drawn_and_the_rest_comes_back(home: Path, configured: str):
    turns = [
        turn for n in range(100) for turn in (user(f"Question {n}?"), Turn("assistant", [Text(text=f"Answer {n}.")]))
    ]
    async with sitting(configured, home=home) as person:
        transcript = person.app.chat_screen.transcript
        await transcript.show(StoredChat(turns=turns))
        await person.sees("Answer 99.")
        assert len(transcript.query(AnswerView)) == MOUNTED
        for _ in range(60):
            if transcript.query(EarlierPlaceholder):
                await person.presses("pageup")
        assert len(transcript.query(AnswerView)) == 100
        transcript.scroll_home(animate=False)
        await person.sees("Question 0?", "Answer 0.")


async def test_old_messages_are_unloaded_without_a_change(home: Path, configured: str):
    config = configured + '\n[models.quick]\nprovider = "sim"\nmodel = "sim-text"\n'
    async with sitting(config, home=home) as person:
        transcript = person.app.chat_screen.transcript
        for n in range(MOUNTED + SPARE + 2):
            answer = await transcript.ask(f"Question {n}?", [])
            await answer.feed(PartStarted(0, Text(text="")))
            await answer.feed(PartDelta(0, f"Answer {n}, "))
            await answer.feed(PartEnded(0, Text(text=f"Answer {n}, whole.")))
            await answer.note(f"Note {n}")
            await answer.feed(PartStarted(1, Text(text="")))
            await answer.feed(PartDelta(1, f"Piece {n}"))
            await answer.fail(ValueError(f"Error {n}"))
            await answer.close()
            await person.pilot.pause()
        assert len(transcript.query(AnswerView)) <= MOUNTED + SPARE
        assert transcript.query(EarlierPlaceholder)
        said = ["Question 0?", "Answer 0, whole.", "Note 0", "Piece 0", "Error 0", "Question 1?"]
        while not all(word in (screen := person.screen) for word in said):
            await person.presses("pageup")
        assert sorted(said, key=screen.index) == said


async def test_an_answer_goes_on_when_the_configuration_changes_under_it(
    home: Path, configured: str, monkeypatch: pytest.MonkeyPatch
):
    asked, go = asyncio.Event(), asyncio.Event()

    async def slow(self: Keeper, chat: StoredChat) -> None:
        asked.set()
        await go.wait()

    monkeypatch.setattr(Keeper, "changed", slow)
    async with sitting(configured, home=home) as person:
        await person.says("Hello")
        await asked.wait()
        before = person.app.state.hub
        await person.app.state.reload()
        assert person.app.state.hub is not before
        go.set()
        await person.sees("You asked: Hello")
        await person.answered()
        with pytest.raises(ModelbayError, match="closed"):
            await before.complete("Hello")


async def test_of_many_files_some_are_named(home: Path, configured: str):
    for number in range(50):
        (home / f"file{number}.txt").write_text("content")
    async with sitting(configured, home=home) as person:
        await person.pastes("\n".join(str(home / f"file{number}.txt") for number in range(50)))
        screen = await person.sees("file7.txt", "42 more", "/file removes all")
        assert "file8.txt" not in screen
        await person.says("Hello")
        await person.sees("You asked:")
        assert len([part for part in person.app.state.chat.turns[0].parts if isinstance(part, Media)]) == 50
