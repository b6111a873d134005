"""TLS files that change while a program runs."""

import ssl
from pathlib import Path

import pytest
import trustme

from modelbay.config.schema import Tls
from modelbay.transport import Transport
from tests.faults.calls import post
from tests.faults.raw_server import Client, RawServer, reply

pytestmark = pytest.mark.usefixtures("either_client")


def write(authority: trustme.CA, cert: Path, key: Path) -> None:
    issued = authority.issue_cert("client@example.org")
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)


async def test_a_renewed_client_certificate_is_used(tmp_path: Path) -> None:
    """Short-lived ones are renewed every day, and a gateway runs for weeks."""
    authority = trustme.CA()
    ca, cert, key = tmp_path / "ca.pem", tmp_path / "cert.pem", tmp_path / "key.pem"
    authority.cert_pem.write_to_path(ca)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    numbers = list[str]()

    async def script(client: Client) -> None:
        await client.request()
        numbers.append(client.writer.get_extra_info("peercert")["serialNumber"])
        await client.send(reply(b"ok", 200, "Connection: close"))

    async def ask() -> None:
        assert await (await transport.send(post(server.url, tls=tls))).read() == b"ok"

    tls = Tls(ca=str(ca), cert=str(cert), key=str(key))
    write(authority, cert, key)
    async with RawServer(script, context) as server, Transport() as transport:
        await ask()
        await ask()
        write(authority, cert, key)
        await ask()
        cert.write_text("half of a certifi")
        await ask()
    assert numbers[0] == numbers[1] != numbers[2] == numbers[3]
