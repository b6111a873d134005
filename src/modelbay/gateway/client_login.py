"""A client's own login at a vendor, such as that of Claude Code: where it may go.

A program that is logged in to its vendor sends this login to every base URL. It is not a key of the gateway, and the gateway
never uses it for another request: it is sent on with the request that it came with, or not at all. All of these are required:

- The client's key is in `x-modelbay-key`, so that the login cannot be taken for it.
- The client speaks the protocol of the model's provider, and the provider's preset says that the vendor issues such logins.
- The endpoint is at the vendor's own origin, whose certificate is verified.

Then it replaces the credential of the provider's entry, which is not read, and is not a second attempt. An error is the client's
to handle: it renews a login that expired.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from modelbay.calling.opened import Sending
from modelbay.calling.target import Target
from modelbay.credentials.credential import AUTH_HEADERS, Credential, is_key
from modelbay.gateway.client_request import ClientRequest
from modelbay.origin import origin
from modelbay.providers.upstream import Upstream
from modelbay.secrecy import Hidden

KEY = "x-modelbay-key"
"""The header for the client's key, if another header has the login. Lower case."""
NAMES = {"user-agent": "User-Agent", "x-app": "X-App"}
"""Headers in which the program names itself. They go with its login: the vendor must see whose request it is."""
_SCHEME = "bearer "


def brought(headers: Mapping[str, str]) -> Hidden | None:
    """The token that a request has beside its client's key; None if it has none. Names of headers are in lower case."""
    value = headers.get("authorization", "")
    token = value[len(_SCHEME) :].strip() if value[: len(_SCHEME)].lower() == _SCHEME else ""
    return Hidden(token) if is_key(token) else None


def for_call(request: ClientRequest, target: Target) -> Hidden | None:
    """The login to use for a call of a target; None if the credential of its provider's entry is used."""
    return request.login if request.login and may_go(request.login, request.protocol, target.upstream) else None


def may_go(login: str, protocol: str, to: Upstream) -> bool:
    """Whether the login of a client that speaks `protocol` may be sent to an upstream."""
    preset, tls = to.preset, to.provider.tls
    if preset is None or not login.startswith(tuple(preset.client_logins)):
        return False
    vendor = preset.url(to.protocol)
    return (
        to.protocol == protocol
        and vendor is not None
        and to.origin == origin(vendor)
        and to.origin.scheme == "https"
        and not (tls is not None and tls.insecure)
    )


def without_credential(target: Target) -> Target:
    """The target without its provider's own credential, and without headers that name another program."""
    to = target.upstream
    left_out = AUTH_HEADERS | NAMES.keys()
    headers = {name: value for name, value in to.provider.custom_headers.items() if name.lower() not in left_out}
    entry = replace(to.provider, auth="none", custom_headers=headers)
    return Target(target.entry, replace(to, provider=entry), target.model)


def lend(sending: Sending, login: str, headers: Mapping[str, str]) -> None:
    """Add a login to a call to such a target. Its endpoint is a copy, which ends with the call. `headers`: the client's."""
    sending.endpoint = replace(sending.endpoint.with_token(login), credential=Credential("client", KEY))
    sending.call.headers |= {written: headers[name] for name, written in NAMES.items() if name in headers}
