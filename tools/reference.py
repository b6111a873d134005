"""Generates docs/reference (commands, configuration, errors, dialects, simulator) from the code.

    make docs

A test compares each page with the generated text.
"""

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, get_args

import click
import msgspec

from modelbay import dialect, errors, hints, model
from modelbay.cli import EXIT_CODES, HELP_NAMES
from modelbay.cli import modelbay as program
from modelbay.config import provider_types as types
from modelbay.config import schema
from modelbay.config.schema import Table
from modelbay.errors import ModelbayError
from modelbay.hints import OF_A_MANIFEST, ROWS
from modelbay.providers import vendor
from modelbay.providers.own_vendors import LOGIN_KEYS, VENDOR_KEYS
from modelbay.providers.vendor import NAMES, Preset, built_in
from modelbay.publishing.rules import RULE_GROUPS
from modelbay.serving import routes
from modelbay.simulator import brain, faults, limitations, login_server, other_apis, simulated_models

EXAMPLE = Path(__file__).with_name("config_example.toml")
"""A whole config.toml, shown at the top of its page. A test reads it."""
FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
SIMULATED = """\
$ modelbay provider add http://127.0.0.1:8750/v1 --id simulated --model sim-1
…
$ modelbay ask -m simulated/sim-1 "Hello"
You asked: Hello. I am sim-1, a simulated model, and this is all I know about it.
simulated/sim-1 · 3 tokens in, 21 out · 0.4 s · $0.000087
$ modelbay ask -m 'simulated/sim-1!context-length' "Hello"
error: Context Too Long: POST http://127.0.0.1:8750/v1/chat/completions returned 400: This model's maximum context length is …
…
"""
GENERATED = "\n<!-- generated from the code: `make docs` -->\n"
EVERYWHERE = {"--config", "--allow-reference", "--verbose", "-h", "--help", "-V", "--version"}
"""Options of every command, listed once at the top."""

ENVIRONMENT = {
    "MODELBAY_HOME": "folder of `config.toml`, the cache, logins, keys and conversations. Default: the platform's folders",
    "MODELBAY_REFRESH": "`off` turns the daily refresh off; `on` turns it on even if `CI` is set",
    "CI": "any value turns the daily refresh off",
    "MODELBAY_DEBUG": "any value prints tracebacks of internal errors",
    "NO_COLOR": "any value turns colors off",
    "TERM": "`dumb` turns colors off; `modelbay` prints its help instead of opening the app",
    "GOOGLE_APPLICATION_CREDENTIALS": "key file of Google's application default credentials",
    "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY": "proxies, also in lowercase: [guides/network.md](../guides/network.md)",
}
"""Environment variables that change modelbay's behavior. A test looks for others in the code."""


class Field(NamedTuple):
    name: str
    type: str
    default: str
    """Default as TOML; "" if there is none."""
    text: str
    ours: bool
    """Whether Kimi Code does not know the key."""


def pages() -> dict[str, str]:
    """The generated pages by file name."""
    return {
        "commands.md": commands(),
        "config.md": config(),
        "dialects.md": dialects(),
        "errors.md": errors_page(),
        "manifest-rules.md": manifest_rules(),
        "simulator.md": simulator(),
        "vendors.md": vendors(),
    }


# --- commands ----------------------------------------------------------------------------------------------------------


def leaves(command: click.Command, words: str = "modelbay") -> Iterator[tuple[str, click.Command]]:
    """Every command that is not a group, with its name in full."""
    if not isinstance(command, click.Group):
        yield words, command
        return
    context = click.Context(command, info_name=words, help_option_names=HELP_NAMES)
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        yield from leaves(inner, f"{words} {name}")


def commands() -> str:
    found = list(leaves(program))
    text = "# Commands\n" + GENERATED
    text += "\n`modelbay` opens the terminal app ([app.md](../guides/app.md)). Without a terminal it prints its help.\n"
    text += "\nEvery command has these options, before or after its name:\n\n" + _options(program, EVERYWHERE)
    text += "\n`modelbay help` before a command is the same as `--help` after it. `modelbay version` is the same as `--version`.\n"
    text += "\n| exit code | meaning |\n|---|---|\n"
    codes = re.findall(r"^  (\d+) +(.+)$", EXIT_CODES, re.MULTILINE)
    text += "".join(f"| {code} | {meaning} |\n" for code, meaning in codes)
    text += "\nResults are written to standard output, everything else to standard error.\n\n"
    text += "".join(f"- [`{words}`](#{words.replace(' ', '-')}): {_first(command)}\n" for words, command in found)
    return text + "".join(_command(words, command) for words, command in found)


def _command(words: str, command: click.Command) -> str:
    context = click.Context(command, info_name=words, help_option_names=HELP_NAMES)
    usage = " ".join([words, *command.collect_usage_pieces(context)])
    text = f"\n## {words}\n\n```\n{usage}\n```\n\n{_prose(command.help or '')}"
    shown = {option for param in command.params for option in param.opts} - EVERYWHERE
    options = _options(command, shown)
    return text + (f"\n{options}" if options else "")


def _options(command: click.Command, names: set[str]) -> str:
    context = click.Context(command, info_name="modelbay", help_option_names=HELP_NAMES)
    rows = []
    for param in command.get_params(context):
        if isinstance(param, click.Option) and not param.hidden and set(param.opts) <= names:
            record = param.get_help_record(context)
            assert record is not None
            rows.append(_row(f"`{record[0]}`", _code_words(" ".join(record[1].split()))))
    return "| option | effect |\n|---|---|\n" + "".join(rows) if rows else ""


def _first(command: click.Command) -> str:
    return " ".join((command.help or "").split("\n\n")[0].split())


def _prose(text: str) -> str:
    """The help of a command as Markdown. A paragraph with click's mark for preformatted text becomes a block."""
    found = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b\n"):
            block = inspect.cleandoc("\n" + paragraph.removeprefix("\b\n"))
            found.append(f"```\n{block}\n```")
        else:
            found.append(paragraph)
    return "\n\n".join(found) + "\n"


def _code_words(text: str) -> str:
    """Help with references as code, so that Markdown does not change them."""
    return re.sub(r"(?<![`\w])(\{\w+:\w+\})", r"`\1`", text)


# --- configuration -----------------------------------------------------------------------------------------------------

TABLES: list[tuple[str, str, str, set[str]]] = [
    ("At the top", "Config", "", {"default_model", "default_provider"}),
    ("[thinking]", "ThinkingDefaults", "See [guides/thinking.md](../guides/thinking.md).", set()),
    ("[chat]", "ChatSettings", "", set()),
    ("[network]", "Network", "See [guides/network.md](../guides/network.md).", set()),
    (
        "[gateway]",
        "GatewaySettings",
        "An unknown key is an error, and the gateway does not start until you fix it.",
        set(),
    ),
    ("[gateway.search]", "SearchSettings", "See [guides/web-search.md](../guides/web-search.md).", set()),
    ("[providers.ID]", "ProviderEntry", "", set()),
    ("[providers.ID.oauth]", "OAuth", "See [guides/login.md](../guides/login.md).", set()),
    ("[providers.ID.timeout]", "Timeout", "Timeouts in seconds. A missing key has a default.", set()),
    ("[providers.ID.limits]", "SizeLimits", "Maximum sizes in bytes. A larger answer is an error.", set()),
    ("[providers.ID.tls]", "Tls", "Relative paths start at the folder of `config.toml`.", set()),
    ("[models.ALIAS]", "ModelEntry", "", set()),
    ("[models.ALIAS.cost]", "Cost", "US dollars per million tokens.", set()),
    ("[models.ALIAS.modalities]", "Modalities", "", set()),
]
"""Tables of the file: title, class, introduction, and the keys to list (all if empty)."""
HIDDEN = {"id", "alias", "extra", "overridden", "variant", "flat", "configured"}
"""Fields that are not keys of the file."""
OVERRIDES = """
`[models.ALIAS.overrides]` accepts the same keys, except those that identify the model. They have priority over the model's own
keys, which a refresh rewrites in providers from a catalog or registry. To change them by command, see [models.md](models.md).
"""
ERRORS_INTRODUCTION = """
Each error has a title, a message, and a hint that says how to fix it. Find the title in the
[table](#titles-and-hints) to see which error it is. You can type this example as it is: the provider is `modelbay simulate`,
running in another terminal.

```console simulator
$ modelbay provider add http://127.0.0.1:8750/v1 --id refusing --model sim-1
…
$ modelbay ask -m 'refusing/sim-1!401' "Hello"
error: Invalid API Key: POST http://127.0.0.1:8750/v1/chat/completions returned 401: Incorrect API key provided: …

hint: enter the API key again, and make sure that it is complete (`modelbay key set refusing`)
```

For the causes of common problems, see [Troubleshooting](../guides/troubleshooting.md).

## In Python

`modelbay.errors` has all errors, and `modelbay.ModelbayError` is their base class:

```python
import modelbay

try:
    print(modelbay.complete("Hello").text)
except modelbay.errors.RateLimited as error:
    print(f"try again in {error.retry_after} seconds")
except modelbay.ModelbayError as error:
    print(error.message, error.hint, sep="\\n")
```

Every error has these attributes. An unknown attribute is `None`.

| attribute | meaning |
|---|---|
"""
OF_KIMI_CODE = """
## Tables of Kimi Code

Kimi Code can use the same file. modelbay keeps its other tables and keys unchanged, and reports none of them as unknown.

| table or key | effect in modelbay |
|---|---|
| `refresh_interval_ms` in `[model_catalog]` | interval of the daily refresh in milliseconds; `0` turns it off. Default: a day |
| `refresh_on_start` in `[model_catalog]` | none |
| `[services.moonshot_search]`, `[services.moonshot_fetch]` | written and removed by a login to Kimi Code; not used for calls |
| `mode`, `forced_effort`, `keep` in `[thinking]` | none |
| `[loop_control]`, `[secondary_model]`, `[permission]`, `[[hooks]]`, `[mcp]`, `telemetry` and others | none |
"""
TYPE_WORDS = {
    "str": "text", "int": "number", "bool": "true, false", "float": "number", "Size": "tokens", "Bytes": "bytes",
    "Seconds": "seconds", "Days": "days", "Count": "number", "Port": "number",
    "Table": "table", "list[str]": "list of texts", "dict[str, str]": "table of texts", "dict[str, Table]": "table of tables",
    "Annotated[int, Meta(ge=1, le=50)]": "number", "SearchSettings": "table",
    "OAuth": "table", "Timeout": "table", "SizeLimits": "table", "Tls": "table", "Modalities": "table", "Cost": "table",
    "Annotated[str, Meta(min_length=1)]": "text",
}  # fmt: skip


def config() -> str:
    text = "# config.toml\n" + GENERATED
    text += """
`modelbay config path` prints the path of `config.toml`, and `modelbay config check` reports errors in it. The format is Kimi
Code's. Keys marked + are modelbay's own; Kimi Code ignores them. Unknown keys are kept. Blank text counts as not set. API keys
and headers can be references: [concepts/keys.md](../concepts/keys.md#references).

## Example

Every table is optional. Two providers and an alias are a usual file.

"""
    text += f"```toml\n{EXAMPLE.read_text(encoding='utf-8')}```\n"
    for title, name, more, only in TABLES:
        found = [one for one in fields(model if name == "Cost" else schema, name) if one.name not in HIDDEN]
        found = [one for one in found if one.name in only] if only else found
        all_ours = name in (
            "ChatSettings",
            "Network",
            "GatewaySettings",
            "SearchSettings",
            "Timeout",
            "SizeLimits",
            "Tls",
            "Cost",
            "Modalities",
        )
        heading = title if title == "At the top" else f"`{title}`"
        text += (
            f"\n## {heading}\n\n" + (f"{more}\n\n" if more else "") + "| key | | value | meaning |\n|---|---|---|---|\n"
        )
        text += "".join(
            _row(f"`{one.name}`", "+" * (one.ours or all_ours), _type(one.type), _sentence(one.text)) for one in found
        )
        text += OVERRIDES if name == "ModelEntry" else ""
    return text + OF_KIMI_CODE + _types() + _capabilities() + _environment()


def _types() -> str:
    text = "\n## Provider types\n\n| `type` | protocol | default base URL | API key in `env` | base URL in `env` |\n"
    text += "|---|---|---|---|---|\n"
    for name, row in types.TYPES.items():
        keys, places = (", ".join(f"`{one}`" for one in names) for names in (row.key_names, row.url_names))
        text += _row(f"`{name}`", f"`{row.protocol}`", row.base_url or "", keys, places)
    old = ", ".join(f"`{old}` for `{new}`" for old, new in types.OLD_TYPES.items())
    return text + f"\nOlder names are accepted too: {old}. `protocol` is one of {_words(types.PROTOCOLS)}.\n"


def _capabilities() -> str:
    return f"\n## Capabilities\n\n`capabilities` is a list of {_words(get_args(model.Capability))}.\n"


def _environment() -> str:
    text = "\n## Environment variables\n\nAPI keys are never read from the environment implicitly. These variables are used:\n\n"
    text += "| variable | effect |\n|---|---|\n" + "".join(
        _row(f"`{name}`", about) for name, about in ENVIRONMENT.items()
    )
    return text + ("\n`modelbay import` and `export` also use the variables with which an agent finds its files.\n")


def _type(annotation: str) -> str:
    words = []
    for one in annotation.split(" | "):
        if one == "Protocol":
            words.append("a protocol")
        elif one.startswith("Literal["):
            words += [f'`"{value}"`' for value in re.findall(r"'([^']*)'", one)]
        elif one != "None":
            words.append(TYPE_WORDS[one])
    return " or ".join(words)


# --- dialects ----------------------------------------------------------------------------------------------------------


def dialects() -> str:
    text = "# Dialects and vendors\n" + GENERATED
    text += """
A dialect lists the differences between a vendor's API and its protocol ([Dialects](../concepts/dialects.md)). `dialect` in
`[providers.ID]` is a vendor's ID, or a table of the fields below. In a table, `preset` names the vendor whose dialect the
fields change:

```toml
[providers.acme.dialect]
preset = "vllm"
unsupported = ["seed"]
```

## Fields

| field | value | default | meaning |
|---|---|---|---|
"""
    for one in fields(dialect, "Dialect")[1:]:
        text += _row(
            f"`{one.name}`", _dialect_type(one.type), f"`{one.default}`" if one.default else "", _sentence(one.text)
        )
    text += "\n`reasoning_control`: " + (_docstring_of(dialect, "ReasoningControl") or "").replace("\n", " ") + "\n"
    text += "\n## Vendors\n\n| ID | name | other names | protocols | base URL | API keys |\n|---|---|---|---|---|---|\n"
    every = built_in()
    text += "".join(_vendor(one) for one in every)
    text += "\n## Dialects of vendors\n\n| ID | protocol | fields |\n|---|---|---|\n"
    return text + "".join(_row(*cells) for one in every for cells in _differences(one))


TYPES_OF_VENDORS = {
    "protocols": "list of protocols",
    "base_urls": "table of texts, by protocol",
    "auth": "table of `bearer`, `x-api-key`, `api-key` or `x-goog-api-key`, by protocol",
    "logins": "list of tables",
    "by": '`"device"` or `"key"`',
}


def vendors() -> str:
    text = "# Vendor files\n" + GENERATED
    text += """
A vendor file `presets/ID.toml` in modelbay's home adds a vendor of your own: [guides/own-vendor.md](../guides/own-vendor.md) has an
example and the rules. `name`, `hosts` and `protocols` are required.

| key | value | meaning |
|---|---|---|
"""
    text += "".join(_key_row(one) for one in fields(vendor, "Preset") if one.name in VENDOR_KEYS)
    text += """
## `[[logins]]`

`id`, `title`, `by` and `base_url` are required. `host`, `device_path`, `token_path` and `client_id` are required for a device code.

| key | value | meaning |
|---|---|---|
"""
    return text + "".join(_key_row(one) for one in fields(vendor, "LoginMethod") if one.name in LOGIN_KEYS)


def _key_row(one: Field) -> str:
    return _row(f"`{one.name}`", TYPES_OF_VENDORS.get(one.name) or _type(one.type), _sentence(one.text))


def _vendor(one: Preset) -> str:
    place = one.base_url or (
        "depends on the location" if one.addressing == "vertexai" else "different for each customer"
    )
    more = "not needed" if one.keyless else f"[create]({one.key_url})" if one.key_url else ""
    names = ", ".join(f"`{name}`" for name in one.protocols)
    place = f"ended on {one.ended.date}" if one.ended else f"`{place}`" if "://" in place else place
    return _row(f"`{one.id}`", one.name, ", ".join(one.aliases), names, place, more)


def _differences(one: Preset) -> Iterator[tuple[str, str, str]]:
    plain: Table = {key: value for key, value in one.dialect.items() if key not in NAMES}
    for protocol, said in [("", plain), *((name, one.dialect[name]) for name in one.protocols if name in one.dialect)]:
        if said:
            words = ", ".join(f"`{key} = {_value(value)}`" for key, value in said.items())
            yield f"`{one.id}`", f"`{protocol}`" if protocol else "all", words


def _dialect_type(annotation: str) -> str:
    if annotation == "ReasoningControl":
        annotation = "Literal[" + ", ".join(repr(value) for value in get_args(dialect.ReasoningControl)) + "]"
    known = {"Extra": "table", "ReasoningControl | None": ""}
    if annotation.startswith("ReasoningControl"):
        return " or ".join(f'`"{value}"`' for value in get_args(dialect.ReasoningControl))
    return known.get(annotation) or _type(annotation)


def _value(value: object) -> str:
    """A value in TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(one)}" for key, one in value.items()) + " }"
    return msgspec.json.encode(value).decode()


# --- errors ------------------------------------------------------------------------------------------------------------


def errors_page() -> str:
    _, _, tree = (errors.__doc__ or "").partition("\n\n")
    text = f"# Errors\n{GENERATED}"
    text += ERRORS_INTRODUCTION
    text += "".join(_row(f"`{one.name}`", _sentence(one.text)) for one in fields(errors, "ModelbayError"))
    text += f"\n## All errors\n\n```\n{tree.strip()}\n```\n"
    text += """
## Titles and hints

The table has the title of each error, its hint, and the command that the hint names. Some errors have a more specific hint. A
command with a provider is shown only if the provider is known. modelbay repeats a request only after the errors marked
"retried" ([when](../concepts/protocols.md#errors-retries-and-limits)).

| error | title | hint | command | retried |
|---|---|---|---|---|
"""
    text += "".join(_error(kind.__name__, row, kind) for kind, row in ROWS.items())
    text += "\nSome responses have their own hint:\n\n| response | title | hint | command |\n|---|---|---|---|\n"
    special = [("status 400 that requires `max_completion_tokens` instead of `max_tokens`", hints.AZURE_MAX_TOKENS)]
    special += [("web page with a status below 500", hints.WEB_PAGE)]
    special += [
        (f"`{kind.__name__}` from a provider added by its manifest", row) for kind, row in OF_A_MANIFEST.items()
    ]
    text += "".join(_error(when, row) for when, row in special)
    text += """
Other operations than asking a model have their own titles and hints: embedding texts (`embed`), listing models (`list`), fetching
a document such as a manifest (`fetch`), logging in (`login`), getting an access token (`token`) and uploading a file (`upload`).

| operation | error | title | hint | command |
|---|---|---|---|---|
"""
    for own in {id(rows): rows for rows in hints.OPERATIONS.values()}.values():
        names = ", ".join(f"`{name}`" for name, rows in hints.OPERATIONS.items() if rows is own)
        for kind, row in own.items():
            text += f"| {names} {_error(kind.__name__, row, kind, more=False)}"
    return text


def _error(name: str, row: hints.HintRow, kind: type[ModelbayError] | None = None, *, more: bool = True) -> str:
    command = f"`{_spelt(row.act.command)}`" if row.act and row.act.command else ""
    again = ["yes" if kind.retryable else ""] if kind is not None and more else []
    return _row(f"`{name}`" if kind else name, row.title.replace("`", ""), _spelt(row.fix), command, *again)


def _spelt(text: str) -> str:
    """The text of a hint with placeholders instead of an error's names."""
    return text.format(provider="PROVIDER", model="MODEL", file="config.toml", manifest="BASE_URL")


# --- rules for manifests -----------------------------------------------------------------------------------------------


def manifest_rules() -> str:
    text = (
        f"# Manifest rules\n{GENERATED}\n`modelbay manifest check` reports these rules for "
        "[published models](../guides/publishing.md#check). An *error* breaks at least one application, a *warning* misleads "
        "users, and *advice* improves the documents.\n"
    )
    for title, group in RULE_GROUPS.items():
        text += f"\n## {title}\n\n| rule | severity | fix |\n|---|---|---|\n"
        text += "".join(_row(f"`{name}`", rule.severity, rule.change) for name, rule in group.items())
    return text


# --- the simulator -----------------------------------------------------------------------------------------------------


def simulator() -> str:
    about, _, table = (brain.__doc__ or "").partition(" Words in the prompt")
    about = about.split("\n\n")[1].replace("\n", " ").removesuffix(".")
    text = (
        f"# Simulator\n{GENERATED}\n`modelbay simulate` runs a simulated provider that speaks every protocol, at "
        f"`http://127.0.0.1:8750`. {about}.\n\nLeave it running, and use another terminal:\n\n"
        f"```console simulator\n{SIMULATED}```\n\nThe model name in the last command requests a [fault](#faults).\n"
    )
    text += f"\n## Words in the prompt\n\n```\n{inspect.cleandoc(chr(10) + table.partition(chr(10) * 2)[2])}\n```\n"
    text += "\n## Models\n\n| ID | context window | capabilities |\n|---|--:|---|\n"
    for one in simulated_models.SimulatedModels().by_id.values():
        can = ", ".join(name for name, yes in one.model.capabilities.items() if yes)
        text += _row(f"`{one.id}`", f"{one.context:,}", can)
    text += "\n## Other APIs\n\nAll models answer these requests too.\n\n| request | response |\n|---|---|\n"
    for action, effect in {**other_apis.ABOUT, **{name: api.__doc__ for name, api in other_apis.APIS.items()}}.items():
        paths = [
            f"`{row.methods[0]} /v1{row.path}`" for row in routes.ROWS if row.action == action and "/v1" in row.versions
        ]
        text += _row(", ".join(dict.fromkeys(paths)), (effect or "").strip().removesuffix("."))
    asked = (faults.__doc__ or "").split("\n\n")[1].replace("\n", " ").partition(" A fault is")[0]
    text += f"\n## Faults\n\n{asked} An argument follows `=`.\n\n| fault | effect (N is the argument) |\n|---|---|\n"
    text += "".join(_row(f"`{name}`", kind.text) for name, kind in faults.FAULTS.items())
    text += (
        "\n## Missing features\n\n`modelbay simulate --without FEATURE` ignores requests for a feature. With "
        "`=refuse` after it, such requests get status 400.\n\n| FEATURE | what is ignored or refused |\n|---|---|\n"
    )
    text += "".join(_row(f"`{name}`", one.text) for name, one in limitations.LIMITATIONS.items())
    text += "\n## Logins\n\n`modelbay simulate --login BEHAVIOR` accepts these values, with `=N` or `*TIMES` after them:\n\n"
    text += "| BEHAVIOR | effect |\n|---|---|\n"
    return text + "".join(_row(f"`{name}`", about) for name, about in login_server.SPECS.items())


# --- reading the code --------------------------------------------------------------------------------------------------


def fields(module: ModuleType, name: str) -> list[Field]:
    """The fields of a class with their docstrings."""
    source = inspect.getsource(module)
    found = next(node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == name)
    lines = source.splitlines()
    marks = [number for number, line in enumerate(lines, 1) if line.strip() == "# ours"]
    ours_from = next((mark for mark in marks if found.lineno < mark <= (found.end_lineno or 0)), None)
    return [
        Field(
            str(node.target.id),
            ast.unparse(node.annotation),
            _default(node.value),
            _text(following),
            ours_from is not None and node.lineno > ours_from,
        )
        for node, following in zip(found.body, [*found.body[1:], None], strict=True)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    ]


def _docstring_of(module: ModuleType, name: str) -> str | None:
    """The docstring of a variable."""
    body = ast.parse(inspect.getsource(module)).body
    for node, following in pairwise(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
            return _text(following)
    return None


def _text(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return inspect.cleandoc(node.value.value)
    return ""


def _default(node: ast.expr | None) -> str:
    """The default in TOML: `field(default_factory=dict)` is an empty table."""
    if node is None or (isinstance(node, ast.Constant) and node.value is None):
        return ""
    if isinstance(node, ast.Constant):
        return _value(node.value)
    factory = node.keywords[0].value if isinstance(node, ast.Call) and node.keywords else node
    if isinstance(factory, ast.Lambda):
        return _value(ast.literal_eval(factory.body))
    return "[]" if ast.unparse(factory) == "list" else "{}"


# --- writing Markdown --------------------------------------------------------------------------------------------------


def _sentence(text: str) -> str:
    """A docstring in one line."""
    return text.replace("\n", " ")


def _words(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
