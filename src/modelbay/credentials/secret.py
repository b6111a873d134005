"""A secret: text that no log, error, repr or JSON output shows."""

from typing import NoReturn

from modelbay import secrecy
from modelbay.origin import Origin


class Secret:
    """A value and the origin it is bound to. Only `reveal` gives it away; who calls that sends it to `origin` only."""

    __slots__ = ("_value", "origin")

    def __init__(self, value: str, origin: Origin, *, known: bool = False) -> None:
        """`known`: it stands where secrets may, and is none; it is not looked for in texts."""
        self._value = secrecy.Hidden(value)
        self.origin = origin
        if not known:
            secrecy.register(value)

    def reveal(self) -> str:
        """The value, as text whose `repr` is masked."""
        return self._value

    def prefixed(self, text: str) -> "Secret":
        """The secret with `text` before it, as "Bearer "."""
        return Secret(text + self._value, self.origin, known=True)  # what is secret in it is registered

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
        raise TypeError("a Secret is not pickled")
