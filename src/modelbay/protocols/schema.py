"""JSON Schema for those who take only part of it. Pure functions: what goes in stays as it was.

`typed` is Moonshot's rule: no `$ref` where it can be helped, and a `type` on everything below the root. `openapi` is
Gemini's `Schema`, a small OpenAPI 3.0 with upper-case types; `json_schema` reads that form back.
"""

from collections.abc import Callable
from typing import Any, TypeAlias, cast

from modelbay.conversation import Json
from modelbay.errors import Unsupported

Schema: TypeAlias = dict[str, Json]

_MAPS = ("properties", "patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_ONES = (
    "items", "additionalProperties", "additionalItems", "contains", "contentSchema", "propertyNames",
    "unevaluatedItems", "unevaluatedProperties", "not", "if", "then", "else",
)  # fmt: skip
_DEFINITIONS = ("$defs", "definitions")
_COMPOSED = ("$ref", "allOf", "anyOf", "oneOf", "not", "if", "then", "else")
"""Keywords that say elsewhere what the type is."""

_OBJECT_WORDS = (
    "properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties",
    "maxProperties", "dependencies", "dependentSchemas", "dependentRequired", "unevaluatedProperties",
)  # fmt: skip
_ARRAY_WORDS = (
    "items", "prefixItems", "additionalItems", "contains", "minItems", "maxItems", "minContains", "maxContains",
    "uniqueItems", "unevaluatedItems",
)  # fmt: skip
_STRING_WORDS = ("format", "pattern", "minLength", "maxLength", "contentEncoding", "contentMediaType", "contentSchema")
_NUMBER_WORDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_INLINE_LIMIT = 20_000
"""Schemas to write at most: definitions that use each other twice over grow without end when they are written out."""


def _rebuilt(schema: Schema, visit: Callable[[Json], Json]) -> Schema:
    """A copy with every schema directly below replaced by what `visit` makes of it; values such as `default` stay."""
    copy = dict(schema)
    for word in _MAPS:
        if isinstance(copy.get(word), dict):
            copy[word] = {name: visit(child) for name, child in copy[word].items()}
    for word in (*_LISTS, "items"):
        if isinstance(copy.get(word), list):
            copy[word] = [visit(child) for child in copy[word]]
    for word in _ONES:
        if isinstance(copy.get(word), dict):
            copy[word] = visit(copy[word])
    return copy


# --- $ref --------------------------------------------------------------------------------------------------------------


def inlined(schema: Schema) -> Schema:
    """The schema with its local `$ref`s written out. A `$ref` into itself stays, and so do the definitions it needs."""
    budget = [_INLINE_LIMIT]

    def visit(node: Json, under: tuple[str, ...]) -> Json:
        if not isinstance(node, dict):
            return node
        budget[0] -= 1
        ref = node.get("$ref")
        target = _target(schema, ref) if isinstance(ref, str) and ref not in under and budget[0] > 0 else None
        if not isinstance(target, dict):
            return _rebuilt(node, lambda child: visit(child, under))
        beside = {word: value for word, value in node.items() if word != "$ref"}
        # what stands beside a `$ref`, as a description, counts more than what it points to
        return {
            **visit(target, (*under, cast(str, ref))),
            **_rebuilt(beside, lambda child: visit(child, under)),
        }

    result = cast(Schema, visit(schema, ()))
    for name in _DEFINITIONS:
        rest = {word: value for word, value in result.items() if word != name}
        if name in result and not _points_into(rest, f"#/{name}/"):
            result = rest
    return result


def _target(root: Schema, ref: str) -> Json:
    """What a local JSON pointer points to, or None."""
    if ref != "#" and not ref.startswith("#/"):
        return None
    found: Json = root
    for word in ref.split("/")[1:]:
        name = word.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = found.get(name)
        elif isinstance(found, list) and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        else:
            return None
    return found


def _points_into(node: Json, place: str) -> bool:
    if isinstance(node, list):
        return any(_points_into(item, place) for item in node)
    if not isinstance(node, dict):
        return False
    ref = node.get("$ref")
    if isinstance(ref, str) and (ref == "#" or ref.startswith(place)):
        return True
    return any(_points_into(value, place) for value in node.values())


# --- Moonshot: everything has a type -----------------------------------------------------------------------------------


def typed(schema: Schema) -> Schema:
    """The schema as Moonshot's validator wants it: local `$ref`s written out, and a type on every nested schema.

    Raises:
        Unsupported: the values of an `enum` without a type are of several types.
    """
    return _rebuilt(inlined(schema), _with_type)


def _with_type(node: Json) -> Json:
    if not isinstance(node, dict):
        return node
    if not any(word in node for word in _COMPOSED):
        values = _values(node)
        if "type" not in node:
            node = {**node, "type": _type_of_values(values) if values else _type_of_words(node)}
        elif values and isinstance(node["type"], str):
            node = _corrected(node, values)
    return _rebuilt(node, _with_type)


def _values(node: Schema) -> list[Json]:
    enum = node.get("enum")
    if isinstance(enum, list) and enum:
        return enum
    return [node["const"]] if "const" in node else []


def _corrected(node: Schema, values: list[Json]) -> Schema:
    """A type that its own values contradict (Xcode's MCP server says object of a list of strings) gives way to them."""
    types = _types(values)
    if len(types) != 1 or node["type"] in types or (node["type"] == "number" and types == {"integer"}):
        return node
    found = types.pop()
    wrong = (*(_OBJECT_WORDS if found != "object" else ()), *(_ARRAY_WORDS if found != "array" else ()))
    return {**{word: value for word, value in node.items() if word not in wrong}, "type": found}


def _type_of_values(values: list[Json]) -> str:
    types = _types(values)
    if len(types) != 1:
        raise Unsupported(
            f"an `enum` of a tool's schema mixes types: {', '.join(sorted(types))}",
            setting="tools",
            hint="give all its values one type, or give it a `type`",
        )
    return types.pop()


def _types(values: list[Json]) -> set[str]:
    """The JSON types of some values; a number takes integers in."""
    types = {_type_of(value) for value in values}
    return types - {"integer"} if "number" in types else types


def _type_of(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _type_of_words(node: Schema) -> str:
    for name, words in (
        ("object", _OBJECT_WORDS), ("array", _ARRAY_WORDS), ("string", _STRING_WORDS), ("number", _NUMBER_WORDS),
    ):  # fmt: skip
        if any(word in node for word in words):
            return name
    return "string"


# --- Gemini: OpenAPI 3.0, a part of it ---------------------------------------------------------------------------------

_PLAIN_WORDS = (
    "title", "description", "default", "example", "pattern", "minimum", "maximum", "minLength", "maxLength",
    "minItems", "maxItems", "minProperties", "maxProperties", "required", "propertyOrdering",
)  # fmt: skip
_FORMATS = {"string": ("date-time", "enum"), "number": ("float", "double"), "integer": ("int32", "int64")}
"""Gemini refuses any other `format`."""


def openapi(schema: Schema) -> Schema:
    """The schema as Gemini's `Schema`: `$ref`s written out, `const` as an `enum` of one, `oneOf` as `anyOf`, upper-case
    types. What the subset has no word for (`additionalProperties`, `not`, `patternProperties` …) is left out.
    """
    return _openapi(inlined(schema))


def _openapi(node: Json) -> Schema:
    if not isinstance(node, dict):  # `true` allows anything, which has no type there
        return {"type": "STRING"}
    if "$ref" in node:  # a schema inside itself: deeper than this the model is on its own
        return {"type": "OBJECT", **({"description": node["description"]} if "description" in node else {})}
    node = _all_of(node)
    written = {word: node[word] for word in _PLAIN_WORDS if node.get(word) is not None}
    types, nullable = _types_said(node)
    # an object's `anyOf` only says which of its properties go together, and `anyOf` must stand alone
    choices = [] if "properties" in node else [*(node.get("anyOf") or ()), *(node.get("oneOf") or ())]
    if any(choice == {"type": "null"} for choice in choices):
        nullable, choices = True, [choice for choice in choices if choice != {"type": "null"}]
    if len(types) > 1 and not choices:
        choices, types = [{**_own_words(node, name), "type": name} for name in types], []
    if len(choices) == 1:
        written = {**_openapi(choices[0]), **written}
    elif choices:
        written = {word: value for word, value in written.items() if word in ("title", "description")}
        written["anyOf"] = [_openapi(choice) for choice in choices]
    else:
        _write_type(node, types[0] if types else _type_of_words(node), written)
    if nullable or node.get("nullable") is True:
        written["nullable"] = True
    return written


def _write_type(node: Schema, name: str, written: Schema) -> None:
    name = name.lower()
    written["type"] = name.upper()
    if node.get("format") in _FORMATS.get(name, ()):
        written["format"] = node["format"]
    values = [value for value in _values(node) if value is not None]
    if values and name not in ("boolean", "object", "array"):  # an enum is a list of strings, whatever the type
        written["enum"] = [value if isinstance(value, str) else str(value) for value in values]
        if name != "string":
            written["format"] = "enum"
    properties = node.get("properties") if name == "object" else None
    if properties:  # an empty list of properties is refused
        written["properties"] = {key: _openapi(child) for key, child in properties.items()}
    required = [key for key in written.pop("required", ()) if key in written.get("properties", ())]
    if required:
        written["required"] = required
    if name == "array":
        written["items"] = _openapi(_items(node))


def _items(node: Schema) -> Json:
    """The schema of a list's items; of a list that says what stands at each place, any of them."""
    items, places = node.get("items"), node.get("prefixItems")
    if isinstance(items, list):
        items, places = None, items
    if places:
        return {"anyOf": places} if len(places) > 1 else places[0]
    return items if items is not None else {"type": "string"}


def _types_said(node: Schema) -> tuple[list[str], bool]:
    """The types, and whether null is one of them."""
    said = node.get("type")
    values = _values(node)
    types = [said] if isinstance(said, str) else list(said) if isinstance(said, list) else []
    if not types and values:
        types = sorted(_types(values))
    kept = [name for name in types if name != "null"]
    return kept, len(kept) < len(types) or None in values


def _own_words(node: Schema, name: str) -> Schema:
    """The keywords that mean something to one of several types."""
    words = {"object": _OBJECT_WORDS, "array": _ARRAY_WORDS, "string": (*_STRING_WORDS, "enum"),
             "number": _NUMBER_WORDS, "integer": _NUMBER_WORDS}.get(name, ())  # fmt: skip
    return {word: node[word] for word in words if word in node}


def _all_of(node: Schema) -> Schema:
    """`allOf` put together: properties and required are joined, of other words the last one stands."""
    members = node.get("allOf")
    if not isinstance(members, list):
        return node
    joined: Schema = {}
    for member in (*members, {word: value for word, value in node.items() if word != "allOf"}):
        if not isinstance(member, dict):
            continue
        for word, value in _all_of(member).items():
            if word == "properties" and isinstance(value, dict):
                joined[word] = {**joined.get(word, {}), **value}
            elif word == "required" and isinstance(value, list):
                joined[word] = list(dict.fromkeys([*joined.get(word, ()), *value]))
            else:
                joined[word] = value
    return joined


_RENAMED = {
    "any_of": "anyOf", "min_items": "minItems", "max_items": "maxItems", "min_length": "minLength",
    "max_length": "maxLength", "min_properties": "minProperties", "max_properties": "maxProperties",
    "additional_properties": "additionalProperties",
}  # fmt: skip
_COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_DROPPED = ("propertyOrdering", "property_ordering", "nullable", "example")


def json_schema(node: Json) -> Json:
    """Gemini's `Schema` as JSON Schema; one that is JSON Schema already comes out as it is."""
    if not isinstance(node, dict):
        return node
    named = {str(word): value for word, value in node.items() if word not in _DROPPED}
    schema: Schema = {_RENAMED.get(word, word): value for word, value in named.items()}
    for word in _COUNTS:  # an int64 may come as a string
        if isinstance(schema.get(word), str) and schema[word].isdigit():
            schema[word] = int(schema[word])
    said = schema.get("type")
    if isinstance(said, str):
        schema["type"] = said.lower()
        if schema["type"] in ("integer", "number") and isinstance(schema.get("enum"), list):
            schema["enum"] = [_number(value) for value in schema["enum"]]
    if schema.get("format") == "enum":
        del schema["format"]
    if "example" in node:
        schema["examples"] = [node["example"]]
    if node.get("nullable") is True:
        _allow_null(schema)
    return _rebuilt(schema, json_schema)


def _number(value: Any) -> Any:
    try:
        return value if not isinstance(value, str) else int(value) if value.lstrip("-").isdigit() else float(value)
    except ValueError:
        return value


def _allow_null(schema: Schema) -> None:
    if isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
        if isinstance(schema.get("enum"), list):
            schema["enum"] = [*schema["enum"], None]
    elif isinstance(schema.get("anyOf"), list):
        schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
