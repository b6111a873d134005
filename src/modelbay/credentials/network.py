"""Creates the transport from `[network]`: proxy (its password stays secret) and CA bundle."""

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
        ConfigError: `[network]` is invalid. Nothing is sent then, as it may forbid network access.
    """
    from modelbay.transport import Transport

    network = config.network
    if network is None:
        raise config.invalid("network", "fix it; nothing is sent until then")
    proxy = network.proxy
    if is_foreign(config) and (network.ca or (proxy and proxy.lower() != NONE)):
        # proxy and CA bundle together could decrypt every call, including those with credentials of this machine
        raise ConfigError(
            f"{config.path} is not from modelbay's home; proxy and ca in its [network] are not allowed",
            hint="remove them from that file; use HTTPS_PROXY, or `proxy` of a provider, instead",
            file=str(config.path),
        )
    if proxy is not None and proxy.lower() != NONE:
        proxy = resolve_reference(proxy, config, ())
    found = proxies(proxy)
    for url in found.urls:
        register_url(url)
    ca = None if network.ca is None else str(config.path.parent / expanded(network.ca))
    return Transport(found, ca, offline=network.offline)
