"""Facts known from a model's name. The table is `knowledge.toml`; this module reads it."""

import re
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache

from msgspec import Struct, field
from msgspec.structs import asdict, replace

from modelbay.catalog.facts import PROBE, Facts, attribute, configured, fill, overrule, settle
from modelbay.catalog.probed import dialect_changes
from modelbay.catalog.versions import Version, version
from modelbay.config.schema import ModelEntry
from modelbay.conversation import Extra, Protocol
from modelbay.conversion import convert
from modelbay.dialect import Dialect
from modelbay.model import Capability, Cost, Model
from modelbay.providers.upstream import Upstream
from modelbay.shipped import shipped_files
from modelbay.storage.probes import ProbeRecord

TABLE = shipped_files("modelbay.catalog") / "knowledge.toml"


class KnowledgeRule(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One row. The top of the table explains which names it fits and what it says."""

    prefix: list[str]
    pattern: str | None = None
    since: str | None = None
    before: str | None = None
    vendors: list[str] | None = None
    protocol: Protocol | None = None
    family: str | None = None
    can: list[Capability] = field(default_factory=list)
    cannot: list[Capability] = field(default_factory=list)
    context: int | None = None
    input: int | None = None
    output: int | None = None
    efforts: list[str] | None = None
    default_effort: str | None = None
    off_effort: str | None = None
    cost: Cost | None = None
    wire_id: str | None = None
    dialect: dict[Protocol, Extra] = field(default_factory=dict)

    def fits(self, name: str, vendor: str, protocol: Protocol) -> bool:
        return (
            name.startswith(tuple(self.prefix))
            and (self.vendors is None or vendor in self.vendors)
            and self.protocol in (None, protocol)
            and (self.pattern is None or re.search(self.pattern, name) is not None)
        )

    def is_of_age(self, age: Version) -> bool:
        """Whether a version is within the rule's bounds."""
        return (self.since is None or age.since(self.since)) and (self.before is None or age.before(self.before))


class KnowledgeTable(Struct, forbid_unknown_fields=True):
    prefixes: list[str]
    apart: list[str]
    rule: list[KnowledgeRule]

    def rules(self, wire_id: str, vendor: str, protocol: Protocol) -> Iterator[KnowledgeRule]:
        """The rules that fit a name, in order."""
        name = _bare(wire_id, tuple(self.prefixes))
        own = max((prefix for prefix in self.apart if name.startswith(prefix)), key=len, default="")
        age = version(name)
        for rule in self.rule:
            if not rule.fits(name, vendor, protocol):
                continue
            if own and not any(prefix.startswith(own) for prefix in rule.prefix):
                continue
            if rule.is_of_age(age):
                yield rule


class NameFacts(Struct, frozen=True):
    """Everything known from a name."""

    facts: Facts
    wire_id: str | None
    """The model ID to send, if it differs from the requested one."""
    dialect: Extra
    """Dialect fields of the vendor that differ for this model."""


def model_facts(entry: ModelEntry, upstream: Upstream, others: Iterable[tuple[Facts, str]] = ()) -> Model:
    """The model of an entry, from three sources: the user's configuration, then `others`, then the model's name.

    `sources` names the source of each fact.
    """
    name = known(entry.identity, upstream.vendor, upstream.protocol)
    filled_in = upstream.provider.filled_in
    # a list describes what is possible, not what is the default
    wished = filled_in is None or "max_output_size" in entry.overridden
    model = Model(
        id=entry.model if entry.base_model else name.wire_id or entry.model,
        base_model=entry.base_model,
        alias=entry.alias,
        provider=entry.provider,
        protocol=upstream.protocol,
        output_tokens_explicit=entry.max_output_size is not None and wished,
        variants=entry.variants,
        extra=entry.extra,
    )
    fill(model, configured(entry, upstream.protocol), "config")
    if filled_in is not None:
        attribute(model, entry, filled_in)
    for facts, source in others:
        if source == PROBE:
            overrule(model, facts, source)  # even facts that a list wrote into the file
        else:
            fill(model, facts, source)
    fill(model, name.facts, "prefix")
    settle(model)
    return model


def fitted(upstream: Upstream, record: ProbeRecord | None = None) -> Upstream:
    """An upstream with the dialect of its model: the vendor's, changed as the model's name requires, then as the results of a
    provider test in `record` show.

    Fields of the user's own dialect stay. A feature that the vendor or the model lacks is turned off.
    """
    changes = known(upstream.model.identity, upstream.vendor, upstream.protocol).dialect if upstream.model else {}
    if upstream.model and upstream.model.reasoning_key:
        changes = {**changes, "reasoning_field": upstream.model.reasoning_key}
    if record is not None:
        choices = changes.get("tool_choices", upstream.dialect.tool_choices)
        changes = {**changes, **dialect_changes(record, replace(upstream.dialect, tool_choices=choices))}
    own = upstream.provider.dialect
    changes = {key: value for key, value in changes.items() if not (isinstance(own, dict) and key in own)}
    if not changes:
        return upstream
    dialect = upstream.dialect
    if "unsupported" in changes:
        changes["unsupported"] = list(dict.fromkeys([*dialect.unsupported, *changes["unsupported"]]))
    return replace(upstream, dialect=convert({**asdict(dialect), **changes}, Dialect))


@lru_cache(maxsize=1024)
def known(wire_id: str, vendor: str, protocol: Protocol) -> NameFacts:
    """Everything known from a vendor's model ID. The result is shared: callers must not change it."""
    facts = Facts()
    dialect: Extra = {}
    real: str | None = None
    for rule in _table().rules(wire_id, vendor, protocol):
        _add(facts, rule)
        dialect |= rule.dialect.get(protocol, {})
        real = rule.wire_id or real
    return NameFacts(facts, real, dialect)


def _add(facts: Facts, rule: KnowledgeRule) -> None:
    said = {
        "family": rule.family,
        "max_context_tokens": rule.context,
        "max_input_tokens": rule.input,
        "max_output_tokens": rule.output,
        "efforts": rule.efforts,
        "default_effort": rule.default_effort,
        "off_effort": rule.off_effort,
        "cost": rule.cost,
    }
    for name, value in said.items():
        if value is not None:
            setattr(facts, name, None if value == "" else value)
    facts.capabilities |= dict.fromkeys(rule.can, True) | dict.fromkeys(rule.cannot, False)


def _bare(wire_id: str, prefixes: tuple[str, ...]) -> str:
    """The maker's own name: the last part of "openai/gpt-5" and "us.anthropic.claude-opus-4"."""
    name = wire_id.lower().rpartition("/")[2]
    while name.startswith(prefixes):
        name = name.removeprefix(next(prefix for prefix in prefixes if name.startswith(prefix)))
    return name


@cache
def _table() -> KnowledgeTable:
    import tomllib

    return convert(tomllib.loads(TABLE.read_text(encoding="utf-8")), KnowledgeTable)
