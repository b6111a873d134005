"""A secret: text that never appears in a log, error, repr or JSON output."""

from typing import NoReturn

from modelbay import secrecy
from modelbay.origin import Origin


class Secret:
    """A secret and the origin it is bound to. Only `reveal` returns it; callers must send it to `origin` only."""

    __slots__ = ("_value", "origin")

    def __init__(self, value: str, origin: Origin, *, known: bool = False) -> None:
        """Create a secret. With `known`, the value is already registered, or not secret, and is not masked in output."""
        self._value = secrecy.Hidden(value)
        self.origin = origin
        if not known:
            secrecy.register(value)

    def reveal(self) -> str:
        """The value, as text whose `repr` is masked."""
        return self._value

    def prefixed(self, text: str) -> "Secret":
        """The secret with `text` in front, such as "Bearer "."""
        return Secret(text + self._value, self.origin, known=True)  # the secret part is registered already

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (self._value, self.origin) == (other._value, other.origin)

    def __hash__(self) -> int:
        return hash((self._value, self.origin))

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, _: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")
