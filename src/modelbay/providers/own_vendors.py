"""Vendors that the user adds: `presets/*.toml` in modelbay's home, in the form of the built-in ones.

A vendor's file decides which host the user's API keys and tokens are sent to. Therefore only the user may be able to change
it, and it cannot use a name or host of a built-in vendor, send anything to a host that it does not list, or contain a secret.
A file that breaks a rule is in `problems`, and the others are used.
"""

import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

from msgspec.structs import replace

from modelbay.config.entries import Unusable, made
from modelbay.config.keys import KnownKeys, nearest
from modelbay.config.load import TOO_DEEP, TomlFault, decoded, table_of
from modelbay.config.provider_types import PROTOCOLS, TYPE_OF, TYPES
from modelbay.config.schema import Problem, Table, key_text
from modelbay.config.toml.lines import HEADER, line_of
from modelbay.conversation import Protocol
from modelbay.dialect import Dialect
from modelbay.errors import ConfigError
from modelbay.origin import Origin, ascii_host, origin
from modelbay.providers.vendor import NAMES, LoginMethod, OwnVendors, Preset, Scheme, built_in, matches
from modelbay.secrecy import KEY, REFERENCE, key_in_query, named_secret, shaped_secret
from modelbay.storage import files

MOST_BYTES = 65_536
ID = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?")
LABELS = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*")
RESERVED = ("local", *TYPES, *PROTOCOLS)
"""Words that `provider add` and `[providers.ID]` use for something else."""
MOST_TEXT = 1000
SCHEMES = get_args(Scheme)

BUILT_IN_ONLY = frozenset(
    {"types", "placeholders", "addressing", "publishers", "unspoken", "client_logins", "aliases", "ended"}
)
"""Keys of built-in vendors: they change how all providers of a type are called, depend on code for the vendor, say which logins
of other programs it gets, or give it the name of another vendor."""
VENDOR_KEYS = frozenset(Preset.__struct_fields__) - BUILT_IN_ONLY - {"id", "file"}
FIXED_LOGIN_KEYS = frozenset({"provider", "prefix", "type", "key", "services", "described"})
"""Keys of a login that are derived from its ID: they name entries and tokens, which are shared by all vendors."""
LOGIN_KEYS = frozenset(LoginMethod.__struct_fields__) - FIXED_LOGIN_KEYS
DIALECT_KEYS = frozenset(Dialect.__struct_fields__) - {"vendor"}

NOT_HERE = "write keys into the provider's entry instead: `modelbay provider add`"


def own_vendors(folder: Path) -> OwnVendors:
    """The vendors in a folder. They are read again if a file was added, removed or changed, including its permissions."""
    return _read(folder, _stamp(folder))


def _stamp(folder: Path) -> object:
    def signature(path: str | Path) -> object:
        try:
            found = os.stat(path)
        except OSError as error:
            return error.errno
        return (
            found.st_dev,
            found.st_ino,
            found.st_mtime_ns,
            found.st_ctime_ns,
            found.st_size,
            found.st_mode,
            found.st_uid,
        )

    try:
        names = tuple(sorted(entry.path for entry in os.scandir(folder)))
    except OSError as error:
        return error.errno
    return signature(folder), *((name, signature(name)) for name in names)


@lru_cache(maxsize=2)
def _read(folder: Path, stamp: object) -> OwnVendors:
    found: list[Preset] = []
    problems: list[Problem] = []
    try:
        status = folder.stat()
        if not stat.S_ISDIR(status.st_mode):
            raise Unusable("not a folder", hint=f"move it away: {folder}")
        if (problem := files.trust_problem(folder, status)) is not None:
            raise Unusable(problem[0], hint=problem[1])
        paths = sorted(path for path in folder.iterdir() if _is_vendor_file(path.name))
    except OSError as error:
        return OwnVendors(problems=(_problem(folder, "", Unusable(f"cannot be read: {error.strerror}")),))
    except Unusable as unusable:
        return OwnVendors(problems=(_problem(folder, "", unusable),))
    for path in paths:
        text = ""
        try:
            text = decoded(files.owned_content(path, MOST_BYTES))
            found.append(_Reading(path, table_of(text), (*built_in(), *found)).preset())
        except RecursionError:
            problems.append(_problem(path, text, Unusable(TOO_DEEP)))
        except TomlFault as fault:
            problems.append(replace(_problem(path, text, Unusable(str(fault))), line=fault.line))
        except ConfigError as error:
            problems.append(_problem(path, text, Unusable(error.message, hint=error.hint)))
        except Unusable as unusable:
            problems.append(_problem(path, text, unusable))
    return OwnVendors(tuple(found), tuple(problems))


def _is_vendor_file(name: str) -> bool:
    """Whether a file is meant to be a vendor. Hidden files are those of editors and sync programs."""
    return name.lower().endswith(".toml") and not name.startswith(".")


def _problem(path: Path, text: str, unusable: Unusable) -> Problem:
    keys = unusable.keys
    return Problem(
        file=str(path),
        line=_line(text, keys) if keys else None,
        where=".".join(key_text(key) for key in keys if not key.isdigit()) or "vendor",
        message=str(unusable),
        hint=unusable.hint or "correct the value, or remove the key" * bool(keys) or "correct the file, or remove it",
    )


def _line(text: str, keys: tuple[str, ...]) -> int | None:
    """The line of a key. `("logins", "1", "host")` is in the second table of `[[logins]]`."""
    if len(keys) < 2 or keys[0] != "logins" or not keys[1].isdigit():
        return line_of(text, *keys)
    lines = text.splitlines()
    headers = [n for n, line in enumerate(lines) if (found := HEADER.match(line)) and found[1].strip() == "logins"]
    if int(keys[1]) >= len(headers):  # an inline array
        return line_of(text, "logins")
    start = headers[int(keys[1])]
    inside = line_of("\n".join(lines[start:]), "logins", *keys[2:])
    return None if inside is None else start + inside


class _Reading:
    """One file. The methods raise `Unusable`."""

    def __init__(self, path: Path, table: Table, others: tuple[Preset, ...]) -> None:
        self._path = path
        self._table = table
        self._others = others

    def preset(self) -> Preset:
        table, id = self._table, self._id()
        _check_texts(table, ())
        _check_keys(table, VENDOR_KEYS, BUILT_IN_ONLY)
        for key, example in (("name", '"Acme"'), ("hosts", '["llm.acme.example"]'), ("protocols", '["openai_chat"]')):
            if not table.get(key):
                raise Unusable(f"{key} is missing", hint=f"add {key} = {example}")
        _check_protocols(table)
        self._check_dialect()
        found = made(Preset, {**table, "id": id, "file": str(self._path), "logins": []})
        self._check_names(id, found.name)
        found = replace(found, hosts=self._hosts(found.hosts))
        for keys, url in _urls(found):
            _check_url(url, found.hosts, keys)
        if found.key_url is not None:
            _origin(found.key_url, ("key_url",))
        for key, paths in (("lists", found.lists), ("describes", [found.describes] if found.describes else [])):
            for path in paths:
                _check_path(path, (key,))
        return replace(found, logins=self._logins(found))

    def _id(self) -> str:
        """The ID, which is the name of the file."""
        id, _, ending = self._path.name.rpartition(".")
        if ending != "toml" or not ID.fullmatch(id):
            hint = "name the file ID.toml, with an ID of lower-case letters, digits, - and _"
            raise Unusable("the name of the file is not a vendor's ID", hint=hint)
        self._check_name(id, "the name of the file", ())
        return id

    def _check_names(self, id: str, name: str) -> None:
        if not letters(name):
            raise Unusable("a name must contain a letter or a digit", "name")
        self._check_name(name, "this name", ("name",))

    def _check_name(self, name: str, what: str, keys: tuple[str, ...]) -> None:
        wanted = letters(name)
        for word in RESERVED:
            if letters(word) == wanted:
                raise Unusable(f'{what} is reserved: "{word}" means something else', *keys, hint="choose another name")
        for other in self._others:
            words = [other.id, other.name, *(login.id for login in other.logins)]
            words += [] if other.file else [*other.types, *other.models_dev]
            if any(letters(word) == wanted for word in words):
                raise Unusable(f"{what} is already used by {_owner(other)}", *keys, hint="choose another name")

    def _hosts(self, written: list[str]) -> list[str]:
        """The hosts in the form in which they are looked up."""
        hosts = []
        for text in written:
            host = host_pattern(text)
            for other in self._others:
                if any(_collide(host, there, other) for there in _hosts_of(other)):
                    hint = "list only the hosts of your own servers"
                    raise Unusable(f'the host "{text}" belongs to {_owner(other)}', "hosts", hint=hint)
            hosts.append(host)
        return hosts

    def _check_dialect(self) -> None:
        table = self._table.get("dialect", {})
        if not isinstance(table, dict):
            raise Unusable("expected a table", "dialect")
        protocols = self._table["protocols"]
        of_all = {key: value for key, value in table.items() if key not in NAMES}
        _check_fields(of_all, ("dialect",), protocols)
        for protocol in table.keys() & set(NAMES):
            if protocol not in protocols:
                raise Unusable(f"{protocol} is not one of its protocols", "dialect", protocol)
            if not isinstance(table[protocol], dict):
                raise Unusable("expected a table", "dialect", protocol)
            _check_fields(table[protocol], ("dialect", protocol))

    def _logins(self, preset: Preset) -> list[LoginMethod]:
        tables = self._table.get("logins", [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise Unusable("expected tables: [[logins]]", "logins")
        logins: list[LoginMethod] = []
        for number, table in enumerate(tables):
            try:
                login = _login(preset, table)
                if login.id in (one.id for one in logins):
                    raise Unusable(f'there are two logins with the ID "{login.id}"', "id")
                if login.id != preset.id:
                    self._check_name(login.id, "this ID", ("id",))
            except Unusable as unusable:
                raise Unusable(str(unusable), "logins", str(number), *unusable.keys, hint=unusable.hint) from None
            logins.append(login)
        return logins


def _login(preset: Preset, table: Table) -> LoginMethod:
    """A login of a vendor. It can send API keys and tokens to the vendor's hosts only."""
    _check_keys(table, LOGIN_KEYS, FIXED_LOGIN_KEYS)
    by = table.get("by")
    if by not in ("device", "key"):
        raise Unusable('must be "device" or "key"', "by")
    for key in (
        "id",
        "title",
        "base_url",
        *(("host", "device_path", "token_path", "client_id") if by == "device" else ()),
    ):
        if not table.get(key):
            raise Unusable(f"{key} is missing", hint=f"add {key} to [[logins]]")
    login = made(LoginMethod, table)
    if login.id != preset.id and not (ID.fullmatch(login.id) and login.id.startswith(f"{preset.id}-")):
        raise Unusable(f'must be "{preset.id}" or begin with "{preset.id}-"', "id")
    if "-env-" in login.id:  # separates a login's name from the digest of another host
        raise Unusable('must not contain "-env-"', "id")
    _check_url(login.base_url or "", preset.hosts, ("base_url",))
    if by == "device":
        where = _check_url(login.host, preset.hosts, ("host",))
        if where.scheme != "https" and not where.loopback:
            raise Unusable("login over http is not allowed", "host", hint="use an https:// URL")
        _check_path(login.device_path, ("device_path",))
        _check_path(login.token_path, ("token_path",))
    key_url = login.key_url or preset.key_url
    if key_url is not None:
        _origin(key_url, ("key_url",))
    elif by == "key":
        raise Unusable("key_url is missing", hint="add the page where users get an API key")
    return replace(
        login,
        base_url=(login.base_url or "").rstrip("/"),
        host=login.host.rstrip("/"),
        key_url=key_url,
        type=TYPE_OF[preset.protocols[0]],
        key=f"oauth/{login.id}" if by == "device" else "",
        provider=login.id,
        prefix=login.id,
    )


def letters(name: str) -> str:
    """A name without the differences that do not matter: case, punctuation, width."""
    return "".join(char for char in unicodedata.normalize("NFKC", name).casefold() if char.isalnum())


def _owner(other: Preset) -> str:
    return f"{Path(other.file).name}" if other.file else f"the built-in vendor {other.id}"


# Hosts


def host_pattern(text: str) -> str:
    """A host of a vendor's file as it is looked up: lower case, ASCII, `*.` before a domain, `localhost:PORT` on this machine.

    Raises:
        Unusable: it is not a host.
    """
    rest = text.strip().removeprefix("*.")
    wildcard = rest != text.strip()
    if "*" in rest:
        raise Unusable(f'"{text}": * is only allowed as the first label', "hosts", hint='write "*.acme.example"')
    if re.search(r"[/\\@?#\s]", rest):
        raise Unusable(f'"{text}" is not a host', "hosts", hint='write it without scheme and path: "llm.acme.example"')
    try:
        where = origin(f"http://{rest}")
        host = ascii_host(where.host)
    except ValueError:
        raise Unusable(f'"{text}" is not a host', "hosts", hint='write it as "llm.acme.example"') from None
    named = urlsplit(f"http://{rest}").port is not None
    if where.loopback and (wildcard or not named):
        raise Unusable(f'"{text}" needs a port', "hosts", hint='write "localhost:8000"')
    if where.loopback:
        return f"localhost:{where.port}"
    if named:
        raise Unusable(f'"{text}": a port is only allowed for localhost', "hosts", hint=f'write "{host}"')
    if not _is_address(host) and (not LABELS.fullmatch(host) or len(host) > 253 or _is_number(host.split(".")[-1])):
        raise Unusable(f'"{text}" is not a host', "hosts", hint='write it as "llm.acme.example"')
    return f"*.{host}" if wildcard else host


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_number(label: str) -> bool:
    """Whether a host that ends in this label is an address in another spelling, such as 127.1."""
    return label.isdigit() or label.startswith("0x")


def _hosts_of(preset: Preset) -> Iterator[str]:
    """The hosts that a vendor uses, including those that do not serve its API."""
    yield from preset.hosts
    if preset.file:
        return
    urls = [url for _, url in _urls(preset)]
    for url in (*urls, *(login.host for login in preset.logins), *(login.base_url for login in preset.logins)):
        if url and "{" not in url and not (where := origin(url)).loopback:  # servers on this machine share ports
            yield where.host


def _collide(host: str, there: str, other: Preset) -> bool:
    """Whether a host cannot be listed because another vendor has one. Of the user's own vendors, one may have a domain and
    another one a host in it: the exact name is found first."""
    if other.file and ("*" in host) != ("*" in there):
        return False
    return overlap(host, there)


def overlap(one: str, other: str) -> bool:
    """Whether a host may match both patterns. `*` stands for one or more characters."""
    if "*" not in one and "*" not in other:
        return one == other
    # "*" is one character, "?", and then any number of them
    one, other = one.replace("*", "?*"), other.replace("*", "?*")

    @cache
    def meet(at: int, there: int) -> bool:
        mine, its = one[at : at + 1], other[there : there + 1]
        if mine == "*":
            return meet(at + 1, there) or (its != "" and meet(at, there + 1))
        if its == "*":
            return meet(at, there + 1) or (mine != "" and meet(at + 1, there))
        if not mine or not its:
            return mine == its
        return (mine == its or "?" in (mine, its)) and meet(at + 1, there + 1)

    return meet(0, 0)


def _covers(hosts: Iterable[str], where: Origin) -> bool:
    """Whether an origin is at one of a vendor's hosts."""
    host = f"localhost:{where.port}" if where.loopback else ascii_host(where.host)
    return any(matches(host, pattern) for pattern in hosts)


# Values


def _urls(preset: Preset) -> Iterator[tuple[tuple[str, ...], str]]:
    """The base URLs of a vendor, with their keys."""
    if preset.base_url is not None:
        yield ("base_url",), preset.base_url
    for protocol, url in preset.base_urls.items():
        yield ("base_urls", protocol), url


def _check_url(url: str, hosts: list[str], keys: tuple[str, ...]) -> Origin:
    where = _origin(url, keys)
    if not _covers(hosts, where):
        hint = f"add it to hosts, or correct the URL; hosts: {', '.join(hosts)}"
        raise Unusable(f"{where} is not one of its hosts", *keys, hint=hint)
    return where


def _origin(url: str, keys: tuple[str, ...]) -> Origin:
    try:
        where = origin(url)
        ascii_host(where.host)
    except ValueError as error:
        raise Unusable(str(error), *keys) from None
    if "{" in url:
        raise Unusable(
            "placeholders do not work here", *keys, hint="write the whole URL, or leave it out: users pass --base-url"
        )
    if urlsplit(url).username is not None or key_in_query(url) or KEY.search(url) or "#" in url:
        raise Unusable("the URL contains a user, a key or a fragment", *keys, hint=NOT_HERE)
    return where


def _check_path(path: str, keys: tuple[str, ...]) -> None:
    if not re.fullmatch(r"/(?!/)[A-Za-z0-9._~!$&'()*+,;=:@%/-]*", path):
        raise Unusable("not a path", *keys, hint='write a path on the same host, as "/oauth/token"')


def _check_protocols(table: Table) -> None:
    """Check the names of protocols, and that keys for one protocol are for one of the vendor's own."""
    protocols = table["protocols"]
    if not isinstance(protocols, list):
        raise Unusable("expected a list", "protocols")
    for name in protocols:
        if name not in NAMES:
            near = PROTOCOLS.get(name) if isinstance(name, str) else None
            hint = f'write "{near}"' if near else f"the protocols are {', '.join(NAMES)}"
            raise Unusable(f'unknown protocol "{name}"', "protocols", hint=hint)
    for key in ("base_urls", "auth"):
        inner = table.get(key, {})
        if not isinstance(inner, dict):
            raise Unusable("expected a table", key)
        for name, value in inner.items():
            if name not in protocols:
                hint = f"its protocols are {', '.join(protocols)}"
                raise Unusable(f"{name} is not one of its protocols", key, name, hint=hint)
            if key == "auth" and value not in SCHEMES:
                raise Unusable(f'unknown scheme "{value}"', key, name, hint=f"must be one of: {', '.join(SCHEMES)}")


def _check_fields(table: Table, keys: tuple[str, ...], also: Iterable[Protocol] = ()) -> None:
    """Check fields of a dialect; `also` are other keys that the table may have."""
    _check_keys(table, DIALECT_KEYS, frozenset(), keys, also)
    try:
        found = made(Dialect, table)
    except Unusable as unusable:
        raise Unusable(str(unusable), *keys, *unusable.keys, hint=unusable.hint) from None
    for key in ("tool_id", "tool_name"):
        try:
            re.compile(getattr(found, key) or "")
        except re.error as error:
            raise Unusable(f"not a regular expression: {error}", *keys, key) from None


def _check_keys(
    table: Table, known: frozenset[str], others: frozenset[str], keys: tuple[str, ...] = (), also: Iterable[str] = ()
) -> None:
    """Check that all keys of a table are known. `others` are known keys that only built-in vendors have."""
    for key in table:
        if key in others:
            hint = "remove it; only the vendors that are part of modelbay have it"
            raise Unusable("not allowed in a file of your own", *keys, key, hint=hint)
        if key not in known:
            near = nearest(key, KnownKeys(known | {*also}))
            hint = f'rename it to "{near}"' if near else f"the keys are {', '.join(sorted(known))}"
            raise Unusable("unknown key", *keys, key, hint=hint)


def _check_texts(value: Any, keys: tuple[str, ...]) -> None:
    """Check all texts of a file: without references, secrets and control characters."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(item, str) and item and named_secret(key):
                raise Unusable("a vendor's file cannot contain secrets", *keys, key, hint=NOT_HERE)
            _check_texts(item, (*keys, key))
    elif isinstance(value, list):
        of_tables = all(isinstance(item, dict) for item in value)
        for number, item in enumerate(value):
            _check_texts(item, (*keys, str(number)) if of_tables else keys)
    elif isinstance(value, str):
        if REFERENCE.search(value):
            raise Unusable("references do not work in a vendor's file", *keys, hint=NOT_HERE)
        if shaped_secret(value):
            raise Unusable("a vendor's file cannot contain secrets", *keys, hint=NOT_HERE)
        if not value.isprintable() or len(value) > MOST_TEXT:
            raise Unusable(f"expected one line of at most {MOST_TEXT} characters", *keys)
