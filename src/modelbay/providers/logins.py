"""Resolves a login from an `oauth` table or a vendor's preset: storage and endpoints of its tokens."""

import hashlib
import json
from urllib.parse import urljoin

from modelbay.config.schema import OAuth, ProviderEntry, Table
from modelbay.credentials import tokens
from modelbay.credentials.oauth import Flow
from modelbay.errors import ConfigError
from modelbay.origin import Origin, origin
from modelbay.providers import presets
from modelbay.providers.vendor import LoginMethod


def by_id(id: str) -> LoginMethod | None:
    return next((login for _, login in presets.logins() if login.id == id), None)


def managing(entry: ProviderEntry) -> LoginMethod | None:
    """The vendor's login that wrote a provider entry and manages it; None for an entry of the user."""
    if entry.oauth is None:
        return None
    stem = entry.oauth.key.partition("-env-")[0]
    mine = [login for _, login in presets.logins() if (login.key, login.provider) == (stem, entry.id)]
    return next((login for login in mine if login.host == entry.oauth.oauth_host), mine[0] if mine else None)


def by_key(key: str) -> LoginMethod | None:
    """The vendor's login whose tokens are stored under `key`, or under a key derived from it for another host."""
    stem = key.partition("-env-")[0]
    return next((login for _, login in presets.logins() if login.key == stem), None)


def login_of(oauth: OAuth, provider: str, where: Origin) -> tokens.Login:
    """The login of an `oauth` table of a provider or model. Its token is sent to `where`.

    Raises:
        ConfigError: the key is not a valid name, or the login server's URL is missing or not safe.
    """
    flow = flow_of(oauth, provider)
    usual = _usual(oauth, flow, where)
    return tokens.Login(tokens.name_of(oauth), flow, oauth.storage, str(where), provider, usual)


def _usual(oauth: OAuth, flow: Flow, where: Origin) -> bool:
    """Whether login server and provider are those of a built-in vendor for this key."""
    return any(
        oauth_table(login)["key"].removeprefix("oauth/") == oauth.key.removeprefix("oauth/")
        and login.base_url is not None
        and origin(login.base_url) == where
        and flow.token_url == urljoin(login.host + "/", login.token_path)
        for preset, login in presets.logins()
        if login.by == "device" and preset.file is None
    )


def flow_of(oauth: OAuth, provider: str) -> Flow:
    """The OAuth endpoints of an `oauth` table. Raises what `login_of` raises."""
    known = by_key(oauth.key)
    host = oauth.oauth_host or (known.host if known else "")
    device = oauth.device_url or (known.device_path if known else "")
    token = oauth.token_url or (known.token_path if known else "")
    client = oauth.client_id or (known.client_id if known else "")
    missing = [
        name for name, value in (("device_url", device), ("token_url", token), ("client_id", client)) if not value
    ]
    if missing:
        raise ConfigError(
            f'provider "{provider}" cannot log in: missing in its oauth table: {", ".join(missing)}',
            hint=f"add {missing[0]} to it",
            provider=provider,
        )
    return Flow(
        _address(host, device, provider),
        _address(host, token, provider),
        client,
        oauth.scope or (known.scope if known else None),
        _address(host, oauth.revoke_url, provider) if oauth.revoke_url else None,
    )


def oauth_table(
    login: LoginMethod, *, host: str | None = None, base_url: str | None = None, storage: str = "file"
) -> Table:
    """The `oauth` table of a vendor's login, in Kimi Code's form. Another host or base URL makes it a separate login."""
    host, base_url = (host or login.host).rstrip("/"), (base_url or login.base_url or "").rstrip("/")
    usual = by_key(login.key) or login
    if (host, base_url) == (usual.host, usual.base_url):
        return {"storage": storage, "key": login.key}
    words = json.dumps({"oauthHost": host, "baseUrl": base_url}, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(words.encode()).hexdigest()[:16]
    return {"storage": storage, "key": f"{login.key}-env-{digest}", "oauth_host": host}


def _address(host: str, path: str, provider: str) -> str:
    url = urljoin(host.rstrip("/") + "/", path) if host else path
    try:
        where = origin(url)
    except ValueError as error:
        raise ConfigError(
            f'provider "{provider}": oauth: {error}', hint="correct the URL in its oauth table", provider=provider
        ) from None
    if where.scheme != "https" and not where.loopback:
        raise ConfigError(
            f'provider "{provider}": login over http is not allowed: {where}',
            hint="use an https:// URL",
            provider=provider,
        )
    return url
