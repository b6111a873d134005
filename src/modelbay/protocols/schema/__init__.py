"""Fits the JSON Schemas of tools and output formats to the subset that each protocol accepts. Each subset is a row
here.

A schema that needs no change is sent byte for byte, so that prompt caches remain valid. Changes that widen a schema are
reported.
"""

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from modelbay.conversation import Json, OutputFormat, Tool
from modelbay.dialect import PLAIN, Dialect
from modelbay.events import Warned
from modelbay.protocols.schema.corrections import corrected, is_odd
from modelbay.protocols.schema.folding import object_root
from modelbay.protocols.schema.known import Fitted, FittingCache, content_of, schemas_in
from modelbay.protocols.schema.openapi import json_schema, openapi
from modelbay.protocols.schema.references import bare, inlined
from modelbay.protocols.schema.strict import NotStrict, Strictness, closed, relaxed
from modelbay.protocols.schema.types import typed
from modelbay.protocols.schema.words import Schema, rebuilt, schemas
from modelbay.protocols.shared_tools import SharedTools

_UNCOMMON = frozenset(
    ("allOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies",
     "patternProperties", "propertyNames", "unevaluatedProperties", "unevaluatedItems", "contains", "minContains",
     "maxContains", "prefixItems", "minProperties", "maxProperties")
)  # fmt: skip
_BOUNDS = frozenset(
    ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "maxItems",
     "uniqueItems")
)  # fmt: skip
_CONTENT = frozenset(("contentEncoding", "contentMediaType", "contentSchema"))
_FORMATS = frozenset(("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"))


class Subset(Struct, frozen=True):
    """The subset of JSON Schema that a protocol's providers accept."""

    bare_references: bool = False
    """Only a description and a default are allowed next to a `$ref` (Gemini)."""
    items: bool = False
    """Every array must define its items (OpenAI: "array schema missing items")."""
    needed: bool = True
    """A tool without arguments must still have a schema."""
    properties: bool = True
    """An object must list its properties, even if it has none (OpenAI: "object schema missing properties")."""
    strict: Strictness | None = None
    """Requirements of `strict`; None if the protocol does not have it."""
    object_output: bool = False
    """The output must be an object (OpenAI); otherwise any type is allowed."""
    strict_output: bool = False
    """Output formats are always strict (Anthropic): a schema that cannot be is sent as part of the system prompt."""


_OPENAI = Subset(
    items=True,
    object_output=True,
    strict=Strictness(
        all_required=True,
        typed=True,
        refused=_UNCOMMON,
        limits=_CONTENT | {"minLength", "maxLength", "uniqueItems"},
        formats=_FORMATS,
    ),
)
SUBSETS = {
    "openai_chat": replace(_OPENAI, needed=False),
    "openai_responses": _OPENAI,
    "anthropic": Subset(
        properties=False,
        strict=Strictness(
            recursive=False,
            refused=_UNCOMMON - {"allOf"},
            limits=_CONTENT | _BOUNDS,
            formats=_FORMATS | {"uri"},
        ),
        strict_output=True,
    ),
    "google": Subset(bare_references=True, needed=False),
}


_NOT_STRICT = Warned("`tools.strict` is not sent: the provider rejects it", "tools.strict", dropped=True)
_KNOWN = FittingCache()


class Fitting(Struct):
    """Fits the schemas of one request."""

    protocol: str
    dialect: Dialect
    report: list[Warned]
    same: bool = False
    """Whether the client uses the provider's protocol. Then only schemas that all its providers reject are changed."""

    def tools(self, tools: list[Tool]) -> list[Tool]:
        """The tools with schemas that the target accepts; the same list if nothing changes.

        Raises:
            Unsupported: a schema cannot be expressed there.
        """
        target = (self.protocol, self.dialect.schema, self.dialect.strict_tools, self.same)
        if type(tools) is not SharedTools:
            return self._fitted(tools, target)
        found, report = tools.result(_fit_shared, *target)
        self.report += report
        return found

    def _fitted(self, tools: list[Tool], target: tuple[Any, ...]) -> list[Tool]:
        content = content_of(target, tools)
        if content is None:
            return [self.tool(tool) for tool in tools]
        fitted = _KNOWN.get(content)
        if fitted is None:
            fitted = Fitted({}, [])
            anew = Fitting(self.protocol, self.dialect, fitted.report, self.same)
            for place, (tool, schema) in enumerate(zip(tools, schemas_in(content), strict=True)):
                given = replace(tool, schema=schema)
                if (found := anew.tool(given)) is not given:
                    fitted.changes[place] = found.schema, found.strict
            _KNOWN.keep(content, fitted)
        self.report += fitted.report
        if not fitted.changes:
            return tools
        found_tools = list(tools)
        for place, (schema, strict) in fitted.changes.items():
            found_tools[place] = replace(tools[place], schema=schema, strict=strict)
        return found_tools

    def tool(self, tool: Tool) -> Tool:
        """The tool with a schema that the target accepts.

        Raises:
            Unsupported: the schema cannot be expressed there.
        """
        subset, strict = SUBSETS[self.protocol], tool.strict
        if tool.kind != "function" or (tool.schema is None and not subset.needed):
            return tool
        schema = self._root(tool.schema, f"the schema of `{tool.name}`", "tools")
        if strict and not self.dialect.strict_tools and _NOT_STRICT not in self.report:
            self.report.append(_NOT_STRICT)
        if not self.same:
            schema = _fitted(schema, subset)
            if strict and self.dialect.strict_tools and subset.strict is not None:
                try:
                    schema = self._relaxed(closed(schema, subset.strict), subset.strict, f"`{tool.name}`", "tools")
                except NotStrict as why:
                    strict = None
                    self._warn(f"`strict` is not sent for `{tool.name}`: its schema {why}", "tools.strict")
        schema = self._as_dialect_writes(schema)
        return tool if (strict, schema) == (tool.strict, tool.schema) else replace(tool, schema=schema, strict=strict)

    def format(self, form: OutputFormat) -> OutputFormat:
        """The output format with a schema that the target accepts.

        Raises:
            Unsupported: the schema cannot be expressed there.
        """
        subset, strict = SUBSETS[self.protocol], form.strict
        if form.kind == "json_schema" and not isinstance(form.schema, dict) and not self.same:
            return OutputFormat("json")
        if form.kind != "json_schema" or not isinstance(form.schema, dict):
            return form
        schema: Schema = form.schema
        if not self.same:
            if subset.object_output:
                schema = self._root(schema, "the output format", "output_format")
            schema = _fitted(schema, subset)
            if subset.strict is not None and (strict or subset.strict_output):
                schema, strict = self._strict_format(schema, strict, subset)
        schema = self._as_dialect_writes(schema)
        return form if (schema, strict) == (form.schema, form.strict) else replace(form, schema=schema, strict=strict)

    def _strict_format(self, schema: Schema, strict: bool | None, subset: Subset) -> tuple[Schema, bool | None]:
        rules = subset.strict or Strictness()
        try:
            return self._relaxed(closed(schema, rules), rules, "the output format", "output_format"), strict
        except NotStrict as why:
            if strict:
                self._warn(f"`strict` is not sent for the output format: its schema {why}", "output_format")
            return schema, None

    def _relaxed(self, schema: Schema, rules: Strictness, what: str, setting: str) -> Schema:
        """The schema of something strict, with the limits in its descriptions that are not accepted."""
        if not any(rules.is_limit(word, value) for node in schemas(schema) for word, value in node.items()):
            return schema
        self._warn(f"limits in {what} are sent as part of its descriptions", setting)
        found: Schema = relaxed(schema, rules)
        return found

    def _root(self, schema: Json, what: str, setting: str) -> Schema:
        if isinstance(schema, dict) and schema.get("type") == "OBJECT":  # a client wrote it for Gemini
            schema = json_schema(schema)
        root, lost = object_root(schema)
        if lost:
            self._warn(f"{what} has {', '.join(f'`{word}`' for word in lost)} at its root: sent as one object", setting)
        lists_properties = root.get("type") != "object" or isinstance(root.get("properties"), dict)
        must = SUBSETS[self.protocol].properties and not self.same
        if not lists_properties and (must or not schema or schema is True):
            return {**root, "properties": {}}
        return root

    def _as_dialect_writes(self, schema: Schema) -> Schema:
        match self.dialect.schema:
            case "typed":
                return typed(schema)
            case "openapi":
                return openapi(schema)
            case _:
                return schema

    def _warn(self, message: str, setting: str) -> None:
        self.report.append(Warned(message, setting))


def _fit_shared(
    tools: SharedTools, protocol: str, schema: str, strict: bool, same: bool
) -> tuple[list[Tool], list[Warned]]:
    fitting = Fitting(protocol, replace(PLAIN, schema=schema, strict_tools=strict), [], same)
    return SharedTools(fitting._fitted(tools, (protocol, schema, strict, same))), fitting.report


def refused_output(schema: Schema, protocol: str) -> str | None:
    """Why the protocol has no output format with this schema, as the end of a sentence; None if it has."""
    subset = SUBSETS[protocol]
    if not subset.strict_output or subset.strict is None:
        return None
    try:
        closed(_fitted(schema, subset), subset.strict)
    except NotStrict as why:
        return str(why)
    return None


def _fitted(schema: Schema, subset: Subset) -> Schema:
    nodes = schemas(schema)
    words = set().union(*nodes)
    if any(map(is_odd, nodes)):
        schema = corrected(schema)
        nodes = schemas(schema)
    if subset.bare_references and "$ref" in words:
        schema = bare(schema)
        nodes = schemas(schema)
    if subset.items and any(_lacks_items(node) for node in nodes if node.get("type") not in _SIMPLE):
        schema = _with_items(schema)
    return schema


_SIMPLE = ("string", "object", "integer", "number", "boolean")


def _lacks_items(node: Schema) -> bool:
    kind = node.get("type")
    return (kind == "array" or (isinstance(kind, list) and "array" in kind)) and "items" not in node


def _with_items(node: Json) -> Json:
    if not isinstance(node, dict):
        return node
    return rebuilt({**node, "items": {}} if _lacks_items(node) else node, _with_items)


__all__ = ["SUBSETS", "Fitting", "Subset", "inlined", "json_schema", "openapi", "refused_output", "typed"]
