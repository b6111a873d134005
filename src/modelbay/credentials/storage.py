"""Storage of `modelbay key`: the system keyring, or else a file readable only by its owner.

The origin that a key was set for is stored next to it. If the URL in the configuration changes, calls fail until the
key is set again: a changed file must not send the key to another server.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path

from msgspec import Struct

from modelbay.config.changes import change_provider
from modelbay.config.edit import Edit, apply
from modelbay.config.schema import Config, ProviderEntry
from modelbay.config.toml.scan import Keys
from modelbay.credentials import system_keyring
from modelbay.credentials.credential import key_names
from modelbay.credentials.reference import FILE_BYTES, ORIGIN, SERVICE, keys_folder
from modelbay.credentials.system_keyring import NoKeyring
from modelbay.errors import ConfigError
from modelbay.origin import Origin
from modelbay.secrecy import REFERENCE
from modelbay.storage import files
from modelbay.storage.paths import expanded, home

WAIT = 10.0
"""Seconds to wait for another process that stores a key."""


def plain_key(provider: ProviderEntry) -> str | None:
    """The API key if it is in the config file itself, else None."""
    return next((key for key in _written(provider).values() if not REFERENCE.fullmatch(key)), None)


def keep_in_keyring(config: Config, provider: ProviderEntry, key: str, origin: Origin) -> str:
    """Store a key in the keyring and write a reference to it into the config file. Returns the reference.

    Raises:
        ConfigError: the keyring rejected the key, or the file could not be changed; then the keyring is restored.
    """
    id = provider.id
    before = {name: _get(name) for name in (id, id + ORIGIN)}
    reference = f"{{keyring:{SERVICE}/{id}}}"
    try:
        _set(id, key)
        _set(id + ORIGIN, str(origin))
        _refer(config, provider, reference)
    except BaseException:
        for name, value in before.items():
            with suppress(NoKeyring):  # the first error is the one to report
                _set(name, value)
        raise
    _forget_file(id)
    return reference


def keep_in_file(config: Config, provider: ProviderEntry, key: str, origin: Origin) -> str:
    """Store a key in a private file of modelbay's home and write a reference to it. Returns the reference.

    Raises:
        ConfigError: the provider's ID is not a valid file name, or a file could not be written.
    """
    path = _file(provider.id)
    if path is None:
        raise ConfigError(
            f'"{provider.id}" is not a valid file name', hint="rename the provider, or set api_key to {file:PATH}"
        )
    files.close_to_others(keys_folder())
    bound = path.with_name(path.name + ORIGIN)
    reference = f"{{file:{path}}}" if config.path.parent != home() else f"{{file:keys/{path.name}}}"
    with files.locked(keys_folder(), WAIT):  # another process could bind this key to its own origin
        files.sweep(path)
        before = {file: files.content_of(file) for file in (path, bound)}
        files.replace(path, before[path], f"{key}\n".encode())
        files.replace(bound, before[bound], f"{origin}\n".encode())
        try:
            _refer(config, provider, reference)
        except BaseException:
            for file, content in before.items():
                _restore(file, content)
            raise
    return reference


class NewSecret(Struct, frozen=True):
    """A secret that replaces the one at a `{keyring:…}` or `{file:…}` reference of a config file."""

    reference: str
    value: str
    path: Path
    """The config file."""
    origin: Origin | None
    """Origin that the secret is bound to, if the place is modelbay's own."""
    title: str
    """The secret for people, as "The API key of acme"."""
    fix: str
    """Hint for another place."""

    def __repr__(self) -> str:
        return f"NewSecret({self.reference!r})"


@contextmanager
def replaced(secrets: Sequence[NewSecret]) -> Iterator[None]:
    """Store secrets in their places. If that or the block fails, all places are as before.

    Raises:
        ConfigError: the keyring or a file cannot be written. The hint names another place.
    """
    undo: list[Callable[[], object]] = []
    try:
        for secret in secrets:
            try:
                _replace(secret, undo)
            except ConfigError as error:
                error.message = f"{secret.title} was not changed: {error.message}"
                hint = "unlock the keyring" if isinstance(error, NoKeyring) else error.hint
                error.hint = ", or ".join(text for text in (hint, secret.fix) if text)
                raise
        yield
    except BaseException:
        for step in reversed(undo):
            with suppress(ConfigError):  # the first error is the one to report
                step()
        raise


def _replace(secret: NewSecret, undo: list[Callable[[], object]]) -> None:
    kind, name = _parts(secret.reference)
    if kind == "keyring":
        service, _, user = name.partition("/")
        values = {user: secret.value} | ({user + ORIGIN: str(secret.origin)} if secret.origin else {})
        for user, value in values.items():
            undo.append(partial(_put, service, user, system_keyring.get(service, user)))
            _put(service, user, value)
        return
    path = _path(name, secret.path)
    contents = {path: secret.value} | (
        {path.with_name(path.name + ORIGIN): str(secret.origin)} if secret.origin else {}
    )
    if secret.origin:
        files.close_to_others(keys_folder())
    with files.locked(keys_folder(), WAIT) if secret.origin else nullcontext():
        for file, text in contents.items():
            before = files.content_of(file)
            undo.append(partial(_restore, file, before))
            files.replace(file, before, f"{text}\n".encode())


def own_reference(kind: str, id: str, config: Config) -> str | None:
    """The reference to the place of `modelbay key set` for a provider; None if its ID is not a valid file name."""
    if kind == "keyring":
        return f"{{keyring:{SERVICE}/{id}}}"
    path = _file(id)
    if path is None:
        return None
    return f"{{file:keys/{path.name}}}" if config.path.parent == home() else f"{{file:{path}}}"


def is_own(reference: str, config: Config) -> bool:
    """Whether a reference is to a place of `modelbay key set`, where a secret is bound to an origin."""
    kind, name = _parts(reference)
    if kind == "keyring":
        return name.startswith(f"{SERVICE}/")
    return _path(name, config.path).parent == keys_folder().resolve()


def is_free(reference: str, path: Path) -> bool:
    """Whether nothing is stored in a place.

    Raises:
        NoKeyring: the keyring is not available.
    """
    kind, name = _parts(reference)
    service, _, user = name.partition("/")
    return system_keyring.get(service, user) is None if kind == "keyring" else not _path(name, path).exists()


def holds_secret(reference: str, path: Path) -> bool:
    """Whether a place holds one secret and nothing else, or does not exist yet, so that it can be replaced."""
    kind, name = _parts(reference)
    if kind == "keyring":
        return True
    file = _path(name, path)
    if not file.exists():
        return True
    if file.parts[1:2] == ("proc",) or not file.is_file() or file.stat().st_size > FILE_BYTES:
        return False
    lines = (files.content_of(file) or b"").decode("utf-8-sig", "replace").strip().splitlines()
    return len(lines) <= 1


def title_of(reference: str, path: Path) -> str:
    """A place for people."""
    kind, name = _parts(reference)
    return f"the keyring ({name})" if kind == "keyring" else str(_path(name, path))


def _parts(reference: str) -> tuple[str, str]:
    """Kind and name of a reference."""
    match = REFERENCE.fullmatch(reference.strip())
    if match is None:
        raise AssertionError("only called with a whole reference")
    return match[1], match[2].strip()


def _path(name: str, config_file: Path) -> Path:
    """The file of a reference. Symbolic links stay: their target is replaced."""
    return files.target_of(config_file.parent / expanded(name))


def delete(config: Config, provider: ProviderEntry) -> list[str]:
    """Remove a provider's key from the config file and from the storage of `modelbay key set`. Returns what was
    removed.

    A key stored elsewhere, such as an environment variable, is kept; only the reference to it is removed.
    """
    gone = []
    written = _written(provider)
    paths: dict[Keys, object] = dict.fromkeys(written)
    if paths:
        apply(lambda edit: _change(edit, provider.id, paths), config.path)
        gone += [f"{'.'.join(path)} in {config.path}" for path in paths]
    if f"{{keyring:{SERVICE}/{provider.id}}}" in written.values():
        if _get(provider.id) is not None:
            gone.append(f"{SERVICE}/{provider.id} in the keyring")
        _set(provider.id, None)
        _set(provider.id + ORIGIN, None)
    if any(value.startswith("{file:") and value.endswith(f"keys/{provider.id}}}") for value in written.values()):
        gone += _forget_file(provider.id)
    return gone


@contextmanager
def carried(config: Config, provider: ProviderEntry, id: str, *, moves: bool) -> Iterator[dict[Keys, str]]:
    """Give a provider's stored key to the provider `id`, with the origin it is bound to: copied, or moved once the block
    ends. Yields the references to it, by their keys in the provider's table. If the block raises, all is as it was.

    Raises:
        ConfigError: a key is stored for `id` already; the keyring or the file cannot be written.
    """
    written = _written(provider)
    references: dict[Keys, str] = {}
    undo: list[Callable[[], object]] = []
    done: list[Callable[[], object]] = []
    old, new = _file(provider.id), _file(id)
    try:
        for path, value in written.items():
            if value == f"{{keyring:{SERVICE}/{provider.id}}}":
                _check_unused(_get(id), id, "the keyring")
                for name in ("", ORIGIN):
                    undo.append(partial(_set, id + name, None))
                    _set(id + name, _get(provider.id + name))
                    done.append(partial(_set, provider.id + name, None))
                references[path] = f"{{keyring:{SERVICE}/{id}}}"
            elif old and new and value.startswith("{file:") and value.endswith(f"keys/{provider.id}}}"):
                _check_unused(files.content_of(new), id, "a file")
                for name in ("", ORIGIN):
                    source, target = old.with_name(old.name + name), new.with_name(new.name + name)
                    undo.append(partial(_restore, target, None))
                    _restore(target, files.content_of(source))
                    done.append(partial(_restore, source, None))
                references[path] = f"{value.removesuffix(f'{provider.id}}}')}{id}}}"
        yield references
    except BaseException:
        for step in undo:
            step()
        raise
    for step in done if moves else ():
        step()


def _check_unused(stored: object, id: str, where: str) -> None:
    if stored is not None:
        raise ConfigError(f'a key for "{id}" is already stored in {where}', hint="choose another ID")


def _written(provider: ProviderEntry) -> dict[Keys, str]:
    """The provider's keys in the config file, by their path in its table."""
    places: dict[Keys, str | None] = {("api_key_env" if provider.api_key_env else "api_key",): provider.api_key}
    places |= {("env", name): provider.env.get(name) for name in key_names(provider)}
    return {path: value.strip() for path, value in places.items() if value and value.strip()}


def _refer(config: Config, provider: ProviderEntry, reference: str) -> None:
    """Write the reference and remove a key from the config file."""
    changes: dict[Keys, object] = dict.fromkeys(_written(provider))
    if provider.auth:  # with "none" the key would not be used
        changes[("auth",)] = None
    changes[("api_key",)] = reference
    apply(lambda edit: _change(edit, provider.id, changes), config.path)


def _change(edit: Edit, id: str, changes: dict[Keys, object]) -> None:
    change_provider(edit, id, changes)


def _get(name: str) -> str | None:
    return system_keyring.get(SERVICE, name)


def _set(name: str, value: str | None) -> None:
    _put(SERVICE, name, value)


def _put(service: str, user: str, value: str | None) -> None:
    if value is None:
        system_keyring.remove(service, user)
    else:
        system_keyring.put(service, user, value)


def _file(id: str) -> Path | None:
    """The key file of a provider; None if its ID is not a valid file name."""
    plain = id not in ("", ".", "..") and not set(id) & set('/\\:*?"<>|\0{}') and id.isprintable()
    return keys_folder() / id if plain and not id.endswith(ORIGIN) else None


def _forget_file(id: str) -> list[str]:
    path = _file(id)
    if path is None or not path.exists():
        return []
    for file in (path, path.with_name(path.name + ORIGIN)):
        _restore(file, None)
    return [str(path)]


def _restore(file: Path, content: bytes | None) -> None:
    if content is None:
        file.unlink(missing_ok=True)
    else:
        files.replace(file, files.content_of(file), content)
