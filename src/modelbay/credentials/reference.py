"""Values that are kept elsewhere: `{env:NAME}`, `{file:PATH}`, `{keyring:SERVICE/USER}` and `{command:…}`.

A reference is a whole value or a part of one, as in `Authorization = "Bearer {env:TOKEN}"`; what it refers to is not
searched for references again. None is followed unless the user wrote it, so no variable of the shell ever becomes a
credential by itself.
"""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path
from shlex import quote
from threading import Lock

from modelbay.config.schema import Config
from modelbay.credentials import approval, system_keyring
from modelbay.errors import ConfigError, MissingCredential
from modelbay.origin import Origin
from modelbay.secrecy import REFERENCE, REFERENCES, Hidden, misspelled_reference, register
from modelbay.storage.files import target_of
from modelbay.storage.paths import config_file, environment, expanded, home

SERVICE = "modelbay"
"""Whose entries in the keyring are `modelbay key`'s own."""
ORIGIN = ".origin"
"""Behind the name of a key that `modelbay key` keeps: the origin it was given for."""
FILE_BYTES = 65_536
COMMAND_SECONDS = 10

_command_outputs: dict[str, str] = {}
_command_lock = Lock()


def _forked() -> None:
    """In a forked child: the thread that holds the lock, for a command that may ask the user, is in the parent."""
    global _command_lock  # noqa: PLW0603 one for the process, as `_command_outputs`
    _command_lock = Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_forked)


_unattended: ContextVar[bool] = ContextVar("unattended", default=False)


@contextlib.contextmanager
def unattended() -> Iterator[None]:
    """Nobody is there to be asked: meanwhile no keyring is opened, which may ask, and no command is run, which may too."""
    before = _unattended.set(True)
    try:
        yield
    finally:
        _unattended.reset(before)


def check_attended(what: str) -> None:
    """
    Raises:
        MissingCredential: nobody is there whom it could ask something.
    """
    if _unattended.get():
        raise MissingCredential(
            f"{what} is not asked where nobody is there", hint="`modelbay provider refresh` asks it"
        )


def may_ask(value: str | None) -> bool:
    """Whether following a value's references may take its time: a keyring or a command may ask the user something."""
    return value is not None and any(match[1] in ("keyring", "command") for match in REFERENCE.finditer(value))


def resolve_reference(value: str, config: Config, places: Iterable[str]) -> str:
    """The value with what its references refer to, each trimmed, in their place. `places` are the origins that get it.

    Keyrings and commands may block; what a command printed is remembered.

    Raises:
        MissingCredential: what it refers to is not there or is blank.
        ConfigError: a reference that is not followed: of an unknown kind, out of place, or not approved (`approval`).
    """
    if wrong := misspelled_reference(value):
        raise ConfigError(f"{config.path}: {wrong} is not a valid reference", hint=REFERENCES, file=str(config.path))
    resolved = REFERENCE.sub(lambda match: _resolved(match, config, places), value)
    return Hidden(resolved) if resolved != value else value


def _resolved(match: re.Match[str], config: Config, places: Iterable[str]) -> str:
    if approval.is_foreign(config):
        approval.check(match[0], config, places, bound_origin(match[0], config))
    found = _KINDS[match[1]](match[2].strip(), config).strip()
    if not found:
        shown = "{command:…}" if match[1] == "command" else match[0]  # a command's words may hold a secret
        raise MissingCredential(f"{shown} is blank", file=str(config.path))
    register(found)
    return found


def check_bound(value: str, config: Config, to: Origin, where: str, provider: str) -> None:
    """
    Raises:
        ConfigError: a reference in the value names a key that was given for another origin.
    """
    for match in REFERENCE.finditer(value):
        bound = bound_origin(match[0], config)
        if bound not in (None, str(to)):
            # a list or a file that changes the address does not thereby get the key
            raise ConfigError(
                f"{where}: this key was given for {bound}, and is not sent to {to}",
                hint=f"if that is where it shall go now: `modelbay key set {quote(provider)}`",
                provider=provider,
                file=str(config.path),
            )


def bound_origin(reference: str, config: Config) -> str | None:
    """The origin that the key at a reference was given for, where `modelbay key` noted one."""
    match = REFERENCE.fullmatch(reference)
    if match and match[1] == "keyring" and match[2].strip().startswith(f"{SERVICE}/"):
        return system_keyring.get(SERVICE, match[2].strip().removeprefix(f"{SERVICE}/") + ORIGIN)
    if match and match[1] == "file":
        path = target_of(config.path.parent / expanded(match[2].strip()))
        if path.parent == keys_folder().resolve():
            with contextlib.suppress(OSError):  # a damaged note is an origin that no provider has
                return path.with_name(path.name + ORIGIN).read_text(encoding="utf-8", errors="replace").strip()
    return None


def keys_folder() -> Path:
    """Where `modelbay key` keeps keys in files."""
    return home() / "keys"


def _from_environment(name: str, config: Config) -> str:
    found = environment(name)
    if found is None:
        raise MissingCredential(
            f"the environment variable {name} is not set", hint=f"set {name}, or write the value itself"
        )
    return found


def _from_file(name: str, config: Config) -> str:
    path = config.path.parent / expanded(name)
    try:
        real = path.resolve(strict=True)
        if real.parts[1:2] == ("proc",):
            raise ConfigError(f"{{file:{name}}} is refused: /proc tells what processes know, not what is in a file")
        if not real.is_file():
            raise MissingCredential(f"{{file:{name}}}: {path} is no file")
        with real.open("rb") as file:
            data = file.read(FILE_BYTES + 1)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of symbolic links, up to Python 3.12
        raise MissingCredential(f"{{file:{name}}}: {path}: {getattr(error, 'strerror', error)}") from None
    if len(data) > FILE_BYTES:
        raise MissingCredential(f"{{file:{name}}}: {path} is larger than {FILE_BYTES} bytes, which is no key")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise MissingCredential(f"{{file:{name}}}: {path} is not UTF-8 text") from None


def _from_keyring(name: str, config: Config) -> str:
    service, _, user = name.partition("/")
    check_attended("the keyring")
    try:
        found = system_keyring.get(service, user)
    except system_keyring.NoKeyring as error:
        raise MissingCredential(
            f"{{keyring:{name}}}: {error.message}", hint="on a machine without a keyring, use {file:PATH} or {env:NAME}"
        ) from error
    if found is None:
        raise MissingCredential(
            f"{{keyring:{name}}} is not in the keyring", hint=f"store it with: keyring set {service} {user}"
        )
    return found


def _from_command(command: str, config: Config) -> str:
    """What a command prints, run once a process. Its words are split as a shell does, but no shell runs."""
    if config.trusted and not approval.is_own(config.path):
        raise ConfigError(
            f"{{command:…}} is refused in {config.path}: only a file in modelbay's home may run programs",
            hint=f"move it to {config_file()}",
        )
    check_attended("a command")
    with _command_lock:
        if command not in _command_outputs:
            _command_outputs[command] = _output(command)
        return _command_outputs[command]


def _output(command: str) -> str:
    import shlex
    import subprocess

    name = command.split(maxsplit=1)[0] if command.split() else ""
    try:
        done = subprocess.run(
            shlex.split(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=COMMAND_SECONDS,
            check=True,
            text=True,
            encoding="utf-8",
        )
    except subprocess.TimeoutExpired:
        raise MissingCredential(f"{{command:{name} …}} took more than {COMMAND_SECONDS} seconds") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines()
        why = f": {said[-1][:200]}" if said else ""
        raise MissingCredential(f"{{command:{name} …}} ended with status {error.returncode}{why}") from None
    except (OSError, ValueError, IndexError) as error:
        raise MissingCredential(f"{{command:{name} …}} does not run: {error}") from None
    return done.stdout


_KINDS = {"env": _from_environment, "file": _from_file, "keyring": _from_keyring, "command": _from_command}
