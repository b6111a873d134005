"""Checking texts: what reading them says is wrong, each as a rule that is not kept, and what else is."""

from collections.abc import Iterator

from msgspec import Struct, field

from modelbay.catalog.formats import manifest as reading
from modelbay.conversation import Extra, Json
from modelbay.errors import MalformedReply
from modelbay.json_text import decode
from modelbay.publishing.manifests import key_findings, manifest_findings
from modelbay.publishing.models import model_findings
from modelbay.publishing.rules import RULES, Finding, Severity, broken

FIELDS = {
    "name": "name",
    "website": "website",
    "baseUrl": "base-url",
    "models_data_source": "models-source",
    "models_dev_provider_id": "models-dev-id",
    "models": "models",
}
"""The rule for each field of a manifest, and of what stands beside it."""
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


class Document(Struct):
    """What a text says, as far as it says anything."""

    manifest: Extra | None = None
    models: Extra | None = None
    """By id."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def base_url(self) -> str | None:
        url = self.manifest.get("baseUrl") if self.manifest else None
        return url.strip() if isinstance(url, str) else None


def read_manifest(
    content: bytes, *, pasted: bool = False, local: Severity = "error", key: str | None = None
) -> Document:
    """A manifest, or with `pasted` an embedded array, and the rules that it does not keep."""
    read = _decoded(content)
    if (found := _no_manifest(read)) is not None:
        return Document(findings=[found])
    document = Document()
    table: Json = read
    prefix: tuple[int, ...] = ()
    if isinstance(read, list) and len(read) == 2:
        table, prefix = read[0], (0,)
        models = read[1].get("models") if isinstance(read[1], dict) else None
        document.models = models if isinstance(models, dict) else None
    found_by_reading = reading.inspect_manifest(content, pasted=pasted).findings
    document.findings += _told([one for one in found_by_reading if one.kind not in OWN_RULES], "manifest")
    if isinstance(table, dict):
        document.manifest = table
        document.findings += manifest_findings(table, prefix, local=local)
    if document.models is not None:
        document.findings += model_findings(document.models, (1,))
    _add_keys(document, read, key)
    return document


def read_models(content: bytes, *, key: str | None = None) -> Document:
    """Extended models, and the rules that they do not keep."""
    read = _decoded(content)
    if isinstance(read, dict) and isinstance(read.get("data"), list):
        return Document(findings=[broken("query-ignored", "", "it is the plain list of models")])
    if isinstance(read, dict) and "baseUrl" in read:
        return Document(findings=[broken("query-ignored", "", "it is the manifest")])
    document = Document(findings=list(_told(reading.inspect_models(content)[1], "models")))
    models = read.get("models") if isinstance(read, dict) else None
    if isinstance(models, dict):
        document.models = models
        document.findings += model_findings(models)
    _add_keys(document, read, key)
    return document


def read_list(content: bytes) -> tuple[list[str], list[Finding]]:
    """The ids of a plain list, and where it departs from OpenAI's."""
    read = _decoded(content)
    items = read.get("data") if isinstance(read, dict) else None
    if not isinstance(items, list):
        what = (
            "a list" if isinstance(read, list) else "an object without `data`" if isinstance(read, dict) else "no JSON"
        )
        return [], [broken("list", "", f"it is {what}")]
    findings: list[Finding] = []
    if isinstance(read, dict) and read.get("object") != "list":
        findings.append(broken("list-fields", "object", 'it is not "list"'))
    ids: list[str] = []
    lacking: dict[str, int] = {}
    for number, item in enumerate(items):
        id = item.get("id") if isinstance(item, dict) else None
        if not isinstance(id, str) or not id.strip():
            findings.append(broken("list", f"data.{number}", "it has no id"))
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
        broken("list-fields", f"data.{number}.{name}", "it is missing, or not as OpenAI's")
        for name, number in lacking.items()
    ]
    if not items:
        findings.append(broken("models-empty", "data", "there is no model in it"))
    return ids, findings


def _decoded(content: bytes) -> Json:
    try:
        read: Json = decode(content)
    except MalformedReply:
        return None
    return read


def _no_manifest(read: Json) -> Finding | None:
    """What stands in a manifest's place, where that is something else of ours."""
    if isinstance(read, dict) and "baseUrl" not in read and "models_data_source" not in read:
        if isinstance(read.get("data"), list):
            return broken("query-ignored", "", "it is the plain list of models")
        if isinstance(read.get("models"), dict):
            return broken("query-ignored", "", "these are the extended models")
    return None


def _told(findings: list[reading.ManifestFinding], whole: str) -> Iterator[Finding]:
    """What reading says is wrong. It takes much that others do not, so all of it counts."""
    for one in findings:
        rule = _rule(one, whole)
        yield Finding(rule, "error", one.where, one.message, RULES[rule].change)


def _rule(one: reading.ManifestFinding, whole: str) -> str:
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


def _add_keys(document: Document, read: Json, key: str | None) -> None:
    known = {one.where for one in document.findings if one.rule == "key-inside"}
    document.findings += [one for one in key_findings(read, (), key) if one.where not in known]
