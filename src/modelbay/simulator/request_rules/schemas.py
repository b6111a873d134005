"""Schemas of tools and output formats that providers refuse."""

import re
from collections.abc import Iterator

from modelbay.conversation import Json
from modelbay.protocols.schema.words import Schema, properties_of, required_of, schemas
from modelbay.simulator.request_rules.request import CheckedRequest, refuse

_UNIONS = ("oneOf", "anyOf", "allOf", "enum", "not")
_UNSUPPORTED = ("allOf", "oneOf", "not", "if", "patternProperties", "minLength", "maxLength", "uniqueItems")
_FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid")
_LOOKAROUND = re.compile(r"\(\?<?[=!]")
_LIMITS = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
)


def openai_accepts(request: CheckedRequest) -> None:
    for tool in request.conversation.settings.tools or ():
        if tool.kind == "function" and tool.schema is not None:
            for fault in _openai_faults(tool.schema, strict=bool(tool.strict)):
                refuse(
                    request,
                    f"Invalid schema for function '{tool.name}': {fault}",
                    "tools",
                    "invalid_function_parameters",
                )
    form = request.conversation.settings.output_format
    if form is not None and form.kind == "json_schema" and form.schema is not None:
        for fault in _openai_faults(form.schema, strict=bool(form.strict)):
            refuse(request, f"Invalid schema for response_format '{form.name}': {fault}", "response_format")


def _openai_faults(schema: Json, *, strict: bool) -> Iterator[str]:
    root = schema if isinstance(schema, dict) else {}
    if root.get("type") != "object":
        yield f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{root.get('type')}\"'."
    if any(word in root for word in _UNIONS):
        yield ("schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level.")
    for node in schemas(root):
        kind = node.get("type")
        if kind == "array" and "items" not in node:
            yield "In context=(), array schema missing items."
        if node is root and "properties" not in node:
            yield "In context=(), object schema missing properties."
        if strict:
            yield from _strict_faults(node)


def _strict_faults(node: Schema) -> Iterator[str]:
    for word in _UNSUPPORTED:
        if word in node:
            yield f"In context=(), '{word}' is not permitted."
    if (form := node.get("format", "date")) not in _FORMATS:
        yield f"In context=(), '{form}' is not a valid format."
    if _LOOKAROUND.search(str(node.get("pattern"))):
        yield "In context=(), regex lookaround is not supported."
    if node.get("type") == "object":
        if node.get("additionalProperties") is not False:
            yield "In context=(), 'additionalProperties' is required to be supplied and to be false."
        missing = properties_of(node).keys() - set(required_of(node))
        if missing:
            yield (
                "In context=(), 'required' is required to be supplied and to be an array including every key in properties. "
                f"Missing '{min(missing)}'."
            )


def anthropic_accepts(request: CheckedRequest) -> None:
    for index, tool in enumerate(request.conversation.settings.tools or ()):
        if tool.kind != "function":
            continue
        where, schema = f"tools.{index}.custom", tool.schema if isinstance(tool.schema, dict) else {}
        if "type" not in schema:
            refuse(request, f"{where}.input_schema.type: Field required")
        if schema["type"] != "object":
            refuse(request, f"{where}.input_schema.type: Input should be 'object'")
        if any(word in schema for word in ("oneOf", "allOf", "anyOf")):
            refuse(
                request, f"{where}.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level"
            )
        if any(isinstance(node.get("items"), list) for node in schemas(schema)):
            refuse(
                request,
                f"{where}.input_schema: JSON schema is invalid. It must match JSON Schema draft 2020-12 "
                "(https://json-schema.org/draft/2020-12).",
            )
        if tool.strict:
            _compiles(request, where, schema)
    form = request.conversation.settings.output_format
    if form is not None and isinstance(form.schema, dict):
        _compiles(request, "output_config.format.schema", form.schema)


def _compiles(request: CheckedRequest, where: str, schema: Schema) -> None:
    for node in schemas(schema):
        kind = node.get("type")
        if kind == "object" and node.get("additionalProperties") is not False:
            refuse(request, f"{where}: For 'object' type, 'additionalProperties' must be explicitly set to false")
        for word in _LIMITS:
            if word in node:
                refuse(request, f"{where}: For '{kind}' type, property '{word}' is not supported")


def google_accepts(request: CheckedRequest) -> None:
    found = [
        (f"tools[0].function_declarations.{tool.name}", tool.schema)
        for tool in request.conversation.settings.tools or ()
    ]
    form = request.conversation.settings.output_format
    if form is not None:
        found.append(("generation_config.response_json_schema", form.schema))
    for where, schema in found:
        if any(map(_is_crowded, schemas(schema)[1:])):
            refuse(
                request,
                f"* GenerateContentRequest.{where}: a schema with a `ref` must not set other fields than `description` "
                "and `default`",
            )


def _is_crowded(node: Schema) -> bool:
    return "$ref" in node and not node.keys() <= {"$ref", "description", "default"}
