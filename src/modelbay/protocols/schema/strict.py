"""Requirements of `strict`: every object closed, and for some vendors every property required.

Requirements are added only if the schema keeps its meaning: an object that lists its properties is closed, which
forbids nothing that the caller requested. Open maps and optional properties cannot be made strict.
"""

import re

from msgspec import Struct

from modelbay.conversation import Json
from modelbay.protocols.schema.references import target
from modelbay.protocols.schema.words import DEFINITIONS, Schema, properties_of, rebuilt, required_of, schemas


class Strictness(Struct, frozen=True):
    all_required: bool = False
    """Every property must be in `required`."""
    typed: bool = False
    """Every schema must have content (OpenAI: "schema must have a 'type' key")."""
    recursive: bool = True
    """Recursive schemas are allowed."""
    refused: frozenset[str] = frozenset()
    """Keywords that make the request fail."""
    limits: frozenset[str] = frozenset()
    """Keywords that make the request fail, and limit a value that has the right form without them."""
    formats: frozenset[str] = frozenset()
    """The accepted values of `format`."""

    def is_limit(self, word: str, value: Json) -> bool:
        """Whether a keyword makes the request fail, and its schema can do without it. Patterns with a lookaround fail at all
        providers of `strict`; pydantic writes one for a `Decimal`."""
        match word:
            case "format":
                return value not in self.formats
            case "pattern":
                return isinstance(value, str) and _LOOKAROUND.search(value) is not None
        return word in self.limits


_LOOKAROUND = re.compile(r"\(\?<?[=!]")


class NotStrict(Exception):
    """The reason why a schema cannot be strict."""


def closed(schema: Schema, rules: Strictness) -> Schema:
    """The schema with the requirements of `strict`.

    Raises:
        NotStrict: its meaning would change.
    """
    if not rules.recursive and is_recursive(schema):
        raise NotStrict("refers to itself")
    missing = False

    def visit(node: Json) -> Json:
        nonlocal missing
        if not isinstance(node, dict) or not node:
            if rules.typed:
                raise NotStrict("allows any value somewhere")
            return node
        for word in node:
            if word in rules.refused:
                raise NotStrict(f"has `{word}`")
        if "properties" in node or node.get("type") == "object":
            missing |= _check_object(node, rules, top=node is schema)
        return rebuilt(node, visit)

    visit(schema)
    return _closed(schema) if missing else schema


def _check_object(node: Schema, rules: Strictness, *, top: bool) -> bool:
    """Whether the object must be closed. Raises `NotStrict` if it cannot be."""
    properties = properties_of(node)
    rest = node.get("additionalProperties")
    if rest not in (None, False) or (rest is None and not properties and not top):
        raise NotStrict("allows properties that it does not name")
    if rules.all_required and (optional := properties.keys() - set(required_of(node))):
        raise NotStrict(f"has optional properties: {', '.join(sorted(optional))}")
    return rest is None


def _closed(node: Json) -> Json:
    if not isinstance(node, dict):
        return node
    if ("properties" in node or node.get("type") == "object") and "additionalProperties" not in node:
        node = {**node, "additionalProperties": False}
    return rebuilt(node, _closed)


def is_recursive(schema: Schema) -> bool:
    """Whether a local reference is circular."""
    whole: set[str] = set()
    """References known not to be circular."""

    def leads_back(node: Json, under: frozenset[str]) -> bool:
        top = {word: value for word, value in node.items() if word not in DEFINITIONS}
        for ref in {inner["$ref"] for inner in schemas(top) if isinstance(inner.get("$ref"), str)} - whole:
            found = target(schema, ref)
            if ref in under or (isinstance(found, dict) and leads_back(found, under | {ref})):
                return True
            whole.add(ref)
        return False

    return leads_back(schema, frozenset())


def relaxed(schema: Json, rules: Strictness) -> Json:
    """The schema with rejected limits moved to its descriptions, where the model can read them."""
    if not isinstance(schema, dict):
        return schema
    found = {word: value for word, value in schema.items() if rules.is_limit(word, value)}
    if found:
        kept = {word: value for word, value in schema.items() if word not in found}
        limits = ", ".join(f"{word}: {value}" for word, value in found.items())
        kept["description"] = (
            f"{kept['description']} ({limits})" if isinstance(kept.get("description"), str) else limits
        )
        schema = kept
    return rebuilt(schema, lambda child: relaxed(child, rules))
