"""The keywords of JSON Schema, and traversal of schemas. Arguments are never modified."""

from collections.abc import Callable
from typing import TypeAlias

from modelbay.conversation import Json

Schema: TypeAlias = dict[str, Json]

MAPS = ("properties", "patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions")
LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
ONES = (
    "items", "additionalProperties", "additionalItems", "contains", "contentSchema", "propertyNames",
    "unevaluatedItems", "unevaluatedProperties", "not", "if", "then", "else",
)  # fmt: skip
DEFINITIONS = ("$defs", "definitions")
COMPOSED = ("$ref", "allOf", "anyOf", "oneOf", "not", "if", "then", "else")
"""Keywords that define the type elsewhere."""

OBJECT_WORDS = (
    "properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties",
    "maxProperties", "dependencies", "dependentSchemas", "dependentRequired", "unevaluatedProperties",
)  # fmt: skip
ARRAY_WORDS = (
    "items", "prefixItems", "additionalItems", "contains", "minItems", "maxItems", "minContains", "maxContains",
    "uniqueItems", "unevaluatedItems",
)  # fmt: skip
STRING_WORDS = ("format", "pattern", "minLength", "maxLength", "contentEncoding", "contentMediaType", "contentSchema")
NUMBER_WORDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")


_MAPS, _LISTS, _ONES = frozenset(MAPS), frozenset((*LISTS, "items")), frozenset(ONES)


def rebuilt(schema: Schema, visit: Callable[[Json], Json]) -> Schema:
    """A copy with every direct subschema replaced by the result of `visit`. Values such as `default` are kept."""
    copy = dict(schema)
    for word, value in schema.items():
        if type(value) is dict:
            if word in _MAPS:
                copy[word] = {name: visit(child) for name, child in value.items()}
            elif word in _ONES:
                copy[word] = visit(value)
        elif type(value) is list and word in _LISTS:
            copy[word] = [visit(child) for child in value]
    return copy


def schemas(schema: Json) -> list[Schema]:
    """A schema and all those inside it. Every schema of every request comes this way."""
    found = [schema] if type(schema) is dict else []
    for node in found:  # grows during the iteration
        for word, value in node.items():
            if type(value) is dict:
                if word in _MAPS:
                    found += [child for child in value.values() if type(child) is dict]
                elif word in _ONES:
                    found.append(value)
            elif type(value) is list and word in _LISTS:
                found += [child for child in value if type(child) is dict]
    return found


def members(schema: Schema, word: str) -> list[Schema]:
    """The schemas in a list such as `anyOf`; empty if it is not a list."""
    found = schema.get(word)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def properties_of(schema: Schema) -> Schema:
    found = schema.get("properties")
    return found if isinstance(found, dict) else {}


def required_of(schema: Schema) -> list[str]:
    """The names of the required properties."""
    found = schema.get("required")
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def sane(schema: Json) -> Json:
    """The schema without keywords whose values are invalid."""
    if not isinstance(schema, dict):
        return schema
    return rebuilt({word: value for word, value in schema.items() if _means_something(word, value)}, sane)


def _means_something(word: str, value: Json) -> bool:
    if word in MAPS:
        return isinstance(value, dict)
    if word in (*LISTS, "enum", "required"):
        return isinstance(value, list)
    if word == "type":
        return isinstance(value, str) or (isinstance(value, list) and all(isinstance(name, str) for name in value))
    return True
