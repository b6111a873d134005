"""Checks the text of a manifest, of extended models and of a plain list. The result is a list of findings."""

from collections.abc import Iterator

from msgspec import Struct, field

from modelbay.catalog.formats import manifest as manifest_format
from modelbay.conversation import Extra, Json
from modelbay.errors import MalformedReply
from modelbay.json_text import decode
from modelbay.publishing.manifest_rules import key_findings, manifest_findings
from modelbay.publishing.model_rules import model_findings
from modelbay.publishing.rules import RULES, RuleFinding, Severity, broken

FIELDS = {
    "name": "name",
    "website": "website",
    "baseUrl": "base-url",
    "models_data_source": "models-source",
    "models_dev_provider_id": "models-dev-id",
    "models": "models",
}
"""The rule for each field of a manifest."""
MODEL_FIELDS = {
    ".id": "model-id",
    ".name": "model-name",
    ".attachment": "switch",
    ".reasoning": "switch",
    ".temperature": "switch",
    ".tool_call": "switch",
    ".structured_output": "switch",
    ".open_weights": "switch",
    ".release_date": "date",
    ".last_updated": "date",
    ".modalities": "modalities",
    ".modalities.input": "modalities",
    ".modalities.output": "modalities",
    ".cost": "cost",
    ".cost.input": "cost",
    ".cost.output": "cost",
    ".cost.cache_read": "cost",
    ".cost.cache_write": "cost",
    ".limit": "limit",
    ".limit.context": "limit",
    ".limit.input": "limit",
    ".limit.output": "limit",
}
"""The rule for each field of a model."""
OWN_RULES = ("http", "endpoint")
"""Kinds of findings for which `manifest_findings` has its own rules."""


class PublishedDocument(Struct):
    """The valid parts of a document, and its findings."""

    manifest: Extra | None = None
    models: Extra | None = None
    """The models by ID."""
    findings: list[RuleFinding] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        """The IDs of the models, as requests use them."""
        named = {
            key: entry.get("id") if isinstance(entry, dict) else None for key, entry in (self.models or {}).items()
        }
        return [id for key, named_id in named.items() if (id := str(named_id or key).strip())]

    @property
    def base_url(self) -> str | None:
        url = self.manifest.get("baseUrl") if self.manifest else None
        return url.strip() if isinstance(url, str) else None


def read_manifest(
    content: bytes, *, pasted: bool = False, local: Severity = "error", key: str | None = None
) -> PublishedDocument:
    """A manifest with its findings. `pasted`: the text is embedded JSON. `key`: a known key, which must not occur in it."""
    read = _decoded(content)
    if (found := _other_document(read)) is not None:
        return PublishedDocument(findings=[found])
    document = PublishedDocument()
    table: Json = read
    prefix: tuple[int, ...] = ()
    if isinstance(read, list) and len(read) == 2:
        table, prefix = read[0], (0,)
        models = read[1].get("models") if isinstance(read[1], dict) else None
        document.models = models if isinstance(models, dict) else None
    found_by_reading = manifest_format.inspect_manifest(content, pasted=pasted).findings
    document.findings += _as_findings([one for one in found_by_reading if one.kind not in OWN_RULES], "manifest")
    if isinstance(table, dict):
        document.manifest = table
        document.findings += manifest_findings(table, prefix, local=local)
    if document.models is not None:
        document.findings += model_findings(document.models, (1,))
    _add_keys(document, read, key)
    document.findings += _encoding(content)
    return document


def read_models(content: bytes, *, key: str | None = None) -> PublishedDocument:
    """Extended models with their findings."""
    read = _decoded(content)
    if isinstance(read, dict) and isinstance(read.get("data"), list):
        return PublishedDocument(findings=[broken("query-ignored", "", "this is the plain list of models")])
    if isinstance(read, dict) and "baseUrl" in read:
        return PublishedDocument(findings=[broken("query-ignored", "", "this is the manifest")])
    document = PublishedDocument(findings=list(_as_findings(manifest_format.inspect_models(content)[1], "models")))
    models = read.get("models") if isinstance(read, dict) else None
    if isinstance(models, dict):
        document.models = models
        document.findings += model_findings(models)
    _add_keys(document, read, key)
    document.findings += _encoding(content)
    return document


def read_list(content: bytes) -> tuple[list[str], list[RuleFinding]]:
    """The IDs of a plain list, and the differences from OpenAI's format."""
    read = _decoded(content)
    items = read.get("data") if isinstance(read, dict) else None
    if not isinstance(items, list):
        what = (
            "an array"
            if isinstance(read, list)
            else "an object without `data`"
            if isinstance(read, dict)
            else "not JSON"
        )
        return [], [broken("list", "", f"the response is {what}")]
    findings: list[RuleFinding] = []
    if isinstance(read, dict) and read.get("object") != "list":
        findings.append(broken("list-fields", "object", 'not "list"'))
    ids: list[str] = []
    lacking: dict[str, int] = {}
    for number, item in enumerate(items):
        id = item.get("id") if isinstance(item, dict) else None
        if not isinstance(id, str) or not id.strip():
            findings.append(broken("list", f"data.{number}", "the model has no ID"))
            continue
        ids.append(id)
        wrong = {
            "object": item.get("object") != "model",
            "created": type(item.get("created")) is not int,
            "owned_by": not isinstance(item.get("owned_by"), str),
        }
        for name in (name for name, is_wrong in wrong.items() if is_wrong):
            lacking.setdefault(name, number)
    findings += [
        broken("list-fields", f"data.{number}.{name}", "missing, or not of the type in OpenAI's list")
        for name, number in lacking.items()
    ]
    if not items:
        findings.append(broken("models-empty", "data", "the list is empty"))
    return ids, findings


def _decoded(content: bytes) -> Json:
    try:
        read: Json = decode(content)
    except MalformedReply:
        return None
    return read


def _encoding(content: bytes) -> Iterator[RuleFinding]:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        yield broken("encoding", "", f"byte {error.start:,} is not UTF-8")


def _other_document(read: Json) -> RuleFinding | None:
    """A finding if the text is another document of this format, and not a manifest."""
    if isinstance(read, dict) and "baseUrl" not in read and "models_data_source" not in read:
        if isinstance(read.get("data"), list):
            return broken("query-ignored", "", "this is the plain list of models")
        if isinstance(read.get("models"), dict):
            return broken("query-ignored", "", "these are the extended models")
    return None


def _as_findings(findings: list[manifest_format.ManifestFinding], whole: str) -> Iterator[RuleFinding]:
    """The problems that the reader found. It is more tolerant than other readers, so each of them is an error."""
    for one in findings:
        rule = _rule(one, whole)
        yield RuleFinding(rule, "error", one.where, one.message, RULES[rule].change)


def _rule(one: manifest_format.ManifestFinding, whole: str) -> str:
    if one.kind == "key":
        return "key-inside"
    if one.kind == "duplicate":
        return "duplicate-key"
    bare = one.where.removeprefix("0.").removeprefix("1.")
    if whole == "manifest" and bare in FIELDS:
        return FIELDS[bare]
    if not bare.startswith("models"):
        return "shape"
    ends = [end for end in MODEL_FIELDS if bare.endswith(end)]
    return MODEL_FIELDS[max(ends, key=len)] if ends else "models"


def _add_keys(document: PublishedDocument, read: Json, key: str | None) -> None:
    known = {one.where for one in document.findings if one.rule == "key-inside"}
    document.findings += [one for one in key_findings(read, (), key) if one.where not in known]
