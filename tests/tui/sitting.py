"""A simulated user of the app: types, and waits for text on the screen."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path

import pytest
from textual import events
from textual._context import active_app
from textual.app import App
from textual.pilot import Pilot

from modelbay.tui.app import ModelbayApp
from modelbay.tui.error_boundary import trace

SECONDS = 60
"""Seconds to wait for text, on a machine that is busy with other tests. Less than the timeout of pytest, so that a failure shows
the screen."""
CELL = 12.2
"""The width of a letter in a picture of the screen."""
PANEL = re.compile(r"│(.*)│")
"""A line of a dialog."""
LINE = re.compile(r'<text [^>]*?x="([\d.]+)"[^>]*?y="([\d.]+)"[^>]*?>(.*?)</text>', re.DOTALL)


class Sitting:
    def __init__(self, app: ModelbayApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def screen(self) -> str:
        """The current screen as text."""
        lines: dict[float, str] = {}
        for x, y, text in LINE.findall(self.app.export_screenshot()):
            if text := unescape(text).replace("\xa0", " ").strip("\n"):
                before = lines.get(float(y), "")
                lines[float(y)] = before.ljust(round(float(x) / CELL)) + text
        return "\n".join(line for _, line in sorted(lines.items()))

    async def types(self, text: str) -> None:
        """Types fast, without waiting for the screen after each letter."""
        for letter in text:
            self.app.post_message(events.Key("space" if letter == " " else letter, letter))
        await self.pilot.pause()

    async def pastes(self, text: str) -> None:
        """Pastes, as a terminal with bracketed paste does."""
        self.app.post_message(events.Paste(text))
        await self.pilot.pause()

    async def presses(self, *keys: str) -> None:
        await settled()  # text that the test waited for may be seen before its dialog takes keys
        await self.pilot.press(*keys)

    async def answered(self) -> None:
        """Wait until no answer is in progress and all is drawn."""
        deadline = time.monotonic() + SECONDS
        while self.app.chat_screen.answering:
            assert time.monotonic() < deadline, f"the answer does not end; the screen is\n{self.screen}"
            await self.pilot.pause(0.02)
        await settled()

    async def holds(self, text: str) -> None:
        """Wait until the composer has that text."""
        deadline = time.monotonic() + SECONDS
        while (held := self.app.chat_screen.composer.text) != text:
            assert time.monotonic() < deadline, f"the composer has {held!r}, not {text!r}"
            await self.pilot.pause(0.02)

    async def says(self, text: str) -> None:
        """Wait for the end of the last answer, then types a line and send it."""
        await self.answered()
        await self.types(text)
        await self.presses("enter")

    async def sees(self, *words: str) -> str:
        """Wait until all of these texts are on the screen."""
        deadline = time.monotonic() + SECONDS
        while not all(word in (screen := self.screen) for word in words):
            assert time.monotonic() < deadline, f"{words} never came; the screen is\n{screen}"
            await self.pilot.pause(0.02)
        return screen

    @property
    def panel(self) -> str:
        """The text of the dialog, without its frame and line breaks."""
        return " ".join(" ".join(PANEL.findall(self.screen)).split())

    async def reads(self, *words: str) -> str:
        """Wait until all of these texts are in the dialog, also across lines."""
        deadline = time.monotonic() + SECONDS
        while not all(word in (text := self.panel) for word in words):
            assert time.monotonic() < deadline, f"{words} never came; the screen is\n{self.screen}"
            await self.pilot.pause(0.02)
        return text

    async def sees_no(self, word: str) -> str:
        """Wait until this text is not on the screen."""
        deadline = time.monotonic() + SECONDS
        while word in (screen := self.screen):
            assert time.monotonic() < deadline, f"{word} stays; the screen is\n{screen}"
            await self.pilot.pause(0.02)
        return screen

    @property
    def config(self) -> str:
        path = self.app.state.config.path
        return path.read_text() if path.exists() else ""


def threads_work(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether a call of `to_thread` has not ended."""
    pool = loop._default_executor  # type: ignore[attr-defined]
    return pool is not None and pool._idle_semaphore._value < len(pool._threads)


def draws(app: App[object]) -> bool:
    """Draw the screen. Returns whether it had changed."""
    changed = bool(app._screen_stack) and app.screen._update_timer._active.is_set()
    if changed:
        app.screen._on_timer_update()
    return changed


async def settled(min_sleep: float = 0, max_sleep: float = 1) -> None:
    """Wait until the app has nothing to do and has drawn everything.

    Textual's own `wait_for_idle` waits until the process uses less than a twentieth of the processor, twice after each key:
    that takes longer than all else in a test, and does not wait at all for an app that gets no processor time.
    """
    loop, app, quiet = asyncio.get_running_loop(), active_app.get(), 0
    deadline = time.monotonic() + max_sleep
    while quiet < 3 and time.monotonic() < deadline:  # the selector is asked three times whether there is more
        await asyncio.sleep(0.001 if threads_work(loop) else 0)
        quiet = 0 if loop._ready or threads_work(loop) or draws(app) else quiet + 1  # type: ignore[attr-defined]


@asynccontextmanager
async def sitting(
    config: str | None = None, *, home: Path, size: tuple[int, int] = (80, 24), conversation: int | None = None,
) -> AsyncIterator[Sitting]:  # fmt: skip
    """Run the app with this configuration, a temporary home and optionally a stored conversation."""
    if config is not None:
        (home / "config.toml").write_text(config, encoding="utf-8")
    app = ModelbayApp(home / "config.toml", conversation=conversation)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("app", "pilot"):
            patch.setattr(f"textual.{module}.wait_for_idle", settled)
        async with app.run_test(size=size) as pilot:
            yield Sitting(app, pilot)
            assert not app.internal_errors.seen, "\n\n".join(trace(fault) for fault in app.internal_errors.seen)
            app.exit()  # as a user does: a timer that runs while the screens are removed fails
