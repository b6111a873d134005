"""Refreshing by itself: once a day, in a process of its own that nobody waits for and that asks nobody anything.

A command that has done its work calls `start`, which looks at one file and, once an hour, leaves a process behind. That one
reads the configuration and does what is due (`refresh_due`). `MODELBAY_REFRESH=off` turns it off, as `CI` does unless it is
`on`, and so does Kimi Code's own key, `refresh_interval_ms = 0` under `[model_catalog]`.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from time import time
from typing import TYPE_CHECKING

from modelbay.config.schema import Config, ProviderEntry
from modelbay.storage.cache import Cache
from modelbay.storage.paths import config_file, environment

if TYPE_CHECKING:  # whoever only starts it waits for no more imports
    from modelbay.onboarding.sources.merge import Memory

DAY = 86_400.0
"""Seconds between two times, unless the configuration says otherwise."""
HOUR = 3_600.0
"""Seconds for which nobody looks again whether something is due."""
SWITCH = "MODELBAY_REFRESH"
ITSELF = frozenset({"discover", "oauth-catalog"})
"""What `model_source` says of a provider without a source whose own list is to be asked by itself: Kimi Code's words."""
FOLDER, CHECKED, LOCK = "upkeep", "checked", "lock"


def start(path: Path | None = None, cache: Cache | None = None) -> bool:
    """Leaves a process behind that refreshes what is due, if that may be and was not looked at lately. Whether it did."""
    cache, path = cache or Cache(), path or config_file()
    # a time in the future is that of a clock that has been set back
    if not _is_on() or 0 <= time() - (cache.changed(FOLDER, CHECKED) or 0) < HOUR:
        return False
    try:
        if b"source" not in path.read_bytes() or not cache.write(b"", FOLDER, CHECKED):
            return False
        import subprocess

        # without -P a file of that name in the folder where somebody works, which may be anybody's, would be run instead
        command = [sys.executable, "-P", "-m", "modelbay"]
        command += ["--config", str(path.absolute()), "provider", "refresh", "--due"]
        quiet = subprocess.DEVNULL
        apart = 0x00000008 | 0x08000000 if sys.platform == "win32" else 0  # detached, without a window
        subprocess.Popen(
            command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True, creationflags=apart, close_fds=True
        )  # fmt: skip
    except OSError:
        return False  # there is no file, or no process to be had: another time
    return True


async def refresh_due(config: Config, clock: Callable[[], float] = time) -> list[str]:
    """Refreshes what is due, and says which providers that were. No base URL changes, and nobody else does it meanwhile."""
    from filelock import FileLock, Timeout

    from modelbay.credentials.reference import unattended
    from modelbay.onboarding.sources import merge as merging
    from modelbay.onboarding.sources.refresh import ask, write

    cache = Cache()
    lock = cache.path(FOLDER, LOCK)
    lock.parent.mkdir(parents=True, exist_ok=True)
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
                # with a provider its key would go, and a new address is for somebody to see first: both wait until then
                if not any(one.gone or one.changed for one in planned.written):
                    write(config, answer)
    except Timeout:
        return []
    return [entry.id for entry in entries]


def due(config: Config, now: float) -> list[ProviderEntry]:
    """The providers whose sources are to be asked again."""
    from modelbay.onboarding.sources.refresh import kind_of

    every = interval(config)
    if every is None:
        return []
    found = []
    for entry in config.providers.values():
        if kind_of(entry) is None or not (entry.imported or entry.model_source in ITSELF):
            continue
        memory = _memory(entry)
        if not 0 <= now - max(memory.when, memory.tried) < every:
            found.append(entry)
    return found


def interval(config: Config) -> float | None:
    """Seconds between two times; None where it is turned off."""
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
