"""Client keys of the gateway: who may call it.

They are in a file of their own in modelbay's home, not in config.toml: a removed key loses access at once, even while config.toml
has an error and the gateway keeps the last good one. Each process compares the file's identity for each request (see
`files.Recent`), so that a change by another process is seen by the next request.

Only the SHA-256 of a key is stored. A key is found by its digest, so the time of a lookup depends on the digest, from which a key
cannot be guessed. The client `local` is for programs on this machine: its key is also stored in plain text, for exports to coding
agents.
"""

import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import partial
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec import Struct

from modelbay.credentials.credential import NO_KEY, is_key
from modelbay.errors import ConfigError, FileError, InvalidValue, MalformedReply
from modelbay.json_text import decode_as
from modelbay.logs import LOG
from modelbay.secrecy import Hidden, register
from modelbay.storage import files
from modelbay.storage.cache import file_name
from modelbay.storage.paths import data_dir, home

LOCAL = "local"
"""The client of programs on this machine."""
PREFIX = "sk-mb-"
"""The beginning of new keys. Some programs accept only keys that begin with `sk-`."""
KEY_BYTES = 32
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""Letters and digits only: a double click selects the whole key, and `secrecy` recognizes it in any text."""
DIGITS = 43
"""Characters that write any number of 32 bytes in this alphabet."""
SHORTEST = 20
"""Minimum characters of a key that another program created: a shorter one could be guessed."""
SHOWN = 4
"""Characters of a key that are stored and shown, besides `PREFIX`."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
WAIT = 10.0
"""Seconds to wait for another process that changes the file."""
MARKED = 60.0
"""Seconds after which the use of a key is noted again."""
USES = "clients"
"""The folder with a file for each client, whose time is that of its last use."""


class GatewayClient(Struct, frozen=True, forbid_unknown_fields=True):
    """A program that may call the gateway."""

    name: str
    sha256: str
    """SHA-256 of its key, in hexadecimal digits."""
    begins: str
    """The first characters of its key."""
    created: datetime


class _ClientFile(Struct, forbid_unknown_fields=True):
    """The content of the file. An unknown field is an error: it may be a restriction that this version does not know."""

    clients: list[GatewayClient]


class ClientKeys:
    """The clients in a file. Default: the file in modelbay's home."""

    def __init__(
        self, file: Path | None = None, *, uses: Path | None = None, now: Callable[[], float] = time.time
    ) -> None:
        folder = home() / "gateway"
        self.file = file or folder / "clients.json"
        self._seen = files.Recent(partial(files.identity, str(self.file)))
        self.local_file = self.file.with_name("local-key")
        """The key of the client `local`, readable by its owner only."""
        self._now = now
        self._uses = uses or data_dir() / USES
        self._identity: tuple[int, ...] | None = None
        self._by_digest: dict[str, GatewayClient] = {}
        self._by_key: dict[str, GatewayClient] = {}
        """The clients whose keys were used, by key."""
        self._marked: dict[str, float] = {}
        self._problem = ""
        """Why the file cannot be used; "" if it can."""

    @property
    def readable(self) -> bool:
        """Whether the file can be used, as of now. Otherwise no client has access."""
        self._refresh()
        return not self._problem

    def find(self, key: str) -> GatewayClient | None:
        """The client with that key, as of now; None if there is none. If the file cannot be read, no client has access, and the
        reason is logged: the message is not for callers, who may be unknown.

        A key that was found is registered as a secret. One that was not found is not, since any caller could otherwise fill the
        registry: do not log it.
        """
        self._refresh()
        client = self._by_key.get(key)
        if client is None:
            key = Hidden(key)
            client = self._by_digest.get(_digest(key))
            if client is None:
                self._seen.forget()  # it may have been added just now
                self._refresh()
                client = self._by_digest.get(_digest(key))
            if client is None:
                return None
            self._by_key[key] = client
            register(key)
        self._mark(client, key)
        return client

    def all(self) -> list[GatewayClient]:
        """All clients, as of now, in the order in which they were added.

        Raises:
            ConfigError: the file cannot be read.
        """
        return _clients_in(files.content_of(self.file), self.file)

    def add(self, name: str, key: str | None = None) -> Hidden:
        """Add a client with a new key, or with an existing one. Returns the key.

        Raises:
            InvalidValue: the name has wrong characters.
            ConfigError: the key is not valid, the name or the key is already in use, or the file cannot be changed.
        """
        if not NAME.fullmatch(name):
            raise InvalidValue(
                f'"{name}" is not a valid name for a client',
                hint="use up to 64 letters, digits, dots, hyphens and underscores",
            )
        key = Hidden(new_key(secrets.token_bytes(KEY_BYTES)) if key is None else key.strip())
        check(key)
        register(key)
        with files.locked(self.file, WAIT):
            self._add(name, key)
        return key

    def remove(self, name: str) -> None:
        """Remove a client. Its key is refused from the next request on.

        Raises:
            ConfigError: there is no such client, or the file cannot be changed.
        """
        with files.locked(self.file, WAIT):
            old = files.content_of(self.file)
            clients = _clients_in(old, self.file)
            kept = [client for client in clients if client.name != name]
            if len(kept) == len(clients):
                near = get_close_matches(name, [client.name for client in clients], 1)
                hint = f'did you mean "{near[0]}"?' if near else "list the clients: `modelbay client list`"
                raise ConfigError(f'no client "{name}"', hint=hint)
            self._write(old, kept)
            if name == LOCAL:
                self.local_file.unlink(missing_ok=True)
        time.sleep(files.FRESH)

    def create_local_once(self) -> None:
        """Create the client `local` at the first start. If the user removed it, it stays removed.

        Raises:
            ConfigError: the file cannot be changed.
        """
        if files.content_of(self.file) is None:
            self.local_key()

    def local_key(self) -> Hidden:
        """The key of the client `local`, which is created if it does not exist.

        Raises:
            ConfigError: its key is not stored, or a file cannot be read or changed.
        """
        with files.locked(self.file, WAIT):  # two programs may need the first key at the same time
            key = self.known_local_key()
            if key is None:
                key = Hidden(new_key(secrets.token_bytes(KEY_BYTES)))
                self._add(LOCAL, key)
        register(key)
        return key

    def known_local_key(self) -> Hidden | None:
        """The key of the client `local`; None if it does not exist yet.

        Raises:
            ConfigError: its key is not stored, or a file cannot be read.
        """
        client = next((client for client in self.all() if client.name == LOCAL), None)
        if client is None:
            return None
        key = Hidden((files.content_of(self.local_file) or b"").decode(errors="replace").strip())
        if _digest(key) != client.sha256:
            raise FileError(
                f'{self.local_file} does not have the key of the client "{LOCAL}"',
                hint=f"create a new key: `modelbay client remove {LOCAL}`, then `modelbay client add {LOCAL}`",
                file=str(self.local_file),
            )
        return key

    def last_use(self, client: GatewayClient) -> datetime | None:
        """The time of its last request, to the minute; None if it sent none."""
        try:
            used = self._use_of(client).stat().st_mtime
        except OSError:
            return None
        return datetime.fromtimestamp(int(used), UTC) if used >= client.created.timestamp() else None

    def _mark(self, client: GatewayClient, key: str) -> None:
        now = self._now()
        if not 0 <= now - self._marked.get(client.sha256, 0) < MARKED:  # the clock may be set back
            self._marked[client.sha256] = now
            register(key)  # the registry drops its oldest values
            with suppress(OSError):  # a request must not fail for it
                files.make_private(self._uses)
                self._use_of(client).touch(mode=files.PRIVATE)

    def _use_of(self, client: GatewayClient) -> Path:
        return self._uses / file_name(client.name)

    def _refresh(self) -> None:
        """Read the file if it is not the one that was read last."""
        found = self._seen.get()
        if found is not None and found == self._identity:
            return
        self._by_digest, self._by_key = {}, {}
        try:
            self._by_digest = {client.sha256: client for client in self.all()}
        except ConfigError as error:
            self._identity = None  # the next request reads the file again: the cause may end without a change of it
            if error.message != self._problem:
                LOG.error("no client has access: %s%s", error.message, f" ({error.hint})" if error.hint else "")
            self._problem = error.message
        else:
            self._identity, self._problem = found, ""

    def _add(self, name: str, key: Hidden) -> None:
        """Add a client, under the lock of the file."""
        old = files.content_of(self.file)
        clients = _clients_in(old, self.file)
        created = datetime.fromtimestamp(int(self._now()), UTC)
        begins = key[: len(PREFIX) * key.startswith(PREFIX) + SHOWN]
        new = GatewayClient(name, _digest(key), str.__str__(begins), created)
        for other in clients:
            if other.name == name:
                hint = f"choose another name, or remove the client: `modelbay client remove {name}`"
                raise ConfigError(f'client "{name}" already exists', hint=hint)
            if other.sha256 == new.sha256:
                raise ConfigError(f'the key already belongs to the client "{other.name}"', hint="use another key")
        if name == LOCAL:
            files.replace(self.local_file, files.content_of(self.local_file), f"{key}\n".encode())
        self._write(old, [*clients, new])

    def _write(self, old: bytes | None, clients: list[GatewayClient]) -> None:
        text = msgspec.json.format(msgspec.json.encode(_ClientFile(clients)), indent=2) + b"\n"
        files.replace(self.file, old, text)


def new_key(random: bytes) -> str:
    """A key made of `KEY_BYTES` random bytes."""
    number, digits = int.from_bytes(random), ""
    for _ in range(DIGITS):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return PREFIX + digits


def check(key: Hidden) -> None:
    """Check a key, which another program may have created.

    Raises:
        ConfigError: it is too short, or contains characters that a header cannot have.
    """
    if not is_key(key):
        raise ConfigError(NO_KEY, hint="copy only the key")
    if len(key) < SHORTEST:
        raise ConfigError(
            f"the key has {len(key)} characters; at least {SHORTEST} are required",
            hint="leave out --key: modelbay then creates a key",
        )


def _digest(key: str) -> str:
    return sha256(key.encode(errors="surrogatepass")).hexdigest()


def _clients_in(data: bytes | None, file: Path) -> list[GatewayClient]:
    if data is None:
        return []
    try:
        return decode_as(data, _ClientFile).clients
    except MalformedReply as error:
        raise FileError(
            f"{file} is not valid: {error.message}",
            hint="remove the file, and add the clients again: `modelbay client add NAME`",
            file=str(file),
        ) from None
