"""Starts the terminal again after SIGCONT, once.

Textual starts it at every SIGCONT, even if the app was not suspended: after `kill -STOP`, or when the terminal is closed,
because the kernel then sends SIGHUP and SIGCONT. The app would get a second thread that reads the terminal. On exit only the
last one is ended, so the process could hang and read the end of its input in an endless loop.
"""

import signal
from collections.abc import Callable
from typing import Any


def on_continue(driver: Any, ending: Callable[[], bool]) -> None:
    """Replace the driver's handler of SIGCONT. `ending`: whether the app ends or its terminal is gone."""

    def resume(*_: object) -> None:
        if not driver._auto_restart or ending():  # an editor has the terminal, or nothing will stop the driver again
            return
        if not driver._must_signal_resume:  # not suspended: no SIGTSTP came
            driver.suspend_application_mode()
        driver.resume_application_mode()

    signal.signal(signal.SIGCONT, resume)
