"""The system's keyring, as the `keyring` package finds it. The only module that imports that package.

Which backend it is, a user's configuration and installed plug-ins decide, so an import or a call may raise anything: an
unknown backend is a ModuleNotFoundError, a broken keyringrc.cfg a configparser.Error. Whatever it is becomes `NoKeyring`.
"""

from collections.abc import Callable
from typing import TypeVar

from modelbay.errors import ConfigError

T = TypeVar("T")

HINT = "unlock the keyring, or keep secrets in files: `modelbay key set --file`, `modelbay login --file`"


class NoKeyring(ConfigError):
    """The keyring does not answer."""


def usable() -> bool:
    """Whether this machine has a keyring that keeps what it is given. False if the configured one does not load."""

    def find() -> bool:
        import keyring
        from keyring.backends import fail, null

        backend = keyring.get_keyring()
        return not isinstance(backend, fail.Keyring | null.Keyring) and backend.priority > 0

    try:
        return _asked(find)
    except NoKeyring:
        return False


def get(service: str, user: str) -> str | None:
    """A secret, or None if there is none. Raises `NoKeyring`."""

    def read() -> str | None:
        import keyring

        return keyring.get_password(service, user)

    return _asked(read)


def put(service: str, user: str, secret: str) -> None:
    """Stores a secret. Raises `NoKeyring`."""

    def write() -> None:
        import keyring

        keyring.set_password(service, user, secret)

    _asked(write)


def remove(service: str, user: str) -> bool:
    """Removes a secret; whether there was one. Raises `NoKeyring`."""

    def delete() -> bool:
        import keyring
        from keyring.errors import PasswordDeleteError

        try:
            keyring.delete_password(service, user)
        except PasswordDeleteError:
            return False
        return True

    return _asked(delete)


def _asked(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except Exception as error:
        why = str(error) or type(error).__name__
        raise NoKeyring(f"The keyring does not answer: {why}", hint=HINT) from error
