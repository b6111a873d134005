"""Client keys: who may call the gateway, in a file that several processes read and change."""

import re
import shutil
import stat
import sys
import traceback
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from time import sleep

import aiohttp
import pytest

from modelbay.errors import ConfigError, FileError
from modelbay.gateway.clients import ALPHABET, DIGITS, LOCAL, MARKED, PREFIX, USES, ClientKeys, new_key
from modelbay.secrecy import KEY, redact
from modelbay.storage import files
from modelbay.storage.files import FRESH
from tests.cli.inside import Inside
from tests.gateway.running import KEY as RUNNING_KEY
from tests.gateway.running import running

ADOPTED = "sk-1234567890abcdefgh"


@pytest.fixture
def bay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    return Inside(tmp_path, monkeypatch)


@pytest.fixture
def keys(bay: Inside) -> ClientKeys:
    return ClientKeys()


def refused(run: Callable[[], object]) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        run()
    return caught.value


def wait_until_seen() -> None:
    """After a change of the file by hand; `remove` waits itself."""
    sleep(FRESH)


# Keys


def test_a_new_key_writes_all_of_its_bytes() -> None:
    assert new_key(bytes(32)) == PREFIX + "0" * DIGITS
    assert new_key(bytes(31) + b"\x3d") == PREFIX + "0" * (DIGITS - 1) + "z"
    assert new_key(bytes(31) + b"\x3e") == PREFIX + "0" * (DIGITS - 2) + "10"
    most = new_key(b"\xff" * 32).removeprefix(PREFIX)
    number = 0
    for char in most:
        number = number * len(ALPHABET) + ALPHABET.index(char)
    assert number == 2**256 - 1
    assert len(most) == DIGITS


def test_every_new_key_is_another_one_and_looks_like_a_key(keys: ClientKeys) -> None:
    made = [keys.add(f"client-{number}") for number in range(20)]
    assert len(set(made)) == 20
    assert all(re.fullmatch(r"sk-mb-[0-9A-Za-z]{43}", key) for key in made)
    assert all(KEY.fullmatch(key) for key in made)  # an error that quotes it is masked, in another process too


def test_a_key_finds_its_client_and_a_similar_one_does_not(keys: ClientKeys) -> None:
    first, second = keys.add("first"), keys.add("second", ADOPTED)
    found = keys.find(first)
    assert found is not None
    assert (found.name, found.begins, found.sha256) == ("first", first[:10], sha256(first.encode()).hexdigest())
    adopted = keys.find(str(second))
    assert adopted is not None
    assert (adopted.name, adopted.begins) == ("second", "sk-1")
    for other in ("", first[:-1], first + " ", first.lower(), found.sha256, "\udcff", ADOPTED[:-1]):
        assert keys.find(other) is None


def test_without_a_file_no_key_is_accepted(keys: ClientKeys) -> None:
    assert keys.find("sk-mb-anything") is None
    assert keys.all() == []


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("sk-1234567890abcdef", "the key has 19 characters; at least 20 are required"),
        ("  sk-1234567890abcdef   ", "the key has 19 characters; at least 20 are required"),
        ("", "the API key contains invalid characters"),
        ("Bearer sk-1234567890abcdefgh", "the API key contains invalid characters"),
        ("sk-1234567890abcdefgh\nsk-2", "the API key contains invalid characters"),
        ("sk-1234567890äbcdefgh", "the API key contains invalid characters"),
    ],
)
def test_a_key_that_can_be_guessed_or_not_be_sent_is_refused(keys: ClientKeys, key: str, message: str) -> None:
    assert refused(lambda: keys.add("me", key)).message.startswith(message)
    assert keys.all() == []


@pytest.mark.parametrize("name", ["", "a b", "-a", ".", "a/b", "ä", "a" * 65, "a\n", 'a"'])
def test_a_name_has_letters_and_digits(keys: ClientKeys, name: str) -> None:
    assert "is not a valid name" in refused(lambda: keys.add(name)).message


def test_names_and_keys_are_used_once(keys: ClientKeys) -> None:
    key = keys.add("me")
    assert refused(lambda: keys.add("me")).message == 'client "me" already exists'
    assert refused(lambda: keys.add("you", key)).message == 'the key already belongs to the client "me"'
    keys.add("Me")
    assert [client.name for client in keys.all()] == ["me", "Me"]


def test_a_removed_client_loses_access_and_its_name_is_free(keys: ClientKeys) -> None:
    key = keys.add("me")
    assert keys.find(key)
    keys.remove("me")
    assert keys.find(key) is None
    assert refused(lambda: keys.remove("me")).message == 'no client "me"'
    assert keys.add("me") != key


# The file


def test_the_file_has_digests_and_is_private(keys: ClientKeys, bay: Inside) -> None:
    made = [keys.add("me"), keys.add("you", ADOPTED)]
    text = keys.file.read_text()
    for key in made:
        assert key not in text
        assert b64encode(key.encode()).decode() not in text
    assert keys.file == bay.home / "gateway" / "clients.json"
    if sys.platform != "win32":
        assert stat.S_IMODE(keys.file.stat().st_mode) == 0o600
        assert stat.S_IMODE(keys.file.parent.stat().st_mode) == 0o700


def test_a_change_by_another_process_counts_from_the_next_request(keys: ClientKeys, bay: Inside) -> None:
    running = ClientKeys()
    assert running.find(ADOPTED) is None
    bay.done("client", "add", "me", "--key", "-", stdin=ADOPTED)
    assert running.find(ADOPTED)
    bay.done("client", "remove", "me")
    assert running.find(ADOPTED) is None
    bay.done("client", "add", "me", "--key", "-", stdin=ADOPTED)
    assert running.find(ADOPTED)
    keys.file.unlink()
    wait_until_seen()
    assert running.find(ADOPTED) is None


def test_the_file_is_read_only_after_a_change(keys: ClientKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    key = keys.add("me")
    assert keys.find(key)
    monkeypatch.setattr(keys, "all", lambda: pytest.fail("read again"))
    assert keys.find(key)


def test_a_removed_key_loses_access_while_config_toml_is_broken(keys: ClientKeys, bay: Inside) -> None:
    key = keys.add("me")
    bay.file.write_text("[providers\n")
    bay.done("client", "remove", "me")
    assert keys.find(key) is None


def test_clients_that_are_added_at_the_same_time_are_all_kept(keys: ClientKeys) -> None:
    names = [f"client-{number}" for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda name: ClientKeys().add(name), names))
    assert sorted(client.name for client in keys.all()) == sorted(names)
    assert all(keys.find(key) for key in made)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"clients": [{"name": "me"}]}',
        '{"clients": [], "more": 1}',
        '{"clients": [{"name": "me", "sha256": "DIGEST", "begins": "sk", "created": "2026-11-29T00:00:00Z", "models": ["a"]}]}',
    ],
)
def test_a_file_that_is_not_valid_gives_access_to_no_client(
    keys: ClientKeys, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    key = keys.add("me")
    assert keys.find(key)
    keys.file.write_text(text.replace("DIGEST", sha256(key.encode()).hexdigest()))
    wait_until_seen()
    assert keys.find(key) is None
    assert keys.find(key) is None
    (line,) = caplog.messages  # once for each content of the file
    assert line.startswith(f"no client has access: {keys.file} is not valid: ")
    error = refused(lambda: keys.add("you"))
    assert isinstance(error, FileError)
    assert error.message.startswith(f"{keys.file} is not valid: ")
    assert error.hint == "remove the file, and add the clients again: `modelbay client add NAME`"
    assert keys.file.read_text() == text.replace("DIGEST", sha256(key.encode()).hexdigest())


def test_clients_have_access_again_when_only_the_owner_of_the_file_was_corrected(
    keys: ClientKeys, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unreadable(path: Path) -> bytes:
        raise FileError(f"{path} cannot be read: Permission denied", file=str(path))

    key = keys.add("me")
    wait_until_seen()
    with monkeypatch.context() as patch:
        patch.setattr(files, "content_of", unreadable)
        assert (keys.find(key), keys.find(key)) == (None, None)
        assert not keys.readable
    assert keys.find(key) is not None
    assert keys.readable
    assert caplog.messages == [f"no client has access: {keys.file} cannot be read: Permission denied"]


async def test_a_caller_does_not_learn_why_the_file_cannot_be_read(bay: Inside) -> None:
    body = {"model": "openai_chat", "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"Authorization": f"Bearer {RUNNING_KEY}"}
    with running(bay.home) as (gateway, _):
        url = f"{gateway.url}/v1/chat/completions"
        async with aiohttp.ClientSession(headers=headers) as session:
            async with session.post(url, json=body) as response:
                assert response.status == 200
            gateway.clients.file.write_text("{")
            wait_until_seen()
            async with session.post(url, json=body) as response:
                assert response.status == 401
                assert str(bay.home) not in await response.text()


# `local`


def test_the_first_start_creates_local_whose_key_can_be_read(keys: ClientKeys) -> None:
    keys.create_local_once()
    (client,) = keys.all()
    assert client.name == LOCAL
    key = keys.local_key()
    assert keys.find(key) == client
    keys.create_local_once()
    assert keys.local_key() == key == keys.local_file.read_text().strip()
    if sys.platform != "win32":
        assert stat.S_IMODE(keys.local_file.stat().st_mode) == 0o600


def test_a_removed_local_stays_removed_until_a_program_needs_it(keys: ClientKeys) -> None:
    keys.create_local_once()
    old = keys.local_key()
    keys.remove(LOCAL)
    assert not keys.local_file.exists()
    keys.create_local_once()
    assert keys.all() == []
    assert keys.local_key() != old
    assert keys.find(old) is None


def test_local_can_have_an_existing_key(keys: ClientKeys) -> None:
    keys.add(LOCAL, ADOPTED)
    assert keys.local_key() == ADOPTED


def test_programs_that_need_the_first_key_at_the_same_time_get_the_same_one(bay: Inside) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: ClientKeys().local_key(), range(16)))
    assert len(made) == 1


@pytest.mark.parametrize("text", [None, "", "sk-mb-another\n", "\udcff"])
def test_a_local_key_that_was_changed_by_hand_is_not_used(keys: ClientKeys, text: str | None) -> None:
    keys.create_local_once()
    if text is None:
        keys.local_file.unlink()
    else:
        keys.local_file.write_bytes(text.encode(errors="surrogateescape"))
    error = refused(keys.local_key)
    assert error.message == f'{keys.local_file} does not have the key of the client "local"'
    keys.remove(LOCAL)
    keys.add(LOCAL)
    assert keys.find(keys.local_key())


# Last use


def test_the_last_use_is_noted_once_a_minute(bay: Inside) -> None:
    clock = [1_800_000_000.0]
    keys = ClientKeys(now=lambda: clock[0])
    key = keys.add("Me")
    (client,) = keys.all()
    assert client.created == datetime.fromtimestamp(clock[0], UTC)
    assert keys.last_use(client) is None

    def noted() -> bool:
        for file in (bay.home / USES).glob("*"):
            file.unlink()
        keys.find(key)
        return [file.name for file in (bay.home / USES).glob("*")] == ["%4De"]

    assert noted()
    clock[0] += MARKED - 1
    assert not noted()
    clock[0] += 1
    assert noted()
    clock[0] -= 86_400
    assert noted(), "the clock was ahead by a day, and was set right"


def test_the_last_use_survives_a_deleted_cache(bay: Inside) -> None:
    keys = ClientKeys()
    keys.find(keys.add("me"))
    shutil.rmtree(bay.home / "cache", ignore_errors=True)
    assert '"last_used": null' not in bay.done("client", "list", "--json")


def test_the_use_of_an_earlier_client_of_the_same_name_does_not_count(bay: Inside) -> None:
    keys = ClientKeys()
    keys.find(keys.add("me"))
    (client,) = keys.all()
    assert keys.last_use(client) is not None
    keys.remove("me")
    later = ClientKeys(now=lambda: client.created.timestamp() + 1_000)
    later.add("me")
    assert later.last_use(later.all()[0]) is None


# Secrecy


def test_a_known_key_is_masked_everywhere_and_an_unknown_one_does_not_fill_the_registry(keys: ClientKeys) -> None:
    plain = "team.password.of.us.4711"
    assert keys.find("sk-mb-unknown-but-secret") is None
    assert redact("sent sk-mb-unknown-but-secret") == "sent sk-mb-unknown-but-secret"
    keys.add("me", plain)
    assert redact(f"sent {plain}, {b64encode(plain.encode()).decode()}") == "sent …, …"


def test_a_key_that_another_process_added_is_masked_from_its_first_request_on(keys: ClientKeys) -> None:
    keys.add("me", ADOPTED)
    other = "team.password.of.them.0815"  # only in the file, as after `client add` elsewhere
    old, new = (sha256(key.encode()).hexdigest() for key in (ADOPTED, other))
    keys.file.write_text(keys.file.read_text().replace(old, new))
    assert other in redact(other)
    assert keys.find(other)
    assert redact(f"sent {other}") == "sent …"


def test_no_repr_no_log_and_no_traceback_shows_a_key(keys: ClientKeys, caplog: pytest.LogCaptureFixture) -> None:
    key = str(keys.local_key())
    assert keys.find(key)
    shown = repr([vars(keys), keys.all(), keys.local_key(), keys.add("me")])
    keys.file.write_text("{")
    wait_until_seen()
    assert keys.find(key) is None
    shown += caplog.text
    for run in (lambda: keys.add("you", key), keys.local_key):
        with pytest.raises(ConfigError) as caught:
            run()
        trace = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        own = [frame for frame in trace.stack if "/modelbay/" in frame.filename]
        assert own
        shown += repr([frame.locals for frame in own]) + str(caught.value) + repr(vars(caught.value))
    assert key not in shown
