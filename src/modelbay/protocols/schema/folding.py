"""Merges schemas: members of `allOf`, and alternatives at the root of a schema that must be one object."""

import msgspec

from modelbay.conversation import Json
from modelbay.protocols.schema.references import target
from modelbay.protocols.schema.words import Schema, members, properties_of, required_of

_UNIONS = ("anyOf", "oneOf", "allOf")
_DEEPEST = 12
"""Maximum references to follow between alternatives: definitions that use each other twice would take forever."""
_REFUSED_AT_TOP = ("not", "enum", "const", "if", "then", "else")


def all_of(node: Schema) -> Schema:
    """The schema with `allOf` merged: properties and `required` are joined; for other keywords the last value wins."""
    members = node.get("allOf")
    if not isinstance(members, list):
        return node
    joined: Schema = {}
    for member in (*members, {word: value for word, value in node.items() if word != "allOf"}):
        if not isinstance(member, dict):
            continue
        for word, value in all_of(member).items():
            if word == "properties" and isinstance(value, dict):
                joined[word] = {**properties_of(joined), **value}
            elif word == "required" and isinstance(value, list):
                joined[word] = list(dict.fromkeys([*required_of(joined), *required_of({word: value})]))
            else:
                joined[word] = value
    return joined


def object_root(schema: Json) -> tuple[Schema, list[str]]:
    """The schema as one object, as required for arguments by most providers, and the root keywords that were merged or
    dropped.

    Properties of alternatives are joined. A property is required if all alternatives of `anyOf` or `oneOf` require it.
    """
    if not isinstance(schema, dict):
        return {"type": "object"}, []
    root, under = _resolved(schema, schema, ())
    lost = [word for word in (*_UNIONS, *_REFUSED_AT_TOP) if word in root]
    if lost:
        root = _folded(root, schema, (*under, "#"))
    if "type" not in root:
        root = {"type": "object", **root}
    elif isinstance(root["type"], list) and "object" in root["type"]:
        root = {**root, "type": "object"}
    elif root["type"] != "object":
        return {"type": "object"}, [*lost, "type"]
    return root, lost


def _resolved(node: Schema, root: Schema, under: tuple[str, ...]) -> tuple[Schema, tuple[str, ...]]:
    """The schema that a reference at the root points to, and the references followed. Circular references are ignored."""
    while isinstance(ref := node.get("$ref"), str):
        rest = {word: value for word, value in node.items() if word != "$ref"}
        found = target(root, ref) if ref not in under and len(under) < _DEEPEST else {}
        if not isinstance(found, dict):
            break
        under = (*under, ref)
        node = {**found, **rest}
    return node, under


def _folded(node: Schema, root: Schema, under: tuple[str, ...]) -> Schema:
    joined = {word: value for word, value in node.items() if word not in (*_UNIONS, *_REFUSED_AT_TOP)}
    properties: dict[str, dict[bytes, Json]] = {}
    """The distinct schemas of each property."""

    def describe(member: Schema) -> None:
        for name, value in properties_of(member).items():
            properties.setdefault(name, {}).setdefault(msgspec.json.encode(value), value)

    describe(node)
    required = required_of(node)
    for word in _UNIONS:
        found = [_member(member, root, under) for member in members(node, word)]
        choices = [member for member in found if member.get("type", "object") == "object"]
        for member in choices:
            describe(member)
        sets = [required_of(member) for member in choices]
        if word == "allOf":
            required += [name for names in sets for name in names]
        elif sets:
            everywhere = set(sets[0]).intersection(*sets[1:])
            required += [name for name in sets[0] if name in everywhere]
    if properties:
        joined["properties"] = {name: _either(list(ways.values())) for name, ways in properties.items()}
    if required:
        joined["required"] = list(dict.fromkeys(required))
    return joined


def _member(member: Schema, root: Schema, under: tuple[str, ...]) -> Schema:
    """An alternative as one object, its own alternatives merged into it."""
    found, under = _resolved(member, root, under)
    return _folded(found, root, under) if any(word in found for word in _UNIONS) else found


def _either(values: list[Json]) -> Json:
    """A schema for a property that alternatives define differently; constants of one type become an `enum`."""
    if len(values) == 1:
        return values[0]
    if all(isinstance(value, dict) and isinstance(value.get("const"), str) for value in values):
        words: list[str] = [value["const"] for value in values]
        return {"type": "string", "enum": list(dict.fromkeys(words))}
    return {"anyOf": values}
