"""Checks a configuration without sending anything. Each problem has its line and a hint."""

import stat
import sys

from msgspec.structs import replace

from modelbay.catalog.facts import CAPABILITIES, INPUTS
from modelbay.config.proxies import NONE
from modelbay.config.schema import (
    CATALOG,
    MANIFEST,
    MODEL_SOURCES,
    REGISTRY,
    Config,
    ModelEntry,
    OAuth,
    Problem,
    ProviderEntry,
    Table,
    key_text,
)
from modelbay.config.toml.lines import line_of
from modelbay.credentials.approval import place_of
from modelbay.credentials.credential import may_block
from modelbay.credentials.reference import may_ask, resolve_reference
from modelbay.credentials.tokens import name_of
from modelbay.errors import ConfigError, UnknownModel
from modelbay.origin import origin
from modelbay.protocols.efforts import LEVELS, OFF, ON
from modelbay.providers import presets
from modelbay.providers.endpoint import endpoint_at, models_endpoint
from modelbay.providers.logins import flow_of
from modelbay.providers.search_backends import asks_for_key, search_endpoint
from modelbay.providers.upstream import upstream
from modelbay.secrecy import REFERENCE
from modelbay.storage import files
from modelbay.storage.paths import STDIN, expanded
from modelbay.transport.request import SOCKS

PROXY_SCHEMES = ("http", "https", "socks", *SOCKS)
SOURCE_KINDS = (MANIFEST, CATALOG, REGISTRY)


def config_problems(config: Config) -> list[Problem]:
    """The problems of a configuration, in the order of the file, and those of the user's vendor files. Nothing is sent, and no
    keyring or command is used.
    """
    text = (files.content_of(config.path) or b"").decode("utf-8-sig", "replace") if config.exists else ""
    check = _ConfigCheck(config, text)
    check.permissions()
    check.default_model()
    check.network()
    check.search()
    check.refresh_interval()
    check.names()
    check.efforts()
    for provider in config.providers.values():
        check.provider(provider)
    for model in config.models.values():
        check.model(model)
    check.problems = [replace(problem, hint=problem.hint or check.fix(problem)) for problem in check.problems]
    return sorted(check.problems, key=lambda problem: problem.line or 0) + presets.problems()


class _ConfigCheck:
    def __init__(self, config: Config, text: str) -> None:
        self._config = config
        self._text = text
        self._unusable: set[str] = set()
        self.problems = list(config.problems)

    def permissions(self) -> None:
        if self._config.exists and self._config.path != STDIN and sys.platform != "win32":
            mode = stat.S_IMODE(self._config.path.stat().st_mode)
            if mode & 0o077 and any(entry.api_key or entry.env for entry in self._config.providers.values()):
                message = f"other users can read its API keys (mode {mode:04o})"
                self._report((), message, f"chmod 600 {self._config.path}")

    def default_model(self) -> None:
        config = self._config
        named: list[tuple[tuple[str, ...], str | None]] = [(("default_model",), config.default_model)]
        named += [(("providers", id, "default_model"), entry.default_model) for id, entry in config.providers.items()]
        for keys, name in named:
            if name:
                try:
                    config.model(name)
                except UnknownModel as error:
                    self._report(keys, error.message.removesuffix(f" in {config.path}"), error.hint)
        if config.default_provider and config.default_provider not in config.providers:
            self._report(("default_provider",), f'unknown provider "{config.default_provider}"', None)

    def network(self) -> None:
        """Check `[network]`, which every request depends on."""
        network = self._config.network
        if network is None:
            return
        self._proxy(("network", "proxy"), network.proxy, bare=True)
        self._file(("network", "ca"), network.ca)

    def search(self) -> None:
        """Check `[gateway.search]`: whether it can be used, and its key be read."""
        search = self._config.gateway.search if self._config.gateway is not None else None
        if search is None:
            return
        if self._config.network is not None and self._config.network.offline:
            hint = "remove `offline` from [network], or remove this table"
            self._report(("gateway", "search"), "all searches fail: offline is set in [network]", hint)
        if asks_for_key(search):
            return
        try:
            search_endpoint(self._config, search)
        except ConfigError as error:
            self._report(("gateway", "search"), self._shortly(error), error.hint)

    def refresh_interval(self) -> None:
        table = self._config.extra.get("model_catalog")
        written = table.get("refresh_interval_ms", 0) if isinstance(table, dict) else 0
        if isinstance(written, bool) or not isinstance(written, int | float) or written < 0:
            keys = ("model_catalog", "refresh_interval_ms")
            self._report(
                keys, "expected a number of milliseconds, at least 0", "use 86400000 for a day, or 0 for never"
            )

    def names(self) -> None:
        """Check for aliases that several models have: only one of them can be reached."""
        owners = {alias: alias for alias in self._config.models}
        for model in self._config.models.values():
            for name in model.aliases:
                owner = owners.setdefault(name, model.alias)
                if owner != model.alias:
                    self._report(
                        ("models", model.alias, "aliases"),
                        f'"{name}" is also an alias of {owner}',
                        "remove it from one of them",
                    )

    def efforts(self) -> None:
        """Check for reasoning efforts that no protocol, vendor or configured model has."""
        models = self._config.models.values()
        dialects = [preset.dialect for preset in presets.all()]
        dialects += [entry.dialect for entry in self._config.providers.values() if isinstance(entry.dialect, dict)]
        tables = [table for dialect in dialects if isinstance(table := dialect.get("efforts"), dict)]
        known = {*OFF, *ON, *LEVELS, *(word for table in tables for word in (*table, *map(str, table.values())))}
        known |= {
            word.strip().lower() for one in models for word in (*(one.support_efforts or ()), one.off_effort or "")
        }
        named: list[tuple[tuple[str, ...], str | None]] = [(("thinking", "effort"), self._config.thinking.effort)]
        named += [(("models", model.alias, "default_effort"), model.default_effort) for model in models]
        for keys, word in named:
            if word is not None and word.strip().lower() not in known:
                self._report(keys, f'unknown effort "{word}"', f"use one of: off, {', '.join(LEVELS)}")

    def _proxy(self, keys: tuple[str, ...], written: str | None, *, bare: bool = False) -> None:
        """Check the URL of a proxy. `bare`: a host and port without a scheme are valid."""
        if written is None or written.lower() == NONE or may_ask(written):
            return
        try:
            proxy = resolve_reference(written, self._config, ())
            if proxy.partition("://")[0].lower() not in PROXY_SCHEMES and "://" in proxy:
                raise ValueError(proxy)
            place_of(proxy if "://" in proxy or not bare else f"http://{proxy}")
        except ConfigError as error:
            self._report(keys, self._shortly(error), error.hint)
        except ValueError:
            self._report(
                keys, "not the URL of a proxy", "write http://HOST:PORT; https, socks4 and socks5 are also supported"
            )

    def _file(self, keys: tuple[str, ...], name: str | None) -> None:
        """Check a PEM file."""
        if name is None:
            return
        path = self._config.path.parent / expanded(name)
        try:
            if b"-----BEGIN " not in path.read_bytes():
                self._report(keys, f"{path} is not a PEM file", "convert it: PEM files begin with -----BEGIN")
        except OSError as error:
            self._report(keys, f"{path} cannot be read: {error.strerror}", "correct the path, or remove the key")

    def provider(self, entry: ProviderEntry) -> None:
        keys = ("providers", entry.id)
        self._proxy((*keys, "proxy"), None if entry.proxy and REFERENCE.search(entry.proxy) else entry.proxy)
        if entry.model_source not in {None, *MODEL_SOURCES}:
            hint = f"use one of: {', '.join(MODEL_SOURCES)}"
            self._report((*keys, "model_source"), f'unknown value "{entry.model_source}"', hint)
        self._source((*keys, "source"), entry.source or {})
        self._login((*keys, "oauth"), entry.oauth, entry.id)
        if entry.tls is not None:
            for name in ("ca", "cert", "key"):
                self._file((*keys, "tls", name), getattr(entry.tls, name))
        try:
            found = upstream(self._config, entry)
            if (ended := presets.ended_at(found.base_url)) is not None:
                self._report(keys, f"all calls fail: {ended.end}", ended.instead)
            if not may_block(entry, None):
                models_endpoint(self._config, entry) or endpoint_at(self._config, found, "/chat/completions")
        except ConfigError as error:
            self._unusable.add(entry.id)
            self._report(keys, self._shortly(error), error.hint)

    def _source(self, keys: tuple[str, ...], source: Table) -> None:
        """Check the source that a refresh reads."""
        kind, url = source.get("kind"), source.get("url")
        if kind is not None and kind not in SOURCE_KINDS:
            self._report((*keys, "kind"), f'unknown value "{kind}"', f"use one of: {', '.join(SOURCE_KINDS)}")
        elif kind == REGISTRY and not url:
            self._report(keys, "`url` is missing", 'add url = "..." with the URL of the registry, or remove the table')
        elif url:
            try:
                origin(url.strip())
            except ValueError as error:
                self._report((*keys, "url"), str(error), "correct the URL, or remove the table")

    def _login(self, keys: tuple[str, ...], oauth: OAuth | None, provider: str) -> None:
        """Check the name and the endpoints of a login."""
        try:
            if oauth is not None:
                name_of(oauth)
                flow_of(oauth, provider)
        except ConfigError as error:
            self._report(keys, self._shortly(error), error.hint)

    def model(self, entry: ModelEntry) -> None:
        keys = ("models", entry.alias)
        self._login((*keys, "oauth"), entry.oauth, entry.provider)
        for word in entry.capabilities:
            if word.strip().lower() not in CAPABILITIES:
                known = ", ".join(sorted(CAPABILITIES))
                self._report((*keys, "capabilities"), f'unknown capability "{word}"', f"use one of: {known}")
        for side in ("input", "output"):
            for word in getattr(entry.modalities, side, None) or ():
                if word not in {"text", *INPUTS}:
                    hint = f"use one of: text, {', '.join(INPUTS)}"
                    self._report((*keys, "modalities", side), f'unknown {side} type "{word}"', hint)
        if entry.provider in self._unusable:
            return
        try:
            provider = self._config.provider_of(entry)
            found = upstream(self._config, provider, entry)
            if not may_block(provider, entry):
                endpoint_at(self._config, found, "/chat/completions")
        except ConfigError as error:
            self._report(keys, self._shortly(error), error.hint)

    def fix(self, problem: Problem) -> str:
        """The hint for a problem without its own."""
        if problem.where.endswith(".provider"):
            known = ", ".join(self._config.providers) or "none"
            return f"use another provider, or fix or add this one; usable providers: {known}"
        return "correct the value, or remove the key"

    def _shortly(self, error: ConfigError) -> str:
        """The message without the path of the file, which is printed before it."""
        return error.message.replace(f" in {self._config.path}", "")

    def _report(self, keys: tuple[str, ...], message: str, hint: str | None) -> None:
        where = ".".join(map(key_text, keys)) or "the file"
        named, colon, rest = message.partition(": ")
        if colon and named.startswith(f"{where}."):  # the message names the key itself
            where, message = named, rest
        self.problems.append(
            Problem(
                file=str(self._config.path),
                line=line_of(self._text, *keys) if keys else None,
                where=where,
                message=message,
                hint=hint,
            )
        )
