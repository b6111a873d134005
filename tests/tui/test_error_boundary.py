"""An exception inside the app: it is reported, the app continues, and values of variables are not shown."""

import asyncio
import gc
import warnings
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.app import App
from textual.geometry import Offset
from textual.timer import Timer

from modelbay.errors import StoreError
from modelbay.stored_chats.store import Store
from modelbay.stored_chats.stored_chat import StoredChat
from modelbay.tui import error_boundary
from modelbay.tui.app import ModelbayApp
from modelbay.tui.chat_screen import ChatScreen
from modelbay.tui.dialogs import welcome
from modelbay.tui.dialogs.welcome import Welcome
from modelbay.tui.state import AppState
from modelbay.tui.widgets import status_message
from modelbay.tui.widgets.composer import Composer
from modelbay.tui.widgets.markdown_chunk import MarkdownChunk
from modelbay.tui.widgets.status import StatusLine
from modelbay.tui.widgets.status_message import StatusMessage
from modelbay.tui.widgets.virtual_list import VirtualList
from tests.tui.sitting import SECONDS, Sitting, settled, sitting

SECRET = "sk-in-a-local-variable-0123456789"


def broken(*_: object, **__: object) -> None:
    token = SECRET
    raise KeyError(len(token))


def expected_errors(person: Sitting) -> list[Exception]:
    """Return and clear the errors that the test caused on purpose."""
    faults, person.app.internal_errors.seen = person.app.internal_errors.seen, []
    return faults


async def still_answers(person: Sitting) -> None:
    await person.says("Are you there?")
    await person.sees("Are you there? I am")


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Composer, "_new_line"),  # a handler of a widget
        (ChatScreen, "action_thinking"),  # an action of a screen
    ],
)
async def test_a_handler_that_fails_is_reported_and_its_widget_lives_on(
    home: Path, configured: str, monkeypatch: pytest.MonkeyPatch, owner: type, name: str
):
    async with sitting(configured, home=home) as person:
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, broken)
            await person.presses("ctrl+j", "ctrl+t")
            screen = await person.sees("internal error: KeyError", "MODELBAY_DEBUG=1")
            assert SECRET not in screen
        assert [type(error) for error in expected_errors(person)] == [KeyError]
        await still_answers(person)


async def test_a_worker_and_a_timer_that_fail_are_reported(
    home: Path, configured: str, monkeypatch: pytest.MonkeyPatch
):
    async with sitting(configured, home=home) as person:

        async def work() -> None:
            broken()

        def fails() -> None:
            broken()

        person.app.run_worker(work())
        person.app.set_timer(0.01, fails)
        await person.sees("internal error: KeyError")
        while len(person.app.internal_errors.seen) < 2:
            await person.pilot.pause(0.02)
        assert {type(error) for error in expected_errors(person)} == {KeyError}
        await still_answers(person)


async def test_with_debugging_the_report_says_where_and_no_value(
    home: Path, configured: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MODELBAY_DEBUG", "1")
    async with sitting(configured, home=home, size=(120, 60)) as person:
        with monkeypatch.context() as patch:
            patch.setattr(Composer, "_new_line", broken)
            await person.presses("ctrl+j")
            screen = await person.sees("internal error: KeyError", "Traceback", "in broken")
        expected_errors(person)
        assert SECRET not in screen


async def test_an_app_that_cannot_go_on_ends_with_a_message(
    home: Path, configured: str, monkeypatch: pytest.MonkeyPatch
):
    async with sitting(configured, home=home) as person:
        await person.says("Hello")
        await person.sees("You asked: Hello")
        monkeypatch.setattr(MarkdownChunk, "render_line", broken)
        person.app.refresh(layout=True)
        for _ in range(error_boundary.MANY + 2):
            person.app.call_later(broken)
        while person.app.is_running and not person.app._exit:
            await person.pilot.pause(0.02)
        expected_errors(person)
        assert person.app.return_code == 1
        shown = "".join(str(one) for one in person.app._exit_renderables)
        assert "internal error: KeyError" in shown and SECRET not in shown


async def test_timers_do_not_run_while_the_app_ends(home: Path, configured: str, monkeypatch: pytest.MonkeyPatch):
    ticks, close_all, tick = list[Timer](), App._close_all, Timer._tick

    async def counted(self: Timer, **options: Any) -> None:
        await tick(self, **options)
        ticks.append(self)

    async def slowly(self: App[None]) -> None:
        await close_all(self)
        before = len(ticks)
        while len(ticks) < before + 3:  # the app's own timers, which look at the screens
            await asyncio.sleep(0)

    monkeypatch.setattr(Timer, "_tick", counted)
    monkeypatch.setattr(App, "_close_all", slowly)
    (home / "config.toml").write_text(configured)
    app = ModelbayApp(home / "config.toml")
    async with app.run_test() as pilot:
        await Sitting(app, pilot).sees("thinker")
    assert not app.internal_errors.seen
    assert app.return_code is None


async def test_an_error_while_the_app_ends_is_printed(
    home: Path, configured: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    async with sitting(configured, home=home) as person:
        await person.sees("thinker")
        monkeypatch.setattr(AppState, "aclose", broken)
    assert person.app.return_code == 1
    printed = capfd.readouterr()
    assert "internal error: KeyError" in printed.err and SECRET not in printed.out + printed.err


async def test_a_store_that_fails_is_reported_and_the_conversation_goes_on(
    home: Path, configured: str, monkeypatch: pytest.MonkeyPatch
):
    async with sitting(configured, home=home) as person:
        await person.says("Hello")
        await person.sees("You asked: Hello")

        def full(self: Store, chat: StoredChat) -> None:
            raise StoreError("database or disk is full")

        monkeypatch.setattr(Store, "save", full)
        await person.says("And again?")
        await person.sees("And again?", "This conversation is not stored: database or disk is full")
        await person.answered()
        assert len(person.app.state.chat.turns) == 4
        await still_answers(person)


async def test_pasted_text_is_there_once(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.pastes("one\ntwo")
        await person.holds("one\ntwo")
        await person.pastes(" and three")
        await person.holds("one\ntwo and three")


async def test_keys_typed_before_the_app_starts_are_not_lost(home: Path, configured: str):
    (home / "config.toml").write_text(configured)
    app = ModelbayApp(home / "config.toml")
    for letter in "early":
        app.post_message(events.Key(letter, letter))
    app.post_message(events.Paste(" bird"))
    async with app.run_test(size=(80, 24)) as pilot:
        while app.chat_screen.composer.text != "early bird":
            await pilot.pause(0.02)


async def test_the_foot_names_the_model_from_the_start(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        assert "thinker" in (await person.sees("/help", "thinker")).splitlines()[-1]


async def test_a_long_message_is_shown_whole_beside_the_model(home: Path, configured: str):
    async with sitting(configured, home=home, size=(40, 20)) as person:
        person.app.state.say("a message that is much longer than one line of forty cells can hold")
        await person.pilot.pause()
        note, foot = person.app.chat_screen.query_one("#note"), person.app.chat_screen.query_one("#foot")
        assert (note.region.height, foot.region.height) == (2, 1) and note.region.bottom == foot.region.y
        assert "thinker" in person.screen.splitlines()[-1]


async def test_a_message_that_is_said_again_is_shown_as_long_again(
    home: Path, configured: str, monkeypatch: pytest.MonkeyPatch
):
    async with sitting(configured, home=home) as person:
        message = person.app.chat_screen.query_one(StatusMessage)
        with monkeypatch.context() as patch:
            patch.setattr(status_message, "SECONDS", 0.01)
            message.say("Ready")
        assert message._timer
        first = message._timer._task
        assert first
        message.say("Ready")
        await asyncio.wait([first])
        await person.sees("Ready")
        monkeypatch.setattr(status_message, "SECONDS", 0.01)
        message.say("Done")
        await person.sees_no("Done")


async def test_a_change_by_another_program_is_taken_up(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.sees("thinker")
        (home / "config.toml").write_text(configured.replace('default_model = "thinker"', 'default_model = "plain"'))
        await person.sees("Reloaded config.toml")
        assert "plain" in person.screen.splitlines()[-1]
        (home / "config.toml").write_text("default_model = ")
        await person.sees("the previous configuration stays active")
        await still_answers(person)


async def test_a_model_that_was_removed_elsewhere_is_not_named_any_more(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("/model sonnet")
        await person.sees("sonnet")
        (home / "config.toml").write_text(configured.partition("[models.sonnet]")[0])
        await person.sees("sonnet is no longer configured")
        await person.sees("thinker")
        await still_answers(person)


async def test_one_click_highlights_and_two_choose(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("/model")
        await person.sees("Select a model", "sonnet")
        before = person.config
        listing = person.app.screen.query_one(VirtualList)
        await person.pilot.click(listing, offset=(5, 1))
        await person.sees("Select a model")
        assert person.config == before and listing.highlighted is listing.rows[1]
        await person.pilot.click(listing, offset=(5, 1), times=2)
        await person.sees_no("Select a model")
        assert person.config != before


async def test_more_clicks_choose_nothing_in_the_dialog_that_the_first_two_opened(
    home: Path, configured: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(App, "CLICK_CHAIN_TIME_THRESHOLD", SECONDS)
    async with sitting(configured, home=home) as person:
        await person.says("/provider")
        await person.sees("Add new provider")
        listing = person.app.screen.query_one(VirtualList)
        row = listing.region.offset + Offset(5, len(listing.rows) - 1)
        for _ in range(3):
            # not by `Pilot`, which clicks in the dialog that was closed
            for event in (events.MouseDown, events.MouseUp):
                person.app.post_message(event(None, *row, 0, 0, 1, False, False, False, *row))
            await settled()
        await person.sees("Name, URL or file")
        opened = person.app.screen.query_one(VirtualList)
        assert opened.region.contains_point(row), "the third click was in the list of the new dialog"


async def test_pending_work_of_a_dialog_ends_with_it(home: Path, configured: str, monkeypatch: pytest.MonkeyPatch):
    goes_on: list[str] = []
    dialog: Welcome

    async def slow(_: object) -> list[object]:
        while dialog.query(StatusLine):
            await asyncio.sleep(0)
        goes_on.append("when the widgets of the dialog were gone")
        return []

    monkeypatch.setattr(welcome, "local_servers", slow)
    async with sitting(configured, home=home) as person:
        dialog = Welcome(person.app.state.config)
        person.app.push_screen(dialog)
        await person.sees("Looking for local servers")
        await person.presses("escape")
        await person.sees_no("Looking for local servers")
        await person.says("Hello")
        await person.sees("You asked: Hello")
        assert goes_on == []


async def test_leaving_before_something_began_says_nothing_on_the_terminal(home: Path, configured: str):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        async with sitting(configured, home=home) as person:
            person.app.chat_screen.ask("Hello")
            person.app.exit()
        async with sitting(configured, home=home) as person:
            dialog = Welcome(person.app.state.config)
            await person.app.push_screen(dialog)
            dialog.during("working", dialog._look)
            person.app.exit()
        gc.collect()
    assert [str(one.message) for one in said] == []


def test_a_wait_that_fails_is_reported_before_the_test_is_given_up(pytestconfig: pytest.Config):
    assert float(pytestconfig.getini("timeout")) > SECONDS


async def test_on_a_full_disk_the_loss_of_the_conversation_is_reported_and_not_that_of_the_last_model(
    home: Path, configured: str
):
    for name in ("app.json", "conversations.sqlite"):
        (home / name).mkdir()  # cannot be written
    async with sitting(configured, home=home) as person:
        await person.says("Hi")
        await person.answered()
        await person.sees("out ·", "This conversation is not stored")
        await person.pilot.pause(0.2)
        assert "The preference" not in person.screen
