"""The transport that `[network]` describes: its proxy, whose password nothing shows, and its CA bundle."""

from typing import TYPE_CHECKING

from modelbay.config.proxies import NONE, proxies
from modelbay.config.schema import Config
from modelbay.credentials.approval import is_foreign
from modelbay.credentials.reference import resolve_reference
from modelbay.errors import ConfigError
from modelbay.secrecy import register_url
from modelbay.storage.paths import expanded

if TYPE_CHECKING:
    from modelbay.transport import Transport


def transport_of(config: Config) -> "Transport":
    """A transport for the calls of a configuration.

    Raises:
        ConfigError: `[network]` cannot be used. Nothing is sent then: it may say that nothing must be.
    """
    from modelbay.transport import Transport

    network = config.network
    if network is None:
        problem = next((problem for problem in config.problems if problem.where.startswith("network")), None)
        raise ConfigError(
            f"[network] cannot be used: {problem or 'expected a table'}",
            hint="fix it: nothing is sent before",
            file=str(config.path),
            line=problem.line if problem else None,
        )
    proxy = network.proxy
    if is_foreign(config) and (network.ca or (proxy and proxy.lower() != NONE)):
        # together they could read every call, also those with credentials of this machine
        raise ConfigError(
            f"{config.path} comes from elsewhere, and the proxy and CA bundle of its [network] are not used",
            hint="remove them from that file; HTTPS_PROXY of the environment is used, and `proxy` of a provider in it",
            file=str(config.path),
        )
    if proxy is not None and proxy.lower() != NONE:
        proxy = resolve_reference(proxy, config, ())
    found = proxies(proxy)
    for url in found.urls:
        register_url(url)
    ca = None if network.ca is None else str(config.path.parent / expanded(network.ca))
    return Transport(found, ca, offline=network.offline)
