"""Google's token endpoint, on loopback and in a thread of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs

from tests.servers.loopback import Handler, served


class TokenServer:
    """Grants `TOKEN`, or refuses, and keeps the forms that it was sent."""

    TOKEN = "ya29.token-of-google"

    def __init__(self, url: str) -> None:
        self.url = url
        self.refuse = False
        self.forms: list[dict[str, str]] = []

    @property
    def grants(self) -> list[str]:
        """The kinds of grant that it was asked for."""
        return [form["grant_type"].rpartition(":")[2] for form in self.forms]


@contextmanager
def token_server() -> Iterator[TokenServer]:
    class Answering(Handler):
        def do_POST(self) -> None:
            made.forms.append({name: values[0] for name, values in parse_qs(self.body().decode()).items()})
            said = b'{"error":"invalid_grant","error_description":"Token has been expired or revoked."}'
            if not made.refuse:
                said = b'{"access_token":"%b","expires_in":3599,"token_type":"Bearer"}' % made.TOKEN.encode()
            self.answer(400 if made.refuse else 200, said)

    with served(Answering) as url:
        made = TokenServer(f"{url}/token")
        yield made
