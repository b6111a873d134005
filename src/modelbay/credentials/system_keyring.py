"""The system keyring. The only module that imports the `keyring` package.

Its backend depends on the user's configuration and on plug-ins, so an import or a call may raise anything: an unknown
backend is a ModuleNotFoundError, a broken keyringrc.cfg a configparser.Error. Every exception becomes `NoKeyring`.
"""

from collections.abc import Callable
from typing import TypeVar

from modelbay.errors import ConfigError

T = TypeVar("T")

FILES = "store secrets in files: `modelbay key set --file`, `modelbay login --file`"
HINT = f"unlock the keyring, or {FILES}"


class NoKeyring(ConfigError):
    """The keyring is not available."""


def usable() -> bool:
    """Whether this machine has a keyring that stores secrets. False if the configured backend does not load."""

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
    """A secret, or None if missing. Raises `NoKeyring`."""

    def read() -> str | None:
        import keyring

        return keyring.get_password(service, user)

    return _asked(read)


def put(service: str, user: str, secret: str) -> None:
    """Store a secret and read it back: some backends lose or shorten it silently.

    Raises:
        NoKeyring: the keyring is not available, or it returns another value.
    """

    def write() -> None:
        import keyring

        keyring.set_password(service, user, secret)

    _asked(write)
    if get(service, user) != secret:
        raise NoKeyring(f"the keyring did not store {service}/{user}", hint=FILES)


def remove(service: str, user: str) -> bool:
    """Remove a secret. Returns whether it existed. Raises `NoKeyring`."""

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
        if isinstance(error, ModuleNotFoundError) and error.name == "keyring":  # an installation of the library alone
            raise NoKeyring(
                "the package keyring is not installed", hint=f"install it with `pip install keyring`, or {FILES}"
            ) from None
        why = str(error) or type(error).__name__
        raise NoKeyring(f"the keyring is not available: {why}", hint=HINT) from error
