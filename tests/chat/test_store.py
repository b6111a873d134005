"""Where chats are kept: what others may see of it."""

import os
import stat
from pathlib import Path

from modelbay.chat.chat import Chat
from modelbay.chat.store import Store


def test_what_was_said_is_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = Store(tmp_path / "data" / "chats.sqlite")
        store.save(Chat("m"))
        with store._open() as database:
            database.execute("update chats set name = 'secret'")  # a journal beside it while this is not done
            files = list(store.path.parent.iterdir())
            assert len(files) == 2
            assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    finally:
        os.umask(before)
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700
