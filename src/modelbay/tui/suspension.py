"""Starts the terminal again after SIGCONT, once.

Textual starts it at every SIGCONT, also if the app was not suspended: after `kill -STOP`, and when the terminal is closed, as
the kernel then sends SIGHUP and SIGCONT. The app would get a second thread that reads the terminal, and only the last one is
ended on exit: the process could stay, and read the end of its input in an endless loop.
"""

import signal
from collections.abc import Callable
from typing import Any


def on_continue(driver: Any, ending: Callable[[], bool]) -> None:
    """Replaces the driver's handler of SIGCONT. `ending`: whether the app ends or its terminal is gone."""

    def resume(*_: object) -> None:
        if not driver._auto_restart or ending():  # an editor has the terminal, or nothing will stop the driver again
            return
        if not driver._must_signal_resume:  # not suspended: no SIGTSTP came
            driver.suspend_application_mode()
        driver.resume_application_mode()

    signal.signal(signal.SIGCONT, resume)
