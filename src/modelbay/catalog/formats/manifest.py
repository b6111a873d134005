"""Provider manifests, and the extended models in them or next to them. JSON in, values out.

A hosted manifest is an object whose models are at its base URL or at models.dev. An embedded one is an array of two: the
manifest, and the content of the models URL. Each problem is a `Finding` with its place.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Literal, TypeAlias, get_args

from msgspec import Struct, field, to_builtins

from modelbay.catalog import names as naming
from modelbay.catalog.facts import INPUTS, OUTPUTS, Facts
from modelbay.catalog.lists.entry import Listed
from modelbay.catalog.lists.entry_facts import too_cheap
from modelbay.catalog.lists.listing import listed_model, parse_list, reported_gaps
from modelbay.catalog.models_dev.index import SWITCHES
from modelbay.config.schema import Table, key_text
from modelbay.conversation import Extra, Json
from modelbay.errors import MalformedReply, ModelbayError, SourceError
from modelbay.json_text import decode, fault, repeated_names, unfenced
from modelbay.origin import origin
from modelbay.protocols.failures import summary, text_of
from modelbay.protocols.openai_errors import error_in
from modelbay.protocols.shapes import EXACT
from modelbay.providers import urls
from modelbay.secrecy import key_in_query, named_credential

FAILED = "Failed to process provider data"
"""The message in the guide for providers."""
FIX = "Double-check the payload matches the examples, ensure `models_data_source` is correct"
MOST_FINDINGS = 100
"""Maximum number of findings kept for display. Reading continues after that."""
LONGEST = 200
"""Maximum characters of a provider's name."""

DataSource: TypeAlias = Literal["endpoint", "models_dev", "embedded"]
"""`models_data_source`: where the models are. `embedded` is valid only in pasted JSON."""
DATA_SOURCES: tuple[DataSource, ...] = get_args(DataSource)
SHOWN = 100
"""Maximum characters of a key in the place of a finding."""
Step: TypeAlias = str | int


class ManifestFinding(Struct, frozen=True):
    """A problem: its place, such as `models.acme/x.limit.context`, and its description."""

    where: str
    message: str
    fatal: bool = True
    """Whether it makes the whole document unusable; otherwise it is worked around."""
    unread: bool = False
    """Whether entries are missing because of it: a model that is not in the result may still be in the source."""
    kind: Literal["key", "duplicate", "http", "endpoint", "text"] | None = None
    """Kind of the problem, if others must recognize it: a credential, a duplicate key, no encryption, a full endpoint URL, a text
    that is not JSON."""

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class Manifest(Struct, kw_only=True):
    """A provider's description of itself. It never contains a key."""

    name: str
    base_url: str
    source: DataSource
    website: str | None = None
    models_dev_id: str | None = None
    """The provider's ID at models.dev."""
    models: list[Listed] = field(default_factory=list)
    """Models of an embedded manifest; empty if they are elsewhere."""
    findings: list[ManifestFinding] = field(default_factory=list)
    """Problems that were worked around."""

    @property
    def models_url(self) -> str:
        """URL of the extended models, for the source "endpoint"."""
        return urls.append(urls.models_url(self.base_url, "openai_chat"), "?extended=true")


class Inspected(Struct):
    """Everything found in a text; `manifest` is None if a finding is fatal."""

    manifest: Manifest | None
    findings: list[ManifestFinding]


def listed_table(one: Listed) -> Table:
    """The `listed` table of a model in `config.toml`: the fields of an extended model, and no others.

    It is made from `Facts`, so that its readers need not know every vendor's spelling.
    """
    facts, raw = one.facts, one.extra
    can = facts.capabilities
    switches = {name: can[capability] for capability, name in SWITCHES.items() if capability in can}
    kept = {path[0]: raw[path[0]] for path in KEPT if path[0] in raw and _wrong(raw[path[0]], FIELDS[path]) is None}
    sizes = {
        "context": facts.max_context_tokens,
        "input": facts.max_input_tokens,
        "output": facts.max_output_tokens,
    }
    table: Table = {
        "name": facts.name,
        **switches,
        **kept,
        "reasoning_options": _options(facts),
        "interleaved": {"field": facts.reasoning_key} if facts.reasoning_key else None,
        "modalities": _modalities(facts, raw),
        "cost": to_builtins(facts.cost) if facts.cost else None,
        "limit": {name: size for name, size in sizes.items() if size is not None},
    }
    return {name: value for name, value in table.items() if value not in (None, {}, [])}


KEPT: tuple[tuple[str, ...], ...] = (("attachment",), ("open_weights",), ("release_date",), ("last_updated",))
"""Display fields."""


def _options(facts: Facts) -> list[Table]:
    if facts.efforts is None:
        return []
    return [{"type": "effort", "values": [*facts.efforts, *([facts.off_effort] if facts.off_effort else [])]}]


def _modalities(facts: Facts, raw: Extra) -> Table:
    """The lists as written, else derived from the facts if they are complete."""
    found: Table = {}
    written = raw.get("modalities")
    for side, kinds in (("input", INPUTS), ("output", OUTPUTS)):
        words = written.get(side) if isinstance(written, dict) else None
        if isinstance(words, list) and words and _wrong(words, "words") is None:
            found[side] = words
        elif any(capability in facts.capabilities for capability in kinds.values()):
            found[side] = ["text", *(kind for kind, can in kinds.items() if facts.capabilities.get(can))]
        elif side == "input" and raw.get("attachment") is False:
            found[side] = ["text"]  # it accepts no files of any kind
    return found


# As values, or an error


def parse_manifest(content: bytes | Json, *, pasted: bool = False, source: str = "") -> Manifest:
    """The manifest in a text. With `pasted` it must contain its models, because nothing is fetched. `source`: the request that
    fetched it, for the message.

    Raises:
        ModelbayError: it cannot be used; the message says where and why.
    """
    inspected = inspect_manifest(unfenced(content) if pasted and isinstance(content, bytes) else content, pasted=pasted)
    if inspected.manifest is None:
        raise refusal(inspected.findings, source)
    return inspected.manifest


def parse_models(content: bytes | Json, source: str = "") -> tuple[list[Listed], list[ManifestFinding]]:
    """The extended models in a text with their facts, and the problems that were worked around.

    Raises:
        ModelbayError: they cannot be used; the message says where and why.
    """
    models, findings = inspect_models(content)
    if any(finding.fatal for finding in findings):
        raise refusal(findings, source)
    return models, findings


def refusal(findings: Iterable[ManifestFinding], source: str = "") -> SourceError:
    """The error for findings, of which at least one is fatal."""
    first, *others = [finding for finding in findings if finding.fatal]
    more = f" (and {len(others)} more)" if others else ""
    hint = "check the URL: its content is not JSON" if source and first.kind == "text" else FIX
    return SourceError(": ".join(filter(None, (FAILED, source, f"{first}{more}"))), hint=hint)


# With all findings


def inspect_manifest(content: bytes | Json, *, pasted: bool = False) -> Inspected:
    """The manifest in a text, and all its problems."""
    findings: list[ManifestFinding] = []
    read = _read(content, findings)
    if _fatal(findings):
        return Inspected(None, findings)
    table, models = _halves(read, findings, pasted=pasted)
    if table is None:
        return Inspected(None, findings)
    prefix: tuple[Step, ...] = (0,) if isinstance(read, list) else ()
    _keep(findings, _keys_within(table, prefix))
    name = _text(table, "name", prefix, findings, longest=LONGEST)
    if name is not None and naming.deceives(name):
        findings.append(ManifestFinding(_path((*prefix, "name")), naming.MIXED, fatal=False))
    base_url = _text(table, "baseUrl", prefix, findings)
    if base_url is not None:
        findings += _address(base_url, (*prefix, "baseUrl"))
    source = _source(table, prefix, findings, pasted=pasted)
    dev_id = _text(table, "models_dev_provider_id", prefix, findings, needed=source == "models_dev")
    website = _text(table, "website", prefix, findings, needed=False)
    listed: list[Listed] = []
    if isinstance(read, list):
        listed, more = inspect_models(models, under=(1,))
        _keep(findings, more)
    if name is None or base_url is None or source is None or _fatal(findings):
        return Inspected(None, findings)
    manifest = Manifest(
        name=name, base_url=base_url, source=source, website=website, models_dev_id=dev_id, models=listed,
        findings=findings,
    )  # fmt: skip
    return Inspected(manifest, findings)


def inspect_models(content: bytes | Json, under: tuple[Step, ...] = ()) -> tuple[list[Listed], list[ManifestFinding]]:
    """The extended models in a text, and all their problems. `under` is the path of the text itself."""
    findings: list[ManifestFinding] = []
    read = _read(content, findings)
    if _fatal(findings):
        return [], findings
    found = read.get("models") if isinstance(read, dict) else None
    if isinstance(found, dict):
        _keep(findings, _keys_within(found, (*under, "models")))
        models = _table(found, (*under, "models"), findings)
        assert isinstance(read, dict)
        around = {name: value for name, value in read.items() if name != "models"}
        _keep(findings, _unread(_path((*under, "models")), reported_gaps(around, len(found)).reasons))
        return models, findings
    if isinstance(read, dict) and "models" in read and not isinstance(found, list):
        findings.append(
            ManifestFinding(_path((*under, "models")), f"must be an object of models by ID, not {_kind(found)}")
        )
        return [], findings
    return _plain(read, under, findings), findings


def _plain(read: Json, under: tuple[Step, ...], findings: list[ManifestFinding]) -> list[Listed]:
    """The models of a list that is not an object by ID: a plain one like OpenAI's."""
    where = _path((*under, "models"))
    items = read.get("models", read.get("data")) if isinstance(read, dict) else read
    if not isinstance(items, list):
        what = f"an object with {_names(read)}" if isinstance(read, dict) else _kind(read)
        findings.append(ManifestFinding(where, f"missing: found {what} instead"))
        return []
    try:
        listing = parse_list(read)
    except ModelbayError as error:
        findings.append(ManifestFinding(where, error.message))
        return []
    findings.append(ManifestFinding(where, "expected an object of models by ID, got a list", fatal=False))
    gaps = [*listing.gaps.reasons, *(f"{id}: {why}" for id, why in listing.gaps.entries.items())]
    if listing.next:
        gaps.append("it has more pages, which were not read")
    elif listing.total is not None and listing.total > len(items):
        gaps.append(f"the list announces {listing.total} models and contains {len(items)}")
    _keep(findings, _unread(where, gaps))
    return listing.models


def _unread(where: str, gaps: Iterable[str]) -> Iterator[ManifestFinding]:
    return (ManifestFinding(where, why, fatal=False, unread=True) for why in gaps)


def _read(content: bytes | Json, findings: list[ManifestFinding]) -> Json:
    """The value of a text. Duplicate keys are ambiguous, so they are an error."""
    if not isinstance(content, bytes):
        return content
    if not content.strip():
        findings.append(ManifestFinding("", "it is empty", kind="text"))
        return None
    try:
        read = decode(content)
    except MalformedReply:
        place = fault(content)
        what = (
            f"but {summary(text_of(content[:2000]))}" if place is None else "at line {}, column {}: {}".format(*place)
        )
        findings.append(ManifestFinding("", f"not JSON {what}", kind="text" if place is None else None))
        return None
    twice = repeated_names(content)
    findings += [ManifestFinding(key_text(name), "duplicate key", kind="duplicate") for name in twice[:MOST_FINDINGS]]
    return read


def _halves(read: Json, findings: list[ManifestFinding], *, pasted: bool) -> tuple[Extra | None, Json]:
    """The manifest, and for an embedded one its models."""
    if isinstance(read, list):
        if len(read) != 2:
            findings.append(ManifestFinding("", f"the array must be [manifest, models], but has {len(read)} elements"))
            return None, None
        if not pasted:
            findings.append(ManifestFinding("", "a hosted manifest must be an object; an array is for embedded JSON"))
            return None, None
        if not isinstance(read[0], dict):
            findings.append(ManifestFinding("0", f"the manifest must be an object, not {_kind(read[0])}"))
            return None, None
        if "models" in read[0] and isinstance(read[1], dict) and "baseUrl" in read[1]:
            findings.append(ManifestFinding("", "the array must be [manifest, models], but the models come first"))
            return None, None
        return read[0], read[1]
    if not isinstance(read, dict):
        findings.append(ManifestFinding("", f"the manifest must be an object, not {_kind(read)}"))
        return None, None
    if pasted:
        findings.append(ManifestFinding("", "embedded JSON must be an array [manifest, models]; this is an object"))
        return None, None
    described = read.keys() & {"name", "baseUrl", "models_data_source"}
    if not described and (error := error_in(read)) is not None:
        findings.append(ManifestFinding("", f"the response is an error: {error.message}"))
        return None, None
    if not described and read.keys() & {"data", "models"}:
        findings.append(
            ManifestFinding("", "this is a model list, not a manifest; a manifest is usually at …/models?provider=true")
        )
        return None, None
    return read, None


def _source(
    table: Extra, prefix: tuple[Step, ...], findings: list[ManifestFinding], *, pasted: bool
) -> DataSource | None:
    written = _text(table, "models_data_source", prefix, findings)
    where = _path((*prefix, "models_data_source"))
    for source in DATA_SOURCES:
        if source == written and pasted != (source == "embedded"):
            wanted = '"embedded"' if pasted else '"endpoint" or "models_dev"'
            kind = "embedded JSON" if pasted else "a hosted manifest"
            findings.append(ManifestFinding(where, f'"{source}" is not allowed in {kind}, only {wanted}'))
        if source == written:
            return source
    if written is not None:
        findings.append(
            ManifestFinding(where, f'unknown value "{written[:50]}": must be one of {", ".join(DATA_SOURCES)}')
        )
    return None


def _address(url: str, where: tuple[Step, ...]) -> Iterator[ManifestFinding]:
    path = _path(where)
    try:
        scheme = origin(url)
    except ValueError as error:
        yield ManifestFinding(path, str(error))
        return
    if urls.without_user(url)[1]:
        yield ManifestFinding(path, "the URL contains credentials; a manifest must not contain a key", kind="key")
    if key_in_query(url):
        yield ManifestFinding(path, "it contains a key in its query; a manifest must not contain a key", kind="key")
    if "{" in url or "}" in url:
        yield ManifestFinding(path, "it contains a placeholder, which cannot be filled in")
    if "#" in url:
        yield ManifestFinding(path, "it contains a #; the text after it is never sent to a server")
    if scheme.scheme == "http" and not scheme.loopback:
        yield ManifestFinding(
            path, "it is http://: keys and conversations are sent unencrypted", fatal=False, kind="http"
        )
    if urls.is_endpoint(url):
        yield ManifestFinding(
            path, "it is a full endpoint; expected the base URL before it", fatal=False, kind="endpoint"
        )


def _keys_within(value: Json, where: tuple[Step, ...]) -> Iterator[ManifestFinding]:
    """Credentials at any place: a published key is compromised, and its users would share it."""
    if isinstance(value, dict):
        for name, item in value.items():
            if named_credential(name) and isinstance(item, str) and item.strip():
                yield ManifestFinding(
                    _path((*where, name)), "a manifest must not contain a key; each user has their own", kind="key"
                )
            else:
                yield from _keys_within(item, (*where, name))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _keys_within(item, (*where, number))


# Models


def _table(found: Extra, where: tuple[Step, ...], findings: list[ManifestFinding]) -> list[Listed]:
    """Models by ID."""
    models: dict[str, Listed] = {}
    places: dict[str, str] = {}
    hidden = 0
    for key, entry in found.items():
        place = (*where, key)
        own: list[ManifestFinding] = []
        if not isinstance(entry, dict):
            own.append(ManifestFinding(_path(place), f"a model must be an object, not {_kind(entry)}"))
        elif (id := _id(key, entry, place, own)) is not None and (other := places.get(naming.folded(id))):
            said = "is" if id in models else "differs only in case from"
            own.append(ManifestFinding(_path((*place, "id")), f'"{id}" {said} the id of {other} already'))
        elif id is not None:
            own += _fields(entry, place)
            places[naming.folded(id)] = _path(place)
            models[id] = listed_model(id, entry)
        hidden += _keep(findings, own)
    if hidden:
        findings.append(ManifestFinding(_path(where), f"{hidden} more findings", fatal=False))
    return list(models.values())


def _keep(findings: list[ManifestFinding], more: Iterable[ManifestFinding]) -> int:
    """Keep findings for display, and always the first that is fatal or skips entries. Returns the number of omitted ones."""
    hidden = 0
    for one in more:
        weighs = (one.fatal, one.unread) != (False, False)
        if len(findings) < MOST_FINDINGS or (
            weighs and not any((kept.fatal, kept.unread) == (one.fatal, one.unread) for kept in findings)
        ):
            findings.append(one)
        else:
            hidden += 1
    return hidden


def _id(key: str, entry: Extra, where: tuple[Step, ...], findings: list[ManifestFinding]) -> str | None:
    written = entry.get("id", key)
    path = _path((*where, "id"))
    if not isinstance(written, str):
        findings.append(ManifestFinding(path, f"it must be text, not {_kind(written)}"))
        return None
    id = written.strip()
    if not id:
        findings.append(ManifestFinding(path, "it is empty"))
        return None
    if (why := naming.problem(id)) is not None:
        findings.append(ManifestFinding(path, why))
        return None
    if "id" not in entry:
        findings.append(ManifestFinding(path, "missing: the key is used instead", fatal=False))
    elif id != key:
        findings.append(ManifestFinding(path, f'it is "{id}", but the key is "{key}": the ID is used', fatal=False))
    if "name" not in entry:
        findings.append(ManifestFinding(_path((*where, "name")), "missing: the ID is shown instead", fatal=False))
    return id


def _fields(entry: Extra, where: tuple[Step, ...]) -> Iterator[ManifestFinding]:
    """Problems in the known fields of a model. A null field counts as absent."""
    for path, kind in FIELDS.items():
        value: Json = entry
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        if value is not None and (found := _wrong(value, kind)) is not None:
            message, fatal = found
            yield ManifestFinding(_path((*where, *path)), message, fatal)
    cost = entry.get("cost")
    if isinstance(cost, dict) and (why := too_cheap(cost) or _half(cost)) is not None:
        yield ManifestFinding(_path((*where, "cost")), f"{why}; it is ignored", fatal=False)


def _half(cost: Extra) -> str | None:
    """Why the only price of two gives no cost of an answer."""
    missing = [name for name in ("input", "output") if cost.get(name) is None]
    return f"no price for {missing[0]}" if len(missing) == 1 else None


FieldKind: TypeAlias = Literal["text", "switch", "day", "words", "table", "size", "price"]
FIELDS: dict[tuple[str, ...], FieldKind] = {
    ("name",): "text",
    ("attachment",): "switch",
    ("reasoning",): "switch",
    ("temperature",): "switch",
    ("tool_call",): "switch",
    ("structured_output",): "switch",
    ("open_weights",): "switch",
    ("release_date",): "day",
    ("last_updated",): "day",
    ("modalities",): "table",
    ("modalities", "input"): "words",
    ("modalities", "output"): "words",
    ("cost",): "table",
    ("cost", "input"): "price",
    ("cost", "output"): "price",
    ("cost", "cache_read"): "price",
    ("cost", "cache_write"): "price",
    ("limit",): "table",
    ("limit", "context"): "size",
    ("limit", "input"): "size",
    ("limit", "output"): "size",
}
"""The fields of an extended model, from the guide for providers and models.dev."""
DAY = re.compile(r"\d{4}(?:-\d{2}(?:-\d{2})?)?")


def _wrong(value: Json, kind: FieldKind) -> tuple[str, bool] | None:
    """The problem with a value, and whether it makes the document unusable."""
    match kind:
        case "text":
            return None if isinstance(value, str) else (f"it must be text, not {_kind(value)}", True)
        case "switch":
            return None if isinstance(value, bool) else (f"it must be true or false, not {_kind(value)}", True)
        case "day":
            if isinstance(value, str):
                return None if DAY.fullmatch(value) else ("not a date like 2025-08-21", False)
            return f"it must be a date like 2025-08-21, not {_kind(value)}", True
        case "table":
            return None if isinstance(value, dict) else (f"it must be an object, not {_kind(value)}", True)
        case "words":
            fine = isinstance(value, list) and all(isinstance(word, str) for word in value)
            return None if fine else ("it must be a list of words like text and image", True)
    number = _number(value)
    if number is None:
        return f"it must be a number, not {_kind(value)}", True
    if number < 0:
        return "negative; it is ignored", False
    if kind == "size" and number >= EXACT:
        return "not a possible number of tokens; it is ignored", False
    if kind == "size" and number % 1:
        return "not a whole number of tokens; it is ignored", False
    if kind == "size" and not number:
        return "zero tokens; it is ignored", False
    return ("it is a number in quotes", False) if isinstance(value, str) else None


def _number(value: Json) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = Decimal(str(value).strip().removeprefix("$"))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


# Words


def _text(
    table: Extra, name: str, prefix: tuple[Step, ...], findings: list[ManifestFinding], *, needed: bool = True,
    longest: int = 2000,
) -> str | None:  # fmt: skip
    """A text of the manifest; None, with a finding, if it is missing or wrong."""
    where, value = _path((*prefix, name)), table.get(name)
    if value is None or (isinstance(value, str) and not value.strip()):
        if needed:
            findings.append(ManifestFinding(where, "missing" if value is None else "it is empty"))
        return None
    if not isinstance(value, str):
        findings.append(ManifestFinding(where, f"it must be text, not {_kind(value)}"))
        return None
    text = value.strip()
    if not text.isprintable() or len(text) > longest:
        findings.append(
            ManifestFinding(where, "it contains control characters" if len(text) <= longest else "it is too long")
        )
        return None
    return text


def _kind(value: Json) -> str:
    """The type of a value, for messages."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return f'"{value[:40]}"'
        case int() | float():
            return f"the number {value}" if math.isfinite(value) else str(float(value))
        case list():
            return "a list"
    return "an object"


def _names(read: Extra) -> str:
    return ", ".join(key_text(str(name))[:40] for name in list(read)[:5]) or "no keys"


def _path(steps: tuple[Step, ...]) -> str:
    short = [f"{step[:SHOWN]}…" if isinstance(step, str) and len(step) > SHOWN else step for step in steps]
    return ".".join(step if isinstance(step, str) and step.isprintable() else json.dumps(step) for step in short)


def _fatal(findings: Iterable[ManifestFinding]) -> bool:
    return any(finding.fatal for finding in findings)
