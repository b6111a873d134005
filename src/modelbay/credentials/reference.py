"""Resolves references: `{env:NAME}`, `{file:PATH}`, `{keyring:SERVICE/USER}` and `{command:…}`.

A reference is a whole value or part of one, as in `Authorization = "Bearer {env:TOKEN}"`. Resolved values are not
searched for references again. Only references that the user wrote are resolved, so environment variables never become
credentials implicitly.
"""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path
from shlex import quote
from threading import Lock
from typing import TypeAlias

from modelbay.config.schema import IN_CODE, Config
from modelbay.credentials import approval, system_keyring
from modelbay.errors import ConfigError, MissingCredential
from modelbay.origin import Origin
from modelbay.secrecy import REFERENCE, REFERENCES, Hidden, misspelled_reference, register
from modelbay.storage.files import target_of
from modelbay.storage.paths import config_file, environment, expanded, home

SERVICE = "modelbay"
"""Keyring service name for keys stored by `modelbay key`."""
ORIGIN = ".origin"
"""Suffix of the entry that stores the origin a key was given for."""
FILE_BYTES = 65_536
COMMAND_SECONDS = 10

Witness: TypeAlias = tuple[object, ...]
"""Changes when a value changes that a reference reads, as far as this can be seen without reading it: a variable, or the
time and size of a file."""

_command_outputs: dict[str, str] = {}
_command_lock = Lock()


def _forked() -> None:
    """Replace the lock in a forked child: a thread of the parent may hold it while its command prompts the user."""
    global _command_lock  # noqa: PLW0603 one for the process, as `_command_outputs`
    _command_lock = Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_forked)


_unattended: ContextVar[bool] = ContextVar("unattended", default=False)


@contextlib.contextmanager
def unattended() -> Iterator[None]:
    """No user is present: do not use keyrings or commands meanwhile, as both may prompt."""
    before = _unattended.set(True)
    try:
        yield
    finally:
        _unattended.reset(before)


def check_attended(what: str) -> None:
    """Check that a prompt is possible. `what` is named in the error.

    Raises:
        MissingCredential: no user is present.
    """
    if _unattended.get():
        raise MissingCredential(
            f"{what} may prompt and is not used in the background", hint="run `modelbay provider refresh`"
        )


def may_ask(value: str | None) -> bool:
    """Whether resolving a value may block: a keyring or a command may prompt the user."""
    return value is not None and any(match[1] in ("keyring", "command") for match in REFERENCE.finditer(value))


def witness(values: Iterable[str], config: Config) -> Witness:
    """The witness of the references in some values."""
    seen: list[object] = []
    for value in values:
        for match in REFERENCE.finditer(value):
            if match[1] == "env":
                seen.append(hash(environment(match[2].strip())))  # not the value, which is secret
            elif match[1] == "file":
                try:
                    status = (config.path.parent / expanded(match[2].strip())).stat()
                    seen.append((status.st_mtime_ns, status.st_size, status.st_ino))
                except (OSError, RuntimeError, ValueError):
                    seen.append(None)
    return tuple(seen)


def forget_outputs(values: Iterable[str]) -> None:
    """Run the commands in some values again when they are resolved next: their keys were rejected."""
    commands = {match[2].strip() for value in values for match in REFERENCE.finditer(value) if match[1] == "command"}
    with _command_lock:
        for command in commands:
            _command_outputs.pop(command, None)


def resolve_reference(value: str, config: Config, places: Iterable[str]) -> str:
    """The value with its references resolved and trimmed. `places` are the origins that receive it.

    Keyrings and commands may block. The output of a command is cached for the life of the process.

    Raises:
        MissingCredential: the referenced value is missing or blank.
        ConfigError: the reference has an unknown kind, is misplaced or not approved (see `approval`).
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
        shown = "{command:…}" if match[1] == "command" else match[0]  # the words of a command may contain a secret
        raise MissingCredential(f"{shown} is blank", file=str(config.path))
    register(found)
    return found


def check_bound(value: str, config: Config, to: Origin, where: str, provider: str) -> None:
    """Check that a value may be sent to an origin.

    Raises:
        ConfigError: a reference in the value names a key that was stored for another origin.
    """
    for match in REFERENCE.finditer(value):
        bound = bound_origin(match[0], config)
        if bound not in (None, str(to)):
            # a list or file that changes the URL must not receive the key
            raise ConfigError(
                f"{where}: this API key was set for {bound} and is not sent to {to}",
                hint=f"if the new URL is right, set the key again: `modelbay key set {quote(provider)}`",
                provider=provider,
                file=str(config.path),
            )


def bound_origin(reference: str, config: Config) -> str | None:
    """The origin that a key stored by `modelbay key` was set for; None for other references."""
    match = REFERENCE.fullmatch(reference)
    if match and match[1] == "keyring" and match[2].strip().startswith(f"{SERVICE}/"):
        return system_keyring.get(SERVICE, match[2].strip().removeprefix(f"{SERVICE}/") + ORIGIN)
    if match and match[1] == "file":
        path = target_of(config.path.parent / expanded(match[2].strip()))
        if path.parent == keys_folder().resolve():
            with contextlib.suppress(OSError):  # a damaged note is an origin that matches no provider
                return path.with_name(path.name + ORIGIN).read_text(encoding="utf-8", errors="replace").strip()
    return None


def keys_folder() -> Path:
    """Folder of the key files of `modelbay key`."""
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
            raise ConfigError(
                f"{{file:{name}}} is not allowed: /proc exposes the memory of processes",
                hint="store the key in a file elsewhere",
            )
        if not real.is_file():
            raise MissingCredential(f"{{file:{name}}}: {path} is not a file")
        with real.open("rb") as file:
            data = file.read(FILE_BYTES + 1)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of symbolic links, up to Python 3.12
        raise MissingCredential(f"{{file:{name}}}: {path}: {getattr(error, 'strerror', error)}") from None
    if len(data) > FILE_BYTES:
        raise MissingCredential(f"{{file:{name}}}: {path} is too large for an API key ({FILE_BYTES:,} bytes at most)")
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
    """The output of a command, run once per process. Its words are split as in a shell, but no shell is used."""
    if config.trusted and not approval.is_own(config.path):
        raise ConfigError(
            f"{{command:…}} is not allowed in {config.path}: only config files in modelbay's home may run programs",
            hint="run the command yourself, and pass its output"
            if config.path == IN_CODE
            else f"move it to {config_file()}",
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
        raise MissingCredential(f"{{command:{name} …}} failed with exit status {error.returncode}{why}") from None
    except (OSError, ValueError, IndexError) as error:
        raise MissingCredential(f"{{command:{name} …}} could not run: {error}") from None
    return done.stdout


_KINDS = {"env": _from_environment, "file": _from_file, "keyring": _from_keyring, "command": _from_command}
