"""Codex: `config.toml` with `model_providers`, profiles in files beside it, and the key of OpenAI in `auth.json`.

Its tables of today: the Responses API only (`wire_api = "chat"` is an error), no profile in the file itself. Files of
before are read all the same.
"""

import shlex
from pathlib import Path
from urllib.parse import urlencode, urlsplit, urlunsplit

from msgspec import Struct, field

from modelbay.agents.agent import Agent, Arrival, Block, Import
from modelbay.agents.exporting import Departure
from modelbay.agents.findings import STAYS, Ledger
from modelbay.agents.importing import check, may_run
from modelbay.agents.layers import store
from modelbay.agents.rewriting import Entry, auth_headers, origin_text
from modelbay.agents.toml_file import layer
from modelbay.config.provider_types import TYPE_OF
from modelbay.config.schema import ModelEntry, Table
from modelbay.config.toml.scan import Keys
from modelbay.providers import presets
from modelbay.secrecy import REFERENCE, bare_url, secret_header, secret_parameter
from modelbay.storage.paths import environment, expanded

USUAL = "openai"
"""The provider that counts where none is named, and the only one with a setting of its own for its address."""
WIRES = {"responses": "openai_responses", "chat": "openai"}
ENDING = ".config.toml"
"""How the files of profiles end."""
ONE_OF: tuple[Keys, ...] = (
    ("env_key",), ("experimental_bearer_token",), ("auth",), ("requires_openai_auth",), *auth_headers("http_headers"),
    *auth_headers("env_http_headers"),
)  # fmt: skip
"""The settings of a provider of which Codex uses one as the key."""
SECRETS: tuple[Keys, ...] = (
    *ONE_OF, ("env_key_instructions",), ("http_headers",), ("env_http_headers",), ("query_params",)
)  # fmt: skip
"""What was given for its address."""
PROFILED = ("model", "model_provider")


def _home() -> Path:
    return expanded(environment("CODEX_HOME") or "~/.codex")


def _files() -> list[Path]:
    return [_home() / "config.toml"]


def _read(file: Path | None, keys: bool) -> Import:
    main = Ledger([layer(file or _files()[0], AGENT.title)], keys=keys, concerns=("model_providers", "profiles"))
    logins = store(_home() / "auth.json" if file is None else None, keys)
    beside = [] if file is not None else sorted(path for path in _home().glob(f"*{ENDING}") if path.is_file())
    profiles = [Ledger([layer(path, AGENT.title)], keys=keys) for path in beside]
    return _Reader(main, logins, profiles, may_run(file, _files())).read()


class _Reader(Struct):
    ledger: Ledger
    logins: Ledger
    profiles: list[Ledger]
    may_run: bool
    arrivals: dict[str, Arrival] = field(default_factory=dict)
    found: Import = field(default_factory=lambda: Import([]))

    def read(self) -> Import:
        ledger, found = self.ledger, self.found
        ledgers = (ledger, *self.profiles, self.logins)
        found.files = [layer.file for one in ledgers for layer in one.layers]
        for id in ledger.table("model_providers"):
            self._provider(id)
        selected = ledger.text("profile")
        profiles = ledger.table("profiles")
        # the settings of the selected profile come first, where several set up the same model
        aliases = {name: self._chosen(ledger, ("profiles", name), ledger) for name in profiles if name == selected}
        default = self._chosen(ledger, (), None)
        if any(ledger.get("profiles", selected or "", what) for what in PROFILED):
            default = aliases[selected or ""]
        for name in profiles:
            if name != selected:
                self._chosen(ledger, ("profiles", name), ledger)
            for what in PROFILED:
                ledger.approximate("profiles", name, what, why="its model is a model of ours; choose it with -m")
        if selected is not None and isinstance(ledger.get("profiles", selected), dict):
            ledger.exact("profile", why="its model is the default")
        ledger.unsupported("profile", why="there is no such profile")
        for one in self.profiles:
            self._chosen(one, (), ledger)
            for what in PROFILED:
                one.approximate(what, why="its model is a model of ours; choose it with -m")
        if self.logins.layers and USUAL not in self.arrivals and USUAL not in found.left_out:
            self._built_in(USUAL)
        self._login()
        for arrival in self.arrivals.values():
            at = ("model_providers", arrival.id)
            if why := check(arrival, ledger, lambda alias: ("model",)):
                found.left_out[arrival.id] = why
                ledger.revoke(*at, why=why)
            else:
                found.arrivals.append(arrival)
        found.default_model = default if any(default in arrival.models for arrival in found.arrivals) else None
        found.findings = [finding for one in ledgers for finding in one.findings()]
        return found

    def _provider(self, id: str) -> None:
        ledger, here = self.ledger, ("model_providers", id)
        if not isinstance(ledger.get(*here), dict) or ledger.get(*here, "aws") is not None:
            why = (
                "it signs its calls as AWS wants it, which modelbay does not"
                if ledger.get(*here, "aws")
                else "it is no table"
            )
            self.found.left_out[id] = why
            ledger.revoke(*here, why=why)
            return
        wire = ledger.text(*here, "wire_api") or "responses"
        if wire not in WIRES:
            self.found.left_out[id] = f'nobody knows the wire_api "{wire}"'
            ledger.revoke(*here, why=self.found.left_out[id])
            return
        ledger.exact(*here, "wire_api")
        arrival = Arrival(id, {"type": WIRES[wire]})
        self.arrivals[id] = arrival
        if name := ledger.text(*here, "name"):
            arrival.table["name"] = name
            ledger.exact(*here, "name")
        self._address(arrival, here)
        self._headers(arrival, here)
        self._key(arrival, here)
        idle = ledger.number(*here, "stream_idle_timeout_ms", least=1)
        if idle is not None:
            arrival.table["timeout"] = {"idle": idle / 1000}
            ledger.exact(*here, "stream_idle_timeout_ms")
        for name in ("request_max_retries", "stream_max_retries"):
            ledger.unsupported(*here, name, why="modelbay decides by the failure how often it tries again")
        for name in ("supports_websockets", "websocket_connect_timeout_ms"):
            ledger.unsupported(*here, name, why="modelbay streams over HTTP")

    def _address(self, arrival: Arrival, here: Keys) -> None:
        ledger = self.ledger
        url = ledger.text(*here, "base_url")
        if url is None:
            vendor = presets.by_id(arrival.id) or presets.by_id(USUAL)
            url = vendor.url("openai_responses") if vendor else None
        if url is None:
            return
        pairs = []
        for name in ledger.table(*here, "query_params"):
            path = (*here, "query_params", name)
            value = ledger.text(*path)
            if value is not None and (not secret_parameter(name, value) or ledger.secret(*path)):
                pairs.append((name, value))
                ledger.exact(*path)
        parts = urlsplit(url)
        joined = "&".join(part for part in (parts.query, urlencode(pairs)) if part)
        bare = bare_url(url)
        if bare != url and not ledger.keys:
            ledger.approximate(*here, "base_url", why=STAYS)
            parts = urlsplit(bare)
            joined = "&".join(part for part in (parts.query, urlencode(pairs)) if part)
        ledger.exact(*here, "base_url")
        arrival.table["base_url"] = urlunsplit(parts._replace(query=joined))

    def _headers(self, arrival: Arrival, here: Keys) -> None:
        ledger = self.ledger
        headers = {}
        for name in ledger.table(*here, "http_headers"):
            path = (*here, "http_headers", name)
            value = ledger.text(*path)
            if value is None:
                continue
            if secret_header(name, value) and not ledger.secret(*path):
                arrival.keyless = "its key is in a header"
                continue
            headers[name] = value
            ledger.exact(*path)
        for name in ledger.table(*here, "env_http_headers"):
            path = (*here, "env_http_headers", name)
            if variable := ledger.text(*path):
                headers[name] = f"{{env:{variable}}}"
                ledger.exact(*path)
        if headers:
            arrival.table["custom_headers"] = headers

    def _key(self, arrival: Arrival, here: Keys) -> None:
        ledger, table = self.ledger, arrival.table
        if variable := ledger.text(*here, "env_key"):
            table["api_key"] = f"{{env:{variable}}}"
            ledger.exact(*here, "env_key")
        ledger.unsupported(*here, "env_key_instructions", why="modelbay says itself what is missing")
        path = (*here, "experimental_bearer_token")
        token = ledger.text(*path)
        if token and "api_key" in table:
            ledger.exact(*path, why="env_key comes before it")
        elif token and ledger.secret(*path):
            table["api_key"] = token
        elif token:
            arrival.keyless = "its key stays where it is"
        command = ledger.text(*here, "auth", "command")
        if command and not self.may_run:
            ledger.unsupported(*here, "auth", why="a file from elsewhere may not run programs")
        elif command and "api_key" not in table:
            arguments = ledger.words(*here, "auth", "args") or []
            table["api_key"] = f"{{command:{shlex.join([command, *arguments])}}}"
            ledger.exact(*here, "auth", "command")
            ledger.exact(*here, "auth", "args")
        if ledger.switch(*here, "requires_openai_auth"):
            self._take_login(arrival)
        ledger.exact(*here, "requires_openai_auth")

    def _login(self) -> None:
        """What the store has: the key of OpenAI, or the tokens of a login at ChatGPT."""
        if USUAL in self.arrivals and not self.ledger.get("model_providers", USUAL):
            self._take_login(self.arrivals[USUAL])
        self.logins.exact("auth_mode", "login")
        self.logins.unsupported("tokens", why="the tokens of a login at ChatGPT are not handed on")
        self.logins.unsupported("last_refresh", "login", why="the tokens of a login at ChatGPT are not handed on")
        self.logins.unsupported("OPENAI_API_KEY", "login", why="no provider of the file uses it")

    def _take_login(self, arrival: Arrival) -> None:
        path = ("OPENAI_API_KEY", "login")
        key = self.logins.get(*path)
        if isinstance(key, str) and key.strip():
            if "api_key" in arrival.table:
                self.logins.exact(*path, why="the provider has a key of its own, which comes first")
            elif self.logins.secret(*path):
                arrival.table["api_key"] = key.strip()
            else:
                arrival.keyless = "its key stays where it is"
        elif key is None and self.logins.layers:
            arrival.keyless = "it is used with a login at ChatGPT, whose tokens are not handed on"
        elif key is None:
            arrival.keyless = "its key is in the store of logins"

    def _built_in(self, id: str) -> None:
        """A provider that Codex has by itself."""
        vendor = presets.by_id(id)
        if vendor is None or vendor.base_url is None or "{" in vendor.base_url:
            self.found.left_out[id] = "Codex has it by itself, and modelbay does not know it"
            return
        protocol = "openai_responses" if "openai_responses" in vendor.protocols else vendor.protocols[0]
        table: Table = {"type": TYPE_OF[protocol], "base_url": vendor.url(protocol)}
        url = self.ledger.text("openai_base_url") if id == USUAL else None
        if url:
            table["base_url"] = bare_url(url) if not self.ledger.keys else url
            self.ledger.exact("openai_base_url")
        self.arrivals[id] = Arrival(id, table)

    def _chosen(self, ledger: Ledger, here: Keys, under: Ledger | None) -> str | None:
        """The model that is chosen at a place, as a model of its provider's; its alias."""
        model, id = (ledger.text(*here, what) for what in PROFILED)
        if model is None and id is None and not (under and ledger.text(*here, "model_reasoning_effort")):
            return None
        if under is not None:  # Codex lays a profile over the rest of the file
            model, id = model or under.text("model"), id or under.text("model_provider")
        id = id or USUAL
        if id not in self.arrivals and id not in self.found.left_out:
            self._built_in(id)
        arrival = self.arrivals.get(id)
        if arrival is None:
            for what in PROFILED:
                ledger.unsupported(*here, what, why="its provider is left out")
            return None
        if under is None:
            ledger.exact("model_provider")
            ledger.exact("model")
        if model is None:
            return None
        alias = f"{id}/{model}"
        table = arrival.models.setdefault(alias, {"model": model})
        sizes = {"model_context_window": "max_context_size", "model_max_output_tokens": "max_output_size"}
        for there, name in sizes.items():
            size = ledger.size(*here, there)
            if size is not None and table.setdefault(name, size) == size:
                ledger.exact(*here, there)
            elif under is not None and (size := under.size(there)) is not None:
                table.setdefault(name, size)
        effort = ledger.text(*here, "model_reasoning_effort")
        if under is not None and not effort and (usual := under.text("model_reasoning_effort")):
            table.setdefault("default_effort", usual)
        elif effort:
            if table.setdefault("default_effort", effort) == effort:
                ledger.exact(*here, "model_reasoning_effort")
            else:
                ledger.unsupported(*here, "model_reasoning_effort", why="the model has another one elsewhere")
        return alias


# Export


def _write(leaving: list[Departure]) -> Block:
    block = Block("toml")
    block.hindrances = lambda file, data: _hindrances(block, data)
    for one in leaving:
        id = one.id if presets.by_id(one.id) is None else f"{one.id}-modelbay"
        block.entries.append(Entry(("model_providers", id), _place, (("aws",),), SECRETS, ONE_OF))
        if id != one.id:
            one.lost("its id", f"{AGENT.title} keeps it for itself, so it is called {id} there")
        block.settings["model_providers", id] = _entry(one, block)
        model = one.default_model or (one.models[0] if one.models else None)
        if model is not None and (not block.command or one.default_model):
            block.choice = _choice(one, id, model)
            block.command = f"codex -c model_provider={id} -m {shlex.quote(model.model)}"
        others = [other.model for other in one.models if other is not model]
        if others:
            one.lost(f"models {', '.join(others)}", f"{AGENT.title} has no list: choose with `codex -m MODEL`")
        block.notes += one.notes
    return block


def _place(table: Table) -> str | None:
    """Where the calls of an entry go."""
    return origin_text(table.get("base_url"))


def _hindrances(block: Block, data: Table) -> list[str]:
    """What keeps Codex from using the providers."""
    name, profiles = data.get("profile"), data.get("profiles")
    if name is None:
        return []
    profile = profiles.get(name) if isinstance(profiles, dict) and isinstance(name, str) else None
    chosen = profile.get("model_provider") if isinstance(profile, dict) else None
    if chosen is not None and ("model_providers", chosen) in [entry.path for entry in block.entries]:
        return []
    other = f", which uses the provider {chosen}" if chosen else ""
    return [
        f'profile = "{name}"{other}: it counts more than model_provider (and Codex since 0.134 refuses to start with it)'
    ]


def _choice(one: Departure, id: str, model: ModelEntry) -> dict[Keys, object]:
    """A model as the one that Codex uses; of its size Codex knows nothing by itself."""
    size = model.max_context_size or one.facts[model.alias].max_context_tokens
    said = {"model_context_window": size, "model_reasoning_effort": model.default_effort}
    rest: dict[Keys, object] = {(name,): value for name, value in said.items() if value}
    return {("model_provider",): id, ("model",): model.model, **rest}


def _entry(one: Departure, block: Block) -> Table:
    table: Table = {"name": one.name, "base_url": one.base_url, "wire_api": "responses"}
    kind, said = one.reference
    if kind == "env":
        table["env_key"] = said
    elif kind == "command" and (words := shlex.split(said)):
        table["auth"] = {"command": words[0], "args": words[1:]}
    elif key := one.secret():
        table["experimental_bearer_token"] = key
    elif one.key:
        table["env_key"] = one.variable
        block.variables[one.variable] = one.id
    plain, variables = {}, {}
    for name, value in one.headers(("env",)).items():
        if reference := REFERENCE.fullmatch(value):
            variables[name] = reference[2]
        else:
            plain[name] = value
    if plain:
        table["http_headers"] = plain
    if variables:
        table["env_http_headers"] = variables
    if one.query:
        table["query_params"] = one.query
    if one.entry.timeout is not None:
        if one.entry.timeout.idle:
            table["stream_idle_timeout_ms"] = round(one.entry.timeout.idle * 1000)
        for what in ("connect", "first_byte"):
            if getattr(one.entry.timeout, what):
                one.lost(f"timeout.{what}")
    return table


AGENT = Agent(
    id="codex",
    title="Codex",
    protocols=("openai_responses",),
    files=_files,
    read=_read,
    write=_write,
    model_urls=False,
)
