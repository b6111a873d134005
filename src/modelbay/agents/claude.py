"""Claude Code: variables in the `env` of `settings.json`. It has one provider, which speaks Anthropic's protocol."""

import re
import shlex
import sys
from pathlib import Path

from msgspec import Struct, field

from modelbay.agents.agent import Agent, Arrival, Block, Import
from modelbay.agents.exporting import NO_KEY, Departure, refused
from modelbay.agents.findings import STAYS, Layer, Ledger
from modelbay.agents.importing import check, may_run, without_query
from modelbay.agents.layers import read_json, store
from modelbay.agents.rewriting import Entry, origin_text
from modelbay.agents.trust import WHY, swayed, withhold
from modelbay.config.provider_types import TYPES
from modelbay.config.schema import Table
from modelbay.credentials.credential import LOCATION, PROJECT
from modelbay.errors import ConfigError
from modelbay.origin import origin
from modelbay.providers import presets, urls
from modelbay.secrecy import REFERENCE, bare_url, misspelled_reference, secret_header
from modelbay.storage.paths import environment, expanded

URL, KEY, TOKEN, HEADERS = "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS"
MODEL = "ANTHROPIC_MODEL"
WORDS = ("fable", "opus", "sonnet", "haiku")
"""What its own words for models are; `ANTHROPIC_DEFAULT_…_MODEL` says what each stands for."""
MODELS = ("ANTHROPIC_SMALL_FAST_MODEL", "ANTHROPIC_CUSTOM_MODEL_OPTION", "CLAUDE_CODE_SUBAGENT_MODEL")
"""The variables that name further models."""
USES = {
    "CLAUDE_CODE_USE_BEDROCK": "Amazon Bedrock",
    "CLAUDE_CODE_USE_MANTLE": "Amazon Bedrock",
    "CLAUDE_CODE_USE_FOUNDRY": "Microsoft Foundry",
}
AT_VERTEX = "CLAUDE_CODE_USE_VERTEX"
VERTEX_URL, VERTEX_PROJECT, VERTEX_REGION = (
    "ANTHROPIC_VERTEX_BASE_URL",
    "ANTHROPIC_VERTEX_PROJECT_ID",
    "CLOUD_ML_REGION",
)
ONE_OF = (("env", KEY), ("env", TOKEN), ("apiKeyHelper",))
"""The settings of which it uses one as the key."""
ADDRESS = (("env", URL), ("env", VERTEX_URL))
BELONGING = (
    *ONE_OF,
    *(("env", name) for name in (HEADERS, MODEL, *MODELS, f"{MODELS[1]}_NAME", VERTEX_PROJECT, VERTEX_REGION)),
    *(("env", f"ANTHROPIC_DEFAULT_{word.upper()}_MODEL") for word in WORDS),
)
"""What was given for the address: keys, headers, and the models that are there."""
VARIABLE = re.compile(r"printenv ([A-Za-z_]\w*)")
SHELL = "the shell"
WHERE = frozenset({URL, HEADERS, AT_VERTEX, VERTEX_URL, VERTEX_PROJECT, VERTEX_REGION, *USES})
"""The variables that have a say in where calls go; a header may name another host to a proxy."""
SECRETS = frozenset({KEY, TOKEN, HEADERS})
OFF = ("", "0", "false", "no", "off")


def _home() -> Path:
    return expanded(environment("CLAUDE_CONFIG_DIR") or "~/.claude")


def _files() -> list[Path]:
    return [_home() / "settings.json"]


def _read(file: Path | None, keys: bool) -> Import:
    paths = [(file, None)] if file else _all_files()
    layers = [] if file else _shell()
    layers += [Layer(str(path), read_json(path), path.absolute().parent, root is None) for path, root in paths]
    if not layers:
        raise ConfigError(f"{AGENT.title} has no settings at {_files()[0]}", hint="name the file")
    ledger = Ledger(layers, keys=keys, concerns=("env",))
    logins = store(_home() / ".credentials.json" if file is None else None, keys)
    return _Reader(ledger, logins, may_run(file, _files())).read()


def _shell() -> list[Layer]:
    """The variables of the shell that Claude Code reads, under its settings; keys as references to them."""
    words = (f"ANTHROPIC_DEFAULT_{word.upper()}_MODEL" for word in WORDS)
    said = {name: value for name in (URL, MODEL, *words) if (value := environment(name))}
    keys = {name: f"{{env:{name}}}" for name in (KEY, TOKEN) if environment(name)}
    return [Layer(SHELL, {"env": {**said, **keys}})] if said or keys else []


def _all_files() -> list[tuple[Path, Path | None]]:
    """Its files, the last counting most, each with the project that it came along with."""
    here = Path.cwd()
    if sys.platform == "darwin":
        managed = Path("/Library/Application Support/ClaudeCode")
    else:
        managed = Path("C:/Program Files/ClaudeCode" if sys.platform == "win32" else "/etc/claude-code")
    files: list[tuple[Path, Path | None]] = [
        (_home() / "settings.json", None),
        (here / ".claude" / "settings.json", here),
        (here / ".claude" / "settings.local.json", here),
        (managed / "managed-settings.json", None),
    ]
    known = dict.fromkeys(path for path, _ in files if path.is_file())
    return [(path, root) for path, root in files if path in known and not (root and path.parent == _home())]


class _Reader(Struct):
    ledger: Ledger
    logins: Ledger
    may_run: bool
    arrival: Arrival = field(default_factory=lambda: Arrival("", {}))
    swayed: bool = False
    """Whether a project's file has a say in where calls go."""
    found: Import = field(default_factory=lambda: Import([]))

    def read(self) -> Import:
        ledger, found = self.ledger, self.found
        found.files = [layer.file for layer in (*ledger.layers, *self.logins.layers)]
        used = next((name for name in USES if self._on(name)), None)
        if used:
            found.left_out[USES[used].lower().replace(" ", "-")] = f"modelbay does not call Claude at {USES[used]}"
            ledger.unsupported("env", used, why=f"modelbay does not call Claude at {USES[used]}")
        else:
            self._provider()
        self.logins.unsupported("claudeAiOauth", why="a subscription's tokens are for Claude Code alone")
        found.findings = [*ledger.findings(), *self.logins.findings()]
        return found

    def _on(self, name: str) -> bool:
        said = self._variable(name)
        return said is not None and said.lower() not in OFF

    def _variable(self, name: str) -> str | None:
        """A variable's value; numbers stand for their digits."""
        value = self.ledger.get("env", name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        return self.ledger.text("env", name)

    def _provider(self) -> None:
        ledger, arrival, vertex = self.ledger, self.arrival, self._on(AT_VERTEX)
        self.swayed = swayed(ledger, ("env",), lambda path: bool(path) and path[0] not in WHERE)
        if self.swayed and vertex:
            why = "a project's file says where it is: it would be called with your Google credentials"
            self.found.left_out["claude-vertex"] = why
            ledger.unsupported("env", AT_VERTEX, why=why)
            return
        if self.swayed:
            arrival.keyless = WHY if withhold(ledger, ("env",), lambda path: path[0] not in SECRETS) else ""
        ledger.exact("env", AT_VERTEX)
        if vertex:
            self._vertex()
        else:
            self._address()
        if not vertex:
            self._key()
        self._headers()
        self._models("anthropic" if vertex else None)
        wait = self._variable("API_TIMEOUT_MS")
        if wait and wait.isdigit() and int(wait):
            arrival.table["timeout"] = {"first_byte": int(wait) / 1000}
            ledger.approximate(
                "env", "API_TIMEOUT_MS", why="it is the wait for the first byte; a reply may go on longer"
            )
        if (
            set(arrival.table) <= {"type", "base_url"}
            and not arrival.models
            and not arrival.keyless
            and not self._says()
        ):
            return
        if why := check(arrival, ledger, lambda alias: ("env", MODEL)):
            self.found.left_out[arrival.id] = why
            ledger.revoke("env", VERTEX_URL if vertex else URL, why=why)
            return
        self.found.arrivals.append(arrival)

    def _says(self) -> bool:
        """Whether the settings speak of a provider at all."""
        return any(self.ledger.get("env", name) is not None for name in (URL, KEY, TOKEN, AT_VERTEX)) or bool(
            self.ledger.get("apiKeyHelper")
        )

    def _vertex(self) -> None:
        ledger, arrival = self.ledger, self.arrival
        arrival.id, arrival.table["type"] = "claude-vertex", "vertexai"
        if url := self._variable(VERTEX_URL):
            arrival.table["base_url"] = url
            ledger.exact("env", VERTEX_URL)
        env = {PROJECT: self._variable(VERTEX_PROJECT), LOCATION: self._variable(VERTEX_REGION)}
        ledger.exact("env", VERTEX_PROJECT)
        ledger.exact("env", VERTEX_REGION)
        if any(env.values()):
            arrival.table["env"] = {name: value for name, value in env.items() if value}

    def _address(self) -> None:
        ledger, arrival = self.ledger, self.arrival
        url = self._variable(URL)
        home = TYPES["anthropic"].base_url or ""
        bare = bare_url(url) if url else home
        if url and self.swayed and ledger.owner("env", URL).trusted:
            url = bare = without_query(url)
        if url and bare != url and not ledger.keys:
            ledger.approximate("env", URL, why=STAYS)
            url = bare
        ledger.exact("env", URL)
        arrival.table = {"type": "anthropic", "base_url": url or home}
        try:
            host = origin(url or home).host
        except ValueError:
            host = "claude"
        vendor = presets.by_host(host)
        arrival.id = vendor.id if vendor else re.sub(r"[^a-z0-9]+", "-", host.lower()).strip("-") or "claude"

    def _key(self) -> None:
        ledger, arrival = self.ledger, self.arrival
        names = [name for name in (TOKEN, KEY) if self._in_shell(name) or self._variable(name)]
        helper = ledger.text("apiKeyHelper")
        for number, name in enumerate(names):
            path = ("env", name)
            if number:
                ledger.approximate(*path, why=f"{names[0]} is the key; a provider has one")
            elif self._in_shell(name):
                arrival.table["api_key"] = ledger.get(*path)
                ledger.exact(*path)
                self._scheme(name)
            elif not ledger.secret(*path):
                arrival.keyless = "its key stays where it is"
            else:
                arrival.table["api_key"] = self._variable(name)
                self._scheme(name)
        if helper and (self.swayed or not ledger.owner("apiKeyHelper").trusted):
            ledger.unsupported("apiKeyHelper", why="a project's file has a say in it, and may not run programs")
        elif helper and not self.may_run:
            ledger.unsupported("apiKeyHelper", why="a file from elsewhere may not run programs")
        elif helper and names:
            ledger.approximate("apiKeyHelper", why=f"{names[0]} is the key; a provider has one")
        elif helper:
            arrival.table["api_key"] = _reference(helper)
            ledger.exact("apiKeyHelper")
        ledger.unsupported("env", "CLAUDE_CODE_API_KEY_HELPER_TTL_MS", why="a program is asked once a process")

    def _in_shell(self, name: str) -> bool:
        return self.ledger.get("env", name) is not None and self.ledger.owner("env", name).file == SHELL

    def _scheme(self, name: str) -> None:
        """Says where the header is another one than Claude Code's."""
        vendor = presets.by_host(origin(self.arrival.table["base_url"]).host)
        bearer = bool(vendor and vendor.auth.get("anthropic") == "bearer")
        if bearer != (name == TOKEN):
            sent = "Authorization: Bearer" if bearer else "x-api-key"
            self.ledger.revise("env", name, why=f"it is sent as {sent}")

    def _headers(self) -> None:
        text = self.ledger.get("env", HEADERS)
        if not isinstance(text, str):
            return
        headers, withheld, wrong = {}, [], []
        for line in filter(str.strip, text.splitlines()):
            name, colon, value = (part.strip() for part in line.partition(":"))
            if not colon or not name or REFERENCE.search(value) or misspelled_reference(value):
                wrong.append(name)
            elif secret_header(name, value) and not self.ledger.keys:
                withheld.append(name)
            else:
                headers[name] = value
        if headers:
            self.arrival.table["custom_headers"] = headers
        if withheld:
            self.arrival.keyless = self.arrival.keyless or "its key is in a header"
            self.ledger.approximate("env", HEADERS, why=f"{', '.join(withheld)}: {STAYS}")
        elif wrong:
            self.ledger.approximate("env", HEADERS, why=f"without {', '.join(wrong)}, which is no header of ours")
        self.ledger.exact("env", HEADERS)

    # Models

    def _models(self, protocol: str | None) -> None:
        ledger = self.ledger
        words = {}
        for word in WORDS:
            name = f"ANTHROPIC_DEFAULT_{word.upper()}_MODEL"
            if model := self._variable(name):
                words[word] = self._model(model, name, protocol)
                aliases = self.arrival.models[words[word]].setdefault("aliases", [])
                aliases.append(word)
            for more in ("NAME", "DESCRIPTION", "SUPPORTED_CAPABILITIES"):
                ledger.unsupported("env", f"{name}_{more}", why="it is for Claude Code's own list")
        for name in MODELS:
            if model := self._variable(name):
                self._model(model, name, protocol)
                if name != MODELS[1]:
                    ledger.revise("env", name, why="as a model; modelbay has no small model and no agents")
        title = self._variable(f"{MODELS[1]}_NAME")
        if title and (option := self._variable(MODELS[1])):
            self.arrival.models[self._alias(option)]["display_name"] = title
            ledger.exact("env", f"{MODELS[1]}_NAME")
        for path in (("env", MODEL), ("model",)):
            model = self._variable(MODEL) if path[0] == "env" else ledger.text("model")
            if not model:
                continue
            word = model.removesuffix("[1m]")
            if word in words or word not in (*WORDS, "default", "opusplan", "best"):
                alias = words.get(word) or self._model(model, None, protocol)
                if self.swayed:
                    ledger.approximate(*path, why="a project's file has a say in where it goes: it is not the default")
                    continue
                self.found.default_model = self.found.default_model or alias
                self._long(path, model)
                ledger.exact(*path)
            else:
                ledger.unsupported(*path, why=f'what "{word}" stands for, Claude Code decides')

    def _alias(self, model: str) -> str:
        return f"{self.arrival.id}/{model.removesuffix('[1m]')}"

    def _model(self, model: str, name: str | None, protocol: str | None) -> str:
        alias = self._alias(model)
        table: Table = self.arrival.models.setdefault(alias, {"model": model.removesuffix("[1m]")})
        if protocol:
            table["protocol"] = protocol
        if name:
            self._long(("env", name), model)
            self.ledger.exact("env", name)
        return alias

    def _long(self, path: tuple[str, ...], model: str) -> None:
        if model.endswith("[1m]"):
            self.ledger.approximate(*path, why="without [1m]: modelbay asks for no longer context")


def _reference(helper: str) -> str:
    """A program that prints a key, which a shell runs, as a reference."""
    if match := VARIABLE.fullmatch(helper.strip()):
        return f"{{env:{match[1]}}}"
    try:
        words = shlex.split(helper)
    except ValueError:
        words = []
    if len(words) == 2 and words[0] == "cat" and shlex.join(words) == helper.strip():
        return f"{{file:{expanded(words[1])}}}"
    plain = words and shlex.join(words) == helper.strip() and "~" not in helper
    return f"{{command:{helper.strip() if plain else shlex.join(['sh', '-c', helper.strip()])}}}"


# Export


def _write(leaving: list[Departure]) -> Block:
    block = Block("json", entries=[Entry((), _place, ADDRESS, BELONGING, ONE_OF)])
    block.hindrances = _hindrances
    one, *others = leaving
    if others:
        names = ", ".join(one.id for one in leaving)
        raise refused(
            one.id, f"{AGENT.title} has one provider at a time", f"name one of {names}: `modelbay export claude`"
        )
    if one.query or one.query_stays:
        raise refused(one.id, f"{AGENT.title} has no place for a query in an address, and provider {one.id} has one")
    if one.found.preset and one.found.preset.addressing == "vertexai":
        _write_vertex(one, block)
    else:
        block.settings["env", URL] = urls.VERSION.sub("", one.base_url.rstrip("/"))
        _write_key(one, block)
    _write_rest(one, block)
    block.command = "claude"
    block.notes += one.notes
    return block


def _place(table: Table) -> str | None:
    """Where the calls go that settings speak of."""
    env = table.get("env")
    env = env if isinstance(env, dict) else {}
    used = next((name for name in (*USES, AT_VERTEX) if str(env.get(name, "")).lower() not in (*OFF, "none")), None)
    if used == AT_VERTEX:
        return origin_text(env.get(VERTEX_URL)) or AT_VERTEX
    return used or origin_text(env.get(URL) or TYPES["anthropic"].base_url)


def _hindrances(file: Path, data: Table) -> list[str]:
    """What keeps Claude Code from using the provider: in the file, in those that count more, and in the shell."""
    ledger = Ledger([Layer(str(file), data)])
    vertex = ledger.get("env", AT_VERTEX) is not None and ledger.get("env", VERTEX_PROJECT) is not None
    switches = [*USES] if vertex else [*USES, AT_VERTEX]
    found = []
    for name in switches:
        where = next((said for said in (ledger.get("env", name), environment(name)) if said is not None), None)
        if where is not None and str(where).lower() not in OFF:
            found.append(f"{name} is set{'' if ledger.get('env', name) else ' in the shell'}: another platform is used")
    for name in (KEY, TOKEN):
        if environment(name) and ledger.get("env", name) is None:
            found.append(f"the shell sets {name}, which {AGENT.title} sends to the address of the file")
    for path, _ in _all_files():
        if path.resolve() == file.resolve() or not path.is_file():
            continue
        other = Ledger([Layer(str(path), read_json(path))])
        names = [("env", name) for name in sorted(WHERE | SECRETS | {MODEL})] + [("apiKeyHelper",), ("model",)]
        said = [".".join(keys) for keys in names if other.get(*keys) is not None]
        if said:
            found.append(f"{path} sets {', '.join(said)}, and counts more")
    return found


def _write_vertex(one: Departure, block: Block) -> None:
    block.settings["env", AT_VERTEX] = "1"
    for name, key in ((VERTEX_PROJECT, PROJECT), (VERTEX_REGION, LOCATION)):
        if value := one.entry.env.get(key):
            block.settings["env", name] = value
    if one.entry.base_url:
        block.settings["env", VERTEX_URL] = one.entry.base_url


def _write_key(one: Departure, block: Block) -> None:
    vendor = one.found.preset
    name = TOKEN if vendor and vendor.auth.get("anthropic") == "bearer" else KEY
    kind, said = one.reference
    programs = {"env": f"printenv {said}", "file": shlex.join(["cat", said]), "command": said}
    if kind in programs:
        block.settings["apiKeyHelper",] = programs[kind]
    elif key := one.secret():
        block.settings["env", name] = key
    elif one.keyless:
        block.settings["env", TOKEN] = NO_KEY
    elif one.key:
        block.variables[name] = one.id


def _write_rest(one: Departure, block: Block) -> None:
    if headers := one.headers():
        block.settings["env", HEADERS] = "\n".join(f"{name}: {value}" for name, value in headers.items())
    default = one.default_model or (one.models[0] if one.models else None)
    if default is not None:
        block.settings["env", MODEL] = default.model
    said = {default.model} if default else set()
    for model in one.models:
        for word in WORDS:
            if word in model.aliases:
                block.settings["env", f"ANTHROPIC_DEFAULT_{word.upper()}_MODEL"] = model.model
                said.add(model.model)
    rest = [model for model in one.models if model.model not in said]
    rest.sort(key=lambda model: model.display_name is None)
    if rest:
        block.settings["env", MODELS[1]] = rest[0].model
        if rest[0].display_name:
            block.settings["env", f"{MODELS[1]}_NAME"] = rest[0].display_name
    if rest[1:]:
        names = ", ".join(model.model for model in rest[1:])
        one.lost(f"models {names}", f"{AGENT.title} has no list: choose with `claude --model MODEL`")
    if one.entry.timeout is not None:
        one.lost("timeout")


AGENT = Agent(
    id="claude",
    title="Claude Code",
    protocols=("anthropic",),
    files=_files,
    read=_read,
    write=_write,
    model_urls=False,
)
