"""Approval of references in config files that come from elsewhere, and of the hosts that may receive their values.

A config file names both a secret (`{env:NAME}`) and the host that receives it. A file from elsewhere could send
any variable or file of this machine to its author's host. A reference in such a file is therefore resolved only if the
user approved it for this host: for one command (`--allow-reference`), or for the file until it changes (`modelbay
config approve`). Files in modelbay's home need no approval, and neither does a file that a program opens itself
(`Hub.open(path)`).
"""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from modelbay.errors import ConfigError, MalformedReply
from modelbay.origin import origin
from modelbay.secrecy import REFERENCE
from modelbay.storage.paths import STDIN, expanded, home

if TYPE_CHECKING:  # imported by every command, and few need a configuration
    from modelbay.config.schema import Config

APPROVALS = "approvals.json"
WAIT = 10.0
"""Seconds to wait for another process that is writing approvals."""


class Approval(NamedTuple):
    """Permission to send the value of a reference to an origin."""

    reference: str
    origin: str

    @classmethod
    def read(cls, text: str) -> "Approval":
        """Parse `REF=ORIGIN`.

        Raises:
            ValueError: the text has another form; the message says what is wrong.
        """
        reference, equals, where = text.strip().rpartition("=")
        if not equals or not REFERENCE.fullmatch(reference.strip()):
            raise ValueError("expected REF=ORIGIN, such as {env:ACME_KEY}=https://api.acme.example")
        return cls(reference.strip(), place_of(where.strip()))


class Source(NamedTuple):
    """A config file that contains references. `digest` is the SHA-256 of its text."""

    path: Path
    digest: str


_allowed: set[Approval] = set()
_typed: set[str] = set()


@contextlib.contextmanager
def allowing() -> Iterator[None]:
    """Undo the effects of `allow` and `typed` on exit."""
    allowed, keys = _allowed.copy(), _typed.copy()
    try:
        yield
    finally:
        _allowed.intersection_update(allowed)
        _typed.intersection_update(keys)


def allow(approvals: Iterable[Approval]) -> None:
    _allowed.update(approvals)


def typed(value: str | None) -> None:
    """Approve the references in a key that the user has just typed: they do not come from the file."""
    _typed.update(match[0] for match in REFERENCE.finditer(value or ""))


def is_own(path: Path) -> bool:
    """Whether a file is in modelbay's home. The target of a symbolic link does not matter: the user created the link."""
    if path == STDIN:
        return False
    here = home().absolute()
    return path.absolute().parent == here or path.resolve().parent == here.resolve()


def is_foreign(config: "Config") -> bool:
    """Whether references in a configuration need approval."""
    return bool(config.digest) and not config.trusted and not is_own(config.path)


def check(reference: str, config: "Config", places: Iterable[str], bound: str | None = None) -> None:
    """Check a reference of a configuration before it is resolved. `bound` is the origin that a stored key was given
    for.

    Raises:
        ConfigError: the file is from elsewhere, and the reference is not approved for one of the origins in `places`.
    """
    if not is_foreign(config):
        return
    missing = unapproved(reference, Source(config.path, config.digest), places)
    if missing and missing != [bound]:
        raise refusal(config.path, [Approval(reference, place) for place in missing])


def unapproved(reference: str, source: Source, places: Iterable[str]) -> list[str]:
    """The origins that a reference of a file is not approved for."""
    if reference.strip() in _typed:
        return []
    named = _absolute(reference, source.path)
    known = {(_absolute(text, source.path), place) for text, place in (*_allowed, *_remembered(source.digest))}
    return [place for place in places if (named, place) not in known]


def refusal(path: Path, missing: list[Approval], otherwise: str | None = None) -> ConfigError:
    """The error for unapproved references. `otherwise`: another way to approve them than `modelbay config approve`."""
    listed = ", ".join(f"{shown(one.reference)} to {one.origin}" for one in missing)
    options = " ".join(f"--allow-reference '{shown(one.reference)}={one.origin}'" for one in missing)
    if path != STDIN:
        options = f"{otherwise or f'`modelbay config approve --config {path}`'}, or {options}"
    return ConfigError(
        f"{path} is not from modelbay's home; its references need your approval: {listed}",
        hint=f"if you trust the file and the host: {options}",
        file=str(path),
    )


def remember(source: Source, approvals: Iterable[Approval]) -> None:
    """Store approvals for the current version of a file.

    Raises:
        ConfigError: they could not be written.
    """
    import json

    from modelbay.storage import files

    path = home() / APPROVALS
    with files.locked(path, WAIT):
        before = files.undamaged_content(path, "list of approvals", _kept)
        kept = _kept(before)
        entry = kept.setdefault(source.digest, {"file": str(source.path), "allowed": []})
        pairs = [[_absolute(one.reference, source.path), one.origin] for one in approvals]
        entry["allowed"] += [pair for pair in pairs if pair not in entry["allowed"]]
        files.replace(path, before, json.dumps(kept, indent=1, ensure_ascii=False).encode() + b"\n")


def references_in(value: Any) -> list[str]:
    """All references in a provider entry, table, list or text, including `api_key_env`."""
    found: dict[str, None] = {}
    for text in _texts(value):
        found |= dict.fromkeys(match[0] for match in REFERENCE.finditer(text))
    return list(found)


def shown(reference: str) -> str:
    """A reference for output. The words of a command are hidden, as they may contain a secret."""
    return "{command:…}" if reference.startswith("{command:") else " ".join(reference.split())


def place_of(url: str) -> str:
    """The origin of a URL, as used in approvals. Proxy URLs may have schemes other than HTTP's.

    Raises:
        ValueError: not a URL with a host.
    """
    scheme = urlsplit(url).scheme.lower()
    if scheme.startswith("socks"):
        return f"{scheme}{str(origin('http' + url[len(scheme) :]))[len('http') :]}"
    return str(origin(url))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict) or hasattr(value, "__struct_fields__"):  # msgspec is not imported for `--help`
        names = value if isinstance(value, dict) else value.__struct_fields__
        for key in names:
            item = value[key] if isinstance(value, dict) else getattr(value, key)
            yield from [f"{{env:{item.strip()}}}"] if key == "api_key_env" and isinstance(item, str) else _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _absolute(reference: str, path: Path) -> str:
    """A reference with an absolute path. Relative paths of `{file:…}` start from the configuration's folder."""
    match = REFERENCE.fullmatch(reference.strip())
    if match is None or match[1] != "file":
        return reference.strip()
    return f"{{file:{(path.parent / expanded(match[2].strip())).absolute()}}}"


def _remembered(digest: str) -> list[Approval]:
    try:
        entry = _kept((home() / APPROVALS).read_bytes()).get(digest)
    except (OSError, MalformedReply):
        return []
    return [Approval(*pair) for pair in entry["allowed"]] if entry else []


def _kept(content: bytes | None) -> dict[str, dict[str, Any]]:
    """Approvals by digest. Malformed entries are skipped.

    Raises:
        MalformedReply: the content is not a JSON object.
    """
    from modelbay.json_text import decode_as

    kept = {}
    for digest, entry in decode_as(content or b"{}", dict[str, Any]).items():
        pairs = entry.get("allowed") if isinstance(entry, dict) else None
        if isinstance(pairs, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
            kept[digest] = {"file": str(entry.get("file", "")), "allowed": pairs}
    return kept
