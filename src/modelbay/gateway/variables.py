"""The environment variables that a gateway depends on."""

from modelbay.config.schema import Config
from modelbay.credentials.approval import references_in
from modelbay.secrecy import REFERENCE
from modelbay.storage.paths import environment

PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")


def shell_variables(config: Config) -> list[str]:
    """The variables that a configuration refers to, and the proxies in the environment."""
    entries = [*config.providers.values(), *config.models.values(), *([config.network] if config.network else [])]
    found = [REFERENCE.fullmatch(reference) for reference in references_in(entries)]
    names = [match[2].strip() for match in found if match and match[1] == "env"]
    proxies = [name for name in (*PROXIES, *map(str.lower, PROXIES)) if environment(name)]
    return list(dict.fromkeys(names + proxies))
