"""Errors of OpenAI's API about values of a request, in its words and with its codes."""

from urllib.parse import parse_qsl

from modelbay.conversation import Extra, Json
from modelbay.errors import BadRequest, NotFound, ProviderError

_KINDS = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
_METADATA, _NAME, _VALUE = 16, 64, 512
"""Maximum number of entries in `metadata`, and of characters in a name and in a value."""

_INCLUDED = (
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
    "web_search_call.action.sources",
    "web_search_call.results",
)
"""Contents of items that a request can ask for with `include`."""


def refused(message: str, param: str, code: str | None = None) -> BadRequest:
    return BadRequest(message, status=400, type="invalid_request_error", code=code, param=param)


def missing(message: str, param: str | None = None) -> ProviderError:
    """The error for an object that the client does not have."""
    return NotFound(message, status=404, type="invalid_request_error", param=param)


def required(param: str) -> BadRequest:
    return refused(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")


def wrong_kind(param: str, wanted: str, value: Json) -> BadRequest:
    """`wanted`: such as "an array"."""
    kind = "null" if value is None else _KINDS.get(type(value), "string")
    given = "null" if kind == "null" else f"{'an' if kind[0] in 'aio' else 'a'} {kind}"
    return refused(f"Invalid type for '{param}': expected {wanted}, but got {given} instead.", param, "invalid_type")


def too_many_items(param: str, most: int, count: int) -> BadRequest:
    return refused(
        f"Invalid '{param}': array too long. Expected an array with maximum length {most}, but got an array with length {count} "
        "instead.",
        param,
        "array_above_max_length",
    )


def whole_number_between(param: str, value: str | None, least: int, most: int, default: int) -> int:
    """A whole number of a query.

    Raises:
        BadRequest: the value is not one, or is out of range.
    """
    if value is None:
        return default
    if not (value.lstrip("-").isascii() and value.lstrip("-").isdigit()) or len(value) > 18:
        raise wrong_kind(param, "an integer", value)
    number = int(value)
    if number < least:
        raise refused(
            f"Invalid '{param}': integer below minimum value. Expected a value >= {least}, but got {number} instead.",
            param,
            "integer_below_min_value",
        )
    if number > most:
        raise refused(
            f"Invalid '{param}': integer above maximum value. Expected a value <= {most}, but got {number} instead.",
            param,
            "integer_above_max_value",
        )
    return number


def one_of(param: str, value: str | None, *values: str) -> str:
    """A value of a query; the first of `values` if it is not given.

    Raises:
        BadRequest: the value is another one.
    """
    if value is None or value in values:
        return value or values[0]
    *others, last = (f"'{known}'" for known in sorted(values))
    raise refused(
        f"Invalid value: '{value}'. Supported values are: {', '.join(others)} and {last}.", param, "invalid_value"
    )


def check_included(query: str) -> None:
    """Check the `include` of a request for stored items. They are returned with all of their contents in any case.

    Raises:
        BadRequest: it asks for a content that no item has.
    """
    for name, value in parse_qsl(query):
        if name in ("include", "include[]"):
            one_of("include", value, *_INCLUDED)


def checked_metadata(value: Json) -> Extra:
    """The `metadata` of an object; empty if the value is null.

    Raises:
        BadRequest: the value is not valid.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise wrong_kind("metadata", "an object", value)
    if len(value) > _METADATA:
        raise refused(
            f"Invalid 'metadata': too many properties. Expected an object with at most {_METADATA} properties, but got an object "
            f"with {len(value)} properties instead.",
            "metadata",
            "object_above_max_properties",
        )
    for name, text in value.items():
        if not isinstance(text, str):
            raise wrong_kind(f"metadata.{name}", "a string", text)
        for length, most in ((len(name), _NAME), (len(text), _VALUE)):
            if length > most:
                raise refused(
                    f"Invalid 'metadata.{name}': string too long. Expected a string with maximum length {most}, but got a string "
                    f"with length {length} instead.",
                    f"metadata.{name}",
                    "string_above_max_length",
                )
    return value
