"""The automatic refresh: once a day, in a background process that never prompts.

A command calls `start` when it has finished, and the app every hour. `start` reads the time of one file and at most once an hour
starts the background process, which reads the configuration and refreshes the providers that are due (`refresh_due`). To disable
it, set `MODELBAY_REFRESH=off`, or `refresh_interval_ms = 0` in `[model_catalog]` (a key of Kimi Code). With the environment
variable `CI` it is disabled unless `MODELBAY_REFRESH=on`.
"""

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import time
from typing import TYPE_CHECKING

from modelbay.config.schema import Config, ProviderEntry
from modelbay.errors import ConfigError
from modelbay.storage import files
from modelbay.storage.cache import Cache
from modelbay.storage.paths import config_file, environment

if TYPE_CHECKING:  # every command calls `start`, so imports must stay light
    from modelbay.onboarding.sources.merge import Memory

DAY = 86_400.0
"""Default interval between refreshes, in seconds."""
HOUR = 3_600.0
"""Minimum interval between two background processes, in seconds."""
SWITCH = "MODELBAY_REFRESH"
ITSELF = frozenset({"discover", "oauth-catalog"})
"""Values of Kimi Code's key `model_source` for a provider whose own list is refreshed automatically."""
FOLDER, CHECKED, LOCK = "upkeep", "checked", "lock"


def start(path: Path | None = None, cache: Cache | None = None) -> bool:
    """Start the background process, unless refreshing is disabled or a process was started within the last hour. Returns
    whether it was started.
    """
    try:
        cache, path = cache or Cache(), path or config_file()
    except ConfigError:  # the command has reported it
        return False
    # a negative age means that the clock was set back: start anyway
    if not _is_on() or 0 <= time() - (cache.changed(FOLDER, CHECKED) or 0) < HOUR:
        return False
    try:
        if b"source" not in path.read_bytes() or not cache.write(b"", FOLDER, CHECKED):
            return False
        import subprocess

        # without -P, Python would run a modelbay.py of the working directory, which may be a folder that is not trusted
        command = [sys.executable, "-P", "-m", "modelbay"]
        command += ["--config", str(path.absolute()), "provider", "refresh", "--due"]
        quiet = subprocess.DEVNULL
        apart = 0x00000008 | 0x08000000 if sys.platform == "win32" else 0  # detached, without a window
        process = subprocess.Popen(
            command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True, creationflags=apart, close_fds=True
        )  # fmt: skip
        # the app goes on running, and a child that it never waits for stays a zombie
        threading.Thread(target=process.wait, name="daily refresh", daemon=True).start()
    except OSError:
        return False  # no file, or no process could be started: a later command tries again
    return True


async def refresh_due(config: Config, clock: Callable[[], float] = time) -> list[str]:
    """Refresh the providers that are due and return their IDs. It changes no base URL, and only one process does it at a
    time.
    """
    from filelock import FileLock, Timeout

    from modelbay.credentials.reference import unattended
    from modelbay.onboarding.sources import merge as merging
    from modelbay.onboarding.sources.refresh import ask, write

    cache = Cache()
    lock = cache.path(FOLDER, LOCK)
    files.make_private(lock.parent)
    try:
        with FileLock(lock, timeout=0):
            entries = due(config, clock())
            for entry in entries:
                memory = _memory(entry)
                memory.tried = clock()
                merging.remember(entry.id, memory)
            with unattended():
                answers = await ask(config, entries)
            for answer in answers:
                planned = write(config, answer, dry_run=True)
                # removing a provider would delete its key, and the user must see a new URL first: both need a manual refresh
                if not any(one.gone or one.changed for one in planned.written):
                    write(config, answer)
    except Timeout:
        return []
    return [entry.id for entry in entries]


def due(config: Config, now: float) -> list[ProviderEntry]:
    """The providers that are due for a refresh."""
    from modelbay.onboarding.sources.refresh import kind_of

    every = interval(config)
    if every is None:
        return []
    found = []
    for entry in config.providers.values():
        if kind_of(entry) is None or not (entry.imported or entry.model_source in ITSELF):
            continue
        with suppress(ConfigError):  # a manual refresh reports it; the others are refreshed
            memory = _memory(entry)
            if not 0 <= now - max(memory.when, memory.tried) < every:
                found.append(entry)
    return found


def interval(config: Config) -> float | None:
    """Interval between refreshes in seconds; None: disabled."""
    if config.network is None or config.network.offline:
        return None
    table = config.extra.get("model_catalog")
    written = table.get("refresh_interval_ms") if isinstance(table, dict) else None
    if isinstance(written, bool) or not isinstance(written, int | float) or written < 0:
        return DAY
    return written / 1000 or None


def _memory(entry: ProviderEntry) -> "Memory":
    from modelbay.onboarding.sources import merge as merging

    return merging.recall(entry.id) or merging.Memory()


def _is_on() -> bool:
    switch = (environment(SWITCH) or "").strip().lower()
    return switch == "on" or (switch not in ("off", "0", "no", "false") and environment("CI") is None)
