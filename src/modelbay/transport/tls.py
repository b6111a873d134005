"""TLS contexts, one for each settings, with the sessions of servers that were connected to before."""

import asyncio
import ssl

from modelbay.config.schema import Tls
from modelbay.errors import ConfigError
from modelbay.storage.files import identity
from modelbay.storage.paths import expanded


class TlsContexts:
    """The TLS contexts of a transport. `ca`: the path of a CA bundle to trust in addition."""

    def __init__(self, ca: str | None) -> None:
        self._ca = ca
        self._known: dict[Tls | None, tuple[list[object], ssl.SSLContext]] = {}
        """Each with the identities of its files."""

    def of(self, tls: Tls | None) -> ssl.SSLContext:
        """The context for TLS settings. A file that changed is read again: certificates are renewed while a gateway runs.

        Raises:
            ConfigError: a file cannot be used, and no context was made before.
        """
        given = tls or Tls()
        names = [name for name in (self._ca, given.ca, given.cert, given.key) if name is not None]
        found: list[object] = [identity(expanded(name)) for name in names]
        known = self._known.get(tls)
        if known is not None and known[0] == found:
            return known[1]
        try:
            context = _context(given, self._ca)
        except ConfigError:
            if known is None:
                raise
            return known[1]  # certificate and key are replaced one after the other
        self._known[tls] = found, context
        return context


def keep_session(transport: asyncio.BaseTransport) -> None:
    """Keep the TLS session of a connection for the next one to the same host. With TLS 1.3, a server sends it after the
    handshake, so call this after a reply."""
    connection = transport.get_extra_info("ssl_object")
    if isinstance(connection, _Resuming) and connection.server_hostname:
        session = connection.session
        if session is not None and session.has_ticket:
            connection.sessions[connection.server_hostname] = session


class _Resuming(ssl.SSLObject):
    """The TLS side of a connection, which resumes the last session with its host: half the handshake."""

    sessions: dict[str, ssl.SSLSession]
    """By host name. The certificate that a session stands for was verified by the same context."""

    _begun = False

    def do_handshake(self) -> None:
        if not self._begun:  # it is called again for each message of the handshake
            self._begun = True
            known = self.sessions.get(self.server_hostname or "")
            if known is not None:
                self.session = known
        super().do_handshake()


def _resuming(context: ssl.SSLContext) -> ssl.SSLContext:
    context.sslobject_class = type("_ResumingHere", (_Resuming,), {"sessions": {}})
    return context


def _context(tls: Tls, ca: str | None) -> ssl.SSLContext:
    file = tls.ca
    try:
        context = ssl.create_default_context(cafile=tls.ca and expanded(tls.ca))
        if ca is not None and tls.ca is None:
            file = ca
            context.load_verify_locations(ca)
        if tls.cert is not None:
            file = tls.cert
            key = None if tls.key is None else expanded(tls.key)
            # without an explicit password, OpenSSL would prompt for one on the terminal
            context.load_cert_chain(expanded(tls.cert), key, password="")
    except OSError as error:
        why = "not a valid PEM file" if isinstance(error, ssl.SSLError) else (error.strerror or "unreadable").lower()
        if tls.cert is not None and file == tls.cert:
            file, why = _unusable(tls.cert, tls.key or tls.cert, error) or (file, why)
        hint = "tls.ca, tls.cert and tls.key must be PEM files; the key must have no password"
        raise ConfigError(f"{file} cannot be loaded: {why}", hint=hint) from None
    context.set_alpn_protocols(["http/1.1"])
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return _resuming(context)


def _unusable(cert: str, key: str, error: OSError) -> tuple[str, str] | None:
    """Which file of a client certificate and its key is unusable, and why, which OpenSSL does not say; None if it is not known."""
    content = b""
    for file, kind, mark in (
        (cert, "certificate", b"-----BEGIN CERTIFICATE"),
        (key, "private key", b"PRIVATE KEY-----"),
    ):
        try:
            content = expanded(file).read_bytes()
        except OSError as unread:
            return file, (unread.strerror or "unreadable").lower()
        if mark not in content:
            return file, f"it has no {kind} in PEM form"
    if b"ENCRYPTED" in content:
        return key, "the key has a password"
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return key, f"it is not the key of {cert}"
    return None
