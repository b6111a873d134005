"""Keywords that validators of JSON Schema 2020-12 reject, as tools really have them: those of older drafts, types of a programming
language, and lists of PHP, which writes an empty object as `[]`."""

from modelbay.conversation import Json
from modelbay.protocols.schema.words import Schema, rebuilt

TYPES = frozenset(("string", "number", "integer", "boolean", "object", "array", "null"))
_WORDS = {
    "str": "string", "text": "string", "int": "integer", "long": "integer", "float": "number", "double": "number",
    "decimal": "number", "bool": "boolean", "list": "array", "tuple": "array", "set": "array", "dict": "object", "map": "object",
    "none": "null",
}  # fmt: skip
"""Types of programming languages. Any other, such as `any`, is removed."""
_BOUNDS = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}


def is_odd(node: Schema) -> bool:
    """Whether `corrected` changes a schema itself."""
    kind = node.get("type", "object")
    return (
        (
            kind not in TYPES
            if type(kind) is str
            else type(kind) is not list or not kind or not TYPES.issuperset(map(str, kind))
        )
        or type(node.get("items")) is list
        or type(node.get("exclusiveMinimum")) is bool
        or type(node.get("exclusiveMaximum")) is bool
        or type(node.get("required", [])) is not list
        or type(node.get("properties", {})) is not dict
        or node.get("enum") == []
    )


def corrected(node: Json) -> Json:
    """The schema with keywords of the current draft, at every level."""
    if not isinstance(node, dict):
        return node
    node = _properties(_type(node))
    if isinstance(node.get("items"), list):
        node = {("prefixItems" if word == "items" else word): value for word, value in node.items()}
    for word, limit in _BOUNDS.items():
        if isinstance(node.get(word), bool):
            excluded = node[word] and limit in node
            node = {
                name: value for name, value in node.items() if name != word and not (excluded and name == limit)
            } | ({word: node[limit]} if excluded else {})
    if node.get("enum") == []:
        node = _without(node, "enum")
    return rebuilt(node, corrected)


def _type(node: Schema) -> Schema:
    if "type" not in node:
        return node
    given = node["type"]
    known = [found for word in (given if isinstance(given, list) else [given]) if (found := _known(word))]
    types = list(dict.fromkeys(known))
    if not types or (isinstance(given, list) and len(known) < len(given)):
        return _without(node, "type")
    return node if types in (given, [given]) else {**node, "type": types if isinstance(given, list) else types[0]}


def _known(word: Json) -> str | None:
    """The type that a word means, or None for any type."""
    if not isinstance(word, str):
        return None
    plain = word.lower()
    return plain if plain in TYPES else _WORDS.get(plain)


def _properties(node: Schema) -> Schema:
    """The schema with an object for its properties and a list of the required ones. In draft 3, each property says whether it is
    required."""
    properties = node.get("properties", {})
    if not isinstance(properties, dict):
        node = {**node, "properties": {}}
        properties = {}
    marked = [name for name, inner in properties.items() if isinstance(inner, dict) and inner.get("required") is True]
    required = node.get("required", [])
    if not isinstance(required, list):
        node, required = _without(node, "required"), []
    missing = [name for name in marked if name not in required]
    return {**node, "required": [*required, *missing]} if missing else node


def _without(node: Schema, word: str) -> Schema:
    return {name: value for name, value in node.items() if name != word}
