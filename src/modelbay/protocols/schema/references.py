"""References inside a schema: `$ref` to one of its own definitions."""

from typing import cast

from modelbay.conversation import Json
from modelbay.protocols.schema.words import DEFINITIONS, Schema, rebuilt, schemas
from modelbay.protocols.shapes import whole_number

_INLINE_LIMIT = 20_000
"""Maximum number of schemas to write: definitions that use each other twice grow exponentially when inlined."""


def inlined(schema: Schema) -> Schema:
    """The schema with local `$ref`s inlined. Recursive references stay, and so do their definitions."""
    budget = [_INLINE_LIMIT]

    def visit(node: Json, under: tuple[str, ...]) -> Json:
        if not isinstance(node, dict):
            return node
        budget[0] -= 1
        ref = node.get("$ref")
        found = target(schema, ref) if isinstance(ref, str) and ref not in under and budget[0] > 0 else None
        if not isinstance(found, dict):
            return rebuilt(node, lambda child: visit(child, under))
        beside = {word: value for word, value in node.items() if word != "$ref"}
        # keywords next to a `$ref`, such as a description, override its target
        return {
            **visit(found, (*under, cast(str, ref))),
            **rebuilt(beside, lambda child: visit(child, under)),
        }

    result = cast(Schema, visit(schema, ()))
    for name in DEFINITIONS:
        rest = {word: value for word, value in result.items() if word != name}
        if name in result and not points_into(rest, f"#/{name}/"):
            result = rest
    return result


def target(root: Schema, ref: str) -> Json:
    """The target of a local JSON pointer, or None."""
    if ref != "#" and not ref.startswith("#/"):
        return None
    found: Json = root
    for word in ref.split("/")[1:]:
        name = word.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = found.get(name)
        elif isinstance(found, list) and (place := whole_number(name)) is not None and place < len(found):
            found = found[place]
        else:
            return None
    return found


def points_into(node: Json, place: str) -> bool:
    if isinstance(node, list):
        return any(points_into(item, place) for item in node)
    if not isinstance(node, dict):
        return False
    ref = node.get("$ref")
    if isinstance(ref, str) and (ref == "#" or ref.startswith(place)):
        return True
    return any(points_into(value, place) for value in node.values())


def bare(schema: Schema) -> Schema:
    """The schema with only a description and default next to each `$ref`.

    References with other keywords are inlined; recursive ones lose these keywords. The root may have definitions and a
    title.
    """

    budget = [_INLINE_LIMIT]

    def visit(node: Json, under: tuple[str, ...]) -> Json:
        if not isinstance(node, dict):
            return node
        budget[0] -= 1
        ref = node.get("$ref")
        if not isinstance(ref, str) or node is schema or all(word in _BESIDE for word in node):
            return rebuilt(node, lambda child: visit(child, under))
        found = target(schema, ref)
        if not isinstance(found, dict) or ref in under or budget[0] <= 0:
            kept = _BESIDE if isinstance(found, dict) else frozenset(node) - {"$ref"}
            return rebuilt(
                {word: value for word, value in node.items() if word in kept}, lambda child: visit(child, under)
            )
        beside = {word: value for word, value in node.items() if word != "$ref"}
        return visit({**found, **beside}, (*under, ref))

    crowded = any(
        isinstance(node.get("$ref"), str) and node is not schema and not all(word in _BESIDE for word in node)
        for node in schemas(schema)
    )
    return cast(Schema, visit(schema, ())) if crowded else schema


_BESIDE = frozenset(("$ref", "description", "default"))
