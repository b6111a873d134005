"""The keywords of JSON Schema, and how to walk through a schema. Pure functions: what goes in stays as it was."""

from collections.abc import Callable, Iterator
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
"""Keywords that say elsewhere what the type is."""

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


def rebuilt(schema: Schema, visit: Callable[[Json], Json]) -> Schema:
    """A copy with every schema directly below replaced by what `visit` makes of it; values such as `default` stay."""
    copy = dict(schema)
    for word in MAPS:
        if isinstance(copy.get(word), dict):
            copy[word] = {name: visit(child) for name, child in copy[word].items()}
    for word in (*LISTS, "items"):
        if isinstance(copy.get(word), list):
            copy[word] = [visit(child) for child in copy[word]]
    for word in ONES:
        if isinstance(copy.get(word), dict):
            copy[word] = visit(copy[word])
    return copy


def children(schema: Schema) -> Iterator[Json]:
    """The schemas directly below one."""
    for word in MAPS:
        if isinstance(schema.get(word), dict):
            yield from schema[word].values()
    for word in (*LISTS, "items"):
        if isinstance(schema.get(word), list):
            yield from schema[word]
    for word in ONES:
        if isinstance(schema.get(word), dict):
            yield schema[word]


def schemas(schema: Json) -> Iterator[Schema]:
    """A schema and all those inside it."""
    if isinstance(schema, dict):
        yield schema
        for child in children(schema):
            yield from schemas(child)
