"""A plausible value for a JSON Schema: valid, deterministic, and taken from the prompt where possible."""

import re
from typing import Any, TypeVar

from modelbay.conversation import Json

_T = TypeVar("_T")
_DEPTH = 12
"""The maximum depth of optional values in a recursive schema."""
_FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T09:00:00Z",
    "time": "09:00:00Z",
    "duration": "P1D",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_PATTERNED = (
    "a",
    "A1",
    "abc",
    "ABC",
    "1",
    "12345",
    "2026-01-01",
    "a-b",
    "a_b",
    "Ab1!",
    "abc123",
    "a@b.co",
    "#a1b2c3",
    "a.b",
)
"""Strings tried for a pattern."""
_CAPITAL = re.compile(r"(?<![.!?] )(?<!^)\b[A-ZÀ-Þ][\w-]+(?: [A-ZÀ-Þ][\w-]+)*")


class ExampleMaker:
    """Makes values from one prompt. `turn`: makes several values differ, such as those of two parallel calls."""

    def __init__(self, root: Json, prompt: str, turn: int = 0) -> None:
        self._root = root
        self._prompt = prompt
        self._turn = turn

    def make(self) -> Json:
        return self._value(self._root, "", 0)

    def _value(self, schema: Json, name: str, depth: int) -> Json:
        if not isinstance(schema, dict):  # `true` or missing
            return self._string({}, name)
        schema = self._flat(schema, depth)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._choice(schema["enum"])
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((k for k in kind if k != "null"), "null")
        match str(kind or self._guess(schema)).lower():  # Gemini's types are upper-case
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
            case "integer":
                return self._number(schema, whole=True)
            case "number":
                return self._number(schema, whole=False)
            case "boolean":
                return True
            case "null":
                return None
            case _:
                return self._string(schema, name)

    def _flat(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        """The schema with references resolved and one branch chosen."""
        for _ in range(_DEPTH):
            if isinstance(schema.get("$ref"), str):
                rest = {k: v for k, v in schema.items() if k != "$ref"}
                schema = {**self._resolve(schema["$ref"]), **rest}
            elif branches := schema.get("anyOf") or schema.get("oneOf"):
                rest = {k: v for k, v in schema.items() if k not in ("anyOf", "oneOf")}
                schema = _merged([rest, self._branch(branches, depth)])
            elif schema.get("allOf"):
                rest = {k: v for k, v in schema.items() if k != "allOf"}
                schema = _merged([rest, *schema["allOf"]])
            else:
                break
        return schema

    def _branch(self, branches: list[Json], depth: int) -> Json:
        """The first branch that is not null; at great depth, the shortest one."""
        plain = [branch for branch in branches if isinstance(branch, dict) and branch.get("type") != "null"]
        if depth >= _DEPTH:
            return min(branches, key=lambda branch: len(str(branch)))
        return plain[0] if plain else branches[0]

    def _resolve(self, reference: str) -> dict[str, Any]:
        value = self._root
        for name in reference.removeprefix("#").strip("/").split("/"):
            name = name.replace("~1", "/").replace("~0", "~")  # noqa: PLW2901 (unescaped)
            value = value.get(name) if isinstance(value, dict) and name else value
        return value if isinstance(value, dict) else {}

    def _guess(self, schema: dict[str, Any]) -> str:
        if "properties" in schema or "additionalProperties" in schema:
            return "object"
        if "items" in schema or "prefixItems" in schema:
            return "array"
        return "number" if "minimum" in schema or "maximum" in schema else "string"

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Json]:
        properties = schema.get("properties") or {}
        required = schema.get("required")
        # like a model: the required properties, or all if none is required
        names = list(required if required else properties)
        made = {name: self._value(properties.get(name), name, depth + 1) for name in names if depth < 2 * _DEPTH}
        extra = schema.get("additionalProperties")
        while len(made) < schema.get("minProperties", 0):
            made[f"key{len(made) + 1}"] = self._value(extra, "value", depth + 1)
        return made

    def _array(self, schema: dict[str, Any], name: str, depth: int) -> list[Json]:
        first = [self._value(item, name, depth + 1) for item in schema.get("prefixItems") or ()]
        least, most = schema.get("minItems", 0), schema.get("maxItems", 2)
        if depth >= _DEPTH:
            most = least
        wanted = max(least, min(2, most))
        items = schema.get("items")
        if items is False:
            return first
        before = self._turn
        while len(first) < wanted:
            first.append(self._value(items, name, depth + 1))
            self._turn += 1
        self._turn = before
        return first

    def _number(self, schema: dict[str, Any], *, whole: bool) -> int | float:
        said = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", self._prompt)]
        low, high = schema.get("minimum"), schema.get("maximum")
        if (least := schema.get("exclusiveMinimum")) is not None and not isinstance(least, bool):
            low = least + (1 if whole else 0.5)
        if (most := schema.get("exclusiveMaximum")) is not None and not isinstance(most, bool):
            high = most - (1 if whole else 0.5)
        step = schema.get("multipleOf")
        candidates = [number for number in [*said, low, high, 1.0] if number is not None]
        for value in [int(number) if whole or float(number).is_integer() else number for number in candidates]:
            if (low is None or value >= low) and (high is None or value <= high) and not (step and value % step):
                return value
        if step:
            return int(-(-(low or 0) // step) * step) if whole else -(-(low or 0) // step) * step
        return low if low is not None and high is None else ((low or 0) + (high or 0)) / 2

    def _string(self, schema: dict[str, Any], name: str) -> str:
        if form := _FORMATS.get(str(schema.get("format"))):
            return form
        text = self._word(name)
        if pattern := schema.get("pattern"):
            return self._matching(str(pattern), text)
        least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
        text = text.ljust(least, ".")
        return text if most is None else text[: int(most)]

    def _matching(self, pattern: str, text: str) -> str:
        pattern = pattern.replace(r"\d", "[0-9]")
        for candidate in (text, *self._prompt.split(), *_PATTERNED):
            try:
                if re.search(pattern, candidate):
                    return candidate
            except re.error:  # valid in ECMAScript only
                break
        return text

    def _word(self, name: str) -> str:
        """A likely value for a property of this name."""
        said = re.findall(r'"([^"]+)"|`([^`]+)`|“([^”]+)”', self._prompt)
        if said:
            return self._choice(["".join(found) for found in said])
        low = name.lower()
        found: list[str]
        if any(word in low for word in ("path", "file")):
            found = re.findall(r"[\w./-]*[\w-]\.\w{1,5}\b|/[\w./-]+", self._prompt)
            return self._choice(found or ["README.md"])
        if any(word in low for word in ("url", "uri", "link")):
            found = re.findall(r"https?://\S+", self._prompt)
            return self._choice(found or ["https://example.com/"])
        if any(word in low for word in ("query", "text", "prompt", "input", "question", "message", "answer")):
            return self._prompt.strip() or name
        found = _CAPITAL.findall(self._prompt)
        return self._choice(found or [name or "something"])

    def _choice(self, values: list[_T]) -> _T:
        return values[self._turn % len(values)]


def _merged(schemas: list[Json]) -> dict[str, Any]:
    """One schema for several that must all match."""
    merged: dict[str, Any] = {}
    for schema in schemas:
        for key, value in (schema if isinstance(schema, dict) else {}).items():
            if key == "properties":
                merged[key] = {**merged.get(key, {}), **value}
            elif key == "required":
                merged[key] = [*merged.get(key, []), *(name for name in value if name not in merged.get(key, []))]
            else:
                merged[key] = value
    return merged


def example(schema: Json, prompt: str, turn: int = 0) -> Json:
    """A value that is valid for the schema."""
    return ExampleMaker(schema, prompt, turn).make()
