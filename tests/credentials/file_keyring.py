"""Keyrings in a file, for machines without one: `PYTHON_KEYRING_BACKEND=file_keyring.Keyring`, `FILE_KEYRING=PATH`."""

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError


class Keyring(KeyringBackend):
    priority = 1

    def _all(self) -> dict[str, str]:
        path = Path(os.environ["FILE_KEYRING"])
        found: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def _keep(self, passwords: dict[str, str]) -> None:
        Path(os.environ["FILE_KEYRING"]).write_text(json.dumps(passwords))

    def get_password(self, service: str, username: str) -> str | None:
        return self._all().get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._keep({**self._all(), f"{service}/{username}": password})

    def delete_password(self, service: str, username: str) -> None:
        passwords = self._all()
        if passwords.pop(f"{service}/{username}", None) is None:
            raise PasswordDeleteError
        self._keep(passwords)


class ShortKeyring(Keyring):
    """Silently shortens long secrets."""

    priority = 1

    def set_password(self, service: str, username: str, password: str) -> None:
        super().set_password(service, username, password[:30])
