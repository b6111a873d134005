"""Claude Code: variables in the `env` of `settings.json`. It has one provider, which speaks Anthropic's protocol."""

import re
import shlex
import sys
from pathlib import Path

from msgspec import Struct, field

from modelbay.agents.agent import Agent, ExportedConfig, ExportedEntry, ImportedConfig, ImportedProvider
from modelbay.agents.config_files import read_json, read_logins
from modelbay.agents.entry_values import has_host
from modelbay.agents.exported import NO_KEY, ExportedProvider, origin_text, refused
from modelbay.agents.findings import KEY_IN_HEADER, KEY_NOT_COPIED, NOT_COPIED, ConfigLayer, MergedConfig
from modelbay.agents.importing import check, may_run, without_query
from modelbay.agents.project_files import NO_KEYS, changed_by_project, remove_user_settings
from modelbay.config.provider_types import TYPES
from modelbay.config.schema import Table
from modelbay.credentials.credential import LOCATION, PROJECT
from modelbay.errors import ConfigError
from modelbay.origin import origin
from modelbay.protocols.shapes import whole_number
from modelbay.providers import presets, urls
from modelbay.secrecy import REFERENCE, bare_url, misspelled_reference, secret_header
from modelbay.storage.paths import environment, expanded, working_folder

URL, KEY, TOKEN, HEADERS = "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS"
MODEL = "ANTHROPIC_MODEL"
MODEL_NAMES = ("fable", "opus", "sonnet", "haiku")
"""Claude Code's names for models. The variable `ANTHROPIC_DEFAULT_…_MODEL` sets the model ID of each."""
CUSTOM_MODEL = "ANTHROPIC_CUSTOM_MODEL_OPTION"
MODELS = ("ANTHROPIC_SMALL_FAST_MODEL", CUSTOM_MODEL, "CLAUDE_CODE_SUBAGENT_MODEL")
"""The variables with more model IDs."""
WINDOW = "CLAUDE_CODE_MAX_CONTEXT_TOKENS"
"""The variable with the context window of models that it does not know. Without it, it assumes up to 1M tokens."""
SHORT = "CLAUDE_CODE_DISABLE_1M_CONTEXT"
"""The variable that turns off windows of 1M tokens. Without it, "Default" in its list of models is the default model with such a
window, although `WINDOW` is set."""
LONG_CONTEXT = 1_000_000
OWN_MODEL = "claude-"
"""The beginning of the IDs of models that it knows."""
OTHER_PLATFORMS = {
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
KEY_SETTINGS = (("env", KEY), ("env", TOKEN), ("apiKeyHelper",))
"""The settings for the key. It uses only one of them."""
CREDENTIALS = (*KEY_SETTINGS, ("env", HEADERS))
ADDRESS = (("env", URL), ("env", VERTEX_URL))
BOUND_TO_URL = (
    *KEY_SETTINGS,
    *(
        ("env", name)
        for name in (HEADERS, MODEL, *MODELS, f"{CUSTOM_MODEL}_NAME", WINDOW, SHORT, VERTEX_PROJECT, VERTEX_REGION)
    ),
    *(("env", f"ANTHROPIC_DEFAULT_{name.upper()}_MODEL") for name in MODEL_NAMES),
)
"""Settings that belong to one URL: keys, headers and models."""
VARIABLE = re.compile(r"printenv ([A-Za-z_]\w*)")
SHELL = "the shell"
ADDRESS_VARIABLES = frozenset({URL, HEADERS, AT_VERTEX, VERTEX_URL, VERTEX_PROJECT, VERTEX_REGION, *OTHER_PLATFORMS})
"""The variables that can change the destination of calls. A header may name another host to a proxy."""
SECRETS = frozenset({KEY, TOKEN, HEADERS})
FALSE_VALUES = ("", "0", "false", "no", "off")


def _home() -> Path:
    return expanded(environment("CLAUDE_CONFIG_DIR") or "~/.claude")


def _files() -> list[Path]:
    return [_home() / "settings.json"]


def _read(file: Path | None, keys: bool) -> ImportedConfig:
    paths = [(file, None)] if file else _all_files()
    layers = [] if file else _shell()
    layers += [ConfigLayer(str(path), read_json(path), path.absolute().parent, root is None) for path, root in paths]
    if not layers:
        raise ConfigError(f"{AGENT.title} has no settings at {_files()[0]}", hint="name its settings file")
    merged = MergedConfig(layers, keys=keys, provider_tables=("env",))
    logins = read_logins(_home() / ".credentials.json" if file is None else None, keys)
    return _Reader(merged, logins, may_run(file, _files())).read()


def _shell() -> list[ConfigLayer]:
    """The environment variables that Claude Code reads, which its settings override. Keys are references to the variables."""
    models = (f"ANTHROPIC_DEFAULT_{name.upper()}_MODEL" for name in MODEL_NAMES)
    values = {name: value for name in (URL, MODEL, *models) if (value := environment(name))}
    keys = {name: f"{{env:{name}}}" for name in (KEY, TOKEN) if environment(name)}
    return [ConfigLayer(SHELL, {"env": {**values, **keys}})] if values or keys else []


def _all_files() -> list[tuple[Path, Path | None]]:
    """Claude Code's files in increasing priority, each with the folder of the project that it belongs to."""
    here = working_folder()
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
    merged: MergedConfig
    logins: MergedConfig
    may_run: bool
    provider: ImportedProvider = field(default_factory=lambda: ImportedProvider("", {}))
    project_decides: bool = False
    """Whether a project's file can change the destination of calls."""
    result: ImportedConfig = field(default_factory=lambda: ImportedConfig([]))

    def read(self) -> ImportedConfig:
        merged, result = self.merged, self.result
        result.files = [layer.file for layer in (*merged.layers, *self.logins.layers)]
        used = next((name for name in OTHER_PLATFORMS if self._on(name)), None)
        if used:
            why = f"modelbay does not support Claude at {OTHER_PLATFORMS[used]}"
            result.skipped[OTHER_PLATFORMS[used].lower().replace(" ", "-")] = why
            merged.unsupported("env", used, why=why)
        else:
            self._provider()
        self.logins.unsupported("claudeAiOauth", why="the tokens of a subscription work only in Claude Code")
        result.findings = [*merged.findings(), *self.logins.findings()]
        return result

    def _on(self, name: str) -> bool:
        value = self._variable(name)
        return value is not None and value.lower() not in FALSE_VALUES

    def _variable(self, name: str) -> str | None:
        """A variable's value as text; it may be a number in the file."""
        value = self.merged.get("env", name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        return self.merged.text("env", name)

    def _provider(self) -> None:
        merged, provider, vertex = self.merged, self.provider, self._on(AT_VERTEX)
        self.project_decides = changed_by_project(
            merged, ("env",), lambda path: bool(path) and path[0] not in ADDRESS_VARIABLES
        )
        if self.project_decides and vertex:
            why = "a project's file can change its URL, and it would be called with your Google credentials"
            self.result.skipped["claude-vertex"] = why
            merged.unsupported("env", AT_VERTEX, why=why)
            return
        if self.project_decides:
            provider.missing_key = (
                NO_KEYS if remove_user_settings(merged, ("env",), lambda path: path[0] not in SECRETS) else ""
            )
        merged.exact("env", AT_VERTEX)
        if vertex:
            self._vertex()
        else:
            self._address()
        if not vertex:
            self._key()
        self._headers()
        self._models("anthropic" if vertex else None)
        wait = self._variable("API_TIMEOUT_MS")
        if wait and (milliseconds := whole_number(wait)):
            provider.table["timeout"] = {"first_byte": milliseconds / 1000}
            merged.approximate("env", "API_TIMEOUT_MS", why="imported as the timeout for the first byte of a response")
        if (
            set(provider.table) <= {"type", "base_url"}
            and not provider.models
            and not provider.missing_key
            and not self._has_provider()
        ):
            return
        if why := check(provider, merged, lambda alias: ("env", MODEL)):
            self.result.skipped[provider.id] = why
            merged.override_unsupported("env", VERTEX_URL if vertex else URL, why=why)
            return
        self.result.providers.append(provider)

    def _has_provider(self) -> bool:
        """Whether the settings describe a provider."""
        return any(self.merged.get("env", name) is not None for name in (URL, KEY, TOKEN, AT_VERTEX)) or bool(
            self.merged.get("apiKeyHelper")
        )

    def _vertex(self) -> None:
        merged, provider = self.merged, self.provider
        provider.id, provider.table["type"] = "claude-vertex", "vertexai"
        if url := self._variable(VERTEX_URL):
            provider.table["base_url"] = url
            merged.exact("env", VERTEX_URL)
        env = {PROJECT: self._variable(VERTEX_PROJECT), LOCATION: self._variable(VERTEX_REGION)}
        merged.exact("env", VERTEX_PROJECT)
        merged.exact("env", VERTEX_REGION)
        if any(env.values()):
            provider.table["env"] = {name: value for name, value in env.items() if value}

    def _address(self) -> None:
        merged, provider = self.merged, self.provider
        url = self._variable(URL)
        home = TYPES["anthropic"].base_url or ""
        bare = bare_url(url) if url else home
        if url and self.project_decides and merged.owner("env", URL).trusted:
            url = bare = without_query(url)
        if url and bare != url and not merged.keys:
            merged.approximate("env", URL, why=NOT_COPIED)
            url = bare
        merged.exact("env", URL)
        unusable = merged.get("env", URL)  # a reference: the check refuses it, as its key must not go to another URL
        provider.table = {"type": "anthropic", "base_url": url or unusable or home}
        try:
            host = origin(url or home).host
        except ValueError:
            host = "claude"
        vendor = presets.by_host(host)
        provider.id = vendor.id if vendor else re.sub(r"[^a-z0-9]+", "-", host.lower()).strip("-") or "claude"

    def _key(self) -> None:
        merged, provider = self.merged, self.provider
        names = [name for name in (TOKEN, KEY) if self._in_shell(name) or self._variable(name)]
        helper = merged.text("apiKeyHelper")
        for number, name in enumerate(names):
            path = ("env", name)
            if number:
                merged.approximate(*path, why=f"not imported: {names[0]} is used as the key")
            elif self._in_shell(name):
                provider.table["api_key"] = merged.get(*path)
                merged.exact(*path)
                self._scheme(name)
            elif not merged.secret(*path):
                provider.missing_key = KEY_NOT_COPIED
            else:
                provider.table["api_key"] = self._variable(name)
                self._scheme(name)
        if helper and (self.project_decides or not merged.owner("apiKeyHelper").trusted):
            merged.unsupported("apiKeyHelper", why="a project's file can change it, and may not run programs")
        elif helper and not self.may_run:
            merged.unsupported("apiKeyHelper", why="only Claude Code's own settings files may run programs")
        elif helper and names:
            merged.approximate("apiKeyHelper", why=f"not imported: {names[0]} is used as the key")
        elif helper:
            provider.table["api_key"] = _reference(helper)
            merged.exact("apiKeyHelper")
        merged.unsupported("env", "CLAUDE_CODE_API_KEY_HELPER_TTL_MS", why="modelbay runs the program once per process")

    def _in_shell(self, name: str) -> bool:
        return self.merged.get("env", name) is not None and self.merged.owner("env", name).file == SHELL

    def _scheme(self, name: str) -> None:
        """Note if modelbay sends the key in another header than Claude Code."""
        url = self.provider.table["base_url"]
        vendor = presets.by_host(origin(url).host) if has_host(url) else None
        bearer = bool(vendor and vendor.auth.get("anthropic") == "bearer")
        if bearer != (name == TOKEN):
            sent = "Authorization: Bearer" if bearer else "x-api-key"
            self.merged.override_exact("env", name, why=f"sent as {sent}")

    def _headers(self) -> None:
        text = self.merged.get("env", HEADERS)
        if not isinstance(text, str):
            return
        headers, withheld, wrong = {}, [], []
        for line in filter(str.strip, text.splitlines()):
            name, colon, value = (part.strip() for part in line.partition(":"))
            if not colon or not name or REFERENCE.search(value) or misspelled_reference(value):
                wrong.append(name)
            elif secret_header(name, value) and not self.merged.keys:
                withheld.append(name)
            else:
                headers[name] = value
        if headers:
            self.provider.table["custom_headers"] = headers
        if withheld:
            self.provider.missing_key = self.provider.missing_key or KEY_IN_HEADER
            self.merged.approximate("env", HEADERS, why=f"{', '.join(withheld)}: {NOT_COPIED}")
        elif wrong:
            self.merged.approximate(
                "env", HEADERS, why=f"without {', '.join(wrong)}: not a header that modelbay supports"
            )
        self.merged.exact("env", HEADERS)

    # Models

    def _models(self, protocol: str | None) -> None:
        merged = self.merged
        named = {}
        for short in MODEL_NAMES:
            name = f"ANTHROPIC_DEFAULT_{short.upper()}_MODEL"
            if model := self._variable(name):
                named[short] = self._model(model, name, protocol)
                aliases = self.provider.models[named[short]].setdefault("aliases", [])
                aliases.append(short)
            for more in ("NAME", "DESCRIPTION", "SUPPORTED_CAPABILITIES"):
                merged.unsupported("env", f"{name}_{more}", why="used only in Claude Code's own list")
        for name in MODELS:
            if model := self._variable(name):
                self._model(model, name, protocol)
                if name != CUSTOM_MODEL:
                    merged.override_exact(
                        "env", name, why="imported as a model; modelbay has no small model and no agents"
                    )
        title = self._variable(f"{CUSTOM_MODEL}_NAME")
        if title and (option := self._variable(CUSTOM_MODEL)):
            self.provider.models[self._alias(option)]["display_name"] = title
            merged.exact("env", f"{CUSTOM_MODEL}_NAME")
        for path in (("env", MODEL), ("model",)):
            model = self._variable(MODEL) if path[0] == "env" else merged.text("model")
            if not model:
                continue
            name = model.removesuffix("[1m]")
            if name in named or name not in (*MODEL_NAMES, "default", "opusplan", "best"):
                alias = named.get(name) or self._model(model, None, protocol)
                if self.project_decides:
                    merged.approximate(
                        *path, why="not imported as the default model: a project's file can change its URL"
                    )
                    continue
                self.result.default_model = self.result.default_model or alias
                self._long(path, model)
                merged.exact(*path)
            else:
                merged.unsupported(*path, why=f'only Claude Code knows the model ID of "{name}"')

    def _alias(self, model: str) -> str:
        return f"{self.provider.id}/{model.removesuffix('[1m]')}"

    def _model(self, model: str, name: str | None, protocol: str | None) -> str:
        alias = self._alias(model)
        table: Table = self.provider.models.setdefault(alias, {"model": model.removesuffix("[1m]")})
        if protocol:
            table["protocol"] = protocol
        if name:
            self._long(("env", name), model)
            self.merged.exact("env", name)
        return alias

    def _long(self, path: tuple[str, ...], model: str) -> None:
        if model.endswith("[1m]"):
            self.merged.approximate(
                *path, why="imported without [1m]: modelbay does not request the longer context window"
            )


def _reference(helper: str) -> str:
    """The reference for a shell command that prints a key."""
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


def _write(providers: list[ExportedProvider]) -> ExportedConfig:
    exported = ExportedConfig(
        "json", entries=[ExportedEntry((), _destination, ADDRESS, BOUND_TO_URL, KEY_SETTINGS, CREDENTIALS)]
    )
    exported.problems = _problems
    provider, *others = providers
    if others:
        names = ", ".join(provider.id for provider in providers)
        raise refused(
            provider.id,
            f"{AGENT.title} supports only one provider",
            f"name one of {names}",
        )
    if provider.query or provider.query_removed:
        raise refused(
            provider.id, f"{AGENT.title} does not support the query in the base URL of provider {provider.id}"
        )
    if provider.upstream.preset and provider.upstream.preset.addressing == "vertexai":
        _write_vertex(provider, exported)
    else:
        exported.settings["env", URL] = urls.VERSION.sub("", provider.base_url.rstrip("/"))
        _write_key(provider, exported)
    _write_rest(provider, exported)
    exported.command = "claude"
    exported.notes += provider.notes
    return exported


def _destination(table: Table) -> str | None:
    """The destination of calls with these settings as comparable text."""
    env = table.get("env")
    env = env if isinstance(env, dict) else {}
    used = next(
        (
            name
            for name in (*OTHER_PLATFORMS, AT_VERTEX)
            if str(env.get(name, "")).lower() not in (*FALSE_VALUES, "none")
        ),
        None,
    )
    if used == AT_VERTEX:
        return origin_text(env.get(VERTEX_URL)) or AT_VERTEX
    return used or origin_text(env.get(URL) or TYPES["anthropic"].base_url)


def _problems(file: Path, data: Table) -> list[str]:
    """The reasons why Claude Code would not use the provider: in the file, in files that override it, and in the environment."""
    merged = MergedConfig([ConfigLayer(str(file), data)])
    vertex = merged.get("env", AT_VERTEX) is not None and merged.get("env", VERTEX_PROJECT) is not None
    switches = [*OTHER_PLATFORMS] if vertex else [*OTHER_PLATFORMS, AT_VERTEX]
    found = []
    for name in switches:
        value = next((value for value in (merged.get("env", name), environment(name)) if value is not None), None)
        if value is not None and str(value).lower() not in FALSE_VALUES:
            where = "" if merged.get("env", name) else " in the environment"
            found.append(f"{AGENT.title} uses another platform: {name} is set{where}")
    for name in (KEY, TOKEN):
        if environment(name) and merged.get("env", name) is None:
            found.append(f"{AGENT.title} sends the environment variable {name} to the URL in this file")
    for path, _ in _all_files():
        if path.resolve() == file.resolve() or not path.is_file():
            continue
        other = MergedConfig([ConfigLayer(str(path), read_json(path))])
        names = [("env", name) for name in sorted(ADDRESS_VARIABLES | SECRETS | {MODEL})] + [
            ("apiKeyHelper",),
            ("model",),
        ]
        overridden = [".".join(keys) for keys in names if other.get(*keys) is not None]
        if overridden:
            found.append(f"{path} overrides {', '.join(overridden)}")
    return found


def _write_vertex(provider: ExportedProvider, exported: ExportedConfig) -> None:
    exported.settings["env", AT_VERTEX] = "1"
    for name, key in ((VERTEX_PROJECT, PROJECT), (VERTEX_REGION, LOCATION)):
        if value := provider.entry.env.get(key):
            exported.settings["env", name] = value
    if provider.entry.base_url:
        exported.settings["env", VERTEX_URL] = provider.entry.base_url


def _write_key(provider: ExportedProvider, exported: ExportedConfig) -> None:
    vendor = provider.upstream.preset
    name = TOKEN if vendor and vendor.auth.get("anthropic") == "bearer" else KEY
    kind, target = provider.reference
    programs = {"env": f"printenv {target}", "file": shlex.join(["cat", target]), "command": target}
    if kind in programs:
        exported.settings["apiKeyHelper",] = programs[kind]
    elif key := provider.secret():
        exported.settings["env", name] = key
    elif provider.needs_no_key:
        exported.settings["env", TOKEN] = NO_KEY
    elif provider.key:
        exported.variables[name] = provider.id
    if name == KEY and (exported.variables or ("env", KEY) in exported.settings):
        provider.note(f"{AGENT.title} asks on its screen whether to use {KEY}, and stores the answer: choose Yes")


def _write_rest(provider: ExportedProvider, exported: ExportedConfig) -> None:
    if headers := provider.headers():
        exported.settings["env", HEADERS] = "\n".join(f"{name}: {value}" for name, value in headers.items())
    default = provider.first_model
    if default is not None:
        exported.settings["env", MODEL] = default.model
    done = {default.model} if default else set()
    for name in MODEL_NAMES:
        named = [model for model in provider.models if name in model.aliases]
        # titles and summaries are requested from `haiku`, whose built-in ID the gateway does not have
        if chosen := named[-1] if named else default if provider.of_gateway else None:
            exported.settings["env", f"ANTHROPIC_DEFAULT_{name.upper()}_MODEL"] = chosen.model
            done.add(chosen.model)
    rest = [model for model in provider.models if model.model not in done]
    rest.sort(key=lambda model: model.display_name is None)
    if rest:
        exported.settings["env", CUSTOM_MODEL] = rest[0].model
        if rest[0].display_name:
            exported.settings["env", f"{CUSTOM_MODEL}_NAME"] = rest[0].display_name
    offered = [model for model in provider.models if model.model in done or model in rest[:1]]
    windows = [
        provider.facts[model.alias].max_context_tokens for model in offered if not model.model.startswith(OWN_MODEL)
    ]
    if known := [size for size in windows if size]:
        exported.settings["env", WINDOW] = str(min(known))
        if len(windows) == len(offered) and min(known) < LONG_CONTEXT:
            exported.settings["env", SHORT] = "1"
    elif windows:
        provider.note("unknown context window of all models; Claude Code assumes up to 1,000,000 tokens")
    if rest[1:]:
        names = ", ".join(model.model for model in rest[1:])
        provider.not_exported(f"models {names}", f"{AGENT.title} has no list; choose one with `claude --model MODEL`")
    if provider.entry.timeout is not None:
        provider.not_exported("timeout")


AGENT = Agent(
    id="claude",
    title="Claude Code",
    protocols=("anthropic",),
    files=_files,
    read=_read,
    write=_write,
    model_urls=False,
)
